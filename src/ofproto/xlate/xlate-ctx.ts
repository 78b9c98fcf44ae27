/**
 * The state of one translation: a packet's flow as the actions change it, the wildcards of the megaflow that comes out,
 * and the datapath actions so far.  `xlate.ts` begins and ends one, `xlate-actions.ts` and `xlate-normal.ts` carry out actions
 * on it; sending a packet out of a port happens here.
 *
 * In a translation `flow.inPort` is the OpenFlow number of the port; outside, in keys and upcalls, the datapath's.
 * Source: ofproto/ofproto-dpif-xlate.c (struct xlate_ctx, compose_output_action, commit_odp_actions).
 */
import { FIELD, OVS_FRAG_TYPE } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, newFlow, setField } from '../../flow/flow-key.ts';
import type { OdpActionsBuilder } from '../../odp/odp-actions.ts';
import { SLOW_PATH } from '../../odp/slow-path.ts';
import { OFPP, OFPPC } from '../../openflow/ofp-port.ts';
import type { Ofpact, OfpactController, OfpactNat } from '../../openflow/ofpact.ts';
import { type DpSupport, KERNEL_DP_SUPPORT } from '../backer/dp-support.ts';
import { newXvlan, ODPP_NONE, type XPort } from '../ports/bundle.ts';
import type { Rule } from '../tables/rule.ts';
import { sendIntoTunnel } from '../tunnel/tunnel-send.ts';
import { tunnelDstOf } from '../tunnel/tunnel-table.ts';
import { commitActions, noPendingHeader, type PendingHeader } from './commit/commit-actions.ts';
import { setQueueDscp } from './forward/xlate-dscp.ts';
import { type FrozenState, thawMetadata } from './recirc.ts';
import type { XlateTrace } from './trace/xlate-trace.ts';
import type { LearnedFlow, PushStats, XBridge } from './xbridge.ts';
import { countPatch, type XlateCache } from './xlate-cache.ts';
import { XLATE_ERROR, type XlateError } from './xlate-error.ts';

export { XLATE_ERROR, type XlateError };

/** Limits of nesting. */
export const MAX_DEPTH = 64;
export const MAX_RESUBMITS = 64 * MAX_DEPTH;

/** nwFrag of later fragments in an OpenFlow switch's flow: any fragment, and a later one. */
const OF_FRAG_LATER = 3;
/** Mirror.snaplen from here on cuts nothing. */
const WHOLE_PACKET = 0xffff;
/** CS_TRACKED of ct_state. */
const CT_TRACKED = 0x20;
/** Of what no rule has. */
const NO_COOKIE = 2n ** 64n - 1n;

// Translation never waits, so that one set of buffers serves all of them.
const scratchFlow = newFlow();
const scratchBase = newFlow();
const scratchVlans = [newXvlan(), newXvlan(), newXvlan()] as const;

/** What is to be translated, and what may come of it besides actions. */
export interface XlateIn {
  readonly bridge: XBridge;
  /** As the datapath gave it: `inPort` is a datapath port. */
  readonly flow: FlowKey;
  readonly ofpInPort: number;
  /** What the packet was in the middle of when it was recirculated. */
  readonly frozen?: FrozenState | undefined;
  /** Carried out in place of the rules of table 0: a packet_out's, or the switch's own. */
  readonly ofpacts?: readonly Ofpact[] | undefined;
  /** The packet is a controller's: what goes back to one says so. */
  readonly isPacketOut?: boolean;
  /** Learn from the packet. */
  readonly hasSideEffects: boolean;
  /** A packet is at hand, not only its flow: what goes wrong with it is logged. */
  readonly hasPacket?: boolean;
  /** That packet, an Ethernet frame. */
  readonly packet?: Uint8Array | undefined;
  /** Bytes of the packet that is at hand. */
  readonly packetSize?: number;
  /** Packets to credit to the rules; undefined credits none. */
  readonly stats: PushStats | undefined;
  /** Takes note of what to credit and learn later on. */
  readonly cache: XlateCache | undefined;
  /** Told what the translation does; undefined but for `ofproto/trace`. */
  readonly trace?: XlateTrace | undefined;
}

export class XlateCtx {
  /** The bridge whose tables are looked up: another one behind a patch port. */
  bridge: XBridge;
  /** The packet as the actions have made it so far. */
  readonly flow: FlowKey;
  readonly wc: FlowMask;
  readonly out: OdpActionsBuilder;
  /** Whether the packet is real: MAC addresses are learned from it. */
  readonly hasSideEffects: boolean;
  readonly stats: PushStats | undefined;
  readonly cache: XlateCache | undefined;
  /** See `xlate-trace.ts`. */
  readonly trace: XlateTrace | undefined;

