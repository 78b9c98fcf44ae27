/** What each action does to packets, as the ports behind a datapath see it. */
import { describe, expect, test } from 'vitest';
import { DROP } from '../../src/datapath/drop-reasons.ts';
import { linuxVersion, USERSPACE_DATAPATH } from '../../src/datapath/kernel-compat.ts';
import { FIELD } from '../../src/flow/fields.ts';
import { getField } from '../../src/flow/flow-key.ts';
import { hashFlowFields } from '../../src/flow/hash-fields.ts';
import { OVS_KEY_ATTR as K } from '../../src/odp/key/key-table.ts';
import { VNET_F, VNET_GSO } from '../../src/packet/packet.ts';
import {
  addMpls,
  be16,
  be32,
  checkPktLen,
  clone,
  decTtl,
  drop,
  hash,
  output,
  popEth,
  popMpls,
  popVlan,
  pushEth,
  pushMpls,
  pushVlan,
  recirc,
  sample,
  set,
  setMasked,
  trunc,
  u32,
  userspace,
} from '../support/action-bytes.ts';
import { bytes, checksumsAreRight, DST, eth, ipv4, ipv4With, ipv6With, SRC } from '../support/frames.ts';
import { type FlowOptions, Lab, takeSent } from '../support/lab.ts';

const IP = ipv4With(17, { payload: [1, 2, 3] });
const FRAME = eth(0x0800, IP);
const tagged = (...tags: [number, number][]) => eth(0x0800, IP, tags);
const set2 = (port: number) => setMasked(K.UDP, be32(port), be32(0xffff));
const withPort = (port: number) => eth(0x0800, ipv4With(17, { payload: [1, 2, 3], dstPort: port }));

/** What port 2 sends when a frame comes in at port 1 whose flow has these actions. */
function run(frame: readonly number[], actions: number[][], options: FlowOptions = {}): number[][] {
  const lab = new Lab();
  const [a, b] = [lab.port(1), lab.port(2)];
  lab.flow(frame, 1, actions, options);
  a.inject([frame]);
  return takeSent(b);
}

describe('VLAN', () => {
  test('push', () => {
    expect(run(FRAME, [pushVlan(0x8100, 0x7005), output(2)])).toEqual([tagged([0x8100, 0x6005])]);
    expect(run(tagged([0x8100, 5]), [pushVlan(0x88a8, 0x1006), output(2)])).toEqual([tagged([0x88a8, 6], [0x8100, 5])]);
  });
  test('pop', () => {
    const two = tagged([0x88a8, 6], [0x8100, 5]);
    expect(run(two, [popVlan(), output(2), popVlan(), output(2), popVlan(), output(2)])).toEqual([
      tagged([0x8100, 5]),
      FRAME,
      FRAME,
    ]);
  });
  test('as many pushes as there is no headroom for', () => {
    const [sent] = run(FRAME, [...Array.from({ length: 60 }, () => pushVlan(0x8100, 0x1001)), output(2)], {});
    expect(sent).toEqual(tagged(...Array.from({ length: 60 }, () => [0x8100, 1] as [number, number])));
  });
  test('the key follows', () => {
    const lab = new Lab();
    lab.port(1);
    const a = lab.port(2);
    lab.flow(tagged([0x8100, 5]), 2, [popVlan(), recirc(1)]);
    lab.flow(FRAME, 2, [pushVlan(0x8100, 0x1007), pushVlan(0x88a8, 0x1008), recirc(2)]);
    a.inject([tagged([0x8100, 5]), FRAME]);
    expect(lab.upcalls.map((u) => u.key)).toEqual([
      lab.keyOf(FRAME, 2, 1),
      lab.keyOf(tagged([0x88a8, 8], [0x8100, 7]), 2, 2),
    ]);
  });
});

/** A frame whose SNAP header names a type, with what follows, behind tags. */
const snap = (type: number, body: number[], tags: [number, number][] = []) =>
  eth(8 + body.length, [0xaa, 0xaa, 3, 0, 0, 0, type >> 8, type & 0xff, ...body], tags);

