/** A database in memory, for those who read the configuration: what is not given has its initial value, as in a replica. */
import type { Row, RowValues, Table, Uuid } from '../../src/ovsdb/ovsdb-types.ts';
import type { RowSource } from '../../src/vswitchd/config/row-source.ts';

export class Rows implements RowSource {
  private readonly tables = new Map<string, Map<Uuid, unknown>>();
  private readonly revisions = new Map<string, number>();

  /** Adds a row, or puts it in the place of the one of that name. */
  add<T extends Table>(table: T, uuid: Uuid, values: RowValues<T>): this {
    const initial = Object.fromEntries(Object.entries(table.columns).map(([name, c]) => [name, c.initial]));
    const rows = this.tables.get(table.name) ?? new Map<Uuid, unknown>();
    this.tables.set(table.name, rows.set(uuid, { _uuid: uuid, ...initial, ...values }));
    for (const key of [table.name, `${table.name} ${uuid}`])
      this.revisions.set(key, (this.revisions.get(key) ?? 0) + 1);
    return this;
  }
  revision(table: Table, uuid: Uuid): number {
    return this.revisions.get(`${table.name} ${uuid}`) ?? 0;
  }
  tableRevision(table: Table): number {
    return this.revisions.get(table.name) ?? 0;
  }
  rows<T extends Table>(table: T): Iterable<Row<T>> {
    return (this.tables.get(table.name)?.values() ?? []) as Iterable<Row<T>>;
  }
  row<T extends Table>(table: T, uuid: Uuid): Row<T> | undefined {
    return this.tables.get(table.name)?.get(uuid) as Row<T> | undefined;
  }
}
