/**
 * The windows of a TCP connection as the connection tracker has seen them, and whether a segment fits into them.  The
 * layout of a connection's state is in tcp-state.ts.  Hot path.
 * Sources: net/netfilter/nf_conntrack_proto_tcp.c (6.1), RFC 9293, RFC 7323, RFC 2018.
 */
import { TCP } from '../../../packet/ip.ts';
import { DIR, IPS } from '../ct-constants.ts';
import type { IpView } from '../ip-view.ts';
import type { ConnContext } from './conn-context.ts';
import {
  ACK,
  endOf,
  TCP_CT_FLAG as F,
  FLAG,
  hasOptions,
  highestSack,
  isAfter,
  isBefore,
  readOptions,
  windowOf,
} from './tcp-segment.ts';

/** Words of a sender. */
// biome-ignore format: table
export const SENDER = { END: 0, MAX_END: 1, MAX_WIN: 2, MAX_ACK: 3, SCALE: 4, FLAGS: 5 } as const;
const { END, MAX_END, MAX_WIN, MAX_ACK, SCALE, FLAGS } = SENDER;
export const SENDER_WORDS = 6;
/** Words of the connection behind its two senders. */
// biome-ignore format: table
export const W = {
  STATE: 12, LAST_DIR: 13, RETRANS: 14, LAST_INDEX: 15, LAST_SEQ: 16, LAST_ACK: 17, LAST_END: 18, LAST_WIN: 19,
  LAST_SCALE: 20, LAST_FLAGS: 21,
} as const;

/** What a segment is to the windows: outside of them; inside; let through, as its receiver will answer, but it moves nothing. */
export const WINDOW = { INVALID: 0, GOOD: 1, IGNORED: 2 } as const;

/** How far below the highest sequence number an acknowledgement may be, at least. */
const MAX_ACK_WINDOW = 66_000;

/** Starts a sender with its SYN.  `base` is the connection's first word. */
function initSender(state: Int32Array, base: number, dir: number, ip: IpView, end: number, win: number): void {
  const me = base + SENDER_WORDS * dir;
  const other = base + SENDER_WORDS * (1 - dir);
  state[me + END] = state[me + MAX_END] = end;
  state[me + MAX_WIN] = win === 0 ? 1 : win;
  // A SYN sent again without any options leaves those of the one before.
  if (hasOptions(ip)) {
    const options = readOptions(ip);
    state[me + SCALE] = options >>> 8;
    state[me + FLAGS] = (state[me + FLAGS]! & F.BE_LIBERAL) | (options & 0xff);
  }
  // Scaling needs the option from both.
  if (dir === DIR.REPLY && (state[me + FLAGS]! & state[other + FLAGS]! & F.WINDOW_SCALE) === 0) {
    state[me + SCALE] = state[other + SCALE] = 0;
  }
}

/**
 * Holds a segment of kind `kind` in direction `dir` against the windows, and moves them on.  `isOpening`: the connection
 * is in state SYN_SENT, or in SYN_RECV; `isSynSent`: in the former.  Returns a WINDOW.
 */
export function checkWindow(
  tracker: ConnContext,
  conn: number,
  base: number,
  dir: number,
  kind: number,
  ip: IpView,
  flags: number,
  isOpening: boolean,
  isSynSent: boolean,
): number {
  const { view, l4 } = ip;
  const { state, status } = tracker.table;
  const me = base + SENDER_WORDS * dir;
  const other = base + SENDER_WORDS * (1 - dir);
  let seq = view.getInt32(l4 + TCP.SEQ);
  let ack = view.getInt32(l4 + TCP.ACK);
  const win = windowOf(ip);
  let end = endOf(ip, seq, flags);
  let sack = (state[other + FLAGS]! & F.SACK_PERM) !== 0 ? highestSack(ip, ack) : ack;
  if ((status[conn]! & IPS.SEQ_ADJUST) !== 0) {
    const offset = tracker.seqOffset(conn, 1 - dir, (ack - 1) | 0);
    ack = (ack - offset) | 0;
    sack = (sack - offset) | 0;
  }

  if (state[me + MAX_WIN] === 0) {
    if ((flags & FLAG.SYN) !== 0) {
      initSender(state, base, dir, ip, end, win);
      // A SYN from both sides at once.
      if ((flags & FLAG.ACK) === 0) return WINDOW.GOOD;
    } else {
      pickUp(state, me, other, end, sack, win);
    }
  } else if ((flags & FLAG.SYN) !== 0 && isOpening && isAfter(end, state[me + END]!)) {
    initSender(state, base, dir, ip, end, win);
    if (dir === DIR.REPLY && (flags & FLAG.ACK) === 0) return WINDOW.GOOD;
  }

  if ((flags & FLAG.ACK) === 0 || ((flags & FLAG.RST) !== 0 && ack === 0)) ack = sack = state[other + END]!;
  // A RST that answers a SYN.
  if ((flags & FLAG.RST) !== 0 && seq === 0 && isSynSent) seq = end = state[me + END]!;

  const outcome = judge(state, me, other, seq, end, sack);
  if (outcome !== WINDOW.GOOD) return (state[me + FLAGS]! & F.BE_LIBERAL) !== 0 ? WINDOW.GOOD : outcome;

  moveOn(state, me, other, flags, end, ack, sack, (flags & FLAG.SYN) === 0 ? win << state[me + SCALE]! : win);
  if (kind === ACK) noteRetransmission(state, base, dir, seq, ack, end, win);
  return WINDOW.GOOD;
}

