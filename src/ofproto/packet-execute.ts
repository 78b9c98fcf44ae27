/**
 * Packets that controllers make, or paused: their actions are translated as those of a rule are, and executed by the datapath.
 * Source: ofproto/ofproto-dpif.c (packet_xlate, packet_execute, nxt_resume).
 */
import type { DpifOp } from '../dpif/dpif-types.ts';
import { FIELD, FLOW_WORDS } from '../flow/fields.ts';
import { type FlowKey, getField, newFlow, setField } from '../flow/flow-key.ts';
import { odpKeyFromFlow } from '../odp/key/odp-key-build.ts';
import { SLOW_PATH } from '../odp/slow-path.ts';
import { bindMatch } from '../openflow/fields/tlv-bind.ts';
import { TlvTable } from '../openflow/fields/tlv-table.ts';
import type { Resume } from '../openflow/messages/flow/flow-types.ts';
import { OFPERR, OfpError } from '../openflow/ofp-errors.ts';
import { OFPP } from '../openflow/ofp-port.ts';
import type { Ofpact } from '../openflow/ofpact.ts';
import { monotonicMs } from '../util/clock.ts';
import { KERNEL_DP_SUPPORT } from './backer/dp-support.ts';
import { ODPP_NONE } from './ports/bundle.ts';
import { markTunnel } from './tunnel/tunnel-table.ts';
import { executeParts, metadataNest, onePacket } from './xlate/commit/execute-parts.ts';
import { flowOfPacket } from './xlate/packet-flow.ts';
import { freezeMetadata, recircIds } from './xlate/recirc.ts';
import type { XBridge } from './xlate/xbridge.ts';
import { type XlateOut, xlateActions } from './xlate/xlate.ts';
import { XLATE_ERROR, xlateErrorText } from './xlate/xlate-error.ts';

export interface PacketToSend {
  readonly packet: Uint8Array;
  /** What the packet says, and the metadata that it is sent with; `inPort` is an OpenFlow number, reserved ones too. */
  readonly flow: FlowKey;
  readonly actions: readonly Ofpact[];
}

/** A packet whose actions are translated: `send` or `drop` it, once. */
export interface PreparedPacket {
  /** Resolves when the datapath has it; rejects if it cannot be reached. */
  send(): Promise<void>;
  drop(): void;
}

/** Has the datapath carry out operations, as Dpif.operate. */
type Operate = (ops: DpifOp[]) => Promise<void>;

/** `flow` is the packet's as the datapath has it. */
function prepared(
  { support = KERNEL_DP_SUPPORT }: XBridge,
  packet: Uint8Array,
  flow: FlowKey,
  xout: XlateOut,
  operate: Operate,
): PreparedPacket {
  const { actions, recircs } = xout;
  const drop = (): void => recircIds.release(recircs);
  const send = async (): Promise<void> => {
    try {
      if (actions.length === 0) return;
      const key = metadataNest(odpKeyFromFlow(flow.subarray(0, FLOW_WORDS), support), flow);
      const parts = executeParts(packet, actions, (xout.slow & SLOW_PATH.ACTION) !== 0);
      await operate(parts.map((part) => ({ type: 'execute', key, ...part })));
    } finally {
      drop();
    }
  };
  return { send, drop };
}

const statsOf = (packet: Uint8Array, flow: FlowKey) =>
  onePacket(packet.length, getField(flow, FIELD.tcpFlags), monotonicMs());

/** Translates with the flow tables as they are now; an OfpError if that fails.  What goes nowhere is dropped. */
export function preparePacket(bridge: XBridge, p: PacketToSend, operate: Operate): PreparedPacket {
  const ofpInPort = getField(p.flow, FIELD.inPort);
  const flow = newFlow();
  flow.set(p.flow);
  setField(flow, FIELD.inPort, bridge.xport(ofpInPort)?.odpPort ?? ODPP_NONE);
  const xout = xlateActions({
    bridge,
    flow,
    ofpInPort,
    ofpacts: p.actions,
    isPacketOut: true,
    hasSideEffects: true,
    packet: p.packet,
    stats: statsOf(p.packet, flow),
    cache: undefined,
  });
  if (xout.error !== XLATE_ERROR.OK) throw new OfpError(OFPERR.OFPFMFC_UNKNOWN, xlateErrorText(xout.error));
  return prepared(bridge, p.packet, flow, xout, operate);
}

const NOTHING: readonly Ofpact[] = [{ kind: 'note', data: new Uint8Array(0) }];

/** Goes on with a packet that was paused: `bridge` is that of the continuation. */
export function prepareResumption(
  bridge: XBridge,
  { packetIn, private: state }: Resume,
  operate: Operate,
): PreparedPacket {
  const metadata = bindMatch(packetIn.flowMetadata, bridge.tlvTable ?? new TlvTable()).flow;
  markTunnel(metadata);
  const flow = newFlow();
  flow.set(flowOfPacket(packetIn.packet, metadata));
  setField(flow, FIELD.inPort, state.odpPort);
  const xout = xlateActions({
    bridge,
    flow,
    ofpInPort: OFPP.NONE,
    frozen: {
      bridge,
      table: 0,
      metadata: freezeMetadata(metadata),
      inPort: getField(metadata, FIELD.inPort),
      stack: state.stack,
      conntracked: state.isConntracked,
      wasMpls: false,
      mirrors: state.mirrors | 0,
      // Without actions it would look up in a table; all that is left is the end of the pipeline.
      ofpacts: state.actions.length > 0 ? state.actions : NOTHING,
      actionSet: state.actionSet,
      userdata: new Uint8Array(0),
    },
    hasSideEffects: true,
    packet: packetIn.packet,
    stats: statsOf(packetIn.packet, flow),
    cache: undefined,
  });
  return prepared(bridge, packetIn.packet, flow, xout, operate);
}
