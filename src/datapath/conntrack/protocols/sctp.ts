/**
 * SCTP in the connection tracker: associations by the chunks that set them up and end them, and verification tags.
 *
 * The state of a connection: state, tag x 2 (that packets of the original, of the reply direction must carry), seen INIT
 * x 2, direction of the last heartbeat that did not fit, and whether there was one.
 * Sources: net/netfilter/nf_conntrack_proto_sctp.c (6.1), RFC 9260.
 */
import { sctpChecksum } from '../../../packet/checksum.ts';
import { SCTP } from '../../../packet/ip.ts';
import { STATE_WORDS } from '../conn-table.ts';
import { DIR, IPCT, IPS, VERDICT } from '../ct-constants.ts';
import type { IpView } from '../ip-view.ts';
import type { ConnContext } from './conn-context.ts';

/** enum sctp_conntrack. */
// biome-ignore format: table
export const SCTP_STATE = {
  NONE: 0, CLOSED: 1, COOKIE_WAIT: 2, COOKIE_ECHOED: 3, ESTABLISHED: 4, SHUTDOWN_SENT: 5, SHUTDOWN_RECD: 6,
  SHUTDOWN_ACK_SENT: 7, HEARTBEAT_SENT: 8,
} as const;
const N_STATES = 9;
const INVALID = 9;

// biome-ignore format: table
const CHUNK = {
  DATA: 0, INIT: 1, INIT_ACK: 2, HEARTBEAT: 4, HEARTBEAT_ACK: 5, ABORT: 6, SHUTDOWN: 7, SHUTDOWN_ACK: 8, ERROR: 9,
  COOKIE_ECHO: 10, COOKIE_ACK: 11, SHUTDOWN_COMPLETE: 14,
} as const;
/** The T bit of ABORT and SHUTDOWN_COMPLETE: the tag is the receiver's own, reflected. */
const FLAG_T = 1;
const VTAG = 4;
/** Of an INIT or INIT ACK chunk without parameters. */
const INIT_SIZE = 20;

/** Words of the state. */
const [STATE, TAG, INIT_SEEN, LAST_DIR, FLAGS] = [0, 1, 3, 5, 6] as const;
const HEARTBEAT_FAILED = 1;

export const sctpStateOf = (state: Int32Array, conn: number): number => state[STATE_WORDS * conn + STATE]!;
export const sctpTagOf = (state: Int32Array, conn: number, dir: number): number =>
  state[STATE_WORDS * conn + TAG + dir]!;

/** What a tool says of an association; false, and nothing is done, if there is no such state. */
export function setSctpState(state: Int32Array, conn: number, next: number, original: number, reply: number): boolean {
  if (next >= N_STATES) return false;
  const base = STATE_WORDS * conn;
  state[base + STATE] = next;
  state[base + TAG] = original;
  state[base + TAG + 1] = reply;
  return true;
}

/** By direction and chunk: the state after it for each state before it.  Chunks that are not here change nothing. */
// biome-ignore format: table
const ROWS: readonly (readonly [number, string, string])[] = [
  //                         NO CL CW CE ES SS SR SA HS    the other direction
  [CHUNK.INIT,              'CL CL CW CE ES CL CL SA CW', 'IV CL CW CE ES SS SR SA IV'],
  [CHUNK.INIT_ACK,          'CL CL CW CE ES SS SR SA CL', 'IV CW CW CE ES SS SR SA IV'],
  [CHUNK.ABORT,             'CL CL CL CL CL CL CL CL CL', 'IV CL CL CL CL CL CL CL IV'],
  [CHUNK.SHUTDOWN,          'CL CL CW CE SS SS SR SA CL', 'IV CL CW CE SR SS SR SA IV'],
  [CHUNK.SHUTDOWN_ACK,      'SA CL CW CE ES SA SA SA SA', 'IV CL CW CE ES SA SA SA IV'],
  [CHUNK.ERROR,             'CL CL CW CE ES SS SR SA CL', 'IV CL CW CL ES SS SR SA IV'],
  [CHUNK.COOKIE_ECHO,       'CL CL CE CE ES SS SR SA CL', 'IV CL CE CE ES SS SR SA IV'],
  [CHUNK.COOKIE_ACK,        'CL CL CW ES ES SS SR SA CL', 'IV CL CW ES ES SS SR SA IV'],
  [CHUNK.SHUTDOWN_COMPLETE, 'CL CL CW CE ES SS SR CL CL', 'IV CL CW CE ES SS SR CL IV'],
  [CHUNK.HEARTBEAT,         'HS CL CW CE ES SS SR SA HS', 'IV CL CW CE ES SS SR SA HS'],
  [CHUNK.HEARTBEAT_ACK,     'CL CL CW CE ES SS SR SA HS', 'IV CL CW CE ES SS SR SA ES'],
];
const N_CHUNKS = 15;
const NEXT = new Int8Array(2 * N_CHUNKS * N_STATES).fill(-1);
for (const [chunk, original, reply] of ROWS) {
  const names = ['NO', 'CL', 'CW', 'CE', 'ES', 'SS', 'SR', 'SA', 'HS', 'IV'];
  [original, reply].forEach((row, dir) => {
    row.split(' ').forEach((name, from) => {
      NEXT[(dir * N_CHUNKS + chunk) * N_STATES + from] = names.indexOf(name);
    });
  });
}
function nextState(dir: number, state: number, chunk: number): number {
  const next = chunk < N_CHUNKS ? NEXT[(dir * N_CHUNKS + chunk) * N_STATES + state]! : -1;
  return next < 0 ? state : next;
}

