/**
 * Flow monitors: a controller asks to be told of changes of flows, and gets updates.
 *
 * ```
 * request, 1.0-1.2   | id | flags 16 | out_port 16 | match_len 16 | table 8 | 0 40 | NXM |
 * request, 1.3       | id | flags 16 | match_len 16 | out_port | table 8 | 0 24 | match |
 * request, 1.4+      | id | out_port | out_group | flags 16 | table 8 | command 8 | match |
 * update, 1.0-1.3    | length 16 | event 16 | reason 16 | priority 16 | idle 16 | hard 16 | match_len 16 | table 8 | 0 8 | cookie 64 | match |
 * update, 1.4+       | length 16 | event 16 | table 8 | reason 8 | idle 16 | hard 16 | priority 16 | 0 32 | cookie 64 | match |
 * abbreviated        | length 16 | event 16 | xid |
 * ```
 * Actions (1.0 to 1.2) or instructions end an update.  Versions number events differently.
 * Source: OpenFlow 1.4.1 A.3.5.16, include/openflow/nicira-ext.h, openflow-1.3.h (onf_*), lib/ofp-monitor.c.
 */
import { decodeActions, decodeInstructions, encodeActions, encodeInstructions } from '../../actions/index.ts';
import { newMatch } from '../../match/match.ts';
import { decodeMatch, decodePaddedNxMatch, encodeMatch, encodePaddedNxMatch } from '../../match/match-codec.ts';
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import { portFromOfp11, portToOfp11 } from '../../ofp-names.ts';
import { OFPP } from '../../ofp-port.ts';
import { type BodyIn, type BodyOut, type Codecs, listCodec, needBytes } from '../wire/body.ts';
import {
  type FlowMonitorRequest,
  type FlowUpdate,
  MONITOR_COMMAND,
  MONITOR_FLAG,
  OFPG,
  OFPTT_ALL,
} from './flow-types.ts';

const REQUEST_SIZE = 16;
const FULL_SIZE = 24;
const SHORT_SIZE = 8;

const WHEN = MONITOR_FLAG.ADD | MONITOR_FLAG.DELETED | MONITOR_FLAG.MODIFY;
/** Those that have the same bit in all versions. */
const COMMON = WHEN | MONITOR_FLAG.INITIAL | MONITOR_FLAG.INSTRUCTIONS;
/** "With own changes in full", where 1.4 has "without abbreviations". */
const OWN10 = 32;

/** MONITOR_FLAG of the bits on the wire.  Throws OfpError (OFPMOFC_BAD_FLAGS). */
function decodeFlags(wire: number, { raw, version }: BodyIn): number {
  const own = version >= 5 ? MONITOR_FLAG.ONLY_OWN : OWN10;
  if ((wire & WHEN) === 0 || (wire & ~(COMMON | own)) !== 0) {
    throw new OfpError(OFPERR.OFPMOFC_BAD_FLAGS, `${raw.text}: flags 0x${wire.toString(16)}`);
  }
  return (wire & COMMON) | ((wire & own) !== 0 ? MONITOR_FLAG.ONLY_OWN : 0);
}

function encodeFlags(flags: number, version: number): number {
  if (version >= 5) return flags;
  return (flags & COMMON) | ((flags & MONITOR_FLAG.ONLY_OWN) !== 0 ? OWN10 : 0);
}

function checkZeros({ raw, bytes }: BodyIn, at: number, end: number): void {
  if (bytes.subarray(at, end).some((b) => b !== 0)) {
    throw new OfpError(OFPERR.NXBRC_MUST_BE_ZERO, `${raw.text}: padding is not zero`);
  }
}

type Push<E> = (entry: E) => void;

