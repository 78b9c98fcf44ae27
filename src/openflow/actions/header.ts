/**
 * Actions of OpenFlow 1.0 and 1.1 that change one header field, VLAN and MPLS tags, TTLs, the tunnel's id.
 *
 * Versions from 1.2 on have set_field instead for most of them: they are encoded as that.
 * Source: OpenFlow 1.0.2 5.2.4, 1.1.0 4.9, 1.2 A.2.5, include/openflow/nicira-ext.h, ovs-actions(7).
 */
import { formatIpv4, formatMac, parseIpv4, parseMac } from '../../util/inet.ts';
import { OFPERR, OfpError, type OfVersion } from '../ofp-errors.ts';
import { OFPUTIL_P } from '../ofp-protocol.ts';
import { atoi, formatHex, OfpTextError, parseU8, parseU16, parseU32, parseU64, tokens } from '../ofp-text.ts';
import type {
  OfpactDecTtl,
  OfpactPlain,
  OfpactPopMpls,
  OfpactPushMpls,
  OfpactPushVlan,
  OfpactSetEth,
  OfpactSetIpByte,
  OfpactSetIpv4,
  OfpactSetL4Port,
  OfpactSetMpls,
  OfpactSetTunnel,
  OfpactSetVlanPcp,
  OfpactSetVlanVid,
  OfpactStripVlan,
} from '../ofpact.ts';
import { type AnyRow, row } from './row.ts';
import { type ActionWriter, actionForm } from './wire.ts';

const ETH_TYPE_VLAN = 0x8100;
const ETH_TYPE_VLAN_8021AD = 0x88a8;
const OFPVID_PRESENT = 0x1000;
const IPPROTO = { TCP: 6, UDP: 17, SCTP: 132 } as const;

/** Fields of class OXM_OF (0x8000) that these actions become: number, bytes. */
// biome-ignore format: table
const OXM = {
  ethDst: [3, 6], ethSrc: [4, 6], vlanVid: [6, 2], vlanPcp: [7, 1], ipDscp: [8, 1], ipEcn: [9, 1], ipv4Src: [11, 4], ipv4Dst: [12, 4],
  tcpSrc: [13, 2], tcpDst: [14, 2], udpSrc: [15, 2], udpDst: [16, 2], sctpSrc: [17, 2], sctpDst: [18, 2],
  mplsLabel: [34, 4], mplsTc: [35, 1], tunnelId: [38, 8],
} as const;
const NXM_NX_IP_ECN = 0x00013801;
const NXM_NX_IP_TTL = 0x00013a01;
const NXM_NX_TUN_ID = 0x00012008;

const SET_FIELD = actionForm('OFPAT_SET_FIELD', 'OF1.2+(25)', 8);
const REG_LOAD = actionForm('NXAST_REG_LOAD', 'NX1.0-1.4(7)', 24);

const bigEndian = (value: number | bigint, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * (size - 1 - i))) & 0xffn));

function putSetField(out: ActionWriter, version: OfVersion, oxm: readonly [number, number], value: Uint8Array): void {
  const at = out.action(SET_FIELD, version);
  // OpenFlow 1.2 has no standard field for the tunnel's id.
  const hasField = oxm !== OXM.tunnelId || version >= 4;
  out.setU32(at + 4, hasField ? 0x80000000 + oxm[0] * 512 + oxm[1] : NXM_NX_TUN_ID);
  out.putBytes(value);
  out.finish(at);
}

/** reg_load into all of a field of `bits` bits. */
function putRegLoad(out: ActionWriter, version: OfVersion, nxm: number, bits: number, value: number): void {
  const at = out.action(REG_LOAD, version);
  out.setU16(at + 10, bits - 1);
  out.setU32(at + 12, nxm);
  out.setU64(at + 16, BigInt(value));
}

function within(value: number, mask: number): number {
  if ((value & ~mask) !== 0) throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT, `${value}`);
  return value;
}
function textWithin(value: number, mask: number, arg: string, what: string): number {
  if ((value & ~mask) !== 0) throw new OfpTextError(`${arg}: not a valid ${what}`);
  return value;
}

// ---- VLAN ----

