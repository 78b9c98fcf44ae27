/**
 * The flow table: tuple space search over the masks in use.
 *
 * All flows of all masks stand in one hash table with open addressing, hashed over the masked words of their key, and
 * over nothing else: a mask is a list of its words that are not zero (Mask.plan).  A look-up tries masks one after the
 * other, beginning with the one that the mask cache names.  Flows that overlap are allowed; which of them a packet meets
 * is open, as in the kernel.
 *
 *     tags:    | tag | tag | ...        a byte of the hash for each slot, 0 for an empty one; linear probing
 *     slots:   | flow | flow | ...
 *     columns: hashes[flow], blocks[flow], flows[flow]          a flow's index stays the same as long as it lives
 *     store:   [masked words] [bitmap and words of the unmasked key, for flows without UFID]
 *
 * Tags alone tell nearly all packets that have no flow under a mask, and they are few enough to stay in the processor's cache: a
 * flood of packets that miss would otherwise wait for memory once a mask.
 *
 * Its parts: mask-list.ts the masks, mask-cache.ts which of them to try first, key-store.ts the memory of words, sparse-key.ts unmasked
 * keys in it, ufid-index.ts flows by UFID.
 *
 * Hot path: lookupPacket() and what it calls.  The rest is for installation and dumps.
 * Source: net/openvswitch/flow_table.c.  bench/flow-table.bench.ts measures it.
 */
import { FLOW_WORDS } from '../../flow/fields.ts';
import { hashAdd, hashFinish } from '../../flow/flow-hash.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { tagOf } from '../../util/hash-tag.ts';
import { Flow, type FlowId, type FlowSpec, type Mask } from './flow.ts';
import { KeyStore } from './key-store.ts';
import { DEFAULT_CACHE_SIZE, MaskCache } from './mask-cache.ts';
import { MaskList } from './mask-list.ts';
import { readSparse, sparseSize, sparseSizeAt, writeSparse } from './sparse-key.ts';
import { UfidIndex } from './ufid-index.ts';

const MIN_SLOTS = 1024;

export class FlowTable {
  /** Masks tried for packets, and look-ups that the mask cache decided, since the start. */
  nMaskHit = 0;
  nCacheHit = 0;

  private readonly masks: MaskList;
  private cache = new MaskCache(DEFAULT_CACHE_SIZE);
  /** Which mask search() found the flow under. */
  private foundMask = 0;

  private tags = new Uint8Array(MIN_SLOTS);
  private slots = new Int32Array(MIN_SLOTS);
  private slotMask = MIN_SLOTS - 1;
  private hashes = new Int32Array(MIN_SLOTS);
  private blocks = new Int32Array(MIN_SLOTS);
  private flows: (Flow | undefined)[] = [];
  private freeIndexes: number[] = [];
  private store = new KeyStore();
  private nFlows = 0;
  private readonly byUfid = new UfidIndex();

  constructor(random: () => number = Math.random) {
    this.masks = new MaskList((random() * 0x100000000) | 0);
  }

  get count(): number {
    return this.nFlows;
  }
  get nMasks(): number {
    return this.masks.list.length;
  }
  /** In the order in which look-ups try them.  Not to be changed. */
  allMasks(): readonly Mask[] {
    return this.masks.list;
  }
  get maskCacheSize(): number {
    return this.cache.size;
  }
  /** A power of 2 up to 4096, or 0; throws RangeError else.  The cache begins empty. */
  set maskCacheSize(size: number) {
    if (size !== this.cache.size) this.cache = new MaskCache(size);
  }

  /** The flow for a packet.  `hash` is the packet's; with 0 the cache is left alone.  Hot path. */
  lookupPacket(key: FlowKey, hash: number): Flow | undefined {
    const { cache } = this;
    if (hash === 0 || cache.size === 0) return this.search(key, 0);
    // The same packet has another flow after recirculation.
    if (key[0] !== 0) hash = hashFinish(hashAdd(hash, key[0]!));

    const entry = cache.find(hash);
    if (entry >= 0) {
      const hint = cache.maskAt(entry);
      const flow = this.search(key, hint);
      if (flow === undefined) {
        cache.set(entry, 0, 0);
      } else if (this.foundMask === hint) {
        this.nCacheHit++;
      } else {
        cache.set(entry, hash, this.foundMask);
      }
      return flow;
    }
    // The entry to be replaced says where to begin, as good a guess as any.
    const flow = this.search(key, cache.maskAt(-1 - entry));
    if (flow !== undefined) cache.set(-1 - entry, hash, this.foundMask);
    return flow;
  }

  /** Some flow that `key` matches (ovs_flow_tbl_lookup()).  Counts nothing. */
  lookup(key: FlowKey): Flow | undefined {
    for (const mask of this.masks.list) {
      const flow = this.probe(key, mask);
      if (flow !== undefined) return flow;
    }
    return undefined;
  }

