/**
 * What happens to rules: what a transaction did to each, and why some were removed.
 * Source: OpenFlow 1.5.1 7.4.4.
 */
import type { Rule } from './rule.ts';

/** OFPRR_*: why a flow was removed. */
// biome-ignore format: table
export const OFPRR = {
  IDLE_TIMEOUT: 0, HARD_TIMEOUT: 1, DELETE: 2, GROUP_DELETE: 3, METER_DELETE: 4, EVICTION: 5,
} as const;
export type RemovalReason = (typeof OFPRR)[keyof typeof OFPRR];

/** What a transaction did to a rule. */
export type RuleChange =
  | { readonly kind: 'added'; readonly rule: Rule }
  /** An addition over a rule of the same match and priority is `isAdd`. */
  | { readonly kind: 'replaced'; readonly rule: Rule; readonly old: Rule; readonly isAdd: boolean }
  | { readonly kind: 'removed'; readonly rule: Rule; readonly reason: RemovalReason };
