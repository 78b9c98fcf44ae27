/** Tunnel ports on sockets that are made of arrays: what goes out, what comes in, what is counted, and who may have what. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { TunnelDevice } from '../../../src/datapath/tunnel/tunnel-devices.ts';
import { newTunnelInfo, TUN, type TunnelInfo, tunFlags, tunTtl } from '../../../src/datapath/tunnel/tunnel-info.ts';
import { readTunnelOptions, type TunnelKind, tunnelKind } from '../../../src/datapath/tunnel/tunnel-kinds.ts';
import type { TunnelPort } from '../../../src/datapath/tunnel/tunnel-port.ts';
import type { TunnelSockets } from '../../../src/datapath/tunnel/tunnel-sockets.ts';
import { Tunnels } from '../../../src/datapath/tunnel/tunnels.ts';
import { TUN_F } from '../../../src/flow/fields.ts';
import { type NativeTunnelSocket, TUNNEL_RX_WORDS, TUNNEL_TX_WORDS } from '../../../src/native/index.ts';
import { OVS_VPORT_TYPE as T } from '../../../src/netlink/families/ovs-vport.ts';
import { MessageWriter } from '../../../src/netlink/message.ts';
import { Arena, Packet, SLOT_SIZE } from '../../../src/packet/packet.ts';
import { ERRNO } from '../../../src/util/errno.ts';

let arena: Arena;
beforeEach(() => {
  arena = new Arena(new ArrayBuffer(100 * SLOT_SIZE));
});

interface Sent {
  readonly hex: string;
  readonly tos: number;
  readonly ttl: number;
  readonly src: number;
  readonly dst: number;
}

class FakeSocket implements NativeTunnelSocket {
  readonly fd = -1;
  readonly sent: Sent[] = [];
  isClosed = false;
  /** What send() answers for every packet, if not 0. */
  errno = 0;
  private wake: (() => void) | null = null;
  private incoming: { row: Int32Array; payload: Uint8Array }[] = [];

  receive(base: number, stride: number, max: number, info: Int32Array): number {
    const batch = this.incoming.splice(0, max);
    batch.forEach(({ row, payload }, i) => {
      arena.bytes.set(payload, base + i * stride);
      info.set(row, i * TUNNEL_RX_WORDS);
    });
    return batch.length;
  }
  send(list: Int32Array, n: number): number {
    for (let i = 0; i < n; i++) {
      const row = list.subarray(i * TUNNEL_TX_WORDS, (i + 1) * TUNNEL_TX_WORDS);
      const part = (at: number, size: number) => Buffer.from(arena.bytes.subarray(at, at + size)).toString('hex');
      if (this.errno === 0) {
        const hex = part(row[0]!, row[1]!) + part(row[2]!, row[3]!);
        this.sent.push({ hex, tos: row[4]!, ttl: row[5]!, src: row[6]!, dst: row[10]! });
      } else row[1] = -this.errno;
    }
    return this.errno === 0 ? n : 0;
  }
  poll(onReadable: (() => void) | null): void {
    this.wake = onReadable;
  }
  close(): void {
    this.isClosed = true;
  }
  /** Delivers a packet from 192.0.2.2 to 192.0.2.1. */
  deliver(hex: string, { tos = 0, ttl = 64, port = 5555, size = -1 } = {}): void {
    const payload = Buffer.from(hex, 'hex');
    const row = new Int32Array(TUNNEL_RX_WORDS);
    row.set([
      size < 0 ? payload.length : size,
      0xc0000202 | 0,
      0,
      0,
      0,
      0xc0000201 | 0,
      0,
      0,
      0,
      port,
      (tos << 8) | ttl,
      1,
    ]);
    this.incoming.push({ row, payload });
    this.wake?.();
  }
}

class FakeSockets implements TunnelSockets {
  readonly udp = new Map<string, [FakeSocket, FakeSocket]>();
  readonly raw = new Map<string, FakeSocket>();
  portInUse = -1;