describe('what the kernel keeps beside the packet', () => {
  const AGAIN = pushEth(bytes(SRC), bytes(DST));
  test('pop_vlan takes a length and a LLC header for a tag where a SNAP header names one', () => {
    const plain = snap(0x8100, [1, 2, 3, 4]);
    expect(run(plain, [popVlan(), output(2)])).toEqual([[...plain.slice(0, 12), ...plain.slice(16)]]);
    const one = snap(0x8100, [1, 2, 3, 4], [[0x8100, 5]]);
    expect(run(one, [popVlan(), output(2)])).toEqual([[...plain.slice(0, 12), 0x81, 0, ...plain.slice(14)]]);
  });
  test('but not behind two tags', () => {
    const tag: [number, number] = [0x8100, 6];
    const two = snap(0x8100, [1, 2, 3, 4], [[0x8100, 5], tag]);
    expect(run(two, [popVlan(), output(2), popVlan(), output(2)])).toEqual([
      snap(0x8100, [1, 2, 3, 4], [tag]),
      snap(0x8100, [1, 2, 3, 4]),
    ]);
  });
  test('pop_mpls finds no label behind a SNAP header once two tags were one', () => {
    const tag: [number, number] = [0x8100, 6];
    const labelled = (...tags: [number, number][]) => snap(0x8847, [0, 0, 0x11, 0x40, ...IP], tags);
    expect(run(labelled([0x8100, 5], tag), [popVlan(), popMpls(0x0800), output(2)])).toEqual([labelled(tag)]);
    const popped = snap(0x0800, IP);
    popped[13] = labelled()[13]!; // The length is not counted again.
    expect(run(labelled(tag), [popVlan(), popMpls(0x0800), output(2)])).toEqual([popped]);
  });
  test('pop_eth leaves a frame alone that ends in its tag', () => {
    const cut = tagged([0x88a8, 1]).slice(0, 17);
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(cut, 1, [popEth(), AGAIN, output(2)]);
    a.inject([cut]);
    expect([takeSent(b), lab.dp.drops[DROP.ACTION_ERROR]]).toEqual([[], 1]);
  });
  test('a label behind a SNAP header comes off again and leaves its type in the place of the length', () => {
    const left = snap(0x0806, [1, 2, 3, 4]);
    [left[12], left[13]] = [0x88, 0x47];
    const list = [addMpls(0x1140, 0x8847, 1), popMpls(0x0806), output(2)];
    expect(run(snap(0x86dd, [1, 2, 3, 4]), list)).toEqual([left]);
  });
  test('push_mpls writes its type over the length before a SNAP header', () => {
    const plain = snap(0x0800, IP);
    const labelled = [...plain.slice(0, 12), 0x88, 0x47, ...plain.slice(14, 22), 0, 0, 0x11, 0x40, ...IP];
    expect(run(plain, [pushMpls(0x1140), output(2)])).toEqual([labelled]);
  });
  test('push_eth does not come before what is left of a SNAP header', () => {
    expect(run(snap(0x0800, IP), [popEth(), AGAIN, output(2)])).toEqual([]);
  });
});

