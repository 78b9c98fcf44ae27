/**
 * The text of flows and actions against recordings of stock `ovs-dpctl` and the real module: every reply prints as the
 * tool printed it, and every text that it was given becomes the bytes that it sent, or the error that it reported.
 */
import { describe, expect, test } from 'vitest';
import { withoutPacketType } from '../../src/odp/key/odp-packet-type.ts';
import { formatUfid } from '../../src/odp/odp-ufid.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { formatOdpFlow } from '../../src/odp/text/odp-format-key.ts';
import { parseOdpActions } from '../../src/odp/text/odp-parse-actions.ts';
import { parseOdpFlow } from '../../src/odp/text/odp-parse-key.ts';
import { OdpParseError } from '../../src/odp/text/odp-text-scan.ts';
import {
  available,
  dpctlCalls,
  flowAttrs,
  hidePids,
  portOf,
  type Recorded,
  recordings,
  scenarios,
  stepsOf,
  upcallText,
} from './golden-flows.ts';

const all = available ? recordings('netlink.jsonl.gz') : [];
const toHex = (bytes: Uint8Array | undefined) => (bytes ? Buffer.from(bytes).toString('hex') : undefined);

/** The parts of a dumped line that come from the flow's attributes: UFID, key and actions. */
function partsOf(line: string): string {
  const found = /^(?:ufid:\S+, )?(.*), packets:.*, actions:(.*)$/.exec(line);
  return found ? `${found[1]} => ${found[2]}` : '';
}

/** What a reply prints; `names` are the ports' if the command prints them. */
function textOf(m: Recorded, verbose: boolean, portNames: Map<number, string> | undefined): string {
  const { key = new Uint8Array(0), mask, actions = new Uint8Array(0) } = flowAttrs(m) ?? {};
  const flow = formatOdpFlow(key, mask, { verbose, portNames });
  return hidePids(`${flow} => ${formatOdpActions(actions, { portNames })}`);
}

/** Options of a dump or get command, as they decide its text. */
function optionsOf(command: string): { verbose: boolean; hasNames: boolean } {
  const verbose = / -m\b/.test(command);
  return { verbose, hasNames: / --names\b/.test(command) || (verbose && !/ --no-names\b/.test(command)) };
}

