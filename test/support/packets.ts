/** An arena in plain memory and packets in it. */
import { Arena, Packet, SLOT_SIZE } from '../../src/packet/packet.ts';

export const newArena = (slots = 16): Arena => new Arena(new ArrayBuffer(slots * SLOT_SIZE));

/** A packet with these bytes in a slot of its own. */
export function packetOf(arena: Arena, frame: ArrayLike<number>): Packet {
  const pkt = new Packet(arena);
  pkt.reset(arena.take());
  arena.bytes.set(frame, pkt.start);
  pkt.end = pkt.start + frame.length;
  return pkt;
}

export const bytesOf = (pkt: Packet): number[] => [...pkt.arena.bytes.subarray(pkt.start, pkt.end)];
