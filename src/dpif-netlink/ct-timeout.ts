/**
 * Timeout policies of the connection tracker, as ctnetlink-timeout messages.  A policy of ours is six of the kernel's: one for
 * each protocol and address family, named ovs_tp_ID_PROTOCOL.  Neighbours: ct-ops.ts, nfnl.ts.
 * Source: include/uapi/linux/netfilter/nfnetlink_cttimeout.h, lib/dpif-netlink.c (dpif_netlink_ct_set_timeout_policy()).
 */
import { isTimeoutName } from '../dpif/dpif-ct.ts';
import { NLM_F } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import { CTA_TIMEOUT, IPCTNL_MSG_TIMEOUT, NFGENMSG_SIZE, NFNL_SUBSYS } from '../netlink/families/ctnetlink.ts';
import { AttrCursor, type MessageView, type MessageWriter } from '../netlink/message.ts';
import { ERRNO } from '../util/errno.ts';
import type { NfnlClient } from './nfnl.ts';

const PREFIX = 'ovs_tp_';
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58 } as const;

/** Names of a protocol's times in the order of their attributes, which are numbered from 1. */
// biome-ignore format: table
const TCP = ['tcp_syn_sent', 'tcp_syn_recv', 'tcp_established', 'tcp_fin_wait', 'tcp_close_wait', 'tcp_last_ack', 'tcp_time_wait',
  'tcp_close', 'tcp_syn_sent2', 'tcp_retransmit', 'tcp_unack'];
const UDP = ['udp_single', 'udp_multiple'];
const ICMP = ['icmp_first'];

// biome-ignore format: table
const PARTS = [
  { l3: AF_INET,  proto: IPPROTO.TCP,    suffix: 'tcp4',   times: TCP },
  { l3: AF_INET,  proto: IPPROTO.UDP,    suffix: 'udp4',   times: UDP },
  { l3: AF_INET,  proto: IPPROTO.ICMP,   suffix: 'icmp4',  times: ICMP },
  { l3: AF_INET6, proto: IPPROTO.TCP,    suffix: 'tcp6',   times: TCP },
  { l3: AF_INET6, proto: IPPROTO.UDP,    suffix: 'udp6',   times: UDP },
  { l3: AF_INET6, proto: IPPROTO.ICMPV6, suffix: 'icmpv6', times: ICMP },
] as const;

const nameOf = (id: number, suffix: string): string => `${PREFIX}${id}_${suffix}`;

/** What policy `id` is called for a protocol; undefined if policies say nothing of it. */
export function timeoutPolicyName(id: number, isIpv4: boolean, proto: number): string | undefined {
  const part = PARTS.find((p) => p.proto === proto && (p.l3 === AF_INET) === isIpv4);
  return part === undefined ? undefined : nameOf(id, part.suffix);
}

const request = (command: number, flags: number, where: string) => ({
  subsystem: NFNL_SUBSYS.CTNETLINK_TIMEOUT,
  command,
  flags,
  family: 0,
  where,
});

/** Makes or changes policy `id`: seconds by name; what is not given is the kernel's default. */
export async function setTimeoutPolicy(
  client: NfnlClient,
  id: number,
  seconds: ReadonlyMap<string, number>,
): Promise<void> {
  for (const name of seconds.keys()) if (!isTimeoutName(name)) throw new RangeError(`no timeout is called "${name}"`);
  for (const { l3, proto, suffix, times } of PARTS) {
    const name = nameOf(id, suffix);
    const build = (w: MessageWriter): void => {
      w.attrString(CTA_TIMEOUT.NAME, name);
      w.dv.setUint16(w.attrHeader(CTA_TIMEOUT.L3PROTO, 2), l3);
      w.attrU8(CTA_TIMEOUT.L4PROTO, proto);
      const nest = w.nest(CTA_TIMEOUT.DATA);
      for (const [i, time] of times.entries()) {
        const value = seconds.get(time);
        if (value !== undefined) w.dv.setUint32(w.attrHeader(i + 1, 4), value);
      }
      w.endNest(nest);
    };
    const flags = NLM_F.CREATE | NLM_F.ACK | NLM_F.REPLACE;
    await client.request({ ...request(IPCTNL_MSG_TIMEOUT.NEW, flags, `timeout policy ${name}`), build });
  }
}

/** Deletes policy `id`.  EBUSY: a flow uses it. */
export async function delTimeoutPolicy(client: NfnlClient, id: number): Promise<void> {
  for (const { suffix } of PARTS) {
    const name = nameOf(id, suffix);
    const build = (w: MessageWriter) => w.attrString(CTA_TIMEOUT.NAME, name);
    try {
      await client.request({ ...request(IPCTNL_MSG_TIMEOUT.DELETE, NLM_F.ACK, `timeout policy ${name}`), build });
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.errno !== ERRNO.ENOENT) throw error;
    }
  }
}

/** Ids of the policies that there are. */
export async function dumpTimeoutPolicies(client: NfnlClient): Promise<number[]> {
  const ids = new Set<number>();
  const visit = (msg: MessageView): void => {
    const it = new AttrCursor(msg.dv, msg.payload + NFGENMSG_SIZE, msg.end, 'timeout policy');
    while (it.next()) {
      if (it.type !== CTA_TIMEOUT.NAME) continue;
      const name = Buffer.from(msg.dv.buffer, msg.dv.byteOffset + it.at, it.size).toString('latin1');
      const id = /^ovs_tp_(\d+)_/.exec(name)?.[1];
      if (id !== undefined) ids.add(Number(id));
    }
  };
  await client.request({ ...request(IPCTNL_MSG_TIMEOUT.GET, NLM_F.DUMP, 'timeout policies'), visit });
  return [...ids];
}
