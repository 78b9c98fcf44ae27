/**
 * The mirrors of a bridge: which packets are sent, besides where they go, to another port or VLAN.  `xlate/forward/xlate-mirror.ts` asks it during
 * translation and credits it with packets; `vswitchd/config/mirror-config.ts` reads what there should be.
 *
 * A mirror has a number, 0 to 31, so that a set of mirrors is a bitmap (MirrorMask); each bundle has three: the mirrors that take what it receives,
 * those that take what it sends, and those that send to it.
 * Source: ofproto/ofproto-dpif-mirror.c, ovs-vswitchd.conf.db(5) Mirror.
 */
import { vlog } from '../../util/vlog.ts';
import type { Bundle } from '../ports/bundle.ts';
import type { MirrorSettings, MirrorStats } from './mirror-settings.ts';

const log = vlog('ofproto_dpif_mirror');

export const MAX_MIRRORS = 32;

/** Bit N is mirror N: an int32. */
export type MirrorMask = number;

/** A mirror as translation sees it. */
export class Mirror {
  readonly number: number;
  settings: MirrorSettings;
  /** Where it sends to, unless that is a VLAN. */
  out: Bundle | undefined;
  /** It and those that send to the same place. */
  duplicates: MirrorMask = 0;
  txPackets = 0n;
  txBytes = 0n;
  private vlans: ReadonlySet<number> | undefined;

  constructor(number: number, settings: MirrorSettings) {
    this.number = number;
    this.settings = settings;
    this.configure(settings);
  }

  configure(settings: MirrorSettings): void {
    this.settings = settings;
    this.vlans = settings.vlans.length === 0 ? undefined : new Set(settings.vlans);
  }

  get bit(): MirrorMask {
    return 1 << this.number;
  }
  /** Whether a packet's VLAN decides. */
  get selectsVlans(): boolean {
    return this.vlans !== undefined;
  }
  selectsVlan(vid: number): boolean {
    return this.vlans?.has(vid) ?? true;
  }
  /** A mirror whose port is not there does nothing. */
  get isActive(): boolean {
    return this.settings.outPort === undefined || this.out !== undefined;
  }
  sendsWhere(other: Mirror): boolean {
    const { settings } = this;
    return this.out === other.out && (this.out !== undefined || settings.outVlan === other.settings.outVlan);
  }
}

interface BundleMirrors {
  src: MirrorMask;
  dst: MirrorMask;
  out: MirrorMask;
}

/** The number of the lowest mirror of a mask that is not empty. */
export const lowestMirror = (mask: MirrorMask): number => 31 - Math.clz32(mask & -mask);

export class MirrorTable {
  private readonly mirrors: (Mirror | undefined)[] = new Array(MAX_MIRRORS).fill(undefined);
  private readonly byBundle = new Map<Bundle, BundleMirrors>();

  /** Whether any mirror does anything: all translation asks of bridges that have none. */
  isInUse = false;

  /** Has there be these mirrors, in that order, and no others.  The caller has flows revalidated. */
  configure(wanted: readonly MirrorSettings[], bundles: ReadonlyMap<string, Bundle>): void {
    const byId = new Map(wanted.map((settings) => [settings.id, settings]));
    for (const [i, m] of this.mirrors.entries()) {
      const settings = m === undefined ? undefined : byId.get(m.settings.id);
      if (settings === undefined) this.mirrors[i] = undefined;
      else m?.configure(settings);
    }
    for (const settings of byId.values()) {
      if (this.find(settings.id) !== undefined) continue;
      const number = this.mirrors.indexOf(undefined);
      if (number >= 0) this.mirrors[number] = new Mirror(number, settings);
      else log.warn(`maximum of ${MAX_MIRRORS} port mirrors reached, cannot create ${settings.name}`);
    }
    this.bundlesChanged(bundles);
  }

  /** The bridge's bundles are other ones now; by name. */
  bundlesChanged(bundles: ReadonlyMap<string, Bundle>): void {
    this.byBundle.clear();
    this.isInUse = false;
    for (const m of this.mirrors) {
      if (m === undefined) continue;
      const { outPort, srcs, dsts } = m.settings;
      m.out = outPort === undefined ? undefined : bundles.get(outPort);
      if (!m.isActive) continue;
      this.isInUse = true;
      if (m.out !== undefined) this.mirrorsOf(m.out).out |= m.bit;
      for (const bundle of present(srcs, bundles)) this.mirrorsOf(bundle).src |= m.bit;
      for (const bundle of present(dsts, bundles)) this.mirrorsOf(bundle).dst |= m.bit;
    }
    const active = this.mirrors.filter((m): m is Mirror => m?.isActive === true);
    for (const m of active) {
      m.duplicates = active.filter((o) => m.sendsWhere(o)).reduce((mask, o) => mask | o.bit, 0);
    }
  }

  /** Mirrors of what `bundle` receives. */
  src(bundle: Bundle): MirrorMask {
    return this.byBundle.get(bundle)?.src ?? 0;
  }
  /** Mirrors of what it sends. */
  dst(bundle: Bundle): MirrorMask {
    return this.byBundle.get(bundle)?.dst ?? 0;
  }
  /** Whether mirrors send to it: it takes part in nothing else. */
  isOutput(bundle: Bundle): boolean {
    return this.isInUse && (this.byBundle.get(bundle)?.out ?? 0) !== 0;
  }

  mirror(number: number): Mirror | undefined {
    return this.mirrors[number];
  }

  /** Counts packets that were sent to each of `mask`; those that are gone meanwhile are left out. */
  credit(mask: MirrorMask, nPackets: bigint, nBytes: bigint): void {
    for (let left = mask; left !== 0; left &= left - 1) {
      const m = this.mirrors[lowestMirror(left)];
      if (m === undefined) continue;
      m.txPackets += nPackets;
      m.txBytes += nBytes;
    }
  }

  /** undefined: there is no such mirror. */
  stats(id: string): MirrorStats | undefined {
    return this.find(id);
  }

  private find(id: string): Mirror | undefined {
    return this.mirrors.find((m) => m?.settings.id === id);
  }

  private mirrorsOf(bundle: Bundle): BundleMirrors {
    let of = this.byBundle.get(bundle);
    if (of === undefined) {
      of = { src: 0, dst: 0, out: 0 };
      this.byBundle.set(bundle, of);
    }
    return of;
  }
}

const present = (names: readonly string[], bundles: ReadonlyMap<string, Bundle>): Bundle[] =>
  names.flatMap((name) => bundles.get(name) ?? []);
