/**
 * Features and statistics of tables as text: what a table has in common with the one before it is not said again.
 * Source: lib/ofp-table.c (ofputil_table_features_format and what it calls).
 */

import type { MfField } from '../fields/mf-field.ts';
import type {
  TableActionFeatures,
  TableFeatures,
  TableInstructionFeatures,
  TableStats,
} from '../messages/switch/switch-types.ts';
import { features } from '../messages/table/table-stats.ts';
import { formatNames } from './name-list.ts';
import { formatKinds } from './print-switch.ts';
import type { Printers } from './printer.ts';

const COMMANDS = ['replace', 'modify', 'enable', 'disable'] as const;
const INSTRUCTION_ORDER = ['meter', 'apply_actions', 'clear_actions', 'write_actions', 'write_metadata', 'goto_table'];

function isSame<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const x of a) if (!b.has(x)) return false;
  return true;
}
const formatFields = (fields: Iterable<MfField>): string => {
  const sorted = [...fields].sort((a, b) => a.id - b.id).map((f) => f.name);
  return sorted.length === 0 ? '' : ` ${formatNames(sorted)}`;
};

const hasActions = (a: TableActionFeatures): boolean => a.ofpacts.size > 0 || a.setFields.size > 0;
const isSameActions = (a: TableActionFeatures, b: TableActionFeatures): boolean =>
  isSame(a.ofpacts, b.ofpacts) && isSame(a.setFields, b.setFields);

/** Instructions of a table, which has a number: no table goes to itself. */
interface Numbered {
  readonly table: number;
  readonly features: TableInstructionFeatures;
}

/** A table that goes to all that the one before it goes to, but itself, is no different. */
function isSameNext(a: Numbered, b: Numbered): boolean {
  const [first, second] = a.table <= b.table ? [a, b] : [b, a];
  const later = second.features.next;
  const itself = second.table === first.table + 1 && !later.has(second.table) ? second.table : -1;
  let nSame = 0;
  for (const table of first.features.next) {
    if (table === itself) continue;
    if (!later.has(table)) return false;
    nSame++;
  }
  return nSame === later.size;
}
const isSameInstructions = (a: Numbered, b: Numbered): boolean =>
  isSameNext(a, b) &&
  isSame(a.features.instructions, b.features.instructions) &&
  isSameActions(a.features.write, b.features.write) &&
  isSameActions(a.features.apply, b.features.apply);
const hasInstructions = (f: TableInstructionFeatures): boolean =>
  f.next.size > 0 || f.instructions.size > 0 || hasActions(f.write) || hasActions(f.apply);

const nonmiss = (tf: TableFeatures): Numbered => ({ table: tf.tableId, features: tf.nonmissFeatures });
const miss = (tf: TableFeatures): Numbered => ({ table: tf.tableId, features: tf.missFeatures });

const isSameFeatures = (a: TableFeatures, b: TableFeatures): boolean =>
  a.metadataMatch === b.metadataMatch &&
  a.metadataWrite === b.metadataWrite &&
  a.miss === b.miss &&
  a.supportsEviction === b.supportsEviction &&
  a.supportsVacancyEvents === b.supportsVacancyEvents &&
  a.maxEntries === b.maxEntries &&
  isSameInstructions(nonmiss(a), nonmiss(b)) &&
  isSameInstructions(miss(a), miss(b)) &&
  isSame(a.match, b.match);

const saysAnything = (tf: TableFeatures): boolean =>
  tf.metadataMatch !== 0n ||
  tf.metadataWrite !== 0n ||
  tf.miss !== 'default' ||
  tf.supportsEviction !== undefined ||
  tf.supportsVacancyEvents !== undefined ||
  tf.maxEntries !== 0 ||
  hasInstructions(tf.nonmissFeatures) ||
  hasInstructions(tf.missFeatures) ||
  tf.match.size > 0;

/** Tables as ranges: "1-253"; "none" for no table. */
function formatTables(tables: ReadonlySet<number>): string {
  const ranges: string[] = [];
  for (let first = 0; first < 255; first++) {
    if (!tables.has(first)) continue;
    let last = first;
    while (last + 1 < 255 && tables.has(last + 1)) last++;
    ranges.push(first === last ? String(first) : `${first}-${last}`);
    first = last;
  }
  return ranges.join(',');
}

function formatActionFeatures(f: TableActionFeatures): string {
  let text = f.ofpacts.size > 0 ? `        actions: ${formatKinds(f.ofpacts)}\n` : '';
  if (f.setFields.size > 0) text += `        supported on Set-Field:${formatFields(f.setFields)}\n`;
  return text;
}

function formatInstructionFeatures(f: TableInstructionFeatures, prev: TableInstructionFeatures | undefined): string {
  let text = f.next.size > 0 ? `      next tables: ${formatTables(f.next)}\n` : '';
  if (f.instructions.size > 0) {
    const list = INSTRUCTION_ORDER.filter((name) => f.instructions.has(name)).join(' ');
    const same = prev !== undefined && isSame(f.instructions, prev.instructions);
    text += same ? '      (same instructions)\n' : `      instructions: ${list}\n`;
  }
  const isRepeated = prev !== undefined && isSameActions(f.write, prev.write) && isSameActions(f.apply, prev.apply);
  if (isRepeated && f.write.setFields.size > 0) return `${text}      (same actions)\n`;
  if (!isSameActions(f.write, f.apply)) {
    const [write, apply] = [formatActionFeatures(f.write), formatActionFeatures(f.apply)];
    return `${text}      Write-Actions features:\n${write}      Apply-Actions features:\n${apply}`;
  }
  if (!hasActions(f.write)) return text;
  return `${text}      Write-Actions and Apply-Actions features:\n${formatActionFeatures(f.write)}`;
}

