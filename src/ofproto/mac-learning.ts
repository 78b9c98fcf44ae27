/**
 * The MAC learning table of a bridge: which bundle an Ethernet address of a VLAN was last seen on.  `xlate-normal.ts` teaches
 * and asks it; whoever owns it calls `run` about once a second so that entries age.
 *
 * The port of an entry is opaque here (type P).  An overfull table gives up the oldest entry of the port that has the
 * most, so that one port cannot push out the others' addresses.
 * Source: lib/mac-learning.c, ovs-vswitchd.conf.db(5) mac-aging-time, mac-table-size.
 */
import { monotonicMs } from '../util/clock.ts';
import { coverage } from '../util/coverage.ts';
import { MaxHeap } from '../util/max-heap.ts';

const learnedCount = coverage('mac_learning_learned');
const expiredCount = coverage('mac_learning_expired');
const evictedCount = coverage('mac_learning_evicted');
const movedCount = coverage('mac_learning_moved');
const staticKeptCount = coverage('mac_learning_static_none_move');

export const MAC_DEFAULT_MAX = 8192;
export const MAC_DEFAULT_AGING_SEC = 300;
/** How long an address that announced itself on one port is not believed to be behind a bond that sends the announcement back. */
const GRATUITOUS_ARP_LOCK_SEC = 5;

/** Ages and expiry count in whole seconds, as the stock tools show them. */
const nowSec = (): number => Math.floor(monotonicMs() / 1000);

export interface MacEntry<P> {
  /** 48-bit address as a number. */
  readonly mac: number;
  readonly vlan: number;
  port: P;
  /** Never ages, never moves. */
  isStatic: boolean;
  /** When it was last seen. */
  seenSec: number;
  /** Until when gratuitous ARP from bonds does not move it. */
  lockedSec: number;
}

/** What a table has been through; `nStatic` and `nEntries` are of now. */
export interface MacStats {
  readonly nEntries: number;
  readonly maxEntries: number;
  readonly nStatic: number;
  readonly learned: number;
  readonly expired: number;
  readonly evicted: number;
  readonly moved: number;
}

/** How an address was seen. */
export interface SeenHow {
  /** By an ARP packet that announces its sender. */
  readonly isGratuitousArp: boolean;
  /** Behind several links, which may bring back what went out by another. */
  readonly isBond: boolean;
}
const PLAINLY: SeenHow = { isGratuitousArp: false, isBond: false };

const isMulticast = (mac: number): boolean => (Math.floor(mac / 2 ** 40) & 1) !== 0;

const NO_TOTALS = () => ({ learned: 0, expired: 0, evicted: 0, moved: 0 });

export class MacTable<P> {
  /** Set when a look-up might now give another answer; the owner clears it when it has had flows revalidated. */
  needRevalidate = false;

  private readonly byVlan = new Map<number, Map<number, MacEntry<P>>>();
  /** All entries, least recently seen first. */
  private readonly lru = new Set<MacEntry<P>>();
  /** Least recently seen first. */
  private readonly byPort = new Map<P, Set<MacEntry<P>>>();
  /** Ports by number of entries. */
  private readonly byUsage = new MaxHeap<P>();
  private nStatic = 0;
  private totals = NO_TOTALS();
  private agingSec = MAC_DEFAULT_AGING_SEC;
  private maxEntries = MAC_DEFAULT_MAX;
  private floodVlans: ReadonlySet<number> = new Set();

  get size(): number {
    return this.lru.size;
  }

  get stats(): MacStats {
    return { nEntries: this.lru.size, maxEntries: this.maxEntries, nStatic: this.nStatic, ...this.totals };
  }
  clearStats(): void {
    this.totals = NO_TOTALS();
  }

  /** Entries, least recently seen first. */
  entries(): IterableIterator<MacEntry<P>> {
    return this.lru.values();
  }

  /** Seconds since the entry was last seen; -1 if it is static. */
  age(e: MacEntry<P>): number {
    return e.isStatic ? -1 : nowSec() - e.seenSec;
  }

  /** Sets aging time (15 to 3600 s) and size (10 to 1,000,000 entries); values outside are brought inside. */
  configure(agingSec: number, maxEntries: number): void {
    this.agingSec = Math.min(3600, Math.max(15, Math.trunc(agingSec)));
    this.maxEntries = Math.min(1_000_000, Math.max(10, Math.trunc(maxEntries)));
  }

  /** VLANs on which nothing is learned.  Returns whether that changed anything; then all that was learned is forgotten. */
  setFloodVlans(vlans: readonly number[]): boolean {
    const next = new Set(vlans);
    if (next.size === this.floodVlans.size && vlans.every((v) => this.floodVlans.has(v))) return false;
    this.floodVlans = next;
    this.flush();
    this.needRevalidate = true;
    return true;
  }

  /** The entry for destination `mac`; undefined for multicast addresses, flooded VLANs and unknown ones. */
  lookup(mac: number, vlan: number): MacEntry<P> | undefined {
    if (isMulticast(mac) || this.floodVlans.has(vlan)) return undefined;
    return this.byVlan.get(vlan)?.get(mac);
  }

