/**
 * Cost of a packet of a known connection through `ct`, and of a new connection.  Also shows that nothing is allocated for
 * known ones.  A comment in datapath/conntrack/ct-execute.ts calls that path hot.
 */
import { Conntrack } from '../src/datapath/conntrack/conntrack.ts';
import { parseCt } from '../src/datapath/conntrack/ct-args.ts';
import { CtExecutor } from '../src/datapath/conntrack/ct-execute.ts';
import { extractHeaders, extractMetadata } from '../src/flow/flow-extract.ts';
import { newFlowKey } from '../src/flow/flow-key.ts';
import { OVS_CT_ATTR, OVS_NAT_ATTR } from '../src/odp/action-attrs.ts';
import { attr } from '../test/support/action-bytes.ts';
import { eth, ipv4With } from '../test/support/frames.ts';
import { newArena, packetOf } from '../test/support/packets.ts';
import { measure } from './measure.ts';

const COMMIT = attr(OVS_CT_ATTR.COMMIT);
const NAT = attr(OVS_CT_ATTR.NAT);
const SNAT = attr(OVS_CT_ATTR.NAT, [...attr(OVS_NAT_ATTR.SRC), ...attr(OVS_NAT_ATTR.IP_MIN, [10, 1, 0, 9])]);

const arena = newArena(8);
const key = newFlowKey();
let now = 1_000_000;

function argsOf(list: number[]) {
  const bytes = Uint8Array.from(list);
  return parseCt(new DataView(bytes.buffer), 0, bytes.length, key);
}
function rig() {
  return new CtExecutor(new Conntrack({ random: () => 0.5 }), { makeWritable: () => true, now: () => now });
}

function established(name: string, proto: 6 | 17, size: number, setUp: number[], use: number[]): void {
  const executor = rig();
  const flags = proto === 6 ? 0x10 : 0;
  const frame = eth(0x0800, ipv4With(proto, { flags, payload: Array<number>(size).fill(1) }));
  const pkt = packetOf(arena, frame);
  extractMetadata(pkt, key);
  extractHeaders(pkt, key);
  executor.execute(pkt, key, argsOf([...COMMIT, ...setUp]));
  const args = argsOf(use);
  const original = Uint8Array.from(frame);
  measure(name, 1_000_000, (n) => {
    for (let i = 0; i < n; i++) {
      // Each round is another packet: what NAT wrote is taken back.
      if (use.length > 0) for (let at = 26; at < 30; at++) arena.bytes[pkt.start + at] = original[at]!;
      pkt.nfct = 0;
      extractMetadata(pkt, key);
      extractHeaders(pkt, key);
      executor.execute(pkt, key, args);
    }
  });
  arena.give(pkt.slot);
}

measure('(key extraction alone)', 1_000_000, (n) => {
  const pkt = packetOf(arena, eth(0x0800, ipv4With(6)));
  for (let i = 0; i < n; i++) {
    extractMetadata(pkt, key);
    extractHeaders(pkt, key);
  }
  arena.give(pkt.slot);
});
established('ct, known UDP, 18 bytes', 17, 18, [], []);
established('ct, known TCP, no payload', 6, 0, [], []);
established('ct, known TCP, 1448 bytes', 6, 1448, [], []);

{
  const executor = rig();
  const frame = eth(0x0800, ipv4With(17, { payload: [1, 2] }));
  const pkt = packetOf(arena, frame);
  extractMetadata(pkt, key);
  extractHeaders(pkt, key);
  const args = argsOf(COMMIT);
  let n = 0;
  measure('ct(commit), new UDP connection', 200_000, (rounds) => {
    for (let i = 0; i < rounds; i++, n++) {
      // Another source address and the opposite change where the checksum does not see it.
      arena.view.setUint16(pkt.start + 34, n);
      arena.view.setUint16(pkt.start + 40, 0);
      pkt.nfct = 0;
      extractMetadata(pkt, key);
      extractHeaders(pkt, key);
      executor.execute(pkt, key, args);
      if ((n & 0xffff) === 0) now += 60_000;
    }
  });
  arena.give(pkt.slot);
}
established('ct(nat), known UDP, translated', 17, 18, SNAT, NAT);
