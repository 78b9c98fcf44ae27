/** Builds frames for tests: headers as byte arrays, checksums filled in.  Not used by the product. */

export const bytes = (hex: string): number[] => [...Buffer.from(hex.replace(/[^0-9a-f]/gi, ''), 'hex')];
const be16 = (v: number) => [(v >>> 8) & 0xff, v & 0xff];
const be32 = (v: number) => [v >>> 24, (v >>> 16) & 0xff, (v >>> 8) & 0xff, v & 0xff];

/** RFC 1071 over a byte array; `sum` is what was summed before.  The slow and obvious way, to compare with. */
export function sum16(data: readonly number[], sum = 0): number {
  for (let i = 0; i < data.length; i += 2) sum += (data[i]! << 8) | (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
const inverse = (sum: number) => ~sum & 0xffff;

export const DST = '02 00 00 00 00 02';
export const SRC = '02 00 00 00 00 01';

/** An Ethernet frame; `tags` are [TPID, TCI] from the outermost. */
export function eth(
  type: number,
  payload: readonly number[],
  tags: readonly (readonly [number, number])[] = [],
): number[] {
  return [
    ...bytes(DST),
    ...bytes(SRC),
    ...tags.flatMap(([t, c]) => [...be16(t), ...be16(c)]),
    ...be16(type),
    ...payload,
  ];
}

export const ip4 = (text: string): number[] => text.split('.').map(Number);
/** IPv6 from 8 colon-separated groups or with one "::". */
export function ip6(text: string): number[] {
  const [head = '', tail] = text.split('::');
  const a = head === '' ? [] : head.split(':');
  const b = tail === undefined || tail === '' ? [] : tail.split(':');
  const fill = tail === undefined ? 0 : 8 - a.length - b.length;
  return [...a, ...Array<string>(fill).fill('0'), ...b].flatMap((g) => be16(Number.parseInt(g, 16)));
}

export interface Ipv4Fields {
  src?: string;
  dst?: string;
  tos?: number;
  ttl?: number;
  frag?: number;
  id?: number;
  options?: readonly number[];
}
export function ipv4(proto: number, payload: readonly number[], f: Ipv4Fields = {}): number[] {
  const options = f.options ?? [];
  const hlen = 20 + options.length;
  const head = [
    0x40 | (hlen >> 2),
    f.tos ?? 0,
    ...be16(hlen + payload.length),
    ...be16(f.id ?? 1),
    ...be16(f.frag ?? 0),
    f.ttl ?? 64,
    proto,
    0,
    0,
    ...ip4(f.src ?? '10.0.0.1'),
    ...ip4(f.dst ?? '10.0.0.2'),
    ...options,
  ];
  head.splice(10, 2, ...be16(inverse(sum16(head))));
  return [...head, ...payload];
}

export interface Ipv6Fields {
  src?: string;
  dst?: string;
  tclass?: number;
  label?: number;
  hlimit?: number;
}
/** `next` is the type of the first header in `payload`. */
export function ipv6(next: number, payload: readonly number[], f: Ipv6Fields = {}): number[] {
  const flow = 0x60000000 + (f.tclass ?? 0) * 0x100000 + (f.label ?? 0);
  return [
    ...be32(flow),
    ...be16(payload.length),
    next,
    f.hlimit ?? 64,
    ...ip6(f.src ?? 'fe80::1'),
    ...ip6(f.dst ?? 'fe80::2'),
    ...payload,
  ];
}

/** What a TCP, UDP or ICMPv6 checksum covers before its own bytes. */
const pseudo = (src: readonly number[], dst: readonly number[], proto: number, size: number) =>
  sum16([...src, ...dst, 0, proto, ...be16(size)]);

export interface TransportFields {
  srcPort?: number;
  dstPort?: number;
  flags?: number;
  seq?: number;
  payload?: readonly number[];
  options?: readonly number[];
  /** Pseudo header sum; without one the checksum is left 0. */
  sum?: number;
}
export function tcp(f: TransportFields = {}): number[] {
  const options = f.options ?? [];
  const head = [
    ...be16(f.srcPort ?? 1000),
    ...be16(f.dstPort ?? 80),
    ...be32(f.seq ?? 1),
    ...be32(2),
    ...be16((((20 + options.length) >> 2) << 12) | (f.flags ?? 0x10)),
    ...be16(512),
    0,
    0,
    0,
    0,
    ...options,
  ];
  const all = [...head, ...(f.payload ?? [])];
  if (f.sum !== undefined) all.splice(16, 2, ...be16(inverse(sum16(all, f.sum))));
  return all;
}
export function udp(f: TransportFields = {}): number[] {
  const payload = f.payload ?? [];
  const all = [...be16(f.srcPort ?? 1000), ...be16(f.dstPort ?? 53), ...be16(8 + payload.length), 0, 0, ...payload];
  if (f.sum !== undefined) all.splice(6, 2, ...be16(inverse(sum16(all, f.sum)) || 0xffff));
  return all;
}

/** An IPv4 or IPv6 packet with TCP, UDP or ICMPv6 in it and all checksums right. */
export function ipv4With(proto: 6 | 17, t: TransportFields = {}, f: Ipv4Fields = {}): number[] {
  const size = (proto === 6 ? tcp(t) : udp(t)).length;
  const sum = pseudo(ip4(f.src ?? '10.0.0.1'), ip4(f.dst ?? '10.0.0.2'), proto, size);
  return ipv4(proto, proto === 6 ? tcp({ ...t, sum }) : udp({ ...t, sum }), f);
}
export function ipv6With(proto: 6 | 17, t: TransportFields = {}, f: Ipv6Fields = {}): number[] {
  const size = (proto === 6 ? tcp(t) : udp(t)).length;
  const sum = pseudo(ip6(f.src ?? 'fe80::1'), ip6(f.dst ?? 'fe80::2'), proto, size);
  return ipv6(proto, proto === 6 ? tcp({ ...t, sum }) : udp({ ...t, sum }), f);
}
export function icmpv6(body: readonly number[], f: Ipv6Fields = {}): number[] {
  const sum = pseudo(ip6(f.src ?? 'fe80::1'), ip6(f.dst ?? 'fe80::2'), 58, body.length);
  const all = [...body];
  all.splice(2, 2, ...be16(inverse(sum16(all, sum))));
  return ipv6(58, all, f);
}

/** Whether the IPv4 header checksum and the TCP, UDP or ICMPv6 checksum of an untagged frame are right. */
export function checksumsAreRight(frame: readonly number[], l3 = 14): boolean {
  const version = frame[l3]! >> 4;
  const l4 = version === 4 ? l3 + (frame[l3]! & 15) * 4 : l3 + 40;
  if (version === 4 && sum16(frame.slice(l3, l4)) !== 0xffff) return false;
  const proto = version === 4 ? frame[l3 + 9]! : frame[l3 + 6]!;
  const end =
    version === 4 ? l3 + ((frame[l3 + 2]! << 8) | frame[l3 + 3]!) : l4 + ((frame[l3 + 4]! << 8) | frame[l3 + 5]!);
  const segment = frame.slice(l4, end);
  const src = version === 4 ? frame.slice(l3 + 12, l3 + 16) : frame.slice(l3 + 8, l3 + 24);
  const dst = version === 4 ? frame.slice(l3 + 16, l3 + 20) : frame.slice(l3 + 24, l3 + 40);
  if (proto !== 6 && proto !== 17 && proto !== 58) return true;
  return sum16(segment, pseudo(src, dst, proto, segment.length)) === 0xffff;
}
