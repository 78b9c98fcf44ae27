import { describe, expect, it } from 'vitest';
import { FIELD } from '../../src/flow/fields.ts';
import { getField } from '../../src/flow/flow-key.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { KERNEL_DP_SUPPORT } from '../../src/ofproto/backer/dp-support.ts';
import { Group } from '../../src/ofproto/groups/group.ts';
import { recircIds } from '../../src/ofproto/xlate/recirc.ts';
import { XlateTrace } from '../../src/ofproto/xlate/trace/xlate-trace.ts';
import { xlateActions } from '../../src/ofproto/xlate/xlate.ts';
import { XlateCache } from '../../src/ofproto/xlate/xlate-cache.ts';
import { XLATE_ERROR } from '../../src/ofproto/xlate/xlate-error.ts';
import type { MfField } from '../../src/openflow/fields/mf-field.ts';
import { mfByName } from '../../src/openflow/fields/mf-fields.ts';
import type { GroupMod } from '../../src/openflow/messages/switch/switch-types.ts';
import { OFPP } from '../../src/openflow/ofp-port.ts';
import type { Ofpact } from '../../src/openflow/ofpact.ts';
import { keyOf, MAC_A, MAC_B } from './fakes.ts';
import { bareBridge, barePort } from './support/bare-bridge.ts';
import { bucket, groupMod } from './support/groups.ts';
import { catchAll, newRule, output } from './support/rules.ts';

const group = (groupId: number): Ofpact => ({ kind: 'group', groupId });
const field = (name: string): MfField => mfByName(name) as MfField;
const setReg = (value: number): Ofpact => ({
  kind: 'set_field',
  field: field('reg0'),
  value: Uint8Array.of(0, 0, 0, value),
  mask: Uint8Array.of(255, 255, 255, 255),
  isLoad: false,
});
const setDst = (last: number): Ofpact => ({ kind: 'mod_dl_dst', mac: Uint8Array.of(2, 0, 0, 0, 0, last) });
const meterless = { pause: false, controllerId: 0, reason: 1, userdata: new Uint8Array(0), maxLen: 128 } as const;

const TCP = { ethType: 0x0800, nwProto: 6, nwSrc: 0x0a000001, nwDst: 0x0a000002, tpSrc: 1000, tpDst: 2000 };
const OTHER = { ethType: 0x1234 };

interface World {
  readonly groups?: readonly GroupMod[];
  readonly packet?: Parameters<typeof keyOf>[0];
  /** Ports that are down. */
  readonly down?: readonly number[];
  readonly meters?: ReadonlyMap<number, number>;
  readonly isControlled?: boolean;
  readonly maxHashAlgorithm?: number;
}

/** Translates `actions` on a packet of port 1; OpenFlow and datapath numbers of ports are the same. */
function translate(actions: readonly Ofpact[], w: World = {}) {
  const flow = keyOf({ inPort: 1, ethSrc: MAC_A, ethDst: MAC_B, ...(w.packet ?? TCP) });
  const groups = new Map((w.groups ?? []).map((g) => [g.groupId, new Group({ ...g, createdMs: 0 })]));
  const rule = newRule({ priority: 1, match: catchAll(), actions });
  const ports = [1, 2, 3, 10].map((n) => barePort(n, { config: w.down?.includes(n) ? 1 : 0 }));
  const bridge = bareBridge(ports, () => rule, {
    group: (id) => groups.get(id),
    meter: (n) => w.meters?.get(n),
    isControlled: () => w.isControlled ?? false,
    support: { ...KERNEL_DP_SUPPORT, maxHashAlg: w.maxHashAlgorithm ?? 0 },
  });
  const cache = new XlateCache();
  const trace = new XlateTrace();
  const stats = { nPackets: 1n, nBytes: 100n, usedMs: 0, tcpFlags: 0 };
  const out = xlateActions({ bridge, flow, ofpInPort: 1, hasSideEffects: true, stats, cache, trace });
  const frozen = out.recircs.map((id) => recircIds.find(id));
  recircIds.release(out.recircs);
  const [first] = groups.values();
  const text = formatOdpActions(out.actions).replace(/recirc\(0x[0-9a-f]+\)/, 'recirc(?)');
  return { text, error: out.error, wc: out.wc.slice(), trace: trace.format(), cache, frozen, group: first };
}
const actionsOf = (...args: Parameters<typeof translate>): string => translate(...args).text;

