/**
 * TCP in the connection tracker: the state of a connection as seen in the middle.  tcp-table.ts says which state follows, tcp-window.ts
 * whether a segment fits into the windows that both ends have shown, tcp-reset.ts what a RST means; others look through tcp-conn.ts.
 *
 * The state of a connection is STATE_WORDS int32 words:
 *
 *     [ sender: end, maxEnd, maxWin, maxAck, scale, flags ] x 2 (original, reply)
 *     state, lastDir, retrans, lastIndex, lastSeq, lastAck, lastEnd, lastWin, lastScale, lastFlags
 *
 * `end` is the highest sequence number sent, `maxEnd` the highest that may be, `maxWin` the largest window offered,
 * `maxAck` the highest acknowledgement.  Sequence numbers compare modulo 2^32, as int32 differences.  Hot path.
 * Sources: net/netfilter/nf_conntrack_proto_tcp.c (6.1), RFC 9293, RFC 7323, RFC 2018, RFC 5961.
 */
import { TCP } from '../../../packet/ip.ts';
import { STATE_WORDS } from '../conn-table.ts';
import { DIR, IPCT, IPS, VERDICT } from '../ct-constants.ts';
import type { IpView } from '../ip-view.ts';
import { TCP_TIMEOUT } from '../timeouts.ts';
import type { ConnContext } from './conn-context.ts';
import { judgeReset, RESET_NOW } from './tcp-reset.ts';
import {
  ACK,
  endOf,
  FIN,
  isSound,
  kindOf,
  OTHER,
  RST,
  readOptions,
  SYN,
  SYNACK,
  TCP_CT_FLAG,
  windowOf,
} from './tcp-segment.ts';
import { IGNORE, INVALID, nextState, TCP_STATE } from './tcp-table.ts';
import { checkWindow, SENDER, SENDER_WORDS, W, WINDOW } from './tcp-window.ts';

const S = TCP_STATE;
const F = TCP_CT_FLAG;
const { END, MAX_END, MAX_WIN, SCALE, FLAGS } = SENDER;

const MAX_RETRANS = 3;
/** What lives at least as long is worth shortening. */
const LONG_MS = 120_000;

/** Fills in the state of a connection that this segment begins.  False if it begins none. */
function begin(state: Int32Array, base: number, ip: IpView, kind: number, flags: number): boolean {
  const first = nextState(DIR.ORIGINAL, S.NONE, kind);
  if (first >= INVALID) return false;
  const { view, l4 } = ip;
  const win = windowOf(ip) || 1;
  const end = endOf(ip, view.getInt32(l4 + TCP.SEQ), flags);
  state.fill(0, base, base + STATE_WORDS);
  state[base + END] = end;
  state[base + MAX_WIN] = win;
  if (first === S.SYN_SENT) {
    const options = readOptions(ip);
    state[base + MAX_END] = end;
    state[base + SCALE] = options >>> 8;
    state[base + FLAGS] = options & 0xff;
  } else {
    // Its beginning was not seen: nothing is known of scaling, so windows are not held against it.
    state[base + MAX_END] = (end + win) | 0;
    state[base + FLAGS] = state[base + SENDER_WORDS + FLAGS] = F.SACK_PERM | F.BE_LIBERAL;
  }
  state[base + W.LAST_INDEX] = OTHER;
  return true;
}

/** A segment that changes no state is noted, so that its answer can be understood. */
function ignore(state: Int32Array, base: number, dir: number, kind: number, old: number, ip: IpView, flags: number) {
  const { view, l4 } = ip;
  const seq = view.getInt32(l4 + TCP.SEQ);
  state[base + W.LAST_INDEX] = kind;
  state[base + W.LAST_DIR] = dir;
  state[base + W.LAST_SEQ] = seq;
  state[base + W.LAST_END] = endOf(ip, seq, flags);
  state[base + W.LAST_WIN] = windowOf(ip);
  if (kind === SYN && dir === DIR.ORIGINAL) {
    const options = readOptions(ip);
    state[base + W.LAST_FLAGS] = (options & 0xff) | (old === S.LAST_ACK ? F.CHALLENGE_ACK : 0);
    state[base + W.LAST_SCALE] = options >>> 8;
  }
  if (old === S.SYN_SENT && kind === ACK && dir === DIR.REPLY) state[base + W.LAST_ACK] = view.getInt32(l4 + TCP.ACK);
}

