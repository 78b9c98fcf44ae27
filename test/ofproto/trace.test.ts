/** `ofproto/trace` and `ofproto/trace-packet-out`: the text of a stock switch for the same flow tables, from vectors/ofproto-trace.txt. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBackerWith } from '../../src/ofproto/backer/backer.ts';
import type { OfprotoSwitch } from '../../src/ofproto/ofproto.ts';
import { TraceError, traceNowhere } from '../../src/ofproto/xlate/trace/trace.ts';
import { allowDebugActions } from '../../src/openflow/actions/index.ts';
import { parseFlow } from '../../src/openflow/flow-text.ts';
import { setClock } from '../../src/util/clock.ts';
import { FakeDpif, FakeProvider, FakeScheduler } from './fakes.ts';
import { bundle, type Rig, withRig } from './rig.ts';

const LINES = readFileSync(new URL('../vectors/ofproto-trace.txt', import.meta.url), 'utf8').split('\n');
const FLOWS = LINES.filter((line) => line.startsWith('+ ')).map((line) => line.slice(2));

interface Case {
  readonly command: string;
  readonly args: string[];
  readonly want: string;
}

function readCases(): Case[] {
  const cases: Case[] = [];
  for (let i = 0; i < LINES.length; i++) {
    const line = LINES[i] as string;
    if (!line.startsWith('# ofproto/')) continue;
    const end = LINES.indexOf('# end', i);
    const words = [...line.slice(2).matchAll(/'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2] ?? '');
    const [command = '', ...args] = words;
    cases.push({ command, args, want: LINES.slice(i + 1, end).join('\n') });
  }
  return cases;
}

/** Numbers of recirculation count anew in each text. */
function renumbered(text: string): string {
  const ids: string[] = [];
  return text.replace(/(recirc(?:_id)?[(=])(0x[0-9a-f]+)/g, (_, before: string, id: string) => {
    if (!ids.includes(id)) ids.push(id);
    return `${before}#${ids.indexOf(id)}`;
  });
}

/** Ports have the numbers of dummy devices. */
class NumberedDpif extends FakeDpif {
  override portAdd(name: string, type: string): Promise<number> {
    return super.portAdd(name, type, name === 'br0' ? 100 : Number(name.slice(1)));
  }
}

describe('as the stock switch', () => {
  const scheduler = new FakeScheduler();
  let backer: Awaited<ReturnType<typeof openBackerWith>>;
  let br: OfprotoSwitch;

  beforeAll(async () => {
    allowDebugActions();
    const dpif = new NumberedDpif(scheduler.clock);
    const options = { maxIdleMs: 10_000, flowLimit: 200_000, maxRevalidatorMs: 500, minRevalidatePps: 5 };
    backer = await openBackerWith(new FakeProvider(dpif, false), 'ovs-dummy', options, scheduler);
    br = backer.createOfproto('br0');
    for (const name of ['v1', 'v2', 'v3', 'br0']) {
      await br.portAdd({ name, type: 'system', ofport: undefined, isLocal: name === 'br0' });
      br.bundleSet(bundle(name));
    }
    br.tables.apply(parseFlow('delete').flow);
    for (const text of FLOWS) br.tables.apply(parseFlow(`add ${text}`).flow);
    await scheduler.advance(600);
  });
  afterAll(async () => {
    const closing = backer.close(false);
    await scheduler.advance(1000);
    await closing;
    setClock(undefined);
  });

  it.each(readCases())('$command $args', async ({ command, args, want }) => {
    const got = await backer.trace(args, command === 'ofproto/trace-packet-out').catch((error: unknown) => {
      if (!(error instanceof TraceError)) throw error;
      return `${error.message.replace(/\n$/, '')}\n(error)`;
    });
    expect(renumbered(got.replace(/\n$/, ''))).toBe(renumbered(want));
  });
});

describe('where each recirculation leads to two more', () => {
  let rig: Rig;
  withRig((r) => {
    rig = r;
    r.br.tables.apply(parseFlow('delete').flow);
    r.br.tables.apply(parseFlow('add ip,actions=ct(table=0),ct(table=0)').flow);
  });

  it('says where it stops', async () => {
    const text = await rig.backer.trace(['br0', 'in_port=1,ip'], false);
    expect(text.endsWith('\nTrace stops here, after 256 recirculations.\n')).toBe(true);
    expect(text.split('\nrecirc(').length - 1).toBe(256);
  });
});

describe('without a datapath', () => {
  it.each([
    { args: ['br0', 'in_port=1'], error: 'br0: unknown bridge' },
    { args: ['in_port(1),eth()'], error: 'Cannot find the datapath' },
    { args: [], error: 'Syntax error' },
  ])('$args', async ({ args, error }) => {
    await expect(traceNowhere(args, false)).rejects.toThrow(error);
  });
});