describe.skipIf(!available).each(available ? scenarios() : ['no recordings'])('%s', (scenario) => {
  const messages = all.filter((m) => m.scenario === scenario);

  test('replies print as ovs-dpctl printed them', () => {
    const want: string[] = [];
    for (const { command, stdout } of stepsOf(scenario)) {
      want.push(...stdout.filter((line) => line.includes(', packets:')).map((line) => `${command}: ${partsOf(line)}`));
    }
    const ports = new Map<number, string>();
    const got: string[] = [];
    for (const m of messages) {
      if (m.direction !== 'reply') continue;
      const port = m.family === 'ovs_vport' ? portOf(m) : undefined;
      if (port) ports.set(port.portNo, port.name);
      if (m.family !== 'ovs_flow' || m.cmd !== 'GET' || m.errno !== undefined) continue;
      const { verbose, hasNames } = optionsOf(m.step);
      got.push(`${m.step}: ${textOf(m, verbose, hasNames ? ports : undefined)}`);
    }
    expect(got.sort()).toEqual(want.sort());
  });

  test('texts become the requests that ovs-dpctl sent', () => {
    const calls = dpctlCalls(scenario).filter(({ args }) => args.some((a) => /^(add|mod|del)-flow$/.test(a)));
    const requests = messages.filter((m) => m.family === 'ovs_flow' && m.direction === 'request' && m.cmd !== 'GET');
    const stderr = new Map<string, string[]>();
    for (const step of stepsOf(scenario)) {
      stderr.set(step.command, [...(stderr.get(step.command) ?? []), ...step.stderr]);
    }
    const ports = portNamesIn(messages);
    let n = 0;
    const isDone = new Set<Recorded>();
    for (const { step, args } of calls) {
      const verb = args.findIndex((a) => /^(add|mod|del)-flow$/.test(a));
      const isDelete = args[verb] === 'del-flow';
      const operands = args.slice(verb + 1).filter((a) => !a.startsWith('-'));
      const keyText = operands.at(isDelete ? -1 : -2) ?? '';
      try {
        const flow = parseOdpFlow(keyText, { portNames: ports });
        const actions = isDelete ? undefined : parseOdpActions(operands.at(-1) ?? '');
        // Texts are read after the datapath was opened.
        if (stderr.get(step)?.some((line) => line.includes('datapath not found'))) continue;
        const sent = requests.find((m) => m.step === step && !isDone.has(m));
        expect(sent, `${step}: nothing was sent`).toBeDefined();
        if (!sent) continue;
        isDone.add(sent);
        n++;
        const attrs = flowAttrs(sent);
        expect(toHex(attrs?.ufid), step).toBe(toHex(flow.ufid));
        if (attrs?.key) expect(toHex(attrs.key), step).toBe(toHex(withoutPacketType(flow.key)));
        if (isDelete) continue;
        expect(toHex(attrs?.mask), step).toBe(toHex(flow.mask && withoutPacketType(flow.mask)));
        expect(toHex(attrs?.actions), step).toBe(toHex(actions));
      } catch (e) {
        if (!(e instanceof OdpParseError)) throw e;
        const report =
          e.what === 'key'
            ? `parsing flow key (${e.message})`
            : `parsing ${e.what === 'ufid' ? 'flow ufid' : 'actions'}`;
        const want = `ovs-dpctl: ${isDelete && e.what === 'key' ? e.message : report} (Invalid argument)`;
        expect(stderr.get(step), step).toContain(want);
      }
    }
    expect(n).toBe(isDone.size);
    // Whatever else was sent came from files of flows, or deleted all.
    for (const m of requests.filter((r) => !isDone.has(r))) expect(m.step).toMatch(/-flows\b/);
  });

  test('logged failures name the flow as ovs-dpctl did', () => {
    const calls = dpctlCalls(scenario);
    for (const { command, stderr } of stepsOf(scenario)) {
      const logged = stderr.map((l) => /failed to put\[\w+\] \([^)]*\) (.*), actions:(.*)$/.exec(l)).find((l) => l);
      const call = calls.find(({ step, args }) => step === command && args.some((a) => /^(add|mod)-flow$/.test(a)));
      const sameSteps = calls.filter(({ step }) => step === command);
      if (!logged || !call || sameSteps.length > 1) continue;
      const { key, mask, ufid } = parseOdpFlow(call.args.at(-2) ?? '', { portNames: portNamesIn(messages) });
      const prefix = ufid ? `${formatUfid(ufid)} ` : '';
      const actions = formatOdpActions(parseOdpActions(call.args.at(-1) ?? ''));
      expect(`${prefix}${formatOdpFlow(key, mask, { verbose: true })} => ${actions}`).toBe(
        `${logged[1]} => ${logged[2]}`,
      );
    }
  });
});

function portNamesIn(messages: readonly Recorded[]): Map<number, string> {
  const ports = new Map<number, string>();
  for (const m of messages) {
    const port = m.family === 'ovs_vport' && m.direction === 'reply' ? portOf(m) : undefined;
    if (port) ports.set(port.portNo, port.name);
  }
  return ports;
}

describe.skipIf(!available)('flows of a stock ovs-vswitchd', () => {
  const messages = available ? recordings('upcalls.jsonl.gz') : [];

  test('dumps print as ovs-dpctl printed them', () => {
    const ports = new Map<number, string>();
    const got: string[] = [];
    for (const m of messages) {
      if (m.direction !== 'reply') continue;
      const port = m.family === 'ovs_vport' ? portOf(m) : undefined;
      if (port) ports.set(port.portNo, port.name);
      if (m.family !== 'ovs_flow' || !m.step.startsWith('ovs-dpctl dump-flows') || m.errno !== undefined) continue;
      const { verbose, hasNames } = optionsOf(m.step);
      if (flowAttrs(m)?.key) got.push(textOf(m, verbose, hasNames ? ports : undefined));
    }
    const want = upcallText().filter((line) => line.includes(', packets:'));
    expect([...new Set(got)].sort()).toEqual([...new Set(want.map(partsOf))].sort());
    expect(got.length).toBeGreaterThan(20);
  });
});
