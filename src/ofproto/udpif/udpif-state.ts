/**
 * What the two halves of userspace forwarding share: `upcall.ts` installs flows, `revalidator.ts` keeps them true.
 * `udpif.ts` puts them together.  Source: ofproto/ofproto-dpif-upcall.c (struct udpif).
 */
import { DPIF_PER_CPU_PID, type Dpif } from '../../dpif/dpif.ts';
import { dpifFullName } from '../../dpif/dpif-name.ts';
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getField } from '../../flow/flow-key.ts';
import { KERNEL_SUPPORT, type OdpSupport } from '../../odp/key/odp-key-build.ts';
import { vlanLimit } from '../../odp/key/vlan-limit.ts';
import { OdpActionsBuilder } from '../../odp/odp-actions.ts';
import { encodeCookie } from '../../odp/user-action-cookie.ts';
import { monotonicMs } from '../../util/clock.ts';
import { type DpSupport, KERNEL_DP_SUPPORT } from '../backer/dp-support.ts';
import type { BackerOptions } from '../ofproto-provider.ts';
import { meteredSlowPath } from '../xlate/actions/xlate-meter.ts';
import type { XBridge } from '../xlate/xbridge.ts';
import { MaskWatch } from './mask-watch.ts';
import type { Scheduler } from './scheduler.ts';
import { UkeyMap } from './ukey-map.ts';

/** How the bridges of a datapath are found. */
export interface BridgeLookup {
  /** The bridge, and its number for the port, that a packet came in by; undefined if nobody has that port. */
  byOdpPort(odpPort: number): { readonly bridge: XBridge; readonly ofport: number } | undefined;
  /** The same for a packet that came out of a tunnel, by its key. */
  byTunnel?(flow: FlowKey): { readonly bridge: XBridge; readonly ofport: number } | undefined;
  /** By the uuid in a cookie. */
  byUuid(uuid: Uint8Array): XBridge | undefined;
}

/** The datapath's count of flows is asked for at most this often. */
const COUNT_AGE_MS = 100;
/** The flow limit never falls below this. */
export const MIN_FLOW_LIMIT = 1000;
/** The limit begins here, and adapts up to the configured one. */
const INITIAL_FLOW_LIMIT = 10_000;

/** How all datapaths' flows are treated; for debugging. */
export const flowModes = {
  /** Flows match only what decided; else each packet that differs in anything has a flow of its own. */
  megaflows: true,
  /** Dumps of flows are terse. */
  ufid: true,
};

export class UdpifState {
  readonly dpif: Dpif;
  readonly bridges: BridgeLookup;
  readonly scheduler: Scheduler;
  readonly ukeys = new UkeyMap();
  readonly maskWatch: MaskWatch;
  options: BackerOptions;
  /** What the datapath's flows may be made of. */
  support: DpSupport = KERNEL_DP_SUPPORT;
  /** Changes whenever a translation might come out otherwise than before. */
  revalSeq = 1;
  /** Changes with every dump. */
  dumpSeq = 1;
  flowLimit: number;
  dumpDurationMs = 0;
  maxFlows = 0;
  avgFlows = 0;
  /** All flows are being deleted: no new ones are installed. */
  isFlushing = false;
  private maskSupportOf: DpSupport = KERNEL_DP_SUPPORT;
  private masks: OdpSupport = KERNEL_SUPPORT;
  private count = 0;
  private countedMs = Number.NEGATIVE_INFINITY;

  constructor(dpif: Dpif, bridges: BridgeLookup, scheduler: Scheduler, options: BackerOptions) {
    this.dpif = dpif;
    this.maskWatch = new MaskWatch(dpifFullName(dpif));
    this.bridges = bridges;
    this.scheduler = scheduler;
    this.options = options;
    this.flowLimit = Math.min(options.flowLimit, INITIAL_FLOW_LIMIT);
  }

  /** Whether dumps leave out what the UFID stands for. */
  get usesUfid(): boolean {
    return flowModes.ufid && this.support.ufid;
  }

  /** Whether new flows match all of their packet: somebody asked for it, or there are masks enough. */
  get areFlowsExact(): boolean {
    return !flowModes.megaflows || this.maskWatch.isFull;
  }

  /** What goes into masks of flows. */
  get maskSupport(): OdpSupport {
    const maxVlanHeaders = Math.min(this.support.maxVlanHeaders, vlanLimit());
    if (this.maskSupportOf !== this.support || this.masks.maxVlanHeaders !== maxVlanHeaders) {
      this.maskSupportOf = this.support;
      this.masks = { ...this.support, maxVlanHeaders };
    }
    return this.masks;
  }

  /** Flows in the datapath, as far as known. */
  get nFlows(): number {
    return this.count;
  }

  /** Asks the datapath for its count of flows, unless that was done a moment ago. */
  async countFlows(): Promise<void> {
    const now = monotonicMs();
    if (now < this.countedMs + COUNT_AGE_MS) return;
    this.countedMs = now;
    const { nFlows, nMasks } = await this.dpif.stats();
    this.count = Number(nFlows);
    this.maskWatch.look(nMasks);
  }

  /** Notes one flow more or less, until the datapath is asked again. */
  adjustCount(by: number): void {
    this.count = Math.max(0, this.count + by);
  }

  /** Actions of a flow each of whose packets userspace must see: send them up, saying why. */
  slowPathActions(bridge: XBridge, flow: FlowKey, ofpInPort: number, reason: number): Uint8Array {
    const pid = this.dpif.upcallPid?.(getField(flow, FIELD.inPort)) ?? DPIF_PER_CPU_PID;
    const userdata = encodeCookie({ type: 'slowPath', ofpInPort, ofprotoUuid: bridge.uuid, reason });
    const actions = new OdpActionsBuilder();
    meteredSlowPath(bridge, actions, () => actions.userspace(pid, { userdata }));
    return actions.finish();
  }
}
