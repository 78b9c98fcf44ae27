/**
 * A trie of the prefixes that rules have of one field, such as ip_dst/16: tells from the first bits of a packet's field which prefix
 * lengths can match at all, and how many bits had to be looked at to know.
 *
 * A path without branches is one node.  Source: lib/classifier.c (struct trie_node, trie_lookup_value).
 */
import { getBits } from '../../flow/bits.ts';
import { FIELD } from '../../flow/fields.ts';

interface Node {
  /** The bits of this stretch, up to 32, right-aligned; signed, as V8 puts larger numbers into an object of their own. */
  bits: number;
  nBits: number;
  /** Rules whose prefix ends with this node. */
  nRules: number;
  zero: Node | undefined;
  one: Node | undefined;
}

const MAX_CHUNK = 32;

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

export class PrefixTrie {
  /** Where the field stands in a flow. */
  readonly at: number;
  readonly bits: number;
  private root: Node | undefined;
  /** Results of the last `lookup`: bits that decided, and which prefix lengths matched. */
  private maskBits = 0;
  private serial = -1;
  private readonly matched: Uint32Array;
  private readonly isOneWord: boolean;

  /** The Ethernet type of which this is a field; undefined: of packets of any type. */
  private readonly ethType: number | undefined;

  constructor(at: number, bits: number, ethType?: number) {
    this.at = at;
    this.bits = bits;
    this.ethType = ethType;
    this.isOneWord = bits === 32 && (at & 31) === 0;
    this.matched = new Uint32Array(Math.ceil((bits + 1) / 32));
  }

  get isEmpty(): boolean {
    return this.root === undefined;
  }

  /** Adds the first `len` bits that `flow` has in the field. */
  insert(flow: Int32Array, len: number): void {
    this.root = this.insertAt(this.root, flow, 0, len);
  }

  private insertAt(node: Node | undefined, flow: Int32Array, ofs: number, len: number): Node {
    const left = len - ofs;
    if (node === undefined) {
      const n = Math.min(left, MAX_CHUNK);
      const made: Node = {
        bits: n === 0 ? 0 : getBits(flow, this.at + ofs, n) | 0,
        nBits: n,
        nRules: 0,
        zero: undefined,
        one: undefined,
      };
      if (n === left) made.nRules = 1;
      else this.descend(made, flow, ofs + n, len);
      return made;
    }
    const n = Math.min(left, node.nBits);
    const mine = n === 0 ? 0 : getBits(flow, this.at + ofs, n);
    const same = n === 0 ? 0 : commonBits(mine, upper(node.bits, node.nBits, n), n);
    if (same === node.nBits) {
      if (left === same) node.nRules++;
      else this.descend(node, flow, ofs + same, len);
      return node;
    }
    // The node is split where the two part.
    const top: Node = {
      bits: upper(node.bits, node.nBits, same),
      nBits: same,
      nRules: 0,
      zero: undefined,
      one: undefined,
    };
    const rest = node.nBits - same;
    node.bits = lower(node.bits, rest);
    node.nBits = rest;
    if (node.bits >>> (rest - 1) === 1) top.one = node;
    else top.zero = node;
    if (left === same) top.nRules = 1;
    else this.descend(top, flow, ofs + same, len);
    return top;
  }

  private descend(node: Node, flow: Int32Array, ofs: number, len: number): void {
    if (getBits(flow, this.at + ofs, 1) === 1) node.one = this.insertAt(node.one, flow, ofs, len);
    else node.zero = this.insertAt(node.zero, flow, ofs, len);
  }

  /** Takes back one `insert` of the same bits. */
  remove(flow: Int32Array, len: number): void {
    this.root = this.removeAt(this.root, flow, 0, len);
  }

  private removeAt(node: Node | undefined, flow: Int32Array, ofs: number, len: number): Node | undefined {
    if (node === undefined || len - ofs < node.nBits) return node;
    if (node.nBits > 0 && (getBits(flow, this.at + ofs, node.nBits) | 0) !== node.bits) return node;
    const next = ofs + node.nBits;
    if (next === len) node.nRules = Math.max(0, node.nRules - 1);
    else if (getBits(flow, this.at + next, 1) === 1) node.one = this.removeAt(node.one, flow, next, len);
    else node.zero = this.removeAt(node.zero, flow, next, len);
    return prune(node);
  }

