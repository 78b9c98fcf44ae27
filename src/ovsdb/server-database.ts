/**
 * What a server says of the databases that it has: the table Database of its own database "_Server".  For a database of a
 * cluster it tells whether this server is one to talk to.
 * Source: ovsdb-server(5) (_Server), lib/ovsdb-cs.c.
 */
import { isJsonObject, type Json, type JsonObject } from '../util/json-stream.ts';

export const SERVER_DATABASE = '_Server';
const COLUMNS = ['cid', 'connected', 'index', 'leader', 'model', 'name', 'schema'];
export const SERVER_MONITOR: JsonObject = { Database: [{ columns: COLUMNS }] };

export interface Wanted {
  readonly database: string;
  /** The cluster's id; undefined: the name alone says which database. */
  readonly cid: string | undefined;
  /** Whether only the leader of a cluster will do. */
  readonly leaderOnly: boolean;
}

/** Whether the server can be used: then it has a schema, as text. */
export type Verdict =
  | { readonly schema: string }
  | { readonly problem: string; readonly level: 'info' | 'warn'; readonly isMissing: boolean };

type ServerRow = JsonObject;

/** An optional column on the wire is ["set", []] or ["set", [value]] or the value; a UUID is ["uuid", text]. */
function atom(json: Json | undefined): Json | undefined {
  if (!Array.isArray(json)) return json;
  const [tag, value] = json as Json[];
  if (tag === 'uuid') return value;
  return Array.isArray(value) ? atom((value as Json[])[0]) : undefined;
}

export class ServerDatabases {
  private readonly rows = new Map<string, ServerRow>();
  /** The newest entry of the cluster's log that any server has shown: one that has less is behind. */
  private minIndex = 0;

  /** Forgets the rows: another server is asked. */
  clear(): void {
    this.rows.clear();
  }

  /** Applies the reply to "monitor_cond", or an "update2". */
  update(updates: Json | undefined): void {
    const table = isJsonObject(updates) ? updates['Database'] : undefined;
    if (!isJsonObject(table)) return;
    for (const [uuid, update] of Object.entries(table)) {
      if (!isJsonObject(update)) continue;
      const whole = update['initial'] ?? update['insert'];
      const modify = update['modify'];
      if (isJsonObject(whole)) this.rows.set(uuid, whole);
      // The columns hold one value at most, for which the difference is the new value.
      else if (isJsonObject(modify)) this.rows.set(uuid, { ...this.rows.get(uuid), ...modify });
      else this.rows.delete(uuid);
    }
  }

  judge({ database, cid, leaderOnly }: Wanted): Verdict {
    const row = [...this.rows.values()].find((r) =>
      cid === undefined ? r['name'] === database : atom(r['cid']) === cid,
    );
    const no = (problem: string, level: 'info' | 'warn' = 'info', isMissing = false): Verdict => {
      return { problem, level, isMissing };
    };
    if (row === undefined) return no(`server does not have ${database} database`, 'info', true);
    const schema = atom(row['schema']);
    const isConnected = atom(row['connected']) === true;
    const elsewhere = 'trying another server';
    if (row['model'] === 'clustered') {
      const server = 'clustered database server';
      const index = Number(atom(row['index']) ?? 0);
      if (typeof schema !== 'string') return no(`${server} has not yet joined cluster; ${elsewhere}`);
      if (!isConnected) return no(`${server} is disconnected from cluster; ${elsewhere}`);
      if (leaderOnly && atom(row['leader']) !== true) return no(`${server} is not cluster leader; ${elsewhere}`);
      if (index < this.minIndex) return no(`${server} has stale data; ${elsewhere}`, 'warn');
      this.minIndex = index;
      return { schema };
    }
    if (row['model'] === 'relay') {
      const server = 'relay database server';
      if (typeof schema !== 'string') return no(`${server} has not yet connected to the relay source; ${elsewhere}`);
      if (!isConnected) return no(`${server} is disconnected from the relay source; ${elsewhere}`);
      if (leaderOnly) return no(`${server} cannot be a leader; ${elsewhere}`);
      return { schema };
    }
    return typeof schema === 'string' ? { schema } : no('missing database schema');
  }
}
