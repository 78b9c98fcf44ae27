/** PortIo without a device: what it does with batches, VLAN tags, full queues and errors.  port-native.test.ts has devices. */
import { describe, expect, it } from 'vitest';
import { PortIo, putBackVlanTag, receiveRun } from '../../src/datapath/ports/port-io.ts';
import { type NativePort, RX_WORDS } from '../../src/native/index.ts';
import { Arena, HEADROOM, Packet, SLOT_SIZE, VNET_F, VNET_GSO, VNET_HDR_SIZE } from '../../src/packet/packet.ts';
import { ERRNO } from '../../src/util/errno.ts';

const FRAME = Buffer.from(`020000000001020000000002${'0800'}${'11'.repeat(46)}`, 'hex');

/** What a fake device does with each receive: frames, or -errno. */
type Step = number | { frame: Buffer; tci?: number; truncated?: boolean }[];

class FakePort implements NativePort {
  readonly fd = -1;
  readonly name = '';
  readonly ifindex = 1;
  readonly steps: Step[] = [];
  readonly sent: { offset: number; size: number }[][] = [];
  /** How many frames of a batch it takes. */
  takes = 64;
  polling: (() => void) | null = null;
  closes = 0;
  private readonly arena: Arena;

  constructor(arena: Arena) {
    this.arena = arena;
  }
  receive(base: number, stride: number, _max: number, info: Int32Array): number {
    const step = this.steps.shift() ?? 0;
    if (typeof step === 'number') return step;
    for (const [i, { frame, tci = -1, truncated = false }] of step.entries()) {
      this.arena.bytes.fill(0, base + i * stride, base + i * stride + VNET_HDR_SIZE);
      this.arena.bytes.set(frame, base + i * stride + VNET_HDR_SIZE);
      info.set([truncated ? 0 : VNET_HDR_SIZE + frame.length, tci, 0x8100, 0], i * RX_WORDS);
    }
    return step.length;
  }
  send(list: Int32Array, n: number): number {
    this.sent.push(Array.from({ length: n }, (_, i) => ({ offset: list[2 * i]!, size: list[2 * i + 1]! })));
    return Math.min(n, this.takes);
  }
  awaitFrame(): number {
    return 0;
  }
  lost(): number {
    return 100;
  }
  poll(onReadable: (() => void) | null): void {
    this.polling = onReadable;
  }
  close(): void {
    this.closes++;
  }
}

/** A port, its fake device, and a log of what it told. */
function setup() {
  const arena = new Arena(new ArrayBuffer(128 * SLOT_SIZE));
  const port = new FakePort(arena);
  const io = new PortIo(port, arena);
  const log: string[] = [];
  io.start({
    receive: (pkt) => log.push(Buffer.from(arena.buffer, pkt.start, pkt.size).toString('hex', 0, 18)),
    batchEnd: () => log.push('end'),
  });
  return { arena, port, io, log };
}

function packetOf(arena: Arena): Packet {
  const pkt = new Packet(arena);
  pkt.reset(arena.take());
  arena.bytes.set(FRAME, pkt.start);
  pkt.end = pkt.start + FRAME.length;
  return pkt;
}

