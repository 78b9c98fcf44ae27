/**
 * A replica of a database, kept up to date by its server, and transactions that change the database.
 *
 * connected -> what does the server say of the database (server-database.ts)? -> its schema -> monitor -> updates
 *
 * The replica (replica.ts) asks for the columns of the tables that it was told of, with the newest monitor method that the
 * server has (monitor_cond_since, which after a broken connection sends only what changed; monitor_cond; monitor).  Of a
 * cluster's servers only the leader is used, unless `leaderOnly` is false; the session goes on to the next one.
 *
 * Transactions (txn.ts) are sent one after the other.  Where the replica was given the name of a lock, every transaction
 * asserts that this client has it.  The replica shows what a transaction did before the promise of `transact` resolves.
 * Source: RFC 7047, ovsdb-server(7) (monitor_cond_since), lib/ovsdb-idl.c, lib/ovsdb-cs.c.
 */
import { isJsonObject, type Json } from '../util/json-stream.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { JsonRpcDisconnected, JsonRpcSession, type SessionOptions } from './jsonrpc.ts';
import {
  OvsdbError,
  OvsdbFormatError,
  OvsdbNotOwner,
  OvsdbTimedOut,
  ovsdbError,
  type Row,
  type Table,
  type Uuid,
} from './ovsdb-types.ts';
import { Replica, type Changes as ReplicaChanges, type Replicated } from './replica.ts';
import { SERVER_DATABASE, SERVER_MONITOR, ServerDatabases } from './server-database.ts';
import { Txn } from './txn.ts';

export type { Replicated } from './replica.ts';
export { Txn } from './txn.ts';

const log = vlog('ovsdb_idl');
const csLog = vlog('ovsdb_cs');
const missingLimit = new RateLimit(5, 5);
const errorLimit = new RateLimit(1, 5);

export interface IdlOptions {
  /** One server, or several that have the same database, separated by commas (remote.ts). */
  readonly remote: string;
  readonly database: string;
  readonly tables: readonly Replicated[];
  /** Name of the lock to ask for. */
  readonly lock?: string;
  /** Whether only the leader of a cluster will do; it is so by default. */
  readonly leaderOnly?: boolean;
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

const METHODS = ['monitor_cond_since', 'monitor_cond', 'monitor'] as const;
type Method = (typeof METHODS)[number];
const NO_TXN = '00000000-0000-0000-0000-000000000000';
/** Names of the two monitors. */
const DATA = 'idl';
const SERVER = 'server';
/** Errors that say that the database is not there now, not that the transaction is wrong. */
const PASSING = new Set(['canceled', 'unknown database']);

export class Idl {
  private readonly options: IdlOptions;
  private readonly session: JsonRpcSession;
  private readonly replica: Replica;
  private readonly servers = new ServerDatabases();
  private lastTxnId = NO_TXN;
  private isMonitoring = false;
  private isComplete = false;
  private lockState: 'none' | 'held' | 'contended' = 'none';
  private queue: Promise<unknown> = Promise.resolve();

  /** Begins to connect.  Throws a RangeError if the remote is none. */
  constructor(options: IdlOptions) {
    this.options = options;
    this.replica = new Replica(options.tables);
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
    return this.replica.rows(table);
  }
  row<T extends Table>(table: T, uuid: Uuid): Row<T> | undefined {
    return this.replica.row(table, uuid);
  }
  /** Grows with each change of the row that is not quiet; 0: there is no such row. */
  revision(table: Table, uuid: Uuid): number {
    return this.replica.revision(table, uuid);
  }
  /** Grows with each change of the table that is not quiet. */
  tableRevision(table: Table): number {
    return this.replica.tableRevision(table);
  }
  /** Grows with each change of any table that is not quiet. */
  get dataRevision(): number {
    return this.replica.dataRevision;
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
    const txn = new Txn(this.replica);
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
      if (error instanceof OvsdbError && PASSING.has(error.error)) return 'try-again';
      log.warn(`transaction error: ${(error as Error).message}`, errorLimit);
      return 'error';
    }
  }

  private connected(): void {
    const { lock } = this.options;
    this.begin();
    if (lock === undefined) return;
    this.session.call('lock', [lock], {
      resolve: (result) => {
        const locked = isJsonObject(result) && result['locked'] === true;
        this.setLock(locked ? 'held' : 'contended');
      },
      reject: (error) => this.giveUp(`lock "${lock}": ${error.message}`),
    });
  }

