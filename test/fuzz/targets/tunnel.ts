/**
 * Packets of tunnels into decapsulation, and on through a datapath to a port that takes offloads and one that does not.  A
 * case's records are packets: the kind is the tunnel (FORMATS), then a byte of outer header (OUTER), then what follows the UDP or
 * IP header.
 *
 * Frame and metadata are compared with the reference, whatever is behind the packet's end; offloads that are found must
 * make sense; no checksum may be spoiled; no slot may be lost.
 */
import type { TunnelInfo } from '../../../src/datapath/tunnel/tunnel-info.ts';
import { TUN, tunFlags, tunOptsSize, tunTos } from '../../../src/datapath/tunnel/tunnel-info.ts';
import { type TunnelKind, tunnelKind } from '../../../src/datapath/tunnel/tunnel-kinds.ts';
import type { TunnelPort } from '../../../src/datapath/tunnel/tunnel-port.ts';
import { Tunnels } from '../../../src/datapath/tunnel/tunnels.ts';
import { FIELD, TUN_F } from '../../../src/flow/fields.ts';
import { newFlowKey, setFieldOnes } from '../../../src/flow/flow-key.ts';
import { type NativeTunnelSocket, TUNNEL_RX_WORDS } from '../../../src/native/index.ts';
import { OVS_VPORT_TYPE as T } from '../../../src/netlink/families/ovs-vport.ts';
import { type Packet, VNET_F, VNET_GSO } from '../../../src/packet/packet.ts';
import { be16, be32, output } from '../../support/action-bytes.ts';
import { compileList } from '../../support/compile.ts';
import { sum16 } from '../../support/frames.ts';
import { Lab } from '../../support/lab.ts';
import { type Case, check, type FuzzTarget, record } from '../case.ts';
import { frame } from '../frames.ts';
import { checksumsOf, spoiled } from '../oracles/checksums.ts';
import {
  type Decapsulated,
  referenceDecap,
  referenceEcn,
  referenceTakes,
  type TunnelFormat,
} from '../oracles/reference-tunnel.ts';
import type { Random } from '../random.ts';

// biome-ignore format: table
const FORMATS: readonly { format: TunnelFormat; type: number; isIpv6: boolean; port: number }[] = [
  { format: 'vxlan',     type: T.VXLAN,     isIpv6: false, port: 4789 },
  { format: 'vxlan',     type: T.VXLAN,     isIpv6: true,  port: 4789 },
  { format: 'vxlan-gbp', type: T.VXLAN,     isIpv6: false, port: 4790 },
  { format: 'geneve',    type: T.GENEVE,    isIpv6: false, port: 6081 },
  { format: 'geneve',    type: T.GENEVE,    isIpv6: true,  port: 6081 },
  { format: 'gre',       type: T.GRE,       isIpv6: false, port: 0 },
  { format: 'gre',       type: T.IP6GRE,    isIpv6: true,  port: 0 },
  { format: 'erspan',    type: T.ERSPAN,    isIpv6: false, port: 0 },
  { format: 'erspan',    type: T.IP6ERSPAN, isIpv6: true,  port: 0 },
];
/** Of the outer header: its congestion field, whether UDP has a checksum, how many words of options IPv4 has (GRE). */
const OUTER = { ECN: 3, HAS_CSUM: 4, OPTIONS: 3 } as const;
const MAX_SIZE = 4000;
const MARGIN = 256;
const lab = new Lab();

class FuzzSocket implements NativeTunnelSocket {
  readonly fd = -1;
  private wake: (() => void) | null = null;
  private waiting: { tos: number; payload: readonly number[]; fill: number } | undefined;

  receive(base: number, _stride: number, _max: number, info: Int32Array): number {
    const { waiting } = this;
    if (waiting === undefined) return 0;
    this.waiting = undefined;
    const { tos, payload, fill } = waiting;
    lab.arena.bytes.set(payload, base);
    lab.arena.bytes.fill(fill, base + payload.length, base + payload.length + MARGIN);
    info.fill(0, 0, TUNNEL_RX_WORDS);
    info.set([payload.length, 0x0a000001], 0);
    info[5] = 0x0a000002;
    info.set([5555, (tos << 8) | 64, 1], 9);
    return 1;
  }
  send(_list: Int32Array, n: number): number {
    return n;
  }
  poll(onReadable: (() => void) | null): void {
    this.wake = onReadable;
  }
  close(): void {}
  deliver(tos: number, payload: readonly number[], fill: number): void {
    this.waiting = { tos, payload, fill };
    this.wake?.();
  }
}

