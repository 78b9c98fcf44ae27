/**
 * A replica of a database, kept up to date by its server, and transactions that change the database.
 *
 * The replica asks for the columns of the tables that it was told of, with the newest monitor method that the server has
 * (monitor_cond_since, which after a broken connection sends only what changed; monitor_cond; monitor).  Rows are
 * immutable: a change puts another object in a row's place.  Whoever reads follows references with `row`.
 *
 * A transaction is a list of writes that is sent at once.  Those that would change nothing are left out.  Where the
 * replica was given the name of a lock, every transaction asserts that this client has it.  The replica shows what a
 * transaction did before the promise of `transact` resolves.
 * Source: RFC 7047, ovsdb-server(7) (monitor_cond_since), lib/ovsdb-idl.c, lib/ovsdb-cs.c.
 */
import { isJsonObject, type Json, type JsonObject } from '../util/json-stream.ts';
import { vlog } from '../util/vlog.ts';
import { JsonRpcDisconnected, JsonRpcSession, type SessionOptions } from './jsonrpc.ts';
import {
  applyDiff,
  type Column,
  decodeValue,
  encodeValue,
  OvsdbFormatError,
  OvsdbNotOwner,
  OvsdbTimedOut,
  OvsdbUnknownMethod,
  ovsdbError,
  type Row,
  type RowValues,
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
  /** Columns whose changes alone are no reason to call `changed`: those that this client writes itself. */
  readonly quiet?: readonly string[];
}

export interface IdlOptions {
  readonly remote: string;
  readonly database: string;
  readonly tables: readonly Replicated[];
  /** Name of the lock to ask for. */
  readonly lock?: string;
  readonly session?: SessionOptions;
  /**
   * Called after each update that changed something that is not quiet, when the replica is complete for the first time,
   * and when the lock is got or lost.  `changes` has the UUIDs of changed, new and deleted rows by table name.
   */
  changed(changes: Changes): void;
}

export type Changes = ReadonlyMap<string, ReadonlySet<Uuid>>;

/**
 * How a transaction ended.  "try-again": somebody changed a verified column meanwhile, or the connection broke; "not-locked": this
 * client lacks the lock; "error": the database does not allow it, which was logged.
 */
export type TxnStatus = 'success' | 'unchanged' | 'try-again' | 'not-locked' | 'error';

interface Replica {
  readonly spec: Replicated;
  readonly rows: Map<Uuid, AnyRow>;
  readonly quiet: ReadonlySet<string>;
}
type AnyRow = { readonly _uuid: Uuid } & { readonly [column: string]: unknown };

const METHODS = ['monitor_cond_since', 'monitor_cond', 'monitor'] as const;
const NO_TXN = '00000000-0000-0000-0000-000000000000';

/** Collects a transaction's operations. */
export class Txn {
  private readonly idl: Idl;
  private readonly verified: JsonObject[] = [];
  private readonly updates = new Map<string, { table: Table; uuid: Uuid; values: Map<string, unknown> }>();
  private readonly others: JsonObject[] = [];
  private nInserted = 0;

  constructor(idl: Idl) {
    this.idl = idl;
  }

  /** Writes columns of a row, those that differ from the replica's.  A row that is no longer there is left alone. */
  update<T extends Table>(table: T, uuid: Uuid, values: RowValues<T>): void {
    const key = `${table.name} ${uuid}`;
    const before = this.idl.row(table, uuid) as AnyRow | undefined;
    if (before === undefined) return;
    const update = this.updates.get(key) ?? { table, uuid, values: new Map<string, unknown>() };
    for (const [name, value] of Object.entries(values)) {
      const isSame = valuesEqual(columnOf(table, name), before[name], value) && this.idl.isReplicated(table, name);
      if (isSame) update.values.delete(name);
      else update.values.set(name, value);
    }
    if (update.values.size > 0) this.updates.set(key, update);
    else this.updates.delete(key);
  }

  /** Makes the transaction fail ("try-again") if the row's column is no longer what the replica has. */
  verify<T extends Table>(table: T, uuid: Uuid, name: keyof T['columns'] & string): void {
    const row = this.idl.row(table, uuid) as AnyRow | undefined;
    const rows = row === undefined ? [] : [{ [name]: encodeValue(columnOf(table, name), row[name]) }];
    const where = [['_uuid', '==', ['uuid', uuid]]];
    this.verified.push({ op: 'wait', timeout: 0, table: table.name, where, columns: [name], until: '==', rows });
  }

