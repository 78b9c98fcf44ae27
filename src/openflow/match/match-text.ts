/**
 * Matches as `ovs-ofctl dump-flows` prints them: `priority=100,tcp,in_port=1,nw_dst=10.0.0.0/8,tp_dst=80`.
 * Source: lib/match.c (match_format), ovs-fields(7).
 */
import { getBits } from '../../flow/bits.ts';
import { FIELD, type FieldName, TUN_F, VLAN_CFI } from '../../flow/fields.ts';
import {
  FLAGS,
  formatMaskedDecimal,
  formatMaskedFlags,
  formatMaskedHex,
  formatMaskedIp,
  formatMaskedMac,
} from '../fields/masked-text.ts';
import { formatPacketType } from '../fields/mf-text.ts';
import { formatPort, type OfpNames } from '../ofp-names.ts';
import { formatHex, formatHexNumber } from '../ofp-text.ts';
import type { Match, TunMetadata } from './match.ts';

/** OFP_DEFAULT_PRIORITY: not printed. */
export const DEFAULT_PRIORITY = 0x8000;

const ETH = { IP: 0x0800, ARP: 0x0806, RARP: 0x8035, IPV6: 0x86dd, MPLS: 0x8847, MPLS_MCAST: 0x8848, NSH: 0x894f };
/** Frames with a length where the type would be have one of these types in a flow, the other in text. */
const TYPES_802_2 = [0x0004, 0x05ff];
const IPPROTO = { ICMP: 1, TCP: 6, UDP: 17, SCTP: 132, ICMPV6: 58 };

const TYPE_NAMES = new Map([
  [ETH.IP, 'ip'],
  [ETH.IPV6, 'ipv6'],
  [ETH.ARP, 'arp'],
  [ETH.RARP, 'rarp'],
  [ETH.MPLS, 'mpls'],
  [ETH.MPLS_MCAST, 'mplsm'],
]);
const PROTO_NAMES = new Map([
  [IPPROTO.TCP, 'tcp'],
  [IPPROTO.UDP, 'udp'],
  [IPPROTO.SCTP, 'sctp'],
]);

/** flow_tun_flag_to_string(): the bits of tunFlags in the order and with the names of text. */
const TUN_FLAGS = { what: 'tunnel', names: ['oam', 'df', 'csum', 'key'] };
const TUN_BITS = [TUN_F.OAM, TUN_F.DF, TUN_F.CSUM, TUN_F.KEY];
const tunFlagsOf = (flags: number): number => TUN_BITS.reduce((n, bit, i) => n | ((flags & bit) === 0 ? 0 : 1 << i), 0);

/** Collects the parts of a match. */
class MatchPrinter {
  readonly parts: string[] = [];
  private readonly match: Match;

  constructor(match: Match) {
    this.match = match;
  }

  value(name: FieldName): number {
    return getBits(this.match.flow, FIELD[name].at, FIELD[name].bits);
  }
  mask(name: FieldName): number {
    return getBits(this.match.mask, FIELD[name].at, FIELD[name].bits);
  }
  bytes(words: Int32Array, name: FieldName): Uint8Array {
    const { at, bits } = FIELD[name];
    return Uint8Array.from({ length: bits / 8 }, (_, i) => getBits(words, at + 8 * i, 8));
  }

  put(name: string, text: string): void {
    this.parts.push(`${name}=${text}`);
  }
  /** A number in decimal, with its mask in hexadecimal. */
  decimal(name: string, field: FieldName, onlyExact = false): void {
    const [v, m] = [this.value(field), this.mask(field)];
    const ones = 2 ** FIELD[field].bits - 1;
    if (m !== 0) this.put(name, formatMaskedDecimal(v, onlyExact ? ones : m, ones));
  }
  hex(name: string, field: FieldName): void {
    const m = this.mask(field);
    if (m !== 0) this.put(name, formatMaskedHex(this.value(field), m, 2 ** FIELD[field].bits - 1));
  }
  hex64(name: string, field: FieldName): void {
    const big = (words: Int32Array) => this.bytes(words, field).reduce((n, b) => (n << 8n) | BigInt(b), 0n);
    const m = big(this.match.mask);
    if (m !== 0n) this.put(name, formatMaskedHex(big(this.match.flow), m, 2n ** 64n - 1n));
  }
  /** With digits to the full width: 0x0000000a/0x000000ff, in decimal if all bits count. */
  wide(name: string, field: FieldName): void {
    const [v, m] = [this.value(field), this.mask(field)];
    const h = (n: number) => `0x${n.toString(16).padStart(8, '0')}`;
    if (m !== 0) this.put(name, m === 0xffffffff ? String(v) : `${h(v)}/${h(m)}`);
  }
  ip(name: string, field: FieldName): void {
    const m = this.bytes(this.match.mask, field);
    if (m.some((b) => b !== 0)) this.put(name, formatMaskedIp(this.bytes(this.match.flow, field), m));
  }
  mac(name: string, field: FieldName): void {
    const m = this.bytes(this.match.mask, field);
    if (m.some((b) => b !== 0)) this.put(name, formatMaskedMac(this.bytes(this.match.flow, field), m));
  }
  label(name: string, field: FieldName): void {
    const m = this.bytes(this.match.mask, field);
    if (m.every((b) => b === 0)) return;
    const value = formatHexNumber(this.bytes(this.match.flow, field));
    this.put(name, m.every((b) => b === 0xff) ? value : `${value}/${formatHexNumber(m)}`);
  }
}

