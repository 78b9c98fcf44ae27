/**
 * A trie of the prefixes that rules have of one field, such as ip_dst/16: tells from the first bits of a packet's field which prefix
 * lengths can match at all, and how many bits had to be looked at to know.
 *
 * A path without branches is one node.  Source: lib/classifier.c (struct trie_node, trie_lookup_value).
 *
 * Nodes lie in one array, four words each, and are known by where they begin.  What points to a node is a place of that array, too:
 *
 *     0      1                     2            3
 *     bits   nBits | nRules << 6   next for 0   next for 1
 *
 * `bits` are those of this stretch, up to 32, right-aligned; `nRules` is of rules whose prefix ends with the node.  At 0 there is no node, as 0 means none:
 * there stand the root and what was removed.
 */
import { getBits } from '../../flow/bits.ts';

const NODE_WORDS = 4;
const MIN_WORDS = 4 * NODE_WORDS;
const COUNTS = 1;
const NEXT = 2;
const ROOT = 2;
const FREE = 3;
const MAX_CHUNK = 32;
const N_BITS = 0x3f;
const ONE_RULE = 0x40;

/** Number of leading bits that two strings of `n` bits have in common. */
function commonBits(a: number, b: number, n: number): number {
  const diff = a ^ b;
  if (diff === 0) return n;
  return Math.min(n, Math.clz32(diff) - (32 - n));
}

/** The upper `n` of `total` right-aligned bits. */
const upper = (bits: number, total: number, n: number): number => (n === 0 ? 0 : (bits >>> (total - n)) | 0);
/** The lower `n`. */
const lower = (bits: number, n: number): number => (n === 32 ? bits : bits & ((1 << n) - 1));

/** Places of the nodes on the way to one that is removed: one for each bit at most, and the root. */
const path = new Int32Array(130);

export class PrefixTrie {
  /** Where the field stands in a flow, and its length in bits, 128 at most. */
  readonly at: number;
  readonly bits: number;
  private nodes = new Int32Array(MIN_WORDS);
  private end = NODE_WORDS;
  private readonly isOneWord: boolean;

  constructor(at: number, bits: number) {
    this.at = at;
    this.bits = bits;
    this.isOneWord = bits === 32 && (at & 31) === 0;
  }

  get isEmpty(): boolean {
    return this.nodes[ROOT] === 0;
  }

  /** Words of what `lookup` writes. */
  get resultWords(): number {
    return 1 + ((this.bits + 32) >>> 5);
  }

  /** Adds the first `len` bits that `flow` has in the field. */
  insert(flow: Int32Array, len: number): void {
    let place = ROOT;
    for (let ofs = 0; ; ) {
      const left = len - ofs;
      let node = this.nodes[place] as number;
      if (node === 0) {
        const n = Math.min(left, MAX_CHUNK);
        node = this.make(place, n === 0 ? 0 : getBits(flow, this.at + ofs, n), n);
      }
      const { nodes } = this;
      const counts = nodes[node + COUNTS] as number;
      const nBits = counts & N_BITS;
      const n = Math.min(left, nBits);
      const bits = nodes[node] as number;
      const same = n === 0 ? 0 : commonBits(getBits(flow, this.at + ofs, n), upper(bits, nBits, n), n);
      if (same < nBits) {
        // The node is split where the two part.
        const rest = nBits - same;
        nodes[node] = lower(bits, rest);
        nodes[node + COUNTS] = counts - same;
        const isOne = (bits >>> (rest - 1)) & 1;
        const below = node;
        node = this.make(place, upper(bits, nBits, same), same);
        this.nodes[node + NEXT + isOne] = below;
      }
      if (left === same) {
        this.nodes[node + COUNTS] = (this.nodes[node + COUNTS] as number) + ONE_RULE;
        return;
      }
      ofs += same;
      place = node + NEXT + getBits(flow, this.at + ofs, 1);
    }
  }

  /** Takes back one `insert` of the same bits. */
  remove(flow: Int32Array, len: number): void {
    const { nodes } = this;
    let place = ROOT;
    let depth = 0;
    for (let ofs = 0; ; ) {
      const node = nodes[place] as number;
      if (node === 0) return;
      const nBits = (nodes[node + COUNTS] as number) & N_BITS;
      if (len - ofs < nBits || (nBits > 0 && (getBits(flow, this.at + ofs, nBits) | 0) !== nodes[node])) return;
      path[depth++] = place;
      ofs += nBits;
      if (ofs === len) {
        if ((nodes[node + COUNTS] as number) >= ONE_RULE)
          nodes[node + COUNTS] = (nodes[node + COUNTS] as number) - ONE_RULE;
        break;
      }
      place = node + NEXT + getBits(flow, this.at + ofs, 1);
    }
    while (depth > 0 && this.prune(path[--depth] as number));
    if (nodes[ROOT] !== 0 || nodes.length <= MIN_WORDS) return;
    // What many prefixes needed is not kept for few.
    this.nodes = new Int32Array(MIN_WORDS);
    this.end = NODE_WORDS;
  }

