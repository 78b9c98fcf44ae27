/**
 * Which flow of a full table has to go for a new one: that of least importance, and of those the one that expires first, in
 * the largest group of flows with the same values of chosen fields.  Flows without timeout stay.
 *
 * The group is found at once, the flow by a search of its group.
 * Source: ofproto/ofproto.c (choose_rule_to_evict, rule_eviction_priority), ovs-vswitchd.conf.db(5), Flow_Table.
 */
import { getBits } from '../../flow/bits.ts';
import type { Rule } from './rule.ts';

/** Bits of a flow that tell groups apart. */
export interface EvictionField {
  /** First bit in a flow, and how many. */
  readonly at: number;
  readonly bits: number;
}

export class EvictionGroups {
  private readonly fields: readonly EvictionField[];
  private readonly groups = new Map<string, Set<Rule>>();

  constructor(fields: readonly EvictionField[]) {
    this.fields = fields;
  }

  add(rule: Rule): void {
    if (!rule.hasTimeout) return;
    const key = this.keyOf(rule);
    let group = this.groups.get(key);
    if (group === undefined) {
      group = new Set();
      this.groups.set(key, group);
    }
    group.add(rule);
  }

  remove(rule: Rule): void {
    const key = this.keyOf(rule);
    const group = this.groups.get(key);
    if (group === undefined) return;
    group.delete(rule);
    if (group.size === 0) this.groups.delete(key);
  }

  /** The flow to evict; undefined if all of them must stay. */
  choose(): Rule | undefined {
    let largest: Set<Rule> | undefined;
    for (const group of this.groups.values()) if (group.size > (largest?.size ?? 0)) largest = group;
    let best: Rule | undefined;
    for (const rule of largest ?? []) if (best === undefined || isRatherEvicted(rule, best)) best = rule;
    return best;
  }

  private keyOf(rule: Rule): string {
    if (this.fields.length === 0) return '';
    const { mask, values } = rule.match;
    const flow = new Int32Array((mask.words.at(-1) ?? 0) + 2);
    mask.words.forEach((w, i) => {
      flow[w] = values[i] as number;
    });
    return this.fields.map((f) => bitsText(flow, f)).join();
  }
}

function bitsText(flow: Int32Array, f: EvictionField): string {
  let text = '';
  for (let done = 0; done < f.bits; done += 32) text += `${getBits(flow, f.at + done, Math.min(32, f.bits - done))}.`;
  return text;
}

function isRatherEvicted(a: Rule, b: Rule): boolean {
  return a.importance !== b.importance ? a.importance < b.importance : a.expiresMs < b.expiresMs;
}
