/**
 * All fields that a match can look at and actions can write: one row each, in the order of enum mf_field_id.
 *
 * A row tells the names, the bits of a value and its bytes on the wire, how text shows it, what it needs, the access letters, where it
 * stands in a flow, what is special about its value, and its code points as "NAME(number)" or "NAME(number,since)".  In the access
 * letters: `m` bits can be matched one by one; `w` actions may write it; then how OpenFlow 1.0 and 1.1 match it: `e` exactly, `c` by
 * a CIDR mask, `b` by any mask, `-` not at all.
 *
 * How the flow of an OpenFlow switch differs from the datapath's key: nwFrag is 0 no fragment, 1 the first, 3 a later one (so that "any
 * fragment" is one bit); inPort is the 16-bit OpenFlow port.
 * Source: include/openvswitch/meta-flow.h, build-aux/extract-ofp-fields, lib/nx-match.c.
 */
import { FIELD, type FieldName } from '../../flow/fields.ts';
import { OFPUTIL_P } from '../ofp-protocol.ts';
import type { MfField, MfFormat, MfHeader, MfPrereq, MfSpecial } from './mf-field.ts';

type Row = readonly [
  name: string,
  extraName: string,
  bits: number,
  bytes: number,
  format: MfFormat,
  prereq: MfPrereq,
  access: string,
  /** Name of a flow's field, "+n" if the lowest bit is its bit n. */
  place: string,
  special: MfSpecial | '',
  headers: string,
];