  /** Inserts a row; returns a name by which other writes of this transaction may refer to it. */
  insert<T extends Table>(table: T, values: RowValues<T>): Uuid {
    const name = `row${this.nInserted++}`;
    this.others.push({
      op: 'insert',
      table: table.name,
      row: encodeRow(table, Object.entries(values)),
      'uuid-name': name,
    });
    return name;
  }

  delete(table: Table, uuid: Uuid): void {
    this.others.push({ op: 'delete', table: table.name, where: [['_uuid', '==', ['uuid', uuid]]] });
  }

  /** Text for the database's log. */
  comment(text: string): void {
    this.others.push({ op: 'comment', comment: text });
  }

  /** The operations; none if nothing would change. */
  operations(): JsonObject[] {
    const updates = [...this.updates.values()].map(({ table, uuid, values }) => ({
      op: 'update',
      table: table.name,
      where: [['_uuid', '==', ['uuid', uuid]]],
      row: encodeRow(table, values),
    }));
    const writes = [...updates, ...this.others];
    return writes.some((w) => w.op !== 'comment') ? [...this.verified, ...writes] : [];
  }
}

function columnOf(table: Table, name: string): Column<unknown> {
  const column = table.columns[name];
  if (column === undefined) throw new RangeError(`table ${table.name} has no column ${name}`);
  return column;
}

const encodeRow = (table: Table, values: Iterable<[string, unknown]>): JsonObject =>
  Object.fromEntries([...values].map(([name, value]) => [name, encodeValue(columnOf(table, name), value)]));

export class Idl {
  private readonly options: IdlOptions;
  private readonly session: JsonRpcSession;
  private readonly replicas: ReadonlyMap<string, Replica>;
  /** Columns by table that the server has, of those that are wanted. */
  private available = new Map<string, ReadonlySet<string>>();
  private lastTxnId = NO_TXN;
  private methodIndex = 0;
  private isMonitoring = false;
  private isComplete = false;
  private lockState: 'none' | 'held' | 'contended' = 'none';
  private queue: Promise<unknown> = Promise.resolve();

  /** Begins to connect.  Throws a RangeError if the remote is none. */
  constructor(options: IdlOptions) {
    this.options = options;
    this.replicas = new Map(
      options.tables.map((spec) => [spec.table.name, { spec, rows: new Map(), quiet: new Set(spec.quiet) }]),
    );
    this.session = new JsonRpcSession(
      options.remote,
      {
        connected: () => this.connected(),
        disconnected: () => this.disconnected(),
        notification: (method, params) => this.notification(method, params),
      },
      options.session,
    );
  }

  /** Whether the replica has ever been complete; it stays readable, if old, while the connection is broken. */
  get hasData(): boolean {
    return this.isComplete;
  }
  get isConnected(): boolean {
    return this.session.isConnected && this.isMonitoring;
  }
  get hasLock(): boolean {
    return this.lockState === 'held';
  }
  /** Whether another client holds the lock. */
  get isLockContended(): boolean {
    return this.lockState === 'contended';
  }

  rows<T extends Table>(table: T): Iterable<Row<T>> {
    return (this.replicas.get(table.name)?.rows.values() ?? []) as Iterable<Row<T>>;
  }
  row<T extends Table>(table: T, uuid: Uuid): Row<T> | undefined {
    return this.replicas.get(table.name)?.rows.get(uuid) as Row<T> | undefined;
  }
  /** Whether the replica knows what the server has in that column. */
  isReplicated(table: Table, column: string): boolean {
    return this.available.get(table.name)?.has(column) ?? false;
  }

  /**
   * Sends what `build` writes, after the transactions before it are done; it is called then, and sees the replica of that
   * time.  Never rejects, except with what `build` throws.
   */
  transact(build: (txn: Txn) => void): Promise<TxnStatus> {
    const result = this.queue.then(() => this.transactNow(build));
    this.queue = result.catch(() => undefined);
    return result;
  }

  close(): void {
    this.session.close();
    this.isMonitoring = false;
    this.lockState = 'none';
  }