  readonly isPacketOut: boolean;
  readonly hasPacket: boolean;
  readonly packet: Uint8Array | undefined;
  /** 0 if there is no packet at hand. */
  readonly packetSize: number;
  /** Of the packet, if it is of TCP. */
  readonly tcpFlags: number;
  /** What was learned: it goes into the tables at the end. */
  readonly learns: LearnedFlow[] = [];
  /** What came out may be wrong for the next packet. */
  avoidCaching = false;

  error: XlateError = XLATE_ERROR.OK;
  depth = 0;
  /** No more actions are carried out, but those of the action set. */
  exit = false;
  /** The table whose rule is being carried out. */
  table = 0;
  /** Actions that were written for the end of the pipeline. */
  actionSet: Ofpact[] = [];
  inActionSet = false;
  /** A group's bucket is being carried out, and not what it leads to. */
  inBucket = false;
  /** What push and pop keep fields on, the lowest first. */
  stack: Uint8Array[] = [];
  resubmits = 0;
  /** The rule whose actions are being carried out. */
  rule: Rule | undefined;
  /** Of that rule, or of the one that a frozen action came from. */
  ruleCookie = NO_COOKIE;

  /** The state that this translation began with. */
  readonly frozen: FrozenState | undefined;
  /** Ids that the actions recirculate to: held once each, for whoever the actions are for. */
  readonly recircs: number[] = [];
  /** The translation is to go on later: see `xlate-freeze.ts`. */
  freezing = false;
  frozenActions: Ofpact[] = [];
  /** The controller that says when. */
  pause: OfpactController | undefined;
  /** Recirculate with this hash. */
  freezeHash: { readonly algorithm: number; readonly basis: number } | undefined;
  /** Whether connection tracking has said what it knows of the packet. */
  conntracked: boolean;
  /** Its last label was popped: what follows is not known before it is parsed. */
  wasMpls = false;
  /** Address translation of the ct action that is being carried out. */
  ctNat: OfpactNat | undefined;

  /** MirrorMask: where the packet has been sent, for `xlate-mirror.ts`. */
  mirrors = 0;
  /** Bytes that a mirror takes of the packet that is sent to it now; 0: no mirror, or all. */
  mirrorSnaplen = 0;

  /** Scratch of `xlate-normal.ts`. */
  readonly inVlan = scratchVlans[0];
  readonly vlan = scratchVlans[1];
  readonly outVlan = scratchVlans[2];

  /** SLOW_PATH bits: why userspace must see each packet. */
  slow = 0;
  /** The packet in the datapath, after the datapath actions so far. */
  readonly base: FlowKey;
  /** Where the tunnel ends that the packet came out of: an address as text; '' if there was none. */
  readonly arrivedTunnelDst: string;
  /** Priority that the packet arrived with: what pop_queue goes back to. */
  readonly arrivedPriority: number;
  /** Header that the next commit pushes or pops. */
  readonly pending: PendingHeader = noPendingHeader();

  /** `wc` and `out` are the caller's, and empty. */
  constructor(xin: XlateIn, wc: FlowMask, out: OdpActionsBuilder) {
    this.bridge = xin.bridge;
    this.flow = scratchFlow;
    this.flow.fill(0);
    this.flow.set(xin.flow);
    this.flow[FIELD.inPort.word] = xin.ofpInPort;
    setField(this.flow, FIELD.actsetOutput, OFPP.UNSET);
    if (getField(this.flow, FIELD.nwFrag) === OVS_FRAG_TYPE.LATER) setField(this.flow, FIELD.nwFrag, OF_FRAG_LATER);
    this.wc = wc;
    this.out = out;
    this.hasSideEffects = xin.hasSideEffects;
    this.stats = xin.stats;
    this.cache = xin.cache;
    this.tcpFlags = getField(xin.flow, FIELD.tcpFlags);
    this.isPacketOut = xin.isPacketOut ?? false;
    this.hasPacket = xin.hasPacket ?? false;
    this.packet = xin.packet;
    this.packetSize = xin.packetSize ?? 0;
    this.trace = xin.trace;
    this.base = scratchBase;
    this.arrivedTunnelDst = tunnelDstOf(xin.flow);
    this.arrivedPriority = xin.flow[FIELD.skbPriority.word] as number;
    this.base.set(this.flow);
    // What a packet was received with is not what it is sent with.
    this.base.fill(0, FIELD.tunId.word);
    this.frozen = xin.frozen;
    this.conntracked = (getField(this.flow, FIELD.ctState) & CT_TRACKED) !== 0;
    if (xin.frozen !== undefined) this.thaw(xin.frozen);
  }

