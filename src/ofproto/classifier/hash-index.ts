/**
 * A hash table of a subtable: open addressing in the memory of its classifier.  Keys are 32-bit hashes; what has the same hash shares a place.
 * Look-ups read that memory themselves (`lookup-program.ts`).
 */
import { tagOf } from '../../util/hash-tag.ts';
import type { HashArena } from './hash-arena.ts';

const MIN_SIZE = 8;

/** Hash -> a value.  A place is found by `find` and good for one change. */
export class HashIndex<T> {
  private readonly arena: HashArena;
  private n = 0;
  /** Where the table lies in the arena, and of how many places it is: a power of two, of which at most half are taken. */
  at: number;
  size = MIN_SIZE;
  /** The values by their places, and holes; to be read only. */
  values: (T | undefined)[] = new Array<T | undefined>(MIN_SIZE).fill(undefined);

  constructor(arena: HashArena) {
    this.arena = arena;
    this.at = arena.take(MIN_SIZE);
  }

  /** Gives the memory back: the table is used no more. */
  dispose(): void {
    this.arena.give(this.at, this.size);
  }

  get(key: number): T | undefined {
    return this.values[this.find(key)];
  }

  /** The place of `key`, from 0; or the empty one where it belongs. */
  find(key: number): number {
    const { tags, keys } = this.arena;
    const { at } = this;
    const mask = this.size - 1;
    const mine = tagOf(key);
    for (let place = key & mask; ; place = (place + 1) & mask) {
      const tag = tags[at + place] as number;
      if (tag === 0 || (tag === mine && keys[at + place] === key)) return place;
    }
  }

  /** Sets the value at the place of `key`, which may be empty yet. */
  put(place: number, key: number, value: T): void {
    const isNew = this.values[place] === undefined;
    this.fill(place, key, value);
    if (isNew && ++this.n * 2 > this.size) this.grow();
  }

  /** Empties a place, and moves back what probing had pushed beyond it. */
  remove(place: number): void {
    const { tags, keys } = this.arena;
    const { at, values } = this;
    const mask = this.size - 1;
    let hole = place;
    for (let next = (hole + 1) & mask; tags[at + next] !== 0; next = (next + 1) & mask) {
      const home = (keys[at + next] as number) & mask;
      // It may move if its home is not between the hole and where it stands.
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      keys[at + hole] = keys[at + next] as number;
      tags[at + hole] = tags[at + next] as number;
      values[hole] = values[next];
      hole = next;
    }
    tags[at + hole] = 0;
    values[hole] = undefined;
    this.n--;
  }

  private fill(place: number, key: number, value: T): void {
    this.arena.tags[this.at + place] = tagOf(key);
    this.arena.keys[this.at + place] = key;
    this.values[place] = value;
  }

  private grow(): void {
    const { at, size, values } = this;
    this.size = size * 2;
    this.at = this.arena.take(this.size);
    this.values = new Array<T | undefined>(this.size).fill(undefined);
    const { keys } = this.arena;
    for (let place = 0; place < size; place++) {
      const value = values[place];
      if (value === undefined) continue;
      const key = keys[at + place] as number;
      this.fill(this.find(key), key, value);
    }
    this.arena.give(at, size);
  }
}