describe('MPLS', () => {
  const LABEL = [0, 0, 0x11, 0x40];
  const labelled = (...labels: number[][]) => eth(0x8847, [...labels.flat(), ...IP]);
  test('push and pop', () => {
    expect(run(FRAME, [pushMpls(0x1140), output(2), pushMpls(0x2040), output(2)])).toEqual([
      labelled(LABEL),
      labelled([0, 0, 0x20, 0x40], LABEL),
    ]);
    expect(run(labelled([0, 0, 0x20, 0x40], LABEL), [popMpls(0x8847), output(2), popMpls(0x0800), output(2)])).toEqual([
      labelled(LABEL),
      FRAME,
    ]);
  });
  test('a set of what is not there drops, but not in userspace', () => {
    const short = FRAME.slice(0, FRAME.length - 6);
    for (const isUserspace of [false, true]) {
      const lab = new Lab(isUserspace);
      const [a, b] = [lab.port(1), lab.port(2)];
      lab.flow(short, 1, [set2(7), output(2)]);
      a.inject([short]);
      expect(takeSent(b)).toEqual(isUserspace ? [short] : []);
    }
  });
  test('the symmetric hash is that of addresses and ports in either direction', () => {
    const hashOf = (frame: number[], alg: number) => {
      const lab = new Lab();
      const a = lab.port(1);
      lab.flow(frame, 1, [hash(3, alg), recirc(1)], { kernel: USERSPACE_DATAPATH });
      a.inject([frame]);
      return lab.upcalls.map((u) => getField(u.key, FIELD.dpHash));
    };
    const [one] = hashOf(FRAME, 1);
    expect(one).toBe(hashFlowFields(new Lab().keyOf(FRAME, 1), 'symmetric_l3l4', 3) >>> 0);
    expect(hashOf(FRAME, 0)).not.toEqual([one]);
  });
  test('push behind tags, as in userspace', () => {
    const kernel = USERSPACE_DATAPATH;
    for (const tags of [
      [[0x8100, 5]],
      [
        [0x8100, 6],
        [0x8100, 5],
      ],
    ] as [number, number][][]) {
      expect(run(eth(0x0800, IP, tags), [pushMpls(0x1140), output(2)], { kernel })).toEqual([
        eth(0x8847, [...LABEL, ...IP], tags),
      ]);
    }
  });
  test('what is sent up has labels as the kernel knows them, or as they are in userspace', () => {
    const labels = (isUserspace: boolean) => {
      const lab = new Lab(isUserspace);
      const a = lab.port(1);
      const frame = labelled([0, 0, 0x20, 0x40], LABEL);
      lab.flow(frame, 1, [popMpls(0x8847), userspace(9)]);
      a.inject([frame]);
      return lab.upcalls.map((u) => [...u.key.subarray(FIELD.mplsLse0.word, FIELD.mplsLse0.word + 2)]);
    };
    expect(labels(false)).toEqual([[0x2040, 0x1140]]);
    expect(labels(true)).toEqual([[0x1140, 0]]);
  });
  test('set', () => {
    const list = [setMasked(K.MPLS, be32(0x55), be32(0xff)), output(2)];
    expect(run(labelled(LABEL), list)).toEqual([labelled([0, 0, 0x11, 0x55])]);
  });
  test('behind two tags is out of reach', () => {
    const two = eth(
      0x8847,
      [...LABEL, ...IP],
      [
        [0x88a8, 6],
        [0x8100, 5],
      ],
    );
    expect(run(two, [setMasked(K.MPLS, be32(0x55), be32(0xff)), output(2)])).toEqual([]);
  });
  test('of a truncated packet is dropped', () => {
    const short = eth(0x8847, [0, 0]);
    expect(run(short, [set(K.MPLS, be32(0x1140)), output(2)])).toEqual([]);
    expect(run(short, [popMpls(0x0800), output(2)])).toEqual([]);
  });
  test('to Ethernet, where there is less than an Ethernet header behind it, drops', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    const short = labelled(LABEL).slice(0, 26);
    lab.flow(short, 1, [popEth(), popMpls(0x6558), output(2)]);
    a.inject([short]);
    expect([takeSent(b), lab.dp.drops[DROP.L2_TYPE]]).toEqual([[], 1]);
  });
  test('before the Ethernet header and back', () => {
    expect(run(FRAME, [addMpls(0x1140, 0x8847, 0), popMpls(0x6558), output(2)])).toEqual([FRAME]);
    expect(run(FRAME, [addMpls(0x1140, 0x8847, 0), pushEth(bytes(SRC), bytes(DST)), output(2)])).toEqual([
      eth(0x8847, [...LABEL, ...FRAME]),
    ]);
    expect(run(FRAME, [addMpls(0x1140, 0x8848, 1), output(2)])).toEqual([eth(0x8848, [...LABEL, ...IP])]);
  });
});

describe('Ethernet', () => {
  test('pop and push', () => {
    const list = [popEth(), pushEth([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 8]), output(2)];
    expect(run(FRAME, list)).toEqual([[2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 9, ...FRAME.slice(12)]]);
  });
  test('a packet without it cannot leave by an Ethernet device, and recirculates as what it is', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(FRAME, 1, [popEth(), output(2), recirc(3)]);
    a.inject([FRAME]);
    expect([takeSent(b), lab.dp.drops[DROP.L2_TYPE]]).toEqual([[], 1]);
    expect(lab.upcalls[0]!.packet).toEqual(IP);
  });
  test('is not in the key of an upcall once it is off, though the rest of the key is stale', () => {
    const lab = new Lab();
    const a = lab.port(1);
    lab.flow(FRAME, 1, [userspace(6), popEth(), userspace(6)]);
    a.inject([FRAME]);
    const [before, after] = lab.upcalls;
    const types = [before!, after!].map((u) => [getField(u.key, FIELD.ethType), getField(u.key, FIELD.packetType)]);
    expect([types, after!.packet]).toEqual([
      [
        [0x0800, 0],
        [0x0800, 0x0800],
      ],
      IP,
    ]);
  });
});

