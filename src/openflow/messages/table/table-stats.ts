/**
 * Statistics of tables.  Before 1.3 they tell what a table can do, too.
 *
 * ```
 * 1.0   | table 8 | 0 24 | name 8*32 | wildcards | max | active | lookup 64 | matched 64 |
 * 1.1   | table 8 | 0 56 | name 8*32 | wildcards | match | instructions | write | apply | config | max | active | lookup 64 | matched 64 |
 * 1.2   | table 8 | 0 56 | name 8*32 | match 64 | wildcards 64 | write | apply | write_setfields 64 | apply_setfields 64 |
 *       | metadata_match 64 | metadata_write 64 | instructions | config | max | active | lookup 64 | matched 64 |
 * 1.3+  | table 8 | 0 24 | active | lookup 64 | matched 64 |
 * ```
 * Source: OpenFlow 1.0.2 5.3.5, 1.1.0 A.3.5.3, 1.2 A.3.5.3, 1.3.5 A.3.5.4, lib/ofp-table.c.
 */
import type { MfField } from '../../fields/mf-field.ts';
import { MF, MF_FIELDS, mfHeader } from '../../fields/mf-fields.ts';
import { decodeActionBits, encodeActionBits } from '../switch/action-bits.ts';
import type { TableFeatures, TableStats } from '../switch/switch-types.ts';
import { type BodyIn, type BodyOut, type Codecs, getString, listCodec, NO_BODY, putString } from '../wire/body.ts';
import { decodeTableMiss, encodeTableMiss } from './table-config.ts';
import {
  decodeInstructionBits,
  encodeInstructionBits,
  noInstructionFeatures,
  TABLE_NAME_SIZE,
} from './table-features.ts';

type FieldBits = readonly (readonly [bits: number, field: string])[];

/** OFPFW10_*, OFPFMF11_*. */
// biome-ignore format: table
const WILDCARDS10: FieldBits = [
  [1 << 0, 'in_port'], [1 << 1, 'vlan_vid'], [1 << 2, 'eth_src'], [1 << 3, 'eth_dst'], [1 << 4, 'eth_type'], [1 << 5, 'nw_proto'],
  [1 << 6, 'tcp_src'], [1 << 7, 'tcp_dst'], [0x3f << 8, 'ip_src'], [0x3f << 14, 'ip_dst'], [1 << 20, 'vlan_pcp'],
  [1 << 21, 'nw_tos'],
];
// biome-ignore format: table
const FIELDS11: FieldBits = [
  [1 << 0, 'in_port'], [1 << 1, 'vlan_vid'], [1 << 2, 'vlan_pcp'], [1 << 3, 'eth_type'], [1 << 4, 'nw_tos'], [1 << 5, 'nw_proto'],
  [1 << 6, 'tcp_src'], [1 << 7, 'tcp_dst'], [1 << 8, 'mpls_label'], [1 << 9, 'mpls_tc'], [1 << 11, 'eth_src'], [1 << 12, 'eth_dst'],
  [1 << 13, 'ip_src'], [1 << 14, 'ip_dst'], [1 << 15, 'metadata'],
];

const encodeFields = (fields: ReadonlySet<MfField>, table: FieldBits): number =>
  table.reduce((all, [bits, name]) => (fields.has(MF[name] as MfField) ? all | bits : all), 0);
const decodeFields = (wire: number, table: FieldBits): Set<MfField> =>
  new Set(table.filter(([bits]) => (wire & bits) !== 0).map(([, name]) => MF[name] as MfField));

interface Wild {
  readonly wildcard: ReadonlySet<MfField>;
  readonly fields: ReadonlySet<MfField>;
}
/** By the fields that are matched: all tables have the same. */
const wildBefore = new WeakMap<ReadonlySet<MfField>, Wild>();

