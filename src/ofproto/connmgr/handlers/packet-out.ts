/**
 * Packets that controllers have sent, and packets that go on after a pause.
 * Source: ofproto/ofproto.c (handle_packet_out, handle_nxt_resume, ofproto_packet_out_init).
 */
import { FIELD } from '../../../flow/fields.ts';
import { type FlowKey, newFlow } from '../../../flow/flow-key.ts';
import { bindWideActions, bindWideMatch } from '../../../openflow/fields/tlv-bind.ts';
import type { TlvTable } from '../../../openflow/fields/tlv-table.ts';
import { type PacketOut, UNKNOWN32 } from '../../../openflow/messages/flow/flow-types.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import { coverage } from '../../../util/coverage.ts';
import type { PacketToSend } from '../../packet-execute.ts';
import { markTunnel } from '../../tunnel/tunnel-table.ts';
import { flowOfPacket } from '../../xlate/packet-flow.ts';
import type { Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';
import type { OfConn } from '../ofconn.ts';
import { checkForMatch } from './flow-mod.ts';

const packetOuts = coverage('ofproto_packet_out');

/** The packet's flow, with the metadata that the message has. */
function flowOf(po: PacketOut, tlvTable: TlvTable): FlowKey {
  const metadata = bindWideMatch(po.flowMetadata, tlvTable).flow;
  markTunnel(metadata);
  const flow = flowOfPacket(po.packet, metadata);
  // Registers and what else OpenFlow adds.
  flow.set(metadata.subarray(FIELD.reg0.word), FIELD.reg0.word);
  return flow;
}

/** A packet_out of a connection, checked but for the groups and meters that it names.  Throws OfpError. */
export function preparePacketOut(conn: OfConn, po: PacketOut, tlvTable: TlvTable): PacketToSend {
  packetOuts.n++;
  if (po.bufferId !== UNKNOWN32) throw new OfpError(OFPERR.OFPBRC_BUFFER_UNKNOWN);
  const flow = flowOf(po, tlvTable);
  const match = { flow, mask: newFlow().fill(-1) };
  return { packet: po.packet, flow, actions: checkForMatch(bindWideActions(po.ofpacts, tlvTable), match, 0, conn) };
}

/** Translates a checked packet.  Throws OfpError. */
export function translatePacketOut(packet: PacketToSend, sw: OfSwitch) {
  sw.tables.checkActions(packet.actions);
  return sw.preparePacket(packet);
}

export const PACKET_OUT_HANDLERS = {
  packet_out: (conn, msg, sw) => {
    return translatePacketOut(preparePacketOut(conn, msg.body, sw.tlvTable), sw).send();
  },
  nxt_resume: (_conn, msg, sw) => sw.prepareResumption(msg.body).send(),
} satisfies Handlers;
