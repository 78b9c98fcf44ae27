/**
 * Action sets: what write_actions collects, and the order in which it is carried out.
 * Source: OpenFlow 1.5.1 5.6, lib/ofp-actions.c (ofpacts_execute_action_set).
 */
import type { Ofpact, OfpactKind } from '../ofpact.ts';

/** Of each of these only the last counts; they come first, in this order. */
// biome-ignore format: names, several on a line
const SLOTS: readonly OfpactKind[] = ['strip_vlan', 'pop_mpls', 'decap', 'encap', 'push_mpls', 'push_vlan', 'dec_ttl', 'dec_mpls_ttl', 'dec_nsh_ttl'];
/** These come next, as they were written. */
// biome-ignore format: names, several on a line
const SETTERS: ReadonlySet<OfpactKind> = new Set<OfpactKind>([
  'set_field', 'move', 'mod_dl_dst', 'mod_dl_src', 'mod_nw_tos', 'mod_nw_ecn', 'mod_nw_ttl', 'mod_nw_dst', 'mod_nw_src', 'mod_tp_dst',
  'mod_tp_src', 'set_mpls_label', 'set_mpls_tc', 'set_mpls_ttl', 'set_queue', 'set_tunnel', 'set_vlan_pcp', 'set_vlan_vid',
]);
/** One of these ends a set, the last of this list that is there; a set without any does nothing. */
const FINAL: readonly OfpactKind[] = ['ct', 'ct_clear', 'resubmit', 'output', 'group'];

export const isAllowedInActionSet = (a: Ofpact): boolean =>
  SLOTS.includes(a.kind) || SETTERS.has(a.kind) || FINAL.includes(a.kind);

/** The actions that a set stands for, in the order in which they are carried out. */
export function actionSetToList(set: readonly Ofpact[]): Ofpact[] {
  let final: Ofpact | undefined;
  for (const a of set) {
    const rank = FINAL.indexOf(a.kind);
    if (rank >= 0 && (final === undefined || rank >= FINAL.indexOf(final.kind))) final = a;
  }
  if (final === undefined) return [];
  const slots = SLOTS.flatMap((kind) => set.findLast((a) => a.kind === kind) ?? []);
  return [...slots, ...set.filter((a) => SETTERS.has(a.kind)), final];
}
