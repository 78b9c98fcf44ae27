/**
 * Why a packet goes to a controller, in text.
 * Source: OpenFlow 1.5.1 7.4.1 (OFPR_*), lib/ofp-packet.c.
 */
import { OfpTextError } from '../ofp-text.ts';

const NAMES = ['no_match', 'action', 'invalid_ttl', 'action_set', 'group', 'packet_out'] as const;
/** OFPR_ACTION: an action says so. */
export const OFPR_ACTION = 1;
/** Inside of Open vSwitch there are two more, which have no name in text: a rule for what nothing else matches, and no rule. */
const OFPR_EXPLICIT_MISS = 6;
const OFPR_N_REASONS = 8;

/** "no_match"; a number for one that has no name. */
export function formatReason(reason: number): string {
  return NAMES[reason] ?? (reason < OFPR_N_REASONS ? '' : String(reason));
}

/** Throws OfpTextError. */
export function parseReason(text: string): number {
  if (text === '') return OFPR_EXPLICIT_MISS;
  const reason = (NAMES as readonly string[]).indexOf(text.toLowerCase());
  if (reason < 0) throw new OfpTextError(`unknown reason "${text}"`);
  return reason;
}
