/** A datapath as its ports see it: forwarding, misses, statistics, execution on demand. */
import { describe, expect, test } from 'vitest';
import { DROP, dropName } from '../../src/datapath/drop-reasons.ts';
import { FIELD } from '../../src/flow/fields.ts';
import { newFlowKey } from '../../src/flow/flow-key.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { output, pushVlan, recirc, trunc, userspace } from '../support/action-bytes.ts';
import { compileList } from '../support/compile.ts';
import { eth, ipv4With } from '../support/frames.ts';
import { Lab, takeSent } from '../support/lab.ts';

const FRAME = eth(0x0800, ipv4With(17, { payload: [1, 2, 3] }));
const TCP = eth(0x0800, ipv4With(6, { flags: 0x12 }));

describe('forwarding', () => {
  test('a flow is met, counted and run', () => {
    const lab = new Lab();
    const [a, b, c] = [lab.port(1), lab.port(2), lab.port(3)];
    const flow = lab.flow(TCP, 1, [output(2), output(3)]);
    a.inject([TCP, TCP]);
    expect(takeSent(b)).toEqual([TCP, TCP]);
    expect(takeSent(c)).toEqual([TCP, TCP]);
    expect([flow.nPackets, flow.nBytes, flow.usedMs, flow.tcpFlags]).toEqual([2, 2 * TCP.length, 1000, 0x12]);
    expect([lab.dp.nHit, lab.dp.nMissed, lab.dp.nLost]).toEqual([2, 0, 0]);
    expect([lab.dp.table.nMaskHit, lab.dp.table.nCacheHit]).toEqual([2, 1]);
  });

  test('every slot comes back', () => {
    const lab = new Lab();
    const a = lab.port(1);
    lab.port(2);
    lab.flow(FRAME, 1, [output(2), pushVlan(0x8100, 0x1005), output(2), pushVlan(0x8100, 0x1006), output(2)]);
    const before = lab.arena.available;
    a.inject([FRAME, FRAME, FRAME]);
    expect(lab.arena.available).toBe(before);
  });

  test('a packet that is changed after it was sent is a copy', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(FRAME, 1, [output(2), pushVlan(0x8100, 0x1005), output(2), pushVlan(0x88a8, 0x1006), output(2)]);
    a.inject([FRAME]);
    const inner = [...FRAME.slice(0, 12), 0x81, 0, 0, 5, ...FRAME.slice(12)];
    expect(takeSent(b)).toEqual([FRAME, inner, [...inner.slice(0, 12), 0x88, 0xa8, 0, 6, ...inner.slice(12)]]);
  });

  test('with few slots the ports are flushed in between', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    const list = Array.from({ length: 40 }, (_, i) => [...output(2), ...pushVlan(0x8100, 0x1000 + i)]);
    lab.flow(FRAME, 1, list);
    while (lab.arena.available > 4) lab.arena.take();
    a.inject([FRAME]);
    const sent = takeSent(b);
    expect(sent.map((f) => f.length)).toEqual(list.map((_, i) => FRAME.length + 4 * i));
    expect(sent[39]!.slice(12, 16)).toEqual([0x81, 0, 0, 38]);
    expect(lab.arena.available).toBe(4);
  });

  test('without any slot the packet is dropped and counted', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(FRAME, 1, [output(2), pushVlan(0x8100, 0x1005), output(2)]);
    while (lab.arena.available > 1) lab.arena.take();
    a.inject([FRAME]);
    expect(takeSent(b)).toEqual([FRAME]);
    expect(lab.dp.drops[DROP.NO_MEMORY]).toBe(1);
  });

  test('output to a port that is not there, and over the MTU', () => {
    const lab = new Lab();
    const a = lab.port(1);
    const b = lab.port(2, { mtu: 100 });
    const large = eth(0x0800, ipv4With(17, { payload: Array<number>(73).fill(9) }));
    const tagged = [...large.slice(0, 12), 0x81, 0, 0, 5, ...large.slice(12)];
    expect(large.length).toBe(115);
    lab.flow(large, 1, [output(9), output(2), trunc(114), output(2)]);
    lab.flow(tagged, 1, [trunc(114), output(2), output(2)]);
    a.inject([large, tagged]);
    // A VLAN tag is not counted, neither for truncation nor for the MTU.
    expect(takeSent(b)).toEqual([large.slice(0, 114), tagged.slice(0, 118)]);
    expect([lab.dp.drops[DROP.NO_PORT], lab.dp.drops[DROP.OVER_MTU]]).toEqual([1, 2]);
    expect(lab.vport(2).stats()).toMatchObject({ txPackets: 2n, txErrors: 2n });
  });

  test('a frame without whole Ethernet header is dropped', () => {
    const lab = new Lab();
    const a = lab.port(1);
    a.inject([[1, 2, 3]]);
    expect(lab.dp.drops[DROP.BAD_PACKET]).toBe(1);
    expect([lab.dp.nMissed, lab.upcalls.length]).toEqual([0, 0]);
  });

  test('a port that is down breaks nothing', () => {
    const lab = new Lab();
    const [a, b, c] = [lab.port(1), lab.port(2), lab.port(3)];
    b.isUp = false;
    lab.flow(FRAME, 1, [output(2), output(3)]);
    a.inject([FRAME]);
    expect([takeSent(b), takeSent(c)]).toEqual([[], [FRAME]]);
  });
});

