/**
 * What others see of the state of a TCP connection, and what they may change of it: ctnetlink, the CT action, and who looks for a connection
 * that may go.  The words are laid out in tcp-state.ts.
 */
import { STATE_WORDS } from '../conn-table.ts';
import { IPS } from '../ct-constants.ts';
import type { ConnContext } from './conn-context.ts';
import { TCP_CT_FLAG } from './tcp-segment.ts';
import { TCP_STATE } from './tcp-table.ts';
import { SENDER, SENDER_WORDS, W } from './tcp-window.ts';

const S = TCP_STATE;
const F = TCP_CT_FLAG;
const { FLAGS, SCALE } = SENDER;
/** TCP_MAX_WSCALE. */
const MAX_SCALE = 14;

/** Where things are, for ctnetlink. */
export const tcpStateOf = (state: Int32Array, conn: number): number => state[STATE_WORDS * conn + W.STATE]!;
export const tcpScaleOf = (state: Int32Array, conn: number, dir: number): number =>
  state[STATE_WORDS * conn + SENDER_WORDS * dir + SCALE]!;
export const tcpFlagsOf = (state: Int32Array, conn: number, dir: number): number =>
  state[STATE_WORDS * conn + SENDER_WORDS * dir + FLAGS]!;
/**
 * What a tool says of a connection: its state, and by direction flags (flags << 8 | which of them to change) and window scales, which
 * count if both ends scale.  False, and nothing is done, if there is no such state.
 */
export function setTcpState(
  state: Int32Array,
  conn: number,
  next: number | undefined,
  flags: readonly number[],
  scales: readonly (number | undefined)[],
): boolean {
  if (next !== undefined && next > S.SYN_SENT2) return false;
  const base = STATE_WORDS * conn;
  if (next !== undefined) state[base + W.STATE] = next;
  let both: number = F.WINDOW_SCALE;
  for (let dir = 0; dir < 2; dir++) {
    const at = base + SENDER_WORDS * dir + FLAGS;
    const mask = flags[dir]! & 0xff;
    state[at] = (state[at]! & ~mask) | ((flags[dir]! >>> 8) & mask);
    both &= state[at]!;
  }
  if (both === 0 || scales[0] === undefined || scales[1] === undefined) return true;
  for (let dir = 0; dir < 2; dir++) state[base + SENDER_WORDS * dir + SCALE] = Math.min(scales[dir]!, MAX_SCALE);
  return true;
}

/** From now on windows are not checked in either direction. */
export function setTcpLiberal(state: Int32Array, conn: number): void {
  state[STATE_WORDS * conn + FLAGS]! |= F.BE_LIBERAL;
  state[STATE_WORDS * conn + SENDER_WORDS + FLAGS]! |= F.BE_LIBERAL;
}

/** Whether the connection may go first when there are too many. */
export function tcpMayGoEarly(state: Int32Array, conn: number): boolean {
  const current = tcpStateOf(state, conn);
  return current >= S.FIN_WAIT && current <= S.CLOSE;
}

/** Whether both ends have been heard, and nothing ends it yet. */
export const tcpIsEstablished = (tracker: ConnContext, conn: number): boolean =>
  tcpStateOf(tracker.table.state, conn) === S.ESTABLISHED && (tracker.table.status[conn]! & IPS.ASSURED) !== 0;
