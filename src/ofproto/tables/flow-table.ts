/**
 * One flow table: its classifier, its limits and what it counts.  `flow-tables.ts` has all of a switch's and changes them.
 * Source: ofproto/ofproto-provider.h (struct oftable).
 */
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { Classifier } from '../classifier/classifier.ts';
import { type EvictionField, EvictionGroups } from './eviction.ts';
import type { Rule } from './rule.ts';

/** What a packet meets that no rule of a table matches. */
export type MissConfig = 'default' | 'controller' | 'continue' | 'drop';

/** Fields that have prefix tries unless Flow_Table.prefixes says otherwise. */
const DEFAULT_PREFIXES = [FIELD.nwDst, FIELD.nwSrc];

export class FlowTable {
  readonly number: number;
  readonly classifier = new Classifier<Rule>();
  name: string | undefined;
  /** Whether OFPT_TABLE_MOD or a controller may not change it. */
  isHidden = false;
  miss: MissConfig = 'default';
  maxFlows = Number.POSITIVE_INFINITY;
  eviction: EvictionGroups | undefined;
  /** Rules that the newest version has. */
  nFlows = 0;
  nMatched = 0n;
  nMissed = 0n;

  constructor(number: number) {
    this.number = number;
    this.classifier.setPrefixFields(DEFAULT_PREFIXES);
  }

  lookup(flow: FlowKey, version: number, wc: FlowMask | undefined): Rule | undefined {
    return this.classifier.lookup(flow, version, wc);
  }

  /** Switches eviction on, with groups by `fields`, or off. */
  setEviction(fields: readonly EvictionField[] | undefined): void {
    this.eviction = fields === undefined ? undefined : new EvictionGroups(fields);
    if (this.eviction === undefined) return;
    for (const rule of this.classifier) if (rule.removedIn === Number.POSITIVE_INFINITY) this.eviction.add(rule);
  }
}
