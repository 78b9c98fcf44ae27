/** Any actions on any frames: nothing throws, no slot is lost, ports and upcalls get what fits into a frame. */

import { expect, test } from 'vitest';
import { linuxVersion } from '../../src/datapath/kernel-compat.ts';
import type { Offloads } from '../../src/datapath/ports/port-memory.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import { OVS_KEY_ATTR as K } from '../../src/odp/key/key-table.ts';
import { checksumsOf, spoiled } from '../fuzz/oracles/checksums.ts';
import {
  addMpls,
  be32,
  checkPktLen,
  clone,
  decTtl,
  drop,
  hash,
  md1,
  md2,
  meter,
  output,
  popEth,
  popMpls,
  popNsh,
  popVlan,
  psample,
  pushEth,
  pushMpls,
  pushNsh,
  pushVlan,
  recirc,
  sample,
  set,
  setMasked,
  trunc,
  u32,
  userspace,
} from '../support/action-bytes.ts';
import { compileList } from '../support/compile.ts';
import { bytes, eth, icmpv6, ipv4, ipv4With, ipv6, ipv6With } from '../support/frames.ts';
import { Lab } from '../support/lab.ts';
import { fc } from '../support/property.ts';

/** TAPSWITCH_FUZZ_N asks for more. */
const { TAPSWITCH_FUZZ_N } = process.env;
const N_RUNS = Number(TAPSWITCH_FUZZ_N ?? 500);
const data = Array.from({ length: 60 }, (_, i) => i);
const FRAMES = [
  eth(0x0800, ipv4With(6, { payload: data })),
  eth(0x0800, ipv4With(17, { payload: data })),
  eth(0x0800, ipv4(17, data, { frag: 5 })),
  eth(0x0800, ipv4(132, data)),
  eth(0x86dd, ipv6With(6, { payload: data })),
  eth(0x86dd, ipv6(43, data)),
  eth(0x86dd, icmpv6([135, 0, 0, 0, ...data])),
  eth(0x8847, bytes('00001040 00002140 45000014')),
  eth(0x0806, data),
  eth(0x894f, [
    ...bytes('0fc60103 00001234'),
    ...Array<number>(16).fill(7),
    ...eth(0x0800, ipv4With(6, { payload: data })),
  ]),
  eth(0x1234, data),
];
const TAGS: [number, number][][] = [
  [],
  [[0x8100, 5]],
  [
    [0x88a8, 6],
    [0x8100, 5],
  ],
];
const frame = fc
  .record({
    base: fc.constantFrom(...FRAMES),
    tags: fc.constantFrom(...TAGS),
    cut: fc.oneof(fc.constant(1000), fc.nat(140)),
    flips: fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 3 }),
  })
  .map(({ base, tags, cut, flips }) => {
    const vlan = tags.flatMap(([tpid, tci]) => [tpid >> 8, tpid & 255, tci >> 8, tci & 255]);
    const all = [...base.slice(0, 12), ...vlan, ...base.slice(12)];
    for (const [at, value] of flips) if (at < all.length) all[at] = value;
    return cut < 20 ? all.slice(0, cut) : all.slice(0, Math.max(14, cut));
  });
const offloads: fc.Arbitrary<Partial<Offloads>> = fc.oneof(
  fc.constant({}),
  fc.record({
    vnetFlags: fc.nat(3),
    gsoType: fc.constantFrom(0, 1, 3, 4, 5, 0x81),
    gsoSize: fc.nat(60),
    hdrLen: fc.nat(100),
    csumStart: fc.nat(120),
    csumOffset: fc.constantFrom(2, 6, 16),
  }),
);

