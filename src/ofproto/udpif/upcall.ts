/**
 * Upcalls: a packet that the datapath has no flow for is translated, its megaflow is installed, and the packet is executed.
 * A batch's work goes to the datapath in one `operate`.
 *
 * Packets of one microflow in a batch are translated once: a burst that arrives before its flow is in place costs one
 * translation and one put.  `revalidator.ts` takes care of the flows from then on.
 * Source: ofproto/ofproto-dpif-upcall.c (recv_upcalls, process_upcall, handle_upcalls).
 */
import {
  DPIF_FP,
  DPIF_UC,
  type DpifFlowPut,
  type DpifOp,
  type DpifUpcall,
  type Nest,
  type Ufid,
} from '../../dpif/dpif-types.ts';
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getField, newFlowKey } from '../../flow/flow-key.ts';
import { ODP_FIT } from '../../odp/key/fitness.ts';
import { MaskNests } from '../../odp/key/mask-nests.ts';
import { odpKeyToFlow } from '../../odp/key/odp-key.ts';
import { SLOW_PATH } from '../../odp/slow-path.ts';
import { UfidMap } from '../../odp/ufid-map.ts';
import { decodeCookie } from '../../odp/user-action-cookie.ts';
import { monotonicMs } from '../../util/clock.ts';
import { coverage } from '../../util/coverage.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { packetInOf } from '../packet-in.ts';
import { executeParts, metadataNest, needsParts, onePacket } from '../xlate/commit/execute-parts.ts';
import { extractPacket } from '../xlate/packet-flow.ts';
import { frozenOf, originOf } from '../xlate/packet-origin.ts';
import { recircIds } from '../xlate/recirc.ts';
import { type XlateOut, xlateActions } from '../xlate/xlate.ts';
import { XlateCache } from '../xlate/xlate-cache.ts';
import { flowUfid } from './flow-ufid.ts';
import { logRunaway } from './runaway-log.ts';
import type { UdpifState } from './udpif-state.ts';
import { UKEY, Ukey } from './ukey.ts';

const log = vlog('ofproto_dpif_upcall');
const limit = new RateLimit(60, 5);
const limitHitCount = coverage('upcall_flow_limit_hit');

/** Why a packet came up, as far as this switch is concerned. */
export type UpcallKind = 'bad' | 'miss' | 'slow-path' | 'sflow' | 'flow-sample' | 'ipfix' | 'controller';

/** Tells what an upcall is about by its userdata. */
export function classifyUpcall(upcall: Pick<DpifUpcall, 'type' | 'userdata'>): UpcallKind {
  if (upcall.type === DPIF_UC.MISS) return 'miss';
  if (upcall.userdata === undefined) {
    log.warn('action upcall missing cookie', limit);
    return 'bad';
  }
  const cookie = decodeCookie(upcall.userdata);
  if (cookie === undefined) {
    log.warn(() => `invalid user cookie of size ${upcall.userdata?.length}`, limit);
    return 'bad';
  }
  return KIND_OF_COOKIE[cookie.type];
}

const KIND_OF_COOKIE = {
  sflow: 'sflow',
  slowPath: 'slow-path',
  flowSample: 'flow-sample',
  ipfix: 'ipfix',
  controller: 'controller',
} as const satisfies Record<string, UpcallKind>;

/** More ports than these are told apart again and again. */
const MAX_PLAIN_METADATA = 1024;

/** What the packets of one microflow share. */
interface Prepared {
  /** Empty: the packets are dropped. */
  readonly actions: Uint8Array;
  /** Key to execute them with. */
  readonly metadata: Uint8Array;
  readonly cache: XlateCache;
  readonly tcpFlags: number;
  /** Whether there may be actions that the datapath refuses. */
  readonly needsHelp: boolean;
}

/** A flow that is to be installed. */
interface Install {
  readonly op: DpifFlowPut;
  readonly ukey: Ukey;
}

export class UpcallHandling {
  private readonly state: UdpifState;
  /** While false, packets of unknown ports are not answered by a drop flow: their ports may yet be configured. */
  isSettled = true;
  private readonly flow = newFlowKey();
  /** As the datapath's key has it. */
  private readonly keyed = newFlowKey();
  private readonly masks = new MaskNests();
  /** The microflows of the batch that is being handled; undefined for those of which nothing becomes. */
  private readonly misses = new UfidMap<Prepared | null>();
  private readonly slow = new UfidMap<Prepared | null>();
  /** Of the flow before, in the same batch. */
  private lastCache: XlateCache | undefined;
  /** By datapath port. */
  private readonly plainMetadata = new Map<number, Uint8Array>();

  constructor(state: UdpifState) {
    this.state = state;
  }