  openUdp(ipv6: boolean, port: number): [FakeSocket, FakeSocket] {
    if (port === this.portInUse) throw Object.assign(new Error('bind'), { errno: ERRNO.EADDRINUSE });
    const pair: [FakeSocket, FakeSocket] = [new FakeSocket(), new FakeSocket()];
    this.udp.set(`${ipv6 ? 6 : 4}/${port}`, pair);
    return pair;
  }
  openRaw(ipv6: boolean, protocol: number, hears: boolean, dontFragment: boolean): FakeSocket {
    const socket = new FakeSocket();
    this.raw.set(`${ipv6 ? 6 : 4}/${protocol}${hears ? ' hears' : ''}${dontFragment ? ' df' : ''}`, socket);
    return socket;
  }
  source(_ipv6: boolean, words: Int32Array): number {
    if (words[0] === 0x7f000001) return -ERRNO.EINVAL;
    words[0] = 0xc0000201 | 0;
    return 0;
  }
}

let sockets: FakeSockets;
let tunnels: Tunnels;
let closed: string[];
const kind = (type: number) => tunnelKind(type) as TunnelKind;

beforeEach(() => {
  sockets = new FakeSockets();
  closed = [];
  const openDevice = (name: string): TunnelDevice => ({
    name,
    ifindex: 7,
    close: (lingers) => closed.push(`${name} ${lingers}`),
  });
  tunnels = new Tunnels({ arena, sockets, clock: () => 0, openDevice, portRange: [40000, 40000] });
});

/** A port, and what it delivers: the frame, and a copy of the metadata. */
function start(type: number, options: { dstPort?: number; hasGbp?: boolean } = {}) {
  const port = tunnels.create(kind(type), `t${type}`, {
    dstPort: options.dstPort ?? 4789,
    hasGbp: options.hasGbp ?? false,
  });
  const got: { frame: string; tun: TunnelInfo }[] = [];
  port.start({
    receive: (pkt) =>
      got.push({
        frame: Buffer.from(arena.bytes.subarray(pkt.start, pkt.end)).toString('hex'),
        tun: port.rxTunnel.slice(),
      }),
    batchEnd: () => {},
  });
  return { port, got };
}

/** Metadata to 192.0.2.2 with id 42 and TTL 9. */
function target(flags: number = TUN_F.KEY, { tos = 0, src = 0, dst = 0xc0000202 } = {}): TunnelInfo {
  const tun = newTunnelInfo();
  tun[TUN.ID + 1] = 42;
  tun[TUN.SRC] = src;
  tun[TUN.DST] = dst;
  tun[TUN.FAMILY] = 4;
  tun[TUN.TOS] = (tos << 24) | (9 << 16) | flags;
  return tun;
}

const MACS = '020202020202040404040404';
/** An IPv4 frame with a TOS byte and a right header checksum for it: 0x4500 + ... sums to ffff. */
function frame(tos: number): string {
  const ip = Buffer.from(`45${tos.toString(16).padStart(2, '0')}00140000000040110000c0000201c0000202`, 'hex');
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += ip.readUInt16BE(i);
  ip.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 10);
  return `${MACS}0800${ip.toString('hex')}`;
}

function send(port: TunnelPort, hex: string, tun: TunnelInfo | null): void {
  const pkt = new Packet(arena);
  pkt.reset(arena.take());
  arena.bytes.set(Buffer.from(hex, 'hex'), pkt.start);
  pkt.end = pkt.start + hex.length / 2;
  pkt.hash = 1;
  pkt.txTunnel = tun;
  port.send(pkt);
  port.flush();
}
const sums = (hex: string): number => {
  const b = Buffer.from(hex.length % 4 === 0 ? hex : `${hex}00`, 'hex');
  let sum = 0;
  for (let i = 0; i < b.length; i += 2) sum += b.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
};

