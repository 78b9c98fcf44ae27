/**
 * Versions of OpenFlow: sets of them, their names, and how two peers agree on one.
 *
 * A set is a number with bit n for the version of wire number n: 1 << 1 is OpenFlow 1.0 alone.
 * Source: lib/ofp-version-opt.c, lib/vconn.c (version negotiation), OpenFlow 1.5.1 7.5.1.
 */
import type { OfVersion } from './ofp-errors.ts';

export const OF_VERSION = { OF10: 1, OF11: 2, OF12: 3, OF13: 4, OF14: 5, OF15: 6 } as const;
/** All that this switch speaks, and has on unless told otherwise. */
export const ALL_VERSIONS = 0b1111110;

const NAMES: readonly string[] = ['OpenFlow10', 'OpenFlow11', 'OpenFlow12', 'OpenFlow13', 'OpenFlow14', 'OpenFlow15'];

/** The set of the versions named as Bridge.protocols names them; RangeError for another name. */
export function versionsFromNames(names: readonly string[]): number {
  let set = 0;
  for (const name of names) {
    const n = NAMES.indexOf(name);
    if (n < 0) throw new RangeError(`${name}: no such protocol, want one of ${NAMES.join(', ')}`);
    set |= 2 << n;
  }
  return set;
}

const hex2 = (n: number): string => `0x${n.toString(16).padStart(2, '0')}`;
const isPowerOf2 = (n: number): boolean => (n & (n - 1)) === 0;

/** "0x01, 0x04": the versions of a set. */
export function listVersions(set: number): string {
  const list: string[] = [];
  for (let v = 0; v < 32; v++) if (((set >>> v) & 1) !== 0) list.push(hex2(v));
  return list.join(', ');
}

/** "version 0x01", "version 0x06 and earlier", "versions 0x01, 0x04": as logs and errors have it. */
export function formatVersions(set: number): string {
  if (set === 0) return 'no versions';
  if (isPowerOf2(set)) return `version ${listVersions(set)}`;
  return isPowerOf2((set >>> 1) + 1)
    ? `version ${hex2(highestVersion(set))} and earlier`
    : `versions ${listVersions(set)}`;
}

/** The highest version of a set that has one. */
export const highestVersion = (set: number): number => 31 - Math.clz32(set);

const OFPT_HELLO = 0;
const OFPHET_VERSIONBITMAP = 1;
const HEADER_SIZE = 8;

/** A hello of `version` that offers the set.  Its bitmap is left out if the version tells all. */
export function encodeHello(set: number, xid: number, version = highestVersion(set)): Uint8Array {
  const isToldByVersion = set === (2 << version) - 2;
  const bytes = new Uint8Array(isToldByVersion ? HEADER_SIZE : HEADER_SIZE + 8);
  const dv = new DataView(bytes.buffer);
  bytes[0] = version;
  bytes[1] = OFPT_HELLO;
  dv.setUint16(2, bytes.length);
  dv.setUint32(4, xid);
  if (!isToldByVersion) {
    dv.setUint16(8, OFPHET_VERSIONBITMAP);
    dv.setUint16(10, 8);
    dv.setUint32(12, set);
  }
  return bytes;
}

export interface HelloOffer {
  readonly versions: number;
  /** false: there are elements that make no sense; `versions` holds nevertheless. */
  readonly isClean: boolean;
}

/** What a hello offers: the set of its bitmap, or all versions up to its own. */
export function decodeHello(bytes: Uint8Array): HelloOffer {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const highest = bytes[0] ?? 0;
  let versions = highest < 32 ? (2 << highest) - 2 : ~1;
  let isClean = true;
  for (let at = HEADER_SIZE; at < bytes.length; ) {
    const left = bytes.length - at;
    const size = left < 4 ? 0 : dv.getUint16(at + 2);
    const padded = Math.ceil(size / 8) * 8;
    if (size < 4 || padded > left) return { versions, isClean: false };
    // Bit 0 is no version; further words are of versions beyond 31.
    const isBitmap = dv.getUint16(at) === OFPHET_VERSIONBITMAP && size >= 8 && size % 4 === 0;
    const set = isBitmap ? dv.getUint32(at + 4) & ~1 : 0;
    if (set === 0) isClean = false;
    else versions = set;
    at += padded;
  }
  return { versions, isClean };
}

/** The version that both speak; undefined if there is none. */
export function negotiate(ours: number, theirs: number): OfVersion | undefined {
  const common = ours & theirs;
  return common === 0 ? undefined : (highestVersion(common) as OfVersion);
}
