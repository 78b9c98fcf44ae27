/**
 * Frames by grammar: link layers, IP with options and extension headers, transport, what is in tunnels.  Addresses and ports
 * come from small sets, so that frames meet in flows and connections.  Most checksums are right; some frames are damaged.
 */
import { be16, be32 } from '../support/action-bytes.ts';
import { eth, icmpv6, ipv4, ipv4With, ipv6, ipv6With, sum16, udp } from '../support/frames.ts';
import { crc32c } from './oracles/checksums.ts';
import type { Random } from './random.ts';

const V4 = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '192.168.7.7', '0.0.0.0', '224.0.0.1', '255.255.255.255'];
const V6 = ['fe80::1', 'fe80::2', 'fd00::3', '2001:db8::4', '::', 'ff02::1'];
const PORTS = [0, 1, 20, 21, 53, 69, 80, 1024, 2000, 2001, 40000, 65535];
export const TCP_FLAGS = [0x02, 0x12, 0x10, 0x18, 0x11, 0x14, 0x04, 0x01, 0, 0x3f, 0x52, 0xc2];
const SEQS = [0, 1, 2, 1000, 1001, 0x7fffffff, 0x80000000, 0xffffffff];
const TYPES = [0x0800, 0x86dd, 0x0806, 0x8035, 0x8847, 0x8848, 0x894f, 0x88cc, 0x05dc, 0x0600, 0x8100, 0x88a8, 0x6558];

export const port = (random: Random): number => random.pick(PORTS);
export const v4 = (random: Random): string => random.pick(V4.slice(0, random.oneIn(6) ? V4.length : 4));
export const v6 = (random: Random): string => random.pick(V6.slice(0, random.oneIn(6) ? V6.length : 4));
const payload = (random: Random): number[] => random.bytes(random.oneIn(12) ? random.below(1400) : random.below(40));
const tos = (random: Random): number => random.pick([0, 1, 2, 3, 0x10, 0xb8, 0xff]);
const ttl = (random: Random): number => random.pick([64, 64, 255, 1, 2, 0]);

function tcpOptions(random: Random): number[] {
  const list = random
    .list(3, () =>
      random.pick([
        [1],
        [2, 4, 5, 0xb4],
        [3, 3, random.byte()],
        [4, 2],
        [5, 10, ...random.bytes(8)],
        [8, 10, ...random.bytes(8)],
        [0],
        random.bytes(3),
      ]),
    )
    .flat();
  while (list.length % 4 !== 0) list.push(random.pick([0, 1]));
  return list.slice(0, 40);
}

/** Transport, with everything but the pseudo header. */
function transport(random: Random): {
  srcPort: number;
  dstPort: number;
  flags: number;
  seq: number;
  payload: number[];
  options: number[];
} {
  return {
    srcPort: port(random),
    dstPort: port(random),
    flags: random.pick(TCP_FLAGS),
    seq: random.pick(SEQS),
    payload: payload(random),
    options: random.oneIn(3) ? tcpOptions(random) : [],
  };
}

export function sctp(random: Random): number[] {
  const chunks = random
    .list(3, () => {
      const body = random.bytes(4 * random.below(6));
      return [
        random.pick([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 200]),
        random.byte(),
        ...be16(4 + body.length),
        ...body,
      ];
    })
    .flat();
  const all = [...be16(port(random)), ...be16(port(random)), ...be32(random.pick(SEQS)), 0, 0, 0, 0, ...chunks];
  const crc = crc32c(all);
  all.splice(8, 4, crc & 0xff, (crc >>> 8) & 0xff, (crc >>> 16) & 0xff, crc >>> 24);
  return all;
}

