/**
 * What the tables of a switch can do: the same for each, but for its name, its limit, and the tables after it.
 * Source: ofproto/ofproto.c (query_tables), lib/meta-flow.c (oxm_writable_fields and the like).
 */

import type { MfField } from '../../openflow/fields/mf-field.ts';
import { MF_FIELDS } from '../../openflow/fields/mf-fields.ts';
import type { TableActionFeatures, TableFeatures } from '../../openflow/messages/switch/switch-types.ts';
import type { OfpactKind } from '../../openflow/ofpact.ts';
import type { FlowTable } from '../tables/flow-table.ts';

/** What is said of a table without limit. */
const MAX_ENTRIES = 1_000_000;
const ALL_ONES = 0xffff_ffff_ffff_ffffn;

const matched: ReadonlySet<MfField> = new Set(MF_FIELDS.filter((f) => f.headers.length > 0));
const masked: ReadonlySet<MfField> = new Set([...matched].filter((f) => f.isMaskable));

/** All kinds that table features have a number for: that of the version goes on the wire. */
// biome-ignore format: names, several on a line
const ACTIONS: ReadonlySet<OfpactKind> = new Set<OfpactKind>([
  'output', 'group', 'set_field', 'set_queue', 'enqueue', 'push_vlan', 'strip_vlan', 'set_vlan_vid', 'set_vlan_pcp', 'mod_dl_src',
  'mod_dl_dst', 'mod_nw_src', 'mod_nw_dst', 'mod_nw_tos', 'mod_nw_ecn', 'mod_nw_ttl', 'mod_tp_src', 'mod_tp_dst', 'dec_ttl', 'push_mpls',
  'pop_mpls', 'set_mpls_label', 'set_mpls_tc', 'set_mpls_ttl', 'dec_mpls_ttl',
]);
const able: TableActionFeatures = {
  ofpacts: ACTIONS,
  setFields: new Set([...matched].filter((f) => f.isWritable)),
};

// biome-ignore format: names, several on a line
const INSTRUCTIONS = ['goto_table', 'write_metadata', 'write_actions', 'apply_actions', 'clear_actions', 'meter'] as const;

/** Of `table`, when the tables in `later` come after it. */
function featuresOf(table: FlowTable, later: ReadonlySet<number>): TableFeatures {
  const instructions = new Set<string>(INSTRUCTIONS);
  if (later.size === 0) instructions.delete('goto_table');
  const can = { next: later, instructions, write: able, apply: able };
  return {
    command: 0,
    tableId: table.number,
    name: table.name ?? '',
    metadataMatch: ALL_ONES,
    metadataWrite: ALL_ONES,
    maxEntries: Math.min(table.maxFlows, MAX_ENTRIES),
    hasProperties: true,
    miss: table.miss,
    supportsEviction: false,
    supportsVacancyEvents: false,
    nonmissFeatures: can,
    missFeatures: can,
    match: matched,
    mask: masked,
    wildcard: matched,
  };
}

let numbersBefore: readonly number[] = [];
let laterBefore: readonly ReadonlySet<number>[] = [];

/** Of each of these numbers, those after it.  Made once: switches have the same tables, and each tool asks for them. */
function laterThan(numbers: readonly number[]): readonly ReadonlySet<number>[] {
  if (numbers.length !== numbersBefore.length || numbers.some((n, i) => n !== numbersBefore[i])) {
    numbersBefore = numbers;
    laterBefore = numbers.map((_, i) => new Set(numbers.slice(i + 1)));
  }
  return laterBefore;
}

/** Of all tables that controllers may see, by their numbers. */
export function tableFeatures(tables: readonly FlowTable[]): TableFeatures[] {
  const visible = tables.filter((t) => !t.isHidden);
  const later = laterThan(visible.map((t) => t.number));
  return visible.map((table, i) => featuresOf(table, later[i] as ReadonlySet<number>));
}

const isWithin = <T>(some: ReadonlySet<T>, all: ReadonlySet<T>): boolean => {
  for (const x of some) if (!all.has(x)) return false;
  return true;
};
const isActionsWithin = (some: TableActionFeatures, all: TableActionFeatures): boolean =>
  isWithin(some.ofpacts, all.ofpacts) && isWithin(some.setFields, all.setFields);

/** Whether a table that can do what `has` says can do what `wanted` says. */
export function includesFeatures(has: TableFeatures, wanted: TableFeatures): boolean {
  const pairs = [
    [wanted.nonmissFeatures, has.nonmissFeatures],
    [wanted.missFeatures, has.missFeatures],
  ] as const;
  return (
    (wanted.metadataMatch & ~has.metadataMatch) === 0n &&
    (wanted.metadataWrite & ~has.metadataWrite) === 0n &&
    wanted.maxEntries <= has.maxEntries &&
    (wanted.supportsEviction !== true || has.supportsEviction === true) &&
    (wanted.supportsVacancyEvents !== true || has.supportsVacancyEvents === true) &&
    isWithin(wanted.match, has.match) &&
    isWithin(wanted.mask, has.mask) &&
    isWithin(wanted.wildcard, has.wildcard) &&
    pairs.every(
      ([some, all]) =>
        isWithin(some.next, all.next) &&
        isWithin(some.instructions, all.instructions) &&
        isActionsWithin(some.write, all.write) &&
        isActionsWithin(some.apply, all.apply),
    )
  );
}