const mac = [2, 0, 0, 0, 0, 1];
const zero = (n: number) => Array<number>(n).fill(0);
const leaf = fc.constantFrom(
  output(1),
  output(2),
  output(3),
  output(9),
  trunc(14),
  trunc(40),
  trunc(100),
  userspace(5, [1], true),
  recirc(0),
  recirc(1),
  hash(3),
  pushVlan(0x8100, 0x1001),
  pushVlan(0x88a8, 0x1002),
  popVlan(),
  pushEth(mac, mac),
  popEth(),
  pushMpls(0x140),
  pushMpls(0x40),
  addMpls(0x140, 0x8847, 0),
  addMpls(0x140, 0x8847, 1),
  popMpls(0x0800),
  popMpls(0x86dd),
  popMpls(0x8847),
  popMpls(0x6558),
  pushNsh([0, 3, 1, 3, 0, 0, 0, 1], md1(5)),
  pushNsh([0, 3, 2, 3, 0, 0, 0, 1], md2(...Array<number>(240).fill(6))),
  popNsh(),
  meter(1),
  psample(1, [1, 2]),
  drop(1),
  set(K.PRIORITY, u32(7)),
  setMasked(K.ETHERNET, zero(12), zero(12)),
  set(K.MPLS, be32(0x1140)),
  setMasked(K.IPV4, zero(12), [...Array<number>(8).fill(255), 0, 255, 255, 0]),
  setMasked(K.TCP, be32(5), be32(0xff)),
  setMasked(K.UDP, be32(5), be32(0xff)),
  setMasked(K.SCTP, be32(5), be32(0xff)),
  setMasked(K.IPV6, zero(40), [...Array<number>(32).fill(255), 0, 0, 255, 255, 0, 255, 255, 0]),
);
const { list } = fc.letrec<{ list: number[][]; action: number[] }>((tie) => ({
  list: fc.array(tie('action'), { maxLength: 5 }),
  action: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    tie('list').map((l) => clone(...l)),
    tie('list').map((l) => sample(0x90000000, ...l)),
    tie('list').map((l) => decTtl(...l)),
    fc.tuple(tie('list'), tie('list')).map(([a, b]) => checkPktLen(60, a.flat(), b.flat())),
  ),
}));

const kernel = linuxVersion(6, 12);
/** What validation looks at; a recirculated packet may differ in the rest. */
const NEEDED = ['nwProto', 'nwFrag', 'vlanTci', 'mplsLse0', 'mplsLse1', 'mplsLse2', 'nshNp'] as const;

/** What of a list can be installed: leaves out each action that would be refused after those before it. */
function installable(lab: Lab, f: number[], wanted: number[][]): number[][] {
  const key = lab.keyOf(f, 1);
  const kept: number[][] = [];
  for (const action of wanted) {
    try {
      compileList([...kept.flat(), ...action], key, { kernel });
      kept.push(action);
    } catch (e) {
      if (!(e instanceof NetlinkError)) throw e;
    }
  }
  return kept;
}

test('any actions on any frames', () => {
  const lab = new Lab();
  const ports = [lab.port(1), lab.port(2, { takesOffloads: false }), lab.port(3, { mtu: 60 })];
  let nSent = 0;
  let nRight = 0;
  fc.assert(
    fc.property(frame, offloads, list, list, fc.nat(40), (f, o, first, second, spare) => {
      lab.flow(f, 1, installable(lab, f, [output(2), ...first, output(3)]), { kernel });
      lab.flow(f, 1, installable(lab, f, second), { kernel, recircId: 1, fields: NEEDED });
      // With few slots, flushes fall in the middle of a packet.
      const taken: number[] = [];
      while (lab.arena.available > spare + 2) taken.push(lab.arena.take());
      const before = lab.arena.available;
      const sumsBefore = checksumsOf(f);
      const hasOffloads = Object.keys(o).length > 0;
      ports[0]!.inject([f, f], o);
      expect(lab.arena.available).toBe(before);
      for (const slot of taken) lab.arena.give(slot);
      for (const port of ports) {
        nSent += port.sent.length;
        for (const s of port.sent.splice(0)) {
          expect(s.bytes.length).toBeGreaterThanOrEqual(14);
          // Offloads leave checksums to the device, of the packet or of its segments.
          if (hasOffloads) continue;
          const sums = checksumsOf([...s.bytes]);
          if (sums.l4 === true) nRight++;
          expect(spoiled(sumsBefore, sums), 'what no action may spoil').toBeUndefined();
        }
      }
      for (const u of lab.upcalls.splice(0)) expect(u.packet.length).toBeLessThanOrEqual(u.fullSize);
      lab.dp.table.flush();
    }),
    { numRuns: N_RUNS, endOnFailure: true },
  );
  expect(nSent).toBeGreaterThan(500);
  expect(nRight, 'frames with a right transport checksum').toBeGreaterThan(0);
}, 3_600_000);