  private async transactNow(build: (txn: Txn) => void): Promise<TxnStatus> {
    const { lock, database } = this.options;
    if (!this.isConnected) return 'try-again';
    if (lock !== undefined && !this.hasLock) return 'not-locked';
    const txn = new Txn(this);
    build(txn);
    const operations = txn.operations();
    if (operations.length === 0) return 'unchanged';
    if (lock !== undefined) operations.unshift({ op: 'assert', lock });
    try {
      const results = await this.session.request('transact', [database, ...operations]);
      if (!Array.isArray(results)) throw new OvsdbFormatError('transact', 'result is not an array');
      for (const result of results as Json[]) {
        if (isJsonObject(result) && result['error'] !== undefined && result['error'] !== null) throw ovsdbError(result);
      }
      return 'success';
    } catch (error) {
      if (error instanceof JsonRpcDisconnected || error instanceof OvsdbTimedOut) return 'try-again';
      if (error instanceof OvsdbNotOwner) return 'not-locked';
      log.warn(`transaction error: ${(error as Error).message}`);
      return 'error';
    }
  }

  private connected(): void {
    const { database, lock } = this.options;
    this.isMonitoring = false;
    this.session.call('get_schema', [database], {
      resolve: (schema) => {
        this.learnSchema(schema);
        this.monitor();
      },
      reject: (error) => this.giveUp(`no schema of database ${database}: ${error.message}`),
    });
    if (lock === undefined) return;
    this.session.call('lock', [lock], {
      resolve: (result) => {
        const locked = isJsonObject(result) && result['locked'] === true;
        this.setLock(locked ? 'held' : 'contended');
      },
      reject: (error) => this.giveUp(`lock "${lock}": ${error.message}`),
    });
  }

  private disconnected(): void {
    this.isMonitoring = false;
    this.setLock('none');
  }

  private giveUp(why: string): void {
    if (!this.session.isConnected) return;
    log.warn(`${this.session.remote}: ${why}`);
    this.session.reconnect('connection dropped');
  }

  private learnSchema(schema: Json): void {
    const tables = isJsonObject(schema) && isJsonObject(schema['tables']) ? schema['tables'] : {};
    this.available = new Map();
    for (const [name, { spec }] of this.replicas) {
      const has = tables[name];
      const columns = isJsonObject(has) && isJsonObject(has['columns']) ? has['columns'] : undefined;
      if (columns === undefined) {
        log.warn(`${this.options.database} database lacks table ${name}`);
        continue;
      }
      const wanted = Object.keys(spec.table.columns).filter((c) => !spec.omit?.includes(c));
      this.available.set(name, new Set(wanted.filter((c) => columns[c] !== undefined)));
    }
  }

  private monitor(): void {
    const method = METHODS[this.methodIndex] ?? 'monitor';
    const requests: Record<string, Json> = {};
    for (const [name, columns] of this.available) requests[name] = [{ columns: [...columns] }];
    const params: Json[] = [this.options.database, 'idl', requests];
    if (method === 'monitor_cond_since') params.push(this.lastTxnId);
    this.session.call(method, params, {
      resolve: (result) => this.monitorReply(method, result),
      reject: (error) => {
        if (error instanceof OvsdbUnknownMethod && method !== 'monitor') {
          this.methodIndex++;
          this.monitor();
        } else {
          this.giveUp(`${method}: ${error.message}`);
        }
      },
    });
  }

  private monitorReply(method: (typeof METHODS)[number], result: Json): void {
    let updates = result;
    let isWhole = true;
    if (method === 'monitor_cond_since') {
      if (!Array.isArray(result)) throw new OvsdbFormatError(method, 'result is not an array');
      const [found, txnId, since] = result as Json[];
      isWhole = found !== true;
      this.lastTxnId = typeof txnId === 'string' ? txnId : NO_TXN;
      updates = since ?? {};
    }
    const changes = new ChangeSet();
    if (isWhole) this.forgetMissing(updates, changes);
    this.apply(updates, method === 'monitor', changes);
    const isFirst = !this.isComplete;
    this.isMonitoring = true;
    this.isComplete = true;
    if (changes.isAlert || isFirst) this.options.changed(changes.rows);
  }

  /** Rows that a whole replica does not have any more are gone; those that it has are replaced. */
  private forgetMissing(updates: Json, changes: ChangeSet): void {
    for (const [name, replica] of this.replicas) {
      const table = isJsonObject(updates) ? updates[name] : undefined;
      for (const uuid of [...replica.rows.keys()]) {
        if (isJsonObject(table) && table[uuid] !== undefined) continue;
        replica.rows.delete(uuid);
        changes.add(name, uuid, true);
      }
    }
  }

