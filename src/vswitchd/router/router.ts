/**
 * The way that tunnels built in userspace would take: the kernel's routes and rules, and those that an operator added with `ovs/route/add` and
 * `ovs/route/rule/add`.  The kernel is asked each time, so that what changes there counts at once.
 * Source: lib/ovs-router.c.
 */
import { contains, type IpPrefix, isV4, maskOf } from './ip-prefix.ts';
import { bestRoute, isStandard, type Route, TABLE } from './route-table.ts';
import { allRules, anySource, freePriority, type RoutingRule, selects, userRuleAt } from './routing-rule.ts';
import type { DeviceAddress, SystemRouting } from './system-routes.ts';

/** A route as an operator describes it. */
export interface NewRoute {
  readonly table: number;
  readonly destination: IpPrefix;
  readonly mark: number;
  readonly device: string;
  readonly gateway: bigint | undefined;
  /** Undefined: that of the device which is nearest. */
  readonly source: bigint | undefined;
}

/** Routes of each table.  A table that had a route of an operator once is there for good. */
export type RouteTables = ReadonlyMap<number, readonly Route[]>;

const keyOf = (mark: number, { address, length }: IpPrefix): string => `${mark} ${address & maskOf(length)}/${length}`;

/** The address of `device` that is nearest to `destination`; undefined if none is on the same network. */
function nearest(addresses: readonly DeviceAddress[], device: string, destination: bigint): bigint | undefined {
  let best: IpPrefix | undefined;
  for (const { device: of, prefix } of addresses) {
    if (of !== device || (isV4(destination) && !isV4(prefix.address)) || !contains(prefix, destination)) continue;
    if (best === undefined || prefix.length > best.length) best = prefix;
  }
  return best?.address;
}

/** Undefined if the device has no address on the network of the destination or of the gateway, or not the one that was asked for. */
function sourceOf(addresses: readonly DeviceAddress[], route: Omit<NewRoute, 'table' | 'mark'>): bigint | undefined {
  const { device, destination, gateway, source } = route;
  const candidates = source === undefined ? addresses : addresses.filter(({ prefix }) => prefix.address === source);
  const toGateway = gateway === undefined ? undefined : nearest(candidates, device, gateway);
  return nearest(candidates, device, destination.address) ?? toGateway;
}

export class Router {
  private readonly userTables = new Map<number, Map<string, Route>>();
  private readonly userRules: RoutingRule[] = [];
  private readonly readSystem: () => Promise<SystemRouting>;

  constructor(readSystem: () => Promise<SystemRouting>) {
    this.readSystem = readSystem;
  }

  /** Resolves to false if no address of the device can be the source. */
  async add(route: NewRoute): Promise<boolean> {
    const { addresses } = await this.readSystem();
    const source = sourceOf(addresses, route);
    if (source === undefined) return false;
    const { table, mark, device, gateway, destination } = route;
    const routes = this.userTables.get(table) ?? new Map<string, Route>();
    this.userTables.set(table, routes);
    const address = destination.address & maskOf(destination.length);
    routes.set(keyOf(mark, destination), {
      table,
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
  remove(table: number, destination: IpPrefix, mark: number): boolean {
    return this.userTables.get(table)?.delete(keyOf(mark, destination)) ?? false;
  }

  /** Those that a packet may be looked up in: of the kernel's, the ones that its rules name. */
  async tables(): Promise<RouteTables> {
    return this.tablesOf(await this.readSystem());
  }

  async rules(): Promise<RoutingRule[]> {
    return allRules((await this.readSystem()).rules, this.userRules);
  }

  /** A priority of 0 is replaced by one before those of the rules that are there. */
  async addRule(rule: RoutingRule): Promise<void> {
    const rules = await this.rules();
    this.userRules.push(rule.priority === 0 ? { ...rule, priority: freePriority(rules) } : rule);
    this.userRules.sort((a, b) => a.priority - b.priority);
  }

  /** Removes the first of an operator's rules that are like `rule`, if its priority is 0 of any priority.  False if there is none. */
  removeRule(rule: RoutingRule): boolean {
    const at = userRuleAt(this.userRules, rule);
    if (at >= 0) this.userRules.splice(at, 1);
    return at >= 0;
  }

  /** The way to `address`, from `source` if that is given, which must be an address of this host then. */
  async lookup(address: bigint, mark: number, source?: bigint): Promise<Route | undefined> {
    const system = await this.readSystem();
    const tables = this.tablesOf(system);
    const isOurs = (from: bigint): boolean => bestRoute(tables.get(TABLE.local) ?? [], from, mark) !== undefined;
    if (source !== undefined && !isOurs(source)) return undefined;
    const from = source ?? anySource(address);
    let found: Route | undefined;
    for (const rule of allRules(system.rules, this.userRules)) {
      const routes = tables.get(rule.table);
      if (routes === undefined || !selects(rule, from)) continue;
      found = bestRoute(routes, address, mark);
      // The default route of IPv6 contains addresses of IPv4, too; later tables may do better.
      if (found !== undefined && isV4(found.destination.address) === isV4(address)) break;
    }
    return found;
  }

  private tablesOf({ routes, addresses, rules }: SystemRouting): RouteTables {
    const named = new Set(rules.map(({ table }) => table));
    const tables = new Map<number, Map<string, Route>>();
    for (const route of routes) {
      const { table, destination } = route;
      const source = sourceOf(addresses, { ...route, source: undefined });
      if (source === undefined || !(isStandard(table) || named.has(table))) continue;
      const known = tables.get(table) ?? new Map<string, Route>();
      tables.set(table, known);
      // Of two of the same prefix the later one stays.
      known.set(keyOf(0, destination), { ...route, source, mark: 0, isUser: false });
    }
    const ids = [...new Set([...tables.keys(), ...this.userTables.keys()])].sort((a, b) => a - b);
    const routesOf = (id: number): Route[] => [
      ...(tables.get(id)?.values() ?? []),
      ...(this.userTables.get(id)?.values() ?? []),
    ];
    return new Map(ids.map((id) => [id, routesOf(id)]));
  }
}
