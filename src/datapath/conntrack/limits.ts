/**
 * How many connections each conntrack zone may hold: what the ovs_ct_limit family sets.  Only connections that were
 * committed while their zone had a limit are counted, as the kernel does.
 * Source: net/openvswitch/conntrack.c (ovs_ct_check_limit), net/netfilter/nf_conncount.c.
 */

/** Limit of a zone that has none. */
export const UNLIMITED = 0;

export class ZoneLimits {
  defaultLimit: number = UNLIMITED;
  private readonly limits = new Map<number, number>();
  private readonly counts = new Map<number, number>();
  /** Whether any limit was ever set: until then nothing is looked up. */
  isActive = false;

  set(zone: number, limit: number): void {
    this.limits.set(zone, limit);
    this.isActive = true;
  }
  setDefault(limit: number): void {
    this.defaultLimit = limit;
    this.isActive = true;
  }
  delete(zone: number): void {
    this.limits.delete(zone);
  }
  limitOf(zone: number): number {
    return this.limits.get(zone) ?? this.defaultLimit;
  }
  countOf(zone: number): number {
    return this.counts.get(zone) ?? 0;
  }
  /** Zones with a limit of their own, in the order in which the kernel lists them: by the low 9 bits, the newest first. */
  zones(): number[] {
    const newestFirst = [...this.limits.keys()].reverse();
    return newestFirst.sort((a, b) => (a & 511) - (b & 511));
  }

  /** Counts one more connection in `zone`.  False if there is no room, and nothing is counted. */
  enter(zone: number): boolean {
    const count = this.countOf(zone);
    if (count + 1 > this.limitOf(zone)) return false;
    this.counts.set(zone, count + 1);
    return true;
  }
  leave(zone: number): void {
    const count = this.countOf(zone) - 1;
    if (count > 0) this.counts.set(zone, count);
    else this.counts.delete(zone);
  }
}
