/**
 * OVS_KEY_ATTR_*: the attributes of a flow key, and which field of a FlowKey each byte of a fixed-size one is.
 * Parsing, building and printing of keys and masks all derive from this table.
 *
 * Sizes are the kernel's exact payload sizes.  Attributes whose inside is a nest (ENCAP, TUNNEL, NSH) or a list (MPLS)
 * have no members here; `odp-key.ts` treats them one by one.
 * Source: include/uapi/linux/openvswitch.h, net/openvswitch/flow_netlink.c (ovs_key_lens).
 */
import { FIELD, type Field, type FieldName } from '../../flow/fields.ts';

/** enum ovs_key_attr. */
// biome-ignore format: table
export const OVS_KEY_ATTR = {
  ENCAP: 1, PRIORITY: 2, IN_PORT: 3, ETHERNET: 4, VLAN: 5, ETHERTYPE: 6, IPV4: 7, IPV6: 8, TCP: 9, UDP: 10, ICMP: 11,
  ICMPV6: 12, ARP: 13, ND: 14, SKB_MARK: 15, TUNNEL: 16, SCTP: 17, TCP_FLAGS: 18, DP_HASH: 19, RECIRC_ID: 20, MPLS: 21,
  CT_STATE: 22, CT_ZONE: 23, CT_MARK: 24, CT_LABELS: 25, CT_ORIG_TUPLE_IPV4: 26, CT_ORIG_TUPLE_IPV6: 27, NSH: 28,
  /** Userspace only: the kernel refuses them. */
  PACKET_TYPE: 29, ND_EXTENSIONS: 30,
  /** Newer kernels: an internal number, and then what 6.1 sends with each IPv6 key. */
  TUNNEL_INFO: 31, IPV6_EXTHDRS: 32,
} as const;

/** enum ovs_tunnel_key_attr. */
// biome-ignore format: table
export const OVS_TUNNEL_KEY_ATTR = {
  ID: 0, IPV4_SRC: 1, IPV4_DST: 2, TOS: 3, TTL: 4, DONT_FRAGMENT: 5, CSUM: 6, OAM: 7, GENEVE_OPTS: 8, TP_SRC: 9, TP_DST: 10,
  VXLAN_OPTS: 11, IPV6_SRC: 12, IPV6_DST: 13, PAD: 14, ERSPAN_OPTS: 15,
  /** Kernels know a flag by this number; the userspace datapaths of Open vSwitch use it for GTP-U (struct gtpu_metadata). */
  IPV4_INFO_BRIDGE: 16, GTPU_OPTS: 16,
} as const;

/** enum ovs_vxlan_ext.  GBP: u32, the group policy id in its low half, flags above. */
export const OVS_VXLAN_EXT = { GBP: 1 } as const;

/** enum ovs_nsh_key_attr.  BASE: flags, ttl, mdtype, np, be32 path header; MD1: four be32. */
export const OVS_NSH_KEY_ATTR = { BASE: 1, MD1: 2, MD2: 3 } as const;

/**
 * How a member's integer stands in the payload: "be" network order, "host" host order.  Wider ones (MAC, IPv6 addresses,
 * labels) are bytes, in the order of the field.
 */
export type Order = 'be' | 'host';

export interface KeyMember {
  readonly field: Field;
  /** Offset in the payload, and bytes there: 1, 2, 4, 6 or 16. */
  readonly at: number;
  readonly size: number;
  readonly order: Order;
}

export interface KeyRow {
  readonly type: number;
  /** Name in the text of `ovs-dpctl dump-flows`. */
  readonly text: string;
  /** Exact payload size in bytes; -1 for nests and lists. */
  readonly size: number;
  readonly members: readonly KeyMember[];
}

const m = (name: FieldName, at: number, size: number, order: Order = 'be'): KeyMember => ({
  field: FIELD[name],
  at,
  size,
  order,
});
const row = (type: number, text: string, size: number, ...members: KeyMember[]): KeyRow => ({
  type,
  text,
  size,
  members,
});
const K = OVS_KEY_ATTR;

