/**
 * Ending tracked connections: all, those of a zone, or the one with a tuple.  Linux 6.1 cannot be asked to end those of a zone,
 * so they are listed and ended one by one, as the stock tools do it.  Neighbours: nfnl.ts, ct-dump.ts.
 * Source: lib/netlink-conntrack.c (nl_ct_flush(), nl_ct_flush_zone(), nl_ct_flush_tuple()).
 */
import type { CtTuple } from '../dpif/dpif-ct.ts';
import { NLM_F } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import { CTA, CTA_IP, CTA_PROTO, CTA_TUPLE, IPCTNL_MSG_CT, NFGENMSG_SIZE } from '../netlink/families/ctnetlink.ts';
import type { MessageWriter } from '../netlink/message.ts';
import { ERRNO } from '../util/errno.ts';
import { parseIpv4, parseIpv6 } from '../util/inet.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { dumpMessages, readAttrs, uint } from './ct-dump.ts';
import type { NfnlClient } from './nfnl.ts';

const log = vlog('netlink_conntrack');
const limit = new RateLimit(1, 5);

const AF = { INET: 2, INET6: 10 } as const;
const IPPROTO = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58 } as const;

/** Ends all connections. */
export const flushAll = (client: NfnlClient): Promise<void> => remove(client, 0, () => {});

/** Ends the connections of `zone`. */
export async function flushZone(client: NfnlClient, zone: number): Promise<void> {
  const found: { family: number; tuple: Uint8Array; id: number }[] = [];
  await dumpMessages(client, (msg) => {
    const attrs = readAttrs(msg.dv, msg.payload + NFGENMSG_SIZE, msg.end);
    const tuple = attrs.get(CTA.TUPLE_ORIG);
    if (tuple === undefined || uint(attrs, CTA.ZONE, 2) !== zone) return;
    // Copied, because the message is gone after this call.
    const bytes = new Uint8Array(msg.dv.buffer, msg.dv.byteOffset + tuple.at, tuple.size).slice();
    found.push({ family: msg.dv.getUint8(msg.payload), tuple: bytes, id: uint(attrs, CTA.ID, 4) });
  });
  for (const { family, tuple, id } of found) {
    try {
      await remove(client, family, (w) => {
        putBe16(w, CTA.ZONE, zone);
        w.attrBytes(CTA.TUPLE_ORIG, tuple);
        putBe32(w, CTA.ID, id);
      });
    } catch (e) {
      // It may have ended meanwhile, which is as good.
      if (!(e instanceof NetlinkError) || e.errno !== ERRNO.ENOENT) throw e;
    }
  }
}

/**
 * Ends the connection of `zone` whose original direction is `tuple`.  ENOENT if there is none; EOPNOTSUPP for a protocol that
 * the stock tools cannot name.
 */
export async function flushTuple(client: NfnlClient, zone: number, tuple: CtTuple): Promise<void> {
  const isV6 = tuple.src.includes(':');
  const { proto } = tuple;
  const isIcmp = proto === (isV6 ? IPPROTO.ICMPV6 : IPPROTO.ICMP);
  if (!isIcmp && proto !== IPPROTO.TCP && proto !== IPPROTO.UDP) {
    const text = `Unsupported L4 protocol: ${proto}.`;
    log.warn(text, limit);
    throw new NetlinkError(ERRNO.EOPNOTSUPP, text);
  }
  await remove(client, isV6 ? AF.INET6 : AF.INET, (w) => {
    putBe16(w, CTA.ZONE, zone);
    const all = w.nest(CTA.TUPLE_ORIG);
    const ip = w.nest(CTA_TUPLE.IP);
    w.attrBytes(isV6 ? CTA_IP.V6_SRC : CTA_IP.V4_SRC, addressBytes(tuple.src, isV6));
    w.attrBytes(isV6 ? CTA_IP.V6_DST : CTA_IP.V4_DST, addressBytes(tuple.dst, isV6));
    w.endNest(ip);
    const l4 = w.nest(CTA_TUPLE.PROTO);
    w.attrU8(CTA_PROTO.NUM, proto);
    if (isIcmp) {
      putBe16(w, isV6 ? CTA_PROTO.ICMPV6_ID : CTA_PROTO.ICMP_ID, tuple.icmpId);
      w.attrU8(isV6 ? CTA_PROTO.ICMPV6_TYPE : CTA_PROTO.ICMP_TYPE, tuple.icmpType);
      w.attrU8(isV6 ? CTA_PROTO.ICMPV6_CODE : CTA_PROTO.ICMP_CODE, tuple.icmpCode);
    } else {
      putBe16(w, CTA_PROTO.SRC_PORT, tuple.srcPort);
      putBe16(w, CTA_PROTO.DST_PORT, tuple.dstPort);
    }
    w.endNest(l4);
    w.endNest(all);
  });
}

function remove(client: NfnlClient, family: number, build: (w: MessageWriter) => void): Promise<void> {
  return client.request({ command: IPCTNL_MSG_CT.DELETE, flags: NLM_F.ACK, family, build, where: 'conntrack flush' });
}

function addressBytes(text: string, isV6: boolean): Uint8Array {
  const bytes = isV6 ? parseIpv6(text) : parseIpv4(text);
  if (bytes === undefined) throw new RangeError(`${text}: not an IP address`);
  return bytes;
}

function putBe16(w: MessageWriter, type: number, value: number): void {
  const at = w.attrHeader(type, 2);
  w.dv.setUint16(at, value);
}

function putBe32(w: MessageWriter, type: number, value: number): void {
  const at = w.attrHeader(type, 4);
  w.dv.setUint32(at, value);
}
