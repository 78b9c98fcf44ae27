/**
 * A replica of some tables of a database: rows, and what an update does to them.  idl.ts feeds it.
 *
 * Rows are immutable: a change puts another object in a row's place.  A row's revision grows with each change that is not
 * quiet, and so does that of its table: who made something of rows can tell whether it has to be made anew.
 * Source: RFC 7047 section 4.1.6, ovsdb-server(7) (update2, update3), lib/ovsdb-idl.c.
 */
import { isJsonObject, type Json, type JsonObject } from '../util/json-stream.ts';
import { vlog } from '../util/vlog.ts';
import {
  applyDiff,
  type Column,
  decodeValue,
  OvsdbFormatError,
  type Row,
  type Table,
  type Uuid,
  valuesEqual,
} from './ovsdb-types.ts';

const log = vlog('ovsdb_idl');

/** A table to replicate. */
export interface Replicated {
  readonly table: Table;
  /** Columns that are not wanted: a row shows their initial value, and writes to them are always sent. */
  readonly omit?: readonly string[];
  /** Columns whose changes alone are no news: those that this client writes itself. */
  readonly quiet?: readonly string[];
  /** Columns that only newer servers have: nothing is said of one that is missing. */
  readonly later?: readonly string[];
}

/** UUIDs of changed, new and deleted rows by table name, and whether a column that is not quiet is among what changed. */
export class Changes {
  readonly rows = new Map<string, Set<Uuid>>();
  isNews = false;

  add(table: string, uuid: Uuid, isNews: boolean): void {
    const uuids = this.rows.get(table) ?? new Set<Uuid>();
    this.rows.set(table, uuids.add(uuid));
    this.isNews ||= isNews;
  }
}

export type AnyRow = { readonly _uuid: Uuid } & { readonly [column: string]: unknown };

/** A column by its name.  Throws a RangeError if the table has none of that name. */
export function columnOf(table: Table, name: string): Column<unknown> {
  const column = table.columns[name];
  if (column === undefined) throw new RangeError(`table ${table.name} has no column ${name}`);
  return column;
}

interface ReplicaTable {
  readonly spec: Replicated;
  readonly rows: Map<Uuid, AnyRow>;
  readonly revisions: Map<Uuid, number>;
  readonly quiet: ReadonlySet<string>;
  revision: number;
}

export class Replica {
  private readonly tables: ReadonlyMap<string, ReplicaTable>;
  /** Of the server's schema, as "8.3.1"; undefined until it is known. */
  schemaVersion: string | undefined;
  /** Columns by table that the server has, of those that are wanted. */
  private available = new Map<string, ReadonlySet<string>>();
  private nextRevision = 1;

  constructor(specs: readonly Replicated[]) {
    const empty = (spec: Replicated): ReplicaTable => ({
      spec,
      rows: new Map(),
      revisions: new Map(),
      quiet: new Set(spec.quiet),
      revision: 0,
    });
    this.tables = new Map(specs.map((spec) => [spec.table.name, empty(spec)]));
  }

  rows<T extends Table>(table: T): Iterable<Row<T>> {
    return (this.tables.get(table.name)?.rows.values() ?? []) as Iterable<Row<T>>;
  }
  row<T extends Table>(table: T, uuid: Uuid): Row<T> | undefined {
    return this.tables.get(table.name)?.rows.get(uuid) as Row<T> | undefined;
  }
  /** Grows with each change of the row that is not quiet; 0: there is no such row. */
  revision(table: Table, uuid: Uuid): number {
    return this.tables.get(table.name)?.revisions.get(uuid) ?? 0;
  }
  /** Grows with each change of the table that is not quiet. */
  tableRevision(table: Table): number {
    return this.tables.get(table.name)?.revision ?? 0;
  }
  /** Grows with each change of any table that is not quiet. */
  get dataRevision(): number {
    return this.nextRevision;
  }
  /** Whether the replica knows what the server has in that column. */
  isReplicated(table: Table, column: string): boolean {
    return this.available.get(table.name)?.has(column) ?? false;
  }

  /** Finds out what of the wanted columns the server's schema (RFC 7047 section 3.2) has. */
  learnSchema(schema: Json): void {
    const name = isJsonObject(schema) ? schema['name'] : '';
    const tables = isJsonObject(schema) && isJsonObject(schema['tables']) ? schema['tables'] : {};
    const version = isJsonObject(schema) ? schema['version'] : undefined;
    this.schemaVersion = typeof version === 'string' ? version : undefined;
    this.available = new Map();
    for (const [table, { spec }] of this.tables) {
      const has = tables[table];
      const columns = isJsonObject(has) && isJsonObject(has['columns']) ? has['columns'] : undefined;
      if (columns === undefined) {
        log.warn(`${name} database lacks ${table} table (database needs upgrade?)`);
        continue;
      }
      const wanted = Object.keys(spec.table.columns).filter((c) => !spec.omit?.includes(c));
      for (const column of wanted) {
        if (columns[column] !== undefined || spec.later?.includes(column)) continue;
        log.warn(`${table} table in ${name} database lacks ${column} column (database needs upgrade?)`);
      }
      this.available.set(table, new Set(wanted.filter((c) => columns[c] !== undefined)));
    }
  }