// biome-ignore format: table
const ROWS: readonly Row[] = [
  ['dp_hash',          '',          32,  4,   'hexadecimal',  'none',       'm---', 'dpHash',         '',                'NXOXM_ET_DP_HASH(0) NXM_NX_DP_HASH(35)'],
  ['recirc_id',        '',          32,  4,   'decimal',      'none',       '----', 'recircId',       '',                'NXM_NX_RECIRC_ID(36)'],
  ['packet_type',      '',          32,  4,   'packet-type',  'none',       '----', 'packetType',     'packet-type',     'OXM_OF_PACKET_TYPE(44,6)'],
  ['conj_id',          '',          32,  4,   'decimal',      'none',       '----', 'conjId',         '',                'NXM_NX_CONJ_ID(37)'],
  ['tun_id',           'tunnel_id', 64,  8,   'hexadecimal',  'none',       'mw--', 'tunId',          '',                'NXM_NX_TUN_ID(16) OXM_OF_TUNNEL_ID(38,4)'],
  ['tun_src',          '',          32,  4,   'ipv4',         'none',       'mw--', 'tunSrc',         '',                'NXM_NX_TUN_IPV4_SRC(31)'],
  ['tun_dst',          '',          32,  4,   'ipv4',         'none',       'mw--', 'tunDst',         '',                'NXM_NX_TUN_IPV4_DST(32)'],
  ['tun_ipv6_src',     '',          128, 16,  'ipv6',         'none',       'mw--', 'tunIpv6Src',     '',                'NXM_NX_TUN_IPV6_SRC(109)'],
  ['tun_ipv6_dst',     '',          128, 16,  'ipv6',         'none',       'mw--', 'tunIpv6Dst',     '',                'NXM_NX_TUN_IPV6_DST(110)'],
  ['tun_flags',        '',          1,   2,   'tnl-flags',    'none',       'mw--', 'tunFlags+3',     '',                'NXM_NX_TUN_FLAGS(104)'],
  ['tun_ttl',          '',          8,   1,   'decimal',      'none',       '----', 'tunTtl',         '',                ''],
  ['tun_tos',          '',          8,   1,   'decimal',      'none',       '----', 'tunTos',         '',                ''],
  ['tun_gbp_id',       '',          16,  2,   'decimal',      'none',       'mw--', 'tunGbpId',       '',                'NXM_NX_TUN_GBP_ID(38)'],
  ['tun_gbp_flags',    '',          8,   1,   'hexadecimal',  'none',       'mw--', 'tunGbpFlags',    '',                'NXM_NX_TUN_GBP_FLAGS(39)'],
  ['tun_erspan_idx',   '',          20,  4,   'hexadecimal',  'none',       'mw--', 'tunErspanIndex', '',                'NXOXM_ET_ERSPAN_IDX(11)'],
  ['tun_erspan_ver',   '',          4,   1,   'decimal',      'none',       'mw--', 'tunErspanVer',   '',                'NXOXM_ET_ERSPAN_VER(12)'],
  ['tun_erspan_dir',   '',          1,   1,   'decimal',      'none',       'mw--', 'tunErspanDir',   '',                'NXOXM_ET_ERSPAN_DIR(13)'],
  ['tun_erspan_hwid',  '',          6,   1,   'hexadecimal',  'none',       'mw--', 'tunErspanHwid',  '',                'NXOXM_ET_ERSPAN_HWID(14)'],
  ['tun_gtpu_flags',   '',          8,   1,   'hexadecimal',  'none',       'm---', 'tunGtpuFlags',   '',                'NXOXM_ET_GTPU_FLAGS(15)'],
  ['tun_gtpu_msgtype', '',          8,   1,   'decimal',      'none',       'm---', 'tunGtpuMsgtype', '',                'NXOXM_ET_GTPU_MSGTYPE(16)'],
  ['tun_metadata<N>',  '',          992, 124, 'hexadecimal',  'none',       'mw--', '',               'tun-metadata',    'NXM_NX_TUN_METADATA<N>(40)'],
  ['metadata',         '',          64,  8,   'hexadecimal',  'none',       'mw-b', 'metadata',       '',                'OXM_OF_METADATA(2,3)'],
  ['in_port',          '',          16,  2,   'ofp-port',     'none',       '-wee', 'inPort',         '',                'NXM_OF_IN_PORT(0)'],
  ['in_port_oxm',      '',          32,  4,   'ofp-port-oxm', 'none',       '-w-e', 'inPort',         'in-port-oxm',     'OXM_OF_IN_PORT(0,3)'],
  ['actset_output',    '',          32,  4,   'ofp-port-oxm', 'none',       '----', 'actsetOutput',   'actset-output',   'ONFOXM_ET_ACTSET_OUTPUT(43,4) OXM_OF_ACTSET_OUTPUT(43,6)'],
  ['skb_priority',     '',          32,  4,   'hexadecimal',  'none',       '----', 'skbPriority',    '',                ''],
  ['pkt_mark',         '',          32,  4,   'hexadecimal',  'none',       'mw--', 'skbMark',        '',                'NXM_NX_PKT_MARK(33)'],
  ['ct_state',         '',          32,  4,   'ct-state',     'none',       'm---', 'ctState',        'ct-state',        'NXM_NX_CT_STATE(105)'],
  ['ct_zone',          '',          16,  2,   'hexadecimal',  'none',       '----', 'ctZone',         '',                'NXM_NX_CT_ZONE(106)'],
  ['ct_mark',          '',          32,  4,   'hexadecimal',  'none',       'mw--', 'ctMark',         '',                'NXM_NX_CT_MARK(107)'],
  ['ct_label',         '',          128, 16,  'hexadecimal',  'none',       'mw--', 'ctLabels',       '',                'NXM_NX_CT_LABEL(108)'],
  ['ct_nw_proto',      '',          8,   1,   'decimal',      'ct-valid',   '----', 'ctNwProto',      '',                'NXM_NX_CT_NW_PROTO(119)'],
  ['ct_nw_src',        '',          32,  4,   'ipv4',         'ct-valid',   'm---', 'ctNwSrc',        '',                'NXM_NX_CT_NW_SRC(120)'],
  ['ct_nw_dst',        '',          32,  4,   'ipv4',         'ct-valid',   'm---', 'ctNwDst',        '',                'NXM_NX_CT_NW_DST(121)'],
  ['ct_ipv6_src',      '',          128, 16,  'ipv6',         'ct-valid',   'm---', 'ctIpv6Src',      '',                'NXM_NX_CT_IPV6_SRC(122)'],
  ['ct_ipv6_dst',      '',          128, 16,  'ipv6',         'ct-valid',   'm---', 'ctIpv6Dst',      '',                'NXM_NX_CT_IPV6_DST(123)'],
  ['ct_tp_src',        '',          16,  2,   'decimal',      'ct-valid',   'm---', 'ctTpSrc',        '',                'NXM_NX_CT_TP_SRC(124)'],
  ['ct_tp_dst',        '',          16,  2,   'decimal',      'ct-valid',   'm---', 'ctTpDst',        '',                'NXM_NX_CT_TP_DST(125)'],
  ['reg<N>',           '',          32,  4,   'hexadecimal',  'none',       'mw--', 'reg0',           '',                'NXM_NX_REG<N>(0)'],
  ['xreg<N>',          '',          64,  8,   'hexadecimal',  'none',       'mw--', 'reg0',           '',                'OXM_OF_PKT_REG<N>(0,4)'],
  ['xxreg<N>',         '',          128, 16,  'hexadecimal',  'none',       'mw--', 'reg0',           '',                'NXM_NX_XXREG<N>(111)'],
  ['eth_src',          'dl_src',    48,  6,   'ethernet',     'ethernet',   'mweb', 'ethSrc',         '',                'NXM_OF_ETH_SRC(2) OXM_OF_ETH_SRC(4,3)'],
  ['eth_dst',          'dl_dst',    48,  6,   'ethernet',     'ethernet',   'mweb', 'ethDst',         '',                'NXM_OF_ETH_DST(1) OXM_OF_ETH_DST(3,3)'],
  ['eth_type',         'dl_type',   16,  2,   'hexadecimal',  'ethernet',   '--ee', 'ethType',        'dl-type',         'NXM_OF_ETH_TYPE(3) OXM_OF_ETH_TYPE(5,3)'],
  ['vlan_tci',         '',          16,  2,   'hexadecimal',  'ethernet',   'mwee', 'vlanTci',        'vlan-tci',        'NXM_OF_VLAN_TCI(4)'],
  ['dl_vlan',          '',          12,  2,   'decimal',      'ethernet',   '-wee', 'vlanTci',        'dl-vlan',         ''],
  ['vlan_vid',         '',          12,  2,   'decimal',      'ethernet',   'mwee', 'vlanTci',        'vlan-vid',        'OXM_OF_VLAN_VID(6,3)'],
  ['dl_vlan_pcp',      '',          3,   1,   'decimal',      'ethernet',   '-wee', 'vlanTci+13',     'vlan-pcp',        ''],
  ['vlan_pcp',         '',          3,   1,   'decimal',      'vlan-vid',   '-wee', 'vlanTci+13',     'vlan-pcp',        'OXM_OF_VLAN_PCP(7,3)'],
  ['mpls_label',       '',          20,  4,   'decimal',      'mpls',       '-w-e', 'mplsLse0+12',    '',                'OXM_OF_MPLS_LABEL(34,3)'],
  ['mpls_tc',          '',          3,   1,   'decimal',      'mpls',       '-w-e', 'mplsLse0+9',     '',                'OXM_OF_MPLS_TC(35,3)'],
  ['mpls_bos',         '',          1,   1,   'decimal',      'mpls',       '----', 'mplsLse0+8',     '',                'OXM_OF_MPLS_BOS(36,4)'],
  ['mpls_ttl',         '',          8,   1,   'decimal',      'mpls',       '-w--', 'mplsLse0',       '',                'NXM_NX_MPLS_TTL(30)'],
  ['ip_src',           'nw_src',    32,  4,   'ipv4',         'ipv4',       'mwcb', 'nwSrc',          '',                'NXM_OF_IP_SRC(7) OXM_OF_IPV4_SRC(11,3)'],
  ['ip_dst',           'nw_dst',    32,  4,   'ipv4',         'ipv4',       'mwcb', 'nwDst',          '',                'NXM_OF_IP_DST(8) OXM_OF_IPV4_DST(12,3)'],
  ['ipv6_src',         '',          128, 16,  'ipv6',         'ipv6',       'mw--', 'ipv6Src',        '',                'NXM_NX_IPV6_SRC(19) OXM_OF_IPV6_SRC(26,3)'],
  ['ipv6_dst',         '',          128, 16,  'ipv6',         'ipv6',       'mw--', 'ipv6Dst',        '',                'NXM_NX_IPV6_DST(20) OXM_OF_IPV6_DST(27,3)'],
  ['ipv6_label',       '',          20,  4,   'hexadecimal',  'ipv6',       'mw--', 'ipv6Label',      '',                'NXM_NX_IPV6_LABEL(27) OXM_OF_IPV6_FLABEL(28,3)'],
  ['nw_proto',         'ip_proto',  8,   1,   'decimal',      'ip-any',     '--ee', 'nwProto',        '',                'NXM_OF_IP_PROTO(6) OXM_OF_IP_PROTO(10,3)'],
  ['nw_tos',           '',          8,   1,   'decimal',      'ip-any',     '-wee', 'nwTos',          'ip-dscp',         'NXM_OF_IP_TOS(5)'],
  ['ip_dscp',          '',          6,   1,   'decimal',      'ip-any',     '-wee', 'nwTos+2',        'ip-dscp-shifted', 'OXM_OF_IP_DSCP(8,3)'],
  ['nw_ecn',           'ip_ecn',    2,   1,   'decimal',      'ip-any',     '-w-e', 'nwTos',          '',                'NXM_NX_IP_ECN(28) OXM_OF_IP_ECN(9,3)'],
  ['nw_ttl',           '',          8,   1,   'decimal',      'ip-any',     '-w--', 'nwTtl',          '',                'NXM_NX_IP_TTL(29)'],
  ['ip_frag',          'nw_frag',   2,   1,   'frag',         'ip-any',     'm---', 'nwFrag',         'ip-frag',         'NXM_NX_IP_FRAG(26)'],
  ['arp_op',           '',          16,  2,   'decimal',      'arp',        '-wee', 'nwProto',        'arp-op',          'NXM_OF_ARP_OP(15) OXM_OF_ARP_OP(21,3)'],
  ['arp_spa',          '',          32,  4,   'ipv4',         'arp',        'mwcb', 'nwSrc',          '',                'NXM_OF_ARP_SPA(16) OXM_OF_ARP_SPA(22,3)'],
  ['arp_tpa',          '',          32,  4,   'ipv4',         'arp',        'mwcb', 'nwDst',          '',                'NXM_OF_ARP_TPA(17) OXM_OF_ARP_TPA(23,3)'],
  ['arp_sha',          '',          48,  6,   'ethernet',     'arp',        'mw--', 'arpSha',         '',                'NXM_NX_ARP_SHA(17) OXM_OF_ARP_SHA(24,3)'],
  ['arp_tha',          '',          48,  6,   'ethernet',     'arp',        'mw--', 'arpTha',         '',                'NXM_NX_ARP_THA(18) OXM_OF_ARP_THA(25,3)'],
  ['tcp_src',          'tp_src',    16,  2,   'decimal',      'tcp',        'mwee', 'tpSrc',          '',                'NXM_OF_TCP_SRC(9) OXM_OF_TCP_SRC(13,3)'],
  ['tcp_dst',          'tp_dst',    16,  2,   'decimal',      'tcp',        'mwee', 'tpDst',          '',                'NXM_OF_TCP_DST(10) OXM_OF_TCP_DST(14,3)'],
  ['tcp_flags',        '',          12,  2,   'tcp-flags',    'tcp',        'm---', 'tcpFlags',       '',                'NXM_NX_TCP_FLAGS(34) ONFOXM_ET_TCP_FLAGS(42,4) OXM_OF_TCP_FLAGS(42,6)'],
  ['udp_src',          '',          16,  2,   'decimal',      'udp',        'mwee', 'tpSrc',          '',                'NXM_OF_UDP_SRC(11) OXM_OF_UDP_SRC(15,3)'],
  ['udp_dst',          '',          16,  2,   'decimal',      'udp',        'mwee', 'tpDst',          '',                'NXM_OF_UDP_DST(12) OXM_OF_UDP_DST(16,3)'],
  ['sctp_src',         '',          16,  2,   'decimal',      'sctp',       'mw-e', 'tpSrc',          '',                'OXM_OF_SCTP_SRC(17,3)'],
  ['sctp_dst',         '',          16,  2,   'decimal',      'sctp',       'mw-e', 'tpDst',          '',                'OXM_OF_SCTP_DST(18,3)'],
  ['icmp_type',        '',          8,   1,   'decimal',      'icmpv4',     '-wee', 'tpSrc',          'icmp',            'NXM_OF_ICMP_TYPE(13) OXM_OF_ICMPV4_TYPE(19,3)'],
  ['icmp_code',        '',          8,   1,   'decimal',      'icmpv4',     '-wee', 'tpDst',          'icmp',            'NXM_OF_ICMP_CODE(14) OXM_OF_ICMPV4_CODE(20,3)'],
  ['icmpv6_type',      '',          8,   1,   'decimal',      'icmpv6',     '-w--', 'tpSrc',          'icmp',            'NXM_NX_ICMPV6_TYPE(21) OXM_OF_ICMPV6_TYPE(29,3)'],
  ['icmpv6_code',      '',          8,   1,   'decimal',      'icmpv6',     '-w--', 'tpDst',          'icmp',            'NXM_NX_ICMPV6_CODE(22) OXM_OF_ICMPV6_CODE(30,3)'],
  ['nd_target',        '',          128, 16,  'ipv6',         'nd',         'mw--', 'ndTarget',       '',                'NXM_NX_ND_TARGET(23) OXM_OF_IPV6_ND_TARGET(31,3)'],
  ['nd_sll',           '',          48,  6,   'ethernet',     'nd-solicit', 'mw--', 'arpSha',         '',                'NXM_NX_ND_SLL(24) OXM_OF_IPV6_ND_SLL(32,3)'],
  ['nd_tll',           '',          48,  6,   'ethernet',     'nd-advert',  'mw--', 'arpTha',         '',                'NXM_NX_ND_TLL(25) OXM_OF_IPV6_ND_TLL(33,3)'],
  ['nd_reserved',      '',          32,  4,   'decimal',      'nd',         '-w--', 'ndReserved',     '',                'ERICOXM_OF_ICMPV6_ND_RESERVED(1)'],
  ['nd_options_type',  '',          8,   1,   'decimal',      'nd',         '-w--', 'ndOptionsType',  '',                'ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE(2)'],
  ['nsh_flags',        '',          8,   1,   'decimal',      'nsh',        'mw--', 'nshFlags',       '',                'NXOXM_NSH_FLAGS(1)'],
  ['nsh_mdtype',       '',          8,   1,   'decimal',      'nsh',        '----', 'nshMdtype',      '',                'NXOXM_NSH_MDTYPE(2)'],
  ['nsh_np',           '',          8,   1,   'decimal',      'nsh',        '----', 'nshNp',          '',                'NXOXM_NSH_NP(3)'],
  ['nsh_spi',          'nsp',       24,  4,   'hexadecimal',  'nsh',        '-w--', 'nshPathHdr+8',   '',                'NXOXM_NSH_SPI(4)'],
  ['nsh_si',           'nsi',       8,   1,   'decimal',      'nsh',        '-w--', 'nshPathHdr',     '',                'NXOXM_NSH_SI(5)'],
  ['nsh_c1',           'nshc1',     32,  4,   'hexadecimal',  'nsh',        'mw--', 'nshC1',          '',                'NXOXM_NSH_C1(6)'],
  ['nsh_c2',           'nshc2',     32,  4,   'hexadecimal',  'nsh',        'mw--', 'nshC2',          '',                'NXOXM_NSH_C2(7)'],
  ['nsh_c3',           'nshc3',     32,  4,   'hexadecimal',  'nsh',        'mw--', 'nshC3',          '',                'NXOXM_NSH_C3(8)'],
  ['nsh_c4',           'nshc4',     32,  4,   'hexadecimal',  'nsh',        'mw--', 'nshC4',          '',                'NXOXM_NSH_C4(9)'],
  ['nsh_ttl',          '',          8,   1,   'decimal',      'nsh',        '-w--', 'nshTtl',         '',                'NXOXM_NSH_TTL(10)'],
];

