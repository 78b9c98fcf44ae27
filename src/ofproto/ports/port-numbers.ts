/**
 * Gives OpenFlow numbers to a switch's ports.  Source: ofproto/ofproto.c (alloc_ofp_port).
 */
import { OFPP } from '../../openflow/ofp-port.ts';
import { monotonicMs } from '../../util/clock.ts';

/** Whether a port may be asked for by number `n` (Interface.ofport_request). */
export const isRequestable = (n: number): boolean => Number.isInteger(n) && n >= 1 && n < OFPP.MAX;

/** Numbers that the switch chooses by itself stay below this: the rest is for those who ask. */
const AUTO_LIMIT = 0x8000;
/** A number is not given to another port before it was free for so long: flows may still mean the old port. */
const QUARANTINE_MS = 60 * 60 * 1000;

/**
 * Gives OpenFlow numbers to ports: the one asked for, the one that the database says the port has (another vswitchd gave it, or it was taken from
 * the datapath behind our back), or the next one that was not used for a while.
 */
export class PortNumbers {
  /** Number -> when it became free; Infinity while in use. */
  private readonly usage = new Map<number, number>();
  /** The number that was chosen last, or the highest that a vswitchd before gave: the search goes on from here. */
  private cursor = 0;

  /** Takes a number for a port that has number `before` in the database; undefined if all are in use. */
  take(requested: number | undefined, before?: number): number | undefined {
    const n = this.choose(requested, before);
    if (n !== undefined && n === before && n < AUTO_LIMIT) this.cursor = Math.max(this.cursor, n);
    if (n === undefined) return undefined;
    this.usage.set(n, Number.POSITIVE_INFINITY);
    return n;
  }

  release(n: number): void {
    this.usage.set(n, monotonicMs());
  }

  private isUsed(n: number): boolean {
    return this.usage.get(n) === Number.POSITIVE_INFINITY;
  }

  private choose(requested: number | undefined, before: number | undefined): number | undefined {
    for (const n of [requested, before]) if (n !== undefined && isRequestable(n) && !this.isUsed(n)) return n;
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
