/**
 * Rows of the database, and the maps of strings in them, as whoever reads the configuration takes them.
 */
import type { Row, Table, Uuid } from '../../ovsdb/ovsdb-types.ts';

/** Where rows come from: a replica. */
export interface RowSource {
  rows<T extends Table>(table: T): Iterable<Row<T>>;
  row<T extends Table>(table: T, uuid: Uuid): Row<T> | undefined;
  /** Grows with each change of the row that is not quiet; 0: there is no such row.  Left out: not known. */
  revision?(table: Table, uuid: Uuid): number;
  /** The same of all rows of a table. */
  tableRevision?(table: Table): number;
  /** The same of all tables. */
  readonly dataRevision?: number;
}

export type Smap = ReadonlyMap<string, string>;

/** A number of an other_config map: as strtol() reads it, `otherwise` if it is none or out of range. */
export function smapInt(smap: Smap, key: string, otherwise: number, min = 0, max = 0x7fffffff): number {
  const n = Number.parseInt(smap.get(key) ?? '', 10);
  return Number.isNaN(n) || n < min || n > max ? otherwise : n;
}
