/**
 * A network device as a message of rtnetlink describes it.  rtnetlink-table.ts keeps them.
 * Source: include/uapi/linux/rtnetlink.h, if_link.h; lib/netdev-linux.c.
 */
import type { rt } from '../../netlink/rtnetlink-package.ts';
import { formatMac } from '../../util/inet.ts';
import { NETDEV_STATS, type Netdev, type NetdevStats } from './netdev.ts';

/** The counters in a message; zero where there are none. */
export function statsOf(link: rt.LinkMessage | undefined): NetdevStats {
  const stats: Partial<Record<(typeof NETDEV_STATS)[number], bigint>> = link?.attrs.stats64 ?? {};
  return Object.fromEntries(NETDEV_STATS.map((key) => [key, stats[key] ?? 0n])) as NetdevStats;
}

/** The device that a message describes, undefined if it says too little; `old` is what the device was before. */
export function netdevOf({ data, attrs }: rt.LinkMessage, old?: Netdev): Netdev | undefined {
  if (data.index === undefined || attrs.ifname === undefined) return undefined;
  const hasCarrier = data.flags?.running ?? false;
  return {
    name: attrs.ifname,
    ifindex: data.index,
    mac: attrs.address?.length === 6 ? formatMac(attrs.address) : undefined,
    mtu: attrs.mtu ?? 0,
    isUp: data.flags?.up ?? false,
    hasCarrier,
    linkResets: (old?.linkResets ?? 0) + (old !== undefined && old.hasCarrier !== hasCarrier ? 1 : 0),
    kind: kindOf(attrs.linkinfo),
  };
}

/** Whether two are the same in all that anybody here asks for. */
export const sameNetdev = (a: Netdev, b: Netdev): boolean =>
  a.name === b.name &&
  a.mac === b.mac &&
  a.mtu === b.mtu &&
  a.isUp === b.isUp &&
  a.hasCarrier === b.hasCarrier &&
  a.kind === b.kind;

/** IFLA_INFO_KIND of an IFLA_LINKINFO nest, which the package hands over as bytes. */
function kindOf(linkinfo: unknown): string | undefined {
  if (!Buffer.isBuffer(linkinfo)) return undefined;
  for (let at = 0; at + 4 <= linkinfo.length; ) {
    const size = linkinfo.readUInt16LE(at);
    if (size < 4) return undefined;
    if (linkinfo.readUInt16LE(at + 2) === 1) return linkinfo.toString('latin1', at + 4, at + size).replace(/\0.*$/, '');
    at += (size + 3) & ~3;
  }
  return undefined;
}