  /** Asks what the server says of the database.  One that is too old to say has no cluster, and no monitor_cond_since. */
  private begin(): void {
    this.isMonitoring = false;
    this.servers.clear();
    this.session.call('monitor_cond', [SERVER_DATABASE, SERVER, SERVER_MONITOR], {
      resolve: (result) => {
        this.servers.update(result);
        const schema = this.judgeServer();
        if (schema === undefined) return;
        this.session.call('set_db_change_aware', [true], { resolve: () => undefined, reject: () => undefined });
        this.learnSchema(JSON.parse(schema) as Json);
        this.monitor('monitor_cond_since');
      },
      reject: (error) => {
        if (!(error instanceof OvsdbError)) return;
        this.beginPlainly();
      },
    });
  }

  private beginPlainly(): void {
    const { database } = this.options;
    this.session.call('get_schema', [database], {
      resolve: (schema) => {
        this.learnSchema(schema);
        this.monitor('monitor_cond');
      },
      reject: (error) => this.giveUp(`no schema of database ${database}: ${error.message}`),
    });
  }

  /** The database's schema as text; undefined, with the session on its way to another server, if this one will not do. */
  private judgeServer(): string | undefined {
    const { database, leaderOnly = true } = this.options;
    const verdict = this.servers.judge({ database, cid: this.session.cid, leaderOnly });
    if ('schema' in verdict) return verdict.schema;
    const text = `${this.session.remote}: ${verdict.problem}`;
    if (verdict.isMissing) csLog.info(text, missingLimit);
    else csLog.at(verdict.level, text);
    this.session.reconnect('connection dropped');
    return undefined;
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

  /** Of the server's schema, as "8.3.1"; undefined until there was a server. */
  get schemaVersion(): string | undefined {
    return this.replica.schemaVersion;
  }

  private learnSchema(schema: Json): void {
    this.replica.learnSchema(schema);
  }

  private monitor(method: Method): void {
    const params: Json[] = [this.options.database, DATA, this.replica.monitorRequests()];
    if (method === 'monitor_cond_since') params.push(this.lastTxnId);
    this.session.call(method, params, {
      resolve: (result) => this.monitorReply(method, result),
      reject: (error) => {
        const older = METHODS[METHODS.indexOf(method) + 1];
        // Servers differ in how they say that they have no such method.
        if (error instanceof OvsdbError && older !== undefined) this.monitor(older);
        else this.giveUp(`${method}: ${error.message}`);
      },
    });
  }

  private monitorReply(method: Method, result: Json): void {
    let updates = result;
    let isWhole = true;
    if (method === 'monitor_cond_since') {
      if (!Array.isArray(result)) throw new OvsdbFormatError(method, 'result is not an array');
      const [found, txnId, since] = result as Json[];
      isWhole = found !== true;
      this.lastTxnId = typeof txnId === 'string' ? txnId : NO_TXN;
      updates = since ?? {};
    } else this.lastTxnId = NO_TXN;
    const isV1 = method === 'monitor';
    const changes = isWhole ? this.replica.applyWhole(updates, isV1) : this.replica.applyUpdate(updates, isV1);
    const isFirst = !this.isComplete;
    this.isMonitoring = true;
    this.isComplete = true;
    this.session.resetBackoff();
    if (changes.isNews || isFirst) this.options.changed(changes.rows);
  }

  private notification(method: string, params: readonly Json[]): void {
    switch (method) {
      case 'update3':
        if (typeof params[1] === 'string') this.lastTxnId = params[1];
        this.tell(this.replica.applyUpdate(params[2] ?? {}, false));
        break;
      case 'update2':
        if (params[0] !== SERVER) {
          this.tell(this.replica.applyUpdate(params[1] ?? {}, false));
          break;
        }
        this.servers.update(params[1]);
        this.judgeServer();
        break;
      case 'update':
        this.tell(this.replica.applyUpdate(params[1] ?? {}, true));
        break;
      case 'locked':
        if (params[0] === this.options.lock) this.setLock('held');
        break;
      case 'stolen':
        if (params[0] === this.options.lock) this.setLock('contended');
        break;
      case 'monitor_canceled':
        // The database was removed, converted or replaced by another: everything is asked for anew.
        this.restart(params[0]);
        break;
      default:
        log.dbg(`unexpected notification "${method}"`);
    }
  }

  private restart(canceled: Json | undefined): void {
    const other = canceled === DATA ? SERVER : DATA;
    this.session.call('monitor_cancel', [other], { resolve: () => this.begin(), reject: () => this.begin() });
    this.isMonitoring = false;
  }

  private tell(changes: ReplicaChanges): void {
    if (changes.isNews) this.options.changed(changes.rows);
  }

  private setLock(state: typeof this.lockState): void {
    if (state === this.lockState) return;
    this.lockState = state;
    if (this.isComplete) this.options.changed(new Map());
  }
}