  /** The flow without UFID that was installed with this unmasked key (ovs_flow_tbl_lookup_exact()). */
  lookupExact(unmaskedKey: FlowKey): Flow | undefined {
    for (const mask of this.masks.list) {
      const flow = this.probe(unmaskedKey, mask);
      if (flow !== undefined && flow.ufid === undefined && this.isSame(flow, unmaskedKey)) return flow;
    }
    return undefined;
  }

  lookupUfid(ufid: FlowId): Flow | undefined {
    return this.byUfid.get(ufid);
  }

  /** Whether the masked key of a flow with UFID, or the unmasked key of one without, equals `key` (ovs_flow_cmp()). */
  isSame(flow: Flow, key: FlowKey): boolean {
    this.readUnmaskedKey(flow, scratch);
    for (let i = 0; i < FLOW_WORDS; i++) if (scratch[i] !== key[i]) return false;
    return true;
  }

  /** Adds a flow.  The caller has looked for duplicates. */
  insert(spec: FlowSpec): Flow {
    const mask = this.masks.use(spec.mask);
    const index = this.freeIndexes.pop() ?? this.flows.length;
    if (index >= this.hashes.length) this.growColumns();

    const { plan } = mask;
    const nMasked = plan.length >>> 1;
    const nUnmasked = spec.ufid === undefined ? sparseSize(spec.key) : 0;
    const block = this.store.alloc(nMasked + nUnmasked);
    const { words } = this.store;
    for (let i = 0; i < nMasked; i++) words[block + i] = spec.key[plan[2 * i]!]! & plan[2 * i + 1]!;
    if (spec.ufid === undefined) writeSparse(spec.key, words, block + nMasked);

    const flow = new Flow(this, mask, index, spec.ufid, spec.program);
    this.blocks[index] = block;
    this.flows[index] = flow;
    this.hashes[index] = this.hashUnder(mask, spec.key);
    if (spec.ufid !== undefined) this.byUfid.set(spec.ufid, flow);
    // At most half full: probes stay short.
    if (2 * ++this.nFlows > this.slotMask) this.rehash(2 * (this.slotMask + 1));
    else this.insertSlot(index);
    return flow;
  }

  /** Takes a flow out.  The object keeps its key, mask and statistics. */
  remove(flow: Flow): void {
    const { index, mask } = flow;
    if (this.flows[index] !== flow) throw new Error('flow table: removing a flow that is not in it');
    const block = this.blocks[index]!;
    const size = this.blockSize(flow);
    flow.kept = this.store.words.slice(block, block + size);
    this.store.release(block, size);
    this.removeSlot(index);
    this.flows[index] = undefined;
    this.freeIndexes.push(index);
    // An empty table is as a new one: dumps show its flows in the order in which they come.
    if (--this.nFlows === 0) this.flows.length = this.freeIndexes.length = 0;
    flow.index = -1;
    if (flow.ufid !== undefined) this.byUfid.delete(flow.ufid);
    this.masks.release(mask);
  }

  /** Removes all flows; returns how many there were.  Flow objects that somebody holds lose their keys. */
  flush(): number {
    const n = this.nFlows;
    for (const flow of this.flows) if (flow !== undefined) flow.index = -1;
    this.flows = [];
    this.freeIndexes = [];
    this.masks.clear();
    this.byUfid.clear();
    this.store = new KeyStore();
    this.makeSlots(MIN_SLOTS);
    this.hashes = new Int32Array(MIN_SLOTS);
    this.blocks = new Int32Array(MIN_SLOTS);
    this.nFlows = 0;
    return n;
  }

  /**
   * A walk that can be left and gone on with: the first flow at or after `cursor`, which is 0 at first and then
   * `flow.index + 1`.  A flow that is in the table all the while is met exactly once, whatever comes and goes besides.
   */
  next(cursor: number): Flow | undefined {
    for (let i = cursor; i < this.flows.length; i++) {
      const flow = this.flows[i];
      if (flow !== undefined) return flow;
    }
    return undefined;
  }

  /** Puts the masks in order of their use since the last time (ovs_flow_masks_rebalance(), every 4000 ms). */
  rebalanceMasks(): void {
    this.masks.rebalance();
  }

  readKey(flow: Flow, out: FlowKey): FlowKey {
    const { plan } = flow.mask;
    const words = this.wordsOf(flow);
    const block = this.blockOf(flow);
    out.fill(0);
    for (let i = 0; i < plan.length; i += 2) out[plan[i]!] = words[block + (i >>> 1)]!;
    return out;
  }

  readUnmaskedKey(flow: Flow, out: FlowKey): FlowKey {
    if (flow.ufid !== undefined) return this.readKey(flow, out);
    return readSparse(this.wordsOf(flow), this.blockOf(flow) + (flow.mask.plan.length >>> 1), out);
  }

