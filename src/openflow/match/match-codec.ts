/**
 * Matches as they stand in messages: OpenFlow 1.0's struct, later ones behind a header of type and length, NXM; padded to 8 bytes.
 *
 * ```
 * | type 16 (0 standard, 1 OXM) | length 16, without the padding | ... | padding |
 * ```
 * Source: OpenFlow 1.1.0 A.2.3.1, 1.2 A.2.3.1, lib/nx-match.c (oxm_pull_match, nx_pull_match), lib/ofp-match.c (ofputil_pull_ofp11_match).
 */
import { OFPERR, OfpError, type OfVersion } from '../ofp-errors.ts';
import { OfpWriter } from '../ofp-writer.ts';
import type { Match } from './match.ts';
import { putNxMatch } from './match-template.ts';
import { borrowNxMatch, decodeNxMatch, type NxDecodeOptions, type NxMatch } from './nx-match.ts';
import { decodeOf10Match, encodeOf10Match, OF10_MATCH_SIZE } from './of10-match.ts';
import { decodeOf11Match, encodeOf11Match, OF11_MATCH_SIZE } from './of11-match.ts';

const OFPMT = { STANDARD: 0, OXM: 1 } as const;

const roundUp8 = (n: number): number => (n + 7) & ~7;
const badLength = (why: string): never => {
  throw new OfpError(OFPERR.OFPBMC_BAD_LEN, why);
};

export interface PulledMatch {
  readonly match: Match;
  /** Bytes of the message that it takes, padding included. */
  readonly size: number;
}

/**
 * Reads the match at `at` of a message of OpenFlow `version`.  From 1.1 on both types are taken, but with `isLoose` or `pipelineOnly` OXM
 * alone.  Throws OfpError.
 */
export function decodeMatch(
  version: OfVersion,
  bytes: Uint8Array,
  at: number,
  options: Omit<NxDecodeOptions, 'allowCookie'> = {},
): PulledMatch {
  const left = bytes.length - at;
  if (version === 1) {
    if (left < OF10_MATCH_SIZE) badLength(`${left} bytes of match, want ${OF10_MATCH_SIZE}`);
    return { match: decodeOf10Match(bytes, at, options.into), size: OF10_MATCH_SIZE };
  }
  if (left < 4) badLength(`${left} bytes of match, want at least 4`);
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = dv.getUint16(at);
  const length = dv.getUint16(at + 2);
  const isOxmOnly = options.isLoose === true || options.pipelineOnly === true;
  if (type === OFPMT.STANDARD && !isOxmOnly) {
    if (length !== OF11_MATCH_SIZE || left < length) badLength(`standard match of ${length} bytes, want 88`);
    return { match: decodeOf11Match(bytes, at, options.into), size: OF11_MATCH_SIZE };
  }
  if (isOxmOnly && length < 4) badLength(`match of ${length} bytes, want at least 4`);
  if (type !== OFPMT.OXM) throw new OfpError(OFPERR.OFPBMC_BAD_TYPE, `match of type ${type}, want 0 or 1`);
  const size = roundUp8(length);
  if (length < 4 || size > left) badLength(`match of ${length} bytes, of which ${left} are there`);
  const { match } = decodeNxMatch(bytes.subarray(at + 4, at + length), options);
  return { match, size };
}

/** A match as messages of OpenFlow `version` have it, padded. */
export function encodeMatch(version: OfVersion, match: Match): Uint8Array {
  const out = new OfpWriter(256);
  putMatch(out, version, match);
  return out.bytes.slice(0, out.size);
}

/** Appends what `encodeMatch` gives.  Hot path of dumps. */
export function putMatch(out: OfpWriter, version: OfVersion, match: Match): void {
  if (version <= 2) {
    out.put(version === 1 ? encodeOf10Match(match) : encodeOf11Match(match));
    return;
  }
  putOxmMatch(out, version, match);
}

/** Appends a match as OXM, in whatever version. */
export function putOxmMatch(out: OfpWriter, version: OfVersion, match: Match): void {
  const at = out.room(4);
  const size = putNxMatch(out, match, version);
  out.dv.setUint16(at, OFPMT.OXM);
  out.dv.setUint16(at + 2, 4 + size);
  out.pad(at, 8);
}

/** Reads the NXM at `at`, `length` bytes without the padding, of a Nicira message.  Throws OfpError. */
export function decodePaddedNxMatch(
  bytes: Uint8Array,
  at: number,
  length: number,
  options: NxDecodeOptions = {},
): NxMatch & PulledMatch {
  const size = roundUp8(length);
  if (size > bytes.length - at) badLength(`match of ${length} bytes, of which ${bytes.length - at} are there`);
  return { ...decodeNxMatch(bytes.subarray(at, at + length), options), size };
}

/** Appends a match as NXM, padded; returns its length without the padding. */
export function putPaddedNxMatch(out: OfpWriter, match: Match): number {
  const at = out.size;
  const size = putNxMatch(out, match, 0);
  out.pad(at, 8);
  return size;
}

/** A match as NXM for a Nicira message; `length` is that without the padding. */
export function encodePaddedNxMatch(
  match: Match,
  cookie = 0n,
  cookieMask = 0n,
): { readonly bytes: Uint8Array; readonly length: number } {
  const nxm = borrowNxMatch(match, 0, cookie, cookieMask);
  const bytes = new Uint8Array(roundUp8(nxm.length));
  bytes.set(nxm);
  return { bytes, length: nxm.length };
}
