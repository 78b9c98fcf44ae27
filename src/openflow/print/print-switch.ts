/**
 * What a switch says of itself as text: features, configuration, description.
 * Source: lib/ofp-switch.c, lib/ofp-print.c (ofp_print_ofpst_desc_reply), lib/ofp-actions.c (ofpact_bitmap_format).
 */
import { CAPABILITY, type SwitchConfig } from '../messages/switch/switch-types.ts';
import type { OfpactKind } from '../ofpact.ts';
import { formatPorts } from './print-port.ts';
import { type BitNames, formatBits, type Printers } from './printer.ts';

const FRAGS = ['normal', 'drop', 'reassemble', 'nx-match'] as const;
/** STP is where GROUP_STATS are in later versions: before those. */
const placeOf = (bit: number): number => (bit === CAPABILITY.STP ? CAPABILITY.GROUP_STATS - 1 : bit);
const CAPABILITIES: BitNames = Object.entries(CAPABILITY)
  .map(([name, bit]) => [bit, name] as const)
  .sort((a, b) => placeOf(a[0]) - placeOf(b[0]));

/** Kinds that bits in messages can tell, in the order in which they are printed. */
// biome-ignore format: list
const KIND_ORDER: readonly OfpactKind[] = [
  'output', 'group', 'enqueue', 'set_field', 'set_vlan_vid', 'set_vlan_pcp', 'strip_vlan', 'push_vlan', 'mod_dl_src', 'mod_dl_dst',
  'mod_nw_src', 'mod_nw_dst', 'mod_nw_tos', 'mod_nw_ecn', 'mod_nw_ttl', 'mod_tp_src', 'mod_tp_dst', 'dec_ttl', 'set_mpls_label',
  'set_mpls_tc', 'set_mpls_ttl', 'dec_mpls_ttl', 'push_mpls', 'pop_mpls', 'set_queue',
];

/** "output group set_field"; "<none>" for none. */
export function formatKinds(kinds: Iterable<OfpactKind>): string {
  const place = (kind: OfpactKind): number =>
    (KIND_ORDER.indexOf(kind) + KIND_ORDER.length + 1) % (KIND_ORDER.length + 1);
  const sorted = [...kinds].sort((a, b) => place(a) - place(b));
  return sorted.length === 0 ? '<none>' : sorted.join(' ');
}

/** Texts in messages have a byte a character: what they say is most likely UTF-8. */
const utf8 = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');

const config = ({ frag, invalidTtlToController, missSendLen }: SwitchConfig): string =>
  ` frags=${FRAGS[frag] ?? frag}${invalidTtlToController === true ? ' invalid_ttl_to_controller' : ''} miss_send_len=${missSendLen}\n`;

export const SWITCH_PRINTERS: Printers = {
  features_reply(f) {
    let text = ` dpid:${f.datapathId.toString(16).padStart(16, '0')}\nn_tables:${f.nTables}, n_buffers:${f.nBuffers}`;
    if (f.auxiliaryId !== 0) text += `, auxiliary_id:${f.auxiliaryId}`;
    text += `\ncapabilities: ${formatBits(f.capabilities, CAPABILITIES)}\n`;
    if (f.actions.length > 0) text += `actions: ${formatKinds(f.actions)}\n`;
    return text + formatPorts(f.ports ?? []);
  },
  get_config_reply: config,
  set_config: config,
  desc_stats_reply(d) {
    return (
      `\nManufacturer: ${utf8(d.mfrDesc)}\nHardware: ${utf8(d.hwDesc)}\nSoftware: ${utf8(d.swDesc)}\n` +
      `Serial Num: ${utf8(d.serialNum)}\nDP Description: ${utf8(d.dpDesc)}\n`
    );
  },
};