function decodeRequest(m: BodyIn, at: number, push: Push<FlowMonitorRequest>): number {
  const { version, dv, bytes } = m;
  needBytes(m, at, REQUEST_SIZE, 'flow monitor');
  const id = dv.getUint32(at);
  const matchAt = at + REQUEST_SIZE;
  if (version >= 5) {
    const command = dv.getUint8(at + 15);
    if (command === MONITOR_COMMAND.DELETE) {
      // Nothing but the id counts.
      const { size } = decodeMatch(version, bytes, matchAt);
      push({ id, command, flags: 0, outPort: OFPP.NONE, outGroup: OFPG.ANY, tableId: OFPTT_ALL, match: newMatch() });
      return matchAt + size;
    }
    const flags = decodeFlags(dv.getUint16(at + 12), m);
    const outPort = portFromOfp11(dv.getUint32(at + 4));
    const { match, size } = decodeMatch(version, bytes, matchAt);
    push({ id, command, flags, outPort, outGroup: dv.getUint32(at + 8), tableId: dv.getUint8(at + 14), match });
    return matchAt + size;
  }
  const flags = decodeFlags(dv.getUint16(at + 4), m);
  const rest = { id, command: MONITOR_COMMAND.ADD, flags, outGroup: OFPG.ANY };
  if (version === 4) {
    checkZeros(m, at + 13, matchAt);
    const outPort = portFromOfp11(dv.getUint32(at + 8));
    const { match, size } = decodeMatch(version, bytes, matchAt);
    push({ ...rest, outPort, tableId: dv.getUint8(at + 12), match });
    return matchAt + size;
  }
  checkZeros(m, at + 11, matchAt);
  const { match, size } = decodePaddedNxMatch(bytes, matchAt, dv.getUint16(at + 8));
  push({ ...rest, outPort: dv.getUint16(at + 6), tableId: dv.getUint8(at + 10), match });
  return matchAt + size;
}

function encodeRequest(rq: FlowMonitorRequest, { version, out }: BodyOut): void {
  out.u32(rq.id);
  const flags = encodeFlags(rq.flags, version);
  if (version >= 5) {
    const isDelete = rq.command === MONITOR_COMMAND.DELETE;
    out.u32(isDelete ? 0 : portToOfp11(rq.outPort));
    out.u32(isDelete ? 0 : rq.outGroup);
    out.u16(isDelete ? 0 : flags);
    out.u8(isDelete ? 0 : rq.tableId);
    out.u8(rq.command);
    out.put(encodeMatch(version, rq.match));
    return;
  }
  out.u16(flags);
  if (version === 4) {
    const at = out.size;
    out.u16(0);
    out.u32(portToOfp11(rq.outPort));
    out.u32(rq.tableId * 2 ** 24);
    out.put(encodeMatch(version, rq.match));
    // The length that the match itself tells.
    out.dv.setUint16(at, out.dv.getUint16(at + 12));
    return;
  }
  const nxm = encodePaddedNxMatch(rq.match);
  out.u16(rq.outPort);
  out.u16(nxm.length);
  out.u8(rq.tableId);
  out.room(5);
  out.put(nxm.bytes);
}

/** OFPFME_* of 1.4; before, there are four: ADDED, DELETED, MODIFIED, ABBREV. */
const EVENTS = ['initial', 'added', 'deleted', 'modified', 'abbrev', 'paused', 'resumed'] as const;
const EVENTS10 = ['added', 'deleted', 'modified', 'abbrev'] as const;
type Event = FlowUpdate['event'];
type FullUpdate = Extract<FlowUpdate, { readonly match: unknown }>;

function badLength({ raw }: BodyIn, size: number): OfpError {
  return new OfpError(OFPERR.OFPBRC_BAD_LEN, `${raw.text}: update of ${size} bytes`);
}

/** Fields from the event to the cookie. */
const decodeFields10 = (dv: DataView, at: number) => ({
  reason: dv.getUint16(at + 4),
  priority: dv.getUint16(at + 6),
  idleTimeout: dv.getUint16(at + 8),
  hardTimeout: dv.getUint16(at + 10),
  tableId: dv.getUint8(at + 14),
});
const decodeFields14 = (dv: DataView, at: number) => ({
  tableId: dv.getUint8(at + 4),
  reason: dv.getUint8(at + 5),
  idleTimeout: dv.getUint16(at + 6),
  hardTimeout: dv.getUint16(at + 8),
  priority: dv.getUint16(at + 10),
});