export function icmp(random: Random, quoted: readonly number[]): number[] {
  const type = random.pick([8, 0, 3, 3, 11, 12, 5, 13, 14, 17, 4, 200]);
  const isError = type === 3 || type === 11 || type === 12 || type === 5 || type === 4;
  const body = isError ? quoted.slice(0, random.pick([28, 28, 20, 64])) : payload(random);
  const all = [type, random.below(16), 0, 0, ...be16(random.below(4)), ...be16(random.below(4)), ...body];
  all.splice(2, 2, ...be16(~sum16(all)));
  return all;
}

function nd(random: Random): number[] {
  const options = random
    .list(3, () => {
      const units = random.pick([1, 1, 1, 2, 0]);
      return [random.pick([1, 2, 3, 14]), units, ...random.bytes(Math.max(8 * units, 8) - 2)];
    })
    .flat();
  return [
    random.pick([135, 136]),
    random.pick([0, 0, 0, 1]),
    0,
    0,
    ...random.bytes(4),
    ...random.bytes(16),
    ...options,
  ];
}

function icmp6Body(random: Random, quoted: readonly number[]): number[] {
  switch (random.below(4)) {
    case 0:
      return [random.pick([128, 129]), 0, 0, 0, ...be16(random.below(4)), ...be16(random.below(4)), ...payload(random)];
    case 1:
      return [
        random.pick([1, 2, 3, 4]),
        random.below(4),
        0,
        0,
        0,
        0,
        0,
        0,
        ...quoted.slice(0, random.pick([48, 48, 40, 100])),
      ];
    case 2:
      return nd(random);
    default:
      return [random.byte(), random.byte(), 0, 0, ...payload(random)];
  }
}

export function ipv4Packet(random: Random, depth = 0): number[] {
  const f = {
    src: v4(random),
    dst: v4(random),
    tos: tos(random),
    ttl: ttl(random),
    id: random.below(3),
    frag: random.pick([0, 0, 0, 0, 0x4000, 0x2000, 0x2001, 2, 0x8000, random.below(0x10000)]),
    options: random.oneIn(6) ? [...random.pick([[7, 4, 4, 0], [0x94, 4, 0, 0], [1, 1, 1, 0], random.bytes(8)])] : [],
  };
  const quoted = depth > 0 ? [] : ipv4Packet(random, 1);
  switch (random.below(9)) {
    case 0:
    case 1:
      return ipv4With(6, transport(random), f);
    case 2:
    case 3:
      return ipv4With(17, transport(random), f);
    case 4:
      return ipv4(132, sctp(random), f);
    case 5:
    case 6:
      return ipv4(1, icmp(random, quoted), f);
    case 7:
      return ipv4(random.pick([2, 47, 136, 58, 4, 50, 255]), payload(random), f);
    default:
      // No transport checksum.
      return ipv4(17, udp(transport(random)), f);
  }
}

/** Extension headers before `next`: [type of the first, bytes]. */
function extensions(random: Random, next: number): [number, number[]] {
  let type = next;
  let bytes: number[] = [];
  for (let n = random.below(4); n > 0; n--) {
    const kind = random.pick([0, 43, 60, 44, 44, 51, 59]);
    if (kind === 44) {
      const offset = random.pick([0, 0, 1, 8, 9, 16, 0xfff8, random.below(0x10000)]);
      bytes = [type, 0, ...be16(offset), ...be32(random.below(3)), ...bytes];
    } else {
      const units = random.pick([0, 0, 1, 2, 255]);
      const size = kind === 51 ? (units + 2) * 4 : (units + 1) * 8;
      bytes = [type, units, ...random.bytes(Math.min(size, 32) - 2), ...bytes];
    }
    type = kind;
  }
  return [type, bytes];
}