describe('sending', () => {
  test('VXLAN: both headers, TTL, and the congestion field of the inner packet', () => {
    const { port } = start(T.VXLAN);
    send(port, frame(0x02), target(TUN_F.KEY, { tos: 0x20 }));
    const [sent] = sockets.raw.get('4/17')!.sent;
    expect(sent).toEqual({
      hex: `9c4012b5${(8 + 8 + 34).toString(16).padStart(4, '0')}00000800000000002a00${frame(0x02)}`,
      ...{ tos: 0x22, ttl: 9, src: 0, dst: 0xc0000202 | 0 },
    });
    expect(port.stats()).toMatchObject({ txPackets: 1n, txBytes: 20n, txErrors: 0n, txDropped: 0n });
  });

  test.each([
    ['Geneve', T.GENEVE, '4/17', false],
    ['GRE', T.GRE, '4/47', false],
    ['VXLAN', T.VXLAN, '4/17', true],
  ] as const)('half an IP header through %s', (_, kind, socket, isSent) => {
    const { port } = start(kind);
    send(port, frame(0).slice(0, -2), target());
    expect(sockets.raw.get(socket)?.sent.length ?? 0).toBe(isSent ? 1 : 0);
    expect(port.stats().txErrors).toBe(isSent ? 0n : 1n);
  });

  test.each([
    ['GRE', T.GRE, '4/47', 0xb8],
    ['VXLAN', T.VXLAN, '4/17', 0],
  ] as const)('a TOS of 1 through %s', (_, kind, socket, want) => {
    const { port } = start(kind);
    send(port, frame(0xb8), target(TUN_F.KEY, { tos: 1 }));
    expect(sockets.raw.get(socket)!.sent[0]!.tos).toBe(want);
  });

  test('a mark of the inner packet is not one of the outer', () => {
    const { port } = start(T.VXLAN);
    send(port, frame(0x03), target());
    expect(sockets.raw.get('4/17')!.sent[0]!.tos).toBe(2);
  });

  test('a checksum covers the addresses, also one that the route chooses', () => {
    for (const src of [0, 0x01020304]) {
      const { port } = start(T.GENEVE, { dstPort: 6081 + (src % 2) + (src === 0 ? 0 : 2) });
      send(port, `${frame(0)}ff`, target(TUN_F.KEY | TUN_F.CSUM, { src }));
      const sent = sockets.raw.get('4/17')!.sent.at(-1)!;
      const addresses = `${src === 0 ? 'c0000201' : '01020304'}c0000202`;
      const length = (sent.hex.length / 2).toString(16).padStart(4, '0');
      expect(sums(`${addresses}0011${length}${sent.hex}`)).toBe(0xffff);
      expect(sent.src >>> 0).toBe(src === 0 ? 0xc0000201 : src);
    }
  });

  test('a packet that must not be fragmented leaves through a socket of its own', () => {
    const { port } = start(T.GRE);
    send(port, frame(0), target(TUN_F.KEY | TUN_F.DF));
    expect(sockets.raw.get('4/47 df')!.sent[0]!.hex).toBe(`200065580000002a${frame(0)}`);
  });

  test('VXLAN goes to the port that its metadata says', () => {
    const { port } = start(T.VXLAN);
    const tun = target();
    tun[TUN.PORTS] = (1 << 16) | 8472;
    send(port, frame(0), tun);
    expect(sockets.raw.get('4/17')!.sent[0]!.hex.slice(0, 8)).toBe('9c402118');
  });

  test.each([
    ['without metadata', T.GENEVE, null, { txDropped: 1n, txErrors: 0n }],
    ['to an address of a family that it has not', T.IP6GRE, target(), { txDropped: 1n, txErrors: 0n }],
    ['ERSPAN without options', T.ERSPAN, target(), { txDropped: 1n, txErrors: 0n }],
    [
      'with a checksum, and nowhere to go',
      T.VXLAN,
      target(TUN_F.CSUM, { dst: 0x7f000001 }),
      { txDropped: 0n, txErrors: 1n },
    ],
  ])('drops a frame %s', (_name, type, tun, counts) => {
    const { port } = start(type);
    send(port, frame(0), tun);
    expect(port.stats()).toMatchObject({ txPackets: 0n, ...counts });
    for (const socket of sockets.raw.values()) expect(socket.sent).toEqual([]);
  });

  test.each([
    ['EMSGSIZE', { txErrors: 1n, txDropped: 0n }],
    ['ENOBUFS', { txErrors: 0n, txDropped: 1n }],
  ] as const)('counts what the host refuses with %s', (name, counts) => {
    const { port } = start(T.VXLAN);
    send(port, frame(0), target());
    sockets.raw.get('4/17')!.errno = ERRNO[name];
    send(port, frame(0), target());
    expect(port.stats()).toMatchObject({ txPackets: 1n, txBytes: 20n, ...counts });
  });
});

