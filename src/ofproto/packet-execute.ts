/**
 * Packets that controllers make: their actions are translated as those of a rule are, and executed by the datapath.
 * Source: ofproto/ofproto-dpif.c (packet_xlate, packet_execute).
 */
import type { DpifOp } from '../dpif/dpif-types.ts';
import { FIELD, FLOW_WORDS } from '../flow/fields.ts';
import { type FlowKey, getField, newFlow, setField } from '../flow/flow-key.ts';
import { OVS_KEY_ATTR } from '../odp/key-table.ts';
import { KERNEL_SUPPORT, odpKeyFromFlow } from '../odp/odp-key-build.ts';
import type { Ofpact } from '../openflow/ofpact.ts';
import { monotonicMs } from '../util/clock.ts';
import { filterAttrs } from './nest.ts';
import { recircIds } from './recirc.ts';
import { splitActions } from './split-actions.ts';
import type { XBridge } from './xbridge.ts';
import { xlateActions } from './xlate.ts';

/** The datapath's number of a packet that came in by no port. */
const ODPP_NONE = 0xffffffff;
/** Actions that surely fit a message, with a packet of the largest size. */
const MAX_ACTIONS_SIZE = 32_000;
/** What the packet does not say itself. */
const METADATA = [
  OVS_KEY_ATTR.PRIORITY,
  OVS_KEY_ATTR.TUNNEL,
  OVS_KEY_ATTR.SKB_MARK,
  OVS_KEY_ATTR.IN_PORT,
  OVS_KEY_ATTR.PACKET_TYPE,
];
const PLAIN: ReadonlySet<number> = new Set(METADATA);
const TRACKED: ReadonlySet<number> = new Set([
  ...METADATA,
  OVS_KEY_ATTR.CT_STATE,
  OVS_KEY_ATTR.CT_ZONE,
  OVS_KEY_ATTR.CT_MARK,
  OVS_KEY_ATTR.CT_LABELS,
  OVS_KEY_ATTR.CT_ORIG_TUPLE_IPV4,
  OVS_KEY_ATTR.CT_ORIG_TUPLE_IPV6,
]);

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

/** Translates with the flow tables as they are now.  What goes nowhere is dropped. */
export function preparePacket(
  bridge: XBridge,
  p: PacketToSend,
  operate: (ops: DpifOp[]) => Promise<void>,
): PreparedPacket {
  const ofpInPort = getField(p.flow, FIELD.inPort);
  const flow = newFlow();
  flow.set(p.flow);
  setField(flow, FIELD.inPort, bridge.xport(ofpInPort)?.odpPort ?? ODPP_NONE);
  const { actions, recircs } = xlateActions({
    bridge,
    flow,
    ofpInPort,
    ofpacts: p.actions,
    hasSideEffects: true,
    stats: { nPackets: 1n, nBytes: BigInt(p.packet.length), usedMs: monotonicMs() },
    cache: undefined,
  });
  const drop = (): void => recircIds.release(recircs);
  const send = async (): Promise<void> => {
    try {
      if (actions.length === 0) return;
      const whole = odpKeyFromFlow(flow.subarray(0, FLOW_WORDS), KERNEL_SUPPORT);
      const key = filterAttrs(whole, getField(flow, FIELD.ctState) !== 0 ? TRACKED : PLAIN);
      const parts = splitActions(actions, MAX_ACTIONS_SIZE);
      await operate(parts.map((part) => ({ type: 'execute', key, actions: part, packet: p.packet })));
    } finally {
      drop();
    }
  };
  return { send, drop };
}
