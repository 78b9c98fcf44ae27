/**
 * Makes flow tables what the database wants.
 * Source: ofproto/ofproto.c (ofproto_configure_table, evict_rules_from_table).
 */
import { isDeepStrictEqual } from 'node:util';
import { FIELD } from '../../flow/fields.ts';
import type { FlowTable } from '../tables/flow-table.ts';
import type { FlowTables } from '../tables/flow-tables.ts';
import type { Rule } from '../tables/rule.ts';
import { OFPRR } from '../tables/rule-change.ts';
import type { TableSettings } from './openflow-settings.ts';

const DEFAULT_PREFIXES = [FIELD.nwDst, FIELD.nwSrc];
const usual = (number: number): TableSettings => ({
  number,
  name: undefined,
  maxFlows: undefined,
  evicts: false,
  groups: [],
  prefixes: undefined,
});

/** Flows beyond the limit; those that may not be evicted stay. */
function tooMany(table: FlowTable): Rule[] {
  const victims: Rule[] = [];
  for (let n = table.nFlows; n > table.maxFlows; n--) {
    const victim = table.eviction?.choose();
    if (victim === undefined) break;
    table.eviction?.remove(victim);
    victims.push(victim);
  }
  return victims;
}

function configure(table: FlowTable, s: TableSettings, was: TableSettings): void {
  if (s.name !== undefined && s.name !== '') {
    table.name = s.name;
    table.isNameConfigured = true;
  } else if (table.isNameConfigured) {
    table.name = undefined;
    table.isNameConfigured = false;
  }
  if (table.isHidden) return;
  table.maxFlows = s.maxFlows ?? Number.POSITIVE_INFINITY;
  if (s.evicts !== was.evicts || !isDeepStrictEqual(s.groups, was.groups))
    table.setEviction(s.evicts ? s.groups : undefined);
  if (!isDeepStrictEqual(s.prefixes, was.prefixes)) {
    table.classifier.setPrefixFields(s.prefixes ?? DEFAULT_PREFIXES);
  }
}

/** Applies `now`, where there was `before`; tables that have no settings are as usual. */
export function configureTables(
  tables: FlowTables,
  now: readonly TableSettings[],
  before: readonly TableSettings[],
): void {
  const numbers = new Set([...now, ...before].map((s) => s.number));
  for (const n of numbers) {
    const find = (list: readonly TableSettings[]): TableSettings => list.find((s) => s.number === n) ?? usual(n);
    const table = tables.table(n);
    configure(table, find(now), find(before));
    const victims = tooMany(table);
    if (victims.length > 0) tables.removeAll(victims, OFPRR.EVICTION);
  }
}