describe('userspace', () => {
  test('carries userdata, actions, and what is left of the packet', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    const inner = [userspace(7, [], true), output(2)];
    const list = [userspace(6, [5, 6]), trunc(20), userspace(6), ...[clone(...inner)], output(2)];
    lab.flow(FRAME, 1, list);
    a.inject([FRAME]);
    expect(lab.upcalls).toMatchObject([
      { cmd: 2, portId: 6, packet: FRAME, userdata: [5, 6], actions: undefined },
      { cmd: 2, portId: 6, packet: FRAME.slice(0, 20), fullSize: FRAME.length, userdata: undefined },
      { cmd: 2, portId: 7, packet: FRAME, userdata: [], actions: inner.flat() },
    ]);
    expect(takeSent(b)).toEqual([FRAME, FRAME]);
    expect([lab.dp.nMissed, lab.dp.nHit, lab.vport(1).upcallSuccess]).toEqual([0, 1, 3]);
  });
  test('a failure is lost, and the rest goes on', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.answer = -11;
    lab.flow(FRAME, 1, [userspace(6), output(2)]);
    a.inject([FRAME]);
    expect([takeSent(b), lab.dp.nLost]).toEqual([[FRAME], 1]);
  });
});

describe('trunc', () => {
  test('is for the next output only, but goes into a clone too', () => {
    expect(run(FRAME, [trunc(20), output(2), output(2)]).map((f) => f.length)).toEqual([20, FRAME.length]);
    expect(run(FRAME, [trunc(20), clone(output(2)), output(2)]).map((f) => f.length)).toEqual([20, 20]);
    expect(run(FRAME, [trunc(2000), output(2)])).toEqual([FRAME]);
  });
});

describe('lists inside actions', () => {
  test('a clone changes nothing outside, unless it is last', () => {
    const list = [clone(set2(7), pushVlan(0x8100, 0x1001), output(2)), output(2), clone(set2(9), output(2))];
    const seven = [...withPort(7).slice(0, 12), 0x81, 0, 0, 1, ...withPort(7).slice(12)];
    expect(run(FRAME, list)).toEqual([seven, FRAME, withPort(9)]);
  });
  test('an error in one ends the outer list, unless it comes after recirculation', () => {
    const short = eth(0x8847, [0, 0]);
    const bad = set(K.MPLS, be32(0x1140));
    expect(run(short, [output(2), clone(bad), output(2)])).toEqual([short]);
    expect(run(short, [sample(0xffffffff, bad, output(2)), output(2)])).toEqual([]);
    expect(run(short, [recirc(1), output(2)])).toEqual([short]);
  });
  test('a clone inside a clone, and changes between', () => {
    const list = [set2(1), clone(set2(2), clone(set2(3), output(2)), output(2)), output(2), set2(4), output(2)];
    expect(run(FRAME, list)).toEqual([withPort(3), withPort(2), withPort(1), withPort(4)]);
  });
  test('a sample is taken with its probability', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(FRAME, 1, [
      sample(0, set2(1), output(2)),
      sample(0x80000000, set2(2), output(2)),
      sample(0x7fffffff, set2(3), output(2)),
      sample(0xffffffff, set2(4), output(2)),
      output(2),
    ]);
    a.inject([FRAME]);
    expect(takeSent(b)).toEqual([withPort(2), withPort(4), FRAME]);
    lab.dice = 0.999;
    a.inject([FRAME]);
    expect(takeSent(b)).toEqual([withPort(4), FRAME]);
    lab.dice = 0;
    a.inject([FRAME]);
    expect(takeSent(b)).toEqual([withPort(2), withPort(3), withPort(4), FRAME]);
  });
  test('check_pkt_len takes the list for the size', () => {
    const n = FRAME.length;
    const list = (max: number) => [checkPktLen(max, [...set2(1), ...output(2)], [...set2(2), ...output(2)]), output(2)];
    expect(run(FRAME, list(n))).toEqual([withPort(2), FRAME]);
    expect(run(FRAME, list(n - 1))).toEqual([withPort(1), FRAME]);
    // A VLAN tag does not count.
    const inner = [checkPktLen(n, [], output(2))];
    expect(run(tagged([0x8100, 5]), inner)).toEqual([tagged([0x8100, 5])]);
  });
  test('check_pkt_len of a super-packet judges its segments', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    const big = eth(0x0800, ipv4With(6, { payload: Array<number>(3000).fill(7) }));
    lab.flow(big, 1, [checkPktLen(1054, output(1), output(2)), checkPktLen(1053, output(1), output(2))]);
    const offloads = {
      vnetFlags: VNET_F.NEEDS_CSUM,
      gsoType: VNET_GSO.TCPV4,
      gsoSize: 1000,
      hdrLen: 54,
      csumStart: 34,
      csumOffset: 16,
    };
    a.inject([big], offloads);
    expect([takeSent(a).length, takeSent(b).length]).toEqual([1, 1]);
  });
  test('dec_ttl counts down, or runs its list', () => {
    const ttl = (n: number) => eth(0x0800, ipv4(99, [], { ttl: n }));
    expect(run(ttl(9), [decTtl(), decTtl(), output(2)])).toEqual([ttl(7)]);
    expect(run(ttl(1), [decTtl(pushVlan(0x8100, 0x1001), output(2)), output(2)])).toEqual([
      [...ttl(1).slice(0, 12), 0x81, 0, 0, 1, ...ttl(1).slice(12)],
    ]);
    const six = (hlimit: number) => eth(0x86dd, ipv6With(17, {}, { hlimit }));
    expect(run(six(2), [decTtl(output(2)), output(2)])).toEqual([six(1)]);
    expect(run(six(0), [decTtl(), output(2)])).toEqual([]);
    expect(run(eth(0x1234, [1]), [decTtl(), output(2)])).toEqual([eth(0x1234, [1])]);
  });
  test('drop ends the list and is counted by reason', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    const options = { kernel: linuxVersion(6, 7) };
    lab.flow(FRAME, 1, [output(2), drop(0)], options);
    lab.flow(tagged([0x8100, 1]), 1, [output(2), drop(5)], options);
    a.inject([FRAME, tagged([0x8100, 1])]);
    expect(takeSent(b).length).toBe(2);
    expect([lab.dp.drops[DROP.EXPLICIT], lab.dp.drops[DROP.EXPLICIT_ERROR]]).toEqual([1, 1]);
  });
});

