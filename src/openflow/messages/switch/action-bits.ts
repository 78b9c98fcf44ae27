/**
 * Kinds of actions as bits of a word, whose places differ between versions: what features_reply of 1.0, statistics of tables before 1.3
 * and features of groups tell.  Actions that Open vSwitch does not have, such as copy_ttl_in, have no kind.
 * Source: OpenFlow 1.0.2 5.2.4, 1.1.0 A.2.5, 1.2 A.2.5, lib/ofp-actions.c (ofpact_bitmap_*).
 */
import type { OfVersion } from '../../ofp-errors.ts';
import type { OfpactKind } from '../../ofpact.ts';

type Kinds = readonly (OfpactKind | undefined)[];

// biome-ignore format: table
const OF10: Kinds = [
  'output', 'set_vlan_vid', 'set_vlan_pcp', 'strip_vlan', 'mod_dl_src', 'mod_dl_dst', 'mod_nw_src', 'mod_nw_dst', 'mod_nw_tos',
  'mod_tp_src', 'mod_tp_dst', 'enqueue',
];
// biome-ignore format: table
const FROM_15_TO_24: Kinds = [
  'set_mpls_ttl', 'dec_mpls_ttl', 'push_vlan', 'strip_vlan', 'push_mpls', 'pop_mpls', 'set_queue', 'group', 'mod_nw_ttl', 'dec_ttl',
];
// biome-ignore format: table
const OF11: Kinds = [
  'output', 'set_vlan_vid', 'set_vlan_pcp', 'mod_dl_src', 'mod_dl_dst', 'mod_nw_src', 'mod_nw_dst', 'mod_nw_tos', 'mod_nw_ecn',
  'mod_tp_src', 'mod_tp_dst', undefined, undefined, 'set_mpls_label', 'set_mpls_tc', ...FROM_15_TO_24,
];
const OF12: Kinds = ['output', ...new Array<undefined>(14).fill(undefined), ...FROM_15_TO_24, 'set_field'];

const kindsOf = (version: OfVersion): Kinds => (version === 1 ? OF10 : version === 2 ? OF11 : OF12);

/** The kinds whose bits are set, in the order of the bits; other bits are ignored. */
export const decodeActionBits = (bits: number, version: OfVersion): OfpactKind[] =>
  kindsOf(version).filter((kind, i): kind is OfpactKind => kind !== undefined && ((bits >>> i) & 1) !== 0);

/** Bits of the kinds that the version has. */
export function encodeActionBits(kinds: Iterable<OfpactKind>, version: OfVersion): number {
  const table = kindsOf(version);
  let bits = 0;
  for (const kind of kinds) {
    const i = table.indexOf(kind);
    if (i >= 0) bits |= 1 << i;
  }
  return bits >>> 0;
}