/** 1.0 and 1.1 have no other word for what cannot be matched. */
function wildOrNotMatched({ match, wildcard }: TableFeatures): ReadonlySet<MfField> {
  const before = wildBefore.get(match);
  if (before?.wildcard === wildcard) return before.fields;
  const fields = new Set(MF_FIELDS.filter((f) => !match.has(f) || wildcard.has(f)));
  wildBefore.set(match, { wildcard, fields });
  return fields;
}

/** Bit of each field in 1.2's bitmaps: its number in the class OPENFLOW_BASIC. */
const OXM_BITS: ReadonlyMap<MfField, bigint> = new Map(
  MF_FIELDS.flatMap((field): [MfField, bigint][] => {
    const header = mfHeader(field, 3)?.header ?? 0n;
    return header >> 16n === 0x8000n ? [[field, 1n << ((header >> 9n) & 0x7fn)]] : [];
  }),
);

function encodeOxmBits(fields: ReadonlySet<MfField>): bigint {
  let all = 0n;
  for (const field of fields) all |= OXM_BITS.get(field) ?? 0n;
  return all;
}
const decodeOxmBits = (bits: bigint): Set<MfField> =>
  new Set([...OXM_BITS].filter(([, bit]) => (bits & bit) !== 0n).map(([field]) => field));

const inOrder = (...sets: readonly ReadonlySet<MfField>[]): Set<MfField> =>
  new Set(MF_FIELDS.filter((f) => sets.some((s) => s.has(f))));

/** Features of a table of which no more is known; `maxEntries` 0: not that, either. */
export const features = (tableId: number, name: string, maxEntries: number): TableFeatures => ({
  command: 0,
  tableId,
  name,
  metadataMatch: 0n,
  metadataWrite: 0n,
  maxEntries,
  hasProperties: false,
  miss: 'default',
  supportsEviction: undefined,
  supportsVacancyEvents: undefined,
  nonmissFeatures: noInstructionFeatures(),
  missFeatures: noInstructionFeatures(),
  match: new Set(),
  mask: new Set(),
  wildcard: new Set(),
});

function decode10({ dv, bytes }: BodyIn, at: number): TableStats {
  const tableId = dv.getUint8(at);
  const fields = decodeFields(dv.getUint32(at + 36), WILDCARDS10);
  const base = features(tableId, getString(bytes, at + 4, TABLE_NAME_SIZE - 1), dv.getUint32(at + 40));
  return {
    tableId,
    activeCount: dv.getUint32(at + 44),
    lookupCount: dv.getBigUint64(at + 48),
    matchedCount: dv.getBigUint64(at + 56),
    features: { ...base, match: inOrder(fields), wildcard: inOrder(fields) },
  };
}

const decodeCounts = (dv: DataView, at: number) => ({
  activeCount: dv.getUint32(at),
  lookupCount: dv.getBigUint64(at + 4),
  matchedCount: dv.getBigUint64(at + 12),
});

function decode11({ dv, bytes, version }: BodyIn, at: number): TableStats {
  const tableId = dv.getUint8(at);
  const wildcard = decodeFields(dv.getUint32(at + 40), FIELDS11);
  const base = features(tableId, getString(bytes, at + 8, TABLE_NAME_SIZE - 1), dv.getUint32(at + 64));
  const actions = (n: number) => ({
    ofpacts: new Set(decodeActionBits(dv.getUint32(n), version)),
    setFields: new Set<MfField>(),
  });
  const can = {
    next: new Set<number>(),
    instructions: decodeInstructionBits(dv.getUint32(at + 48), version),
    write: actions(at + 52),
    apply: actions(at + 56),
  };
  return {
    tableId,
    ...decodeCounts(dv, at + 68),
    features: {
      ...base,
      miss: decodeTableMiss(dv.getUint32(at + 60), version),
      nonmissFeatures: can,
      missFeatures: can,
      match: inOrder(decodeFields(dv.getUint32(at + 44), FIELDS11), wildcard),
      wildcard: inOrder(wildcard),
    },
  };
}

