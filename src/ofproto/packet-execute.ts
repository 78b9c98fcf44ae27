/**
 * Carrying out the actions of a packet that a controller made: translated as those of a rule are, and executed by the datapath.
 * Source: ofproto/ofproto-dpif.c (ofproto_dpif_execute_actions__).
 */
import type { Dpif } from '../dpif/dpif.ts';
import { FIELD, FLOW_WORDS } from '../flow/fields.ts';
import { getField, newFlow, setField } from '../flow/flow-key.ts';
import { OVS_KEY_ATTR } from '../odp/key-table.ts';
import { KERNEL_SUPPORT, odpKeyFromFlow } from '../odp/odp-key-build.ts';
import { monotonicMs } from '../util/clock.ts';
import { filterAttrs } from './nest.ts';
import type { PacketToSend } from './packet-out.ts';
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
const CT_METADATA = [
  OVS_KEY_ATTR.CT_STATE,
  OVS_KEY_ATTR.CT_ZONE,
  OVS_KEY_ATTR.CT_MARK,
  OVS_KEY_ATTR.CT_LABELS,
  OVS_KEY_ATTR.CT_ORIG_TUPLE_IPV4,
  OVS_KEY_ATTR.CT_ORIG_TUPLE_IPV6,
];
const PLAIN: ReadonlySet<number> = new Set(METADATA);
const TRACKED: ReadonlySet<number> = new Set([...METADATA, ...CT_METADATA]);

/** Resolves when the datapath has it; rejects if it cannot be reached.  A packet whose actions lead nowhere is dropped. */
export async function executePacket(bridge: XBridge, p: PacketToSend, dpif: Pick<Dpif, 'operate'>): Promise<void> {
  const ofpInPort = getField(p.flow, FIELD.inPort);
  const flow = newFlow();
  flow.set(p.flow);
  setField(flow, FIELD.inPort, bridge.xport(ofpInPort)?.odpPort ?? ODPP_NONE);
  const xout = xlateActions({
    bridge,
    flow,
    ofpInPort,
    ofpacts: p.actions,
    hasSideEffects: true,
    stats: { nPackets: 1n, nBytes: BigInt(p.packet.length), usedMs: monotonicMs() },
    cache: undefined,
  });
  try {
    if (xout.actions.length === 0) return;
    const isTracked = getField(flow, FIELD.ctState) !== 0;
    const whole = odpKeyFromFlow(flow.subarray(0, FLOW_WORDS), KERNEL_SUPPORT);
    const key = filterAttrs(whole, isTracked ? TRACKED : PLAIN);
    const { packet } = p;
    await dpif.operate(
      splitActions(xout.actions, MAX_ACTIONS_SIZE).map((actions) => ({
        type: 'execute' as const,
        key,
        actions,
        packet,
      })),
    );
  } finally {
    recircIds.release(xout.recircs);
  }
}