describe('receiving', () => {
  test('gives the frame, and metadata of where it came from', () => {
    const { port, got } = start(T.VXLAN);
    sockets.udp.get('4/4789')![0].deliver(`0800000000002a00${frame(0)}`, { tos: 0x40, ttl: 3 });
    expect(got).toHaveLength(1);
    const { frame: inner, tun } = got[0]!;
    expect(inner).toBe(frame(0));
    expect(tun[TUN.ID + 1]).toBe(42);
    expect([tun[TUN.SRC]! >>> 0, tun[TUN.DST]! >>> 0]).toEqual([0xc0000202, 0xc0000201]);
    expect([tun[TUN.TOS]! >>> 24, tunTtl(tun), tunFlags(tun)]).toEqual([0x40, 3, TUN_F.KEY]);
    expect(tun[TUN.PORTS]).toBe((5555 << 16) | 4789);
    expect(port.stats()).toMatchObject({ rxPackets: 1n, rxBytes: 20n, rxErrors: 0n });
  });

  test('tells which packets had a checksum', () => {
    const { got } = start(T.GENEVE, { dstPort: 6081 });
    sockets.udp.get('4/6081')![1].deliver(`0000655800002a00${frame(0)}`);
    expect(tunFlags(got[0]!.tun)).toBe(TUN_F.KEY | TUN_F.CSUM);
  });

  test('options of one packet do not stay for the next', () => {
    const { got } = start(T.GENEVE, { dstPort: 6081 });
    const [socket] = sockets.udp.get('4/6081')!;
    socket.deliver(`0200655800002a00010200010badcafe${frame(0)}`);
    socket.deliver(`0000655800002a00${frame(0)}`);
    expect(got.map(({ tun }) => [tun[TUN.OPTS_SIZE], tun[TUN.OPTS]])).toEqual([
      [8, 0x01020001],
      [0, 0],
    ]);
  });

  // biome-ignore format: table
  test.each([
    { name: 'an unmarked packet stays as it is',           outer: 0, inner: 0x02, want: 0x02 },
    { name: 'a mark goes to a packet that can have one',   outer: 3, inner: 0x02, want: 0x03 },
    { name: 'a marked one stays marked',                   outer: 0, inner: 0x03, want: 0x03 },
    { name: 'a mark on a packet that cannot have one',     outer: 3, inner: 0x04, want: -1 },
    { name: 'ECT(1) takes the place of ECT(0)',            outer: 1, inner: 0x06, want: 0x05 },
    { name: 'ECT(1) leaves a mark',                        outer: 1, inner: 0x03, want: 0x03 },
    { name: 'ECT(1) on a packet that cannot have it',      outer: 1, inner: 0x04, want: 0x04 },
  ])('congestion: $name', ({ outer, inner, want }) => {
    const { port, got } = start(T.VXLAN);
    sockets.udp.get('4/4789')![0].deliver(`0800000000002a00${frame(inner)}`, { tos: outer });
    expect(got.map((g) => g.frame)).toEqual(want < 0 ? [] : [frame(want)]);
    expect(port.stats().rxErrors).toBe(want < 0 ? 1n : 0n);
  });

  // biome-ignore format: table
  test.each([
    { name: 'half an IPv4 header',    behind: `0800${'45'.repeat(19)}`,     isTaken: false },
    { name: 'half an IPv6 header',    behind: `86dd${'60'.repeat(39)}`,     isTaken: false },
    { name: 'a tag and its type',     behind: '810000010806',               isTaken: false },
    { name: 'a tag and a bit more',   behind: '8100000108060001',           isTaken: true },
    { name: 'another type alone',     behind: '0806',                       isTaken: true },
  ])('an inner frame with $name', ({ behind, isTaken }) => {
    const { port, got } = start(T.VXLAN);
    sockets.udp.get('4/4789')![0].deliver(`0800000000002a00${MACS}${behind}`);
    expect(got.map((g) => g.frame)).toEqual(isTaken ? [`${MACS}${behind}`] : []);
    expect(port.stats().rxErrors).toBe(isTaken ? 0n : 1n);
  });

  test('what is no packet of the tunnel is an error, and another payload is none', () => {
    const { port, got } = start(T.GENEVE, { dstPort: 6081 });
    const [socket] = sockets.udp.get('4/6081')!;
    for (const hex of ['00', '4000655800002a00', `0000655800002a00${MACS}08`]) socket.deliver(hex);
    expect(port.stats()).toMatchObject({ rxErrors: 3n, rxPackets: 0n });
    socket.deliver(`0000080000002a00${frame(0)}`);
    socket.deliver('0000', { size: 0 });
    expect(port.stats()).toMatchObject({ rxErrors: 3n, rxPackets: 0n });
    expect(got).toEqual([]);
  });

  test('GRE and ERSPAN share a socket, whose packets begin with an IP header', () => {
    const gre = start(T.GRE);
    const erspan = start(T.ERSPAN);
    const socket = sockets.raw.get('4/47 hears')!;
    const ip = '46'.padEnd(48, '0');
    socket.deliver(`${ip}200065580000002a${frame(0)}`);
    socket.deliver(`${ip}100088be000000011000000500000007${frame(0)}`);
    socket.deliver(`${ip}00000800${frame(0)}`);
    expect([gre.got.length, erspan.got.length]).toEqual([1, 1]);
    expect(erspan.got[0]!.tun[TUN.ID + 1]).toBe(5);
    gre.port.close();
    expect(socket.isClosed).toBe(false);
    erspan.port.close();
    expect(socket.isClosed).toBe(true);
  });
});

