/**
 * Whether a flow, as a client dumps it, is for a frame: each attribute of its mask compared byte by byte with what the reference
 * says of the frame.  To compare the flow table with, and the reading and writing of keys.
 * Source: include/uapi/linux/openvswitch.h (enum ovs_key_attr and its structs), net/openvswitch/flow_netlink.c.
 */
import type { FieldName } from '../../../src/flow/fields.ts';
import type { ReferenceKey } from './reference-key.ts';

type Attrs = ReadonlyMap<number, Uint8Array>;

// biome-ignore format: numbers and names, as in the header
const A = {
  ENCAP: 1, IN_PORT: 3, ETHERNET: 4, VLAN: 5, ETHERTYPE: 6, IPV4: 7, IPV6: 8, TCP: 9, UDP: 10, ICMP: 11, ICMPV6: 12, ARP: 13, ND: 14,
  TCP_FLAGS: 18, SCTP: 17, MPLS: 21, NSH: 28, IPV6_EXTHDRS: 32,
};
/** Fields of an attribute, one after the other, with their bytes there. */
// biome-ignore format: a struct a line
const STRUCTS: Record<number, readonly (readonly [FieldName, number])[]> = {
  [A.ETHERNET]: [['ethSrc', 6], ['ethDst', 6]],
  [A.IPV4]: [['nwSrc', 4], ['nwDst', 4], ['nwProto', 1], ['nwTos', 1], ['nwTtl', 1], ['nwFrag', 1]],
  [A.IPV6]: [['ipv6Src', 16], ['ipv6Dst', 16], ['ipv6Label', 4], ['nwProto', 1], ['nwTos', 1], ['nwTtl', 1], ['nwFrag', 1]],
  [A.TCP]: [['tpSrc', 2], ['tpDst', 2]],
  [A.UDP]: [['tpSrc', 2], ['tpDst', 2]],
  [A.SCTP]: [['tpSrc', 2], ['tpDst', 2]],
  [A.ICMP]: [['tpSrc', 1], ['tpDst', 1]],
  [A.ICMPV6]: [['tpSrc', 1], ['tpDst', 1]],
  [A.ARP]: [['nwSrc', 4], ['nwDst', 4], ['nwProto', 2], ['arpSha', 6], ['arpTha', 6]],
  [A.ND]: [['ndTarget', 16], ['arpSha', 6], ['arpTha', 6]],
  [A.TCP_FLAGS]: [['tcpFlags', 2]],
  [A.MPLS]: [['mplsLse0', 4], ['mplsLse1', 4], ['mplsLse2', 4]],
};
const NSH_NESTS: Record<number, readonly (readonly [FieldName, number])[]> = {
  1: [
    ['nshFlags', 1],
    ['nshTtl', 1],
    ['nshMdtype', 1],
    ['nshNp', 1],
    ['nshPathHdr', 4],
  ],
  2: [
    ['nshC1', 4],
    ['nshC2', 4],
    ['nshC3', 4],
    ['nshC4', 4],
  ],
};
/** What a key without ETHERTYPE means: ETH_P_802_2. */
const NO_TYPE = Uint8Array.of(0, 4);

/** The attributes of a nest, which has been checked to be one. */
export function attrsIn(bytes: Uint8Array): Attrs {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found = new Map<number, Uint8Array>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const len = dv.getUint16(at, true);
    if (len < 4) break;
    found.set(dv.getUint16(at + 2, true) & 0x3fff, bytes.subarray(at + 4, at + len));
    at += (len + 3) & ~3;
  }
  return found;
}

const bytesOf = (hex: string | undefined, size: number): Uint8Array =>
  Uint8Array.from(Buffer.from((hex ?? '').padStart(2 * size, '0').slice(-2 * size), 'hex'));

const agree = (want: Uint8Array, mask: Uint8Array, got: Uint8Array): boolean =>
  want.every((byte, i) => ((byte ^ got[i]!) & mask[i]!) === 0);

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

