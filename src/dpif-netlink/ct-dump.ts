/**
 * Listing tracked connections: a ctnetlink dump.  Neighbours: nfnl.ts (the socket), ct-flush.ts, ct-ops.ts.
 * Source: lib/netlink-conntrack.c (nl_ct_dump_start(), nl_ct_parse_entry() ...).
 */
import type { CtEntry, CtTuple } from '../dpif/dpif-ct.ts';
import { LITTLE_ENDIAN, NLM_F } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import {
  CTA,
  CTA_HELP,
  CTA_IP,
  CTA_PROTO,
  CTA_PROTOINFO,
  CTA_PROTOINFO_SCTP,
  CTA_PROTOINFO_TCP,
  CTA_TUPLE,
  IPCTNL_MSG_CT,
  NFGENMSG_SIZE,
  NFNL_SUBSYS,
  nfnlType,
} from '../netlink/families/ctnetlink.ts';
import { AttrCursor, type MessageView } from '../netlink/message.ts';
import { ERRNO } from '../util/errno.ts';
import { formatIpv4, formatIpv6 } from '../util/inet.ts';
import type { NfnlClient } from './nfnl.ts';

/** Calls `visit` for each connection.  Rejects with a NetlinkError. */
export const dumpConnections = (client: NfnlClient, visit: (entry: CtEntry) => void): Promise<void> =>
  dumpMessages(client, (msg) => visit(decodeEntry(msg)));

/** The same, of the messages; each is valid only during the call. */
export function dumpMessages(client: NfnlClient, visit: (msg: MessageView) => void): Promise<void> {
  return client.request({
    command: IPCTNL_MSG_CT.GET,
    flags: NLM_F.DUMP,
    family: 0,
    where: 'conntrack dump',
    visit: (msg) => {
      if (msg.type === nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.NEW)) visit(msg);
    },
  });
}

export type Attrs = ReadonlyMap<number, { readonly dv: DataView; readonly at: number; readonly size: number }>;

/** Attributes by type; of two of a type the last. */
export function readAttrs(dv: DataView, at: number, end: number): Attrs {
  const found = new Map<number, { dv: DataView; at: number; size: number }>();
  const it = new AttrCursor(dv, at, end, 'CTA');
  while (it.next()) found.set(it.type, { dv, at: it.at, size: it.size });
  return found;
}

function nested(attrs: Attrs, type: number): Attrs | undefined {
  const a = attrs.get(type);
  return a && readAttrs(a.dv, a.at, a.at + a.size);
}

/** A number of 1, 2 or 4 bytes in network order; 0 if it is not there. */
export function uint(attrs: Attrs | undefined, type: number, size: 1 | 2 | 4): number {
  const a = attrs?.get(type);
  if (a === undefined) return 0;
  if (a.size < size) throw new NetlinkError(ERRNO.EINVAL, `ctnetlink attribute ${type} is short`);
  return size === 1 ? a.dv.getUint8(a.at) : size === 2 ? a.dv.getUint16(a.at) : a.dv.getUint32(a.at);
}

/** A verification tag.  It is in network order, but Open vSwitch takes it for a number of the host's, and so prints it. */
const tag = (attrs: Attrs, type: number): number => {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(uint(attrs, type, 4));
  return LITTLE_ENDIAN ? value.readUInt32LE() : value.readUInt32BE();
};

function decodeEntry(msg: MessageView): CtEntry {
  const attrs = readAttrs(msg.dv, msg.payload + NFGENMSG_SIZE, msg.end);
  const orig = readTuple(nested(attrs, CTA.TUPLE_ORIG));
  const reply = readTuple(nested(attrs, CTA.TUPLE_REPLY));
  if (orig === undefined || reply === undefined) throw new NetlinkError(ERRNO.EINVAL, 'connection without tuples');
  const info = nested(attrs, CTA.PROTOINFO);
  const tcp = info && nested(info, CTA_PROTOINFO.TCP);
  const sctp = info && nested(info, CTA_PROTOINFO.SCTP);
  const help = nested(attrs, CTA.HELP)?.get(CTA_HELP.NAME);
  const labels = attrs.get(CTA.LABELS);
  const P = CTA_PROTOINFO_TCP;
  const S = CTA_PROTOINFO_SCTP;
  return {
    orig,
    reply,
    parent: readTuple(nested(attrs, CTA.TUPLE_MASTER)),
    zone: uint(attrs, CTA.ZONE, 2),
    status: uint(attrs, CTA.STATUS, 4),
    mark: uint(attrs, CTA.MARK, 4),
    id: uint(attrs, CTA.ID, 4),
    timeout: uint(attrs, CTA.TIMEOUT, 4),
    labels:
      labels === undefined || labels.size < 16
        ? 0n
        : labels.dv.getBigUint64(labels.at, true) | (labels.dv.getBigUint64(labels.at + 8, true) << 64n),
    helper:
      help &&
      Buffer.from(help.dv.buffer, help.dv.byteOffset + help.at, help.size)
        .toString()
        .replace(/\0.*$/s, ''),
    tcp: tcp && {
      state: uint(tcp, P.STATE, 1),
      scales: [uint(tcp, P.WSCALE_ORIGINAL, 1), uint(tcp, P.WSCALE_REPLY, 1)],
      // struct nf_ct_tcp_flags: flags, and a mask.
      flags: [uint(tcp, P.FLAGS_ORIGINAL, 1), uint(tcp, P.FLAGS_REPLY, 1)],
    },
    sctp: sctp && {
      state: uint(sctp, S.STATE, 1),
      tags: [tag(sctp, S.VTAG_ORIGINAL), tag(sctp, S.VTAG_REPLY)],
    },
  };
}

function readTuple(attrs: Attrs | undefined): CtTuple | undefined {
  const ip = attrs && nested(attrs, CTA_TUPLE.IP);
  const l4 = attrs && nested(attrs, CTA_TUPLE.PROTO);
  if (ip === undefined || l4 === undefined) return undefined;
  const isV6 = ip.has(CTA_IP.V6_SRC);
  const address = (type: number): string => {
    const a = ip.get(type);
    if (a === undefined || a.size !== (isV6 ? 16 : 4)) throw new NetlinkError(ERRNO.EINVAL, 'tuple without address');
    const bytes = new Uint8Array(a.dv.buffer, a.dv.byteOffset + a.at, a.size);
    return isV6 ? formatIpv6(bytes) : formatIpv4(bytes);
  };
  const v6 = l4.has(CTA_PROTO.ICMPV6_ID);
  return {
    src: address(isV6 ? CTA_IP.V6_SRC : CTA_IP.V4_SRC),
    dst: address(isV6 ? CTA_IP.V6_DST : CTA_IP.V4_DST),
    proto: uint(l4, CTA_PROTO.NUM, 1),
    srcPort: uint(l4, CTA_PROTO.SRC_PORT, 2),
    dstPort: uint(l4, CTA_PROTO.DST_PORT, 2),
    icmpId: uint(l4, v6 ? CTA_PROTO.ICMPV6_ID : CTA_PROTO.ICMP_ID, 2),
    icmpType: uint(l4, v6 ? CTA_PROTO.ICMPV6_TYPE : CTA_PROTO.ICMP_TYPE, 1),
    icmpCode: uint(l4, v6 ? CTA_PROTO.ICMPV6_CODE : CTA_PROTO.ICMP_CODE, 1),
  };
}