const VID10 = actionForm('OFPAT_SET_VLAN_VID', 'OF1.0(1)', 'u16');
const VID11 = actionForm('OFPAT_SET_VLAN_VID', 'OF1.1+(1)', 'u16');
const PCP10 = actionForm('OFPAT_SET_VLAN_PCP', 'OF1.0(2)', 'u8');
const PCP11 = actionForm('OFPAT_SET_VLAN_PCP', 'OF1.1+(2)', 'u8');
const PUSH_VLAN = actionForm('OFPAT_PUSH_VLAN', 'OF1.1+(17)', 'u16');
const STRIP_VLAN = actionForm('OFPAT_STRIP_VLAN', 'OF1.0(3)', 'void');
const POP_VLAN = actionForm('OFPAT_POP_VLAN', 'OF1.1+(18)', 'void');

const vlanVid = (vid: number, pushIfNone: boolean): OfpactSetVlanVid => ({
  kind: 'set_vlan_vid',
  vid,
  pushIfNone,
  flowHasVlan: false,
});
const vlanPcp = (pcp: number, pushIfNone: boolean): OfpactSetVlanPcp => ({
  kind: 'set_vlan_pcp',
  pcp,
  pushIfNone,
  flowHasVlan: false,
});
const parseVid = (arg: string): number => textWithin(parseU16(arg, 'VLAN VID'), 0xfff, arg, 'VLAN VID');
const parsePcp = (arg: string): number => textWithin(parseU8(arg, 'VLAN PCP'), 7, arg, 'VLAN PCP');

const VLAN_ROWS: AnyRow[] = [
  row<OfpactSetVlanVid>({
    kind: 'set_vlan_vid',
    decoders: [
      { form: VID10, decode: (b) => vlanVid(within(b.arg, 0xfff), true) },
      { form: VID11, decode: (b) => vlanVid(within(b.arg, 0xfff), false) },
    ],
    encode(a, { version, out }) {
      if (version > 1 && a.pushIfNone && !a.flowHasVlan) out.action(PUSH_VLAN, version, ETH_TYPE_VLAN);
      if (version === 1) out.action(VID10, version, a.vid);
      else if (version === 2) out.action(VID11, version, a.vid);
      else putSetField(out, version, OXM.vlanVid, bigEndian(a.vid | OFPVID_PRESENT, 2));
    },
    format: (a) => `${a.pushIfNone ? 'mod_vlan_vid' : 'set_vlan_vid'}:${a.vid}`,
    parse: {
      set_vlan_vid: (arg) => vlanVid(parseVid(arg), false),
      mod_vlan_vid: (arg) => vlanVid(parseVid(arg), true),
    },
  }),
  row<OfpactSetVlanPcp>({
    kind: 'set_vlan_pcp',
    decoders: [
      { form: PCP10, decode: (b) => vlanPcp(within(b.arg, 7), true) },
      { form: PCP11, decode: (b) => vlanPcp(within(b.arg, 7), false) },
    ],
    encode(a, { version, out }) {
      if (version > 1 && a.pushIfNone && !a.flowHasVlan) out.action(PUSH_VLAN, version, ETH_TYPE_VLAN);
      if (version === 1) out.action(PCP10, version, a.pcp);
      else if (version === 2) out.action(PCP11, version, a.pcp);
      else putSetField(out, version, OXM.vlanPcp, bigEndian(a.pcp, 1));
    },
    format: (a) => `${a.pushIfNone ? 'mod_vlan_pcp' : 'set_vlan_pcp'}:${a.pcp}`,
    parse: {
      set_vlan_pcp: (arg) => vlanPcp(parsePcp(arg), false),
      mod_vlan_pcp: (arg) => vlanPcp(parsePcp(arg), true),
    },
  }),
  row<OfpactStripVlan>({
    kind: 'strip_vlan',
    decoders: [
      { form: STRIP_VLAN, decode: () => ({ kind: 'strip_vlan', isPop: false }) },
      { form: POP_VLAN, decode: () => ({ kind: 'strip_vlan', isPop: true }) },
    ],
    encode: (_, { version, out }) => void out.action(version === 1 ? STRIP_VLAN : POP_VLAN, version),
    format: (a) => (a.isPop ? 'pop_vlan' : 'strip_vlan'),
    parse: {
      strip_vlan: () => ({ kind: 'strip_vlan', isPop: false }),
      pop_vlan: () => ({ kind: 'strip_vlan', isPop: true }),
    },
  }),
  row<OfpactPushVlan>({
    kind: 'push_vlan',
    decoders: [
      {
        form: PUSH_VLAN,
        decode(b) {
          if (b.arg !== ETH_TYPE_VLAN && b.arg !== ETH_TYPE_VLAN_8021AD) throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT);
          return { kind: 'push_vlan', ethType: b.arg };
        },
      },
    ],
    encode(a, { version, out }) {
      // In OpenFlow 1.0 the set_vlan_vid or set_vlan_pcp that follows pushes the tag.
      if (version > 1) out.action(PUSH_VLAN, version, a.ethType);
    },
    format: (a) => `push_vlan:${formatHex(a.ethType)}`,
    parse: {
      push_vlan(arg, c) {
        c.usable &= OFPUTIL_P.OF11_UP;
        const ethType = parseU16(arg, 'ethertype');
        if (ethType !== ETH_TYPE_VLAN && ethType !== ETH_TYPE_VLAN_8021AD) {
          throw new OfpTextError(`${arg}: not a valid VLAN ethertype`);
        }
        return { kind: 'push_vlan', ethType };
      },
    },
  }),
];

