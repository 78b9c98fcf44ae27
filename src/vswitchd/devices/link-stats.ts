/**
 * What all network devices have counted, in one request that asks for nothing else: the table of links, which has it too, takes ten times as
 * long to read.
 *
 *     struct if_stats_msg: u8 family | u8, u16 padding | u32 ifindex | u32 filter_mask, then attributes
 *
 * Source: include/uapi/linux/rtnetlink.h (RTM_GETSTATS), if_link.h (struct if_stats_msg, struct rtnl_link_stats64).
 */
import { LITTLE_ENDIAN, NLM_F, NLMSG } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { errorNumber } from '../../netlink/genl-text.ts';
import { AttrCursor, forEachMessage, type MessageView, MessageWriter } from '../../netlink/message.ts';
import type { NetlinkTransport } from '../../netlink/transport.ts';
import { ERRNO } from '../../util/errno.ts';
import type { NetdevStats } from './netdev.ts';

const RTM_NEWSTATS = 92;
const RTM_GETSTATS = 94;
const IF_STATS_MSG_SIZE = 12;
const IFLA_STATS_LINK_64 = 1;
const WHERE = 'statistics of all devices';
const TIMEOUT_MS = 10_000;

/** Positions in struct rtnl_link_stats64, in units of 8 bytes. */
// biome-ignore format: table
const AT = {
  rxPackets: 0,  txPackets: 1,  rxBytes: 2,       txBytes: 3,      rxErrors: 4,       txErrors: 5,       rxDropped: 6, txDropped: 7,
  multicast: 8,  collisions: 9, rxOverErrors: 11, rxCrcErrors: 12, rxFrameErrors: 13, rxMissedErrors: 15,
} as const satisfies Record<keyof NetdevStats, number>;
const FIELDS = Object.entries(AT) as [keyof NetdevStats, number][];
const SIZE = 8 * 16;

/** Asks through `transport`, an open NETLINK_ROUTE socket, which is closed.  By ifindex.  Rejects with a NetlinkError. */
export function dumpLinkStats(transport: NetlinkTransport): Promise<ReadonlyMap<number, NetdevStats>> {
  const found = new Map<number, NetdevStats>();
  return new Promise<ReadonlyMap<number, NetdevStats>>((resolve, reject) => {
    const timer = setTimeout(() => reject(new NetlinkError(ERRNO.ETIMEDOUT, WHERE, 'no answer')), TIMEOUT_MS);
    const done = (error: unknown) => {
      clearTimeout(timer);
      if (error === undefined) resolve(found);
      else reject(error);
    };
    const take = (msg: MessageView): void => {
      if (msg.type === NLMSG.DONE) done(undefined);
      else if (msg.type === NLMSG.ERROR) done(new NetlinkError(errorNumber(msg), WHERE));
      else if (msg.type === RTM_NEWSTATS) readLink(msg, found);
    };
    transport.receive({
      datagram(_bytes, dv, offset, size, from) {
        if (from !== 0) return;
        try {
          forEachMessage(dv, offset, offset + size, take);
        } catch (error) {
          done(error);
        }
      },
      overflow: () => done(new NetlinkError(ERRNO.ENOBUFS, WHERE)),
    });
    const sent = ask(transport);
    if (sent < 0) done(new NetlinkError(-sent, WHERE));
  }).finally(() => transport.close());
}

function ask(transport: NetlinkTransport): number {
  const w = new MessageWriter(64);
  const at = w.begin(RTM_GETSTATS, NLM_F.REQUEST | NLM_F.DUMP, 1, transport.portId);
  w.reserve(IF_STATS_MSG_SIZE);
  w.dv.setUint32(w.size, 0);
  w.dv.setUint32(w.size + 4, 0);
  w.dv.setUint32(w.size + 8, 1 << (IFLA_STATS_LINK_64 - 1), LITTLE_ENDIAN);
  w.size += IF_STATS_MSG_SIZE;
  w.end(at);
  return transport.send(w.bytes, 0, w.size, 0);
}

function readLink(msg: MessageView, into: Map<number, NetdevStats>): void {
  if (msg.end - msg.payload < IF_STATS_MSG_SIZE) return;
  const attrs = new AttrCursor(msg.dv, msg.payload + IF_STATS_MSG_SIZE, msg.end, 'IFLA_STATS');
  while (attrs.next()) {
    if (attrs.type !== IFLA_STATS_LINK_64 || attrs.size < SIZE) continue;
    const stats = {} as Record<keyof NetdevStats, bigint>;
    for (const [name, at] of FIELDS) stats[name] = msg.dv.getBigUint64(attrs.at + 8 * at, LITTLE_ENDIAN);
    into.set(msg.dv.getUint32(msg.payload + 4, LITTLE_ENDIAN), stats);
  }
}
