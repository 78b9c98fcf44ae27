/**
 * What insert_bucket and remove_bucket make of a group's buckets.
 * Source: ofproto/ofproto.c (copy_buckets_for_insert_bucket, copy_buckets_for_remove_bucket).
 */
import { type Bucket, GROUP_BUCKET } from '../../openflow/messages/switch/switch-types.ts';
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';

function indexOf(buckets: readonly Bucket[], id: number): number {
  const at = buckets.findIndex((b) => b.bucketId === id);
  if (at < 0) throw new OfpError(OFPERR.OFPGMFC_UNKNOWN_BUCKET, `bucket ${id}`);
  return at;
}

/** `old` with `added`: behind the bucket `where`, or at the beginning (GROUP_BUCKET.FIRST) or end (LAST). */
export function insertBuckets(old: readonly Bucket[], added: readonly Bucket[], where: number): Bucket[] {
  let at = where === GROUP_BUCKET.LAST ? old.length : 0;
  if (where <= GROUP_BUCKET.MAX) at = indexOf(old, where) + 1;
  const all = [...old.slice(0, at), ...added, ...old.slice(at)];
  if (new Set(all.map((b) => b.bucketId)).size < all.length) {
    throw new OfpError(OFPERR.OFPGMFC_BUCKET_EXISTS, 'insert_bucket: two buckets of one id');
  }
  return all;
}

/** `old` without the bucket `which`: one of them, GROUP_BUCKET.FIRST, LAST, or ALL. */
export function removeBuckets(old: readonly Bucket[], which: number): Bucket[] {
  switch (which) {
    case GROUP_BUCKET.ALL:
      return [];
    case GROUP_BUCKET.FIRST:
      return old.slice(1);
    case GROUP_BUCKET.LAST:
      return old.slice(0, -1);
    default:
      return old.toSpliced(indexOf(old, which), 1);
  }
}
