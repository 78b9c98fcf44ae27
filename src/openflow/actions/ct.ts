/**
 * ct and nat: a packet goes through the connection tracker, and its addresses and ports may be changed there.
 * Source: include/openflow/nicira-ext.h, lib/ofp-actions.c (nx_action_conntrack, nx_action_nat), ovs-actions(7).
 */
import { formatIpv4, formatIpv6, IPV4_SIZE, IPV6_SIZE, parseIpv4, parseIpv6 } from '../../util/inet.ts';
import type { Subfield } from '../fields/mf-field.ts';
import { formatSubfield, parseSubfield } from '../fields/mf-subfield.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { formatTable, parseTable } from '../ofp-names.ts';
import { KeyValues, OfpTextError, parseU16 } from '../ofp-text.ts';
import type { Ofpact, OfpactCt, OfpactNat } from '../ofpact.ts';
import { checkSrc, nxmHeaderOf, ofsBits, readNxmField, toSubfield } from './field-wire.ts';
import { type AnyRow, type DecodeCtx, type FormatCtx, type ParseCtx, row } from './row.ts';
import { type ActionBytes, actionForm } from './wire.ts';

const badArgument = (why: string): never => {
  throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT, why);
};

const CT = actionForm('NXAST_CT', 'NX1.0+(35)', 24, true);
const CT_ACTIONS = 24;
/** NX_CT_F_*. */
const CT_F = { COMMIT: 1, FORCE: 2 } as const;
const RECIRC_NONE = 255;
const ZONE_BITS = 16;
/** Well-known ports that name helpers. */
const ALG = new Map([
  ['ftp', 21],
  ['tftp', 69],
]);

/** Without "commit" only a nat without arguments may follow. */
const needsCommit = (a: Ofpact): boolean => a.kind !== 'nat' || a.flags !== 0 || a.addrMin !== undefined;

function decodeZone(
  b: ActionBytes,
  c: DecodeCtx,
): { readonly zoneSrc: Subfield | undefined; readonly zoneImm: number } {
  if (b.u32(12) === 0) return { zoneSrc: undefined, zoneImm: b.u16(16) };
  const zoneSrc = toSubfield(readNxmField(b.u32(12), c), b.u16(16));
  checkSrc(zoneSrc);
  if (zoneSrc.bits !== ZONE_BITS) throw new OfpError(OFPERR.OFPBAC_BAD_SET_LEN, `zone of ${zoneSrc.bits} bits`);
  return { zoneSrc, zoneImm: 0 };
}

function decodeCt(b: ActionBytes, c: DecodeCtx): OfpactCt {
  const flags = b.u16(10);
  if ((flags & CT_F.FORCE) !== 0 && (flags & CT_F.COMMIT) === 0) badArgument('force without commit');
  const zone = decodeZone(b, c);
  const actions = c.nested(b.view(CT_ACTIONS), 'ct');
  if ((flags & CT_F.COMMIT) === 0 && actions.some(needsCommit)) badArgument('actions without commit');
  return { kind: 'ct', flags, ...zone, alg: b.u16(22), recircTable: b.u8(18), actions };
}

function formatCt(a: OfpactCt, c: FormatCtx): string {
  const parts: string[] = [];
  if ((a.flags & CT_F.COMMIT) !== 0) parts.push('commit');
  if ((a.flags & CT_F.FORCE) !== 0) parts.push('force');
  if (a.recircTable !== RECIRC_NONE) parts.push(`table=${formatTable(a.recircTable, c.names.tables)}`);
  if (a.zoneSrc !== undefined) parts.push(`zone=${formatSubfield(a.zoneSrc)}`);
  else if (a.zoneImm !== 0) parts.push(`zone=${a.zoneImm}`);
  const [first, ...rest] = a.actions;
  const isNat = first?.kind === 'nat';
  if (isNat) parts.push(formatNat(first));
  const inside = isNat ? rest : a.actions;
  if (inside.length > 0) parts.push(`exec(${c.nested(inside)})`);
  if (a.alg !== 0) {
    const name = [...ALG].find(([, port]) => port === a.alg)?.[0];
    parts.push(`alg=${name ?? a.alg}`);
  }
  return `ct(${parts.join(',')})`;
}

