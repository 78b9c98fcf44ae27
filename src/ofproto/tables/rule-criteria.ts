/**
 * Which rules of a switch's tables a request is about.
 * Source: ofproto/ofproto.c (struct rule_criteria).
 */
import type { Match } from '../../openflow/messages/flow/flow-types.ts';

/** Those within `match`, or with exactly this match and `strictPriority`, that meet all the rest, too. */
export interface RuleCriteria {
  /** OFPTT_ALL: all tables but hidden ones. */
  readonly table: number;
  readonly match: Match;
  readonly strictPriority: number | undefined;
  /** The cookie equals `cookie` on the bits of `cookieMask`. */
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  /** OFPP.NONE, OFPG.ANY: wherever they send. */
  readonly outPort: number;
  readonly outGroup: number;
  readonly withHidden: boolean;
}
