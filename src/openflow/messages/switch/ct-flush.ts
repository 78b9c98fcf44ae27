/**
 * Nicira's request to forget tracked connections that match.
 *
 * ```
 * | ip_proto 8 | zeros 56 | properties: 0 tuple, 1 tuple of replies, 2 zone 16 |
 * tuple | type | length | pad 32 | properties: 0 src 128, 1 dst 128, 2 src port, 3 dst port, 4 icmp id, 5 icmp type 8, 6 icmp code 8 |
 * ```
 * IPv4 addresses are mapped into IPv6.  A zero is what is not matched, but of ICMP: its parts are always matched.
 * Source: include/openflow/nicira-ext.h (nx_ct_flush), lib/ofp-ct.c.
 */
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import type { OfpWriter } from '../../ofp-writer.ts';
import type { BodyCodec, BodyIn, Codecs } from '../wire/body.ts';
import {
  beginProperty,
  eachProperty,
  endProperty,
  type Property,
  propertyU16,
  putPropertyU16,
} from '../wire/properties.ts';
import type { CtFlush, CtTuple } from './switch-types.ts';

const PROP = { ORIG: 0, REPLY: 1, ZONE: 2 } as const;
const TUPLE = { SRC: 0, DST: 1, SRC_PORT: 2, DST_PORT: 3, ICMP_ID: 4, ICMP_TYPE: 5, ICMP_CODE: 6 } as const;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

const isIcmp = (ipProto: number): boolean => ipProto === IPPROTO_ICMP || ipProto === IPPROTO_ICMPV6;

interface Parts {
  src?: Uint8Array | undefined;
  dst?: Uint8Array | undefined;
  /** By TUPLE.*; ports and parts of ICMP. */
  readonly numbers: number[];
}

const badLength = (p: Property): OfpError =>
  new OfpError(OFPERR.OFPBPC_BAD_LEN, `ct_flush: property of ${p.size} bytes`);

function propertyU8(dv: DataView, p: Property): number {
  if (p.size < 5) throw badLength(p);
  return dv.getUint8(p.dataAt);
}

/** 4 or 16 bytes; undefined if it is all zeros. */
function propertyAddress(bytes: Uint8Array, p: Property): Uint8Array | undefined {
  if (p.at + p.size - p.dataAt < 16) throw badLength(p);
  const address = bytes.slice(p.dataAt, p.dataAt + 16);
  if (address.every((b) => b === 0)) return undefined;
  return MAPPED.every((b, i) => address[i] === b) ? address.subarray(12) : address;
}

function decodeParts({ bytes, dv }: BodyIn, outer: Property, parts: Parts): void {
  // Type and length are followed by padding, as where properties nest.
  if (outer.size < 8) throw badLength(outer);
  eachProperty(dv, outer.at + 8, outer.at + outer.size, (p) => {
    const type = p.vendor === 0 ? p.type : -1;
    if (type === TUPLE.SRC) parts.src = propertyAddress(bytes, p);
    else if (type === TUPLE.DST) parts.dst = propertyAddress(bytes, p);
    else if (type === TUPLE.ICMP_TYPE || type === TUPLE.ICMP_CODE) parts.numbers[type] = propertyU8(dv, p);
    else if (type >= TUPLE.SRC_PORT && type <= TUPLE.ICMP_ID) parts.numbers[type] = propertyU16(dv, p);
  });
}

/** undefined: it matches anything. */
function tupleOf({ src, dst, numbers }: Parts, ipProto: number, isThere: boolean): CtTuple | undefined {
  const hasIcmp = isIcmp(ipProto);
  const port = (type: number): number | undefined => (hasIcmp ? undefined : numbers[type] || undefined);
  const icmp = (type: number): number | undefined => (hasIcmp ? (numbers[type] ?? 0) : undefined);
  const tuple = {
    src,
    dst,
    srcPort: port(TUPLE.SRC_PORT),
    dstPort: port(TUPLE.DST_PORT),
    icmpId: icmp(TUPLE.ICMP_ID),
    icmpType: icmp(TUPLE.ICMP_TYPE),
    icmpCode: icmp(TUPLE.ICMP_CODE),
  };
  return isThere && Object.values(tuple).some((part) => part !== undefined) ? tuple : undefined;
}

/** Throws OfpError unless all addresses are of one family. */
function checkFamilies(parts: readonly Parts[]): void {
  const sizes = new Set(parts.flatMap(({ src, dst }) => [src, dst]).map((address) => address?.length));
  if (sizes.has(4) && sizes.has(16)) {
    throw new OfpError(OFPERR.OFPBPC_BAD_VALUE, 'ct_flush: addresses of IPv4 and IPv6');
  }
}

function putTuple(out: OfpWriter, type: number, tuple: CtTuple): void {
  const at = beginProperty(out, type);
  out.u32(0);
  const putAddress = (inner: number, address: Uint8Array | undefined): void => {
    if (address === undefined) return;
    const innerAt = beginProperty(out, inner);
    if (address.length === 4) out.put(MAPPED);
    out.put(address);
    endProperty(out, innerAt);
  };
  const putNumber = (inner: number, value: number | undefined): void => {
    if (value !== undefined) putPropertyU16(out, inner, value);
  };
  const putByte = (inner: number, value: number | undefined): void => {
    if (value === undefined) return;
    const innerAt = beginProperty(out, inner);
    out.u8(value);
    endProperty(out, innerAt);
  };
  putAddress(TUPLE.SRC, tuple.src);
  putAddress(TUPLE.DST, tuple.dst);
  putNumber(TUPLE.SRC_PORT, tuple.srcPort);
  putNumber(TUPLE.DST_PORT, tuple.dstPort);
  putNumber(TUPLE.ICMP_ID, tuple.icmpId);
  putByte(TUPLE.ICMP_TYPE, tuple.icmpType);
  putByte(TUPLE.ICMP_CODE, tuple.icmpCode);
  endProperty(out, at);
}

const ctFlush: BodyCodec<CtFlush> = {
  decode(m) {
    const { dv, at, bytes } = m;
    if (bytes.subarray(at + 1, at + 8).some((b) => b !== 0)) {
      throw new OfpError(OFPERR.NXBRC_MUST_BE_ZERO, 'ct_flush: padding is not zero');
    }
    const ipProto = dv.getUint8(at);
    const orig: Parts = { numbers: [] };
    const reply: Parts = { numbers: [] };
    const seen = new Set<number>();
    let zone: number | undefined;
    // What is not known is ignored.
    eachProperty(dv, at + 8, bytes.length, (p) => {
      const type = p.vendor === 0 ? p.type : -1;
      if (type === PROP.ZONE) zone = propertyU16(dv, p);
      else if (type === PROP.ORIG || type === PROP.REPLY) {
        decodeParts(m, p, type === PROP.ORIG ? orig : reply);
        checkFamilies([orig, reply]);
        seen.add(type);
      }
    });
    return {
      zone,
      ipProto,
      orig: tupleOf(orig, ipProto, seen.has(PROP.ORIG)),
      reply: tupleOf(reply, ipProto, seen.has(PROP.REPLY)),
    };
  },
  encode({ zone, ipProto, orig, reply }, { out }) {
    out.u8(ipProto);
    out.room(7);
    if (orig !== undefined) putTuple(out, PROP.ORIG, orig);
    if (reply !== undefined) putTuple(out, PROP.REPLY, reply);
    if (zone !== undefined) putPropertyU16(out, PROP.ZONE, zone);
  },
};

export const CT_FLUSH_CODECS = { ct_flush: ctFlush } satisfies Partial<Codecs>;
