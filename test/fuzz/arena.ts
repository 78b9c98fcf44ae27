/** Frames in slots whose other bytes are known, so that whoever reads past an end is found out. */
import { type Arena, HEADROOM, Packet, SLOT_SIZE } from '../../src/packet/packet.ts';
import { newArena } from '../support/packets.ts';

/** How much of a slot behind a frame is filled. */
const MARGIN = 512;

/** Puts `frame` into `slot`, with `fill` before and behind it. */
export function placeFrame(arena: Arena, slot: number, frame: ArrayLike<number>, fill: number): Packet {
  const pkt = new Packet(arena);
  pkt.reset(slot);
  pkt.end = pkt.start + frame.length;
  arena.bytes.fill(fill, slot * SLOT_SIZE, pkt.start);
  arena.bytes.set(frame, pkt.start);
  arena.bytes.fill(fill, pkt.end, Math.min((slot + 1) * SLOT_SIZE, pkt.end + MARGIN));
  return pkt;
}
export const MAX_FRAME = SLOT_SIZE - HEADROOM;

/** An arena that cases share: none of them may keep a slot. */
export const sharedArena: Arena = newArena(160);