/** How many fields a row with <N> in its name stands for. */
const FAMILY: Readonly<Record<string, number>> = { reg: 16, xreg: 8, xxreg: 4, tun_metadata: 64 };

/** Vendor and class of a code point, by the start of its name; the longest start counts. */
// biome-ignore format: table
const CLASSES: readonly (readonly [prefix: string, vendor: number, oxmClass: number])[] = [
  ['OXM_OF_PKT_REG', 0,          0x8001],
  ['OXM_OF_',        0,          0x8000],
  ['NXM_OF_',        0,          0x0000],
  ['NXM_NX_',        0,          0x0001],
  ['ERICOXM_OF_',    0,          0x1000],
  ['NXOXM_NSH_',     0x005ad650, 0xffff],
  ['ONFOXM_ET_',     0x4f4e4600, 0xffff],
  ['NXOXM_ET_',      0x00002320, 0xffff],
];

/** Puts a header together; `length` as on the wire, an experimenter's 4 bytes included. */
export function oxmHeader(vendor: number, oxmClass: number, field: number, hasMask: boolean, length: number): bigint {
  const low = ((oxmClass << 16) | (field << 9) | (hasMask ? 0x100 : 0) | length) >>> 0;
  return (BigInt(vendor) << 32n) | BigInt(low);
}