// ---- Addresses, bytes of the IP header, ports ----

function ethRow(kind: OfpactSetEth['kind'], codes: string, oxm: readonly [number, number]): AnyRow {
  const form = actionForm(kind === 'mod_dl_src' ? 'OFPAT_SET_DL_SRC' : 'OFPAT_SET_DL_DST', codes, 16);
  return row<OfpactSetEth>({
    kind,
    decoders: [{ form, decode: (b) => ({ kind, mac: b.bytes(4, 10) }) }],
    encode(a, { version, out }) {
      if (version < 3) out.setBytes(out.action(form, version) + 4, a.mac);
      else putSetField(out, version, oxm, a.mac);
    },
    format: (a) => `${kind}:${formatMac(a.mac)}`,
    parse: {
      [kind](arg: string): OfpactSetEth {
        const mac = parseMac(arg);
        if (mac === undefined) throw new OfpTextError(`invalid mac address ${arg}`);
        return { kind, mac };
      },
    },
  });
}

function ipv4Row(kind: OfpactSetIpv4['kind'], codes: string, oxm: readonly [number, number]): AnyRow {
  const form = actionForm(kind === 'mod_nw_src' ? 'OFPAT_SET_NW_SRC' : 'OFPAT_SET_NW_DST', codes, 'u32');
  return row<OfpactSetIpv4>({
    kind,
    decoders: [{ form, decode: (b) => ({ kind, ipv4: b.arg }) }],
    encode(a, { version, out }) {
      if (version < 3) out.action(form, version, a.ipv4);
      else putSetField(out, version, oxm, bigEndian(a.ipv4, 4));
    },
    format: (a) => `${kind}:${formatIpv4(bigEndian(a.ipv4, 4))}`,
    parse: {
      [kind](arg: string): OfpactSetIpv4 {
        const ip = parseIpv4(arg);
        if (ip === undefined) throw new OfpTextError(`${arg}: could not convert to IP address`);
        return { kind, ipv4: new DataView(ip.buffer).getUint32(0) };
      },
    },
  });
}

const TOS = actionForm('OFPAT_SET_NW_TOS', 'OF1.0(8) OF1.1+(7)', 'u8');
const ECN = actionForm('OFPAT_SET_NW_ECN', 'OF1.1+(8)', 'u8');
const TTL = actionForm('OFPAT_SET_NW_TTL', 'OF1.1+(23)', 'u8');
const nwTtl = (arg: string): OfpactSetIpByte => ({ kind: 'mod_nw_ttl', value: parseU8(arg, 'TTL') });

