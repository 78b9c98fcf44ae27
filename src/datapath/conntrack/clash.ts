/**
 * Two first packets of one flow, each with a connection of its own: the second to be confirmed may join the first.
 * Neighbours: connections.ts.  Source: net/netfilter/nf_conntrack_core.c (nf_ct_resolve_clash).
 */
import { type ConnTable, NONE } from './conn-table.ts';
import { IPS, PROTO } from './ct-constants.ts';
import { protoOf, T, TUPLE_WORDS, tuplesEqual } from './tuple.ts';

/** RFC 4340. */
const PROTO_DCCP = 33;

/** Whether a packet of protocol `proto` may join another connection that has its tuples: of one whose packets are all alike. */
const mayClash = (proto: number): boolean =>
  proto !== PROTO.TCP &&
  proto !== PROTO.ICMP &&
  proto !== PROTO.ICMPV6 &&
  proto !== PROTO.SCTP &&
  proto !== PROTO.GRE &&
  proto !== PROTO_DCCP;

/** The connection that packets of `conn` may join, or NONE.  `original` and `reply`: tuples of others that are its own, or NONE. */
export function joinable(table: ConnTable, conn: number, original: number, reply: number): number {
  if (!mayClash(protoOf(table.tuples[2 * conn * TUPLE_WORDS + T.META]!))) return NONE;
  if (original !== NONE && canJoin(table, conn, original >> 1)) return original >> 1;
  return reply !== NONE && canJoin(table, conn, reply >> 1) ? reply >> 1 : NONE;
}

/** Whether packets of `conn` may go on as those of `other`: NAT never looked at that, or it is the same but for its row. */
function canJoin(table: ConnTable, conn: number, other: number): boolean {
  const { status, tuples } = table;
  if ((status[other]! & IPS.NAT_DONE_MASK) === 0) return true;
  const [at, otherAt] = [table.tupleAt(2 * conn), table.tupleAt(2 * other)];
  return (
    tuplesEqual(tuples, at, tuples, otherAt) && tuplesEqual(tuples, at + TUPLE_WORDS, tuples, otherAt + TUPLE_WORDS)
  );
}
