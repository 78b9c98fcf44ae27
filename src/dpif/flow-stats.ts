/** Text of a flow's statistics, as `dump-flows` and log lines have it.  Source: lib/dpif.c, lib/packets.c. */

import { monotonicMs } from '../util/clock.ts';
import { fixed } from '../util/fixed.ts';
import type { DpifFlowStats } from './dpif-types.ts';

/** From the least significant bit: FIN SYN RST PSH ACK URG ECE CWR NS, in the order in which they are printed. */
// biome-ignore format: table
const TCP_FLAGS: readonly (readonly [number, string])[] = [
  [0x002, 'S'], [0x001, 'F'], [0x008, 'P'], [0x004, 'R'], [0x020, 'U'], [0x010, '.'], [0x040, 'E'], [0x080, 'C'],
  [0x100, 'N'], [0x200, '[200]'], [0x400, '[400]'], [0x800, '[800]'],
];

/** "SP." for the flags of a TCP header, "none" for 0. */
export function formatTcpFlagLetters(flags: number): string {
  if (flags === 0) return 'none';
  return TCP_FLAGS.map(([bit, text]) => (flags & bit ? text : '')).join('');
}

/** "packets:1, bytes:98, used:0.310s", and the TCP flags seen, if any. */
export function formatFlowStats(stats: DpifFlowStats): string {
  const used = stats.used === 0 ? 'never' : `${fixed((monotonicMs() - stats.used) / 1000, 3)}s`;
  const flags = stats.tcpFlags === 0 ? '' : `, flags:${formatTcpFlagLetters(stats.tcpFlags)}`;
  return `packets:${stats.nPackets}, bytes:${BigInt(stats.nBytes)}, used:${used}${flags}`;
}

/** Stands before the flows of a datapath's main thread in dumps. */
export const MAIN_THREAD = 'flow-dump from the main thread:\n';
