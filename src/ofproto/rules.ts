/**
 * Rules (OpenFlow flows) and the table that holds them.  Translation finds rules through the classifier and carries out
 * their actions; the revalidator credits them with the packets that the datapath counted.
 * Source: ofproto/ofproto-provider.h (struct rule, struct oftable).
 */
import type { FlowKey, FlowMask } from '../flow/flow-key.ts';
import { OFPP } from '../openflow/ofp-port.ts';
import type { Ofpact } from '../openflow/ofpact.ts';
import { monotonicMs } from '../util/clock.ts';
import { type Classifier, type ClassifierRule, catchAll, type Match, TupleSpace } from './classifier.ts';

/** An OpenFlow action of a rule. */
export type OfpAct = Ofpact;

export const output = (port: number, maxLen = 0xffff): OfpAct => ({ kind: 'output', port, maxLen });

export interface RuleSpec {
  readonly priority: number;
  readonly match: Match;
  readonly actions: readonly OfpAct[];
  readonly cookie?: bigint;
  /** Not shown to OpenFlow controllers and not deleted by them. */
  readonly isHidden?: boolean;
}

export class Rule implements ClassifierRule {
  readonly priority: number;
  readonly match: Match;
  readonly actions: readonly OfpAct[];
  readonly cookie: bigint;
  readonly isHidden: boolean;
  readonly createdMs = monotonicMs();
  nPackets = 0n;
  nBytes = 0n;
  /** When a packet last matched, or when it was made. */
  usedMs = this.createdMs;

  constructor(spec: RuleSpec) {
    this.priority = spec.priority;
    this.match = spec.match;
    this.actions = spec.actions;
    this.cookie = spec.cookie ?? 0n;
    this.isHidden = spec.isHidden ?? false;
  }

  /** Adds packets that matched. */
  credit(nPackets: bigint, nBytes: bigint, usedMs: number): void {
    this.nPackets += nPackets;
    this.nBytes += nBytes;
    if (usedMs > this.usedMs) this.usedMs = usedMs;
  }
}

/** What every packet gets that no rule matches: it is dropped, as there is no controller that wants it. */
const newMissRule = (): Rule => new Rule({ priority: 0, match: catchAll(), actions: [], isHidden: true });

/** "priority=0 actions=NORMAL": what a bridge without a controller begins with. */
export const newDefaultRule = (): Rule => new Rule({ priority: 0, match: catchAll(), actions: [output(OFPP.NORMAL)] });

/** One flow table.  `onChange` is called after each change, so that datapath flows are revalidated. */
export class FlowTable implements Iterable<Rule> {
  private readonly classifier: Classifier<Rule> = new TupleSpace<Rule>();
  private readonly miss = newMissRule();
  private readonly onChange: () => void;

  constructor(onChange: () => void) {
    this.onChange = onChange;
  }

  get size(): number {
    return this.classifier.size;
  }
  [Symbol.iterator](): Iterator<Rule> {
    return this.classifier[Symbol.iterator]();
  }

  /** Adds a rule in place of one with the same match and priority, if any. */
  add(rule: Rule): void {
    this.classifier.insert(rule);
    this.onChange();
  }

  /** Removes the rule with exactly this match and priority; false if there is none. */
  removeStrictly(match: Match, priority: number): boolean {
    const rule = this.classifier.findExactly(match, priority);
    if (rule === undefined) return false;
    this.classifier.remove(rule);
    this.onChange();
    return true;
  }

  clear(): void {
    for (const rule of [...this.classifier]) if (!rule.isHidden) this.classifier.remove(rule);
    this.onChange();
  }

  /** The rule for a packet, the miss rule if none matches; adds what it looked at to `wc`. */
  lookup(key: FlowKey, wc: FlowMask | undefined): Rule {
    return this.classifier.lookup(key, wc) ?? this.miss;
  }
}
