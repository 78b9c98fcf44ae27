/**
 * Where a packet that the datapath sends up comes from: a port of a bridge, and what it was in the middle of if it was recirculated.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_lookup_ofproto_).
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getField } from '../../flow/flow-key.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import { isFromTunnel } from '../tunnel/tunnel-table.ts';
import type { BridgeLookup } from '../udpif/udpif-state.ts';
import { type FrozenState, recircIds } from './recirc.ts';
import type { XBridge } from './xbridge.ts';

export interface PacketOrigin {
  readonly bridge: XBridge;
  readonly ofport: number;
  readonly frozen: FrozenState | undefined;
}

/** The state of a recirculated packet: undefined if it was not; 'lost' if it, or its bridge, is not known any more. */
export function frozenOf(bridges: Pick<BridgeLookup, 'byUuid'>, flow: FlowKey): FrozenState | 'lost' | undefined {
  const id = getField(flow, FIELD.recircId);
  if (id === 0) return undefined;
  const state = recircIds.find(id);
  return state === undefined || bridges.byUuid(state.bridge.uuid) === undefined ? 'lost' : state;
}

/** Where a packet with the datapath's key `flow` comes from; or why that is not known. */
export function originOf(bridges: BridgeLookup, flow: FlowKey): PacketOrigin | string {
  const frozen = frozenOf(bridges, flow);
  if (frozen === 'lost') {
    return `no recirculation data for recirc_id 0x${getField(flow, FIELD.recircId).toString(16)}`;
  }
  // A packet that a controller made came in by no port.
  if (frozen !== undefined && (frozen.inPort === OFPP.NONE || frozen.inPort === OFPP.CONTROLLER)) {
    return { bridge: frozen.bridge, ofport: frozen.inPort, frozen };
  }
  if (isFromTunnel(flow)) {
    const end = bridges.byTunnel?.(flow);
    if (end === undefined) return 'no OpenFlow tunnel port for this packet';
    return { bridge: end.bridge, ofport: end.ofport, frozen };
  }
  const odpPort = getField(flow, FIELD.inPort);
  const from = bridges.byOdpPort(odpPort);
  if (from === undefined) return `no OpenFlow port for datapath port ${odpPort}`;
  // Once an upcall: naming what is copied is much faster than a spread.
  return { bridge: from.bridge, ofport: from.ofport, frozen };
}