/** A number, or where to read it. */
function parseZone(text: string): { readonly zoneSrc: Subfield | undefined; readonly zoneImm: number } {
  try {
    return { zoneSrc: undefined, zoneImm: parseU16(text, 'zone') };
  } catch (error) {
    if (!(error instanceof OfpTextError)) throw error;
    return { zoneSrc: parseSubfield(text), zoneImm: 0 };
  }
}

function parseCt(arg: string, c: ParseCtx): OfpactCt {
  let a: OfpactCt = {
    kind: 'ct',
    flags: 0,
    zoneSrc: undefined,
    zoneImm: 0,
    alg: 0,
    recircTable: RECIRC_NONE,
    actions: [],
  };
  for (const kv = new KeyValues(arg); kv.next(); ) {
    const { key, value } = kv;
    if (key === 'commit') a = { ...a, flags: a.flags | CT_F.COMMIT };
    else if (key === 'force') a = { ...a, flags: a.flags | CT_F.FORCE };
    else if (key === 'table') {
      const recircTable = parseTable(value, c.names.tables);
      if (recircTable === undefined) throw new OfpTextError(`unknown table ${value}`);
      if (recircTable === RECIRC_NONE) throw new OfpTextError('invalid table 0xff');
      a = { ...a, recircTable };
    } else if (key === 'zone') a = { ...a, ...parseZone(value) };
    else if (key === 'alg') {
      const alg = ALG.get(value);
      if (alg === undefined) throw new OfpTextError(`invalid conntrack helper "${value}"`);
      a = { ...a, alg };
    } else if (key === 'nat') a = { ...a, actions: [...a.actions, parseNat(value)] };
    else if (key === 'exec') a = { ...a, actions: [...a.actions, ...c.nested(value, 'ct')] };
    else throw new OfpTextError(`invalid argument to "ct" action: \`${key}'`);
  }
  if ((a.flags & CT_F.FORCE) !== 0 && (a.flags & CT_F.COMMIT) === 0) {
    throw new OfpTextError('"force" flag requires "commit" flag.');
  }
  return a;
}

const ct = row<OfpactCt>({
  kind: 'ct',
  decoders: [{ form: CT, decode: decodeCt }],
  encode(a, c) {
    const { out } = c;
    const at = out.action(CT, c.version);
    out.setU16(at + 10, a.flags);
    if (a.zoneSrc !== undefined) out.setU32(at + 12, nxmHeaderOf(a.zoneSrc.field));
    out.setU16(at + 16, a.zoneSrc === undefined ? a.zoneImm : ofsBits(a.zoneSrc));
    out.setU8(at + 18, a.recircTable);
    out.setU16(at + 22, a.alg);
    c.nested(a.actions);
    out.finish(at);
  },
  format: formatCt,
  parse: { ct: parseCt },
});

// ---- nat ----

const NAT = actionForm('NXAST_NAT', 'NX1.0+(36)', 16, true);
const NAT_RANGE = 16;
/** NX_NAT_F_*. */
const NAT_F = { SRC: 1, DST: 2, PERSISTENT: 4, HASH: 8, RANDOM: 16 } as const;
const NAT_F_MASK = 31;
/** NX_NAT_RANGE_*: which parts of a range follow, in this order. */
const RANGE = { IPV4_MIN: 1, IPV4_MAX: 2, IPV6_MIN: 4, IPV6_MAX: 8, PROTO_MIN: 16, PROTO_MAX: 32 } as const;

const isZero = (bytes: Uint8Array): boolean => bytes.every((b) => b === 0);
const isLess = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) < 0;

