/** What answers of the datapath must be like, and all that a client could find out about it, as text. */
import type { DatapathServer } from '../../../src/datapath/server.ts';
import { NLMSG } from '../../../src/netlink/constants.ts';
import { GENL_ID_CTRL } from '../../../src/netlink/families/nlctrl.ts';
import { OVS_DP_CMD } from '../../../src/netlink/families/ovs-datapath.ts';
import { type Answer, FAMILY } from '../../datapath/requests.ts';

const FIRST_PSAMPLE = 0x26;
const KNOWN_TYPES = new Set<number>([
  ...[NLMSG.ERROR, NLMSG.DONE, NLMSG.OVERRUN, GENL_ID_CTRL, FIRST_PSAMPLE],
  ...Object.values(FAMILY),
]);
const NLMSG_HDRLEN = 16;

/** One message of an answer: where it is in its bytes, and what it says if it is an error. */
export interface AnswerMessage {
  readonly type: number;
  readonly cmd: number;
  /** Of its attributes, in the bytes. */
  readonly at: number;
  readonly end: number;
  readonly errno: number | undefined;
}

/** Throws if an answer is not made of whole messages of known kinds, or one has attributes that do not fit. */
export function messagesOf({ bytes }: Answer): AnswerMessage[] {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: AnswerMessage[] = [];
  for (let at = 0; at < bytes.length; ) {
    const len = bytes.length - at < NLMSG_HDRLEN ? 0 : dv.getUint32(at, true);
    const type = len === 0 ? -1 : dv.getUint16(at + 4, true);
    if (len < NLMSG_HDRLEN || len > bytes.length - at) {
      throw new Error(`answer: nlmsg_len ${len} at ${at} of ${bytes.length}`);
    }
    if (!KNOWN_TYPES.has(type)) throw new Error(`answer: nlmsg_type ${type}`);
    const errno = type === NLMSG.ERROR ? -dv.getInt32(at + NLMSG_HDRLEN, true) : undefined;
    // After the header of generic netlink, of the family where it has one.
    const from = type < GENL_ID_CTRL ? at + len : at + (type === GENL_ID_CTRL || type === FIRST_PSAMPLE ? 20 : 24);
    checkAttrs(dv, from, at + len);
    found.push({ type, cmd: bytes[at + NLMSG_HDRLEN] ?? 0, at: from, end: at + len, errno });
    at += (len + 3) & ~3;
  }
  return found;
}

/** The errnos in an answer; 0 is an acknowledgement. */
export const errnosOf = (answer: Answer): number[] => messagesOf(answer).flatMap((m) => m.errno ?? []);

function checkAttrs(dv: DataView, at: number, end: number): void {
  while (at < end) {
    const len = end - at < 4 ? 0 : dv.getUint16(at, true);
    if (len < 4 || len > end - at) throw new Error(`answer: attribute of ${len} bytes with ${end - at} left`);
    at += (len + 3) & ~3;
  }
}

/** Datapaths, ports and flows. */
export function describeState(server: DatapathServer): string {
  const parts: string[] = [];
  for (const dp of server.datapaths.all()) {
    parts.push(dp.name, `${dp.userFeatures}/${dp.table.maskCacheSize}/${dp.perCpuPids.join()}/${dp.table.nMasks}`);
    for (const v of dp.vports()) parts.push(`${v.portNo}=${v.backend.name}/${v.type}/${v.upcallPids.join()}`);
    for (let f = dp.table.next(0); f !== undefined; f = dp.table.next(f.index + 1)) {
      parts.push(`${f.ufid ?? '-'}:${f.actions.length}:${f.actions.join()}`);
    }
  }
  return parts.join(' ');
}

/** Whether this is NEW from a client that knows no features: one that finds the datapath there takes its features away. */
export const isOldClient = (bytes: Uint8Array): boolean =>
  bytes[4] === FAMILY.DATAPATH && bytes[16] === OVS_DP_CMD.NEW && (bytes[17] ?? 0) < 2;

/** Whether a datagram is one message, or part of one. */
export const isSingle = (bytes: Uint8Array): boolean =>
  bytes.length < 4 || new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) >= bytes.length;