function fieldsAgree(
  fields: readonly (readonly [FieldName, number])[],
  key: Uint8Array,
  mask: Uint8Array,
  ref: ReferenceKey,
) {
  let at = 0;
  for (const [name, size] of fields) {
    if (at >= mask.length) break;
    const range = [at, at + size] as const;
    if (!agree(key.subarray(...range), mask.subarray(...range), bytesOf(ref[name], size))) return false;
    at += size;
  }
  return true;
}

/** Whether a flow with these attributes, nests as they are in a dump, takes a frame that came in at `inPort`. */
export function plainMatch(key: Uint8Array, mask: Uint8Array, ref: ReferenceKey, inPort: number): boolean {
  const [k, m] = [attrsIn(key), attrsIn(mask)];
  const port = Buffer.alloc(4);
  port.writeUInt32LE(inPort);
  for (const [type, value] of k) {
    // What else a packet that has just come in has of metadata is all zeros.
    const isMetadata =
      ![A.IN_PORT, A.ENCAP, A.VLAN, A.ETHERTYPE, A.NSH, A.IPV6_EXTHDRS].includes(type) && !STRUCTS[type];
    const ones = m.get(type);
    if (!isMetadata || ones === undefined) continue;
    if (!isZero(value.map((byte, i) => byte & (ones[i] ?? 0)))) return false;
  }
  if (!agree(k.get(A.IN_PORT) ?? port, m.get(A.IN_PORT) ?? Buffer.alloc(4), port)) return false;
  // An Ethernet frame is for flows of Ethernet frames only.
  return k.has(A.ETHERNET) && layerMatch(k, m, ref, 0);
}

/** The tags of a frame, from outside. */
const TAGS = [
  ['vlanTpid', 'vlanTci'],
  ['cvlanTpid', 'cvlanTci'],
] as const;

/** Compares what is behind `nTags` tags. */
function layerMatch(k: Attrs, m: Attrs, ref: ReferenceKey, nTags: number): boolean {
  const [tci, inner, tag] = [k.get(A.VLAN), k.get(A.ENCAP), TAGS[nTags]];
  let typeField: FieldName = 'ethType';
  if (tci !== undefined && inner !== undefined && tag !== undefined) {
    if (!agree(tci, m.get(A.VLAN) ?? new Uint8Array(2), bytesOf(ref[tag[1]], 2))) return false;
    // A tag of zeros: the ethertype alone says that there was one.
    if (!isZero(tci)) typeField = tag[0];
  } else if (tag !== undefined && ref[tag[1]] !== undefined) {
    return false;
  }
  const typeMask = m.get(A.ETHERTYPE);
  if (typeMask && !agree(k.get(A.ETHERTYPE) ?? NO_TYPE, typeMask, bytesOf(ref[typeField], 2))) return false;
  for (const [type, fields] of Object.entries(STRUCTS)) {
    const [value, ones] = [k.get(Number(type)), m.get(Number(type))];
    if (value !== undefined && ones !== undefined && !fieldsAgree(fields, value, ones, ref)) return false;
  }
  const [exthdrs, exthdrsMask] = [k.get(A.IPV6_EXTHDRS), m.get(A.IPV6_EXTHDRS)];
  if (exthdrs && exthdrsMask) {
    const bits = Number.parseInt(ref.ipv6Exthdrs ?? '0', 16);
    if (!agree(exthdrs, exthdrsMask, Uint8Array.of(bits & 0xff, bits >> 8))) return false;
  }
  const [nsh, nshMask] = [k.get(A.NSH), m.get(A.NSH)];
  if (nsh && nshMask) {
    const [parts, masks] = [attrsIn(nsh), attrsIn(nshMask)];
    for (const [type, fields] of Object.entries(NSH_NESTS)) {
      const [value, ones] = [parts.get(Number(type)), masks.get(Number(type))];
      if (value && ones && !fieldsAgree(fields, value, ones, ref)) return false;
    }
  }
  if (inner === undefined || isZero(tci ?? new Uint8Array(2))) return true;
  return layerMatch(attrsIn(inner), attrsIn(m.get(A.ENCAP) ?? new Uint8Array()), ref, nTags + 1);
}