describe('recirculation', () => {
  test('finds the flow for the changed packet, and the list goes on with the old one', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(FRAME, 1, [pushVlan(0x8100, 0x1005), recirc(8), output(2)]);
    lab.flow(tagged([0x8100, 5]), 1, [popVlan(), set2(44), output(2)], { recircId: 8 });
    a.inject([FRAME]);
    expect(takeSent(b)).toEqual([withPort(44), tagged([0x8100, 5])]);
    expect([lab.dp.nHit, lab.dp.nMissed]).toEqual([2, 0]);
  });

  test('a hash is seen by the next flow, never 0, and depends on the basis', () => {
    const lab = new Lab();
    const a = lab.port(1);
    lab.flow(FRAME, 1, [hash(0), recirc(1), hash(1), recirc(1)]);
    a.inject([FRAME, FRAME]);
    const hashes = lab.upcalls.map((u) => u.key[4]);
    expect(hashes.slice(0, 2)).toEqual(hashes.slice(2));
    expect(new Set(hashes).size).toBe(2);
    expect(hashes).not.toContain(0);
  });

  test('a flow that recirculates to itself stops', () => {
    const lab = new Lab();
    const a = lab.port(1);
    const flow = lab.flow(FRAME, 1, [recirc(1)]);
    const loop = lab.flow(FRAME, 1, [recirc(1)], { recircId: 1 });
    a.inject([FRAME]);
    expect(flow.nPackets).toBe(1);
    // Three levels at once and then one deferred, nine times.
    expect(loop.nPackets).toBe(3 + 9 * 3);
    expect(lab.dp.drops[DROP.DEFERRED]).toBe(1);
    a.inject([FRAME]);
    expect([flow.nPackets, loop.nPackets]).toEqual([2, 60]);
  });

  test('deferred runs see the packet as it was then', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    // Level by level, until keys for clones run out; the fourth is deferred, and the packet changed behind it.
    lab.flow(FRAME, 1, [recirc(1)]);
    lab.flow(FRAME, 1, [recirc(2)], { recircId: 1 });
    lab.flow(FRAME, 1, [recirc(3)], { recircId: 2 });
    lab.flow(FRAME, 1, [recirc(4), set2(5), output(2)], { recircId: 3 });
    lab.flow(FRAME, 1, [set2(6), output(2)], { recircId: 4 });
    a.inject([FRAME]);
    expect(takeSent(b)).toEqual([withPort(5), withPort(6)]);
  });

  test('clones nested deeper than keys are deferred too', () => {
    const nest = (n: number): number[] =>
      n === 0 ? [...set2(n + 1), ...output(2)] : [...clone(nest(n - 1)), ...set2(n + 1), ...output(2)];
    const sent = run(FRAME, [nest(6)]);
    // The key allows three levels; the rest runs when all else is done.
    expect(sent).toEqual([4, 5, 6, 7, 1, 2, 3].map(withPort));
  });
});