function decodeFull(m: BodyIn, at: number, size: number, event: FullUpdate['event']): FullUpdate {
  const { version, dv } = m;
  // The update alone, so that nothing reads on into the next one.
  const bytes = m.bytes.subarray(0, at + size);
  const matchAt = at + FULL_SIZE;
  if (size < FULL_SIZE) throw badLength(m, size);
  const matchSize = version >= 5 ? 0 : dv.getUint16(at + 12);
  if (FULL_SIZE + matchSize > size) throw badLength(m, size);
  const { match, size: taken } =
    version <= 3 ? decodePaddedNxMatch(bytes, matchAt, matchSize) : decodeMatch(version, bytes, matchAt);
  const rest = bytes.subarray(matchAt + taken);
  return {
    event,
    ...(version >= 5 ? decodeFields14(dv, at) : decodeFields10(dv, at)),
    cookie: dv.getBigUint64(at + 16),
    match,
    ofpacts: version <= 3 ? decodeActions(version, rest) : decodeInstructions(version, rest),
  };
}

function decodeUpdate(m: BodyIn, at: number, push: Push<FlowUpdate>): number {
  const { raw, version, dv } = m;
  needBytes(m, at, 4, 'flow update');
  const size = dv.getUint16(at);
  if (size > m.bytes.length - at || size % 8 !== 0) throw badLength(m, size);
  const number = dv.getUint16(at + 2);
  const event: Event | undefined = (version >= 5 ? EVENTS : EVENTS10)[number];
  switch (event) {
    case undefined:
      throw new OfpError(OFPERR.NXBRC_FM_BAD_EVENT, `${raw.text}: event ${number}`);
    case 'abbrev':
    case 'paused':
    case 'resumed':
      if (size !== SHORT_SIZE) throw badLength(m, size);
      push(event === 'abbrev' ? { event, xid: dv.getUint32(at + 4) } : { event });
      break;
    default:
      push(decodeFull(m, at, size, event));
  }
  return at + size;
}

function putFields14(u: FullUpdate, { version, out }: BodyOut): void {
  out.u8(u.tableId);
  out.u8(u.reason);
  out.u16(u.idleTimeout);
  out.u16(u.hardTimeout);
  out.u16(u.priority);
  out.u32(0);
  out.u64(u.cookie);
  out.put(encodeMatch(version, u.match));
}

function putFields10(u: FullUpdate, { version, out }: BodyOut): void {
  out.u16(u.reason);
  out.u16(u.priority);
  out.u16(u.idleTimeout);
  out.u16(u.hardTimeout);
  const lengthAt = out.size;
  out.u16(0);
  out.u8(u.tableId);
  out.u8(0);
  out.u64(u.cookie);
  if (version === 4) {
    const matchAt = out.size;
    out.put(encodeMatch(version, u.match));
    out.dv.setUint16(lengthAt, out.dv.getUint16(matchAt + 2));
    return;
  }
  const nxm = encodePaddedNxMatch(u.match);
  out.put(nxm.bytes);
  out.dv.setUint16(lengthAt, nxm.length);
}

/** Throws RangeError for "paused" and "resumed" before 1.4, which has messages of their own for them. */
function encodeUpdate(u: FlowUpdate, m: BodyOut): void {
  const { raw, version, out } = m;
  const at = out.size;
  const known: readonly Event[] = version >= 5 ? EVENTS : EVENTS10;
  const number = known.indexOf(version < 5 && u.event === 'initial' ? 'added' : u.event);
  if (number < 0) throw new RangeError(`${raw.name}: no event "${u.event}"`);
  out.u16(SHORT_SIZE);
  out.u16(number);
  if ('ofpacts' in u) {
    if (version >= 5) putFields14(u, m);
    else putFields10(u, m);
    out.put(version <= 3 ? encodeActions(u.ofpacts, version) : encodeInstructions(u.ofpacts, version));
    out.dv.setUint16(at, out.size - at);
  } else out.u32('xid' in u ? u.xid : 0);
}

export const FLOW_MONITOR_CODECS = {
  flow_monitor_stats_request: listCodec(decodeRequest, encodeRequest),
  flow_monitor_stats_reply: listCodec(decodeUpdate, encodeUpdate),
} satisfies Partial<Codecs>;
