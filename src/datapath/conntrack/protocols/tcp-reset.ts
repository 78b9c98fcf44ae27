/**
 * What a RST means to a connection in the tracker: whoever guesses one must not end it.  Neighbour: tcp-state.ts.
 * Sources: net/netfilter/nf_conntrack_proto_tcp.c, RFC 5961.
 */
import { TCP } from '../../../packet/ip.ts';
import { DIR, IPS } from '../ct-constants.ts';
import type { IpView } from '../ip-view.ts';
import type { ConnContext } from './conn-context.ts';
import { tcpIsEstablished, tcpMayGoEarly } from './tcp-conn.ts';
import { ACK, isBefore, SYN, TCP_CT_FLAG } from './tcp-segment.ts';
import { INVALID, TCP_STATE } from './tcp-table.ts';
import { SENDER, SENDER_WORDS, W } from './tcp-window.ts';

const S = TCP_STATE;
const F = TCP_CT_FLAG;
const { MAX_ACK, FLAGS } = SENDER;
/** What a RST can mean besides a state that follows once it fits into the windows. */
export const RESET_NOW = -1;

/**
 * What a RST means: INVALID if it cannot be one of this connection, RESET_NOW if the connection is over whatever the windows
 * say, else the state that follows.
 */
export function judgeReset(
  tracker: ConnContext,
  conn: number,
  base: number,
  dir: number,
  old: number,
  ip: IpView,
): number {
  const { state } = tracker.table;
  const other = base + SENDER_WORDS * (1 - dir);
  const seq = ip.view.getInt32(ip.l4 + TCP.SEQ);
  if (tcpMayGoEarly(state, conn)) return RESET_NOW;
  if ((state[other + FLAGS]! & F.MAXACK_SET) !== 0 && state[base + W.LAST_INDEX] !== SYN) {
    const established = tcpIsEstablished(tracker, conn);
    if (seq === 0 && !established) return S.CLOSE;
    const maxAck = state[other + MAX_ACK]!;
    if (isBefore(seq, maxAck)) return INVALID;
    if (!established || seq === maxAck) return S.CLOSE;
    // It may follow data just sent.
    if (state[base + W.LAST_INDEX] === ACK && state[base + W.LAST_DIR] === dir && seq === state[base + W.LAST_END]) {
      return S.CLOSE;
    }
    // Inside the window but not exact: the other end answers with a challenge (RFC 5961), so it is not over yet.
    return old;
  }
  return answersIgnored(tracker, conn, base, dir, old, ip) ? RESET_NOW : S.CLOSE;
}

/** Whether a RST answers a SYN or ACK that was let through without being understood: no window tells anything then. */
function answersIgnored(
  tracker: ConnContext,
  conn: number,
  base: number,
  dir: number,
  old: number,
  ip: IpView,
): boolean {
  const { state, status } = tracker.table;
  const ack = ip.view.getInt32(ip.l4 + TCP.ACK);
  const lastIndex = state[base + W.LAST_INDEX];
  const lastDir = state[base + W.LAST_DIR];
  const answersSyn = (status[conn]! & IPS.SEEN_REPLY) !== 0 && lastIndex === SYN && lastDir !== dir;
  const answersAck = (status[conn]! & IPS.ASSURED) === 0 && lastIndex === ACK;
  if ((answersSyn || answersAck) && ack === state[base + W.LAST_END]) return true;
  return (
    old === S.SYN_SENT &&
    lastIndex === ACK &&
    lastDir === DIR.REPLY &&
    ip.view.getInt32(ip.l4 + TCP.SEQ) === state[base + W.LAST_ACK]
  );
}
