/**
 * The megaflows that NORMAL makes, against those of a stock ovs-vswitchd 3.1.0: recorded upcalls go to our switch, whose
 * ports are as there, and the flows that it installs must have the same masks and actions.
 */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DPIF_UC, type DpifFlowPut } from '../../src/dpif/dpif-types.ts';
import { type DpifBacker, openBackerWith } from '../../src/ofproto/backer/backer.ts';
import { setClock } from '../../src/util/clock.ts';
import { FakeDpif, FakeProvider, FakeScheduler } from './fakes.ts';

const RECORDING = new URL('../../../shared/golden/upcalls.jsonl.gz', import.meta.url);
const isThere = existsSync(RECORDING);
if (!isThere) console.log('golden-upcalls: skipped, as the recordings are not beside the checkout');

interface Message {
  readonly step: string;
  readonly direction: string;
  readonly family: string;
  readonly cmd: string;
  readonly hex: string;
}
interface Case {
  readonly name: string;
  readonly key: Uint8Array;
  readonly packet: Uint8Array;
  readonly mask: Uint8Array;
  readonly actions: Uint8Array;
}

/** Netlink, generic netlink and OVS headers. */
const HEADERS_SIZE = 24;
const [PACKET, PACKET_KEY, FLOW_ACTIONS, FLOW_MASK] = [1, 2, 2, 7];

function attrs(nest: Uint8Array): Map<number, Uint8Array> {
  const out = new Map<number, Uint8Array>();
  const dv = new DataView(nest.buffer, nest.byteOffset, nest.byteLength);
  for (let at = 0; at + 4 <= nest.length; at += (dv.getUint16(at, true) + 3) & ~3) {
    out.set(dv.getUint16(at + 2, true) & 0x3fff, nest.subarray(at + 4, at + dv.getUint16(at, true)));
  }
  return out;
}

const bodyOf = (m: Message) => attrs(Uint8Array.from(Buffer.from(m.hex, 'hex')).subarray(HEADERS_SIZE));
const part = (m: Map<number, Uint8Array>, type: number): Uint8Array => {
  const found = m.get(type);
  if (found === undefined) throw new Error(`recording lacks attribute ${type}`);
  return found;
};

/** The misses up to the first change of the flow table, each with the flow that came of it. */
function readCases(): Case[] {
  const messages = gunzipSync(readFileSync(RECORDING))
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Message);
  const cases: Case[] = [];
  let miss: Map<number, Uint8Array> | undefined;
  for (const m of messages) {
    if (m.step.startsWith('ovs-ofctl del-flows')) break;
    if (!m.step.startsWith('frame')) continue;
    if (m.direction === 'upcall' && m.cmd === 'MISS') miss = bodyOf(m);
    if (m.direction !== 'request' || m.family !== 'ovs_flow' || m.cmd !== 'NEW' || miss === undefined) continue;
    const flow = bodyOf(m);
    cases.push({
      name: m.step,
      key: part(miss, PACKET_KEY),
      packet: part(miss, PACKET),
      mask: part(flow, FLOW_MASK),
      actions: part(flow, FLOW_ACTIONS),
    });
    miss = undefined;
  }
  return cases;
}

const ENCAP = 1;
/** 3.1 knows no attribute for extension headers. */
const NOT_COMPARED = new Set([32]);

/** A mask as text, attributes by number: their order means nothing. */
function canonical(nest: Uint8Array): string[] {
  return [...attrs(nest)]
    .filter(([type]) => !NOT_COMPARED.has(type))
    .sort(([a], [b]) => a - b)
    .map(([type, data]) =>
      type === ENCAP ? `${type}{${canonical(data).join(' ')}}` : `${type}=${Buffer.from(data).toString('hex')}`,
    );
}

describe.skipIf(!isThere)('NORMAL makes the megaflows of ovs-vswitchd 3.1.0', () => {
  const cases = isThere ? readCases() : [];
  let scheduler: FakeScheduler;
  let dpif: FakeDpif;
  let backer: DpifBacker;

  beforeAll(async () => {
    scheduler = new FakeScheduler();
    dpif = new FakeDpif(scheduler.clock);
    const options = { maxIdleMs: 10_000, flowLimit: 200_000, maxRevalidatorMs: 500, minRevalidatePps: 5 };
    backer = await openBackerWith(new FakeProvider(dpif, false), 'ovs-system', options, scheduler);
    const br = backer.createOfproto('br0');
    for (const name of ['br0', 'v1', 'v2']) {
      const type = name === 'br0' ? 'internal' : 'system';
      await br.portAdd({ name, type, ofport: undefined, isLocal: name === 'br0' });
      br.bundleSet({ name, members: [name], vlanMode: 'trunk', tag: undefined, trunks: [], isProtected: false });
    }
  });
  afterAll(async () => {
    const closing = backer.close(false);
    await scheduler.advance(1000);
    await closing;
    setClock(undefined);
  });

  it('finds the recording', () => expect(cases.length).toBeGreaterThan(15));

  it.each(cases)('$name', async ({ key, packet, mask, actions }) => {
    // As the recording did before each frame: no flow is left.
    await scheduler.advance(11_000);
    dpif.operated.length = 0;
    await dpif.upcall({
      type: DPIF_UC.MISS,
      packet,
      key,
      userdata: undefined,
      egressTunKey: undefined,
      actions: undefined,
      mru: 0,
      hash: undefined,
    });
    const put = dpif.last.find((op): op is DpifFlowPut => op.type === 'put');
    expect(canonical(put?.mask ?? new Uint8Array(0))).toEqual(canonical(mask));
    expect(Buffer.from(put?.actions ?? []).toString('hex')).toBe(Buffer.from(actions).toString('hex'));
    expect(put?.key).toEqual(key);
  });
});
