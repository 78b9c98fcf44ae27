/** Upcalls on the wire, against those of the real module where they lie beside the checkout; and what happens to lost ones. */
import { describe, expect, test } from 'vitest';
import { UPCALL_SLOTS, UpcallWriter } from '../../src/datapath/commands/upcall-writer.ts';
import { Datapath } from '../../src/datapath/datapath.ts';
import { getMetadata } from '../../src/datapath/match/match.ts';
import { UpcallInfo } from '../../src/datapath/upcall.ts';
import { extractHeaders } from '../../src/flow/flow-extract.ts';
import { newFlowKey } from '../../src/flow/flow-key.ts';
import { OVS_DP_F } from '../../src/netlink/families/ovs-datapath.ts';
import { OVS_PACKET_ATTR, OVS_PACKET_CMD } from '../../src/netlink/families/ovs-packet.ts';
import { AttrCursor, MessageView } from '../../src/netlink/message.ts';
import { OVS_KEY_ATTR } from '../../src/odp/key/key-table.ts';
import { Arena, Packet, SLOT_SIZE } from '../../src/packet/packet.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { type GoldenMessage, hasGolden, readGolden } from './golden.ts';
import { DirectTransport, FAMILY, UDP_FRAME } from './requests.ts';

class Lab {
  readonly transport = new DirectTransport();
  readonly arena = new Arena(new ArrayBuffer(64 * SLOT_SIZE));
  readonly writer = new UpcallWriter(this.transport, FAMILY.PACKET, this.arena);
  readonly dp = new Datapath({ name: 'dp0', arena: this.arena, clock: () => 1, upcallSink: this.writer });
  readonly key = newFlowKey();
  readonly pkt = new Packet(this.arena);
  readonly info = new UpcallInfo();

  constructor() {
    this.dp.ifindex = 3;
    this.dp.userFeatures = OVS_DP_F.bit.unaligned;
    this.pkt.reset(this.arena.take());
    this.info.portId = 99;
    this.info.cmd = OVS_PACKET_CMD.MISS;
  }

  /** Makes `frame` the packet, all of it to be sent. */
  load(frame: Uint8Array): void {
    this.pkt.end = this.pkt.start + frame.length;
    this.arena.bytes.set(frame, this.pkt.start);
    this.info.size = frame.length;
  }
  upcall(): number {
    return this.writer.upcall(this.dp, this.key, this.pkt, this.info);
  }
  queue(): number {
    return this.writer.queue(this.dp, this.key, this.pkt, this.info);
  }
  take(): Uint8Array {
    const [answer] = this.transport.answers.splice(0);
    if (answer === undefined) throw new Error('no upcall');
    return answer.bytes;
  }
}

describe.skipIf(!hasGolden)('the real module (skipped where ../shared/golden is absent)', () => {
  const upcalls = hasGolden ? readGolden('upcalls.jsonl.gz').filter((m) => m.direction === 'upcall') : [];

  test(`its ${upcalls.length} upcalls, byte for byte`, () => {
    expect(upcalls.length).toBeGreaterThan(40);
    for (const m of upcalls) expect(rebuild(m), m.hex).toBe(m.hex);
  });

  /** Takes an upcall apart, and builds it again from its packet and metadata. */
  function rebuild(m: GoldenMessage): string {
    const lab = new Lab();
    const bytes = Uint8Array.from(Buffer.from(m.hex, 'hex'));
    const msg = new MessageView();
    if (!msg.set(new DataView(bytes.buffer), 0, bytes.length)) throw new Error('a recorded upcall is cut');
    const attrs = msg.readOvs(OVS_PACKET_ATTR);
    const { key = new Uint8Array(), packet = new Uint8Array(), userdata, actions, hash = 0n } = attrs;

    lab.load(packet);
    lab.dp.ifindex = msg.dpIfindex;
    getMetadata({ dv: new DataView(key.buffer, key.byteOffset, key.length), at: 0, size: key.length }, lab.key);
    lab.pkt.packetType = has(key, OVS_KEY_ATTR.ETHERNET) ? 0 : 0x0800;
    expect(extractHeaders(lab.pkt, lab.key)).toBe(true);
    lab.info.cmd = msg.cmd;
    lab.info.hash = Number(hash & 0xffffffffn);
    const tail = Buffer.concat([userdata ?? new Uint8Array(), actions ?? new Uint8Array()]);
    lab.info.bytes = tail;
    lab.info.userdataSize = userdata?.length ?? -1;
    lab.info.actionsAt = userdata?.length ?? 0;
    lab.info.actionsSize = actions?.length ?? -1;
    expect(lab.upcall()).toBe(0);
    return Buffer.from(lab.take()).toString('hex');
  }

  const has = (nest: Uint8Array, type: number): boolean => {
    const it = new AttrCursor(new DataView(nest.buffer, nest.byteOffset, nest.length), 0, nest.length, 'KEY');
    while (it.next()) if (it.type === type) return true;
    return false;
  };
});