const sockets = new Map<string, FuzzSocket>();
const opened = (name: string): FuzzSocket => {
  const socket = new FuzzSocket();
  sockets.set(name, socket);
  return socket;
};
const tunnels = new Tunnels({
  arena: lab.arena,
  sockets: {
    openUdp: (ipv6, port) => [opened(`${ipv6} ${port} false`), opened(`${ipv6} ${port} true`)],
    openRaw: (ipv6, _protocol, hears) => opened(hears ? `${ipv6} 0 false` : 'sends'),
    source: () => 0,
  },
  clock: () => 0,
  openDevice: (name) => ({ name, ifindex: 7, close: () => {} }),
  portRange: [40000, 40000],
});

/** What a port delivered: the frame as it is, offloads beside it. */
interface Delivered {
  readonly port: TunnelPort;
  readonly bytes: readonly number[];
  readonly tun: TunnelInfo;
  readonly pkt: Packet;
}
const delivered: Delivered[] = [];
const [plain, offloading] = [
  lab.port(100, { takesOffloads: false, mtu: 9000 }),
  lab.port(101, { takesOffloads: true, mtu: 9000 }),
];

const portNumbers = new Map<string, number>();
for (const { type, port, format } of FORMATS) {
  const name = `${type}-${port}`;
  if (portNumbers.has(name)) continue;
  const portNo = 1 + portNumbers.size;
  portNumbers.set(name, portNo);
  const backend = tunnels.create(tunnelKind(type) as TunnelKind, `t${portNo}`, {
    dstPort: port,
    hasGbp: format === 'vxlan-gbp',
  });
  // Between the tunnel port and the datapath: looks, and hands on.
  const start = backend.start.bind(backend);
  backend.start = (events) =>
    start({
      receive: (pkt) => {
        const bytes = [...lab.arena.bytes.subarray(pkt.start, pkt.end)];
        const copy = Object.assign(Object.create(Object.getPrototypeOf(pkt)) as Packet, pkt);
        delivered.push({ port: backend, bytes, tun: backend.rxTunnel.slice(), pkt: copy });
        events.receive(pkt);
      },
      batchEnd: () => events.batchEnd(),
    });
  lab.dp.addVport({ portNo, type, name: backend.name, backend, upcallPids: [1] });
  const [key, mask] = [newFlowKey(), newFlowKey()];
  key[FIELD.inPort.word] = portNo;
  setFieldOnes(mask, FIELD.inPort);
  lab.dp.table.insert({ key, mask, program: compileList([...output(100), ...output(101)], key) });
}

const PROTOCOLS = new Set([1, 6, 17, 58, 132]);
const hexOf = (bytes: readonly number[]): string => Buffer.from(bytes).toString('hex');
const FLAG_BITS = {
  ...{ KEY: TUN_F.KEY, CSUM: TUN_F.CSUM, OAM: TUN_F.OAM, CRIT: TUN_F.CRIT },
  OPTIONS: TUN_F.GENEVE_OPTS | TUN_F.VXLAN_OPTS | TUN_F.ERSPAN_OPTS,
} as const;

function checkMetadata(tun: TunnelInfo, want: Decapsulated, tos: number, hasCsum: boolean): void {
  const flags = Object.entries(FLAG_BITS).flatMap(([name, bits]) => ((tunFlags(tun) & bits) !== 0 ? [name] : []));
  const wanted = [...want.flags, ...(hasCsum ? ['CSUM'] : [])].sort();
  check(flags.sort().join() === wanted.join(), () => `tunnel: flags ${flags.join()}, want ${wanted.join()}`);
  check(
    tun[TUN.ID] === 0 && tun[TUN.ID + 1]! >>> 0 === want.id,
    () => `tunnel: id ${tun[TUN.ID + 1]}, want ${want.id}`,
  );
  check(tunTos(tun) === tos, () => `tunnel: TOS ${tunTos(tun)}, want ${tos}`);
  const size = tunOptsSize(tun);
  const words = Array.from(tun.subarray(TUN.OPTS, TUN.OPTS + ((size + 3) >> 2)));
  const options = hexOf(words.flatMap((word) => be32(word)).slice(0, size));
  check(options === want.options, () => `tunnel: options ${options}, want ${want.options}`);
}