const bit = (chunk: number): number => (chunk < 31 ? 1 << chunk : 0);
/** Chunks whose tag is checked on its own, or not at all. */
const OWN_TAG_RULE =
  bit(CHUNK.INIT) |
  bit(CHUNK.SHUTDOWN_COMPLETE) |
  bit(CHUNK.COOKIE_ECHO) |
  bit(CHUNK.ABORT) |
  bit(CHUNK.SHUTDOWN_ACK) |
  bit(CHUNK.HEARTBEAT) |
  bit(CHUNK.HEARTBEAT_ACK);
/** Chunks of an association that is not known. */
const NEVER_FIRST = bit(CHUNK.ABORT) | bit(CHUNK.SHUTDOWN_COMPLETE) | bit(CHUNK.COOKIE_ACK);

function isSound(ip: IpView): boolean {
  const { view, l4, end } = ip;
  if (end - l4 < SCTP.HLEN) return false;
  return ip.isTrusted || view.getInt32(l4 + SCTP.CHECK, true) === sctpChecksum(view, l4, end - l4);
}

/** The set of chunks in the packet; 0 if they cannot stand together, or there are none. */
function chunksOf(ip: IpView): number {
  const { view, l4, end } = ip;
  let set = 0;
  let n = 0;
  let isAlone = false;
  for (let at = l4 + SCTP.HLEN; at + 4 <= end; n++) {
    const type = view.getUint8(at);
    const size = view.getUint16(at + 2);
    if (type === CHUNK.INIT || type === CHUNK.INIT_ACK || type === CHUNK.SHUTDOWN_COMPLETE) isAlone = true;
    if (size === 0) return 0;
    if (n !== 0 && (isAlone || type === CHUNK.COOKIE_ACK || type === CHUNK.COOKIE_ECHO)) return 0;
    // Bit 31 stands for all chunks that have no bit of their own.
    set |= bit(type) || 1 << 31;
    at += (size + 3) & ~3;
  }
  return set;
}

/** Starts an association with its first packet.  False if it cannot be one. */
function begin(state: Int32Array, base: number, ip: IpView): boolean {
  const { view, l4, end } = ip;
  const tag = view.getInt32(l4 + VTAG);
  state.fill(0, base, base + STATE_WORDS);
  for (let at = l4 + SCTP.HLEN; at + 4 <= end; at += (view.getUint16(at + 2) + 3) & ~3) {
    const type = view.getUint8(at);
    const first = nextState(DIR.ORIGINAL, SCTP_STATE.NONE, type);
    if (first === SCTP_STATE.NONE || first === INVALID) return false;
    if (type === CHUNK.INIT) {
      if (tag !== 0 || at + INIT_SIZE > end) return false;
      state[base + TAG + DIR.REPLY] = view.getInt32(at + 4);
    } else if (type === CHUNK.HEARTBEAT) {
      state[base + TAG + DIR.ORIGINAL] = tag;
    } else if (type === CHUNK.SHUTDOWN_ACK) {
      // Of an association that is not known: the answer carries the same tag.
      state[base + TAG + DIR.REPLY] = tag;
    }
  }
  return true;
}

/** What became of one chunk. */
const [TAKEN, SKIPPED, REFUSED] = [0, 1, 2] as const;

/** Checks the tag of a chunk that has a rule of its own, and learns tags. */
function checkTag(
  s: Int32Array,
  base: number,
  dir: number,
  type: number,
  flags: number,
  tag: number,
  heartbeat: number,
) {
  const mine = s[base + TAG + dir]!;
  switch (type) {
    case CHUNK.INIT:
      return tag === 0 ? TAKEN : REFUSED;
    case CHUNK.ABORT:
    case CHUNK.SHUTDOWN_COMPLETE:
      return tag === ((flags & FLAG_T) !== 0 ? s[base + TAG + 1 - dir] : mine) ? TAKEN : REFUSED;
    case CHUNK.COOKIE_ECHO:
      return tag === mine ? TAKEN : REFUSED;
    case CHUNK.COOKIE_ACK:
      s[base + INIT_SEEN] = s[base + INIT_SEEN + 1] = 0;
      return TAKEN;
    case CHUNK.HEARTBEAT:
    case CHUNK.HEARTBEAT_ACK:
      return checkHeartbeat(s, base, dir, type, tag, heartbeat);
    default:
      return TAKEN;
  }
}