describe('upcalls', () => {
  test('take some slots of the arena for good', () => {
    expect(new Lab().arena.available).toBe(64 - UPCALL_SLOTS - 1);
  });

  test.each([
    ['not padded for those who can do without', OVS_DP_F.bit.unaligned, 1],
    ['padded for others', 0, 0],
  ])('%s', (_what, features, rest) => {
    const lab = new Lab();
    lab.dp.userFeatures = features;
    lab.load(UDP_FRAME.subarray(0, 45));
    expect(lab.upcall()).toBe(0);
    expect(lab.take().length % 4).toBe(rest);
  });

  test('of a cut packet tell its size', () => {
    const lab = new Lab();
    lab.load(UDP_FRAME);
    lab.info.size = 20;
    lab.info.mru = 1400;
    lab.upcall();
    const bytes = lab.take();
    const msg = new MessageView();
    msg.set(new DataView(bytes.buffer), 0, bytes.length);
    expect(msg.readOvs(OVS_PACKET_ATTR)).toMatchObject({
      len: UDP_FRAME.length,
      mru: 1400,
      packet: UDP_FRAME.slice(0, 20),
    });
  });

  test.each<[number, string]>([
    [ERRNO.EAGAIN, 'the queue is full'],
    [ERRNO.ECONNREFUSED, 'nobody is there'],
  ])('return errno %i: %s', (errno) => {
    const lab = new Lab();
    lab.load(UDP_FRAME);
    lab.transport.failure = -errno;
    expect(lab.upcall()).toBe(-errno);
  });

  test('for a full queue are lost without an attempt for a while, those for another are not', () => {
    const lab = new Lab();
    lab.load(UDP_FRAME);
    let nSent = 0;
    const send = lab.transport.send.bind(lab.transport);
    lab.transport.send = (...args) => {
      nSent++;
      return send(...args);
    };
    lab.transport.failure = -ERRNO.EAGAIN;
    for (let i = 0; i < 100; i++) expect(lab.upcall()).toBe(-ERRNO.EAGAIN);
    expect(nSent).toBeGreaterThan(1);
    expect(nSent).toBeLessThan(10);
    lab.transport.failure = 0;
    lab.info.portId = 98;
    expect(lab.upcall()).toBe(0);
    lab.info.portId = 99;
    let nLost = 0;
    while (lab.upcall() !== 0) expect(++nLost).toBeLessThan(100);
    expect(lab.upcall()).toBe(0);
  });

  test('that are queued go out together, in order, each to its receiver', () => {
    const lab = new Lab();
    lab.load(UDP_FRAME);
    const one = lab.upcall() === 0 ? lab.take() : undefined;
    for (const portId of [99, 98, 0xfffffffe]) {
      lab.info.portId = portId;
      expect(lab.queue()).toBe(0);
    }
    expect(lab.transport.answers).toEqual([]);
    lab.writer.flush();
    expect(lab.transport.answers.map((a) => a.to)).toEqual([99, 98, 0xfffffffe]);
    for (const { bytes } of lab.transport.answers) expect(bytes).toEqual(one);
    lab.writer.flush();
    expect(lab.transport.answers.length).toBe(3);
  });

  test('that are queued and then lost are told to their datapath; after one that shows it none is queued for a full queue', () => {
    const lab = new Lab();
    lab.load(UDP_FRAME);
    for (let i = 0; i < 3; i++) expect(lab.queue()).toBe(0);
    lab.transport.failure = -ERRNO.EAGAIN;
    lab.writer.flush();
    expect(lab.dp.nLost).toBe(3);
    expect(lab.queue()).toBe(-ERRNO.EAGAIN);
    lab.transport.failure = 0;
    let nLost = 0;
    while (lab.queue() !== 0) expect(++nLost).toBeLessThan(100);
    expect(lab.transport.answers.length).toBe(1);
    expect(lab.queue()).toBe(0);
    expect(lab.transport.answers.length).toBe(1);
    lab.writer.flush();
    expect(lab.transport.answers.length).toBe(2);
    expect(lab.dp.nLost).toBe(3);
  });

  test('that are large do not all fit at a time', () => {
    const lab = new Lab();
    lab.load(new Uint8Array(60_000).fill(7));
    for (let i = 0; i < 12; i++) expect(lab.queue()).toBe(0);
    expect(lab.transport.answers.length).toBeGreaterThan(0);
    lab.writer.flush();
    expect(lab.transport.answers.length).toBe(12);
    expect(new Set(lab.transport.answers.map((a) => Buffer.from(a.bytes).toString('base64'))).size).toBe(1);
  });

  test('of more than an attribute holds are EFBIG', () => {
    const lab = new Lab();
    lab.info.size = 65_532;
    expect(lab.upcall()).toBe(-ERRNO.EFBIG);
  });
});
