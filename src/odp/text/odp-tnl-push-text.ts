/**
 * Text of tnl_push, with which userspace datapaths push a whole tunnel header (kernels encapsulate in the port).
 *
 *     struct ovs_action_push_tnl:  u32 tnl_port, out_port, header_len, tnl_type;  then header_len bytes of
 *     Ethernet (14), IPv4 (20) or IPv6 (40), then UDP (8) and VXLAN (8), Geneve (8+) or GTP-U (8), or GRE (4+), or GRE and ERSPAN.
 *
 * All integers of the struct are in host order, those of the header in network order.
 * Source: lib/odp-util.c (format_odp_tnl_push_header, ovs_parse_tnl_push), lib/packets.h.
 */
import { formatIpv4, formatIpv6, formatMac } from '../../util/inet.ts';
import { beUint, hostUint, hostUintToBytes, uintToBytes } from './odp-attr-list.ts';
import { formatGeneveOptions } from './odp-format-tunnel.ts';
import { scanGeneveOptions } from './odp-parse-tunnel.ts';
import { hex } from './odp-text-kinds.ts';
import type { Scanner } from './odp-text-scan.ts';

/** enum ovs_vport_type, of those that push headers. */
const VPORT = { GRE: 3, VXLAN: 4, GENEVE: 5, ERSPAN: 107, IP6ERSPAN: 108, IP6GRE: 109, GTPU: 110 } as const;
const STRUCT_SIZE = 16;
const HEADER_MAX = 512;
const ETH_SIZE = 14;
const ETH_TYPE_IP = 0x0800;
const GRE_CSUM = 0x8000;
const GRE_KEY = 0x2000;
const GRE_SEQ = 0x1000;
const GRE_SEQ_SIZE = 8;

/** `payload` is that of the action; what it lacks reads as zeros. */
export function formatTnlPush(payload: Uint8Array, port: (portNo: number) => string): string {
  const header = payload.subarray(STRUCT_SIZE);
  const size = hostUint(payload, 8, 4);
  const type = hostUint(payload, 12, 4);
  const ports = [hostUint(payload, 0, 4), hostUint(payload, 4, 4)] as const;
  const ethType = beUint(header, 12, 2);
  const eth =
    `eth(dst=${formatMac(header, 0)},src=${formatMac(header, 6)},` +
    `dl_type=0x${ethType.toString(16).padStart(4, '0')})`;
  const isV4 = ethType === ETH_TYPE_IP;
  const ip = isV4 ? formatV4(header) : formatV6(header);
  const l4 = ETH_SIZE + (isV4 ? 20 : 40);
  const inner = formatEncapsulation(header, l4, type);
  return `tnl_push(tnl_port(${port(ports[0])}),header(size=${size},type=${type},${eth},${ip},${inner}),out_port(${port(ports[1])}))`;
}

function formatV4(h: Uint8Array): string {
  const at = ETH_SIZE;
  const [proto, tos, ttl] = [h[at + 9] ?? 0, h[at + 1] ?? 0, h[at + 8] ?? 0];
  const frag = beUint(h, at + 6, 2).toString(16);
  const addresses = `src=${formatIpv4(h, at + 12)},dst=${formatIpv4(h, at + 16)}`;
  return `ipv4(${addresses},proto=${proto},tos=${hex(tos)},ttl=${ttl},frag=0x${frag})`;
}

function formatV6(h: Uint8Array): string {
  const at = ETH_SIZE;
  const flow = beUint(h, at, 4);
  const tclass = ((flow >>> 20) & 0xff).toString(16);
  const addresses = `src=${formatIpv6(h, at + 8)},dst=${formatIpv6(h, at + 24)}`;
  return `ipv6(${addresses},label=${flow & 0xfffff},proto=${h[at + 6] ?? 0},tclass=0x${tclass},hlimit=${h[at + 7] ?? 0})`;
}