test('how a packet would leave', () => {
  const { port } = start(T.VXLAN);
  const pkt = new Packet(arena);
  pkt.reset(0);
  pkt.hash = 1;
  const out = newTunnelInfo();
  expect(port.egressTunnel(pkt, out)).toBe(false);
  pkt.txTunnel = target();
  expect(port.egressTunnel(pkt, out)).toBe(true);
  expect([out[TUN.SRC]! >>> 0, out[TUN.PORTS]! >>> 0]).toEqual([0xc0000201, ((40000 << 16) | 4789) >>> 0]);
});

describe('who may have what', () => {
  const errnoOf = (make: () => unknown) => {
    try {
      make();
    } catch (error) {
      return (error as { errno?: number }).errno;
    }
    return 0;
  };

  test.each([
    [T.VXLAN, ERRNO.EEXIST],
    [T.GENEVE, ERRNO.EBUSY],
    [T.GRE, ERRNO.EEXIST],
  ])('one port of type %i on a UDP port', (type, errno) => {
    const { port } = start(type);
    expect(errnoOf(() => start(type))).toBe(errno);
    expect(closed).toEqual([]);
    port.expectDeletion();
    port.close();
    port.close();
    expect(closed).toEqual([`t${type} true`]);
    expect(errnoOf(() => start(type))).toBe(0);
  });

  test('a UDP port that is taken leaves nothing behind', () => {
    sockets.portInUse = 4789;
    expect(errnoOf(() => start(T.VXLAN))).toBe(ERRNO.EADDRINUSE);
    expect(closed).toEqual(['t4 false']);
    sockets.portInUse = -1;
    expect(errnoOf(() => start(T.VXLAN))).toBe(0);
  });
});

describe('options', () => {
  const nest = (fill: (w: MessageWriter) => void) => {
    const w = new MessageWriter(64);
    fill(w);
    return new DataView(w.bytes.slice(0, w.size).buffer);
  };
  const read = (type: number, dv: DataView | undefined, name = 'vx') =>
    readTunnelOptions(kind(type), name, dv ?? new DataView(new ArrayBuffer(0)), 0, dv?.byteLength ?? -1);
  const port = nest((w) => w.attrU16(1, 4789));
  const gbp = nest((w) => {
    w.attrU16(1, 4790);
    const at = w.nest(2);
    w.attrFlag(1);
    w.endNest(at);
  });

  test('are what was asked for, and told again', () => {
    expect(read(T.VXLAN, port)).toEqual({ dstPort: 4789, hasGbp: false });
    expect(read(T.VXLAN, gbp)).toEqual({ dstPort: 4790, hasGbp: true });
    expect(read(T.GENEVE, gbp)).toEqual({ dstPort: 4790, hasGbp: false });
    expect(read(T.GRE, undefined)).toEqual({ dstPort: 0, hasGbp: false });
    const told = start(T.VXLAN, { dstPort: 4790, hasGbp: true }).port.tunnelOptions();
    expect(told).toEqual(new Uint8Array(gbp.buffer));
    expect(start(T.GRE).port.tunnelOptions()).toBeUndefined();
  });

  test('without a port are refused, but for a device that is named after port 0', () => {
    expect(() => read(T.VXLAN, undefined)).toThrow(expect.objectContaining({ errno: ERRNO.EINVAL }));
    expect(() =>
      read(
        T.GENEVE,
        nest((w) => w.attrU32(1, 6081)),
      ),
    ).toThrow(expect.objectContaining({ errno: ERRNO.EINVAL }));
    expect(read(T.GENEVE, undefined, 'genev_sys_0')).toEqual({ dstPort: 0, hasGbp: false });
  });

  test('no other vport type is a tunnel', () => {
    for (const type of [T.UNSPEC, T.NETDEV, T.INTERNAL, 105, 106, 110, 111]) expect(tunnelKind(type)).toBeUndefined();
  });
});