function l4Row(kind: OfpactSetL4Port['kind'], type: number, byProto: readonly (readonly [number, number])[]): AnyRow {
  const isSrc = kind === 'mod_tp_src';
  const form = actionForm(isSrc ? 'OFPAT_SET_TP_SRC' : 'OFPAT_SET_TP_DST', `OF1.0+(${type})`, 'u16');
  return row<OfpactSetL4Port>({
    kind,
    decoders: [{ form, decode: (b) => ({ kind, port: b.arg }) }],
    encode(a, { version, out }) {
      const proto = [IPPROTO.TCP, IPPROTO.UDP, IPPROTO.SCTP].indexOf((a.ipProto ?? 0) as 6);
      const oxm = byProto[proto];
      if (version < 3 || oxm === undefined) out.action(form, version, a.port);
      else putSetField(out, version, oxm, bigEndian(a.port, 2));
    },
    format: (a) => `${kind}:${a.port}`,
    parse: {
      [kind]: (arg: string): OfpactSetL4Port => ({
        kind,
        port: parseU16(arg, isSrc ? 'source port' : 'destination port'),
      }),
    },
  });
}

const IP_ROWS: AnyRow[] = [
  row<OfpactSetIpByte>({
    kind: 'mod_nw_tos',
    decoders: [{ form: TOS, decode: (b) => ({ kind: 'mod_nw_tos', value: within(b.arg, 0xfc) }) }],
    encode(a, { version, out }) {
      if (version < 3) out.action(TOS, version, a.value);
      else putSetField(out, version, OXM.ipDscp, bigEndian(a.value >> 2, 1));
    },
    format: (a) => `mod_nw_tos:${a.value}`,
    parse: {
      mod_nw_tos: (arg) => ({ kind: 'mod_nw_tos', value: textWithin(parseU8(arg, 'TOS'), 0xfc, arg, 'TOS') }),
    },
  }),
  row<OfpactSetIpByte>({
    kind: 'mod_nw_ecn',
    decoders: [{ form: ECN, decode: (b) => ({ kind: 'mod_nw_ecn', value: within(b.arg, 3) }) }],
    encode(a, { version, out }) {
      if (version === 1) putRegLoad(out, version, NXM_NX_IP_ECN, 2, a.value);
      else if (version === 2) out.action(ECN, version, a.value);
      else putSetField(out, version, OXM.ipEcn, bigEndian(a.value, 1));
    },
    format: (a) => `mod_nw_ecn:${a.value}`,
    parse: { mod_nw_ecn: (arg) => ({ kind: 'mod_nw_ecn', value: textWithin(parseU8(arg, 'ECN'), 3, arg, 'ECN') }) },
  }),
  row<OfpactSetIpByte>({
    kind: 'mod_nw_ttl',
    decoders: [{ form: TTL, decode: (b) => ({ kind: 'mod_nw_ttl', value: b.arg }) }],
    encode(a, { version, out }) {
      if (version === 1) putRegLoad(out, version, NXM_NX_IP_TTL, 8, a.value);
      else out.action(TTL, version, a.value);
    },
    format: (a) => `mod_nw_ttl:${a.value}`,
    parse: { mod_nw_ttl: nwTtl, set_nw_ttl: nwTtl },
  }),
];

const DEC_TTL = actionForm('OFPAT_DEC_NW_TTL', 'NX1.0(18) OF1.1+(24)', 'void');
const DEC_TTL_IDS = actionForm('NXAST_DEC_TTL_CNT_IDS', 'NX1.0+(21)', 16, true);

