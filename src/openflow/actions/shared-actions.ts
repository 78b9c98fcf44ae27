/**
 * Lists of actions that came before: flows by the thousand have the same few.  The same bytes, decoded again, are the same list, which nobody
 * changes; and the list that was encoded last is not encoded again.
 */
import type { OfVersion } from '../ofp-errors.ts';
import type { Ofpact } from '../ofpact.ts';

const N_SLOTS = 256;
/** Longer ones are seldom the same. */
const MAX_SIZE = 128;

interface Known {
  readonly version: OfVersion;
  readonly bytes: Uint8Array;
  readonly actions: readonly Ofpact[];
}

/** By a hash of version and bytes. */
const slots: (Known | undefined)[] = new Array(N_SLOTS).fill(undefined);

function slotOf(version: OfVersion, bytes: Uint8Array): number {
  let h: number = version;
  for (let i = 0; i < bytes.length; i++) h = (Math.imul(h, 31) + (bytes[i] as number)) | 0;
  return (h ^ (h >>> 8) ^ (h >>> 16)) & (N_SLOTS - 1);
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** What `decode` makes of the bytes, or made of them before.  It throws what that throws. */
export function sharedActions(
  version: OfVersion,
  bytes: Uint8Array,
  decode: () => readonly Ofpact[],
): readonly Ofpact[] {
  if (bytes.length > MAX_SIZE) return decode();
  const slot = slotOf(version, bytes);
  const known = slots[slot];
  if (known !== undefined && known.version === version && isSame(known.bytes, bytes)) return known.actions;
  const actions = decode();
  slots[slot] = { version, bytes: bytes.slice(), actions };
  return actions;
}

/** Forgets all lists: they would be others now. */
export function forgetSharedActions(): void {
  slots.fill(undefined);
  latest = undefined;
}

let latest: Known | undefined;

/** What `encode` makes of the list, or made of it last time; not to be changed. */
export function encodedActions(version: OfVersion, actions: readonly Ofpact[], encode: () => Uint8Array): Uint8Array {
  if (latest === undefined || latest.actions !== actions || latest.version !== version) {
    latest = { version, bytes: encode(), actions };
  }
  return latest.bytes;
}
