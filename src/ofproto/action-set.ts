/**
 * The action set of OpenFlow 1.1: which of the written actions are carried out at the end of the pipeline, and in which order.
 * Source: OpenFlow 1.5.1 5.6, lib/ofp-actions.c (ofpacts_execute_action_set).
 */
import type { Ofpact, OfpactKind } from '../openflow/ofpact.ts';

/** One of each counts, the last that was written, in this order. */
const ONCE: readonly OfpactKind[] = [
  'strip_vlan', 'pop_mpls', 'decap', 'encap', 'push_mpls', 'push_vlan', 'dec_ttl', 'dec_mpls_ttl', 'dec_nsh_ttl',
]; // biome-ignore format: list
/** Without one of these nothing is carried out; the one furthest down counts, and of two of a kind the last. */
const FINAL: readonly OfpactKind[] = ['ct', 'ct_clear', 'resubmit', 'output', 'group'];
/** All of them, as written. */
const SETS: ReadonlySet<OfpactKind> = new Set<OfpactKind>([
  'set_field', 'move', 'mod_dl_dst', 'mod_dl_src', 'mod_nw_tos', 'mod_nw_ecn', 'mod_nw_ttl', 'mod_nw_dst', 'mod_nw_src', 'mod_tp_dst',
  'mod_tp_src', 'set_mpls_label', 'set_mpls_tc', 'set_mpls_ttl', 'set_queue', 'set_tunnel', 'set_vlan_pcp', 'set_vlan_vid',
]); // biome-ignore format: list

/** The list of actions that a set of written actions comes to. */
export function executeActionSet(set: readonly Ofpact[]): Ofpact[] {
  const once = new Map<OfpactKind, Ofpact>();
  const sets: Ofpact[] = [];
  let final: Ofpact | undefined;
  for (const a of set) {
    if (ONCE.includes(a.kind)) once.set(a.kind, a);
    else if (SETS.has(a.kind)) sets.push(a);
    else if (FINAL.indexOf(a.kind) >= (final === undefined ? 0 : FINAL.indexOf(final.kind))) final = a;
  }
  if (final === undefined) return [];
  return [...ONCE.flatMap((kind) => once.get(kind) ?? []), ...sets, final];
}