/** Offloads that were found must be of headers that are in the frame, and the checksum that of the pseudo header. */
function checkOffloads(pkt: Packet, bytes: readonly number[]): string {
  if (pkt.vnetFlags === 0 && pkt.gsoType === 0) return 'none';
  check(pkt.vnetFlags === VNET_F.NEEDS_CSUM, 'tunnel: a super-packet without partial checksum');
  const l3 = bytes[12] === 0x81 || bytes[12] === 0x88 ? 18 : 14;
  const isV4 = bytes[l3 - 2] === 0x08;
  const hlen = isV4 ? (bytes[l3]! & 15) * 4 : 40;
  check(bytes[l3]! >> 4 === (isV4 ? 4 : 6), 'tunnel: offloads of another version of IP');
  check(
    hlen >= 20 && pkt.csumStart === l3 + hlen,
    () => `tunnel: checksum from ${pkt.csumStart}, IP header of ${hlen}`,
  );
  const proto = bytes[l3 + (isV4 ? 9 : 6)]!;
  const isTcp = proto === 6;
  check(isTcp || proto === 17, () => `tunnel: offloads of protocol ${proto}`);
  check(pkt.csumOffset === (isTcp ? 16 : 6), () => `tunnel: checksum at ${pkt.csumOffset}`);
  const l4 = pkt.csumStart;
  check(l4 + (isTcp ? 20 : 8) <= bytes.length, 'tunnel: offloads of a header that is not there');
  const size = isV4 ? bytes[l3 + 2]! * 256 + bytes[l3 + 3]! - hlen : bytes[l3 + 4]! * 256 + bytes[l3 + 5]!;
  const addresses = bytes.slice(l3 + (isV4 ? 12 : 8), l3 + (isV4 ? 20 : 40));
  const sum = bytes[l4 + pkt.csumOffset]! * 256 + bytes[l4 + pkt.csumOffset + 1]!;
  check(sum === sum16([...addresses, 0, proto, ...be16(size)]), 'tunnel: a checksum that is not partial');
  if (pkt.gsoType === 0) return `${isV4} ${proto}`;
  check(isTcp && pkt.gsoType === (isV4 ? VNET_GSO.TCPV4 : VNET_GSO.TCPV6), () => `tunnel: GSO ${pkt.gsoType}`);
  const doff = (bytes[l4 + 12]! >> 4) * 4;
  check(l4 + size === bytes.length, 'tunnel: padding would become payload of a segment');
  check(pkt.gsoSize > 0 && pkt.hdrLen === l4 + doff, 'tunnel: GSO sizes');
  check(doff >= 20 && pkt.hdrLen <= bytes.length, () => `tunnel: headers of ${pkt.hdrLen} bytes, TCP ${doff}`);
  return `gso ${isV4}`;
}

/** Whether frames are the same, but for the checksum of an IPv4 header that was marked: spoiled() looks after that. */
function isSame(want: readonly number[], got: readonly number[]): boolean {
  const isMarked = want[12] === 0x08 && want[13] === 0 && (want[15]! & 1) === 1;
  return want.length === got.length && want.every((byte, i) => byte === got[i] || (isMarked && (i === 24 || i === 25)));
}