export function ipv6Packet(random: Random, depth = 0): number[] {
  const f = {
    src: v6(random),
    dst: v6(random),
    tclass: tos(random),
    hlimit: ttl(random),
    label: random.pick([0, 1, 0xfffff]),
  };
  const quoted = depth > 0 ? [] : ipv6Packet(random, 1);
  let whole: number[];
  switch (random.below(6)) {
    case 0:
    case 1:
      whole = ipv6With(6, transport(random), f);
      break;
    case 2:
      whole = ipv6With(17, transport(random), f);
      break;
    case 3:
      whole = ipv6(132, sctp(random), f);
      break;
    case 4:
      whole = icmpv6(icmp6Body(random, quoted), f);
      break;
    default:
      whole = ipv6(random.pick([2, 47, 136, 1, 59, 255]), payload(random), f);
  }
  if (!random.oneIn(3)) return whole;
  const [type, bytes] = extensions(random, whole[6]!);
  const all = [...whole.slice(0, 40), ...bytes, ...whole.slice(40)];
  all.splice(4, 3, ...be16(all.length - 40), type);
  return all;
}

function arp(random: Random): number[] {
  const head = random.oneIn(8) ? random.bytes(6) : [0, 1, 8, 0, 6, 4];
  return [...head, ...be16(random.pick([1, 2, 3, 255, 256])), ...random.bytes(20)];
}

function mpls(random: Random): number[] {
  const labels = random.list(4, () => be32((random.u32() & ~0x100) >>> 0)).flat();
  const bottom = random.oneIn(6) ? [] : be32((random.u32() | 0x100) >>> 0);
  return [...labels, ...bottom, ...(random.oneIn(2) ? ipv4Packet(random) : ipv6Packet(random))];
}

function nsh(random: Random, depth: number): number[] {
  const mdtype = random.pick([1, 1, 2, 3]);
  const md = mdtype === 1 ? random.bytes(16) : random.bytes(4 * random.below(4));
  const next = random.pick([1, 2, 3, 4, 5, 0]);
  const words = random.oneIn(10) ? random.below(64) : 2 + md.length / 4;
  const first = (random.pick([0, 0, 0, 1]) << 14) | (random.below(4) << 12) | (random.below(64) << 6) | words;
  const inner =
    next === 1 ? ipv4Packet(random) : next === 2 ? ipv6Packet(random) : depth > 0 ? [] : frame(random, depth + 1);
  return [...be16(first), mdtype, next, ...random.bytes(4), ...md, ...inner];
}

function network(random: Random, type: number, depth: number): number[] {
  switch (type) {
    case 0x0800:
      return ipv4Packet(random);
    case 0x86dd:
      return ipv6Packet(random);
    case 0x0806:
    case 0x8035:
      return arp(random);
    case 0x8847:
    case 0x8848:
      return mpls(random);
    case 0x894f:
      return nsh(random, depth);
    default:
      return payload(random);
  }
}

/** An Ethernet frame. */
export function frame(random: Random, depth = 0): number[] {
  const type = random.oneIn(2) ? random.pick([0x0800, 0x86dd]) : random.pick(TYPES);
  const tags = random
    .list(
      random.oneIn(3) ? 3 : 0,
      () => [random.pick([0x8100, 0x88a8]), random.pick([0, 1, 0xfff, 0x1fff, 0xe001])] as const,
    )
    .map((tag) => tag);
  const body = network(random, type, depth);
  const snap = [0xaa, 0xaa, 3, 0, 0, 0, ...be16(type)];
  const whole = random.oneIn(20) ? eth(snap.length + body.length, [...snap, ...body], tags) : eth(type, body, tags);
  if (random.oneIn(8)) whole.splice(0, 6, ...random.pick([Array<number>(6).fill(255), [1, 0, 0x5e, 0, 0, 1]]));
  return random.oneIn(4) ? damaged(random, whole) : whole;
}

/** Cut, padded, or with a few bytes changed. */
export function damaged(random: Random, whole: readonly number[]): number[] {
  const all = [...whole];
  switch (random.below(4)) {
    case 0:
      return all.slice(0, random.below(all.length + 1));
    case 1:
      return [...all, ...random.bytes(random.below(50))];
    default:
      for (let n = 1 + random.below(3); n > 0; n--) all[random.below(all.length)] = random.byte();
      return all;
  }
}
