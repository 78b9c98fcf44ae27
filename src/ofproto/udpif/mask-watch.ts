/**
 * Watches how many masks the datapath has: a look-up tries them one after the other, so that who can have rules made that differ in
 * what they look at (policies of a cloud's tenants, say) can have all packets of the host take long.
 *
 *     masks    500      1000                   2000
 *              FEW      MANY: a line of log    FULL: new flows are exact, until there are but MANY
 *
 * Exact flows are right for their packets, and share one mask for each kind of packet.
 * Source: CVE-2019-25076 ("policy injection", tuple space explosion).
 */
import { vlog } from '../../util/vlog.ts';

const log = vlog('ofproto_dpif_upcall');

/** Masks that are worth a line of log: large networks have some hundreds. */
const MANY_MASKS = 1000;
/** As few as this, and the next rise is told of again. */
const FEW_MASKS = MANY_MASKS / 2;
/** To try so many takes our datapath some 50 us at most, as long as a round trip.  docs/performance.md, "Many masks". */
const FULL_MASKS = 2 * MANY_MASKS;

export class MaskWatch {
  private readonly dpif: string;
  private n = 0;
  private isMany = false;
  private full = false;

  /** `dpif`: its name. */
  constructor(dpif: string) {
    this.dpif = dpif;
  }

  /** What the datapath had when it was asked last. */
  get nMasks(): number {
    return this.n;
  }
  /** Whether no flow is to bring a mask of its own. */
  get isFull(): boolean {
    return this.full;
  }

  /** Takes what the datapath has; undefined: it does not say. */
  look(nMasks: number | undefined): void {
    if (nMasks === undefined) return;
    this.n = nMasks;
    if (!this.isMany && nMasks >= MANY_MASKS) {
      this.isMany = true;
      log.warn(() => `${this.has}: each packet's flow is looked for under them, one after the other`);
    } else if (this.isMany && nMasks <= FEW_MASKS) {
      this.isMany = false;
      log.info(() => `${this.has} again`);
    }
    if (!this.full && nMasks >= FULL_MASKS) {
      this.full = true;
      log.warn(() => `${this.has}: new flows match all of their packet until there are ${MANY_MASKS}`);
    } else if (this.full && nMasks <= MANY_MASKS) {
      this.full = false;
      log.info(() => `${this.has}: new flows match only what decides again`);
    }
  }

  private get has(): string {
    return `${this.dpif}: ${this.n} masks in the datapath`;
  }
}