function formatEncapsulation(h: Uint8Array, l4: number, type: number): string {
  const udp = `udp(src=${beUint(h, l4, 2)},dst=${beUint(h, l4 + 2, 2)},csum=0x${beUint(h, l4 + 6, 2).toString(16)})`;
  const at = l4 + 8;
  const x = (offset: number, size: number) => `0x${beUint(h, offset, size).toString(16)}`;
  switch (type) {
    case VPORT.VXLAN:
      return `${udp},vxlan(flags=${x(at, 4)},vni=${x(at + 4, 3)})`;
    case VPORT.GENEVE: {
      const bits = h[at + 1] ?? 0;
      const size = ((h[at] ?? 0) & 0x3f) * 4;
      const options = size
        ? `,options(${formatGeneveOptions(h.subarray(at + 8, at + 8 + size), undefined, false)})`
        : '';
      return `${udp},geneve(${bits & 0x80 ? 'oam,' : ''}${bits & 0x40 ? 'crit,' : ''}vni=${x(at + 4, 3)}${options})`;
    }
    case VPORT.GTPU:
      return `${udp},gtpu(flags=${x(at, 1)},msgtype=${h[at + 1] ?? 0},teid=${x(at + 4, 4)})`;
    case VPORT.GRE:
    case VPORT.IP6GRE: {
      const flags = beUint(h, l4, 2);
      let text = `gre((flags=${x(l4, 2)},proto=${x(l4 + 2, 2)})`;
      let option = l4 + 4;
      if (flags & GRE_CSUM) text += `,csum=${x(option, 2)}`;
      if (flags & GRE_CSUM) option += 4;
      if (flags & GRE_KEY) text += `,key=${x(option, 4)}`;
      if (flags & GRE_KEY) option += 4;
      if (flags & GRE_SEQ) text += `,seq=${x(option, 4)}`;
      return `${text})`;
    }
    case VPORT.ERSPAN:
    case VPORT.IP6ERSPAN: {
      // Version 4 bits, VLAN 12, class of service ... , session id 10 bits; then the index, or what version 2 has.
      const base = l4 + GRE_SEQ_SIZE;
      const version = (h[base] ?? 0) >>> 4;
      const sid = `0x${(beUint(h, base + 2, 2) & 0x3ff).toString(16)}`;
      if (version === 1) return `erspan(ver=1,sid=${sid},idx=${x(base + 4, 4)})`;
      if (version !== 2) return '';
      const [high = 0, low = 0] = [h[base + 10], h[base + 11]];
      const hwid = ((high & 3) << 4) + (low >>> 4);
      return `erspan(ver=2,sid=${sid},dir=${(low >>> 3) & 1},hwid=0x${hwid.toString(16)})`;
    }
    default:
      return '';
  }
}

/** RFC 1071 sum of an IPv4 header. */
function checksum(bytes: Uint8Array, at: number, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i += 2) sum += beUint(bytes, at + i, 2);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/**
 * Reads `tnl_push(...)` and returns the payload of its action.  Undefined if it is not well-formed, or if the size and type that it
 * states are not those of the header that follows.
 */
export function parseTnlPush(s: Scanner): Uint8Array | undefined {
  const out = new Uint8Array(STRUCT_SIZE + HEADER_MAX);
  const h = out.subarray(STRUCT_SIZE);
  const tnlPort = s.match('tnl_push(tnl_port({i32}),')?.[0];
  const head = s.match('header(size={i32},type={i32},eth(dst={mac},src={mac},dl_type=0x{x16}),');
  if (tnlPort === undefined || !head) return undefined;
  const [size = 0n, type = 0n, dst = 0n, src = 0n, ethType = 0n] = head;
  uintToBytes(dst, h, 0, 6);
  uintToBytes(src, h, 6, 6);
  uintToBytes(ethType, h, 12, 2);
  const isV4 = Number(ethType) === ETH_TYPE_IP;
  if (!(isV4 ? parseV4(s, h) : parseV6(s, h))) return undefined;
  const found = parseEncapsulation(s, h, ETH_SIZE + (isV4 ? 20 : 40), isV4);
  if (!found || found.type !== Number(type) || found.end !== Number(size)) return undefined;
  const outPort = s.match(',out_port({i32}))')?.[0];
  if (outPort === undefined) return undefined;
  hostUintToBytes(tnlPort, out, 0, 4);
  hostUintToBytes(outPort, out, 4, 4);
  hostUintToBytes(size, out, 8, 4);
  hostUintToBytes(type, out, 12, 4);
  return out.slice(0, STRUCT_SIZE + found.end);
}

function parseV4(s: Scanner, h: Uint8Array): boolean {
  const v = s.match('ipv4(src={ip},dst={ip},proto={i8},tos={i8},ttl={i8},frag=0x{x16}),');
  if (!v) return false;
  const [src = 0n, dst = 0n, proto = 0n, tos = 0n, ttl = 0n, frag = 0n] = v;
  const at = ETH_SIZE;
  h[at] = 0x45;
  h[at + 1] = Number(tos);
  uintToBytes(frag, h, at + 6, 2);
  h[at + 8] = Number(ttl);
  h[at + 9] = Number(proto);
  uintToBytes(src, h, at + 12, 4);
  uintToBytes(dst, h, at + 16, 4);
  uintToBytes(BigInt(checksum(h, at, 20)), h, at + 10, 2);
  return true;
}

