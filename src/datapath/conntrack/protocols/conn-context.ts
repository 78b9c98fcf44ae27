/** What the trackers of protocols (tcp-state.ts, datagram.ts, sctp.ts) need of tracker.ts. */
import type { ConnTable } from '../conn-table.ts';

export interface ConnContext {
  readonly table: ConnTable;
  /** Monotonic ms. */
  readonly now: number;
  /** Sets how long from now the connection lives without another packet. */
  refresh(conn: number, ms: number): void;
  /** How long it is to live by its protocol's states: its policy's times, or the default ones. */
  timeoutsOf(conn: number): Float64Array;
  /** Ends a confirmed connection.  Its row stays readable for the packet at hand. */
  delete(conn: number): void;
  /** It does not count for its zone's limit any more. */
  uncount(conn: number): void;
  /** Sets a bit of the status, of which listeners hear as `event` (IPCT) if it was not set. */
  setStatus(conn: number, bit: number, event: number): void;
  /** What NAT added to sequence numbers of direction `dir` at `seq`. */
  seqOffset(conn: number, dir: number, seq: number): number;
}