function decode12({ dv, bytes, version }: BodyIn, at: number): TableStats {
  const tableId = dv.getUint8(at);
  const wildcard = decodeOxmBits(dv.getBigUint64(at + 48));
  const base = features(tableId, getString(bytes, at + 8, TABLE_NAME_SIZE - 1), dv.getUint32(at + 104));
  const actions = (bitsAt: number, fieldsAt: number) => ({
    ofpacts: new Set(decodeActionBits(dv.getUint32(bitsAt), version)),
    setFields: inOrder(decodeOxmBits(dv.getBigUint64(fieldsAt))),
  });
  const can = {
    next: new Set<number>(),
    instructions: decodeInstructionBits(dv.getUint32(at + 96), version),
    write: actions(at + 56, at + 64),
    apply: actions(at + 60, at + 72),
  };
  return {
    tableId,
    ...decodeCounts(dv, at + 108),
    features: {
      ...base,
      metadataMatch: dv.getBigUint64(at + 80),
      metadataWrite: dv.getBigUint64(at + 88),
      miss: decodeTableMiss(dv.getUint32(at + 100), version),
      nonmissFeatures: can,
      missFeatures: can,
      match: inOrder(decodeOxmBits(dv.getBigUint64(at + 40)), wildcard),
      wildcard: inOrder(wildcard),
    },
  };
}

/** The form's `multiple` is the size of an entry: there is never less than one. */
function decodeEntry(m: BodyIn, at: number, push: (stats: TableStats) => void): number {
  const { raw, version, dv } = m;
  if (version === 1) push(decode10(m, at));
  else if (version === 2) push(decode11(m, at));
  else if (version === 3) push(decode12(m, at));
  else push({ tableId: dv.getUint8(at), ...decodeCounts(dv, at + 4), features: undefined });
  return at + raw.multiple;
}

function put10(tf: TableFeatures, { out }: BodyOut): void {
  out.u32(encodeFields(wildOrNotMatched(tf), WILDCARDS10));
}

function put11(tf: TableFeatures, { version, out }: BodyOut): void {
  const { instructions, write, apply } = tf.nonmissFeatures;
  out.u32(encodeFields(wildOrNotMatched(tf), FIELDS11));
  out.u32(encodeFields(tf.match, FIELDS11));
  out.u32(encodeInstructionBits(instructions, version));
  out.u32(encodeActionBits(write.ofpacts, version));
  out.u32(encodeActionBits(apply.ofpacts, version));
  out.u32(encodeTableMiss(tf.miss, version));
}

function put12(tf: TableFeatures, { version, out }: BodyOut): void {
  const { instructions, write, apply } = tf.nonmissFeatures;
  out.u64(encodeOxmBits(tf.match));
  out.u64(encodeOxmBits(tf.wildcard));
  out.u32(encodeActionBits(write.ofpacts, version));
  out.u32(encodeActionBits(apply.ofpacts, version));
  out.u64(encodeOxmBits(write.setFields));
  out.u64(encodeOxmBits(apply.setFields));
  out.u64(tf.metadataMatch);
  out.u64(tf.metadataWrite);
  out.u32(encodeInstructionBits(instructions, version));
  out.u32(encodeTableMiss(tf.miss, version));
}

function encodeEntry(stats: TableStats, m: BodyOut): void {
  const { version, out } = m;
  const tf = stats.features ?? features(stats.tableId, '', 0);
  out.u32(stats.tableId * 2 ** 24);
  if (version <= 3) {
    if (version >= 2) out.u32(0);
    putString(out, tf.name, TABLE_NAME_SIZE);
    (version === 1 ? put10 : version === 2 ? put11 : put12)(tf, m);
    out.u32(tf.maxEntries);
  }
  out.u32(stats.activeCount);
  out.u64(stats.lookupCount);
  out.u64(stats.matchedCount);
}

export const TABLE_STATS_CODECS = {
  table_stats_request: NO_BODY,
  table_stats_reply: listCodec(decodeEntry, encodeEntry),
} satisfies Partial<Codecs>;
