/**
 * `ofproto/trace`: follows a packet, or a packet's flow, through the tables, and shows what it meets and what comes of it; again for each time
 * that it would come back to the datapath from recirculation.
 *
 * With a packet, addresses are learned from it, and it goes to the controllers that actions send it to; out of no port.
 * `xlate-trace.ts` takes down what translation reports.  Source: ofproto/ofproto-dpif-trace.c, ovs-vswitchd(8).
 */
import { setImmediate } from 'node:timers/promises';
import type { DpifExecute } from '../../../dpif/dpif-types.ts';
import { FIELD as F, FLOW_WORDS } from '../../../flow/fields.ts';
import {
  type FlowKey,
  type FlowMask,
  getField,
  getFieldBytes,
  setField,
  setFieldBytes,
  setFieldOnes,
} from '../../../flow/flow-key.ts';
import { OVS_ACTION_ATTR } from '../../../odp/action-attrs.ts';
import { KERNEL_SUPPORT, odpKeyFromFlow } from '../../../odp/key/odp-key-build.ts';
import { OdpActionsBuilder } from '../../../odp/odp-actions.ts';
import { SLOW_PATH_REASONS } from '../../../odp/slow-path.ts';
import { formatOdpActions } from '../../../odp/text/odp-format-actions.ts';
import { checkActionsConsistency } from '../../../openflow/actions/check.ts';
import { parseActions } from '../../../openflow/actions/index.ts';
import { bindWideActions, unbindMatch } from '../../../openflow/fields/tlv-bind.ts';
import { TlvTable } from '../../../openflow/fields/tlv-table.ts';
import { formatFlow, maskForPacket } from '../../../openflow/match/flow-format.ts';
import { formatMatch } from '../../../openflow/match/match-text.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import type { OfpNames } from '../../../openflow/ofp-names.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import { OfpTextError } from '../../../openflow/ofp-text.ts';
import type { Ofpact, OfpactNat } from '../../../openflow/ofpact.ts';
import { errnoText } from '../../../util/errno.ts';
import { formatIpv4, formatIpv6 } from '../../../util/inet.ts';
import { attrsOf } from '../../udpif/nest.ts';
import type { BridgeLookup } from '../../udpif/udpif-state.ts';
import { frozenOf } from '../packet-origin.ts';
import { recircIds } from '../recirc.ts';
import type { XBridge } from '../xbridge.ts';
import { xlateActions } from '../xlate.ts';
import { XLATE_ERROR, xlateErrorText } from '../xlate-error.ts';
import {
  formatCtState,
  parseTraceArgs,
  portNamesOf,
  setFragment,
  TraceError,
  type TraceRequest,
  type TraceWorld,
} from './trace-args.ts';
import { type TraceRecirc, XlateTrace } from './xlate-trace.ts';

export { TraceError, type TraceWorld } from './trace-args.ts';

/** Executes `op` in the datapath; its `result` says how it went. */
export type TraceExecute = (op: DpifExecute) => Promise<void>;

const RULE = '='.repeat(79);
const CS_NEW_TRACKED = 0x21;
const NAT_F = { SRC: 1, DST: 2 } as const;
const N_TABLES = 255;
/** ODPP_NONE. */
const NO_ODP_PORT = 0xffffffff;
const MAX_PORTS = 0xff00;
/** Recirculations that are followed: each may lead to many more.  And passes between which nobody else gets a turn. */
const MAX_RECIRCS = 256;
const PASSES_PER_TURN = 8;

/** `ofproto/trace`.  Resolves to its text, or rejects with a TraceError. */
export async function trace(
  args: readonly string[],
  world: TraceWorld | undefined,
  execute: TraceExecute,
): Promise<string> {
  return new Tracing(parseTraceArgs(args, world, false), execute, undefined).run();
}

/**
 * The text of `ofproto/trace` for a flow, of OF_FLOW_WORDS and with an OpenFlow port, whose fragments are as the datapath has them.  At most
 * `maxRecircs` recirculations are followed.
 */
export function traceFlow(lookup: BridgeLookup, bridge: XBridge, flow: FlowKey, maxRecircs: number): Promise<string> {
  setFragment(flow, true);
  const world = { type: '', bridges: new Map(), lookup, dpPorts: new Map() };
  const request = { world, bridge, flow, packet: undefined, nextCtStates: [], isConsistent: false, hasNames: false };
  return new Tracing(request, async () => {}, undefined).run(maxRecircs);
}

/** Either command while there is no datapath: rejects with a TraceError. */
export const traceNowhere = async (args: readonly string[], isPacketOut: boolean): Promise<string> =>
  (isPacketOut ? tracePacketOut : trace)(args, undefined, async () => {});