const decTtl = row<OfpactDecTtl>({
  kind: 'dec_ttl',
  decoders: [
    { form: DEC_TTL, decode: () => ({ kind: 'dec_ttl', controllerIds: [0], hasIds: false }) },
    {
      form: DEC_TTL_IDS,
      decode(b) {
        if (!b.isZero(12, 16)) throw new OfpError(OFPERR.NXBRC_MUST_BE_ZERO);
        const n = b.u16(10);
        if (b.size - 16 < 2 * n) throw new OfpError(OFPERR.OFPBAC_BAD_LEN, `${n} controller ids`);
        const controllerIds = Array.from({ length: n }, (_, i) => b.u16(16 + 2 * i));
        return { kind: 'dec_ttl', controllerIds, hasIds: true };
      },
    },
  ],
  encode(a, { version, out }) {
    if (!a.hasIds && a.controllerIds.length === 1 && a.controllerIds[0] === 0) {
      out.action(DEC_TTL, version);
      return;
    }
    const at = out.action(DEC_TTL_IDS, version);
    out.setU16(at + 10, a.controllerIds.length);
    for (const id of a.controllerIds) out.putU16(id);
    out.finish(at);
  },
  format: (a) => (a.hasIds ? `dec_ttl(${a.controllerIds.join(',')})` : 'dec_ttl'),
  parse: {
    dec_ttl(arg) {
      if (arg === '') return { kind: 'dec_ttl', controllerIds: [0], hasIds: false };
      const ids = tokens(arg, ', ').map((id) => atoi(id, 16));
      if (ids.length === 0) throw new OfpTextError('dec_ttl_cnt_ids: expected at least one controller id.');
      return { kind: 'dec_ttl', controllerIds: ids, hasIds: true };
    },
  },
});

// ---- MPLS ----

const LABEL = actionForm('OFPAT_SET_MPLS_LABEL', 'NX1.0(30) OF1.1+(13)', 'u32');
const TC = actionForm('OFPAT_SET_MPLS_TC', 'NX1.0(31) OF1.1+(14)', 'u8');
const MPLS_TTL = actionForm('OFPAT_SET_MPLS_TTL', 'NX1.0(25) OF1.1+(15)', 'u8');
const DEC_MPLS_TTL = actionForm('OFPAT_DEC_MPLS_TTL', 'NX1.0(26) OF1.1+(16)', 'void');
const PUSH_MPLS = actionForm('OFPAT_PUSH_MPLS', 'NX1.0(23) OF1.1+(19)', 'u16');
const POP_MPLS = actionForm('OFPAT_POP_MPLS', 'NX1.0(24) OF1.1+(20)', 'u16');
const hex4 = (n: number): string => `0x${n.toString(16).padStart(4, '0')}`;
const needed = (arg: string, kind: string, what: string): string => {
  if (arg === '') throw new OfpTextError(`${kind}: expected ${what}.`);
  return arg;
};

const MPLS_ROWS: AnyRow[] = [
  row<OfpactSetMpls>({
    kind: 'set_mpls_label',
    decoders: [{ form: LABEL, decode: (b) => ({ kind: 'set_mpls_label', value: b.arg }) }],
    encode(a, { version, out }) {
      if (version < 3) out.action(LABEL, version, a.value);
      else putSetField(out, version, OXM.mplsLabel, bigEndian(a.value, 4));
    },
    format: (a) => `set_mpls_label(${a.value})`,
    parse: {
      set_mpls_label: (arg) => ({
        kind: 'set_mpls_label',
        value: textWithin(parseU32(needed(arg, 'set_mpls_label', 'label')), 0xfffff, arg, 'MPLS label'),
      }),
    },
  }),
  row<OfpactSetMpls>({
    kind: 'set_mpls_tc',
    decoders: [{ form: TC, decode: (b) => ({ kind: 'set_mpls_tc', value: b.arg }) }],
    encode(a, { version, out }) {
      if (version < 3) out.action(TC, version, a.value);
      else putSetField(out, version, OXM.mplsTc, bigEndian(a.value, 1));
    },
    format: (a) => `set_mpls_tc(${a.value})`,
    parse: {
      set_mpls_tc: (arg) => ({
        kind: 'set_mpls_tc',
        value: textWithin(parseU8(needed(arg, 'set_mpls_tc', 'tc'), 'MPLS TC'), 7, arg, 'MPLS TC'),
      }),
    },
  }),
  row<OfpactSetMpls>({
    kind: 'set_mpls_ttl',
    decoders: [{ form: MPLS_TTL, decode: (b) => ({ kind: 'set_mpls_ttl', value: b.arg }) }],
    encode: (a, { version, out }) => void out.action(MPLS_TTL, version, a.value),
    format: (a) => `set_mpls_ttl(${a.value})`,
    parse: {
      set_mpls_ttl: (arg) => ({
        kind: 'set_mpls_ttl',
        value: parseU8(needed(arg, 'set_mpls_ttl', 'ttl'), 'MPLS TTL'),
      }),
    },
  }),
  row<OfpactPlain>({
    kind: 'dec_mpls_ttl',
    decoders: [{ form: DEC_MPLS_TTL, decode: () => ({ kind: 'dec_mpls_ttl' }) }],
    encode: (_, { version, out }) => void out.action(DEC_MPLS_TTL, version),
    format: () => 'dec_mpls_ttl',
    parse: { dec_mpls_ttl: () => ({ kind: 'dec_mpls_ttl' }) },
  }),
  row<OfpactPushMpls>({
    kind: 'push_mpls',
    decoders: [
      {
        form: PUSH_MPLS,
        decode(b) {
          if (b.arg !== 0x8847 && b.arg !== 0x8848) throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT);
          return { kind: 'push_mpls', ethType: b.arg };
        },
      },
    ],
    encode: (a, { version, out }) => void out.action(PUSH_MPLS, version, a.ethType),
    format: (a) => `push_mpls:${hex4(a.ethType)}`,
    parse: { push_mpls: (arg) => ({ kind: 'push_mpls', ethType: parseU16(arg, 'push_mpls') }) },
  }),
  row<OfpactPopMpls>({
    kind: 'pop_mpls',
    decoders: [{ form: POP_MPLS, decode: (b) => ({ kind: 'pop_mpls', ethType: b.arg }) }],
    encode: (a, { version, out }) => void out.action(POP_MPLS, version, a.ethType),
    format: (a) => `pop_mpls:${hex4(a.ethType)}`,
    parse: { pop_mpls: (arg) => ({ kind: 'pop_mpls', ethType: parseU16(arg, 'pop_mpls') }) },
  }),
];