function parseHeaders(text: string, n: number, bytes: number): MfHeader[] {
  const headers: MfHeader[] = [];
  for (const [, plain = '', number = '', since = '0'] of text.matchAll(/([\w<>]+)\((\d+)(?:,(\d))?\)/g)) {
    const name = plain.replace('<N>', String(n));
    const [, vendor, oxmClass] = CLASSES.find(([prefix]) => name.startsWith(prefix)) ?? ['', 0, 0];
    const length = bytes + (oxmClass === 0xffff ? 4 : 0);
    const field = Number(number) + (plain.includes('<N>') ? n : 0);
    headers.unshift({ header: oxmHeader(vendor, oxmClass, field, false, length), since: Number(since), name });
  }
  return headers;
}

/** The first bit in a flow of the lowest `bits` bits of `place`, number `n` of its family. */
function placeOf(place: string, bits: number, n: number): number {
  if (place === '') return -1;
  const [name = '', lowest = '0'] = place.split('+');
  const field = FIELD[name as FieldName];
  if (name === 'reg0') return field.at + n * bits;
  return field.at + field.bits - Number(lowest) - Math.min(bits, field.bits - Number(lowest));
}

function usableOf(row: Row) {
  const [name, , , , , , access, , , headers] = row;
  const of10 = access[2] ?? '-';
  const of11 = access[3] ?? '-';
  // Every protocol can say what dl_vlan and dl_vlan_pcp say, if not in these words.
  const hasOxm = headers !== '' || name.startsWith('dl_vlan');
  const anyOxm = hasOxm ? OFPUTIL_P.NXM_OXM_ANY : 0;
  const exact = anyOxm | (of10 !== '-' ? OFPUTIL_P.OF10_STD_ANY : 0) | (of11 !== '-' ? OFPUTIL_P.OF11_STD : 0);
  if (access[0] !== 'm') return { exact, cidr: 0, bitwise: 0 };
  const by11 = of11 === 'b' ? OFPUTIL_P.OF11_STD : 0;
  return { exact, cidr: anyOxm | by11 | (of10 === 'c' ? OFPUTIL_P.OF10_STD_ANY : 0), bitwise: anyOxm | by11 };
}

