/**
 * A map from UFIDs: open addressing over their words, so that finding one makes no string and touches no object.
 *
 *     slots:   | hash | entry + 1 | hash | entry + 1 | ...      linear probing, 0 for an empty one
 *     columns: words[4 * entry ...], values[entry]              an entry's index stays the same as long as it is there
 *
 * A walk by `next` may be left and gone on with, whatever comes and goes meanwhile: what is there all the while is met once.
 */
import { hashAdd, hashFinish } from '../flow/flow-hash.ts';
import type { Ufid } from './odp-ufid.ts';

const MIN_SLOTS = 64;
/** A map that is emptied keeps memory for so many slots: one that serves batch after batch need not grow again. */
const KEPT_SLOTS = 256;

export class UfidMap<V> {
  private slots = new Int32Array(2 * MIN_SLOTS);
  private slotMask = MIN_SLOTS - 1;
  private words = new Int32Array(4 * MIN_SLOTS);
  private values: (V | undefined)[] = [];
  private readonly freeEntries: number[] = [];
  private count = 0;
  /** The entry after the one that was found last. */
  private following = 0;
  /** Of all hashes: nobody can make UFIDs that meet in one slot. */
  private readonly seed = (Math.random() * 0x100000000) | 0;

  get size(): number {
    return this.count;
  }

  get(ufid: Ufid): V | undefined {
    // Whoever asks for one after the other in the order in which they came, as a dump does, is spared a look at slots all over the memory.
    const guess = this.following;
    if (guess < this.values.length && this.isAt(guess, ufid) && this.values[guess] !== undefined) {
      this.following = guess + 1;
      return this.values[guess];
    }
    const slot = this.find(ufid, this.hashOf(ufid));
    if (slot < 0) return undefined;
    const entry = (this.slots[2 * slot + 1] as number) - 1;
    this.following = entry + 1;
    return this.values[entry];
  }

  set(ufid: Ufid, value: V): void {
    const hash = this.hashOf(ufid);
    const slot = this.find(ufid, hash);
    if (slot >= 0) {
      this.values[(this.slots[2 * slot + 1] as number) - 1] = value;
      return;
    }
    const entry = this.freeEntries.pop() ?? this.values.length;
    // At most half of the slots are full, so that probes stay short; and there are as many words as slots.
    if (2 * ++this.count > this.slotMask) this.grow();
    const { words } = this;
    words[4 * entry] = ufid.w0;
    words[4 * entry + 1] = ufid.w1;
    words[4 * entry + 2] = ufid.w2;
    words[4 * entry + 3] = ufid.w3;
    this.values[entry] = value;
    this.insertSlot(hash, entry);
  }

  /** False if it was not there. */
  delete(ufid: Ufid): boolean {
    const slot = this.find(ufid, this.hashOf(ufid));
    if (slot < 0) return false;
    const entry = (this.slots[2 * slot + 1] as number) - 1;
    this.emptySlot(slot);
    this.values[entry] = undefined;
    this.freeEntries.push(entry);
    this.count--;
    return true;
  }

  clear(): void {
    if (this.values.length === 0) return;
    this.values = [];
    this.freeEntries.length = 0;
    this.count = 0;
    if (this.slotMask < KEPT_SLOTS) this.slots.fill(0);
    else {
      this.slotMask = MIN_SLOTS - 1;
      this.slots = new Int32Array(2 * MIN_SLOTS);
      this.words = new Int32Array(4 * MIN_SLOTS);
    }
  }

  /** The first entry at or after `cursor`, which is 0 at first and then the entry before + 1; -1 if there is none. */
  next(cursor: number): number {
    for (let i = cursor; i < this.values.length; i++) if (this.values[i] !== undefined) return i;
    return -1;
  }
  /** The value of an entry. */
  at(entry: number): V {
    return this.values[entry] as V;
  }
  *[Symbol.iterator](): Iterator<V> {
    for (let i = this.next(0); i >= 0; i = this.next(i + 1)) yield this.at(i);
  }

  private hashOf(ufid: Ufid): number {
    return hashFinish(hashAdd(hashAdd(hashAdd(hashAdd(this.seed, ufid.w0), ufid.w1), ufid.w2), ufid.w3));
  }

  /** The slot of `ufid`; -1 if it is not there. */
  private find(ufid: Ufid, hash: number): number {
    const { slots, slotMask } = this;
    for (let slot = hash & slotMask; ; slot = (slot + 1) & slotMask) {
      const entry = (slots[2 * slot + 1] as number) - 1;
      if (entry < 0) return -1;
      if (slots[2 * slot] === hash && this.isAt(entry, ufid)) return slot;
    }
  }

  /** Whether an entry has, or had, this UFID. */
  private isAt(entry: number, { w0, w1, w2, w3 }: Ufid): boolean {
    const { words } = this;
    const at = 4 * entry;
    return words[at] === w0 && words[at + 1] === w1 && words[at + 2] === w2 && words[at + 3] === w3;
  }

  private insertSlot(hash: number, entry: number): void {
    const { slots, slotMask } = this;
    let slot = hash & slotMask;
    while (slots[2 * slot + 1] !== 0) slot = (slot + 1) & slotMask;
    slots[2 * slot] = hash;
    slots[2 * slot + 1] = entry + 1;
  }

  /** Moves up those behind it that would not be found any more. */
  private emptySlot(hole: number): void {
    const { slots, slotMask } = this;
    for (let slot = (hole + 1) & slotMask; slots[2 * slot + 1] !== 0; slot = (slot + 1) & slotMask) {
      const home = (slots[2 * slot] as number) & slotMask;
      // It may move if its home is not between the hole (not included) and where it is.
      if (((slot - home) & slotMask) < ((slot - hole) & slotMask)) continue;
      slots[2 * hole] = slots[2 * slot] as number;
      slots[2 * hole + 1] = slots[2 * slot + 1] as number;
      hole = slot;
    }
    slots[2 * hole + 1] = 0;
  }

  private grow(): void {
    const old = this.slots;
    this.slots = new Int32Array(2 * old.length);
    this.slotMask = 2 * this.slotMask + 1;
    for (let i = 0; i < old.length; i += 2) {
      if (old[i + 1] !== 0) this.insertSlot(old[i] as number, (old[i + 1] as number) - 1);
    }
    const words = new Int32Array(2 * this.words.length);
    words.set(this.words);
    this.words = words;
  }
}