/** A sender that is first seen in the middle of the connection. */
function pickUp(state: Int32Array, me: number, other: number, end: number, sack: number, win: number): void {
  const scaled = win << state[me + SCALE]!;
  state[me + END] = end;
  state[me + MAX_WIN] = scaled === 0 ? 1 : scaled;
  state[me + MAX_END] = (end + state[me + MAX_WIN]!) | 0;
  if (state[other + MAX_WIN] === 0) state[other + END] = state[other + MAX_END] = sack;
  else if (sack === ((state[other + END]! + 1) | 0)) state[other + END] = sack; // Answers a keep-alive.
}

/** What is wrong with the numbers of a segment, if anything is. */
function judge(state: Int32Array, me: number, other: number, seq: number, end: number, sack: number): number {
  const otherWin = state[other + MAX_WIN]!;
  const isRecent = isAfter(end, (state[me + END]! - otherWin - 1) | 0);
  const isKnownAck = isBefore(sack, (state[other + END]! + 1) | 0);
  const ackWindow = Math.max(state[me + MAX_WIN]! >>> 0, MAX_ACK_WINDOW);
  const isRecentAck = isAfter(sack, (state[other + END]! - ackWindow - 1) | 0);
  if (!isBefore(seq, (state[me + MAX_END]! + 1) | 0)) {
    const excess = (end - state[me + MAX_END]! + 1) >>> 0;
    if (otherWin === 0 || !isRecent || !isRecentAck || !isKnownAck || excess > otherWin >>> 0) return WINDOW.INVALID;
    // More than the receiver's window by less than another one: some senders do, and their data may be acknowledged.
    state[me + END] = end;
    state[me + FLAGS]! |= F.DATA_UNACKNOWLEDGED;
    return WINDOW.IGNORED;
  }
  if (!isKnownAck) return WINDOW.INVALID;
  // Data that was acknowledged long ago, or an acknowledgement long overdue.
  return (otherWin !== 0 && !isRecent) || !isRecentAck ? WINDOW.IGNORED : WINDOW.GOOD;
}

/** `win` is scaled. */
function moveOn(
  state: Int32Array,
  me: number,
  other: number,
  flags: number,
  end: number,
  ack: number,
  sack: number,
  win: number,
): void {
  const otherWin = state[other + MAX_WIN]!;
  const shown = (win + (sack - ack)) | 0;
  if (state[me + MAX_WIN]! >>> 0 < shown >>> 0) state[me + MAX_WIN] = shown;
  if (isAfter(end, state[me + END]!)) {
    state[me + END] = end;
    state[me + FLAGS]! |= F.DATA_UNACKNOWLEDGED;
  }
  if ((flags & FLAG.ACK) !== 0 && ((state[me + FLAGS]! & F.MAXACK_SET) === 0 || isAfter(ack, state[me + MAX_ACK]!))) {
    state[me + MAX_ACK] = ack;
    state[me + FLAGS]! |= F.MAXACK_SET;
  }
  if (otherWin !== 0 && isAfter(end, state[me + MAX_END]!)) {
    state[other + MAX_WIN] = (otherWin + end - state[me + MAX_END]!) | 0;
  }
  if (isAfter((sack + win) | 0, (state[other + MAX_END]! - 1) | 0)) {
    state[other + MAX_END] = (sack + win + (win === 0 ? 1 : 0)) | 0;
  }
  if (ack === state[other + END]) state[other + FLAGS]! &= ~F.DATA_UNACKNOWLEDGED;
}

/** `win` is as the segment has it, not scaled. */
function noteRetransmission(
  state: Int32Array,
  base: number,
  dir: number,
  seq: number,
  ack: number,
  end: number,
  win: number,
): void {
  if (
    state[base + W.LAST_DIR] === dir &&
    state[base + W.LAST_SEQ] === seq &&
    state[base + W.LAST_ACK] === ack &&
    state[base + W.LAST_END] === end &&
    state[base + W.LAST_WIN] === win
  ) {
    state[base + W.RETRANS]!++;
    return;
  }
  state[base + W.LAST_DIR] = dir;
  state[base + W.LAST_SEQ] = seq;
  state[base + W.LAST_ACK] = ack;
  state[base + W.LAST_END] = end;
  state[base + W.LAST_WIN] = win;
  state[base + W.RETRANS] = 0;
}