function build(): MfField[] {
  const fields: MfField[] = [];
  for (const row of ROWS) {
    const [name, extraName, bits, bytes, format, prereq, access, place, special, headers] = row;
    const family = name.endsWith('<N>') ? name.slice(0, -3) : undefined;
    for (let n = 0; n < (family === undefined ? 1 : (FAMILY[family] ?? 0)); n++) {
      fields.push({
        id: fields.length,
        name: name.replace('<N>', String(n)),
        extraName: extraName === '' ? undefined : extraName,
        bits,
        bytes,
        format,
        prereq,
        isMaskable: access[0] === 'm',
        isWritable: access[1] === 'w',
        isVariable: special === 'tun-metadata',
        usable: usableOf(row),
        at: placeOf(place, bits, n),
        special: special === '' ? undefined : special,
        headers: parseHeaders(headers, n, bytes),
        index: family === undefined ? -1 : n,
      });
    }
  }
  return fields;
}

/** All fields, in the order of enum mf_field_id, which is the order of their entries in a match on the wire. */
export const MF_FIELDS: readonly MfField[] = build();

const byName = new Map<string, MfField>();
const byHeaderName = new Map<string, MfField>();
const byHeader = new Map<bigint, { readonly field: MfField; readonly header: MfHeader }>();

/** A header without its length byte and mask bit: what tells fields apart. */
const headerKey = (header: bigint): bigint => header & ~0x1ffn;

