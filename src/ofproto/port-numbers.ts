/**
 * Gives OpenFlow numbers to a switch's ports.  Source: ofproto/ofproto.c (alloc_ofp_port).
 */
import { OFPP } from '../openflow/ofp-port.ts';
import { monotonicMs } from '../util/clock.ts';

/** Whether a port may be asked for by number `n` (Interface.ofport_request). */
export const isRequestable = (n: number): boolean => Number.isInteger(n) && n >= 1 && n < OFPP.MAX;

/** Numbers that the switch chooses by itself stay below this: the rest is for those who ask. */
const AUTO_LIMIT = 0x8000;
/** A number is not given to another port before it was free for so long: flows may still mean the old port. */
const QUARANTINE_MS = 60 * 60 * 1000;

/**
 * Gives OpenFlow numbers to ports: the one asked for, the one that a port of that name had before (it vanished, or another vswitchd gave it), or
 * the next one that was not used for a while.
 */
export class PortNumbers {
  /** Number -> when it became free; Infinity while in use. */
  private readonly usage = new Map<number, number>();
  private readonly lastOf = new Map<string, number>();
  /** The number that was chosen last, or the highest that a vswitchd before gave: the search goes on from here. */
  private cursor = 0;

  /** Takes a number for port `name`, which had number `before` with another vswitchd; undefined if all are in use. */
  take(name: string, requested: number | undefined, before?: number): number | undefined {
    const n = this.choose(name, requested, before);
    if (n !== undefined && n === before && n < AUTO_LIMIT) this.cursor = Math.max(this.cursor, n);
    if (n === undefined) return undefined;
    this.usage.set(n, Number.POSITIVE_INFINITY);
    this.lastOf.set(name, n);
    return n;
  }

  release(n: number): void {
    this.usage.set(n, monotonicMs());
  }

  /** Port `name` does not come back: the next one of that name is another. */
  forget(name: string): void {
    this.lastOf.delete(name);
  }

  private isUsed(n: number): boolean {
    return this.usage.get(n) === Number.POSITIVE_INFINITY;
  }

  private choose(name: string, requested: number | undefined, before: number | undefined): number | undefined {
    for (const n of [requested, before]) if (n !== undefined && isRequestable(n) && !this.isUsed(n)) return n;
    const last = this.lastOf.get(name);
    if (last !== undefined && !this.isUsed(last)) return last;
    const now = monotonicMs();
    let oldest: number | undefined;
    let oldestAt = Number.POSITIVE_INFINITY;
    for (let i = 1; i < AUTO_LIMIT; i++) {
      const n = ((this.cursor + i - 1) % (AUTO_LIMIT - 1)) + 1;
      const freed = this.usage.get(n);
      if (freed === undefined || freed < now - QUARANTINE_MS) {
        this.cursor = n;
        return n;
      }
      if (freed < oldestAt) {
        oldest = n;
        oldestAt = freed;
      }
    }
    return oldest;
  }
}
