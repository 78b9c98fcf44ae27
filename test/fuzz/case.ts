/**
 * A case: what one run of a fuzz target is given.  It is a list of records of bytes, whose first byte says to the target what
 * the record is; the rest of it is what would come over the wire.  So a case means the same whatever becomes of the
 * generators.  As text, it is a line of hex, a word for each record.
 */

import type { Random } from './random.ts';

export type Case = readonly Uint8Array[];

/** What a target tells of a run: words, each of them something that happened.  New ones make a case worth keeping. */
export type Features = Iterable<string>;

export interface FuzzTarget {
  readonly name: string;
  /** A case by the grammar of the input. */
  generate(random: Random): Case;
  /** Runs a case, any case, independently of those before.  Throws, or rejects, if something is wrong with the product. */
  run(records: Case): Features | Promise<Features>;
  /** Whether records hold netlink attributes: mutations then know their headers.  Where they begin, by a record's kind. */
  attrsAt?(record: Uint8Array): number;
  /** Changes a record as its grammar has it; half of all changes are of this kind. */
  mutateRecord?(record: Uint8Array, random: Random): Uint8Array;
}

/** What is wrong with the product, in the words of the oracle that found it. */
export class Finding extends Error {
  override readonly name = 'Finding';
}

export function check(condition: boolean, what: string | (() => string)): asserts condition {
  if (!condition) throw new Finding(typeof what === 'string' ? what : what());
}

export const record = (kind: number, bytes: ArrayLike<number>): Uint8Array => {
  const all = new Uint8Array(1 + bytes.length);
  all[0] = kind;
  all.set(bytes, 1);
  return all;
};

const EMPTY = '-';
export const formatCase = (records: Case): string =>
  records.length === 0 ? EMPTY : records.map((r) => Buffer.from(r).toString('hex')).join(' ');

/** Throws RangeError for a line that is no case. */
export function parseCase(line: string): Case {
  if (line.trim() === EMPTY) return [];
  return line
    .trim()
    .split(/\s+/)
    .map((word) => {
      if (!/^([0-9a-f]{2})+$/.test(word)) throw new RangeError(`case: "${word}" is no hex`);
      return Uint8Array.from(Buffer.from(word, 'hex'));
    });
}

export const caseSize = (records: Case): number => records.reduce((n, r) => n + r.length, 0);
