/**
 * The packet hash: 32 bits from addresses, ports and protocol, the stand-in for skb->hash.  The same for both directions
 * of a connection.  It spreads the mask cache, chooses among upcall port ids, and goes out as OVS_PACKET_ATTR_HASH.
 */
import { FIELD } from './fields.ts';
import type { FlowKey } from './flow-key.ts';

const W_ETH = FIELD.ethDst.word;
const W_TYPE = FIELD.ethType.word;
const W_PROTO = FIELD.nwProto.word;
const W_NW_SRC = FIELD.nwSrc.word;
const W_NW_DST = FIELD.nwDst.word;
const W_IPV6_SRC = FIELD.ipv6Src.word;
const W_IPV6_DST = FIELD.ipv6Dst.word;
const W_TP = FIELD.tpSrc.word;

/** Mixes word `w` into hash `h` (murmur3).  Hot path. */
export function hashAdd(h: number, w: number): number {
  w = Math.imul(w, 0xcc9e2d51);
  w = Math.imul((w << 15) | (w >>> 17), 0x1b873593);
  h ^= w;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Ends a hash: every bit depends on all that was mixed in (murmur3).  Hot path. */
export function hashFinish(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Hash of the packet that `key` was extracted from: an int32, never 0.  Hot path. */
export function hashFlow(key: FlowKey): number {
  const type = key[W_TYPE]! >>> 16;
  let h = type;
  if (type === 0x0800) {
    const src = key[W_NW_SRC]!;
    const dst = key[W_NW_DST]!;
    h = hashAdd(h, Math.min(src, dst));
    h = hashAdd(h, Math.max(src, dst));
  } else if (type === 0x86dd) {
    // Sums are symmetric too, and four words of each address would cost more.
    h = hashAdd(h, key[W_IPV6_SRC]! + key[W_IPV6_DST]!);
    h = hashAdd(h, key[W_IPV6_SRC + 1]! ^ key[W_IPV6_DST + 1]!);
    h = hashAdd(h, key[W_IPV6_SRC + 2]! + key[W_IPV6_DST + 2]!);
    h = hashAdd(h, key[W_IPV6_SRC + 3]! ^ key[W_IPV6_DST + 3]!);
  } else {
    // The addresses' low halves: words 0 and 1 are the destination's 4 + 2 bytes, 1 and 2 the source's 2 + 4.
    h = hashAdd(h, ((key[W_ETH]! << 16) | (key[W_ETH + 1]! >>> 16)) ^ key[W_ETH + 2]!);
    h = hashFinish(h);
    return h === 0 ? 1 : h;
  }
  const src = key[W_TP]! >>> 16;
  const dst = key[W_TP]! & 0xffff;
  h = hashAdd(h, src < dst ? (src << 16) | dst : (dst << 16) | src);
  h = hashFinish(hashAdd(h, key[W_PROTO]! >>> 24));
  return h === 0 ? 1 : h;
}