  /**
   * Looks up the field of `flow`.  `needed` and `mayMatch` tell the result until the next call.
   *
   * The longest common path decides: one bit beyond it tells that no longer prefix matches.
   */
  lookup(flow: Int32Array): void {
    this.matched.fill(0);
    this.maskBits = this.isOneWord ? this.lookupWord(flow[this.at >>> 5] as number) : this.lookupBits(flow);
  }

  private lookupBits(flow: Int32Array): number {
    let node = this.root;
    let prev: Node | undefined;
    let ofs = 0;
    while (node !== undefined) {
      const n = node.nBits;
      if (n > 0) {
        const same = commonBits(getBits(flow, this.at + ofs, n), node.bits, n);
        if (same < n) return ofs + same + 1;
      }
      ofs += n;
      if (node.nRules > 0) this.matched[ofs >>> 5] = (this.matched[ofs >>> 5] as number) | (1 << (ofs & 31));
      if (ofs >= this.bits) return this.bits;
      prev = node;
      node = getBits(flow, this.at + ofs, 1) === 1 ? node.one : node.zero;
    }
    return deadEnd(prev, ofs);
  }

  /** The same for a field that is one word of a flow, such as an IPv4 address: `rest` is what is left of it, from its uppermost bit on. */
  private lookupWord(value: number): number {
    let node = this.root;
    let prev: Node | undefined;
    let rest = value;
    let ofs = 0;
    let lengths = 0;
    let needed = -1;
    while (node !== undefined) {
      const n = node.nBits;
      if (n > 0) {
        const diff = (rest >>> (32 - n)) ^ node.bits;
        if (diff !== 0) {
          needed = ofs + Math.clz32(diff) - (32 - n) + 1;
          break;
        }
        ofs += n;
      }
      if (ofs === 32) {
        if (node.nRules > 0) this.matched[1] = 1;
        needed = 32;
        break;
      }
      rest <<= n;
      if (node.nRules > 0) lengths |= 1 << ofs;
      prev = node;
      node = rest < 0 ? node.one : node.zero;
    }
    this.matched[0] = lengths;
    return needed < 0 ? deadEnd(prev, ofs) : needed;
  }

  /** The same, but once for each `serial`: a look-up asks in many subtables. */
  lookupOnce(flow: Int32Array, serial: number): void {
    if (this.serial === serial) return;
    this.serial = serial;
    if (this.ethType === undefined || this.ethType === getBits(flow, FIELD.ethType.at, FIELD.ethType.bits)) {
      this.lookup(flow);
      return;
    }
    // ARP has its addresses in the same place: nothing is known of those.
    this.matched.fill(0xffffffff);
    this.maskBits = 0;
  }

  /** Leading bits of the field that decided the last look-up. */
  get needed(): number {
    return this.maskBits;
  }
  /** Whether a rule with a prefix of `len` bits may match the packet of the last look-up. */
  mayMatch(len: number): boolean {
    return ((this.matched[len >>> 5] as number) & (1 << (len & 31))) !== 0;
  }
}

/** Bits that it takes to know that nothing goes on after `prev`: the bit that was looked at last excluded the other branch, if there is one. */
const deadEnd = (prev: Node | undefined, ofs: number): number =>
  prev === undefined || (prev.zero === undefined && prev.one === undefined) ? ofs : ofs + 1;

/** Removes a node that says nothing any more, and joins one that does not branch with its child. */
function prune(node: Node): Node | undefined {
  if (node.nRules > 0) return node;
  const { zero, one } = node;
  if (zero !== undefined && one !== undefined) return node;
  const child = zero ?? one;
  if (child === undefined || node.nBits + child.nBits > MAX_CHUNK) return child === undefined ? undefined : node;
  child.bits = child.nBits === 32 ? child.bits : (node.bits << child.nBits) | child.bits;
  child.nBits += node.nBits;
  return child;
}
