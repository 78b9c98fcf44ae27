/**
 * The recorded cases of the real module with tracked packets, in memory: our dpctl makes datapath and flows, frames come in
 * on devices that do not exist, and what comes out, what flows count and which connections there are must be what it was.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { monotonicMs } from '../../../src/util/clock.ts';
import { dpctl } from '../../dpctl/dpctl-harness.ts';
import { MemoryHost } from '../../support/memory-host.ts';
import { CtClient } from './ct-client.ts';

const GOLDEN = new URL('../../../../shared/golden/', import.meta.url).pathname;
const CASES = ['106-pkt-ct', '108-pkt-ct-limit'];
const hasGolden = existsSync(join(GOLDEN, 'out'));
if (!hasGolden) console.log(`skipped: no recordings in ${GOLDEN}`);

/** Commands and what they printed to standard output. */
function readSteps(name: string): { command: string; out: string[] }[] {
  const steps: { command: string; out: string[] }[] = [];
  for (const line of readFileSync(join(GOLDEN, 'out', `${name}.out`), 'utf8').split('\n')) {
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), out: [] });
    else if (line.startsWith('> ')) steps.at(-1)?.out.push(line.slice(2));
  }
  return steps;
}

/** The words of a shell command with variables that a case sets. */
function wordsOf(command: string, variables: ReadonlyMap<string, string>): string[] {
  const text = command.replace(/\$(\w)/g, (_, name: string) => variables.get(name) ?? '');
  return [...text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3] ?? '');
}

class Replay {
  readonly host = new MemoryHost();
  readonly variables = new Map<string, string>();
  private readonly tracker = this.host.server.datapaths.conntrack.tracker;
  private readonly client = new CtClient(this.tracker, monotonicMs);

  async run(command: string): Promise<string[] | undefined> {
    const assignment = /^(\w)='(.*)'$/.exec(command);
    if (assignment !== null) {
      this.variables.set(assignment[1]!, assignment[2]!);
      return [];
    }
    const [what = '', ...args] = wordsOf(command, this.variables);
    if (what === 'veth') {
      this.host.addDevice(args[0]!);
      return [];
    }
    return what === 'xmit' ? this.xmit(args) : this.dpctl(args);
  }

  private xmit([from = '', hex = '', ...to]: string[]): string[] {
    for (const name of to) this.host.device(name).sent.length = 0;
    this.host.device(from).receive(Buffer.from(hex, 'hex'));
    return to.flatMap((name) => this.host.device(name).sent.map((f) => `${name}: ${Buffer.from(f).toString('hex')}`));
  }

  private async dpctl(args: string[]): Promise<string[] | undefined> {
    switch (args[0]) {
      case 'dump-conntrack': {
        // With statistics the same is printed, and times, which differ.
        if (args[1]?.startsWith('zone=') === true) {
          return (await this.client.dump()).filter((line) => line.includes(`,${args[1]},`));
        }
        return args[1] === '-s' ? undefined : this.client.dump();
      }
      case 'flush-conntrack': {
        const udp = args[2] !== undefined;
        this.tracker.flush((conn) => !udp || ((this.tracker.table.tuples[20 * conn + 9]! >>> 16) & 0xff) === 17);
        return [];
      }
      case 'ct-set-limits': {
        for (const arg of args.slice(1)) {
          const zone = /^zone=(\d+),limit=(\d+)$/.exec(arg);
          if (zone !== null) this.tracker.limits.set(Number(zone[1]), Number(zone[2]));
          else this.tracker.limits.setDefault(Number(arg.slice('default='.length)));
        }
        return [];
      }
      case 'ct-get-limits': {
        const { limits } = this.tracker;
        const zones = args[1] === undefined ? limits.zones() : args[1].slice('zone='.length).split(',').map(Number);
        const lines = zones.map((z) => `zone=${z},limit=${limits.limitOf(z)},count=${limits.countOf(z)}`);
        return [`default limit=${limits.defaultLimit}`, ...lines];
      }
      case 'ct-stats-show':
        return undefined;
      default: {
        const { out } = await dpctl(this.host, args);
        return out
          .replace(/used:[0-9.]+m?s/g, 'used:TIME')
          .split('\n')
          .slice(0, -1)
          .sort();
      }
    }
  }

  close(): void {
    this.client.close();
    this.host.close();
  }
}

describe.skipIf(!hasGolden)('tracked packets, as the real module', () => {
  test.each(CASES)('%s', async (name) => {
    const replay = new Replay();
    try {
      for (const { command, out } of readSteps(name)) {
        const got = await replay.run(command);
        if (got !== undefined) expect(got, command).toEqual(out);
      }
    } finally {
      replay.close();
    }
  });
});