describe('set', () => {
  const tcp4 = eth(0x0800, ipv4With(6, { payload: [1, 2, 3] }));
  test('priority and mark travel in the key', () => {
    const lab = new Lab();
    const a = lab.port(1);
    lab.flow(FRAME, 1, [
      set(K.PRIORITY, u32(0xfffffff0)),
      setMasked(K.SKB_MARK, u32(0x30), u32(0xf0)),
      setMasked(K.SKB_MARK, u32(1), u32(1)),
      recirc(1),
    ]);
    a.inject([FRAME, FRAME]);
    for (const u of lab.upcalls) expect([...u.key.subarray(0, 4)]).toEqual([1, 1, -16, 0x31]);
  });
  test('the key follows every field', () => {
    const lab = new Lab();
    const a = lab.port(1);
    const six = eth(0x86dd, ipv6With(17, {}));
    lab.flow(tcp4, 1, [
      set(K.ETHERNET, [2, 9, 9, 9, 9, 9, 2, 8, 8, 8, 8, 8]),
      set(K.IPV4, [9, 9, 9, 9, 8, 8, 8, 8, 6, 0x20, 7, 0]),
      set(K.TCP, [...be16(5), ...be16(6)]),
      recirc(1),
    ]);
    lab.flow(six, 1, [
      set(K.IPV6, [...Array<number>(32).fill(0x3f), ...be32(0x12345), 17, 0x44, 3, 0]),
      set(K.UDP, [...be16(5), ...be16(6)]),
      recirc(2),
    ]);
    a.inject([tcp4, six]);
    const got = lab.upcalls.map((u) => u.key);
    expect(got).toEqual(lab.upcalls.map((u, i) => lab.keyOf(u.packet, 1, i + 1)));
    for (const u of lab.upcalls) expect(checksumsAreRight(u.packet)).toBe(true);
    // The hash is of the new headers.
    expect(lab.upcalls[0]!.hash).not.toBe(lab.upcalls[1]!.hash);
  });
  test('of the mark or labels of conntrack drops the packet', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(FRAME, 1, [output(2), set(K.CT_MARK, u32(1)), output(2)]);
    a.inject([FRAME]);
    expect([takeSent(b), lab.dp.drops[DROP.ACTION_ERROR]]).toEqual([[FRAME], 1]);
  });
  test('of a header that is cut short drops the packet', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    const short = tcp4.slice(0, 40);
    lab.flow(short, 1, [set(K.TCP, be32(0x10001)), output(2)]);
    a.inject([short]);
    expect([takeSent(b), lab.dp.drops[DROP.ACTION_ERROR]]).toEqual([[], 1]);
  });
});

test('what no action uses up is dropped at the end of the actions, and counted', () => {
  const lab = new Lab();
  const a = lab.port(1);
  lab.port(2);
  const drops = (...list: number[][]) => {
    lab.dp.table.flush();
    lab.flow(FRAME, 1, list);
    a.inject([FRAME]);
    const n = lab.dp.drops[DROP.LAST_ACTION];
    lab.dp.drops.fill(0);
    return n;
  };
  expect(drops()).toBe(1);
  expect(drops(output(2))).toBe(0);
  expect(drops(output(2), trunc(20))).toBe(1);
  expect(drops(userspace(5))).toBe(0);
  expect(drops(clone(), output(2))).toBe(1);
  expect(drops(clone(output(2)), sample(0x90000000, output(2)))).toBe(0);
  // Not chosen.
  expect(drops(output(2), sample(0x10000000, output(2)))).toBe(1);
  expect(drops(sample(0x10000000, output(2)), output(2))).toBe(0);
  expect(drops(checkPktLen(1000, output(2).flat(), []))).toBe(1);
});

test('the actions of a thousand packets take no slots with them', () => {
  const lab = new Lab();
  const [a, b] = [lab.port(1), lab.port(2)];
  lab.flow(FRAME, 1, [
    output(2),
    pushVlan(0x8100, 0x1001),
    recirc(1),
    clone(popVlan(), output(2)),
    trunc(20),
    output(2),
    userspace(5),
  ]);
  const before = lab.arena.available;
  for (let i = 0; i < 100; i++) a.inject(Array<number[]>(10).fill(FRAME));
  expect(lab.arena.available).toBe(before);
  expect([b.sent.length, lab.upcalls.length]).toEqual([3000, 2000]);
});