function formatMetadata(p: MatchPrinter, names: OfpNames): void {
  p.hex('pkt_mark', 'skbMark');
  p.hex('recirc_id', 'recircId');
  p.hex('dp_hash', 'dpHash');
  p.decimal('conj_id', 'conjId', true);
  if (p.mask('skbPriority') !== 0) p.put('skb_priority', formatHex(p.value('skbPriority')));
  if (p.mask('actsetOutput') !== 0) p.put('actset_output', formatPort(p.value('actsetOutput') & 0xffff, names.ports));

  const ctMask = p.mask('ctState') & 0xff;
  if (ctMask !== 0) p.put('ct_state', formatMaskedFlags(FLAGS.ctState, p.value('ctState'), ctMask, 0xff));
  p.decimal('ct_zone', 'ctZone');
  p.hex('ct_mark', 'ctMark');
  p.label('ct_label', 'ctLabels');
  p.ip('ct_nw_src', 'ctNwSrc');
  p.ip('ct_ipv6_src', 'ctIpv6Src');
  p.ip('ct_nw_dst', 'ctNwDst');
  p.ip('ct_ipv6_dst', 'ctIpv6Dst');
  if (p.mask('ctNwProto') !== 0) {
    p.decimal('ct_nw_proto', 'ctNwProto', true);
    p.decimal('ct_tp_src', 'ctTpSrc');
    p.decimal('ct_tp_dst', 'ctTpDst');
  }
}

/** The name that stands for type and protocol, and what of the two it tells. */
function shorthand(p: MatchPrinter, type: number): { readonly text: string; readonly hasProto: boolean } | undefined {
  if (p.mask('ethType') === 0) return undefined;
  const text = TYPE_NAMES.get(type);
  if (text === undefined) return undefined;
  if ((type !== ETH.IP && type !== ETH.IPV6) || p.mask('nwProto') === 0) return { text, hasProto: false };
  const proto = p.value('nwProto');
  const six = type === ETH.IPV6 ? '6' : '';
  if (proto === (six === '' ? IPPROTO.ICMP : IPPROTO.ICMPV6)) return { text: `icmp${six}`, hasProto: true };
  const name = PROTO_NAMES.get(proto);
  return name === undefined ? { text, hasProto: false } : { text: name + six, hasProto: true };
}

function formatTunnel(p: MatchPrinter): void {
  p.hex64('tun_id', 'tunId');
  p.ip('tun_src', 'tunSrc');
  p.ip('tun_dst', 'tunDst');
  p.ip('tun_ipv6_src', 'tunIpv6Src');
  p.ip('tun_ipv6_dst', 'tunIpv6Dst');
  p.decimal('tun_gbp_id', 'tunGbpId');
  const exactHex = (name: string, field: FieldName) => {
    if (p.mask(field) !== 0) p.put(name, formatHex(p.value(field)));
  };
  exactHex('tun_gbp_flags', 'tunGbpFlags');
  if (p.mask('tunTos') !== 0) p.put('tun_tos', p.value('tunTos').toString(16));
  p.decimal('tun_ttl', 'tunTtl', true);
  p.decimal('tun_erspan_ver', 'tunErspanVer', true);
  const version = p.value('tunErspanVer');
  if (version === 1) exactHex('tun_erspan_idx', 'tunErspanIndex');
  if (version === 2) {
    p.decimal('tun_erspan_dir', 'tunErspanDir', true);
    exactHex('tun_erspan_hwid', 'tunErspanHwid');
  }
  exactHex('gtpu_flags', 'tunGtpuFlags');
  p.decimal('gtpu_msgtype', 'tunGtpuMsgtype', true);
  const mask = tunFlagsOf(p.mask('tunFlags'));
  if (mask !== 0) p.put('tun_flags', formatMaskedFlags(TUN_FLAGS, tunFlagsOf(p.value('tunFlags')), mask, 0xf));
}

