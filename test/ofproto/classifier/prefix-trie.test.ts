import { describe, expect, it } from 'vitest';
import { getBits } from '../../../src/flow/bits.ts';
import { FIELD } from '../../../src/flow/fields.ts';
import { newFlow } from '../../../src/flow/flow-key.ts';
import { PrefixTrie } from '../../../src/ofproto/classifier/prefix-trie.ts';
import { fc } from '../../support/property.ts';

/** A field as words, most of them alike. */
const word = fc.constantFrom(0, -1, 0x0a000001, 0x0a000002, 0x0a008000, 0x40000000, 1);
interface Prefix {
  readonly words: readonly number[];
  readonly len: number;
}

/** What a look-up means, prefix by prefix: bits that decide, and lengths that may match. */
function reference(prefixes: readonly Prefix[], bitOf: (p: Prefix, i: number) => number, flow: Prefix): number[] {
  const common = prefixes.map((p) => {
    let n = 0;
    while (n < p.len && bitOf(p, n) === bitOf(flow, n)) n++;
    return n;
  });
  const longest = Math.max(0, ...common);
  const goesOn = prefixes.some((p, i) => common[i] === longest && p.len > longest);
  return [goesOn ? longest + 1 : longest, ...new Set(prefixes.filter((p, i) => common[i] === p.len).map((p) => p.len))];
}

describe.each([
  { name: 'an IPv4 address', field: FIELD.nwDst },
  { name: 'an IPv6 address', field: FIELD.ipv6Src },
])('a trie of $name', ({ field: { at, bits } }) => {
  const nWords = bits / 32;
  const flowOf = ({ words }: Prefix): Int32Array => {
    const flow = newFlow();
    flow.set(words, at >>> 5);
    return flow;
  };
  const bitOf = (p: Prefix, i: number): number => getBits(Int32Array.from(p.words), i, 1);
  const words = fc.array(word, { minLength: nWords, maxLength: nWords });
  const prefix = fc.record({ words, len: fc.integer({ min: 1, max: bits }) });

  it('tells of each packet what a search of all prefixes does, also after removals', () => {
    fc.assert(
      fc.property(
        fc.array(prefix, { maxLength: 25 }),
        fc.array(words, { minLength: 1, maxLength: 5 }),
        (prefixes, packets) => {
          const trie = new PrefixTrie(at, bits);
          for (const p of prefixes) trie.insert(flowOf(p), p.len);
          const out = new Int32Array(9).fill(-1);
          for (let left = [...prefixes]; ; left = left.slice(1)) {
            expect(trie.isEmpty).toBe(left.length === 0);
            for (const packet of packets) {
              const flow = { words: packet, len: bits };
              trie.lookup(flowOf(flow), out, 1);
              const lengths = Array.from({ length: bits + 1 }, (_, n) => n).filter(
                (n) => ((out[2 + (n >>> 5)] as number) & (1 << (n & 31))) !== 0,
              );
              const [needed, ...want] = reference(left, bitOf, flow);
              expect([out[1], ...lengths]).toEqual([needed, ...want.sort((a, b) => a - b)]);
            }
            // It writes no more than it says.
            expect([out[0], out[1 + trie.resultWords]]).toEqual([-1, -1]);
            const [first] = left;
            if (first === undefined) return;
            trie.remove(flowOf(first), first.len);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
