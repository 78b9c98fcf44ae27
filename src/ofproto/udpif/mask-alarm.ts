/**
 * Says when the datapath has come to very many masks: a look-up tries them one after the other, so that who can have rules made that differ in
 * what they look at (policies of a cloud's tenants, say) can have all packets of the host take long.
 * Source: CVE-2019-25076 ("policy injection", tuple space explosion).
 */
import { vlog } from '../../util/vlog.ts';

const log = vlog('ofproto_dpif_upcall');

/** Masks that are worth a line of log: large networks have some hundreds. */
const MANY_MASKS = 1000;
/** As few as this, and the next rise is told of again. */
const FEW_MASKS = MANY_MASKS / 2;

export class MaskAlarm {
  private readonly dpif: string;
  private isRaised = false;

  /** `dpif`: its name. */
  constructor(dpif: string) {
    this.dpif = dpif;
  }

  /** Takes what the datapath has; undefined: it does not say. */
  look(nMasks: number | undefined): void {
    if (nMasks === undefined) return;
    if (!this.isRaised && nMasks >= MANY_MASKS) {
      this.isRaised = true;
      log.warn(
        () =>
          `${this.dpif}: ${nMasks} masks in the datapath: each packet's flow is looked for under them, one after the other`,
      );
    } else if (this.isRaised && nMasks <= FEW_MASKS) {
      this.isRaised = false;
      log.info(() => `${this.dpif}: ${nMasks} masks in the datapath again`);
    }
  }
}
