/**
 * The nest of OVS_KEY_ATTR_* that `odp-key.ts` is translating: where each attribute's payload is, how its bytes are read, and
 * which attributes are expected: the layers read so far promise them.
 *
 * There is one such nest at a time, so all of this is the module's own state: a call begins with `openNest` and `scanNest`, and an
 * ENCAP nest takes the place of the one around it.  Numbers of attributes are bits of a 32-bit set: 0..31 are known to userspace, what
 * is above is ignored, as newer kernels send it.
 *
 * Hot path: once an upcall.  Nothing is allocated; readers check nothing, because `scanNest` has checked the sizes.
 * Source: lib/odp-util.c (parse_flow_nlattrs, check_expectations).
 */
import type { Field } from '../../flow/fields.ts';
import { type FlowKey, setFieldBytes } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import { keyAttrName } from '../text/odp-key-text.ts';
import { ODP_FIT, type OdpFit, type OdpKeyReport } from './fitness.ts';
import { KEY_ROWS } from './key-table.ts';

const N_ATTRS = 32;

/** Offset and size of each attribute's payload in the nest last scanned, and which there are. */
const attrAt = new Int32Array(N_ATTRS);
const attrSize = new Int32Array(N_ATTRS);
let present = 0;
let expected = 0;
let bytes: Uint8Array = new Uint8Array(0);
let report: OdpKeyReport | undefined;

/** Payload sizes; -1 where any will do. */
const SIZES = Int32Array.from({ length: N_ATTRS }, (_, type) => KEY_ROWS[type]?.size ?? 0);

/** Begins with `nest`, which must stay as it is until the next call; `why` gets the reason of what goes wrong. */
export function openNest(nest: Uint8Array, why: OdpKeyReport | undefined): void {
  bytes = nest;
  report = why;
  if (why) why.error = undefined;
}

/** Says why the nest is no key; returns ERROR, for the caller to return. */
export function fail(why: string): typeof ODP_FIT.ERROR {
  if (report) report.error = why;
  return ODP_FIT.ERROR;
}

/** Finds the attributes in `[at, end)` of the nest, none of which is expected yet.  False if they are malformed. */
export function scanNest(at: number, end: number): boolean {
  present = 0;
  expected = 0;
  while (end - at >= NLA_HDRLEN) {
    const size = host16(at);
    if (size < NLA_HDRLEN || size > end - at) break;
    const type = host16(at + 2) & NLA_TYPE_MASK;
    if (type < N_ATTRS) {
      const want = SIZES[type]!;
      if (want >= 0 && size - NLA_HDRLEN !== want) {
        fail(`attribute ${keyAttrName(type)} has length ${size - NLA_HDRLEN} but should have length ${want}`);
        return false;
      }
      if (has(type)) {
        fail(`duplicate ${keyAttrName(type)} attribute in flow key`);
        return false;
      }
      present |= 1 << type;
      attrAt[type] = at + NLA_HDRLEN;
      attrSize[type] = size - NLA_HDRLEN;
    }
    at += nlaAlign(size) <= end - at ? nlaAlign(size) : size;
  }
  if (at < end) {
    fail('trailing garbage in flow key');
    return false;
  }
  return true;
}

export const has = (type: number): boolean => (present & (1 << type)) !== 0;
/** Where the payload of an attribute that is there begins. */
export const placeOf = (type: number): number => attrAt[type]!;
/** Bytes of its payload. */
export const sizeOf = (type: number): number => attrSize[type]!;

/** An attribute that the layers read so far promise. */
export function expectAttr(type: number): void {
  expected |= 1 << type;
}

/** How the attributes that are there compare with those that are expected.  Missing ones weigh more than surplus ones. */
export function fitness(): OdpFit {
  if ((expected & ~present) !== 0) return ODP_FIT.TOO_LITTLE;
  return (present & ~expected) !== 0 ? ODP_FIT.TOO_MUCH : ODP_FIT.PERFECT;
}

/** The whole nest, for those who read an attribute's own nest. */
export const nestBytes = (): Uint8Array => bytes;

export const u8 = (at: number): number => bytes[at]!;
export const be16 = (at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
export const be32 = (at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
export const host16 = (at: number): number => (LITTLE_ENDIAN ? bytes[at]! | (bytes[at + 1]! << 8) : be16(at));
export const host32 = (at: number): number =>
  LITTLE_ENDIAN ? bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24) : be32(at);

/** Whether the payload of an attribute is all zeros. */
export function isZero(type: number): boolean {
  const end = attrAt[type]! + attrSize[type]!;
  for (let i = attrAt[type]!; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Stores the 16 bytes at `at` into a field. */
export function put128(key: FlowKey, f: Field, at: number): void {
  if ((f.at & 31) !== 0) {
    setFieldBytes(key, f, bytes, at);
    return;
  }
  const w = f.word;
  key[w] = be32(at);
  key[w + 1] = be32(at + 4);
  key[w + 2] = be32(at + 8);
  key[w + 3] = be32(at + 12);
}

/** Stores the 6 bytes of a MAC address. */
export function putMac(key: FlowKey, f: Field, at: number): void {
  const w = f.word;
  if ((f.at & 31) === 0) {
    key[w] = be32(at);
    key[w + 1] = (key[w + 1]! & 0xffff) | (be16(at + 4) << 16);
  } else if ((f.at & 31) === 16) {
    key[w] = (key[w]! & 0xffff0000) | be16(at);
    key[w + 1] = be32(at + 2);
  } else setFieldBytes(key, f, bytes, at);
}
