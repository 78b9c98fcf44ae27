/**
 * How many connections the zones of the connection tracker may hold, as the database has it from schema 8.5.0 on (Open vSwitch 3.3).  What is
 * no longer wanted is taken back; what somebody else limits is left alone.  Neighbours: ct-zones.ts (timeouts), ../../vswitchd/config/ct-zone-config.ts.
 * Source: vswitchd/bridge.c (ct_zones_reconfigure()), vswitch.xml (CT_Zone.limit, Datapath.ct_zone_default_limit).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import type { DpifCt } from '../../dpif/dpif-ct.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';

const log = vlog('ofproto_dpif');
const rate = new RateLimit(1, 5);

/** Limits by zone, and that of the zones without one, unless it is undefined; 0 is any number. */
export interface ZoneLimits {
  readonly defaultLimit: number | undefined;
  readonly zones: ReadonlyMap<number, number>;
}

export const NO_LIMITS: ZoneLimits = { defaultLimit: undefined, zones: new Map() };

export class CtZoneLimits {
  private readonly ct: DpifCt | undefined;
  /** What was wanted last. */
  private current = NO_LIMITS;

  constructor(dpif: Dpif) {
    this.ct = dpif.ct;
  }

  /** Has the datapath limit what `wanted` says.  What it refuses is logged. */
  async set(wanted: ZoneLimits): Promise<void> {
    const before = this.current;
    this.current = wanted;
    const changed = [...wanted.zones].filter(([zone, limit]) => before.zones.get(zone) !== limit);
    const gone = [...before.zones.keys()].filter((zone) => !wanted.zones.has(zone));
    const isDefaultChanged = wanted.defaultLimit !== before.defaultLimit;
    // Without a default, zones may hold any number.
    const defaultLimit = isDefaultChanged ? (wanted.defaultLimit ?? 0) : undefined;
    try {
      if (isDefaultChanged || changed.length > 0) {
        const zones = changed.map(([zone, limit]) => ({ zone, limit }));
        await this.ct?.setLimits(defaultLimit, zones);
      }
      if (gone.length > 0) await this.ct?.delLimits(gone);
    } catch (error) {
      log.warn(`failed to set limits of conntrack zones (${(error as Error).message})`, rate);
    }
  }
}