/**
 * A FIN or RST outside of the windows may be real, if what is known of the connection is not: after one from each end an
 * assured connection is not kept for long.
 */
function noteInvalid(tracker: ConnContext, conn: number, base: number, dir: number, kind: number): void {
  const { state, status, timeout } = tracker.table;
  if ((status[conn]! & IPS.ASSURED) === 0 || (kind !== RST && kind !== FIN)) return;
  const lastIndex = state[base + W.LAST_INDEX];
  if (state[base + W.LAST_DIR] === dir || (lastIndex !== FIN && lastIndex !== RST)) {
    state[base + W.LAST_INDEX] = kind;
    state[base + W.LAST_DIR] = dir;
    return;
  }
  const left = timeout[conn]! - tracker.now;
  const unacked = tracker.timeoutsOf(conn)[TCP_TIMEOUT.UNACK]!;
  if (left >= LONG_MS && left > unacked) tracker.refresh(conn, unacked);
}

/** Tracks one segment of connection `conn` in direction `dir`.  Returns a VERDICT.  Hot path. */
export function tcpPacket(tracker: ConnContext, conn: number, ip: IpView, dir: number): number {
  if (!isSound(ip)) return VERDICT.INVALID;
  const { view, l4 } = ip;
  const { state, status } = tracker.table;
  const base = STATE_WORDS * conn;
  const flags = view.getUint8(l4 + 13);
  const kind = kindOf(flags);
  if ((status[conn]! & IPS.CONFIRMED) === 0 && !begin(state, base, ip, kind, flags)) return VERDICT.INVALID;

  let old = state[base + W.STATE]!;
  let next = nextState(dir, old, kind);
  let checksWindow = true;
  const lastIndex = state[base + W.LAST_INDEX]!;
  const lastDir = state[base + W.LAST_DIR]!;

  if (next === S.SYN_SENT && old >= S.TIME_WAIT) {
    const closing = state[base + FLAGS]! | state[base + SENDER_WORDS + FLAGS]!;
    if ((closing & F.CLOSE_INIT) !== 0 || (lastDir === dir && lastIndex === RST)) {
      // Opened again after it was closed: this is another connection.
      tracker.delete(conn);
      return VERDICT.REPEAT;
    }
    next = IGNORE;
  }
  switch (next) {
    case INVALID:
      return VERDICT.INVALID;
    case IGNORE:
      if (
        kind === SYNACK &&
        lastIndex === SYN &&
        lastDir !== dir &&
        view.getInt32(l4 + TCP.ACK) === state[base + W.LAST_END]
      ) {
        // It answers the SYN that was let through before: both ends know better than this table, which follows.
        const syn = base + SENDER_WORDS * lastDir;
        const mine = base + SENDER_WORDS * dir;
        state[syn + END] = state[syn + MAX_END] = state[base + W.LAST_END]!;
        state[syn + MAX_WIN] = state[base + W.LAST_WIN]! || 1;
        state[syn + SCALE] = state[base + W.LAST_SCALE]!;
        state[base + W.LAST_FLAGS]! &= ~F.CHALLENGE_ACK;
        state[syn + FLAGS] = state[base + W.LAST_FLAGS]!;
        const liberal = state[mine + FLAGS]! & F.BE_LIBERAL;
        state.fill(0, mine, mine + SENDER_WORDS);
        state[mine + FLAGS] = liberal;
        old = S.SYN_SENT;
        next = S.SYN_RECV;
        break;
      }
      ignore(state, base, dir, kind, old, ip, flags);
      return VERDICT.ACCEPT;
    case S.TIME_WAIT:
      if (
        old === S.LAST_ACK &&
        kind === ACK &&
        lastDir !== dir &&
        lastIndex === SYN &&
        (state[base + W.LAST_FLAGS]! & F.CHALLENGE_ACK) !== 0
      ) {
        state[base + W.LAST_FLAGS]! &= ~F.CHALLENGE_ACK;
        return VERDICT.ACCEPT;
      }
      break;
    case S.SYN_SENT2:
      state[base + W.LAST_FLAGS]! |= F.SIMULTANEOUS_OPEN;
      break;
    case S.SYN_RECV:
      if (dir === DIR.REPLY && kind === ACK && (state[base + W.LAST_FLAGS]! & F.SIMULTANEOUS_OPEN) !== 0) {
        next = S.ESTABLISHED;
      }
      break;
    case S.CLOSE:
      if (kind === RST) {
        next = judgeReset(tracker, conn, base, dir, old, ip);
        if (next === INVALID) return VERDICT.INVALID;
        if (next === RESET_NOW) {
          next = S.CLOSE;
          checksWindow = false;
        }
      }
      break;
    default:
  }
  if (checksWindow) {
    const current = state[base + W.STATE]!;
    const isOpening = current === S.SYN_SENT || current === S.SYN_RECV;
    const fit = checkWindow(tracker, conn, base, dir, kind, ip, flags, isOpening, current === S.SYN_SENT);
    if (fit === WINDOW.IGNORED) return VERDICT.ACCEPT;
    if (fit === WINDOW.INVALID) {
      noteInvalid(tracker, conn, base, dir, kind);
      return VERDICT.INVALID;
    }
  }

  state[base + W.LAST_INDEX] = kind;
  state[base + W.LAST_DIR] = dir;
  state[base + W.STATE] = next;
  if (old !== next) {
    tracker.table.events[conn]! |= IPCT.PROTOINFO;
    if (next === S.FIN_WAIT) state[base + SENDER_WORDS * dir + FLAGS]! |= F.CLOSE_INIT;
    if (next === S.TIME_WAIT || next === S.CLOSE) tracker.uncount(conn);
  }
  return finish(tracker, conn, base, kind, old, next);
}

