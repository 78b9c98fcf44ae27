/**
 * How a select group chooses a bucket, decided when the group is made.
 *
 *     dp_hash  the datapath hashes, and a table tells the bucket of each hash: 16 to 256 values, which the buckets share by weight
 *     hash     a hash of fields that the controller chose
 *     default  a hash of addresses and ports, where the weights would need a larger table
 *
 * Source: ofproto/ofproto-dpif.c (group_set_selection_method, group_setup_dp_hash_table).
 */

import { OVS_HASH_ALG } from '../../odp/action-attrs.ts';
import type { MfField, MfValue } from '../../openflow/fields/mf-field.ts';
import type { GroupProps } from '../../openflow/messages/switch/switch-types.ts';
import { fixed } from '../../util/fixed.ts';
import { vlog } from '../../util/vlog.ts';

const log = vlog('ofproto_dpif');

/** A table has at least this many values, and at most that many. */
const MIN_HASH_VALUES = 16;
const MAX_HASH_VALUES = 256;

/** A bucket, as far as it is chosen. */
export interface Weighted {
  readonly id: number;
  readonly weight: number;
}

export interface HashField {
  readonly field: MfField;
  /** Bits that count. */
  readonly mask: MfValue;
}

export type Selection<B> =
  | { readonly method: 'default' }
  | { readonly method: 'hash'; readonly param: bigint; readonly fields: readonly HashField[] }
  | {
      readonly method: 'dp_hash';
      /** OVS_HASH_ALG.* */
      readonly algorithm: number;
      readonly basis: number;
      /** Bucket of each hash value; a power of two of them. */
      readonly table: readonly B[];
    };

const DEFAULT = { method: 'default' } as const;

/** How group `id` chooses; says so on the log as Open vSwitch does. */
export function selectionOf<B extends Weighted>(id: number, buckets: readonly B[], props: GroupProps): Selection<B> {
  const { selectionMethod, selectionMethodParam: param, fields } = props;
  log.dbg(`Constructing select group ${id}`);
  if (selectionMethod === 'hash') {
    log.dbg('Selection method specified: hash.');
    if (fields.length === 0) {
      log.dbg('No hash fields. Falling back to default hash method.');
      return DEFAULT;
    }
    const sorted = [...fields].sort((a, b) => a.field.id - b.field.id);
    log.dbg(() => `Hash fields: ${sorted.map(({ field }) => field.name).join(',')}`);
    return { method: 'hash', param, fields: sorted.map(({ field, value }) => ({ field, mask: value })) };
  }
  log.dbg(
    selectionMethod === ''
      ? 'No selection method specified. Trying dp_hash.'
      : `Selection method specified: ${selectionMethod}.`,
  );
  const table = hashTable(buckets);
  if (table === undefined) {
    log.dbg('Falling back to default hash method.');
    return DEFAULT;
  }
  const { algorithm, basis } = selectionMethod === '' ? SYMMETRIC : hashOfParam(param);
  log.dbg(`Use dp_hash with ${table.length} hash values using algorithm ${algorithm}.`);
  return { method: 'dp_hash', algorithm, basis, table };
}

const SYMMETRIC = { algorithm: OVS_HASH_ALG.SYM_L4, basis: 0 };

function hashOfParam(param: bigint) {
  const basis = Number(BigInt.asUintN(32, param));
  const algorithm = Number(BigInt.asUintN(32, param >> 32n));
  if (algorithm <= OVS_HASH_ALG.SYM_L4) return { algorithm, basis };
  log.dbg(`Invalid dp_hash algorithm ${algorithm}. Defaulting to OVS_HASH_ALG_L4`);
  return { algorithm: OVS_HASH_ALG.L4, basis };
}

/**
 * Shares hash values out among buckets by their weights (Webster's method), so many that the lightest gets one.
 * Undefined if none has a weight, or if that takes too many values.
 */
export function hashTable<B extends Weighted>(buckets: readonly B[]): B[] | undefined {
  if (buckets.length === 0) {
    log.dbg("  Don't apply dp_hash method without buckets.");
    return undefined;
  }
  const total = buckets.reduce((sum, b) => sum + b.weight, 0);
  if (total === 0) {
    log.dbg('  Total weight is zero. No active buckets.');
    return undefined;
  }
  const lightest = Math.min(...buckets.flatMap((b) => (b.weight > 0 ? b.weight : [])));
  log.dbg(`  Minimum weight: ${lightest}, total weight: ${total}`);
  const size = Math.max(MIN_HASH_VALUES, 2 ** Math.ceil(Math.log2(Math.ceil(total / lightest))));
  if (size > MAX_HASH_VALUES) {
    log.dbg(`  Too many hash values required: ${size}`);
    return undefined;
  }
  log.dbg(`  Using ${size} hash values:`);
  const shares = buckets.map((bucket) => ({ bucket, divisor: 1, hits: 0 }));
  const table: B[] = [];
  while (table.length < size) {
    let winner = shares[0] as (typeof shares)[number];
    for (const s of shares) {
      // Weights over divisors, compared without rounding.
      if (s.bucket.weight * winner.divisor > winner.bucket.weight * s.divisor) winner = s;
    }
    winner.divisor += 2;
    winner.hits++;
    table.push(winner.bucket);
  }
  for (const { bucket, hits } of shares) {
    const target = fixed((size * bucket.weight) / total, 2);
    log.dbg(() => `  Bucket ${bucket.id}: weight=${bucket.weight}, target=${target} hits=${hits}`);
  }
  return table;
}
