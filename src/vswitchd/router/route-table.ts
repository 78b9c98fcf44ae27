/**
 * A routing table: which of its routes a packet takes, and its text.  The tables together are in router.ts.
 * Source: lib/ovs-router.c.
 */
import type { Json } from '../../util/json-stream.ts';
import { contains, formatIp, formatPrefix, type IpPrefix, shownLength } from './ip-prefix.ts';

/** Numbers of tables that every host has (enum rt_class_t of <linux/rtnetlink.h>). */
export const TABLE = { default: 253, main: 254, local: 255 } as const;

export interface Route {
  readonly table: number;
  readonly destination: IpPrefix;
  readonly mark: number;
  readonly device: string;
  readonly gateway: bigint | undefined;
  /** The address to send from. */
  readonly source: bigint;
  readonly isLocal: boolean;
  /** Whether an operator added it. */
  readonly isUser: boolean;
}

/** What is added to the prefix length of an operator's routes, for the order of precedence. */
const USER_BONUS = 32;

const precedence = ({ destination, isUser }: Route): number => destination.length + (isUser ? USER_BONUS : 0);

export const isStandard = (table: number): boolean =>
  table === TABLE.local || table === TABLE.main || table === TABLE.default;

/** The route of one table that packets with `mark` take to `address`. */
export function bestRoute(routes: readonly Route[], address: bigint, mark: number): Route | undefined {
  let best: Route | undefined;
  for (const route of routes) {
    if (route.mark !== mark || !contains(route.destination, address)) continue;
    if (best === undefined || precedence(route) > precedence(best)) best = route;
  }
  return best;
}

/** As a listing has them: those of one length together, the length first whose best route wins. */
export function inOrder(routes: readonly Route[]): Route[] {
  const peaks = new Map<number, number>();
  for (const route of routes) {
    const { length } = route.destination;
    peaks.set(length, Math.max(peaks.get(length) ?? 0, precedence(route)));
  }
  const peakOf = ({ destination }: Route): number => peaks.get(destination.length) ?? 0;
  return [...routes].sort((a, b) => peakOf(b) - peakOf(a) || b.destination.length - a.destination.length);
}

/** A line of `ovs/route/show`. */
export function formatRoute(route: Route): string {
  const mark = route.mark === 0 ? '' : ` MARK ${route.mark}`;
  const gateway = route.gateway === undefined ? '' : ` GW ${formatIp(route.gateway)}`;
  const local = route.isLocal ? ' local' : '';
  const origin = route.isUser ? 'User' : 'Cached';
  const source = formatIp(route.source);
  return `${origin}: ${formatPrefix(route.destination)}${mark} dev ${route.device}${gateway} SRC ${source}${local}`;
}

export function routeJson(route: Route): Json {
  const { table, destination, mark, device, gateway, source, isLocal, isUser } = route;
  return {
    table,
    user: isUser,
    local: isLocal,
    dst: formatIp(destination.address),
    prefix: shownLength(destination),
    prefsrc: formatIp(source),
    ...(mark === 0 ? {} : { mark }),
    nexthops: [{ dev: device, ...(gateway === undefined ? {} : { gateway: formatIp(gateway) }) }],
  };
}