/** `=NP`: of packets without the option; without anything: of those that have it, whatever its value. */
function formatTunMetadata({ index, isPresent, value, mask, isMasked }: TunMetadata): string {
  const name = `tun_metadata${index}`;
  if (!isPresent) return `${name}=NP`;
  if (isMasked && mask.every((b) => b === 0)) return name;
  const text = `${name}=${formatHexNumber(value)}`;
  return mask.every((b) => b === 0xff) ? text : `${text}/${formatHexNumber(mask)}`;
}

function formatVlan(p: MatchPrinter, suffix: string, field: FieldName): void {
  const [tci, mask] = [p.value(field), p.mask(field)];
  if (mask === 0) return;
  const [vid, pcp] = [mask & 0xfff, mask & 0xe000];
  const isPlain = (vid === 0 || vid === 0xfff) && (pcp === 0 || pcp === 0xe000) && (vid | pcp) !== 0;
  if ((tci & mask & VLAN_CFI) !== 0 && isPlain) {
    if (vid !== 0) p.put(`dl_vlan${suffix}`, String(tci & 0xfff));
    if (pcp !== 0) p.put(`dl_vlan_pcp${suffix}`, String(tci >>> 13));
    return;
  }
  const h = (n: number) => `0x${n.toString(16).padStart(4, '0')}`;
  p.put(`vlan_tci${suffix}`, mask === 0xffff ? h(tci) : `${h(tci)}/${h(mask)}`);
}

function formatNsh(p: MatchPrinter): void {
  const u8 = (name: string, v: number, m: number) => {
    const h = (n: number) => `0x${n.toString(16).padStart(2, '0')}`;
    if (m !== 0) p.put(name, m === 0xff ? String(v) : `${h(v)}/${h(m)}`);
  };
  const plainHex = (name: string, v: number, m: number, ones: number) => {
    if (m !== 0) p.put(name, m === ones ? `0x${v.toString(16)}` : `0x${v.toString(16)}/0x${m.toString(16)}`);
  };
  u8('nsh_flags', p.value('nshFlags'), p.mask('nshFlags'));
  u8('nsh_ttl', p.value('nshTtl'), p.mask('nshTtl'));
  u8('nsh_mdtype', p.value('nshMdtype'), p.mask('nshMdtype'));
  u8('nsh_np', p.value('nshNp'), p.mask('nshNp'));
  plainHex('nsh_spi', p.value('nshPathHdr') >>> 8, p.mask('nshPathHdr') >>> 8, 0xffffff);
  u8('nsh_si', p.value('nshPathHdr') & 0xff, p.mask('nshPathHdr') & 0xff);
  if (p.mask('nshMdtype') !== 0xff || p.value('nshMdtype') !== 1) return;
  for (const c of ['nshC1', 'nshC2', 'nshC3', 'nshC4'] as const) {
    plainHex(`nsh_c${c[4]}`, p.value(c), p.mask(c), 0xffffffff);
  }
}

function formatNetwork(p: MatchPrinter, type: number): void {
  if (type === ETH.IPV6) {
    p.ip('ipv6_src', 'ipv6Src');
    p.ip('ipv6_dst', 'ipv6Dst');
    const h = (n: number) => `0x${n.toString(16).padStart(5, '0')}`;
    const [v, m] = [p.value('ipv6Label'), p.mask('ipv6Label')];
    if (m !== 0) p.put('ipv6_label', (m & 0xfffff) === 0xfffff ? h(v) : `${h(v)}/${h(m)}`);
  } else if (type === ETH.ARP || type === ETH.RARP) {
    p.ip('arp_spa', 'nwSrc');
    p.ip('arp_tpa', 'nwDst');
  } else if (type === ETH.NSH) {
    formatNsh(p);
  } else {
    p.ip('nw_src', 'nwSrc');
    p.ip('nw_dst', 'nwDst');
  }
}

function formatFragment(p: MatchPrinter): void {
  const [v, m] = [p.value('nwFrag') & 3, p.mask('nwFrag') & 3];
  if (m === 3) p.put('nw_frag', ['no', 'first', '<error>', 'later'][v] as string);
  else if (m === 1) p.put('nw_frag', (v & 1) !== 0 ? 'yes' : 'no');
  else if (m === 2) p.put('nw_frag', (v & 2) !== 0 ? 'later' : 'not_later');
}