/** `ofproto/trace-packet-out`: actions, the last argument, in the place of table 0. */
export async function tracePacketOut(
  args: readonly string[],
  world: TraceWorld | undefined,
  execute: TraceExecute,
): Promise<string> {
  const { actions, usableProtocols } = actionsOf(args.at(-1) ?? '');
  const request = parseTraceArgs(args.slice(0, -1), world, true);
  const mask = maskForPacket(request.flow);
  try {
    const options = { match: { flow: request.flow, mask }, maxPorts: MAX_PORTS, tableId: 0, nTables: N_TABLES };
    const needed = request.isConsistent ? usableProtocols : 0;
    const bound = bindWideActions(actions, request.bridge.tlvTable ?? new TlvTable());
    const checked = checkActionsConsistency(bound, needed, options);
    checkGroups(request.bridge, checked.actions);
    // Without actions there is table 0.
    return await new Tracing(request, execute, actions.length === 0 ? undefined : checked.actions).run();
  } catch (error) {
    if (error instanceof OfpError) throw new TraceError(`Bad actions: ${error.code}`);
    throw error;
  }
}

/** Throws OfpError if actions send to a group that is not there. */
function checkGroups(bridge: TraceRequest['bridge'], actions: readonly Ofpact[]): void {
  for (const a of actions) {
    if ('actions' in a) checkGroups(bridge, a.actions);
    if (a.kind === 'group' && bridge.group?.(a.groupId) === undefined) throw new OfpError(OFPERR.OFPBAC_BAD_OUT_GROUP);
  }
}

function actionsOf(text: string): ReturnType<typeof parseActions> {
  try {
    return parseActions(text);
  } catch (error) {
    if (error instanceof OfpTextError || error instanceof OfpError) throw new TraceError(error.message);
    throw error;
  }
}

class Tracing {
  private readonly request: TraceRequest;
  private readonly execute: TraceExecute;
  private readonly ofpacts: readonly Ofpact[] | undefined;
  private readonly names: (bridge: { readonly name: string }) => OfpNames;
  private readonly dpPortNames: ReadonlyMap<number, string> | undefined;
  private readonly queue: TraceRecirc[] = [];
  /** Ids that are to stay known until the packet has come back. */
  private readonly held: number[] = [];
  private text = '';

  constructor(request: TraceRequest, execute: TraceExecute, ofpacts: readonly Ofpact[] | undefined) {
    this.request = request;
    this.execute = execute;
    this.ofpacts = ofpacts;
    const { world, hasNames } = request;
    this.names = ({ name }) => {
      const bridge = hasNames ? world.bridges.get(name) : undefined;
      return bridge === undefined ? {} : { ports: portNamesOf(bridge) };
    };
    if (hasNames) this.dpPortNames = new Map(Array.from(world.dpPorts, ([name, number]) => [number, name]));
  }

  async run(maxRecircs = MAX_RECIRCS): Promise<string> {
    try {
      await this.pass(this.request.flow);
      let n = 0;
      for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
        if (n++ === maxRecircs) {
          this.text += `\n\n${RULE}\nTrace stops here, after ${maxRecircs} recirculations.\n`;
          break;
        }
        if (n % PASSES_PER_TURN === 0) await setImmediate();
        await this.pass(this.resume(next));
      }
    } finally {
      recircIds.release(this.held);
    }
    return this.text;
  }

  /** Once through the tables. */
  private async pass(initial: FlowKey): Promise<void> {
    const { world, bridge, packet } = this.request;
    const names = this.names(bridge);
    this.text += `Flow: ${formatFlow(initial, names, bridge.tlvTable)}\n`;
    const begin = initial.slice();
    setField(begin, F.actsetOutput, OFPP.UNSET);

    const sink = new XlateTrace(this.names);
    const key = initial.slice();
    setFragment(key, false);
    const frozen = frozenOf(world.lookup, key);
    const xout = xlateActions({
      bridge,
      flow: key,
      ofpInPort: getField(initial, F.inPort),
      frozen: frozen === 'lost' ? undefined : frozen,
      ofpacts: this.ofpacts,
      hasSideEffects: packet !== undefined,
      hasPacket: packet !== undefined,
      packet,
      stats: undefined,
      cache: undefined,
      trace: sink,
    });
    this.held.push(...xout.recircs);
    this.queue.push(...sink.recircs);
    const isUnchanged = xout.flow.every((word, i) => word === begin[i]);
    this.text +=
      sink.format() +
      `\nFinal flow: ${isUnchanged ? 'unchanged' : formatFlow(xout.flow, names, bridge.tlvTable)}\n` +
      `Megaflow: ${formatMegaflow(initial, xout.ofWc, names, bridge.tlvTable)}\n` +
      `Datapath actions: ${formatOdpActions(xout.actions, { portNames: this.dpPortNames })}`;
    if (xout.error !== XLATE_ERROR.OK) {
      this.text += `\nTranslation failed (${xlateErrorText(xout.error)}), packet is dropped.\n`;
      return;
    }
    if (xout.slow !== 0) this.text += explainSlowPath(xout.slow);
    if (packet !== undefined) await this.runActions(packet, key, xout.actions);
  }

  /** The packet as it comes back from the datapath. */
  private resume({ id, isConntrack, flow, zone, nat }: TraceRecirc): FlowKey {
    this.text += `\n\n${RULE}\nrecirc(0x${id.toString(16)})`;
    setField(flow, F.recircId, id);
    setField(flow, F.ctZone, zone);
    if (isConntrack) {
      const given = this.request.nextCtStates.shift();
      this.text +=
        given === undefined
          ? ' - resume conntrack with default ct_state=trk|new (use --ct-next to customize)'
          : ` - resume conntrack with ct_state=${formatCtState(given)}`;
      setField(flow, F.ctState, given ?? CS_NEW_TRACKED);
    }
    this.text += '\n';
    if (nat !== undefined) {
      this.text += `Replacing src/dst IP/ports to simulate NAT:\n Initial flow: ${formatTuple(flow, nat)}\n`;
      translate(flow, nat);
      this.text += ` Modified flow: ${formatTuple(flow, nat)}\n`;
    }
    this.text += `${RULE}\n\n`;
    return flow;
  }

  /** Carries out what the actions do besides sending the packet on. */
  private async runActions(packet: Uint8Array, flow: FlowKey, actions: Uint8Array): Promise<void> {
    const { bridge } = this.request;
    const key = flow.slice(0, FLOW_WORDS);
    setField(key, F.inPort, bridge.xport(getField(flow, F.inPort))?.odpPort ?? NO_ODP_PORT);
    const op: DpifExecute = {
      type: 'execute',
      key: odpKeyFromFlow(key, KERNEL_SUPPORT),
      actions: withoutOutputs(actions),
      packet,
    };
    if (op.actions.length === 0) return;
    await this.execute(op);
    if (op.result) this.text += `\nAction execution failed (${errnoText(op.result)})\n.`;
  }
}

