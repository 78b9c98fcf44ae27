/**
 * The table by which tunnels that are built in userspace find their way: the kernel's routes, and those that an operator added with
 * `ovs/route/add`, which win over routes of the same prefix but not over the host's own addresses.
 * Source: lib/ovs-router.c.
 */
import { contains, formatIp, formatPrefix, type IpPrefix, isV4, maskOf } from './ip-prefix.ts';
import type { DeviceAddress, SystemRouting } from './system-routes.ts';

export interface Route {
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

/** What is added to the prefix length for the order of precedence. */
const USER_BONUS = 32;
const LOCAL_BONUS = 64;

const precedence = (route: Route): number =>
  route.destination.length + (route.isLocal ? LOCAL_BONUS : route.isUser ? USER_BONUS : 0);

const keyOf = (mark: number, { address, length }: IpPrefix): string => `${mark} ${address & maskOf(length)}/${length}`;

/** The address of `device` that is nearest to `destination`; undefined if none is on the same network. */
function sourceFor(addresses: readonly DeviceAddress[], device: string, destination: bigint): bigint | undefined {
  let best: IpPrefix | undefined;
  for (const { device: of, prefix } of addresses) {
    if (of !== device || (isV4(destination) && !isV4(prefix.address)) || !contains(prefix, destination)) continue;
    if (best === undefined || prefix.length > best.length) best = prefix;
  }
  return best?.address;
}

export class RouteTable {
  private readonly user = new Map<string, Route>();
  private readonly readSystem: () => Promise<SystemRouting>;

  constructor(readSystem: () => Promise<SystemRouting>) {
    this.readSystem = readSystem;
  }

  /** Resolves to false if no address of `device` can be the source. */
  async add(destination: IpPrefix, device: string, gateway: bigint | undefined, mark: number): Promise<boolean> {
    const { addresses } = await this.readSystem();
    const source =
      sourceFor(addresses, device, destination.address) ??
      (gateway === undefined ? undefined : sourceFor(addresses, device, gateway));
    if (source === undefined) return false;
    const address = destination.address & maskOf(destination.length);
    this.user.set(keyOf(mark, destination), {
      destination: { address, length: destination.length },
      mark,
      device,
      gateway,
      source,
      isLocal: false,
      isUser: true,
    });
    return true;
  }

  /** False if there is no such route that an operator added. */
  remove(destination: IpPrefix, mark: number): boolean {
    return this.user.delete(keyOf(mark, destination));
  }

  /** All routes, those that win first. */
  async routes(): Promise<Route[]> {
    const { routes, addresses } = await this.readSystem();
    const all = new Map<string, Route>();
    for (const { destination, device, gateway, isLocal } of routes) {
      const source =
        sourceFor(addresses, device, destination.address) ??
        (gateway === undefined ? undefined : sourceFor(addresses, device, gateway));
      if (source === undefined) continue;
      const route = { destination, mark: 0, device, gateway, source, isLocal, isUser: false };
      // Of two of the same prefix and kind the later one stays.
      all.set(`${keyOf(0, destination)} ${isLocal}`, route);
    }
    const compare = (a: Route, b: Route) =>
      precedence(b) - precedence(a) || (a.destination.address < b.destination.address ? -1 : 1);
    return [...all.values(), ...this.user.values()].sort(compare);
  }

  async lookup(address: bigint, mark: number): Promise<Route | undefined> {
    return (await this.routes()).find((route) => route.mark === mark && contains(route.destination, address));
  }
}

/** A line of `ovs/route/show`. */
export function formatRoute(route: Route): string {
  const mark = route.mark === 0 ? '' : ` MARK ${route.mark}`;
  const gateway = route.gateway === undefined ? '' : ` GW ${formatIp(route.gateway)}`;
  const local = route.isLocal ? ' local' : '';
  const origin = route.isUser ? 'User' : 'Cached';
  const source = formatIp(route.source);
  return `${origin}: ${formatPrefix(route.destination)}${mark} dev ${route.device}${gateway} SRC ${source}${local}\n`;
}