  /** Handles a batch; resolves when the datapath has been told.  Never rejects. */
  async handle(upcalls: readonly DpifUpcall[]): Promise<void> {
    try {
      await this.handleBatch(upcalls);
      // For the next batch.
      await this.state.countFlows();
    } catch (e) {
      log.err(() => `handling of ${upcalls.length} upcalls failed: ${String(e)}`, limit);
    }
  }

  /** Everything up to `operate` happens before this returns: several batches may be under way. */
  private async handleBatch(upcalls: readonly DpifUpcall[]): Promise<void> {
    const ops: DpifOp[] = [];
    const installs: Install[] = [];
    this.misses.clear();
    this.slow.clear();
    this.lastCache = undefined;
    const nowMs = monotonicMs();
    for (const upcall of upcalls) {
      const kind = classifyUpcall(upcall);
      if (kind === 'controller') this.toController(upcall);
      if (kind !== 'miss' && kind !== 'slow-path') continue;
      const ufid = flowUfid(upcall.key);
      const known = kind === 'miss' ? this.misses : this.slow;
      let prepared = known.get(ufid);
      if (prepared === undefined) {
        prepared = (kind === 'miss' ? this.miss(upcall, ufid, ops, installs, nowMs) : this.slowPath(upcall)) ?? null;
        known.set(ufid, prepared);
      } else if (prepared !== null && kind === 'miss') {
        prepared.cache.push(onePacket(upcall.packet.length, prepared.tcpFlags, nowMs));
      }
      if (prepared !== null && prepared.actions.length > 0) execute(upcall, prepared, ops);
    }
    try {
      if (ops.length > 0) await this.state.dpif.operate(ops);
    } finally {
      // A dump may have met the flow meanwhile: then the revalidator has taken it over.
      for (const { op, ukey } of installs) {
        if (ukey.state === UKEY.VISIBLE) ukey.transition(op.result === 0 ? UKEY.OPERATIONAL : UKEY.EVICTED);
      }
    }
  }

  /** Translates the first packet of a flow, and has the flow installed; undefined if it cannot be told what to do. */
  private miss(
    upcall: DpifUpcall,
    ufid: Ufid,
    ops: DpifOp[],
    installs: Install[],
    nowMs: number,
  ): Prepared | undefined {
    const { state, flow } = this;
    const fit = odpKeyToFlow(upcall.key, flow);
    if (fit === ODP_FIT.ERROR) return undefined;
    const from = originOf(state.bridges, flow);
    if (typeof from === 'string') {
      if (!this.isSettled) return undefined;
      this.spare(upcall, ufid, ops, installs, nowMs);
      log.info(`received packet on unassociated datapath port ${getField(flow, FIELD.inPort)} (${from})`, limit);
      return undefined;
    }
    // What the datapath made of a damaged header may be more than is believed here.
    this.keyed.set(flow);
    extractPacket(upcall.packet, flow);
    const revalSeq = state.revalSeq;
    const ownCache = new XlateCache();
    const tcpFlags = getField(flow, FIELD.tcpFlags);
    const xout = xlateActions({
      bridge: from.bridge,
      flow,
      ofpInPort: from.ofport,
      frozen: from.frozen,
      hasSideEffects: true,
      hasPacket: true,
      packet: upcall.packet,
      packetSize: upcall.packet.length,
      stats: onePacket(upcall.packet.length, tcpFlags, nowMs),
      cache: ownCache,
    });
    const cache = ownCache.unless(this.lastCache);
    this.lastCache = cache;
    logRunaway(xout.error, state.bridges, from.bridge, flow, from.ofport);
    const reason = xout.slow | (fit === ODP_FIT.TOO_LITTLE ? SLOW_PATH.MATCH : 0);
    let isInstalled = false;
    const keyRecirc = getField(this.keyed, FIELD.recircId);
    if (this.mayInstall() && (keyRecirc === 0 || recircIds.hold(keyRecirc))) {
      const ukey = new Ukey({
        ufid,
        hasUfid: true,
        key: upcall.key,
        mask: state.areFlowsExact ? undefined : this.masks.nestOf(xout.wc, flow, state.maskSupport),
        actions: reason === 0 ? xout.actions : state.slowPathActions(from.bridge, flow, from.ofport, reason),
        revalSeq,
        createdMs: nowMs,
        // Later packets are credited by the key; a damaged one is translated by less.
        cache: isSameFlow(flow, this.keyed) ? cache : undefined,
        recircs: xout.recircs,
        keyRecirc,
      });
      isInstalled = this.install(ukey, upcall.key, ops, installs);
      if (!isInstalled && keyRecirc !== 0) recircIds.release([keyRecirc]);
    }
    // They stay known until this packet has passed.
    if (!isInstalled) recircIds.release(xout.recircs);
    const { actions } = xout;
    return { actions, metadata: this.metadataOf(upcall), cache, tcpFlags, needsHelp: needsHelp(xout) };
  }

