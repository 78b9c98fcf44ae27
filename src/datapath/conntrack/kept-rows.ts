/**
 * Rows of connections that nobody finds: those not confirmed yet, to which only a packet refers, and those that are over, which stay
 * readable for the packet at hand and for the connections that they are the masters of.
 *
 * They sit in a ring, where the oldest makes way for the newest.  Neighbours: connections.ts.
 */
import { type ConnTable, NONE } from './conn-table.ts';
import { IPS } from './ct-constants.ts';

/** Rows that are kept. */
export const MAX_KEPT = 256;

export class KeptRows {
  private readonly table: ConnTable;
  private readonly onFree: (conn: number) => void;
  private readonly ring = new Int32Array(MAX_KEPT).fill(NONE);
  private at = 0;
  /** How many expected connections each master has. */
  private readonly children = new Map<number, number>();

  /** `onFree` is told before a row is free. */
  constructor(table: ConnTable, onFree: (conn: number) => void) {
    this.table = table;
    this.onFree = onFree;
  }

  /** Keeps an unconfirmed row, or one that is over, in the place that `makeRoom` made. */
  add(conn: number): void {
    this.ring[this.at] = conn;
    this.table.kept[conn]!++;
    this.at = (this.at + 1) % MAX_KEPT;
  }

  /** Frees what is in the ring's next place, unless it was confirmed since. */
  makeRoom(): void {
    const conn = this.ring[this.at]!;
    if (conn === NONE) return;
    this.ring[this.at] = NONE;
    const status = this.table.status[conn]!;
    this.table.kept[conn]!--;
    // A row that was confirmed and then deleted is in the ring in two places: the later one counts.
    if ((status & (IPS.CONFIRMED | IPS.DYING)) === IPS.CONFIRMED || this.table.kept[conn] !== 0) return;
    this.release(conn);
  }

  /** Row `master` is to stay as long as one more connection that it is the master of. */
  adopt(master: number): void {
    this.children.set(master, (this.children.get(master) ?? 0) + 1);
  }

  private release(conn: number): void {
    const { table } = this;
    // Its children still show its tuple.
    if (this.children.has(conn)) return;
    const master = table.master[conn]!;
    this.onFree(conn);
    table.free(conn);
    if (master === NONE) return;
    const left = this.children.get(master)! - 1;
    if (left > 0) {
      this.children.set(master, left);
      return;
    }
    this.children.delete(master);
    if ((table.status[master]! & IPS.DYING) !== 0 && table.kept[master] === 0) this.release(master);
  }
}