  /** The <monitor-requests> of RFC 7047 section 4.1.5. */
  monitorRequests(): JsonObject {
    const requests: Record<string, Json> = {};
    for (const [name, columns] of this.available) requests[name] = [{ columns: [...columns] }];
    return requests;
  }

  /** Makes the replica what `updates` has; rows that are not there are gone.  Throws an OvsdbFormatError. */
  applyWhole(updates: Json, isV1: boolean): Changes {
    const changes = new Changes();
    for (const [name, table] of this.tables) {
      const now = isJsonObject(updates) ? updates[name] : undefined;
      for (const uuid of [...table.rows.keys()]) {
        if (!isJsonObject(now) || now[uuid] === undefined) this.remove(table, uuid, changes);
      }
    }
    this.apply(updates, isV1, changes);
    return changes;
  }

  /** Applies the updates of an "update" (V1), "update2" or "update3" notification.  Throws an OvsdbFormatError. */
  applyUpdate(updates: Json, isV1: boolean): Changes {
    const changes = new Changes();
    this.apply(updates, isV1, changes);
    return changes;
  }

  private apply(updates: Json, isV1: boolean, changes: Changes): void {
    if (!isJsonObject(updates)) throw new OvsdbFormatError('update', 'want an object');
    for (const [name, tableUpdate] of Object.entries(updates)) {
      const table = this.tables.get(name);
      if (table === undefined || !isJsonObject(tableUpdate)) throw new OvsdbFormatError(name, 'unexpected table');
      for (const [uuid, update] of Object.entries(tableUpdate)) {
        if (!isJsonObject(update)) throw new OvsdbFormatError(`${name} ${uuid}`, 'want an object');
        if (isV1) this.applyV1(table, uuid, update, changes);
        else this.applyV2(table, uuid, update, changes);
      }
    }
  }

  private applyV1(table: ReplicaTable, uuid: Uuid, update: JsonObject, changes: Changes): void {
    if (isJsonObject(update['new'])) this.replace(table, uuid, update['new'], table.rows.get(uuid), changes);
    else this.remove(table, uuid, changes);
  }

  private applyV2(table: ReplicaTable, uuid: Uuid, update: JsonObject, changes: Changes): void {
    const whole = update['initial'] ?? update['insert'];
    const modify = update['modify'];
    if (isJsonObject(whole)) this.replace(table, uuid, whole, undefined, changes);
    else if (isJsonObject(modify)) this.modify(table, uuid, modify, changes);
    else this.remove(table, uuid, changes);
  }

  private modify(table: ReplicaTable, uuid: Uuid, diff: JsonObject, changes: Changes): void {
    const spec = table.spec.table;
    const old = table.rows.get(uuid);
    if (old === undefined) throw new OvsdbFormatError(`${spec.name} ${uuid}`, 'a row that was never there changed');
    const row: Record<string, unknown> = { ...old };
    let isNews = false;
    for (const [name, json] of Object.entries(diff)) {
      const column = columnOf(spec, name);
      row[name] = applyDiff(column, old[name], decodeValue(column, json, `${spec.name}.${name}`));
      isNews ||= !table.quiet.has(name);
    }
    this.put(table, row as AnyRow, isNews, changes);
  }

  /** Puts in place a row of `json`'s columns, and `base`'s or initial ones for the rest. */
  private replace(table: ReplicaTable, uuid: Uuid, json: JsonObject, base: AnyRow | undefined, changes: Changes): void {
    const spec = table.spec.table;
    const old = table.rows.get(uuid);
    const row: Record<string, unknown> & { _uuid: Uuid } = { _uuid: uuid };
    let isNews = old === undefined;
    for (const [name, column] of Object.entries(spec.columns)) {
      const value = json[name];
      if (value === undefined) row[name] = base === undefined ? column.initial : base[name];
      else row[name] = decodeValue(column, value, `${spec.name}.${name}`);
      if (old !== undefined && !table.quiet.has(name) && !valuesEqual(column, old[name], row[name])) isNews = true;
    }
    this.put(table, row, isNews, changes);
  }

  private put(table: ReplicaTable, row: AnyRow, isNews: boolean, changes: Changes): void {
    table.rows.set(row._uuid, row);
    if (isNews) {
      table.revision = this.nextRevision++;
      table.revisions.set(row._uuid, table.revision);
    }
    changes.add(table.spec.table.name, row._uuid, isNews);
  }

  private remove(table: ReplicaTable, uuid: Uuid, changes: Changes): void {
    if (!table.rows.delete(uuid)) return;
    table.revisions.delete(uuid);
    table.revision = this.nextRevision++;
    changes.add(table.spec.table.name, uuid, true);
  }
}
