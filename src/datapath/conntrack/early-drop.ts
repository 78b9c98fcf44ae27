/**
 * Which connection makes way for a new one where there are as many as may be: one that is not ASSURED, or is closing.
 * Neighbours: connections.ts.  Source: net/netfilter/nf_conntrack_core.c (early_drop).
 */
import { type ConnTable, NONE } from './conn-table.ts';
import { IPS, PROTO } from './ct-constants.ts';
import { sctpMayGoEarly } from './protocols/sctp.ts';
import { tcpMayGoEarly } from './protocols/tcp-conn.ts';
import { protoOf, T, TUPLE_WORDS } from './tuple.ts';

/** Connections looked at for one that may go. */
const RANGE = 64;

/** Whether row `conn` is a connection that tools see at `now`. */
export function isListed(table: ConnTable, conn: number, now: number): boolean {
  const status = table.status[conn]!;
  return (status & (IPS.CONFIRMED | IPS.DYING)) === IPS.CONFIRMED && table.timeout[conn]! > now;
}

export class EarlyDrop {
  private readonly table: ConnTable;
  /** Where the next look begins. */
  private at = 0;

  constructor(table: ConnTable) {
    this.table = table;
  }

  /** A connection that may go, or NONE if there is none in reach. */
  pick(now: number): number {
    const { table } = this;
    for (let i = 0; i < RANGE; i++) {
      const conn = this.at++ % table.capacity;
      if (!isListed(table, conn, now)) continue;
      if ((table.status[conn]! & IPS.ASSURED) === 0 || this.isClosing(conn)) return conn;
    }
    return NONE;
  }

  private isClosing(conn: number): boolean {
    const { tuples, state } = this.table;
    const proto = protoOf(tuples[2 * conn * TUPLE_WORDS + T.META]!);
    return (proto === PROTO.TCP && tcpMayGoEarly(state, conn)) || (proto === PROTO.SCTP && sctpMayGoEarly(state, conn));
  }
}
