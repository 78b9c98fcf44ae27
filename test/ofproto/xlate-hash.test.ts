import { describe, expect, it } from 'vitest';
import { ETH_TYPE_802_2, FIELD } from '../../src/flow/fields.ts';
import { type FlowKey, getField, newFlow, setField, setFieldBytes } from '../../src/flow/flow-key.ts';
import { type HashFieldsName, hashFlowFields, unwildcardHashFields } from '../../src/flow/hash-fields.ts';
import { multipathLink } from '../../src/ofproto/xlate/actions/xlate-hash.ts';

const F = FIELD;
function packet(ethType: number, proto: number, src: string, dst: string, tpSrc: number, tpDst: number): FlowKey {
  const flow = newFlow();
  setFieldBytes(flow, F.ethSrc, Buffer.from('001122334455', 'hex'), 0);
  setFieldBytes(flow, F.ethDst, Buffer.from('66778899aabb', 'hex'), 0);
  setField(flow, F.ethType, ethType);
  setField(flow, F.nwProto, proto);
  setField(flow, F.tpSrc, tpSrc);
  setField(flow, F.tpDst, tpDst);
  const [nwSrc, nwDst] = ethType === 0x86dd ? [F.ipv6Src, F.ipv6Dst] : [F.nwSrc, F.nwDst];
  for (const [f, hex] of [
    [nwSrc, src],
    [nwDst, dst],
  ] as const) {
    if (hex.length === 8) setField(flow, f, Number.parseInt(hex, 16));
    else if (hex.length === 32) setFieldBytes(flow, f, Buffer.from(hex, 'hex'), 0);
  }
  return flow;
}
const other = packet(0x1234, 0, '', '', 0, 0);
setField(other, F.vlanTpid, 0x8100);
setField(other, F.vlanTci, 0x1005);
const PACKETS = [
  packet(0x0800, 6, '0a000001', '0a000002', 1000, 80),
  packet(0x0800, 17, '0a000001', '0a090002', 1000, 53),
  packet(0x86dd, 6, '20010db8000000000000000000000001', '20010db8000500000000000000000077', 5, 443),
  other,
] as const;
const ALGORITHMS = ['modulo_n', 'hash_threshold', 'hrw', 'iter_hash'] as const;

/** Links of these packets by these algorithms, of multipath(FIELDS,50,ALGORITHM,61,64,...) in Open vSwitch 3.1. */
// biome-ignore format: table
const LINKS: readonly [HashFieldsName, readonly (readonly number[])[]][] = [
  ['eth_src',            [[26, 26, 26, 26], [26, 26, 26, 26], [5, 5, 5, 5], [23, 23, 23, 23]]],
  ['symmetric_l4',       [[36, 54, 0, 39], [42, 46, 22, 41], [7, 1, 26, 6], [22, 46, 53, 48]]],
  ['symmetric_l3l4',     [[38, 45, 29, 27], [39, 35, 28, 10], [50, 36, 26, 54], [39, 33, 60, 13]]],
  ['symmetric_l3l4+udp', [[38, 25, 29, 27], [39, 38, 28, 10], [50, 15, 26, 54], [39, 53, 60, 13]]],
  ['nw_src',             [[51, 51, 40, 50], [46, 46, 29, 0], [60, 60, 35, 58], [49, 49, 40, 6]]],
  ['nw_dst',             [[19, 19, 12, 50], [28, 27, 0, 0], [11, 22, 57, 58], [25, 31, 2, 6]]],
  ['symmetric_l3',       [[32, 24, 43, 8], [30, 48, 38, 53], [46, 50, 42, 52], [8, 45, 19, 20]]],
];

describe('multipath', () => {
  it.each(LINKS)('by %s chooses the links that Open vSwitch does', (fields, links) => {
    const ours = ALGORITHMS.map((algorithm) =>
      PACKETS.map((p) => multipathLink(hashFlowFields(p, fields, 50), { algorithm, maxLink: 60, arg: 64 })),
    );
    expect(ours).toEqual(links);
  });

  it('takes a frame without ethertype for what OpenFlow does, 0x05ff', () => {
    const hash = hashFlowFields(packet(ETH_TYPE_802_2, 0, '', '', 0, 0), 'symmetric_l3', 50);
    expect(multipathLink(hash, { algorithm: 'modulo_n', maxLink: 15, arg: 0 })).toBe(4);
    const others = (['symmetric_l4', 'symmetric_l3l4'] as const).map((fields) =>
      [ETH_TYPE_802_2, 0x05ff, 0x0600].map((type) => hashFlowFields(packet(type, 0, '', '', 0, 0), fields, 50)),
    );
    for (const [lengths, named, another] of others) {
      expect(lengths).toBe(named);
      expect(lengths).not.toBe(another);
    }
  });

  it('always chooses a link that there is', () => {
    for (const algorithm of ALGORITHMS) {
      for (const maxLink of [0, 1, 2, 63, 64, 1000, 65535]) {
        for (const hash of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
          const link = multipathLink(hash, { algorithm, maxLink, arg: 3 });
          expect(link).toBeGreaterThanOrEqual(0);
          expect(link).toBeLessThanOrEqual(maxLink);
        }
      }
    }
  });
});

describe('hashes of fields', () => {
  it.each(LINKS)('by %s depend only on the bits that are noted', (fields) => {
    for (const p of PACKETS) {
      const wc = newFlow();
      unwildcardHashFields(p, wc, fields);
      // Types decide which fields there are; they are always matched, or noted with them.
      for (const f of [F.ethType, F.packetType, F.nwFrag]) setField(wc, f, 0xffff >>> (16 - f.bits));
      const changed = p.map((w, i) => (w & (wc[i] as number)) | (0x2a2a2a2a & ~(wc[i] as number)));
      // A VID is hashed by some without being matched, as in Open vSwitch.
      for (const f of [F.vlanTci, F.cvlanTci, F.nwProto, F.ethSrc, F.ethDst]) {
        for (let w = f.word; w <= (f.at + f.bits - 1) >>> 5; w++) {
          if (getField(p, F.ethType) === 0x1234) changed[w] = p[w] as number;
        }
      }
      expect(hashFlowFields(changed, fields, 7)).toBe(hashFlowFields(p, fields, 7));
    }
  });
});