describe('ports', () => {
  test('numbers, order and removal', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(700), lab.port(0)];
    expect(lab.dp.vports().map((v) => v.portNo)).toEqual([0, 700]);
    expect(() => lab.port(700)).toThrow(RangeError);
    expect(() => lab.port(65535)).toThrow(RangeError);
    lab.flow(FRAME, 0, [output(700)]);
    const vport = lab.vport(700);
    lab.dp.removeVport(vport);
    expect([lab.dp.nPorts, a.isClosed, lab.dp.vport(700)]).toEqual([1, true, undefined]);
    expect(() => lab.dp.removeVport(vport)).toThrow(RangeError);
    b.inject([FRAME]);
    expect(lab.dp.drops[DROP.NO_PORT]).toBe(1);
    // What a removed port still delivers goes nowhere.
    a.inject([FRAME]);
    expect(lab.dp.nHit + lab.dp.nMissed).toBe(1);
    lab.dp.close();
    expect([lab.dp.nPorts, lab.dp.table.count, b.isClosed]).toEqual([0, 0, true]);
  });
});

describe('misses', () => {
  test('go to the port id of the port, with the whole frame and its key', () => {
    const lab = new Lab();
    const a = lab.port(1);
    a.inject([FRAME]);
    expect(lab.upcalls).toMatchObject([
      { cmd: 1, portId: 101, packet: FRAME, key: lab.keyOf(FRAME, 1), userdata: undefined, actions: undefined },
    ]);
    expect(lab.upcalls[0]!.hash).not.toBe(0);
    expect([lab.dp.nHit, lab.dp.nMissed, lab.dp.nLost]).toEqual([0, 1, 0]);
    expect([lab.vport(1).upcallSuccess, lab.vport(1).upcallFail]).toEqual([1, 0]);
  });

  test('are lost without a port id, and when the sink fails', () => {
    const lab = new Lab();
    const a = lab.port(1, {}, []);
    a.inject([FRAME]);
    lab.vport(1).setUpcallPids([7]);
    lab.answer = -ERRNO.EAGAIN;
    a.inject([FRAME]);
    expect(lab.upcalls).toEqual([]);
    expect([lab.dp.nMissed, lab.dp.nLost, lab.vport(1).upcallFail, lab.dp.drops[DROP.UPCALL]]).toEqual([2, 2, 2, 2]);
  });

  test('are spread over several port ids by flow', () => {
    const lab = new Lab();
    const a = lab.port(1, {}, [11, 12, 13]);
    const frames = Array.from({ length: 60 }, (_, i) => eth(0x0800, ipv4With(17, { srcPort: 2000 + i })));
    a.inject([...frames, ...frames]);
    const ids = lab.upcalls.map((u) => u.portId);
    expect(ids.slice(0, 60)).toEqual(ids.slice(60));
    expect([...new Set(ids)].sort()).toEqual([11, 12, 13]);
  });

  test('go by CPU where that is asked for', () => {
    const lab = new Lab();
    const a = lab.port(1);
    lab.dp.userFeatures = 8;
    a.inject([FRAME]);
    expect(lab.dp.nLost).toBe(1);
    lab.dp.perCpuPids = Uint32Array.of(0xfffffff0);
    lab.flow(TCP, 1, [userspace(55)]);
    a.inject([FRAME, TCP]);
    expect(lab.upcalls.map((u) => u.portId)).toEqual([0xfffffff0, 0xfffffff0]);
  });

  test('of a recirculated packet tell the id', () => {
    const lab = new Lab();
    const a = lab.port(1);
    lab.flow(FRAME, 1, [recirc(0x77)]);
    a.inject([FRAME]);
    expect(lab.upcalls[0]!.key[FIELD.recircId.word]).toBe(0x77);
    expect([lab.dp.nHit, lab.dp.nMissed]).toEqual([1, 1]);
  });

  test('of more than an attribute holds are lost', () => {
    const lab = new Lab();
    const a = lab.port(1);
    a.inject([eth(0x1234, Array<number>(65_518).fill(1)), eth(0x1234, Array<number>(65_517).fill(1))]);
    expect([lab.dp.nLost, lab.upcalls.map((u) => u.packet.length)]).toEqual([1, [65_531]]);
  });
});