const TUNNEL = actionForm('NXAST_SET_TUNNEL', 'NX1.0+(2)', 'u32');
const TUNNEL64 = actionForm('NXAST_SET_TUNNEL64', 'NX1.0+(9)', 'u64');
const isTunnel64 = (a: OfpactSetTunnel): boolean => a.is64 || a.tunId > 0xffffffffn;

const setTunnel = row<OfpactSetTunnel>({
  kind: 'set_tunnel',
  decoders: [
    { form: TUNNEL, decode: (b) => ({ kind: 'set_tunnel', tunId: BigInt(b.arg), is64: false }) },
    { form: TUNNEL64, decode: (b) => ({ kind: 'set_tunnel', tunId: b.arg64, is64: true }) },
  ],
  encode(a, { version, out }) {
    if (version >= 3) putSetField(out, version, OXM.tunnelId, bigEndian(a.tunId, 8));
    else out.action(isTunnel64(a) ? TUNNEL64 : TUNNEL, version, a.tunId);
  },
  format: (a) => `set_tunnel${isTunnel64(a) ? '64' : ''}:${formatHex(a.tunId)}`,
  parse: {
    set_tunnel: (arg) => ({ kind: 'set_tunnel', tunId: parseU64(arg), is64: false }),
    set_tunnel64: (arg) => ({ kind: 'set_tunnel', tunId: parseU64(arg), is64: true }),
  },
});

export const HEADER_ROWS: AnyRow[] = [
  ...VLAN_ROWS,
  ethRow('mod_dl_src', 'OF1.0(4) OF1.1+(3)', OXM.ethSrc),
  ethRow('mod_dl_dst', 'OF1.0(5) OF1.1+(4)', OXM.ethDst),
  ipv4Row('mod_nw_src', 'OF1.0(6) OF1.1+(5)', OXM.ipv4Src),
  ipv4Row('mod_nw_dst', 'OF1.0(7) OF1.1+(6)', OXM.ipv4Dst),
  ...IP_ROWS,
  l4Row('mod_tp_src', 9, [OXM.tcpSrc, OXM.udpSrc, OXM.sctpSrc]),
  l4Row('mod_tp_dst', 10, [OXM.tcpDst, OXM.udpDst, OXM.sctpDst]),
  decTtl,
  ...MPLS_ROWS,
  setTunnel,
];