function decodeNat(b: ActionBytes): OfpactNat {
  const flags = b.u16(12);
  const present = b.u16(14);
  const both = (x: number, y: number): boolean => (flags & x) !== 0 && (flags & y) !== 0;
  if ((flags & ~NAT_F_MASK) !== 0 || both(NAT_F.SRC, NAT_F.DST) || both(NAT_F.HASH, NAT_F.RANDOM)) {
    badArgument(`flags 0x${flags.toString(16)}`);
  }
  let at = NAT_RANGE;
  const take = (size: number): Uint8Array => {
    if (at + size > b.size) badArgument('the range is cut off');
    at += size;
    return b.bytes(at - size, at);
  };
  const has = (bit: number): boolean => (present & bit) !== 0;
  const has4 = has(RANGE.IPV4_MIN);
  const has6 = has(RANGE.IPV6_MIN);
  const isOdd =
    (has(RANGE.IPV4_MAX) && !has4) ||
    (has(RANGE.IPV6_MAX) && !has6) ||
    (has4 && has6) ||
    (has(RANGE.PROTO_MIN) && !has4 && !has6) ||
    (has(RANGE.PROTO_MAX) && !has(RANGE.PROTO_MIN));
  if (isOdd) badArgument(`range 0x${present.toString(16)}`);

  let addrMin: Uint8Array | undefined;
  let addrMax: Uint8Array | undefined;
  if (has4 || has6) {
    const size = has4 ? IPV4_SIZE : IPV6_SIZE;
    addrMin = take(size);
    if (isZero(addrMin)) badArgument('address 0');
    if (has(has4 ? RANGE.IPV4_MAX : RANGE.IPV6_MAX)) addrMax = take(size);
    if (addrMax !== undefined && isLess(addrMax, addrMin)) badArgument('addresses backwards');
  }
  const takePort = (bit: number): number => {
    if (!has(bit)) return 0;
    const [high = 0, low = 0] = take(2);
    return (high << 8) | low;
  };
  const portMin = takePort(RANGE.PROTO_MIN);
  const portMax = takePort(RANGE.PROTO_MAX);
  if (has(RANGE.PROTO_MIN) && portMin === 0) badArgument('port 0');
  if (has(RANGE.PROTO_MAX) && portMax < portMin) badArgument('ports backwards');
  return { kind: 'nat', flags, addrMin, addrMax, portMin, portMax };
}

function formatNat(a: OfpactNat): string {
  if ((a.flags & (NAT_F.SRC | NAT_F.DST)) === 0) return 'nat';
  const parts = [(a.flags & NAT_F.SRC) !== 0 ? 'src' : 'dst'];
  if (a.addrMin !== undefined) {
    const is6 = a.addrMin.length === IPV6_SIZE;
    const format = (ip: Uint8Array): string => {
      if (!is6) return formatIpv4(ip);
      return a.portMin === 0 ? formatIpv6(ip) : `[${formatIpv6(ip)}]`;
    };
    let range = format(a.addrMin);
    if (a.addrMax !== undefined && !isZero(a.addrMax) && Buffer.compare(a.addrMax, a.addrMin) !== 0) {
      range += `-${format(a.addrMax)}`;
    }
    if (a.portMin !== 0) range += `:${a.portMin}`;
    if (a.portMin !== 0 && a.portMax !== 0 && a.portMax !== a.portMin) range += `-${a.portMax}`;
    parts[0] += `=${range}`;
    if ((a.flags & NAT_F.PERSISTENT) !== 0) parts.push('persistent');
    if ((a.flags & NAT_F.HASH) !== 0) parts.push('hash');
    if ((a.flags & NAT_F.RANDOM) !== 0) parts.push('random');
  }
  return `nat(${parts.join(',')})`;
}

type NatRange = Pick<OfpactNat, 'addrMin' | 'addrMax' | 'portMin' | 'portMax'>;
const NO_RANGE: NatRange = { addrMin: undefined, addrMax: undefined, portMin: 0, portMax: 0 };
const RANGE4 = /^([\d.]+)(?:-([\d.]+))?(?::(\d+)(?:-(\d+))?)?$/;
const IP6 = String.raw`(?:\[([\da-fA-F:.]+)\]|([\da-fA-F:.]+))`;
const RANGE6 = new RegExp(String.raw`^${IP6}(?:-${IP6})?(?::(\d+)(?:-(\d+))?)?$`);

