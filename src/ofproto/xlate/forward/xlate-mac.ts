/**
 * Ethernet addresses of the packet that is translated: as numbers, and those that a bridge keeps to itself.
 * Source: IEEE 802.1Q 8.6.3 (reserved addresses), lib/packets.c (eth_addr_is_reserved).
 */
import { FIELD } from '../../../flow/fields.ts';
import type { FlowKey } from '../../../flow/flow-key.ts';

/** A reader of a 48-bit field of a key, as a number. */
function macReader(at: number): (key: FlowKey) => number {
  const word = at >>> 5;
  if ((at & 31) === 0) {
    return (key) => ((key[word] as number) >>> 0) * 0x10000 + ((key[word + 1] as number) >>> 16);
  }
  if ((at & 31) !== 16) throw new Error('flow key: an Ethernet address must begin at half a word');
  return (key) => ((key[word] as number) & 0xffff) * 0x100000000 + ((key[word + 1] as number) >>> 0);
}
export const ethSrcOf = macReader(FIELD.ethSrc.at);
export const ethDstOf = macReader(FIELD.ethDst.at);

export const ETH_BROADCAST = 0xffffffffffff;
export const isMulticastMac = (mac: number): boolean => (Math.floor(mac / 2 ** 40) & 1) !== 0;

const range = (first: number, n: number): number[] => Array.from({ length: n }, (_, i) => first + i);
/** Destinations that a bridge does not forward. */
// biome-ignore format: table
const RESERVED = new Set<number>([
  ...range(0x0180c2000000, 16), // STP, pause, LACP, LLDP and other protocols between neighbours
  0x00e02b000000, 0x00e02b000004, 0x00e02b000006, // Extreme EDP and EAPS
  0x01000c000000, 0x01000ccccccc, 0x01000ccccccd, 0x01000ccdcdcd, // Cisco ISL, CDP and kin, PVST+, uplink fast
  ...range(0x01000cccccc0, 8), // Cisco CFM
]);
export const isReserved = (mac: number): boolean => RESERVED.has(mac);