for (const field of MF_FIELDS) {
  byName.set(field.name, field);
  if (field.extraName !== undefined) byName.set(field.extraName, field);
  for (const header of field.headers) {
    byHeaderName.set(header.name, field);
    byHeader.set(headerKey(header.header), { field, header });
  }
}

/** Fields by name: `MF['reg0']`.  Throws if there is no such field: for names in the source. */
export const MF: Readonly<Record<string, MfField>> = new Proxy({} as Record<string, MfField>, {
  get(_, name) {
    const field = byName.get(String(name));
    if (field === undefined) throw new RangeError(`MF: there is no field ${String(name)}`);
    return field;
  },
});

/** By "eth_src" or "dl_src"; undefined if there is none. */
export const mfByName = (name: string): MfField | undefined => byName.get(name);

/** By "NXM_OF_ETH_SRC"; undefined if there is none. */
export const mfByHeaderName = (name: string): MfField | undefined => byHeaderName.get(name);

/** What a header from the wire names: `field` undefined if none; `isBadLength` if there is one of another length. */
export interface MfLookup {
  readonly field: MfField | undefined;
  readonly isBadLength: boolean;
}

/** The field of a header, masked or not, in the form of `MfHeader.header`.  A length that is not the field's own finds none. */
export function mfByHeader(header: bigint): MfLookup {
  const found = byHeader.get(headerKey(header));
  if (found === undefined) return { field: undefined, isBadLength: false };
  const experimenter = ((header >> 16n) & 0xffffn) === 0xffffn ? 4 : 0;
  const payload = Number(header & 0xffn) - experimenter;
  const length = (header & 0x100n) === 0n ? payload : payload >> 1;
  if (!found.field.isVariable && length !== found.field.bytes) return { field: undefined, isBadLength: true };
  return { field: found.field, isBadLength: false };
}

/** The code point to write for OpenFlow `version` (wire number; 0: the NXM one if there is any); undefined if the field has none. */
export function mfHeader(field: MfField, version: number): MfHeader | undefined {
  return field.headers.find((h) => version >= h.since) ?? field.headers.at(-1);
}