function formatInstructions(tf: TableFeatures, prev: TableFeatures | undefined): string {
  if (
    prev !== undefined &&
    isSameInstructions(nonmiss(tf), nonmiss(prev)) &&
    isSameInstructions(miss(tf), miss(prev))
  ) {
    return hasInstructions(tf.nonmissFeatures) ? '    (same instructions)\n' : '';
  }
  const others = formatInstructionFeatures(tf.nonmissFeatures, prev?.nonmissFeatures);
  if (!isSameInstructions(nonmiss(tf), miss(tf))) {
    const missed = formatInstructionFeatures(tf.missFeatures, prev?.missFeatures);
    return `    instructions (other than table miss):\n${others}    instructions (table miss):\n${missed}`;
  }
  return hasInstructions(tf.nonmissFeatures) ? `    instructions (table miss and others):\n${others}` : '';
}

function formatMatching(tf: TableFeatures, prev: TableFeatures | undefined): string {
  if (tf.match.size === 0) return '';
  if (prev !== undefined && isSame(tf.match, prev.match)) return '    (same matching)\n';
  const put = (title: string, hasMask: boolean, isWild: boolean): string => {
    const fields = [...tf.match].filter((f) => tf.mask.has(f) === hasMask && tf.wildcard.has(f) === isWild);
    return fields.length === 0 ? '' : `      ${title}:${formatFields(fields)}\n`;
  };
  const exactOrWild = put('exact match or wildcard', false, true);
  return `    matching:\n${put('arbitrary mask', true, true)}${exactOrWild}${put('must exact match', false, false)}`;
}

function formatFeatures(tf: TableFeatures, prev: TableFeatures | undefined): string {
  let text = '';
  const hex = (n: bigint): string => (n === 0n ? '0' : `0x${n.toString(16)}`);
  if (tf.metadataMatch !== 0n || tf.metadataWrite !== 0n) {
    text += `    metadata: match=${hex(tf.metadataMatch)} write=${hex(tf.metadataWrite)}\n`;
  }
  const supports = (title: string, has: boolean | undefined): void => {
    if (has !== undefined) text += `    ${title}: ${has ? '' : 'not '}supported\n`;
  };
  if (tf.miss !== 'default') text += `    config=${tf.miss}\n`;
  supports('eviction', tf.supportsEviction);
  supports('vacancy events', tf.supportsVacancyEvents);
  if (tf.maxEntries !== 0) text += `    max_entries=${tf.maxEntries}\n`;
  return text + formatInstructions(tf, prev) + formatMatching(tf, prev);
}

/** A table of a list; `stats` are missing where features alone are told. */
interface Entry {
  readonly features: TableFeatures;
  readonly stats: TableStats | undefined;
}

const isSameStats = (a: TableStats | undefined, b: TableStats | undefined): boolean =>
  a === undefined ||
  (b !== undefined &&
    a.activeCount === b.activeCount &&
    a.lookupCount === b.lookupCount &&
    a.matchedCount === b.matchedCount);

function formatEntry({ features, stats }: Entry, prev: Entry | undefined): string {
  let text = `\n  table ${features.tableId}${features.name === '' ? '' : ` ("${features.name}")`}:`;
  const same = prev !== undefined && isSameFeatures(features, prev.features);
  if (same && isSameStats(stats, prev.stats)) return `${text} ditto`;
  text += '\n';
  if (stats !== undefined) {
    text += `    active=${stats.activeCount}, lookup=${stats.lookupCount}, matched=${stats.matchedCount}\n`;
  }
  if (same) return text + (saysAnything(features) ? '    (same features)\n' : '');
  return text + formatFeatures(features, prev?.features);
}

/** Tables one after the other; those that are like the one before, and have no name, in one line. */
export function formatTableList(entries: readonly Entry[]): string {
  let text = '';
  let dittos: number[] = [];
  const endDittos = (): void => {
    const [first, last] = [dittos[0], dittos[dittos.length - 1]];
    if (first !== undefined)
      text += first === last ? `\n  table ${first}: ditto\n` : `\n  tables ${first}...${last}: ditto\n`;
    dittos = [];
  };
  let prev: Entry | undefined;
  for (const entry of entries) {
    const { features, stats } = entry;
    if (prev === undefined && features.command !== 0) {
      text += `\n  command: ${COMMANDS[features.command] ?? '***bad command***'}`;
    }
    const same = prev !== undefined && isSameFeatures(features, prev.features) && isSameStats(stats, prev.stats);
    if (same && features.name === '') dittos.push(features.tableId);
    else {
      endDittos();
      text += formatEntry(entry, prev);
    }
    prev = entry;
  }
  endDittos();
  return text;
}

const formatList = (list: readonly TableFeatures[]): string =>
  formatTableList(list.map((tf) => ({ features: tf, stats: undefined })));

export const TABLE_FEATURES_PRINTERS: Printers = {
  table_features_stats_request: formatList,
  table_features_stats_reply: formatList,
  // Statistics of OpenFlow 1.3 and later say nothing of what a table can do.
  table_stats_reply: (list) =>
    formatTableList(list.map((stats) => ({ features: stats.features ?? features(stats.tableId, '', 0), stats }))),
};
