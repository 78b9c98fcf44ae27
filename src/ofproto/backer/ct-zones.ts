/**
 * The zones of the connection tracker that have timeout policies of their own: which policy of the datapath a zone's
 * connections get.  Zones with the same times share a policy.  One that no zone has any more is deleted when no flow uses it.
 * Source: ofproto/ofproto-dpif.c (ct_set_zone_timeout_policy(), ct_zone_timeout_policy_sweep()).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import type { DpifCtTimeouts } from '../../dpif/dpif-ct.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';

const log = vlog('ofproto_dpif');
const limit = new RateLimit(1, 5);

/** How often to look whether policies that nobody wants are free. */
const SWEEP_MS = 60_000;

/** Seconds by name, as CT_Timeout_Policy.timeouts. */
export type ZoneTimeouts = ReadonlyMap<string, number>;

interface Policy {
  readonly id: number;
  readonly key: string;
}

/** The same text for the same times. */
const keyOf = (times: ZoneTimeouts): string =>
  [...times]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, seconds]) => `${name}=${seconds}`)
    .join();

export class CtZones {
  private readonly timeouts: DpifCtTimeouts | undefined;
  /** The wanted zones; what of them is in the datapath. */
  private readonly zones = new Map<number, Policy>();
  private readonly policies = new Map<string, Policy>();
  /** Ids of policies that are to go. */
  private readonly doomed = new Set<number>();
  private nextSweepMs = 0;
  private nextId = 1;

  constructor(dpif: Dpif) {
    this.timeouts = dpif.ct?.timeouts;
  }

  /** Dooms the policies of an earlier run; their ids are not used until they are gone. */
  async start(): Promise<void> {
    if (this.timeouts === undefined) return;
    try {
      for (const id of await this.timeouts.dump()) this.doomed.add(id);
    } catch (error) {
      log.dbg(`no timeout policies can be listed: ${(error as Error).message}`);
    }
  }

  /** Makes the zones and their times those of `wanted`.  Resolves to whether any zone has another policy than before. */
  async set(wanted: ReadonlyMap<number, ZoneTimeouts>): Promise<boolean> {
    let isChanged = false;
    for (const [zone, times] of wanted) {
      const policy = await this.policy(times);
      if (this.zones.get(zone) === policy) continue;
      this.zones.set(zone, policy);
      isChanged = true;
    }
    for (const zone of this.zones.keys()) {
      if (wanted.has(zone)) continue;
      this.zones.delete(zone);
      isChanged = true;
    }
    const used = new Set(this.zones.values());
    for (const policy of this.policies.values()) {
      if (used.has(policy)) continue;
      this.policies.delete(policy.key);
      this.doomed.add(policy.id);
    }
    return isChanged;
  }

  /** Deletes doomed policies that no flow uses any more, if it is time to look; `nowMs` is the time. */
  async sweep(nowMs: number): Promise<void> {
    if (this.doomed.size === 0 || nowMs < this.nextSweepMs || this.timeouts === undefined) return;
    this.nextSweepMs = nowMs + SWEEP_MS;
    for (const id of this.doomed) {
      try {
        await this.timeouts.del(id);
        this.doomed.delete(id);
      } catch (error) {
        log.info(`timeout policy ${id} stays for now (${(error as Error).message})`, limit);
      }
    }
  }

  /** What a flow of `zone` asks for; undefined: nothing.  Called by translation. */
  policyName(zone: number, isIpv4: boolean, proto: number): string | undefined {
    const policy = this.zones.get(zone);
    return policy === undefined ? undefined : this.timeouts?.nameOf(policy.id, isIpv4, proto);
  }

  private async policy(times: ZoneTimeouts): Promise<Policy> {
    const key = keyOf(times);
    const old = this.policies.get(key);
    if (old !== undefined) return old;
    while (this.doomed.has(this.nextId)) this.nextId++;
    const policy = { id: this.nextId++, key };
    this.policies.set(key, policy);
    try {
      await this.timeouts?.set(policy.id, times);
    } catch (error) {
      log.err(`failed to set timeout policy ${policy.id} (${(error as Error).message})`, limit);
    }
    return policy;
  }
}
