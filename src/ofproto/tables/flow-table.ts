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

/** Thresholds in percent of free entries; the next event is the one that `awaits` names, and then the other one. */
export interface VacancyEvents {
  readonly down: number;
  readonly up: number;
  awaits: 'down' | 'up';
}

/** Fields that have prefix tries unless Flow_Table.prefixes says otherwise. */
const DEFAULT_PREFIXES = [FIELD.nwDst, FIELD.nwSrc];

export class FlowTable {
  readonly number: number;
  readonly classifier = new Classifier<Rule>();
  name: string | undefined;
  /** Whether the database gave the name: controllers cannot give another. */
  isNameConfigured = false;
  /** Whether OFPT_TABLE_MOD or a controller may not change it. */
  isHidden = false;
  miss: MissConfig = 'default';
  maxFlows = Number.POSITIVE_INFINITY;
  eviction: EvictionGroups | undefined;
  /** What the database says of eviction, and whether a controller wants it: either switches it on. */
  private evictionFields: readonly EvictionField[] | undefined;
  private wantsEviction = false;
  /** Events when the table fills up or empties; undefined: none. */
  vacancy: VacancyEvents | undefined;
  /** Rules that the newest version has. */
  nFlows = 0;
  /** Those of them that controllers neither see nor change. */
  nHidden = 0;
  nMatched = 0n;
  nMissed = 0n;

  constructor(number: number) {
    this.number = number;
    this.classifier.setPrefixFields(DEFAULT_PREFIXES);
  }

  lookup(flow: FlowKey, version: number, wc: FlowMask | undefined): Rule | undefined {
    return this.classifier.lookup(flow, version, wc);
  }

  /** Switches eviction on, with groups by `fields`, or off: what the database says. */
  setEviction(fields: readonly EvictionField[] | undefined): void {
    this.evictionFields = fields;
    this.renewEviction();
  }

  /** What a controller says of eviction (OFPT_TABLE_MOD). */
  get evictsByOpenflow(): boolean {
    return this.wantsEviction;
  }
  set evictsByOpenflow(isOn: boolean) {
    const wasOn = this.eviction !== undefined;
    this.wantsEviction = isOn;
    if (wasOn !== (isOn || this.evictionFields !== undefined)) this.renewEviction();
  }

  private renewEviction(): void {
    const isOn = this.wantsEviction || this.evictionFields !== undefined;
    this.eviction = isOn ? new EvictionGroups(this.evictionFields ?? []) : undefined;
    if (this.eviction === undefined) return;
    for (const rule of this.classifier) if (rule.removedIn === Number.POSITIVE_INFINITY) this.eviction.add(rule);
  }

  /** How much of the table is free: percent, rounded down. */
  get vacancyPercent(): number {
    const max = Math.min(this.maxFlows, 0xffff_ffff);
    if (max === 0) return 100;
    return this.nFlows >= max ? 0 : Math.floor(((max - this.nFlows) * 100) / max);
  }
}
