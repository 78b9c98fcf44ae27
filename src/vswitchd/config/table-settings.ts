/**
 * What the database wants of a bridge's flow tables: Bridge.flow_tables and the Flow_Table rows.
 * Source: vswitchd/bridge.c (bridge_configure_tables), vswitchd/vswitch.xml.
 */
import type { FlowBits, TableSettings } from '../../ofproto/connmgr/openflow-settings.ts';
import { mfByName } from '../../openflow/fields/mf-fields.ts';
import { parseSubfield } from '../../openflow/fields/mf-subfield.ts';
import { OfpTextError } from '../../openflow/ofp-text.ts';
import { type BridgeRow, Flow_Table, type Flow_TableRow } from '../../ovsdb/vswitch-schema.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { RowSource } from './row-source.ts';

const log = vlog('bridge');
const limit = new RateLimit(1, 5);

const N_TABLES = 255;
/** Limits from here on are none. */
const NO_LIMIT = 0xffff_ffff;
const MAX_PREFIXES = 3;

function readGroups(row: Flow_TableRow, where: string): FlowBits[] {
  const groups: FlowBits[] = [];
  for (const text of row.groups) {
    try {
      const { field, ofs, bits } = parseSubfield(text);
      // The most significant bit of a field is its first in a flow.
      groups.push({ at: field.at + field.bits - ofs - bits, bits });
    } catch (error) {
      if (!(error instanceof OfpTextError)) throw error;
      log.warn(`${where}: error parsing 'groups' (${error.message})`, limit);
    }
  }
  return groups;
}

/** undefined: the usual ones. */
function readPrefixes(row: Flow_TableRow, bridge: string): FlowBits[] | undefined {
  const fields: FlowBits[] = [];
  for (const name of row.prefixes) {
    if (name === 'none') return [];
    const field = mfByName(name);
    if (field === undefined) log.warn(`bridge ${bridge}: 'prefixes' with unknown field: ${name}`);
    else if (field.at < 0 || field.bits % 32 !== 0) {
      log.warn(`bridge ${bridge}: 'prefixes' with incompatible field: ${name}`);
    } else if (fields.length >= MAX_PREFIXES) {
      log.warn(`bridge ${bridge}: 'prefixes' with too many fields, field not used: ${name}`);
    } else fields.push({ at: field.at, bits: field.bits });
  }
  return fields.length === 0 ? undefined : fields;
}

/** The tables that have rows of their own, by rising number. */
export function readTables(db: RowSource, row: BridgeRow): TableSettings[] {
  const tables: TableSettings[] = [];
  for (const [number, uuid] of [...row.flow_tables].sort(([a], [b]) => a - b)) {
    const table = db.row(Flow_Table, uuid);
    if (table === undefined) continue;
    if (number >= N_TABLES) {
      const what = `ignoring configuration for flow table ${number} not supported by this datapath`;
      log.warn(`bridge ${row.name}: ${what}`, limit);
      continue;
    }
    const where = `bridge ${row.name} table ${number}`;
    const { name, flow_limit } = table;
    tables.push({
      number,
      name,
      maxFlows: flow_limit === undefined || flow_limit >= NO_LIMIT ? undefined : flow_limit,
      evicts: table.overflow_policy === 'evict',
      groups: readGroups(table, where),
      prefixes: readPrefixes(table, row.name),
    });
  }
  return tables;
}
