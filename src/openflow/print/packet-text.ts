/**
 * A packet in a message as text: its flow, and the checksum of its transport header.
 * Source: lib/ofp-print.c (ofp_packet_to_string).
 */
import { extractStrictly } from '../../flow/extract-strict.ts';
import { FIELD as F } from '../../flow/fields.ts';
import { getField, newFlow, setField } from '../../flow/flow-key.ts';
import { IPPROTO } from '../../packet/ip.ts';
import { Arena, HEADROOM, Packet, SLOT_SIZE } from '../../packet/packet.ts';
import { formatFlow } from '../match/flow-format.ts';

/** Of each protocol: name, offset and size of the checksum, size of the header. */
// biome-ignore format: table
const CHECKSUMS: Readonly<Record<number, readonly [name: string, at: number, size: 2 | 4, header: number]>> = {
  [IPPROTO.TCP]:    ['tcp_csum',   16, 2, 20],
  [IPPROTO.UDP]:    ['udp_csum',   6,  2, 8],
  [IPPROTO.SCTP]:   ['sctp_csum',  8,  4, 12],
  [IPPROTO.ICMP]:   ['icmp_csum',  2,  2, 8],
  [IPPROTO.ICMPV6]: ['icmp6_csum', 2,  2, 4],
};
const ETH_TYPE_NSH = 0x894f;

let scratch: Packet | undefined;

/** A line.  `packetType` is 0 for Ethernet, else the ethertype of a packet without Ethernet header. */
export function formatPacket(bytes: Uint8Array, packetType: number): string {
  scratch ??= new Packet(new Arena(new ArrayBuffer(SLOT_SIZE)));
  const pkt = scratch;
  pkt.reset(0);
  pkt.packetType = packetType;
  const size = Math.min(bytes.length, SLOT_SIZE - HEADROOM);
  pkt.arena.bytes.set(bytes.subarray(0, size), pkt.start);
  pkt.end = pkt.start + size;
  const flow = newFlow();
  setField(flow, F.packetType, packetType);
  extractStrictly(pkt, flow);
  let text = formatFlow(flow);
  const sum = CHECKSUMS[getField(flow, F.nwProto)];
  const isIp = getField(flow, F.ethType) === 0x0800 || getField(flow, F.ethType) === 0x86dd;
  if (sum !== undefined && isIp && getField(flow, F.ethType) !== ETH_TYPE_NSH && pkt.l4 > pkt.l3) {
    const [name, at, width, header] = sum;
    const l4 = pkt.start + pkt.l4;
    if (pkt.end - l4 >= header) {
      const value = width === 2 ? pkt.arena.view.getUint16(l4 + at) : pkt.arena.view.getUint32(l4 + at);
      text += ` ${name}:${value.toString(16)}`;
    }
  }
  return `${text}\n`;
}
