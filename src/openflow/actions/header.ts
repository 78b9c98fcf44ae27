/**
 * Actions of OpenFlow 1.0 and 1.1 that change one field of the Ethernet, IP or L4 header; TTLs, the tunnel's id.
 *
 * Versions from 1.2 on have set_field instead for most of them: they are encoded as that.
 * Source: OpenFlow 1.0.2 5.2.4, 1.1.0 4.9, 1.2 A.2.5, include/openflow/nicira-ext.h, ovs-actions(7).
 */
import { formatIpv4, formatMac, parseIpv4, parseMac } from '../../util/inet.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { atoi, formatHex, OfpTextError, parseU8, parseU16, parseU64, tokens } from '../ofp-text.ts';
import type {
  OfpactDecTtl,
  OfpactSetEth,
  OfpactSetIpByte,
  OfpactSetIpv4,
  OfpactSetL4Port,
  OfpactSetTunnel,
} from '../ofpact.ts';
import { type AnyRow, row } from './row.ts';
import { bigEndian, putRegLoad, putSetField, textWithin, within } from './set-header.ts';
import { actionForm } from './wire.ts';

const IPPROTO = { TCP: 6, UDP: 17, SCTP: 132 } as const;

function ethRow(kind: OfpactSetEth['kind'], codes: string, field: string): AnyRow {
  const form = actionForm(kind === 'mod_dl_src' ? 'OFPAT_SET_DL_SRC' : 'OFPAT_SET_DL_DST', codes, 16);
  return row<OfpactSetEth>({
    kind,
    decoders: [{ form, decode: (b) => ({ kind, mac: b.bytes(4, 10) }) }],
    encode(a, { version, out }) {
      if (version < 3) out.setBytes(out.action(form, version) + 4, a.mac);
      else putSetField(out, version, field, a.mac);
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

function ipv4Row(kind: OfpactSetIpv4['kind'], codes: string, field: string): AnyRow {
  const form = actionForm(kind === 'mod_nw_src' ? 'OFPAT_SET_NW_SRC' : 'OFPAT_SET_NW_DST', codes, 'u32');
  return row<OfpactSetIpv4>({
    kind,
    decoders: [{ form, decode: (b) => ({ kind, ipv4: b.arg }) }],
    encode(a, { version, out }) {
      if (version < 3) out.action(form, version, a.ipv4);
      else putSetField(out, version, field, a.ipv4);
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

function l4Row(kind: OfpactSetL4Port['kind'], type: number, byProto: readonly string[]): AnyRow {
  const isSrc = kind === 'mod_tp_src';
  const form = actionForm(isSrc ? 'OFPAT_SET_TP_SRC' : 'OFPAT_SET_TP_DST', `OF1.0+(${type})`, 'u16');
  return row<OfpactSetL4Port>({
    kind,
    decoders: [{ form, decode: (b) => ({ kind, port: b.arg }) }],
    encode(a, { version, out }) {
      const proto = [IPPROTO.TCP, IPPROTO.UDP, IPPROTO.SCTP].indexOf((a.ipProto ?? 0) as 6);
      const field = byProto[proto];
      if (version < 3 || field === undefined) out.action(form, version, a.port);
      else putSetField(out, version, field, a.port);
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
      else putSetField(out, version, 'ip_dscp', a.value >> 2);
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
      if (version === 1) putRegLoad(out, version, 'nw_ecn', a.value);
      else if (version === 2) out.action(ECN, version, a.value);
      else putSetField(out, version, 'nw_ecn', a.value);
    },
    format: (a) => `mod_nw_ecn:${a.value}`,
    parse: { mod_nw_ecn: (arg) => ({ kind: 'mod_nw_ecn', value: textWithin(parseU8(arg, 'ECN'), 3, arg, 'ECN') }) },
  }),
  row<OfpactSetIpByte>({
    kind: 'mod_nw_ttl',
    decoders: [{ form: TTL, decode: (b) => ({ kind: 'mod_nw_ttl', value: b.arg }) }],
    encode(a, { version, out }) {
      if (version === 1) putRegLoad(out, version, 'nw_ttl', a.value);
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
    if (version >= 3) putSetField(out, version, 'tun_id', a.tunId);
    else out.action(isTunnel64(a) ? TUNNEL64 : TUNNEL, version, a.tunId);
  },
  format: (a) => `set_tunnel${isTunnel64(a) ? '64' : ''}:${formatHex(a.tunId)}`,
  parse: {
    set_tunnel: (arg) => ({ kind: 'set_tunnel', tunId: parseU64(arg), is64: false }),
    set_tunnel64: (arg) => ({ kind: 'set_tunnel', tunId: parseU64(arg), is64: true }),
  },
});

export const HEADER_ROWS: AnyRow[] = [
  ethRow('mod_dl_src', 'OF1.0(4) OF1.1+(3)', 'eth_src'),
  ethRow('mod_dl_dst', 'OF1.0(5) OF1.1+(4)', 'eth_dst'),
  ipv4Row('mod_nw_src', 'OF1.0(6) OF1.1+(5)', 'ip_src'),
  ipv4Row('mod_nw_dst', 'OF1.0(7) OF1.1+(6)', 'ip_dst'),
  ...IP_ROWS,
  l4Row('mod_tp_src', 9, ['tcp_src', 'udp_src', 'sctp_src']),
  l4Row('mod_tp_dst', 10, ['tcp_dst', 'udp_dst', 'sctp_dst']),
  decTtl,
  setTunnel,
];