describe('all and indirect', () => {
  it('every bucket acts on a copy', () => {
    const all = groupMod('ADD', 1, 'ALL', [bucket(0, [setDst(9), output(2)]), bucket(1, [output(3)])]);
    expect(actionsOf([group(1), output(10)], { groups: [all] })).toBe(
      'set(eth(dst=02:00:00:00:00:09)),2,set(eth(dst=02:00:00:00:00:0b)),3,10',
    );
    const { group: g, cache } = translate([group(1)], { groups: [all] });
    expect(g?.buckets.map((b) => b.nPackets)).toEqual([1n, 1n]);
    cache.push({ nPackets: 4n, nBytes: 400n, usedMs: 0, tcpFlags: 0 });
    expect([g?.nPackets, g?.nBytes, g?.buckets[1]?.nBytes]).toEqual([5n, 500n, 500n]);
  });

  it('a bucket is an action set: its order is that of sets, and without an output it does nothing', () => {
    const all = groupMod('ADD', 1, 'ALL', [bucket(0, [output(2), setDst(9)]), bucket(1, [setDst(8)])]);
    expect(actionsOf([group(1)], { groups: [all] })).toBe('set(eth(dst=02:00:00:00:00:09)),2');
  });

  it('groups lead to groups, and round in a circle until that is too deep', () => {
    const to = (id: number, next: number) => groupMod('ADD', id, 'INDIRECT', [bucket(0, [group(next)])]);
    const end = groupMod('ADD', 3, 'INDIRECT', [bucket(0, [output(2)])]);
    expect(actionsOf([group(1)], { groups: [to(1, 2), to(2, 3), end] })).toBe('2');
    const circle = translate([group(1)], { groups: [to(1, 2), to(2, 1)] });
    expect([circle.text, circle.error]).toEqual(['drop', XLATE_ERROR.RECURSION_TOO_DEEP]);
    expect(circle.trace).toContain('over max translation depth 64');
  });

  it('a group that is not there ends the list', () => {
    const { text, trace } = translate([output(2), group(5), output(3)]);
    expect(text).toBe('2');
    expect(trace).toContain('>> output to nonexistent group 5');
  });

  it('what goes to controllers from a bucket says so', () => {
    const all = groupMod('ADD', 1, 'INDIRECT', [bucket(0, [output(OFPP.CONTROLLER, 128)])]);
    expect(actionsOf([group(1)], { groups: [all] })).toMatch(/userspace\(.*reason=4,/);
    expect(actionsOf([output(OFPP.CONTROLLER, 128)])).toMatch(/reason=1,/);
  });
});

describe('select', () => {
  const byWeight = groupMod('ADD', 1, 'SELECT', [
    bucket(0, [output(2)], { weight: 1000 }),
    bucket(1, [output(3)], { weight: 1 }),
    bucket(7, [output(10)], { weight: 900 }),
  ]);

  // What stock Open vSwitch chooses, and matches.
  it.each([
    ['tcp', TCP, '10', ['score 11138000', 'score 61366', 'score 26214300']],
    ['no IP', OTHER, '2', ['score 31375000', 'score 34365', 'score 3435300']],
  ])('by default, of uneven weights: %s', (_what, packet, text, scores) => {
    const got = translate([group(1)], { groups: [byWeight], packet });
    expect(got.text).toBe(text);
    for (const score of scores) expect(got.trace).toContain(score);
    const { wc } = got;
    const isIp = packet === TCP;
    expect([wc[FIELD.ethSrc.word] !== 0, getField(wc, FIELD.tpSrc), getField(wc, FIELD.nwSrc) !== 0]).toEqual([
      true,
      isIp ? 0xffff : 0,
      isIp,
    ]);
  });

  it.each([
    ['tcp', TCP, '2', ['score 54711', 'score 8212']],
    ['no IP', OTHER, '3', ['score 9759', 'score 62057']],
  ])('by fields: %s', (_what, packet, text, scores) => {
    const fields = [
      { field: field('tcp_dst'), value: Uint8Array.of(255, 255) },
      { field: field('ip_dst'), value: Uint8Array.of(255, 255, 0, 0) },
      { field: field('eth_src'), value: new Uint8Array(6).fill(255) },
    ];
    const props = { selectionMethod: 'hash', selectionMethodParam: 12345678901n, fields };
    const hashed = groupMod('ADD', 1, 'SELECT', [bucket(0, [output(2)]), bucket(1, [output(3)])], { props });
    const got = translate([group(1)], { groups: [hashed], packet });
    expect(got.text).toBe(text);
    for (const score of scores) expect(got.trace).toContain(score);
    const isIp = packet === TCP;
    expect([getField(got.wc, FIELD.nwDst) >>> 0, getField(got.wc, FIELD.tpDst), getField(got.wc, FIELD.tpSrc)]).toEqual(
      isIp ? [0xffff0000, 0xffff, 0] : [0, 0, 0],
    );
  });

  const even = groupMod('ADD', 1, 'SELECT', [bucket(0, [output(2)]), bucket(1, [output(3)], { weight: 3 })]);

  it('by dp_hash: recirculates to itself with the hash that the datapath knows', () => {
    const got = translate([output(10), group(1), setReg(1)], { groups: [even] });
    expect(got.text).toBe('10,hash(l4(0)),recirc(?)');
    expect(got.frozen.map((s) => s?.ofpacts.map((a) => a.kind))).toEqual([['unroll_xlate', 'group', 'set_field']]);
    expect(actionsOf([group(1)], { groups: [even], maxHashAlgorithm: 1 })).toBe('hash(sym_l4(0)),recirc(?)');
    expect(got.group?.nPackets).toBe(0n);
  });

  it('by dp_hash: the hash tells the bucket, and only the bits that the table needs are matched', () => {
    const chosen = [];
    for (let dpHash = 0x100; dpHash < 0x110; dpHash++) {
      const got = translate([group(1)], { groups: [even], packet: { ...TCP, dpHash } });
      expect(getField(got.wc, FIELD.dpHash)).toBe(15);
      chosen.push(got.text);
    }
    expect([chosen.filter((c) => c === '2').length, chosen.filter((c) => c === '3').length]).toEqual([4, 12]);
  });

  it('by dp_hash: a dead bucket is passed over, and without any nothing happens', () => {
    const watching = groupMod('ADD', 1, 'SELECT', [
      bucket(0, [output(2)], { watchPort: 2 }),
      bucket(1, [output(3)], { watchPort: 3 }),
    ]);
    for (let dpHash = 0x100; dpHash < 0x110; dpHash++) {
      const packet = { ...TCP, dpHash };
      expect(actionsOf([group(1)], { groups: [watching], down: [2], packet })).toBe('3');
      expect(actionsOf([group(1), output(10)], { groups: [watching], down: [2, 3], packet })).toBe('10');
    }
  });

  it('a bucket without weight is never chosen', () => {
    const zero = groupMod('ADD', 1, 'SELECT', [bucket(0, [output(2)], { weight: 0 })]);
    const got = translate([group(1)], { groups: [zero] });
    expect(got.text).toBe('drop');
    expect(got.trace).toContain('no live bucket');
  });
});

describe('fast failover', () => {
  const ff = (...watches: Parameters<typeof bucket>[2][]): GroupMod =>
    groupMod(
      'ADD',
      1,
      'FF',
      watches.map((more, i) => bucket(i, [output([2, 3, 10][i] as number)], { weight: 0, ...more })),
    );
  const twoPorts = ff({ watchPort: 2 }, { watchPort: 3 });

  it('takes the first bucket whose port is up', () => {
    expect(actionsOf([group(1)], { groups: [twoPorts] })).toBe('2');
    const got = translate([group(1)], { groups: [twoPorts], down: [2] });
    expect(got.text).toBe('3');
    expect(got.trace).toContain('bucket 0: not live due to port 2');
    expect(got.group?.buckets.map((b) => b.nPackets)).toEqual([0n, 1n]);
    expect(actionsOf([group(1)], { groups: [twoPorts], down: [2, 3] })).toBe('drop');
  });

  it('watches groups, and controllers', () => {
    const watched = groupMod('ADD', 5, 'FF', [bucket(0, [output(2)], { weight: 0, watchPort: 2 })]);
    const byGroup = ff({ watchGroup: 5 }, { watchPort: 3 });
    expect(actionsOf([group(1)], { groups: [byGroup, watched] })).toBe('2');
    expect(actionsOf([group(1)], { groups: [byGroup, watched], down: [2] })).toBe('3');
    expect(actionsOf([group(1)], { groups: [byGroup] })).toBe('3');
    const byController = ff({ watchPort: OFPP.CONTROLLER }, { watchPort: 3 });
    expect(actionsOf([group(1)], { groups: [byController] })).toBe('3');
    expect(actionsOf([group(1)], { groups: [byController], isControlled: true })).toBe('2');
  });

  it('a group that watches itself is dead', () => {
    const got = translate([group(1)], { groups: [ff({ watchGroup: 1 })] });
    expect([got.text, got.error]).toEqual(['drop', XLATE_ERROR.OK]);
    expect(got.trace).toContain('bucket chaining exceeded 128 links');
  });
});

describe('meters', () => {
  const CONTROLLER = 0xfffffffe;
  const meters = new Map([
    [5, 0],
    [CONTROLLER, 1],
  ]);
  const toController = (meterId: number): Ofpact => ({ kind: 'controller', ...meterless, meterId });

  it('the instruction names the meter of the datapath', () => {
    expect(actionsOf([{ kind: 'meter', meterId: 5 }, output(2)], { meters })).toBe('meter(0),2');
    expect(actionsOf([{ kind: 'meter', meterId: 6 }, output(2)], { meters })).toBe('2');
  });

  it('what goes to controllers passes their own meter, or that of all', () => {
    expect(actionsOf([toController(5)], { meters })).toMatch(
      /^sample\(sample=100.0%,actions\(meter\(0\),userspace\(.*\)\)\)$/,
    );
    expect(actionsOf([toController(0)], { meters })).toMatch(/^sample\(sample=100.0%,actions\(meter\(1\),userspace/);
    expect(actionsOf([toController(0)])).toMatch(/^userspace/);
  });
});