/** Delivers one packet; what happened in words. */
function receive(r: Uint8Array): string[] {
  const spec = FORMATS[r[0]! % FORMATS.length]!;
  const { format, type, isIpv6, port } = spec;
  const outer = r[1] ?? 0;
  const isGre = port === 0;
  const body = [...r.subarray(2, 2 + MAX_SIZE)];
  const nOptions = isGre && !isIpv6 ? (outer >> OUTER.OPTIONS) & 15 : 0;
  const ipHeader =
    isGre && !isIpv6
      ? [0x40 | Math.min(15, 5 + nOptions), ...Array<number>(19 + 4 * Math.min(10, nOptions)).fill(0)]
      : [];
  const hasCsum = !isGre && (outer & OUTER.HAS_CSUM) !== 0;
  const tos = 0x10 | (outer & OUTER.ECN);
  const socket = sockets.get(`${isIpv6} ${port} ${hasCsum}`)!;
  const backend = lab.vport(portNumbers.get(`${type}-${port}`)!).backend;
  const isErspan = format === 'erspan';
  const { rxPackets, rxErrors } = backend.stats();
  const before = lab.arena.available;

  const runs = [0x00, 0xff].map((fill) => {
    delivered.length = plain.sent.length = offloading.sent.length = lab.upcalls.length = 0;
    socket.deliver(tos, [...ipHeader, ...body], fill);
    const [only, ...others] = delivered;
    check(others.length === 0, 'tunnel: one packet became several');
    return {
      only,
      plain: plain.sent.map((s) => hexOf([...s.bytes])),
      offloading: offloading.sent.map((s) => [...s.bytes]),
    };
  });
  const [first, second] = [runs[0]!, runs[1]!];
  check(lab.arena.available === before, 'tunnel: slots were lost');
  check(
    hexOf(first.only?.bytes ?? []) === hexOf(second.only?.bytes ?? []) && first.plain.join() === second.plain.join(),
    'tunnel: looks behind the end',
  );

  const now = backend.stats();
  const [nGood, nBad] = [Number(now.rxPackets - rxPackets), Number(now.rxErrors - rxErrors)];
  const want = referenceDecap(format, body);
  const name = `${format} ${isIpv6}`;
  const { only } = first;
  if (only === undefined) {
    check(nGood === 0, 'tunnel: counted what it did not deliver');
    if (want === 'bad' || want === 'other') {
      check(
        body.length === 0 || nBad === (want === 'bad' ? 2 : 0),
        () => `tunnel: ${nBad} errors counted for what is ${want}`,
      );
      return [`${name} ${want} ${Math.min(body.length, 16)}`];
    }
    const inner = body.slice(want.at);
    const isGood = referenceTakes(inner) && referenceEcn(tos, inner) !== undefined;
    check(!isGood && nBad === 2, () => `tunnel: ${format}: drops what the kernel does not`);
    return [`${name} inner ${inner.length < 14}`];
  }
  if (only.port !== backend) {
    // GRE's ports share a socket, and go by the type of what is in it.
    check(isGre && want === 'other', () => `tunnel: a packet for ${backend.name} came to ${only.port.name}`);
    return [`${name} to ${only.port.name}`];
  }
  check(typeof want !== 'string', () => `tunnel: ${format}: takes a packet that is ${String(want)}`);
  check(nGood === 2 && nBad === 0, () => `tunnel: counted ${nGood} packets, ${nBad} errors`);
  checkMetadata(only.tun, want, tos, hasCsum);
  check(referenceTakes(body.slice(want.at)), () => `tunnel: ${format}: takes a frame that is not whole`);
  const inner = referenceEcn(tos, body.slice(want.at));
  check(inner !== undefined && isSame(inner, only.bytes), 'tunnel: another frame than was sent');
  const sums = checksumsOf(body.slice(want.at));
  const wrong = spoiled(sums, checksumsOf(only.bytes));
  check(wrong === undefined, () => `tunnel: spoils the ${wrong}`);
  const offloads = checkOffloads(only.pkt, only.bytes);
  // What a port that takes no offloads is given has its checksums, or had wrong ones before.
  for (const hex of first.plain) {
    const sent = checksumsOf([...Buffer.from(hex, 'hex')]);
    if (offloads !== 'none') check(sent.l4 !== false, () => `tunnel: sent with a wrong checksum, offloads ${offloads}`);
    else check(spoiled(sums, sent) === undefined, 'tunnel: spoils a checksum on the way out');
  }
  if (first.offloading.length > 0) {
    check(hexOf(first.offloading[0]!) === hexOf(only.bytes), 'tunnel: changed on the way out');
  }
  const type2 = hexOf(only.bytes.slice(12, 14));
  const known = ['0800', '86dd', '8100', '0806'].includes(type2) ? type2 : 'other';
  return [
    `${name} ${want.flags.join()} ${isErspan ? want.options.slice(0, 2) : ''}`,
    `${format} at ${Math.min(want.at, 24)} ${hasCsum}`,
    `${known} sent ${Math.min(first.plain.length, 3)} ${first.offloading.length}`,
    `offloads ${offloads} ${first.plain.length > 1} ${known}`,
    `${known} ${PROTOCOLS.has(sums.proto) ? sums.proto : 0} ${sums.ip} ${sums.l4} ${(outer & OUTER.ECN) === OUTER.ECN}`,
  ];
}

/** Makes the checksum of a frame's TCP or UDP header partial, where it has one: as a peer between veths does. */
function partial(bytes: number[], random: Random): number[] {
  const isV4 = bytes[12] === 0x08;
  if (bytes.length < 54 || !(isV4 || bytes[12] === 0x86)) return bytes;
  const proto = bytes[isV4 ? 23 : 20]!;
  const l4 = isV4 ? 14 + (bytes[14]! & 15) * 4 : 54;
  const size = isV4 ? bytes[16]! * 256 + bytes[17]! - (l4 - 14) : bytes[18]! * 256 + bytes[19]!;
  if ((proto !== 6 && proto !== 17) || size < 8) return bytes;
  const at = l4 + (proto === 6 ? 16 : 6);
  if (at + 2 > bytes.length) return bytes;
  const addresses = isV4 ? bytes.slice(26, 34) : bytes.slice(22, 54);
  bytes.splice(at, 2, ...be16(sum16([...addresses, 0, proto, ...be16(size)])));
  if (random.oneIn(10)) bytes[random.below(Math.min(bytes.length, 60))] = random.byte();
  return bytes;
}