function parseV6(s: Scanner, h: Uint8Array): boolean {
  const v = s.match('ipv6(src={ip6},dst={ip6},label={i32},proto={i8},tclass=0x{x8},hlimit={i8}),');
  if (!v) return false;
  const [src = 0n, dst = 0n, label = 0n, proto = 0n, tclass = 0n, hlimit = 0n] = v;
  if (label > 0xfffffn) return false;
  const at = ETH_SIZE;
  uintToBytes((6n << 28n) | (tclass << 20n) | label, h, at, 4);
  h[at + 6] = Number(proto);
  h[at + 7] = Number(hlimit);
  uintToBytes(src, h, at + 8, 16);
  uintToBytes(dst, h, at + 24, 16);
  return true;
}

interface Encapsulation {
  readonly type: number;
  /** Bytes of the whole header. */
  readonly end: number;
}

function parseEncapsulation(s: Scanner, h: Uint8Array, l4: number, isV4: boolean): Encapsulation | undefined {
  const udp = s.match('udp(src={i16},dst={i16},csum=0x{x16}),');
  if (udp) {
    const [src = 0n, dst = 0n, csum = 0n] = udp;
    uintToBytes(src, h, l4, 2);
    uintToBytes(dst, h, l4 + 2, 2);
    uintToBytes(csum, h, l4 + 6, 2);
    const vxlan = s.match('vxlan(flags=0x{x32},vni=0x{x32}))');
    if (!vxlan) return s.lit('geneve(') ? parseGeneveHeader(s, h, l4 + 8) : undefined;
    uintToBytes(vxlan[0] ?? 0n, h, l4 + 8, 4);
    uintToBytes((vxlan[1] ?? 0n) << 8n, h, l4 + 12, 4);
    return { type: VPORT.VXLAN, end: l4 + 16 };
  }
  const gre = s.match('gre((flags=0x{x16},proto=0x{x16})');
  if (gre) return parseGre(s, h, l4, isV4, gre[0] ?? 0n, gre[1] ?? 0n);
  // The tools print a UDP header before this and read none.
  const gtpu = s.match('gtpu(flags={i8},msgtype={u8},teid=0x{x32}))');
  if (!gtpu) return undefined;
  h[l4 + 8] = Number(gtpu[0]);
  h[l4 + 9] = Number(gtpu[1]);
  uintToBytes(gtpu[2] ?? 0n, h, l4 + 12, 4);
  return { type: VPORT.GTPU, end: l4 + 16 };
}

function parseGeneveHeader(s: Scanner, h: Uint8Array, at: number): Encapsulation | undefined {
  const oam = s.lit('oam,') ? 0x80 : 0;
  const crit = s.lit('crit,') ? 0x40 : 0;
  const vni = s.match('vni={i32}')?.[0];
  if (vni === undefined) return undefined;
  let size = 0;
  if (s.lit(',options(')) {
    const options = scanGeneveOptions(s, false);
    if (!options) return undefined;
    h.set(options.key, at + 8);
    size = options.key.length;
  }
  if (!s.lit('))')) return undefined;
  h[at] = size / 4;
  h[at + 1] = oam | crit;
  uintToBytes(0x6558n, h, at + 2, 2); // Ethernet inside.
  uintToBytes(vni << 8n, h, at + 4, 4);
  return { type: VPORT.GENEVE, end: at + 8 + size };
}

function parseGre(
  s: Scanner,
  h: Uint8Array,
  l4: number,
  isV4: boolean,
  flags: bigint,
  proto: bigint,
): Encapsulation | undefined {
  uintToBytes(flags, h, l4, 2);
  uintToBytes(proto, h, l4 + 2, 2);
  let at = l4 + 4;
  // biome-ignore format: table
  const options = [
    { bit: GRE_CSUM, pattern: ',csum=0x{x16}', size: 2 },
    { bit: GRE_KEY,  pattern: ',key=0x{x32}',  size: 4 },
    { bit: GRE_SEQ,  pattern: ',seq=0x{x32}',  size: 4 },
  ];
  for (const { bit, pattern, size } of options) {
    if (!(Number(flags) & bit)) continue;
    const value = s.match(pattern)?.[0];
    if (value === undefined) return undefined;
    uintToBytes(value, h, at, size);
    at += 4;
  }
  return s.lit('))') ? { type: isV4 ? VPORT.GRE : VPORT.IP6GRE, end: at } : undefined;
}