describe('execution on demand', () => {
  const start = (lab: Lab, list: number[][], inPort = 1) => {
    const key = newFlowKey();
    key[FIELD.inPort.word] = inPort;
    expect(lab.dp.extractForExecute(Uint8Array.from(FRAME), key)).toBe(0);
    return { key, program: compileList(list.flat(), key) };
  };

  test('runs actions on a packet from elsewhere', () => {
    const lab = new Lab();
    const [, b] = [lab.port(1), lab.port(2)];
    const { key, program } = start(lab, [output(2)]);
    expect(lab.dp.execute(key, program)).toBe(0);
    expect(takeSent(b)).toEqual([FRAME]);
    expect(lab.dp.nHit + lab.dp.nMissed).toBe(0);
  });

  test('in batches, flushed by the caller', () => {
    const lab = new Lab();
    const [, b] = [lab.port(1), lab.port(2)];
    for (let i = 0; i < 3; i++) {
      const { key, program } = start(lab, [output(2)]);
      lab.dp.execute(key, program, { isBatched: true });
    }
    expect(b.sent.length).toBe(0);
    lab.dp.flush();
    expect(takeSent(b)).toEqual([FRAME, FRAME, FRAME]);
  });

  test('recirculates, with hash, MRU and port id that were given', () => {
    const lab = new Lab();
    lab.port(1);
    const { key, program } = start(lab, [recirc(5)]);
    lab.dp.execute(key, program, { hash: 0x89abcdef, mru: 1400, upcallPid: 4242 });
    expect(lab.upcalls).toMatchObject([{ hash: 0x89abcdef, mru: 1400, portId: 4242, packet: FRAME }]);
    expect(lab.upcalls[0]!.key[FIELD.recircId.word]).toBe(5);
  });

  test('with an unknown input port is as if from the local one, and fails without that', () => {
    const lab = new Lab();
    lab.port(1);
    const a = start(lab, [userspace(9)], 77);
    expect(lab.dp.execute(a.key, a.program)).toBe(-ERRNO.ENODEV);
    lab.port(0);
    const b = start(lab, [userspace(9)], 77);
    expect(lab.dp.execute(b.key, b.program)).toBe(0);
    expect([lab.vport(0).upcallSuccess, lab.upcalls[0]!.key[FIELD.inPort.word]]).toEqual([1, 77]);
  });

  test('refuses what is no packet, and a second run', () => {
    const lab = new Lab();
    lab.port(1);
    expect(lab.dp.extractForExecute(Uint8Array.of(1, 2, 3), newFlowKey())).toBe(-ERRNO.EINVAL);
    const { key, program } = start(lab, [output(1)]);
    expect([lab.dp.execute(key, program), lab.dp.execute(key, program)]).toEqual([0, -ERRNO.EINVAL]);
  });
});

test('masks are put in order of use every 4000 ms', () => {
  const lab = new Lab();
  const a = lab.port(1);
  lab.flow(FRAME, 1, [], { fields: ['nwProto'] });
  lab.flow(TCP, 1, [], { fields: ['nwProto', 'tpDst'] });
  lab.dp.table.maskCacheSize = 0;
  const tried = () => {
    const before = lab.dp.table.nMaskHit;
    a.inject([TCP]);
    return lab.dp.table.nMaskHit - before;
  };
  expect(tried()).toBe(2);
  lab.nowMs += 3999;
  expect(tried()).toBe(2);
  lab.nowMs += 1;
  expect([tried(), tried()]).toEqual([2, 1]);
});

test('drop reasons have names', () => {
  expect(dropName(DROP.OVER_MTU)).toBe('OVER_MTU');
});