/** A TCP packet larger than any link, whose checksum is partial. */
function superPacket(random: Random): number[] {
  const isV4 = random.oneIn(2);
  const hlen = random.pick([20, 20, 24, 60, 16]);
  const size = random.pick([1500, 2000, 3000]);
  const tcp = [...be16(1), ...be16(2), ...be32(7), ...be32(8), (hlen >> 2) << 4, 0x18, ...be16(100), 0, 0, 0, 0];
  const segment = [...tcp, ...Array<number>(size).fill(5)];
  const ip4 = [0x45, 0, ...be16(20 + segment.length), 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
  ip4.splice(10, 2, ...be16(~sum16(ip4)));
  const ip6 = [0x60, 0, 0, 0, ...be16(segment.length), 6, 64, ...random.bytes(32)];
  return partial([...Array<number>(12).fill(2), ...(isV4 ? [8, 0, ...ip4] : [0x86, 0xdd, ...ip6]), ...segment], random);
}

function innerFrame(random: Random): number[] {
  const whole = random.oneIn(8) ? superPacket(random) : frame(random);
  return random.oneIn(3) ? partial(whole, random) : whole;
}

function greHeader(random: Random, type: number, body: readonly number[], needsSequence: boolean): number[] {
  const hasSum = random.oneIn(4);
  const hasKey = !needsSequence && random.oneIn(2);
  const hasSequence = needsSequence || random.oneIn(4);
  const bits =
    (hasSum ? 0x8000 : 0) |
    (hasKey ? 0x2000 : 0) |
    (hasSequence ? 0x1000 : 0) |
    (random.oneIn(16) ? random.byte() << 7 : 0);
  const all = [
    ...be16(bits),
    ...be16(type),
    ...(hasSum ? [0, 0, 0, 0] : []),
    ...(hasKey ? random.bytes(4) : []),
    ...(hasSequence ? random.bytes(4) : []),
    ...body,
  ];
  if (hasSum && !random.oneIn(8)) all.splice(4, 2, ...be16(~sum16([...all])));
  return all;
}

function payloadOf(format: TunnelFormat, random: Random): number[] {
  const inner = innerFrame(random);
  switch (format) {
    case 'vxlan':
    case 'vxlan-gbp': {
      const gbp = random.oneIn(2) ? [0x88, random.pick([0, 0x40, 0x08, 0x48]), ...random.bytes(2)] : [8, 0, 0, 0];
      return [...gbp, ...random.bytes(3), random.oneIn(10) ? random.byte() : 0, ...inner];
    }
    case 'geneve': {
      const options = random
        .list(4, () => {
          const words = random.oneIn(6) ? random.below(32) : random.below(4);
          return [...random.bytes(2), random.pick([0, 1, 0x80, 0xff]), words, ...random.bytes(4 * words)];
        })
        .flat();
      const words = Math.min(63, options.length >> 2);
      const type = random.oneIn(10) ? 0x0800 : 0x6558;
      return [
        words,
        random.pick([0, 0x80, 0x40, 0xc0, 0x3f]),
        ...be16(type),
        ...random.bytes(4),
        ...options.slice(0, 4 * words),
        ...inner,
      ];
    }
    case 'gre':
      return greHeader(random, random.oneIn(10) ? 0x0800 : 0x6558, inner, false);
    default: {
      const version = random.pick([1, 1, 2, 2, 0, 3]);
      const head = [(version << 4) | random.below(16), ...random.bytes(version === 2 ? 11 : 7)];
      return greHeader(random, random.pick([0x88be, 0x22eb]), [...head, ...inner], true);
    }
  }
}

export const tunnelTarget: FuzzTarget = {
  name: 'tunnel',

  generate(random: Random): Case {
    const kind = random.below(FORMATS.length);
    const all = [random.byte(), ...payloadOf(FORMATS[kind]!.format, random)];
    return [record(kind, random.oneIn(8) ? all.slice(0, 1 + random.below(all.length)) : all)];
  },

  run(records: Case): string[] {
    return records.slice(0, 8).flatMap(receive);
  },
};