  /** Notes that a frame from `mac` came in on `port`.  Returns whether a look-up would now give another answer. */
  update(mac: number, vlan: number, port: P, how: SeenHow = PLAINLY): boolean {
    if (isMulticast(mac) || this.floodVlans.has(vlan)) return false;
    const now = nowSec();
    const e = this.byVlan.get(vlan)?.get(mac);
    if (e === undefined) {
      this.insert(mac, vlan, port, { isStatic: false, lockedSec: locks(how) ? now + GRATUITOUS_ARP_LOCK_SEC : 0 });
      learnedCount.n++;
      this.totals.learned++;
      return true;
    }
    if (e.isStatic) {
      if (e.port !== port) staticKeptCount.n++;
      return false;
    }
    if (locks(how)) e.lockedSec = now + GRATUITOUS_ARP_LOCK_SEC;
    if (e.port === port && e.seenSec === now) return false;
    e.seenSec = now;
    this.touch(e);
    if (e.port === port || (how.isGratuitousArp && how.isBond && now < e.lockedSec)) return false;
    movedCount.n++;
    this.totals.moved++;
    this.move(e, port);
    return true;
  }

  /** Adds an entry that neither ages nor moves, or makes the one that there is such a one. */
  addStatic(mac: number, vlan: number, port: P): void {
    const e = this.byVlan.get(vlan)?.get(mac);
    if (e === undefined) {
      this.insert(mac, vlan, port, { isStatic: true, lockedSec: 0 });
      return;
    }
    if (!e.isStatic) this.nStatic++;
    e.isStatic = true;
    this.touch(e);
    if (e.port !== port) this.move(e, port);
  }

  /** Removes the static entry; false if there is none. */
  delStatic(mac: number, vlan: number): boolean {
    const e = this.byVlan.get(vlan)?.get(mac);
    if (e === undefined || !e.isStatic) return false;
    this.expire(e);
    return true;
  }

  /** Forgets all that was learned; static entries stay. */
  flush(): void {
    for (const e of [...this.lru]) if (!e.isStatic) this.expire(e);
  }

  /** Forgets all entries of `port`, static ones too, and returns them. */
  flushPort(port: P): MacEntry<P>[] {
    const entries = [...(this.byPort.get(port) ?? [])];
    for (const e of entries) this.expire(e);
    return entries;
  }

  /** Forgets where `mac` is in `vlan`. */
  forget(mac: number, vlan: number): void {
    const e = this.byVlan.get(vlan)?.get(mac);
    if (e !== undefined) this.expire(e);
  }

  /** Expires what is too old or too many; the entries are in order of age, so this stops at the first that stays. */
  run(): void {
    const now = nowSec();
    for (const e of this.lru) {
      if (e.isStatic) continue;
      if (this.lru.size <= this.maxEntries && now < e.seenSec + this.agingSec) break;
      expiredCount.n++;
      this.totals.expired++;
      this.expire(e);
    }
  }

  private insert(mac: number, vlan: number, port: P, how: Pick<MacEntry<P>, 'isStatic' | 'lockedSec'>): void {
    if (this.lru.size >= this.maxEntries) this.evictFairly();
    const e: MacEntry<P> = { mac, vlan, port, seenSec: nowSec(), ...how };
    let inVlan = this.byVlan.get(vlan);
    if (inVlan === undefined) {
      inVlan = new Map();
      this.byVlan.set(vlan, inVlan);
    }
    inVlan.set(mac, e);
    this.lru.add(e);
    if (e.isStatic) this.nStatic++;
    this.joinPort(e, port);
  }

  private joinPort(e: MacEntry<P>, port: P): void {
    e.port = port;
    let of = this.byPort.get(port);
    if (of === undefined) {
      of = new Set();
      this.byPort.set(port, of);
    }
    of.add(e);
    this.byUsage.set(port, of.size);
    this.needRevalidate = true;
  }

  private touch(e: MacEntry<P>): void {
    this.lru.delete(e);
    this.lru.add(e);
    const of = this.byPort.get(e.port);
    of?.delete(e);
    of?.add(e);
  }

  private leavePort(e: MacEntry<P>): void {
    const of = this.byPort.get(e.port);
    if (of === undefined) return;
    of.delete(e);
    if (of.size > 0) this.byUsage.set(e.port, of.size);
    else {
      this.byPort.delete(e.port);
      this.byUsage.delete(e.port);
    }
  }

  private move(e: MacEntry<P>, port: P): void {
    this.leavePort(e);
    this.joinPort(e, port);
  }

  private expire(e: MacEntry<P>): void {
    this.leavePort(e);
    this.lru.delete(e);
    if (e.isStatic) this.nStatic--;
    const vlan = this.byVlan.get(e.vlan);
    vlan?.delete(e.mac);
    if (vlan?.size === 0) this.byVlan.delete(e.vlan);
    this.needRevalidate = true;
  }

  private evictFairly(): void {
    const { max } = this.byUsage;
    const oldest = max === undefined ? undefined : this.byPort.get(max)?.values().next().value;
    if (oldest === undefined) return;
    evictedCount.n++;
    this.totals.evicted++;
    this.expire(oldest);
  }
}

/** Whether that keeps bonds from moving the address for a while. */
const locks = ({ isGratuitousArp, isBond }: SeenHow): boolean => isGratuitousArp && !isBond;

/** "aa:bb:cc:dd:ee:ff" of a 48-bit number. */
export const formatMac = (mac: number): string => (mac.toString(16).padStart(12, '0').match(/../g) ?? []).join(':');