// biome-ignore format: table
const ROWS: readonly KeyRow[] = [
  row(K.ENCAP,        'encap',        -1),
  row(K.PRIORITY,     'skb_priority', 4,  m('skbPriority', 0, 4, 'host')),
  row(K.IN_PORT,      'in_port',      4,  m('inPort', 0, 4, 'host')),
  row(K.ETHERNET,     'eth',          12, m('ethSrc', 0, 6), m('ethDst', 6, 6)),
  row(K.VLAN,         'vlan',         2,  m('vlanTci', 0, 2)),
  row(K.ETHERTYPE,    'eth_type',     2,  m('ethType', 0, 2)),
  row(K.IPV4,         'ipv4',         12, m('nwSrc', 0, 4), m('nwDst', 4, 4), m('nwProto', 8, 1), m('nwTos', 9, 1), m('nwTtl', 10, 1), m('nwFrag', 11, 1)),
  row(K.IPV6,         'ipv6',         40, m('ipv6Src', 0, 16), m('ipv6Dst', 16, 16), m('ipv6Label', 32, 4), m('nwProto', 36, 1), m('nwTos', 37, 1), m('nwTtl', 38, 1), m('nwFrag', 39, 1)),
  row(K.TCP,          'tcp',          4,  m('tpSrc', 0, 2), m('tpDst', 2, 2)),
  row(K.UDP,          'udp',          4,  m('tpSrc', 0, 2), m('tpDst', 2, 2)),
  row(K.SCTP,         'sctp',         4,  m('tpSrc', 0, 2), m('tpDst', 2, 2)),
  // ICMP types and codes are single bytes on the wire and 16-bit fields in a key: stored in the low byte.
  row(K.ICMP,         'icmp',         2,  m('tpSrc', 0, 1), m('tpDst', 1, 1)),
  row(K.ICMPV6,       'icmpv6',       2,  m('tpSrc', 0, 1), m('tpDst', 1, 1)),
  // The opcode is 16 bits on the wire and stored in nwProto; two bytes of padding follow.
  row(K.ARP,          'arp',          24, m('nwSrc', 0, 4), m('nwDst', 4, 4), m('nwProto', 8, 2), m('arpSha', 10, 6), m('arpTha', 16, 6)),
  row(K.ND,           'nd',           28, m('ndTarget', 0, 16), m('arpSha', 16, 6), m('arpTha', 22, 6)),
  row(K.SKB_MARK,     'skb_mark',     4,  m('skbMark', 0, 4, 'host')),
  row(K.TUNNEL,       'tunnel',       -1),
  row(K.TCP_FLAGS,    'tcp_flags',    2,  m('tcpFlags', 0, 2)),
  row(K.DP_HASH,      'dp_hash',      4,  m('dpHash', 0, 4, 'host')),
  row(K.RECIRC_ID,    'recirc_id',    4,  m('recircId', 0, 4, 'host')),
  row(K.MPLS,         'mpls',         -1),
  row(K.CT_STATE,     'ct_state',     4,  m('ctState', 0, 4, 'host')),
  row(K.CT_ZONE,      'ct_zone',      2,  m('ctZone', 0, 2, 'host')),
  row(K.CT_MARK,      'ct_mark',      4,  m('ctMark', 0, 4, 'host')),
  row(K.CT_LABELS,    'ct_label',     16, m('ctLabels', 0, 16)),
  // Three bytes of padding follow the protocol.
  row(K.CT_ORIG_TUPLE_IPV4, 'ct_tuple4', 16, m('ctNwSrc', 0, 4), m('ctNwDst', 4, 4), m('ctTpSrc', 8, 2), m('ctTpDst', 10, 2), m('ctNwProto', 12, 1)),
  row(K.CT_ORIG_TUPLE_IPV6, 'ct_tuple6', 40, m('ctIpv6Src', 0, 16), m('ctIpv6Dst', 16, 16), m('ctTpSrc', 32, 2), m('ctTpDst', 34, 2), m('ctNwProto', 36, 1)),
  row(K.NSH,          'nsh',          -1),
  row(K.PACKET_TYPE,  'packet_type',  4),
  row(K.ND_EXTENSIONS, 'nd_ext',      8,  m('ndReserved', 0, 4), m('ndOptionsType', 4, 1)),
  row(K.IPV6_EXTHDRS, 'key32',        2,  m('ipv6Exthdrs', 0, 2, 'host')),
];

/** Rows by attribute number; a hole is a number that nobody knows. */
export const KEY_ROWS: readonly (KeyRow | undefined)[] = ROWS.reduce<(KeyRow | undefined)[]>((all, r) => {
  all[r.type] = r;
  return all;
}, []);
