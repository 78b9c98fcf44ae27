/**
 * The text form of each flow key attribute, as data: `odp-format-key.ts` prints and `odp-parse-key.ts` reads by it.
 * Members stand in the order of the text, which is not always that of the payload.
 *
 * What no table can say (VLAN, MPLS, NSH, tunnels, flag sets) has form "special" and code of its own in both.
 * Source: lib/odp-util.c (ovs_flow_key_attr_lens, format_odp_key_attr__, parse_odp_key_mask_attr__).
 */
import { OVS_KEY_ATTR as K, KEY_ROWS } from '../key/key-table.ts';
import { FRAG, IPV4, IPV6, IPV6_LABEL, MAC, type TextKind, U8, U8X, U16, U16X, U32X } from './odp-text-kinds.ts';

export interface TextMember {
  readonly name: string;
  /** Offset in the payload. */
  readonly at: number;
  readonly kind: TextKind;
  /** Another name that is read; what is printed is not always what is accepted. */
  readonly scanName?: string;
}

export type TextForm =
  /** `name(a=1,b=2)`. */
  | { readonly form: 'struct'; readonly members: readonly TextMember[] }
  /** `name(1)`; `order` is that of the payload. */
  | { readonly form: 'single'; readonly kind: TextKind; readonly order: 'be' | 'host'; readonly exactOnly?: true }
  | { readonly form: 'special' };

const struct = (...members: [name: string, at: number, kind: TextKind, scanName?: string][]): TextForm => ({
  form: 'struct',
  members: members.map(([name, at, kind, scanName]) => (scanName ? { name, at, kind, scanName } : { name, at, kind })),
});
const single = (kind: TextKind, order: 'be' | 'host' = 'host'): TextForm => ({ form: 'single', kind, order });
const SPECIAL: TextForm = { form: 'special' };
const ports = struct(['src', 0, U16], ['dst', 2, U16]);
const icmp = struct(['type', 0, U8], ['code', 1, U8]);

// biome-ignore format: table
const FORMS: readonly (readonly [type: number, form: TextForm])[] = [
  [K.ENCAP,     SPECIAL],
  [K.PRIORITY,  single(U32X)],
  [K.IN_PORT,   SPECIAL],
  [K.ETHERNET,  struct(['src', 0, MAC], ['dst', 6, MAC])],
  [K.VLAN,      SPECIAL],
  [K.ETHERTYPE, SPECIAL],
  [K.IPV4,      struct(['src', 0, IPV4], ['dst', 4, IPV4], ['proto', 8, U8], ['tos', 9, U8X], ['ttl', 10, U8], ['frag', 11, FRAG])],
  [K.IPV6,      struct(['src', 0, IPV6], ['dst', 16, IPV6], ['label', 32, IPV6_LABEL], ['proto', 36, U8], ['tclass', 37, U8X], ['hlimit', 38, U8], ['frag', 39, FRAG])],
  [K.TCP,       ports],
  [K.UDP,       ports],
  [K.SCTP,      ports],
  [K.ICMP,      icmp],
  [K.ICMPV6,    icmp],
  [K.ARP,       struct(['sip', 0, IPV4], ['tip', 4, IPV4], ['op', 8, U16], ['sha', 10, MAC], ['tha', 16, MAC])],
  [K.ND,        struct(['target', 0, IPV6], ['sll', 16, MAC], ['tll', 22, MAC])],
  [K.SKB_MARK,  single(U32X)],
  [K.TUNNEL,    SPECIAL],
  [K.TCP_FLAGS, SPECIAL],
  [K.DP_HASH,   single(U32X)],
  [K.RECIRC_ID, { form: 'single', kind: U32X, order: 'host', exactOnly: true }],
  [K.MPLS,      SPECIAL],
  [K.CT_STATE,  SPECIAL],
  [K.CT_ZONE,   single(U16X)],
  [K.CT_MARK,   single(U32X)],
  [K.CT_LABELS, SPECIAL],
  [K.CT_ORIG_TUPLE_IPV4, struct(['src', 0, IPV4], ['dst', 4, IPV4], ['proto', 12, U8], ['tp_src', 8, U16], ['tp_dst', 10, U16])],
  [K.CT_ORIG_TUPLE_IPV6, struct(['src', 0, IPV6], ['dst', 16, IPV6], ['proto', 36, U8], ['src_port', 32, U16, 'tp_src'], ['dst_port', 34, U16, 'tp_dst'])],
  [K.NSH,       SPECIAL],
  [K.PACKET_TYPE, struct(['ns', 0, U16], ['id', 2, U16X])],
  [K.ND_EXTENSIONS, struct(['nd_reserved', 0, U32X], ['nd_options_type', 4, U8])],
];

export const KEY_TEXT: readonly (TextForm | undefined)[] = FORMS.reduce<(TextForm | undefined)[]>((all, [type, f]) => {
  all[type] = f;
  return all;
}, []);

/** The largest attribute number whose payload size is known to userspace (OVS_KEY_ATTR_MAX of 3.1). */
export const KEY_ATTR_MAX = 31;

export const isNestedKeyAttr = (type: number): boolean => type === K.ENCAP || type === K.TUNNEL || type === K.NSH;

/** Payload size that printing demands; undefined where any will do. */
export function textSizeOf(type: number): number | undefined {
  if (type > KEY_ATTR_MAX) return undefined;
  const row = KEY_ROWS[type];
  if (row === undefined) return 0;
  return row.size < 0 ? undefined : row.size;
}

/** `in_port`, or `key99` for a number that userspace has no name for. */
export function keyAttrName(type: number): string {
  if (type === 0) return 'unspec';
  if (type === K.TUNNEL_INFO) return '<error: kernel-only tunnel_info>';
  return (type <= KEY_ATTR_MAX ? KEY_ROWS[type]?.text : undefined) ?? `key${type}`;
}
