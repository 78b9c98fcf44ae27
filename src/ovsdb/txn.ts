/**
 * A transaction that is being built: a list of writes that is sent at once.  Those that would change nothing are left out.
 * Source: RFC 7047 section 5.2.
 */
import type { JsonObject } from '../util/json-stream.ts';
import { encodeValue, type Row, type RowValues, type Table, type Uuid, valuesEqual } from './ovsdb-types.ts';
import { type AnyRow, columnOf, type Replica } from './replica.ts';

/** Collects a transaction's operations. */
export class Txn {
  private readonly replica: Replica;
  private readonly verified: JsonObject[] = [];
  private readonly updates = new Map<string, { table: Table; uuid: Uuid; values: Map<string, unknown> }>();
  private readonly others: JsonObject[] = [];
  private nInserted = 0;

  constructor(replica: Replica) {
    this.replica = replica;
  }

  /** A row as the replica has it. */
  row<T extends Table>(table: T, uuid: Uuid): Row<T> | undefined {
    return this.replica.row(table, uuid);
  }

  /**
   * Writes columns of a row, those that differ from the replica's; tells whether any does.  A row that is no longer there is
   * left alone.
   */
  update<T extends Table>(table: T, uuid: Uuid, values: RowValues<T>): boolean {
    const key = `${table.name} ${uuid}`;
    const before = this.replica.row(table, uuid) as AnyRow | undefined;
    if (before === undefined) return false;
    const update = this.updates.get(key) ?? { table, uuid, values: new Map<string, unknown>() };
    for (const [name, value] of Object.entries(values)) {
      const isSame = valuesEqual(columnOf(table, name), before[name], value) && this.replica.isReplicated(table, name);
      if (isSame) update.values.delete(name);
      else update.values.set(name, value);
    }
    if (update.values.size > 0) this.updates.set(key, update);
    else this.updates.delete(key);
    return update.values.size > 0;
  }

  /** Makes the transaction fail ("try-again") if the row's column is no longer what the replica has. */
  verify<T extends Table>(table: T, uuid: Uuid, name: keyof T['columns'] & string): void {
    const row = this.replica.row(table, uuid) as AnyRow | undefined;
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

const encodeRow = (table: Table, values: Iterable<[string, unknown]>): JsonObject =>
  Object.fromEntries([...values].map(([name, value]) => [name, encodeValue(columnOf(table, name), value)]));