/** Sets how long the connection now lives. */
function finish(tracker: ConnContext, conn: number, base: number, kind: number, old: number, next: number): number {
  const { state, status } = tracker.table;
  const times = tracker.timeoutsOf(conn);
  const usual = times[next]!;
  const unacked = (state[base + FLAGS]! | state[base + SENDER_WORDS + FLAGS]!) & F.DATA_UNACKNOWLEDGED;
  const retrans = times[TCP_TIMEOUT.RETRANS]!;
  let timeout = usual;
  if (state[base + W.RETRANS]! >= MAX_RETRANS && usual > retrans) timeout = retrans;
  else if (kind === RST) timeout = times[S.CLOSE]!;
  else if (unacked !== 0 && usual > times[TCP_TIMEOUT.UNACK]!) timeout = times[TCP_TIMEOUT.UNACK]!;
  else if (state[base + W.LAST_WIN] === 0 && usual > retrans) timeout = retrans;

  if ((status[conn]! & IPS.SEEN_REPLY) === 0) {
    if (kind === RST) {
      // No answer but a refusal: there is no connection.
      if ((status[conn]! & IPS.CONFIRMED) !== 0) tracker.delete(conn);
      return VERDICT.ACCEPT;
    }
    // A SYN sent again does not keep it alive.
    if (kind === SYN && old === S.SYN_SENT) return VERDICT.ACCEPT;
    if (next === S.ESTABLISHED) timeout = Math.min(timeout, times[TCP_TIMEOUT.UNACK]!);
  } else if (
    (status[conn]! & IPS.ASSURED) === 0 &&
    (old === S.SYN_RECV || old === S.ESTABLISHED) &&
    next === S.ESTABLISHED
  ) {
    tracker.setStatus(conn, IPS.ASSURED, IPCT.ASSURED);
  }
  tracker.refresh(conn, timeout);
  return VERDICT.ACCEPT;
}