function formatTransport(p: MatchPrinter, type: number): void {
  const proto = p.value('nwProto');
  if ((type === ETH.IP && proto === IPPROTO.ICMP) || (type === ETH.IPV6 && proto === IPPROTO.ICMPV6)) {
    p.decimal('icmp_type', 'tpSrc');
    p.decimal('icmp_code', 'tpDst');
    if (type === ETH.IP) return;
    p.ip('nd_target', 'ndTarget');
    p.mac('nd_sll', 'arpSha');
    p.mac('nd_tll', 'arpTha');
    p.wide('nd_reserved', 'ndReserved');
    p.decimal('nd_options_type', 'ndOptionsType', true);
    return;
  }
  p.decimal('tp_src', 'tpSrc');
  p.decimal('tp_dst', 'tpDst');
  const flags = p.mask('tcpFlags') & 0xfff;
  if ((type === ETH.IP || type === ETH.IPV6) && proto === IPPROTO.TCP && flags !== 0) {
    p.put('tcp_flags', formatMaskedFlags(FLAGS.tcpFlags, p.value('tcpFlags'), flags, 0xfff));
  }
}

/** A match, and `priority=` before it unless it is the default one; "" for a match of every packet. */
export function formatMatch(match: Match, priority = DEFAULT_PRIORITY, names: OfpNames = {}): string {
  const p = new MatchPrinter(match);
  if (priority !== DEFAULT_PRIORITY) p.put('priority', String(priority));
  formatMetadata(p, names);

  const packetType = p.value('packetType');
  const hasPacketType = p.mask('packetType') !== 0;
  if (hasPacketType && (packetType !== 0 || p.mask('recircId') !== 0)) {
    const bytes = packetType === 0 ? [0, 0, 0, 0] : [0, 1, packetType >>> 8, packetType & 0xff];
    p.parts.push(formatPacketType(Uint8Array.from(bytes), new Uint8Array(4).fill(0xff)));
  }
  const type = hasPacketType && packetType !== 0 ? packetType : p.value('ethType');
  const short = shorthand(p, type);
  if (short !== undefined) p.parts.push(short.text);

  for (let i = 0; i < 16; i++) p.hex(`reg${i}`, `reg${i}` as FieldName);
  formatTunnel(p);
  p.parts.push(...(match.tunMetadata ?? []).map(formatTunMetadata));
  p.hex64('metadata', 'metadata');
  if ((p.mask('inPort') & 0xffff) !== 0) p.put('in_port', formatPort(p.value('inPort') & 0xffff, names.ports));
  formatVlan(p, '', 'vlanTci');
  if (p.mask('vlanTci') !== 0) formatVlan(p, '1', 'cvlanTci');
  p.mac('dl_src', 'ethSrc');
  p.mac('dl_dst', 'ethDst');
  if (short === undefined && p.mask('ethType') !== 0) {
    const shown = TYPES_802_2[1 - TYPES_802_2.indexOf(type)] ?? type;
    p.put('dl_type', `0x${shown.toString(16).padStart(4, '0')}`);
  }

  formatNetwork(p, type);
  const isArp = type === ETH.ARP || type === ETH.RARP;
  if (short?.hasProto !== true) p.decimal(isArp ? 'arp_op' : 'nw_proto', 'nwProto', true);
  if (isArp) {
    p.mac('arp_sha', 'arpSha');
    p.mac('arp_tha', 'arpTha');
  }
  if ((p.mask('nwTos') & 0xfc) !== 0) p.put('nw_tos', String(p.value('nwTos') & 0xfc));
  if ((p.mask('nwTos') & 3) !== 0) p.put('nw_ecn', String(p.value('nwTos') & 3));
  p.decimal('nw_ttl', 'nwTtl', true);

  const [lse, lseMask] = [p.value('mplsLse0'), p.mask('mplsLse0')];
  if (lseMask >>> 12 !== 0) p.put('mpls_label', String(lse >>> 12));
  if ((lseMask & 0xe00) !== 0) p.put('mpls_tc', String((lse >>> 9) & 7));
  if ((lseMask & 0xff) !== 0) p.put('mpls_ttl', String(lse & 0xff));
  if ((lseMask & 0x100) !== 0) p.put('mpls_bos', String((lse >>> 8) & 1));
  p.wide('mpls_lse1', 'mplsLse1');
  p.wide('mpls_lse2', 'mplsLse2');
  formatFragment(p);
  formatTransport(p, type);
  return p.parts.join(',');
}
