/** Cost of key extraction and hash for packets of common kinds. */
import { extractHeaders, extractMetadata } from '../src/flow/flow-extract.ts';
import { hashFlow } from '../src/flow/flow-hash.ts';
import { newFlowKey } from '../src/flow/flow-key.ts';
import { bytes, eth, icmpv6, ipv4With, ipv6With } from '../test/support/frames.ts';
import { newArena, packetOf } from '../test/support/packets.ts';
import { measure } from './measure.ts';

const CASES: [string, number[]][] = [
  ['IPv4 UDP', eth(0x0800, ipv4With(17, { payload: Array<number>(18).fill(0) }))],
  ['IPv4 TCP, tagged', eth(0x0800, ipv4With(6), [[0x8100, 5]])],
  ['IPv6 UDP', eth(0x86dd, ipv6With(17))],
  ['ICMPv6 solicitation', eth(0x86dd, icmpv6([135, ...Array<number>(23).fill(0), 1, 1, 1, 2, 3, 4, 5, 6]))],
  ['ARP', eth(0x0806, bytes('0001080006040001 020000000001 0a000001 000000000000 0a000002'))],
];

const arena = newArena(8);
for (const [name, frame] of CASES) {
  const pkt = packetOf(arena, frame);
  const key = newFlowKey();
  let sum = 0;
  measure(`extract ${name}`, 1_000_000, (n) => {
    for (let i = 0; i < n; i++) {
      extractMetadata(pkt, key);
      extractHeaders(pkt, key);
    }
  });
  measure(`  and hash`, 1_000_000, (n) => {
    for (let i = 0; i < n; i++) sum ^= hashFlow(key);
  });
  if (sum === 42) console.log(sum);
}