  private notification(method: string, params: readonly Json[]): void {
    switch (method) {
      case 'update3':
        if (typeof params[1] === 'string') this.lastTxnId = params[1];
        this.update(params[2], false);
        break;
      case 'update2':
        this.update(params[1], false);
        break;
      case 'update':
        this.update(params[1], true);
        break;
      case 'locked':
        if (params[0] === this.options.lock) this.setLock('held');
        break;
      case 'stolen':
        if (params[0] === this.options.lock) this.setLock('contended');
        break;
      case 'monitor_canceled':
        throw new OvsdbFormatError(method, 'the database went away');
      default:
        log.dbg(`unexpected notification "${method}"`);
    }
  }

  private update(updates: Json | undefined, isV1: boolean): void {
    const changes = new ChangeSet();
    this.apply(updates ?? {}, isV1, changes);
    if (changes.isAlert) this.options.changed(changes.rows);
  }

  private apply(updates: Json, isV1: boolean, changes: ChangeSet): void {
    if (!isJsonObject(updates)) throw new OvsdbFormatError('update', 'want an object');
    for (const [name, tableUpdate] of Object.entries(updates)) {
      const replica = this.replicas.get(name);
      if (replica === undefined || !isJsonObject(tableUpdate)) throw new OvsdbFormatError(name, 'unexpected table');
      for (const [uuid, update] of Object.entries(tableUpdate)) {
        if (!isJsonObject(update)) throw new OvsdbFormatError(`${name} ${uuid}`, 'want an object');
        if (isV1) this.applyV1(replica, uuid, update, changes);
        else this.applyV2(replica, uuid, update, changes);
      }
    }
  }

  private applyV1(replica: Replica, uuid: Uuid, update: JsonObject, changes: ChangeSet): void {
    if (isJsonObject(update['new'])) this.replace(replica, uuid, update['new'], replica.rows.get(uuid), changes);
    else this.remove(replica, uuid, changes);
  }

  private applyV2(replica: Replica, uuid: Uuid, update: JsonObject, changes: ChangeSet): void {
    const old = replica.rows.get(uuid);
    const whole = update['initial'] ?? update['insert'];
    const modify = update['modify'];
    if (isJsonObject(whole)) {
      this.replace(replica, uuid, whole, undefined, changes);
      return;
    }
    if (!isJsonObject(modify)) {
      this.remove(replica, uuid, changes);
      return;
    }
    const { table } = replica.spec;
    if (old === undefined) throw new OvsdbFormatError(`${table.name} ${uuid}`, 'a row that was never there changed');
    const row: Record<string, unknown> = { ...old };
    for (const [name, json] of Object.entries(modify)) {
      const column = columnOf(table, name);
      row[name] = applyDiff(column, old[name], decodeValue(column, json, `${table.name}.${name}`));
      changes.add(table.name, uuid, !replica.quiet.has(name));
    }
    replica.rows.set(uuid, row as AnyRow);
  }

  /** Puts in place a row of `json`'s columns, and `base`'s or initial ones for the rest. */
  private replace(replica: Replica, uuid: Uuid, json: JsonObject, base: AnyRow | undefined, changes: ChangeSet): void {
    const { table } = replica.spec;
    const old = replica.rows.get(uuid);
    const row: Record<string, unknown> = { _uuid: uuid };
    let isAlert = old === undefined;
    for (const [name, column] of Object.entries(table.columns)) {
      const value = json[name];
      if (value === undefined) row[name] = base === undefined ? column.initial : base[name];
      else row[name] = decodeValue(column, value, `${table.name}.${name}`);
      if (old !== undefined && !replica.quiet.has(name) && !valuesEqual(column, old[name], row[name])) isAlert = true;
    }
    replica.rows.set(uuid, row as AnyRow);
    changes.add(table.name, uuid, isAlert);
  }

  private remove(replica: Replica, uuid: Uuid, changes: ChangeSet): void {
    if (replica.rows.delete(uuid)) changes.add(replica.spec.table.name, uuid, true);
  }

  private setLock(state: typeof this.lockState): void {
    if (state === this.lockState) return;
    this.lockState = state;
    if (this.isComplete) this.options.changed(new Map());
  }
}

class ChangeSet {
  readonly rows = new Map<string, Set<Uuid>>();
  isAlert = false;

  add(table: string, uuid: Uuid, isAlert: boolean): void {
    const uuids = this.rows.get(table) ?? new Set<Uuid>();
    this.rows.set(table, uuids.add(uuid));
    this.isAlert ||= isAlert;
  }
}
