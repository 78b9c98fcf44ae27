/**
 * What translation does to the wildcards of a megaflow: setting the bits of the fields that it looks at, and asking whether
 * one mask is wider than another.  A 1-bit in a FlowMask means "this bit was consulted".
 * `flow/fields.ts` has the layout.  Source: lib/flow.c (flow_wildcards_*).
 */
import { FIELD, type Field, FLOW_WORDS, VLAN_CFI } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';

/** The words of a field, and its bits in each. */
export interface FieldBits {
  readonly words: readonly number[];
  readonly bits: readonly number[];
}

/** Where the bits of `fields` are. */
export function bitsOf(...fields: readonly Field[]): FieldBits {
  const byWord = new Map<number, number>();
  for (const f of fields) {
    for (let bit = f.at; bit < f.at + f.bits; bit++) {
      byWord.set(bit >>> 5, (byWord.get(bit >>> 5) ?? 0) | (1 << (31 - (bit & 31))));
    }
  }
  return { words: [...byWord.keys()], bits: [...byWord.values()] };
}

/** Marks every bit of the field as consulted. */
export function unwildcard(wc: FlowMask, f: FieldBits): void {
  for (let i = 0; i < f.words.length; i++) {
    const w = f.words[i] as number;
    wc[w] = (wc[w] as number) | (f.bits[i] as number);
  }
}

/**
 * The words of the two VLAN headers: TPID in the upper half, TCI in the lower.  Translation moves them whole.
 */
export const VLAN_WORDS = [FIELD.vlanTpid.word, FIELD.cvlanTpid.word] as const;
if (FIELD.vlanTci.word !== VLAN_WORDS[0] || FIELD.cvlanTci.word !== VLAN_WORDS[1] || FIELD.vlanTci.shift !== 0) {
  throw new Error('flow key: a VLAN header must be one word');
}

/** Number of VLAN headers of a key, 0 to 2. */
export function nVlans(key: FlowKey): number {
  if (((key[VLAN_WORDS[0]] as number) & VLAN_CFI) === 0) return 0;
  return ((key[VLAN_WORDS[1]] as number) & VLAN_CFI) === 0 ? 1 : 2;
}

/** True if `wc` has bits that `installed` lacks: the flow in the datapath then matches packets that it should not. */
export function hasExtraBits(installed: FlowMask, wc: FlowMask): boolean {
  for (let i = 0; i < FLOW_WORDS; i++) if (((wc[i] as number) & ~(installed[i] as number)) !== 0) return true;
  return false;
}
