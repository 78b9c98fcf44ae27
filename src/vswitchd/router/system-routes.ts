/**
 * The routes, rules and addresses that the kernel has in this network namespace, read over rtnetlink when somebody asks.
 * Source: lib/route-table.c (route_table_parse, rule_parse), <linux/fib_rules.h>.
 */
import type { rt } from '../../netlink/rtnetlink-package.ts';
import { createRtNetlink } from '../../netlink/rtnetlink-package.ts';
import { type IpPrefix, ipOfBytes, V4_BITS } from './ip-prefix.ts';
import type { RoutingRule } from './routing-rule.ts';

export interface SystemRoute {
  readonly table: number;
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
  readonly rules: readonly RoutingRule[];
  readonly addresses: readonly DeviceAddress[];
}

const AF_INET = 2;
const AF_INET6 = 10;

/** What a rule may have; the selectors that are not among them are not known here. */
const RULE_ATTRS: ReadonlySet<string> = new Set(['dst', 'src', 'priority', 'suppressPrefixlen', 'table', 'protocol']);

const isIp = (family: number | undefined): boolean => family === AF_INET || family === AF_INET6;
const bitsBefore = (family: number | undefined): number => (family === AF_INET ? V4_BITS : 0);
const wildcard = (family: number | undefined): Uint8Array => new Uint8Array(family === AF_INET ? 4 : 16);

/** Undefined for a route that is neither to a neighbour nor to this host. */
function routeOf({ data, attrs }: rt.RouteMessage, names: ReadonlyMap<number, string>): SystemRoute | undefined {
  const isLocal = data.type === 'LOCAL';
  const device = names.get(attrs.oif ?? 0);
  if (!isIp(data.family) || (data.type !== 'UNICAST' && !isLocal) || data.scope === 'NOWHERE') return undefined;
  const address = ipOfBytes(attrs.dst ?? wildcard(data.family));
  if (address === undefined || device === undefined) return undefined;
  const destination = { address, length: bitsBefore(data.family) + (data.dstLen ?? 0) };
  const gateway = attrs.gateway === undefined ? undefined : ipOfBytes(attrs.gateway);
  return { table: attrs.table ?? data.table ?? 0, destination, device, gateway, isLocal };
}

/** Undefined for a rule that looks at more than the source address, or does not name a table. */
export function ruleOf({ data, attrs }: rt.RuleMessage): RoutingRule | undefined {
  const { family, action, tos = 0, dstLen = 0, srcLen = 0, flags } = data;
  if (!isIp(family) || action !== 'toTbl' || tos !== 0 || dstLen !== 0 || attrs.table === undefined) return undefined;
  if (!Object.keys(attrs).every((name) => RULE_ATTRS.has(name))) return undefined;
  const isInverted = flags?.invert ?? false;
  const address = ipOfBytes(attrs.src ?? wildcard(family));
  if (address === undefined || (isInverted && srcLen === 0)) return undefined;
  const from = srcLen === 0 ? undefined : { address, length: bitsBefore(family) + srcLen };
  const priority = attrs.priority ?? 0;
  return { priority, isInverted, isV4: family === AF_INET, from, table: attrs.table, isUser: false };
}

function addressOf({ data, attrs }: rt.AddressMessage, names: ReadonlyMap<number, string>): DeviceAddress | undefined {
  const address = ipOfBytes(attrs.local ?? attrs.address ?? new Uint8Array());
  const device = names.get(data.index ?? 0);
  if (address === undefined || device === undefined) return undefined;
  return { device, prefix: { address, length: bitsBefore(data.family) + (data.prefixlen ?? 0) } };
}

const known = <T>(item: T | undefined): item is T => item !== undefined;

/** A kernel without rules (CONFIG_FIB_RULES) says so; the package has the errno in its text only. */
function noRules(error: Error): [] {
  if (/NOTSUP/.test(error.message)) return [];
  throw error;
}

/** Reads them.  Rejects with the Error of the netlink socket. */
export async function readSystemRouting(): Promise<SystemRouting> {
  const rtnetlink = createRtNetlink();
  try {
    const links = await rtnetlink.getLinks();
    const names = new Map(links.map(({ data, attrs }) => [data.index ?? 0, attrs.ifname ?? '']));
    const routes = await rtnetlink.getRoutes();
    const rules = await rtnetlink.getRules().catch(noRules);
    const addresses = await rtnetlink.getAddresses();
    return {
      routes: routes.map((message) => routeOf(message, names)).filter(known),
      rules: rules.map(ruleOf).filter(known),
      addresses: addresses.map((message) => addressOf(message, names)).filter(known),
    };
  } finally {
    rtnetlink.socket.close();
  }
}
