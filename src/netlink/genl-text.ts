/**
 * What generic-netlink clients read out of NLMSG_ERROR messages, and how they show messages in debug logs.
 * Used by genl.ts and genl-dump.ts.  Source: include/uapi/linux/netlink.h, lib/netlink-socket.c (nlmsg_to_string()).
 */
import { ERRNO } from '../util/errno.ts';
import {
  LITTLE_ENDIAN,
  NLA_HDRLEN,
  NLA_TYPE_MASK,
  NLM_F,
  NLMSG,
  NLMSG_HDRLEN,
  NLMSGERR_ATTR,
  nlaAlign,
} from './constants.ts';
import type { MessageView } from './message.ts';

/** Positive errno of an NLMSG_ERROR; 0 is an acknowledgement.  EPROTO if the message is too short to say. */
export function errorNumber(msg: MessageView): number {
  if (msg.end - msg.payload < 4) return ERRNO.EPROTO;
  const error = msg.dv.getInt32(msg.payload, LITTLE_ENDIAN);
  return error <= 0 ? -error : ERRNO.EPROTO;
}

/** NLMSGERR_ATTR_MSG of an NLMSG_ERROR: after the errno and the request, or its header alone if it was capped. */
export function errorExtack(msg: MessageView): string | undefined {
  const { dv, end } = msg;
  const request = msg.payload + 4;
  if ((msg.flags & NLM_F.ACK_TLVS) === 0 || end - request < NLMSG_HDRLEN) return undefined;
  const size = msg.flags & NLM_F.CAPPED ? NLMSG_HDRLEN : dv.getUint32(request, LITTLE_ENDIAN);
  for (let at = request + nlaAlign(size); end - at >= NLA_HDRLEN; ) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - at) return undefined;
    if ((dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK) === NLMSGERR_ATTR.MSG) {
      const text = Buffer.from(dv.buffer, dv.byteOffset + at + NLA_HDRLEN, len - NLA_HDRLEN).toString();
      return text.replace(/\0.*$/s, '');
    }
    at += nlaAlign(len);
  }
  return undefined;
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [NLMSG.NOOP]: 'no-op',
  [NLMSG.ERROR]: 'error',
  [NLMSG.DONE]: 'done',
  [NLMSG.OVERRUN]: 'overrun',
};

/** The headers of the message at the start of `bytes`, in the words of a stock debug log. */
export function formatHeader(bytes: Uint8Array): string {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < NLMSG_HDRLEN) return `nl(${bytes.length} bytes)`;
  const type = dv.getUint16(4, LITTLE_ENDIAN);
  const flags = dv.getUint16(6, LITTLE_ENDIAN);
  const names: string[] = [];
  for (const [name, bit] of [
    ['REQUEST', NLM_F.REQUEST],
    ['MULTI', NLM_F.MULTI],
    ['ACK', NLM_F.ACK],
    ['ECHO', NLM_F.ECHO],
  ] as const) {
    if (flags & bit) names.push(`[${name}]`);
  }
  if ((flags & NLM_F.DUMP) === NLM_F.DUMP) names.push('[DUMP]');
  const rest = flags & ~(NLM_F.REQUEST | NLM_F.MULTI | NLM_F.ACK | NLM_F.ECHO | NLM_F.DUMP);
  if (rest !== 0) names.push(`[OTHER:0x${rest.toString(16)}]`);
  const typeName = TYPE_NAMES[type];
  const head =
    `nl(len:${dv.getUint32(0, LITTLE_ENDIAN)}, type=${type}${typeName === undefined ? '' : `(${typeName})`}, ` +
    `flags=${flags.toString(16)}${names.join('')}, seq=${dv.getUint32(8, LITTLE_ENDIAN).toString(16)}, ` +
    `pid=${dv.getUint32(12, LITTLE_ENDIAN)}`;
  if (type === NLMSG.ERROR && bytes.length >= NLMSG_HDRLEN + 4) {
    return `${head}) error(${dv.getInt32(NLMSG_HDRLEN, LITTLE_ENDIAN)})`;
  }
  if (type < NLMSG.MIN_TYPE || bytes.length < NLMSG_HDRLEN + 4) return `${head})`;
  return `${head}),genl(cmd=${dv.getUint8(NLMSG_HDRLEN)},version=${dv.getUint8(NLMSG_HDRLEN + 1)})`;
}