function parseRange(text: string): NatRange {
  if (text === '') return NO_RANGE;
  const bad = (): never => {
    throw new OfpTextError(`invalid nat range "${text}"`);
  };
  const address = (t: string | undefined): Uint8Array | undefined =>
    t === undefined ? undefined : (parseIpv4(t) ?? parseIpv6(t) ?? bad());
  const port = (t: string | undefined): number => {
    const n = Number(t ?? 0);
    return n > 0xffff ? bad() : n;
  };
  const m4 = RANGE4.exec(text);
  const m6 = RANGE6.exec(text);
  const [min, max, p1, p2] =
    m4 !== null ? m4.slice(1) : m6 !== null ? [m6[1] ?? m6[2], m6[3] ?? m6[4], m6[5], m6[6]] : bad();
  const range = { addrMin: address(min), addrMax: address(max), portMin: port(p1), portMax: port(p2) };
  const { addrMin, addrMax } = range;
  if (addrMin !== undefined && addrMax !== undefined) {
    if (addrMax.length !== addrMin.length || isLess(addrMax, addrMin)) bad();
  }
  return p2 !== undefined && range.portMax < range.portMin ? bad() : range;
}

const NAT_FLAGS = new Map<string, number>([
  ['persistent', NAT_F.PERSISTENT],
  ['hash', NAT_F.HASH],
  ['random', NAT_F.RANDOM],
]);

function parseNat(arg: string): OfpactNat {
  let flags = 0;
  let range = NO_RANGE;
  for (const kv = new KeyValues(arg); kv.next(); ) {
    const flag = NAT_FLAGS.get(kv.key);
    if (kv.key === 'src' || kv.key === 'dst') {
      flags |= kv.key === 'src' ? NAT_F.SRC : NAT_F.DST;
      range = parseRange(kv.value);
    } else if (flag !== undefined) flags |= flag;
    else throw new OfpTextError(`invalid key "${kv.key}" in "nat" argument`);
  }
  const has = (flag: number): boolean => (flags & flag) !== 0;
  if (has(NAT_F.SRC) && has(NAT_F.DST)) throw new OfpTextError('May only specify one of "src" or "dst".');
  if (!has(NAT_F.SRC | NAT_F.DST) && flags !== 0) {
    throw new OfpTextError('Flags allowed only with "src" or "dst".');
  }
  if (has(NAT_F.HASH) && has(NAT_F.RANDOM)) throw new OfpTextError('Both "hash" and "random" are not allowed.');
  return { kind: 'nat', flags, ...range };
}

const nat = row<OfpactNat>({
  kind: 'nat',
  decoders: [{ form: NAT, decode: decodeNat }],
  encode(a, { version, out }) {
    const at = out.action(NAT, version);
    out.setU16(at + 12, a.flags);
    let present = 0;
    const is4 = a.addrMin?.length === IPV4_SIZE;
    const putAddress = (ip: Uint8Array | undefined, bit: number): void => {
      if (ip === undefined || isZero(ip)) return;
      out.putBytes(ip);
      present |= bit;
    };
    const putPort = (port: number, bit: number): void => {
      if (port === 0 || a.addrMin === undefined) return;
      out.putU16(port);
      present |= bit;
    };
    putAddress(a.addrMin, is4 ? RANGE.IPV4_MIN : RANGE.IPV6_MIN);
    putAddress(a.addrMax, is4 ? RANGE.IPV4_MAX : RANGE.IPV6_MAX);
    putPort(a.portMin, RANGE.PROTO_MIN);
    putPort(a.portMax, RANGE.PROTO_MAX);
    out.setU16(at + 14, present);
    out.finish(at);
  },
  format: formatNat,
  parse: { nat: parseNat },
});

export const CT_ROWS: AnyRow[] = [ct, nat];