  /** Tries mask number `hint`, then all others.  Hot path. */
  private search(key: FlowKey, hint: number): Flow | undefined {
    const masks = this.masks.list;
    const n = masks.length;
    if (hint < n) {
      this.nMaskHit++;
      const flow = this.probe(key, masks[hint]!);
      if (flow !== undefined) {
        this.foundMask = hint;
        masks[hint]!.usage++;
        return flow;
      }
    }
    for (let i = 0; i < n; i++) {
      if (i === hint) continue;
      this.nMaskHit++;
      const flow = this.probe(key, masks[i]!);
      if (flow !== undefined) {
        this.foundMask = i;
        masks[i]!.usage++;
        return flow;
      }
    }
    return undefined;
  }

  /** Hot path. */
  private hashUnder(mask: Mask, key: FlowKey): number {
    const { plan } = mask;
    let h = mask.seed;
    for (let i = 0; i < plan.length; i += 2) h = hashAdd(h, key[plan[i]!]! & plan[i + 1]!);
    return hashFinish(h);
  }

  /** The flow with this mask that `key` matches.  Hot path: once a mask. */
  private probe(key: FlowKey, mask: Mask): Flow | undefined {
    const { tags, slotMask } = this;
    const hash = this.hashUnder(mask, key);
    const wanted = tagOf(hash);
    for (let slot = hash & slotMask; ; slot = (slot + 1) & slotMask) {
      const tag = tags[slot]!;
      if (tag === 0) return undefined;
      if (tag !== wanted) continue;
      const index = this.slots[slot]!;
      if (this.matches(key, mask, index)) return this.flows[index];
    }
  }

  /** Whether flow `index` has this mask and the words of `key` under it.  Hot path. */
  private matches(key: FlowKey, mask: Mask, index: number): boolean {
    const { plan } = mask;
    const { words } = this.store;
    const block = this.blocks[index]!;
    for (let i = 0; i < plan.length; i += 2) {
      if (words[block + (i >>> 1)] !== (key[plan[i]!]! & plan[i + 1]!)) return false;
    }
    return this.flows[index]!.mask === mask;
  }

  private insertSlot(index: number): void {
    const { tags, slotMask } = this;
    const hash = this.hashes[index]!;
    let slot = hash & slotMask;
    while (tags[slot] !== 0) slot = (slot + 1) & slotMask;
    tags[slot] = tagOf(hash);
    this.slots[slot] = index;
  }

  /** Empties the flow's slot and moves up those behind it that would not be found any more. */
  private removeSlot(index: number): void {
    const { tags, slots, hashes, slotMask } = this;
    let hole = hashes[index]! & slotMask;
    while (slots[hole] !== index || tags[hole] === 0) hole = (hole + 1) & slotMask;
    for (let slot = (hole + 1) & slotMask; tags[slot] !== 0; slot = (slot + 1) & slotMask) {
      const home = hashes[slots[slot]!]! & slotMask;
      // It may move if its home is not between the hole (not included) and where it is.
      if (((slot - home) & slotMask) < ((slot - hole) & slotMask)) continue;
      tags[hole] = tags[slot]!;
      slots[hole] = slots[slot]!;
      hole = slot;
    }
    tags[hole] = 0;
  }

  private makeSlots(n: number): void {
    this.tags = new Uint8Array(n);
    this.slots = new Int32Array(n);
    this.slotMask = n - 1;
  }

  private rehash(nSlots: number): void {
    this.makeSlots(nSlots);
    for (let i = 0; i < this.flows.length; i++) if (this.flows[i] !== undefined) this.insertSlot(i);
  }

  private growColumns(): void {
    const [hashes, blocks] = [new Int32Array(2 * this.hashes.length), new Int32Array(2 * this.hashes.length)];
    hashes.set(this.hashes);
    blocks.set(this.blocks);
    this.hashes = hashes;
    this.blocks = blocks;
  }

  /** Where a flow's words are: in the store, or with the flow once it was removed. */
  private wordsOf(flow: Flow): Int32Array {
    if (flow.kept !== undefined) return flow.kept;
    if (flow.index < 0) throw new Error('flow table: the flow was flushed');
    return this.store.words;
  }
  /** Where in them they begin. */
  private blockOf(flow: Flow): number {
    return flow.kept !== undefined ? 0 : this.blocks[flow.index]!;
  }

  private blockSize(flow: Flow): number {
    const nMasked = flow.mask.plan.length >>> 1;
    if (flow.ufid !== undefined) return nMasked;
    const at = this.blocks[flow.index]! + nMasked;
    return nMasked + sparseSizeAt(this.store.words, at);
  }
}

const scratch = new Int32Array(FLOW_WORDS);
