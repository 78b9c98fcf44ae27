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
import type { GroupProps } from '../../openflow/messages/switch-types.ts';
import type { MfField, MfValue } from '../../openflow/mf-field.ts';
import { vlog } from '../../util/vlog.ts';

const log = vlog('ofproto_dpif');

/** A table has at least this many values, and at most that many. */
const MIN_HASH_VALUES = 16;
const MAX_HASH_VALUES = 256;

export interface Weighted {
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

export function selectionOf<B extends Weighted>(buckets: readonly B[], props: GroupProps): Selection<B> {
  const { selectionMethod, selectionMethodParam: param, fields } = props;
  if (selectionMethod === 'hash') {
    if (fields.length === 0) return DEFAULT;
    const sorted = [...fields].sort((a, b) => a.field.id - b.field.id);
    return { method: 'hash', param, fields: sorted.map(({ field, value }) => ({ field, mask: value })) };
  }
  const table = hashTable(buckets);
  if (table === undefined) return DEFAULT;
  if (selectionMethod === '') return { method: 'dp_hash', algorithm: OVS_HASH_ALG.SYM_L4, basis: 0, table };
  const wanted = Number(BigInt.asUintN(32, param >> 32n));
  return {
    method: 'dp_hash',
    algorithm: wanted > OVS_HASH_ALG.SYM_L4 ? OVS_HASH_ALG.L4 : wanted,
    basis: Number(BigInt.asUintN(32, param)),
    table,
  };
}

/**
 * Shares hash values out among buckets by their weights (Webster's method), so many that the lightest gets one.
 * Undefined if none has a weight, or if that takes too many values.
 */
export function hashTable<B extends Weighted>(buckets: readonly B[]): B[] | undefined {
  const weights = buckets.map((b) => b.weight);
  const total = weights.reduce((sum, w) => sum + w, 0);
  if (total === 0) return undefined;
  const lightest = Math.min(...weights.filter((w) => w > 0), 0xffff);
  const size = Math.max(MIN_HASH_VALUES, 2 ** Math.ceil(Math.log2(Math.ceil(total / lightest))));
  if (size > MAX_HASH_VALUES) {
    log.dbg(() => `select group: ${size} hash values would be needed, ${MAX_HASH_VALUES} is the most`);
    return undefined;
  }
  const divisors = weights.map(() => 1);
  const table: B[] = [];
  while (table.length < size) {
    let winner = 0;
    for (let i = 1; i < buckets.length; i++) {
      // Weights over divisors, compared without rounding.
      const own = (weights[i] as number) * (divisors[winner] as number);
      if (own > (weights[winner] as number) * (divisors[i] as number)) winner = i;
    }
    divisors[winner] = (divisors[winner] as number) + 2;
    table.push(buckets[winner] as B);
  }
  return table;
}
