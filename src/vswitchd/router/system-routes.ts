/**
 * The routes and addresses that the kernel has in this network namespace, read over rtnetlink when somebody asks.
 * Source: lib/route-table.c (route_table_parse).
 */
import { createRtNetlink } from '../../netlink/rtnetlink-package.ts';
import { type IpPrefix, ipOfBytes } from './ip-prefix.ts';

export interface SystemRoute {
  readonly destination: IpPrefix;
  readonly device: string;
  /** Undefined: the destination is on the link. */
  readonly gateway: bigint | undefined;
  /** Packets to it are for this host. */
  readonly isLocal: boolean;
}

export interface DeviceAddress {
  readonly device: string;
  readonly prefix: IpPrefix;
}

export interface SystemRouting {
  readonly routes: readonly SystemRoute[];
  readonly addresses: readonly DeviceAddress[];
}

const AF_INET = 2;
const AF_INET6 = 10;

const bitsBefore = (family: number | undefined): number => (family === AF_INET ? 96 : 0);
const wildcard = (family: number | undefined): Uint8Array => new Uint8Array(family === AF_INET ? 4 : 16);

/** Reads them.  Rejects with the Error of the netlink socket. */
export async function readSystemRouting(): Promise<SystemRouting> {
  const rtnetlink = createRtNetlink();
  try {
    const links = await rtnetlink.getLinks();
    const names = new Map(links.map(({ data, attrs }) => [data.index ?? 0, attrs.ifname ?? '']));
    const routes: SystemRoute[] = [];
    for (const { data, attrs } of await rtnetlink.getRoutes()) {
      if (data.family !== AF_INET && data.family !== AF_INET6) continue;
      const isLocal = data.type === 'LOCAL';
      const device = names.get(attrs.oif ?? 0);
      if ((data.type !== 'UNICAST' && !isLocal) || data.scope === 'NOWHERE' || device === undefined) continue;
      const address = ipOfBytes(attrs.dst ?? wildcard(data.family));
      if (address === undefined) continue;
      const destination = { address, length: bitsBefore(data.family) + (data.dstLen ?? 0) };
      const gateway = attrs.gateway === undefined ? undefined : ipOfBytes(attrs.gateway);
      routes.push({ destination, device, gateway, isLocal });
    }
    const addresses: DeviceAddress[] = [];
    for (const { data, attrs } of await rtnetlink.getAddresses()) {
      const address = ipOfBytes(attrs.local ?? attrs.address ?? new Uint8Array());
      const device = names.get(data.index ?? 0);
      if (address === undefined || device === undefined) continue;
      addresses.push({ device, prefix: { address, length: bitsBefore(data.family) + (data.prefixlen ?? 0) } });
    }
    return { routes, addresses };
  } finally {
    rtnetlink.socket.close();
  }
}
