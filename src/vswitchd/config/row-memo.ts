/**
 * Things made of the database's rows, made again only when one of the rows that went into them has changed.  With a thousand
 * ports, a change to one of them costs a thousand comparisons rather than a thousand configurations; and who gets the same
 * object as before knows that nothing has changed.
 */
import type { Row, Table, Uuid } from '../../ovsdb/ovsdb-types.ts';
import type { RowSource } from './row-source.ts';

interface Read {
  readonly table: Table;
  /** Undefined: all rows of the table. */
  readonly uuid: Uuid | undefined;
  readonly revision: number;
}

interface Entry<T> {
  readonly value: T;
  readonly reads: readonly Read[];
  round: number;
}

/** Rows of another source, and a note of each that was looked at. */
class Recorder implements RowSource {
  readonly reads: Read[] = [];
  private readonly db: RowSource;

  constructor(db: RowSource) {
    this.db = db;
  }

  rows<T extends Table>(table: T): Iterable<Row<T>> {
    this.reads.push({ table, uuid: undefined, revision: revisionOf(this.db, table, undefined) });
    return this.db.rows(table);
  }
  row<T extends Table>(table: T, uuid: Uuid): Row<T> | undefined {
    this.reads.push({ table, uuid, revision: revisionOf(this.db, table, uuid) });
    return this.db.row(table, uuid);
  }
}

/** NaN, which is never what it was, where the source cannot tell. */
const revisionOf = (db: RowSource, table: Table, uuid: Uuid | undefined): number =>
  (uuid === undefined ? db.tableRevision?.(table) : db.revision?.(table, uuid)) ?? Number.NaN;

export class RowMemo<T> {
  private readonly entries = new Map<string, Entry<T>>();
  private round = 0;

  /**
   * What `make` makes, or made for the same `key` of rows that are still what they were.  Changes of quiet columns do not
   * count.  `make` must read through the source that it is given, and depend on nothing else but the key.
   */
  get(key: string, db: RowSource, make: (db: RowSource) => T): T {
    const old = this.entries.get(key);
    if (old?.reads.every(({ table, uuid, revision }) => revisionOf(db, table, uuid) === revision)) {
      old.round = this.round;
      return old.value;
    }
    const recorder = new Recorder(db);
    const value = make(recorder);
    this.entries.set(key, { value, reads: recorder.reads, round: this.round });
    return value;
  }

  /** Forgets what nobody has asked for since the last call. */
  sweep(): void {
    for (const [key, { round }] of this.entries) if (round !== this.round) this.entries.delete(key);
    this.round++;
  }
}