  /** Has a flow installed, whose key is `key`; false if it is known already. */
  private install(ukey: Ukey, key: Nest, ops: DpifOp[], installs: Install[]): boolean {
    if (!this.state.ukeys.install(ukey)) return false;
    const op = ukey.putOp(DPIF_FP.CREATE, key);
    ops.push(op);
    installs.push({ op, ukey });
    this.state.adjustCount(1);
    return true;
  }

  /** A port that is being removed, or nobody's: a flow that drops spares us its remaining packets, until the next change or until none come. */
  private spare({ key }: DpifUpcall, ufid: Ufid, ops: DpifOp[], installs: Install[], nowMs: number): void {
    if (!this.mayInstall()) return;
    const { revalSeq } = this.state;
    const actions = new Uint8Array(0);
    const ukey = new Ukey({ ufid, hasUfid: true, key, mask: undefined, actions, revalSeq, createdMs: nowMs });
    this.install(ukey, key, ops, installs);
  }

  /** Translates a packet whose flow sends everything up; the flow itself counts the packets. */
  private slowPath(upcall: DpifUpcall): Prepared | undefined {
    const cookie = decodeCookie(upcall.userdata as Uint8Array);
    const bridge = cookie === undefined ? undefined : this.state.bridges.byUuid(cookie.ofprotoUuid);
    if (cookie === undefined || bridge === undefined) {
      log.info('upcall could not find ofproto', limit);
      return undefined;
    }
    if (odpKeyToFlow(upcall.key, this.flow) === ODP_FIT.ERROR) return undefined;
    const frozen = frozenOf(this.state.bridges, this.flow);
    if (frozen === 'lost') return undefined;
    extractPacket(upcall.packet, this.flow);
    const xout = xlateActions({
      bridge,
      frozen,
      flow: this.flow,
      ofpInPort: cookie.ofpInPort,
      hasSideEffects: true,
      hasPacket: true,
      packet: upcall.packet,
      packetSize: upcall.packet.length,
      stats: undefined,
      cache: undefined,
    });
    recircIds.release(xout.recircs);
    const metadata = this.metadataOf(upcall);
    return { actions: xout.actions, metadata, cache: new XlateCache(), tcpFlags: 0, needsHelp: needsHelp(xout) };
  }

  private toController(upcall: DpifUpcall): void {
    const cookie = decodeCookie(upcall.userdata as Uint8Array);
    if (cookie?.type !== 'controller' || cookie.dontSend) return;
    const bridge = this.state.bridges.byUuid(cookie.ofprotoUuid);
    const state = recircIds.find(cookie.recircId);
    if (bridge?.packetIn === undefined || state === undefined) return;
    if (odpKeyToFlow(upcall.key, this.flow) === ODP_FIT.ERROR) return;
    bridge.packetIn(packetInOf(cookie, state, upcall.packet, this.flow));
  }

  private mayInstall(): boolean {
    const { state } = this;
    if (state.isFlushing) return false;
    if (state.nFlows < state.flowLimit) return true;
    limitHitCount.n++;
    log.warn(`upcall: datapath reached the dynamic limit of ${state.flowLimit} flows.`, limit);
    return false;
  }

  /** The part of the key that the packet does not say itself. */
  private metadataOf(upcall: DpifUpcall): Uint8Array {
    const { flow, plainMetadata } = this;
    const isPlain =
      getField(flow, FIELD.ctState) === 0 &&
      getField(flow, FIELD.tunPresent) === 0 &&
      getField(flow, FIELD.skbPriority) === 0 &&
      getField(flow, FIELD.skbMark) === 0 &&
      getField(flow, FIELD.recircId) === 0 &&
      getField(flow, FIELD.dpHash) === 0;
    if (!isPlain) return metadataNest(upcall.key, flow);
    // Nearly all packets have nothing but a port, so that one copy a port serves them.
    const inPort = getField(flow, FIELD.inPort);
    let metadata = plainMetadata.get(inPort);
    if (metadata === undefined) {
      metadata = metadataNest(upcall.key, flow);
      if (plainMetadata.size > MAX_PLAIN_METADATA) plainMetadata.clear();
      plainMetadata.set(inPort, metadata);
    }
    return metadata;
  }
}

const needsHelp = (xout: XlateOut): boolean => (xout.slow & SLOW_PATH.ACTION) !== 0;

const isSameFlow = (a: FlowKey, b: FlowKey): boolean => {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};

/** Adds to `ops` what the packet of `upcall` is to go through. */
function execute(
  { packet, mru, hash }: DpifUpcall,
  { actions, metadata: key, needsHelp }: Prepared,
  ops: DpifOp[],
): void {
  if (!needsParts(actions, needsHelp)) {
    ops.push({ type: 'execute', key, packet, actions, mru, hash });
    return;
  }
  for (const part of executeParts(packet, actions, needsHelp)) {
    ops.push({ type: 'execute', key, packet: part.packet, actions: part.actions, mru, hash });
  }
}