/** `heartbeat`: 1 if heartbeats of this packet must fit, because it has data or one did not. */
function checkHeartbeat(
  s: Int32Array,
  base: number,
  dir: number,
  type: number,
  tag: number,
  heartbeat: number,
): number {
  const mine = s[base + TAG + dir]!;
  const hasFailed = (s[base + FLAGS]! & HEARTBEAT_FAILED) !== 0;
  if (mine === 0) {
    s[base + TAG + dir] = tag;
  } else if (tag !== mine) {
    if (heartbeat !== 0) return REFUSED;
    if (type === CHUNK.HEARTBEAT) {
      s[base + FLAGS]! |= HEARTBEAT_FAILED;
      s[base + LAST_DIR] = dir;
      return SKIPPED;
    }
    // The other end answers with the new tag: it has started again.
    if (!hasFailed || s[base + LAST_DIR] === dir) return REFUSED;
    s[base + FLAGS]! &= ~HEARTBEAT_FAILED;
    s[base + TAG + dir] = tag;
    s[base + TAG + 1 - dir] = 0;
  } else if (hasFailed) {
    s[base + FLAGS]! &= ~HEARTBEAT_FAILED;
  }
  return TAKEN;
}

/** Tracks one packet of connection `conn`.  Returns a VERDICT. */
export function sctpPacket(tracker: ConnContext, conn: number, ip: IpView, dir: number): number {
  if (!isSound(ip)) return VERDICT.INVALID;
  const { view, l4, end } = ip;
  const { state, status } = tracker.table;
  const base = STATE_WORDS * conn;
  const chunks = chunksOf(ip);
  if (chunks === 0) return VERDICT.INVALID;
  if ((status[conn]! & IPS.CONFIRMED) === 0) {
    if ((chunks & NEVER_FIRST) !== 0 || !begin(state, base, ip)) return VERDICT.INVALID;
  }
  const tag = view.getInt32(l4 + VTAG);
  if ((chunks & OWN_TAG_RULE) === 0 && tag !== state[base + TAG + dir]) return VERDICT.INVALID;

  let old: number = SCTP_STATE.NONE;
  let next: number = SCTP_STATE.NONE;
  let isStrict = (chunks & bit(CHUNK.DATA)) !== 0 ? 1 : 0;
  let isIgnored = false;
  for (let at = l4 + SCTP.HLEN; at + 4 <= end; at += (view.getUint16(at + 2) + 3) & ~3) {
    const type = view.getUint8(at);
    const result = checkTag(state, base, dir, type, view.getUint8(at + 1), tag, isStrict);
    if (result === REFUSED) return VERDICT.INVALID;
    if (result === SKIPPED) {
      isStrict = 1;
      isIgnored = true;
      continue;
    }
    old = state[base + STATE]!;
    next = nextState(dir, old, type);
    if (next === INVALID) return VERDICT.INVALID;
    if (type === CHUNK.INIT || type === CHUNK.INIT_ACK) {
      if (at + INIT_SIZE > end) return VERDICT.INVALID;
      if (!noteTag(state, base, dir, type, view.getInt32(at + 4), old)) return VERDICT.INVALID;
      // An INIT sent again does not keep the connection alive.
      const isAgain = old === SCTP_STATE.CLOSED && next === SCTP_STATE.CLOSED;
      if (type === CHUNK.INIT && isAgain && (status[conn]! & IPS.CONFIRMED) !== 0) isIgnored = true;
    }
    state[base + STATE] = next;
    if (old === next) continue;
    tracker.table.events[conn]! |= IPCT.PROTOINFO;
    if (next === SCTP_STATE.ESTABLISHED) tracker.setStatus(conn, IPS.ASSURED, IPCT.ASSURED);
  }
  if (isIgnored) return VERDICT.ACCEPT;

  tracker.refresh(conn, tracker.timeoutsOf(conn)[next]!);
  return VERDICT.ACCEPT;
}

/** Learns the tag that the other end is to use from now on.  False for an INIT ACK that fits no INIT. */
function noteTag(s: Int32Array, base: number, dir: number, type: number, tag: number, old: number): boolean {
  const other = 1 - dir;
  const seen = s[base + INIT_SEEN + dir] !== 0;
  const otherSeen = s[base + INIT_SEEN + other] !== 0;
  if (type === CHUNK.INIT) {
    // One with the tag that is known already was sent again, or comes late.
    if (old === SCTP_STATE.NONE || s[base + TAG + other] !== tag) {
      if (seen && otherSeen) s[base + INIT_SEEN + other] = 0;
      s[base + INIT_SEEN + dir] = 1;
    }
  } else {
    const known = s[base + TAG + other]!;
    if (!otherSeen && known !== 0 && known !== tag) return false;
    // Both ends have sent INIT at once.
    if (seen && otherSeen && known !== tag) return false;
  }
  s[base + TAG + other] = tag;
  return true;
}

/** Whether the connection may go first when there are too many. */
export function sctpMayGoEarly(state: Int32Array, conn: number): boolean {
  const current = sctpStateOf(state, conn);
  return current >= SCTP_STATE.SHUTDOWN_SENT && current <= SCTP_STATE.SHUTDOWN_ACK_SENT;
}
