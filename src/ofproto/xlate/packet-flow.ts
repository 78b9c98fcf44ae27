/**
 * The flow of a packet that userspace has: its headers, and metadata that its headers do not tell.
 * Source: lib/flow.c (flow_extract), lib/flow.h (pkt_metadata_from_flow).
 */
import { extractStrictly } from '../../flow/extract-strict.ts';
import { FIELD as F } from '../../flow/fields.ts';
import { type FlowKey, getField, newFlow, setField } from '../../flow/flow-key.ts';
import { vlanLimit } from '../../odp/key/vlan-limit.ts';
import { Arena, HEADROOM, Packet, SLOT_SIZE } from '../../packet/packet.ts';
import { clearConntrack } from './recirc.ts';

let scratch: Packet | undefined;
/** Headers are far from here; what is beyond is payload. */
const MAX_SIZE = SLOT_SIZE - HEADROOM;
const METADATA = [F.recircId, F.inPort, F.skbPriority, F.skbMark, F.dpHash, F.packetType] as const;

/** Writes what the headers of `packet` say to `flow`, and leaves its metadata.  A VLAN tag beyond the limit is the Ethernet type. */
export function extractPacket(packet: Uint8Array, flow: FlowKey): void {
  scratch ??= new Packet(new Arena(new ArrayBuffer(SLOT_SIZE)));
  const pkt = scratch;
  pkt.reset(0);
  pkt.packetType = getField(flow, F.packetType);
  const size = Math.min(packet.length, MAX_SIZE);
  pkt.arena.bytes.set(size === packet.length ? packet : packet.subarray(0, size), pkt.start);
  pkt.end = pkt.start + size;
  extractStrictly(pkt, flow);
  if (vlanLimit() < 2 && getField(flow, F.cvlanTci) !== 0) {
    const inner = getField(flow, F.cvlanTpid);
    flow.fill(0, F.cvlanTpid.word, F.ctState.word);
    flow.fill(0, F.mplsLse0.word, F.tunId.word);
    setField(flow, F.ethType, inner);
  }
}

/**
 * The flow of `packet`, of OF_FLOW_WORDS, with the metadata of `from`: port, marks, connection, tunnel, recirculation; not registers.  The
 * metadata tell its type, too: an Ethernet frame, or what begins with its network header.  What is neither has metadata alone.
 */
export function flowOfPacket(packet: Uint8Array, from: FlowKey): FlowKey {
  const flow = newFlow();
  for (const f of METADATA) setField(flow, f, getField(from, f));
  extractPacket(packet, flow);
  flow.set(from.subarray(F.ctState.word, F.mplsLse0.word), F.ctState.word);
  if (getField(flow, F.ctState) === 0) clearConntrack(flow);
  flow.set(from.subarray(F.tunId.word, F.reg0.word), F.tunId.word);
  return flow;
}