/** `actions` without those that send the packet out or around. */
function withoutOutputs(actions: Uint8Array): Uint8Array {
  const out = new OdpActionsBuilder();
  for (const { type, payload } of attrsOf(actions)) {
    if (type === OVS_ACTION_ATTR.CLONE) out.raw(type, withoutOutputs(payload));
    else if (type !== OVS_ACTION_ATTR.OUTPUT && type !== OVS_ACTION_ATTR.RECIRC) out.raw(type, payload);
  }
  return out.finish();
}

function formatMegaflow(flow: FlowKey, wc: FlowMask, names: OfpNames, tlvTable = new TlvTable()): string {
  const mask = wc.slice();
  setFieldOnes(mask, F.packetType);
  const match = { flow: flow.map((word, i) => word & (mask[i] as number)), mask };
  return formatMatch(unbindMatch(match, tlvTable), undefined, names);
}

function explainSlowPath(slow: number): string {
  const reasons = SLOW_PATH_REASONS.filter(({ bit }) => (slow & bit) !== 0);
  const list = reasons.map(({ explanation }) => `\n  - ${explanation}.`).join('');
  return `\nThis flow is handled by the userspace slow path because it:${list}`;
}

const bytesOf = (flow: FlowKey, f: typeof F.ipv6Src): Uint8Array => {
  const bytes = new Uint8Array(16);
  getFieldBytes(flow, f, bytes, 0);
  return bytes;
};
const ipv4Of = (flow: FlowKey, f: typeof F.nwSrc): string => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, getField(flow, f));
  return formatIpv4(bytes);
};

function formatTuple(flow: FlowKey, { addrMin }: OfpactNat): string {
  const src = getField(flow, F.tpSrc);
  const dst = getField(flow, F.tpDst);
  if (addrMin?.length === 4) {
    return `nw_src=${ipv4Of(flow, F.nwSrc)},tp_src=${src},nw_dst=${ipv4Of(flow, F.nwDst)},tp_dst=${dst}`;
  }
  if (addrMin?.length !== 16) return '';
  const [from, to] = [F.ipv6Src, F.ipv6Dst].map((f) => formatIpv6(bytesOf(flow, f)));
  return `ipv6_src=[${from}],tp_src=${src},ipv6_dst=[${to}],tp_dst=${dst}`;
}

/** Gives the packet the first address and port that the action may translate to. */
function translate(flow: FlowKey, { flags, addrMin, portMin }: OfpactNat): void {
  if (addrMin === undefined) return;
  const isV4 = addrMin.length === 4;
  for (const [flag, v4, v6, port] of [
    [NAT_F.SRC, F.nwSrc, F.ipv6Src, F.tpSrc],
    [NAT_F.DST, F.nwDst, F.ipv6Dst, F.tpDst],
  ] as const) {
    if ((flags & flag) === 0) continue;
    if (isV4) setField(flow, v4, Buffer.from(addrMin).readUInt32BE());
    else setFieldBytes(flow, v6, addrMin, 0);
    if (portMin !== 0) setField(flow, port, portMin);
  }
}