  /**
   * Looks up the field of `flow`.  Writes to `out` from `to` on: the number of leading bits that decided, and a bit for each length of prefix that a
   * rule may have to match, bit 0 of the first word for length 0.  Hot path.
   *
   * The longest common path decides: one bit beyond it tells that no longer prefix matches.
   */
  lookup(flow: Int32Array, out: Int32Array, to: number): void {
    if (this.isOneWord) {
      this.lookupWord(flow[this.at >>> 5] as number, out, to);
      return;
    }
    for (let i = this.resultWords - 1; i > 0; i--) out[to + i] = 0;
    out[to] = this.lookupBits(flow, out, to + 1);
  }

  private lookupBits(flow: Int32Array, out: Int32Array, lengths: number): number {
    const { nodes } = this;
    let node = nodes[ROOT] as number;
    let prev = 0;
    let ofs = 0;
    while (node !== 0) {
      const counts = nodes[node + COUNTS] as number;
      const n = counts & N_BITS;
      if (n > 0) {
        const same = commonBits(getBits(flow, this.at + ofs, n), nodes[node] as number, n);
        if (same < n) return ofs + same + 1;
      }
      ofs += n;
      if (counts >= ONE_RULE) out[lengths + (ofs >>> 5)] = (out[lengths + (ofs >>> 5)] as number) | (1 << (ofs & 31));
      if (ofs >= this.bits) return this.bits;
      prev = node;
      node = nodes[node + NEXT + getBits(flow, this.at + ofs, 1)] as number;
    }
    return this.deadEnd(prev, ofs);
  }

  /** The same for a field that is one word of a flow, such as an IPv4 address: `rest` is what is left of it, from its uppermost bit on. */
  private lookupWord(value: number, out: Int32Array, to: number): void {
    const { nodes } = this;
    let node = nodes[ROOT] as number;
    let prev = 0;
    let rest = value;
    let ofs = 0;
    let lengths = 0;
    out[to + 2] = 0;
    while (node !== 0) {
      const counts = nodes[node + COUNTS] as number;
      const n = counts & N_BITS;
      if (n > 0) {
        const diff = (rest >>> (32 - n)) ^ (nodes[node] as number);
        if (diff !== 0) {
          out[to] = ofs + Math.clz32(diff) - (32 - n) + 1;
          out[to + 1] = lengths;
          return;
        }
        ofs += n;
      }
      if (ofs === 32) {
        if (counts >= ONE_RULE) out[to + 2] = 1;
        out[to] = 32;
        out[to + 1] = lengths;
        return;
      }
      rest <<= n;
      // No branch: nobody could foretell which way it goes.
      lengths |= (counts < ONE_RULE ? 0 : 1) << ofs;
      prev = node;
      node = nodes[node + NEXT + (rest >>> 31)] as number;
    }
    out[to] = this.deadEnd(prev, ofs);
    out[to + 1] = lengths;
  }

  /** Bits that it takes to know that nothing goes on after `prev`: the bit that was looked at last excluded the other branch, if there is one. */
  private deadEnd(prev: number, ofs: number): number {
    return prev === 0 || (this.nodes[prev + NEXT] === 0 && this.nodes[prev + NEXT + 1] === 0) ? ofs : ofs + 1;
  }

  /** A node of its own at `place`, without rules; `nodes` may be another array afterwards. */
  private make(place: number, bits: number, nBits: number): number {
    let made = this.nodes[FREE] as number;
    if (made !== 0) {
      this.nodes[FREE] = this.nodes[made + NEXT] as number;
      this.nodes[made + NEXT] = 0;
    } else {
      made = this.end;
      this.end += NODE_WORDS;
      if (this.end > this.nodes.length) {
        const larger = new Int32Array(this.nodes.length * 2);
        larger.set(this.nodes);
        this.nodes = larger;
      }
    }
    this.nodes[made] = bits;
    this.nodes[made + COUNTS] = nBits;
    this.nodes[place] = made;
    return made;
  }

  /** Removes the node at `place` if it says nothing any more, or joins it with its child if it does not branch.  True if it is gone. */
  private prune(place: number): boolean {
    const { nodes } = this;
    const node = nodes[place] as number;
    const nBits = nodes[node + COUNTS] as number;
    if (nBits >= ONE_RULE) return false;
    const zero = nodes[node + NEXT] as number;
    const one = nodes[node + NEXT + 1] as number;
    if (zero !== 0 && one !== 0) return false;
    const child = zero | one;
    if (child !== 0) {
      const counts = nodes[child + COUNTS] as number;
      const n = counts & N_BITS;
      if (nBits + n > MAX_CHUNK) return false;
      if (n < 32) nodes[child] = ((nodes[node] as number) << n) | (nodes[child] as number);
      nodes[child + COUNTS] = counts + nBits;
    }
    nodes[place] = child;
    nodes[node + NEXT] = nodes[FREE] as number;
    nodes[node + NEXT + 1] = 0;
    nodes[FREE] = node;
    return child === 0;
  }
}
