/**
 * Packets that a controller sends: translated like those that arrive, and executed by the datapath.
 * Source: ofproto/ofproto.c (ofproto_packet_out_init), ofproto/ofproto-dpif.c (ofproto_dpif_execute_actions).
 */
import type { FlowKey } from '../flow/flow-key.ts';
import type { Ofpact } from '../openflow/ofpact.ts';

export interface PacketToSend {
  readonly packet: Uint8Array;
  /** What the packet says, and the metadata that it is sent with; `inPort` is an OpenFlow number, reserved ones too. */
  readonly flow: FlowKey;
  readonly actions: readonly Ofpact[];
}