  /** OpenFlow number of the input port, as look-ups see it. */
  get ofpInPort(): number {
    return getField(this.flow, FIELD.inPort);
  }
  /** What the datapath can do. */
  get support(): DpSupport {
    return this.bridge.support ?? KERNEL_DP_SUPPORT;
  }
  /** The input port; undefined if the packet did not come through one. */
  get inPort(): XPort | undefined {
    return this.bridge.xport(this.ofpInPort);
  }

  /** Makes the packet and its pipeline what they were. */
  private thaw(state: FrozenState): void {
    this.bridge = state.bridge;
    this.table = state.table;
    if (!state.conntracked) this.clearConntrack();
    this.conntracked = state.conntracked;
    this.mirrors = state.mirrors;
    thawMetadata(state, this.flow);
    this.stack = [...state.stack];
    this.writeActions(state.actionSet);
  }

  /** The packet is not known to connection tracking any more. */
  clearConntrack(): void {
    this.conntracked = false;
    this.flow.fill(0, FIELD.ctState.word, FIELD.mplsLse0.word);
  }

  /** Adds to the action set. */
  writeActions(actions: readonly Ofpact[]): void {
    for (const a of actions) {
      if (this.actionSet.some((b) => b.kind === 'group')) break;
      if (a.kind === 'output') setField(this.flow, FIELD.actsetOutput, a.port);
      else if (a.kind === 'group') setField(this.flow, FIELD.actsetOutput, OFPP.UNSET);
      if (a.kind === 'group') break;
    }
    this.actionSet.push(...actions);
  }
  clearActions(): void {
    this.actionSet.length = 0;
    setField(this.flow, FIELD.actsetOutput, OFPP.UNSET);
  }

  /** Credits `rule` with the packets of this translation, now and whenever the cache is replayed. */
  credit(rule: Rule): void {
    if (this.stats !== undefined) rule.credit(this.stats.nPackets, this.stats.nBytes, this.stats.usedMs);
    this.cache?.addRule(rule);
  }

  /** Port `ofport`, if there is one that sends what this packet's input port receives. */
  mayOutput(ofport: number): XPort | undefined {
    const port = this.bridge.xport(ofport);
    if (port === undefined) {
      this.trace?.warn('Nonexistent output port');
      return undefined;
    }
    if ((port.config & OFPPC.NO_FWD) !== 0) {
      this.trace?.detail('OFPPC_NO_FWD set, skipping output');
      return undefined;
    }
    if ((port.config & OFPPC.PORT_DOWN) !== 0) return undefined;
    if (this.mirrorSnaplen !== 0 && port.odpPort === ODPP_NONE) {
      this.trace?.warn('Mirror truncate to ODPP_NONE, skipping output');
      return undefined;
    }
    if (this.inPort?.bundle?.isProtected && port.bundle?.isProtected) {
      this.trace?.warn('Flow is between protected ports, skipping output.');
      return undefined;
    }
    if (getField(this.flow, FIELD.packetType) === 0 || port.peer !== undefined) return port;
    if (port.tunnel !== undefined && port.tunnel.packetType !== 'legacy_l2') return port;
    this.trace?.warn('Trying to send non-Ethernet packet through legacy L2 port. Dropping packet.');
    return undefined;
  }

  /** Sends the packet out of port `ofport` into the datapath, unless that port is missing or does not send: then gives undefined. */
  output(ofport: number): XPort | undefined {
    const port = this.mayOutput(ofport);
    // A patch port that leads nowhere sends nothing.
    if (port === undefined || port.odpPort === ODPP_NONE) return port;
    const tos = setQueueDscp(port.queueDscps, this.flow, this.wc);
    const isSent = this.commitFor(port);
    setField(this.flow, FIELD.nwTos, tos);
    if (!isSent) return undefined;
    if (this.mirrorSnaplen > 0 && this.mirrorSnaplen < WHOLE_PACKET) {
      this.out.trunc(this.mirrorSnaplen);
      if (!this.support.trunc) this.slow |= SLOW_PATH.ACTION;
    }
    this.out.output(port.odpPort);
    return port;
  }

  /** Makes the packet in the datapath what leaves by `port`.  False if it is not to be sent after all. */
  private commitFor(port: XPort): boolean {
    if (port.tunnel === undefined) {
      this.commit();
      return true;
    }
    if (!sendIntoTunnel(this, port.tunnel)) return false;
    if (this.stats !== undefined) countPatch(port.counts, undefined, this.stats);
    this.cache?.addPatch(port.counts, undefined);
    return true;
  }

  /** Makes the packet in the datapath what `flow` says, by actions. */
  commit(): void {
    this.slow |= commitActions(this.flow, this.base, this.wc, this.out, this.pending, this.support.maskedSetAction);
  }
}