describe('receiving', () => {
  it('hands over each frame, then ends the batch', () => {
    const { port, log } = setup();
    port.steps.push([{ frame: FRAME }, { frame: FRAME, tci: 0x2123 }]);
    port.polling?.();
    const macs = FRAME.toString('hex', 0, 12);
    expect(log).toEqual([`${macs}080011111111`, `${macs}810021230800`, 'end']);
  });

  it('counts and skips frames that did not fit, or are empty', () => {
    const { port, io, log } = setup();
    port.steps.push([{ frame: FRAME, truncated: true }, { frame: Buffer.alloc(0) }, { frame: FRAME }]);
    port.polling?.();
    expect(log).toHaveLength(2);
    expect(io.rxDropped).toBe(102);
  });

  it('takes four full batches at a time', () => {
    const { port, log } = setup();
    const full = Array.from({ length: 64 }, () => ({ frame: FRAME }));
    port.steps.push(...Array.from({ length: 6 }, () => full));
    port.polling?.();
    expect(log.filter((line) => line === 'end')).toHaveLength(4);
    port.polling?.();
    expect(log.filter((line) => line === 'end')).toHaveLength(6);
  });

  it('stops within a poll when it is closed', () => {
    const { arena, port, io } = setup();
    let ends = 0;
    io.start({
      receive: () => {},
      batchEnd: () => {
        ends++;
        io.close();
      },
    });
    port.steps.push(...Array.from({ length: 2 }, () => Array.from({ length: 64 }, () => ({ frame: FRAME }))));
    port.polling?.();
    io.close();
    expect([ends, port.closes]).toEqual([1, 1]);
    io.send(packetOf(arena));
    io.flush();
    expect([port.sent.length, io.txDropped]).toEqual([0, 1]);
  });

  it.each([
    ['EBADFD', ERRNO.EBADFD, 1],
    ['ENXIO', ERRNO.ENXIO, 1],
    ['ENETDOWN', ERRNO.ENETDOWN, 16],
  ])('%s ends it after %d in a row', (_name, errno, times) => {
    const { port } = setup();
    for (let i = 0; i < times; i++) {
      expect(port.polling).not.toBeNull();
      port.steps.push(-errno);
      port.polling?.();
    }
    expect(port.polling).toBeNull();
  });

  it('all ports of an arena share the slots', () => {
    const { arena } = setup();
    const before = arena.available;
    new PortIo(new FakePort(arena), arena);
    expect(arena.available).toBe(before);
    expect(receiveRun(arena)).toBe(receiveRun(arena));
  });
});

describe('sending', () => {
  it('goes out with the offloads before it when flushed', () => {
    const { arena, port, io } = setup();
    const pkt = packetOf(arena);
    pkt.vnetFlags = VNET_F.NEEDS_CSUM;
    pkt.csumStart = 34;
    io.send(pkt);
    expect(port.sent).toEqual([]);
    io.flush();
    io.flush();
    const at = pkt.slot * SLOT_SIZE + HEADROOM - VNET_HDR_SIZE;
    expect(port.sent).toEqual([[{ offset: at, size: VNET_HDR_SIZE + FRAME.length }]]);
    expect(Buffer.from(arena.buffer, at, VNET_HDR_SIZE).toString('hex')).toBe('01000000000022000000');
  });

  it('flushes itself when full, and counts what the device does not take', () => {
    const { arena, port, io } = setup();
    const pkt = packetOf(arena);
    port.takes = 60;
    for (let i = 0; i < 65; i++) io.send(pkt);
    expect(port.sent.map((batch) => batch.length)).toEqual([64]);
    io.flush();
    expect([port.sent.length, io.txDropped]).toEqual([2, 4]);
  });
});

describe('a tag that the kernel took out', () => {
  const arena = new Arena(new ArrayBuffer(2 * SLOT_SIZE));
  it('goes back in, and the offloads move with it', () => {
    const pkt = packetOf(arena);
    const { start, end } = pkt;
    Object.assign(pkt, {
      vnetFlags: VNET_F.NEEDS_CSUM,
      csumStart: 34,
      csumOffset: 16,
      gsoType: VNET_GSO.TCPV4,
      hdrLen: 54,
    });
    putBackVlanTag(pkt, 0xefff, 0x88a8);
    expect([pkt.start, pkt.end]).toEqual([start - 4, end]);
    const hex = Buffer.from(arena.buffer, pkt.start, pkt.size).toString('hex');
    expect(hex).toBe(`${FRAME.toString('hex', 0, 12)}88a8efff${FRAME.toString('hex', 12)}`);
    expect([pkt.csumStart, pkt.csumOffset, pkt.hdrLen]).toEqual([38, 16, 58]);
  });

  it('leaves offloads that are not set alone', () => {
    const pkt = packetOf(arena);
    putBackVlanTag(pkt, 1, 0x8100);
    expect([pkt.csumStart, pkt.hdrLen]).toEqual([0, 0]);
  });
});
