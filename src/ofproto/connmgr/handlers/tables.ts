/**
 * Requests about tables: what they count, what they can do and are called, what they do when they are full or have no flow for a packet.
 * Source: ofproto/ofproto.c (handle_table_stats_request, handle_table_features_request, handle_table_desc_request, handle_table_mod).
 */
import { OFPTT_ALL } from '../../../openflow/messages/flow/flow-types.ts';
import type { TableFeatures, TableMod, TableStats } from '../../../openflow/messages/switch/switch-types.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import type { FlowTable } from '../../tables/flow-table.ts';
import { EVICTION_FLAGS, tableDescOf } from '../events/table-events.ts';
import type { Handler, Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';
import { includesFeatures, tableFeatures } from '../table-features.ts';

/** OFPTFC15_*. */
const REPLACE = 0;
const MODIFY = 1;

const visibleTables = (sw: OfSwitch): FlowTable[] => sw.tables.tables.filter((t) => !t.isHidden);

function statsOf(table: FlowTable, features: TableFeatures): TableStats {
  return {
    tableId: table.number,
    activeCount: table.nFlows - table.nHidden,
    lookupCount: table.nMatched + table.nMissed,
    matchedCount: table.nMatched,
    features,
  };
}

const tableStats: Handler<'table_stats_request'> = (conn, msg, sw) => {
  const features = tableFeatures(sw.tables.tables);
  conn.replyList(
    'table_stats_reply',
    visibleTables(sw).map((table, i) => statsOf(table, features[i] as TableFeatures)),
    msg,
  );
};

const notPermitted = (why: string): OfpError => new OfpError(OFPERR.OFPTFFC_EPERM, `table_features: ${why}`);

/** What tables are to become, by number.  Throws OfpError. */
function wantedFeatures(
  wanted: readonly TableFeatures[],
  now: ReadonlyMap<number, TableFeatures>,
): Map<number, TableFeatures> {
  const byId = new Map<number, TableFeatures>();
  for (const tf of wanted) {
    if (byId.has(tf.tableId)) throw new OfpError(OFPERR.NXTFFC_DUP_TABLE, `table_features: table ${tf.tableId} again`);
    byId.set(tf.tableId, tf);
  }
  for (const id of byId.keys()) if (!now.has(id)) throw notPermitted(`table ${id} is not the controllers'`);
  const { command } = wanted[0] as TableFeatures;
  if (command === REPLACE) {
    if (byId.size !== now.size) throw notPermitted('the number of tables stays as it is');
  } else if (command !== MODIFY) throw notPermitted('tables cannot be switched on or off');
  for (const [id, tf] of byId) {
    const old = now.get(id) as TableFeatures;
    // Without properties, only what stands before them is to change.
    if (command === MODIFY && !tf.hasProperties) {
      const { nonmissFeatures, missFeatures, match, mask, wildcard } = old;
      byId.set(id, { ...tf, nonmissFeatures, missFeatures, match, mask, wildcard });
    }
  }
  return byId;
}

/** Carries out a request for other features: names are all that can be changed.  Throws OfpError. */
function changeFeatures(sw: OfSwitch, wanted: readonly TableFeatures[]): void {
  const now = new Map(tableFeatures(sw.tables.tables).map((tf) => [tf.tableId, tf]));
  const changes = wantedFeatures(wanted, now);
  for (const [id, tf] of changes) {
    const old = now.get(id) as TableFeatures;
    const table = sw.tables.table(id);
    if (tf.maxEntries !== old.maxEntries) throw notPermitted('the most entries of a table stay as they are');
    if (table.isNameConfigured && tf.name !== table.name)
      throw notPermitted(`table ${id} has its name from the database`);
    if (!includesFeatures(old, tf)) throw notPermitted(`table ${id} cannot do all that`);
  }
  for (const [id, { name }] of changes) {
    const table = sw.tables.table(id);
    if (!table.isNameConfigured) table.name = name === '' ? undefined : name;
  }
}

const tableFeaturesRequest: Handler<'table_features_stats_request'> = (conn, msg, sw) => {
  if (msg.body.length > 0) changeFeatures(sw, msg.body);
  conn.replyList('table_features_stats_reply', tableFeatures(sw.tables.tables), msg);
};

const tableDesc: Handler<'table_desc_request'> = (conn, msg, sw) =>
  conn.replyList('table_desc_reply', visibleTables(sw).map(tableDescOf), msg);

function modifyTable(table: FlowTable, tm: TableMod): void {
  if (tm.miss !== 'default') table.miss = tm.miss;
  if (tm.hasEviction !== undefined) table.evictsByOpenflow = tm.hasEviction;
  if (tm.hasVacancyEvents === undefined) return;
  const { vacancyDown: down, vacancyUp: up } = tm;
  const first = table.vacancyPercent < up ? 'up' : 'down';
  table.vacancy = tm.hasVacancyEvents ? { down, up, awaits: table.vacancy?.awaits ?? first } : undefined;
}

const tableMod: Handler<'table_mod'> = (_conn, { body: tm }, sw) => {
  if (tm.evictionFlags !== undefined && tm.evictionFlags !== EVICTION_FLAGS) {
    throw new OfpError(OFPERR.OFPTMFC_BAD_CONFIG, 'table_mod: how flows are evicted is fixed');
  }
  if (tm.tableId === OFPTT_ALL) {
    for (const table of visibleTables(sw)) modifyTable(table, tm);
    return;
  }
  const table = sw.tables.table(tm.tableId);
  if (table.isHidden) throw new OfpError(OFPERR.OFPTMFC_EPERM, `table_mod: table ${tm.tableId} is the switch's own`);
  modifyTable(table, tm);
};

export const TABLE_HANDLERS = {
  table_stats_request: tableStats,
  table_features_stats_request: tableFeaturesRequest,
  table_desc_request: tableDesc,
  table_mod: tableMod,
} satisfies Handlers;
