/**
 * The multicast table of a bridge (mdb): behind which bundles members of a group have announced themselves, and behind which there are multicast
 * routers.  `xlate/forward/xlate-mcast.ts` teaches and asks it; whoever owns it calls `run` about once a second so that entries age.
 *
 * A group is known by its address as text, "224.1.1.1" or "ff05::1".  The port of an entry is opaque here (type P).
 * Source: lib/mcast-snooping.c, RFC 4541, ovs-vswitchd.conf.db(5) mcast_snooping_enable.
 */
import { monotonicMs } from '../../util/clock.ts';
import { coverage } from '../../util/coverage.ts';
import { MCAST_DEFAULT_AGING_SEC, MCAST_DEFAULT_MAX, type McastLimits } from './mcast-settings.ts';

const learnedCount = coverage('mcast_snooping_learned');
const expiredCount = coverage('mcast_snooping_expired');

const ROUTER_AGING_SEC = 180;

const nowSec = (): number => Math.floor(monotonicMs() / 1000);

interface Group<P> {
  readonly address: string;
  readonly vlan: number;
  /** When each port was last heard, the longest ago first. */
  readonly members: Map<P, number>;
}

export interface McastRouter<P> {
  readonly vlan: number;
  readonly port: P;
  seenSec: number;
}

/** A line of the table; without `address`, a router. */
export interface McastEntry<P> {
  readonly port: P;
  readonly vlan: number;
  readonly address: string | undefined;
  readonly ageSec: number;
}

const keyOf = (address: string, vlan: number): string => `${vlan} ${address}`;

export class McastSnooping<P> {
  /** Set when a look-up might now give another answer; the owner clears it when it has had flows revalidated. */
  needRevalidate = false;
  floodsUnregistered = true;
  /** Ports that get all multicast packets, and those that get all reports. */
  floodPorts: ReadonlySet<P> = new Set();
  reportPorts: ReadonlySet<P> = new Set();

  /** Least recently used first. */
  private readonly groups = new Map<string, Group<P>>();
  private readonly routerList = new Set<McastRouter<P>>();
  private agingSec = MCAST_DEFAULT_AGING_SEC;
  private maxEntries = MCAST_DEFAULT_MAX;

  configure({ agingSec, maxEntries, floodsUnregistered }: McastLimits): void {
    this.agingSec = Math.min(3600, Math.max(15, Math.trunc(agingSec)));
    this.maxEntries = Math.min(1_000_000, Math.max(10, Math.trunc(maxEntries)));
    if (this.floodsUnregistered !== floodsUnregistered) this.needRevalidate = true;
    this.floodsUnregistered = floodsUnregistered;
  }

  setPorts(flood: ReadonlySet<P>, reports: ReadonlySet<P>): void {
    if (isSame(flood, this.floodPorts) && isSame(reports, this.reportPorts)) return;
    this.floodPorts = flood;
    this.reportPorts = reports;
    this.needRevalidate = true;
  }

  /** Ports behind which there are members of a group; undefined: nothing is known of it. */
  members(address: string, vlan: number): Iterable<P> | undefined {
    return this.groups.get(keyOf(address, vlan))?.members.keys();
  }
  /** In all VLANs. */
  get routers(): Iterable<McastRouter<P>> {
    return this.routerList;
  }
  /** All lines, groups before routers. */
  entries(): McastEntry<P>[] {
    const now = nowSec();
    const groups = [...this.groups.values()].flatMap(({ address, vlan, members }) =>
      Array.from(members, ([port, seen]) => ({ port, vlan, address, ageSec: now - seen })),
    );
    const routers = Array.from(this.routerList, ({ port, vlan, seenSec }) => {
      return { port, vlan, address: undefined, ageSec: now - seenSec };
    });
    return [...groups, ...routers];
  }

  /** A member of a group was heard on `port`.  Returns whether the group is new. */
  join(address: string, vlan: number, port: P): boolean {
    // These get its packets all the same, and should get each once.
    if (this.router(vlan, port) !== undefined || this.floodPorts.has(port)) return false;
    const key = keyOf(address, vlan);
    const known = this.groups.get(key);
    if (known === undefined && this.groups.size >= this.maxEntries) this.dropOldest();
    const group = known ?? { address, vlan, members: new Map() };
    if (!group.members.delete(port)) this.needRevalidate = true;
    group.members.set(port, nowSec());
    this.groups.delete(key);
    this.groups.set(key, group);
    if (known === undefined) learnedCount.n++;
    return known === undefined;
  }

  /** A member said that it leaves.  Returns whether it was known; there are others where all reports go. */
  leave(address: string, vlan: number, port: P): boolean {
    if (this.reportPorts.has(port)) return false;
    if (this.groups.get(keyOf(address, vlan))?.members.delete(port) !== true) return false;
    this.needRevalidate = true;
    return true;
  }

  /** A router was heard on `port`.  Returns whether a look-up may now give another answer. */
  addRouter(vlan: number, port: P): boolean {
    if (this.floodPorts.has(port)) return false;
    let router = this.router(vlan, port);
    if (router === undefined) {
      router = { vlan, port, seenSec: 0 };
      learnedCount.n++;
      this.needRevalidate = true;
    }
    router.seenSec = nowSec();
    this.routerList.delete(router);
    this.routerList.add(router);
    return this.needRevalidate;
  }

  /** Forgets all groups and routers. */
  flush(): void {
    if (this.groups.size > 0 || this.routerList.size > 0) this.needRevalidate = true;
    this.groups.clear();
    this.routerList.clear();
  }

  /** Forgets what was heard on `port`. */
  flushPort(port: P): void {
    for (const [key, { members }] of this.groups) {
      if (!members.delete(port)) continue;
      this.needRevalidate = true;
      if (members.size === 0) this.groups.delete(key);
    }
    for (const router of this.routerList) {
      if (router.port !== port) continue;
      this.routerList.delete(router);
      this.needRevalidate = true;
    }
  }

  /** Expires what is too old or too many. */
  run(): void {
    const now = nowSec();
    for (const [key, group] of this.groups) {
      if (this.groups.size > this.maxEntries) this.groups.delete(key);
      // They are in order of age, so this stops at the first that stays whole.
      else if (!this.prune(key, group, now)) break;
      this.needRevalidate = true;
    }
    for (const router of this.routerList) {
      if (now < router.seenSec + ROUTER_AGING_SEC) break;
      this.routerList.delete(router);
      expiredCount.n++;
      this.needRevalidate = true;
    }
  }

  /** Whether anything of the group has expired. */
  private prune(key: string, { members }: Group<P>, now: number): boolean {
    let nExpired = 0;
    for (const [port, seen] of members) {
      if (now < seen + this.agingSec) break;
      members.delete(port);
      nExpired++;
    }
    if (members.size === 0) {
      this.groups.delete(key);
      nExpired++;
    }
    expiredCount.n += nExpired;
    return nExpired > 0;
  }

  private dropOldest(): void {
    const oldest = this.groups.keys().next().value;
    if (oldest === undefined) return;
    this.groups.delete(oldest);
    this.needRevalidate = true;
  }

  private router(vlan: number, port: P): McastRouter<P> | undefined {
    for (const r of this.routerList) if (r.vlan === vlan && r.port === port) return r;
    return undefined;
  }
}

const isSame = <P>(a: ReadonlySet<P>, b: ReadonlySet<P>): boolean => a.size === b.size && [...a].every((p) => b.has(p));
