/**
 * set_field and load: one kind, in the words and the form in which it came.
 *
 * OpenFlow 1.0 and 1.1 have no set_field: there it is sent as an older action that does the same, or as reg_load, one for each run of bits.
 * Source: OpenFlow 1.2 A.2.5, 1.5.1 7.2.6.7, include/openflow/nicira-ext.h, lib/ofp-actions.c (encode_SET_FIELD), ovs-actions(7).
 */
import type { MfField, MfValue, Subfield } from '../fields/mf-field.ts';
import { mfByHeaderName, mfByName } from '../fields/mf-fields.ts';
import { formatSubfield, parseSubfield } from '../fields/mf-subfield.ts';
import { formatMf, parseMf } from '../fields/mf-text.ts';
import { mfIsValueOk } from '../fields/mf-value.ts';
import { OFPERR, OfpError, type OfVersion } from '../ofp-errors.ts';
import { formatHex, OfpTextError, scanIntString } from '../ofp-text.ts';
import type { Ofpact, OfpactSetField } from '../ofpact.ts';

import {
  checkDst,
  checkZeros,
  type FieldEntry,
  nxmHeaderOf,
  ofsBits,
  putFieldEntry,
  readFieldEntry,
  readNxmField,
  toSubfield,
} from './field-wire.ts';
import { type AnyRow, type DecodeCtx, type EncodeCtx, type ParseCtx, row } from './row.ts';
import { type ActionBytes, actionForm } from './wire.ts';

const SET_FIELD12 = actionForm('OFPAT_SET_FIELD', 'OF1.2-1.4(25)', 8, true);
const SET_FIELD15 = actionForm('OFPAT_SET_FIELD', 'OF1.5+(25)', 8, true);
const REG_LOAD = actionForm('NXAST_REG_LOAD', 'NX1.0-1.4(7)', 24);
const REG_LOAD2 = actionForm('NXAST_REG_LOAD2', 'NX1.0-1.4(33)', 16, true);
/** Where the entry of REG_LOAD2 begins. */
const LOAD2_ENTRY = 10;
const OFPVID_PRESENT = 0x1000;
const VLAN_CFI = 0x1000;

const toBigint = (bytes: Uint8Array): bigint => bytes.reduce((n, b) => (n << 8n) | BigInt(b), 0n);

function toBytes(value: bigint, size: number): MfValue {
  const out = new Uint8Array(size);
  for (let i = size - 1, rest = value; i >= 0 && rest !== 0n; i--, rest >>= 8n) out[i] = Number(rest & 0xffn);
  return out;
}

const onesOf = (bits: number): bigint => (1n << BigInt(bits)) - 1n;
const allOnes = (field: MfField): MfValue => new Uint8Array(field.bytes).fill(0xff);

const setField = (field: MfField, value: MfValue, mask: MfValue): OfpactSetField => ({
  kind: 'set_field',
  field,
  value: value.map((b, i) => b & (mask[i] as number)),
  mask,
  isLoad: false,
});

function ofEntry({ field, value, mask, size }: FieldEntry): OfpactSetField {
  const a = setField(field, value, mask ?? allOnes(field));
  return field.isVariable ? { ...a, wireSize: size } : a;
}

/** A load of `value` into a subfield. */
function load({ field, ofs, bits }: Subfield, value: bigint): OfpactSetField {
  return {
    kind: 'set_field',
    field,
    value: toBytes(value << BigInt(ofs), field.bytes),
    mask: toBytes(onesOf(bits) << BigInt(ofs), field.bytes),
    isLoad: true,
  };
}

/** What is loaded where, in runs of bits of up to 64. */
function loadsOf(a: OfpactSetField): { readonly dst: Subfield; readonly value: bigint }[] {
  const { field } = a;
  const mask = toBigint(a.mask);
  const value = toBigint(a.value);
  const isOne = (bit: number): boolean => ((mask >> BigInt(bit)) & 1n) === 1n;
  const loads: { dst: Subfield; value: bigint }[] = [];
  for (let ofs = 0; ofs < field.bits; ) {
    if (!isOne(ofs)) {
      ofs++;
      continue;
    }
    let bits = 1;
    while (bits < 64 && ofs + bits < field.bits && isOne(ofs + bits)) bits++;
    loads.push({ dst: { field, ofs, bits }, value: (value >> BigInt(ofs)) & onesOf(bits) });
    ofs += bits;
  }
  return loads;
}

const failSet = (why: string): never => {
  throw new OfpError(OFPERR.OFPBAC_BAD_SET_ARGUMENT, why);
};

function decodeSetField(b: ActionBytes, c: DecodeCtx): OfpactSetField {
  const entry = readFieldEntry(b, 4, c);
  const { field, value, mask, end } = entry;
  if (mask !== undefined && c.version < 6) throw new OfpError(OFPERR.OFPBAC_BAD_SET_MASK, field.name);
  checkZeros(b, end, 'OFPBAC_BAD_SET_ARGUMENT');
  if (field.special === 'in-port-oxm' || !field.isWritable) failSet(`${field.name} is read-only`);
  if (!mfIsValueOk(field, value)) failSet(`value of ${field.name}`);
  if (field.special === 'vlan-vid') {
    const isPresent = (bytes: MfValue): boolean => (toBigint(bytes) & BigInt(OFPVID_PRESENT)) !== 0n;
    if (!isPresent(value) || (mask !== undefined && !isPresent(mask))) failSet('vlan_vid without OFPVID_PRESENT');
  }
  return ofEntry(entry);
}

function decodeLoad(b: ActionBytes, c: DecodeCtx): OfpactSetField {
  const dst = toSubfield(readNxmField(b.u32(12), c), b.u16(10));
  checkDst(dst);
  const value = b.u64(16);
  if (value >> BigInt(dst.bits) !== 0n) {
    throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT, `value of more than ${dst.bits} bits`);
  }
  return load(dst, value);
}

function decodeLoad2(b: ActionBytes, c: DecodeCtx): OfpactSetField {
  const entry = readFieldEntry(b, LOAD2_ENTRY, c);
  checkZeros(b, entry.end, 'OFPBAC_BAD_SET_ARGUMENT');
  if (!entry.field.isWritable) failSet(`${entry.field.name} is read-only`);
  return { ...ofEntry(entry), compat: 'reg_load2' };
}

function encodeLoads(a: OfpactSetField, { version, out }: EncodeCtx): void {
  if (a.compat === 'reg_load2' || nxmHeaderOf(a.field) === 0 || a.field.isVariable) {
    const at = out.action(REG_LOAD2, version);
    out.truncate(at + LOAD2_ENTRY);
    putFieldEntry(out, a.field, 0, a.value, a.mask);
    out.finish(at);
    return;
  }
  for (const { dst, value } of loadsOf(a)) {
    const at = out.action(REG_LOAD, version);
    out.setU16(at + 10, ofsBits(dst));
    out.setU32(at + 12, nxmHeaderOf(a.field));
    out.setU64(at + 16, value);
  }
}

/** What OpenFlow 1.0 and 1.1 say for it; undefined: they have no action of their own. */
function toOldActions(a: OfpactSetField, version: OfVersion): Ofpact[] | undefined {
  const n = a.field.bytes <= 4 ? Number(toBigint(a.value)) : 0;
  const vid = (v: number): Ofpact => ({ kind: 'set_vlan_vid', vid: v & 0xfff, pushIfNone: false, flowHasVlan: false });
  const pcp = (v: number): Ofpact => ({ kind: 'set_vlan_pcp', pcp: v, pushIfNone: false, flowHasVlan: false });
  switch (a.field.name) {
    case 'vlan_tci': {
      if ((n & VLAN_CFI) === 0) return [{ kind: 'strip_vlan', isPop: version > 1 }];
      const tag = [vid(n), pcp(n >> 13)];
      return version > 1 && a.flowHasVlan !== true ? [{ kind: 'push_vlan', ethType: 0x8100 }, ...tag] : tag;
    }
    case 'vlan_vid':
      return [vid(n)];
    case 'vlan_pcp':
      return [pcp(n)];
    case 'eth_src':
      return [{ kind: 'mod_dl_src', mac: a.value }];
    case 'eth_dst':
      return [{ kind: 'mod_dl_dst', mac: a.value }];
    case 'ip_src':
      return [{ kind: 'mod_nw_src', ipv4: n }];
    case 'ip_dst':
      return [{ kind: 'mod_nw_dst', ipv4: n }];
    case 'nw_tos':
      return [{ kind: 'mod_nw_tos', value: n }];
    case 'ip_dscp':
      return [{ kind: 'mod_nw_tos', value: n << 2 }];
    case 'nw_ecn':
      return [{ kind: 'mod_nw_ecn', value: n }];
    case 'tcp_src':
    case 'udp_src':
      return [{ kind: 'mod_tp_src', port: n }];
    case 'tcp_dst':
    case 'udp_dst':
      return [{ kind: 'mod_tp_dst', port: n }];
    default:
      return undefined;
  }
}

/** Whether it goes out as set_field. */
function isSetField(a: OfpactSetField, version: OfVersion): boolean {
  if (version >= 6) return true;
  return version >= 3 && !a.isLoad && a.compat !== 'reg_load2' && a.mask.every((b) => b === 0xff);
}

function encode(a: OfpactSetField, c: EncodeCtx): void {
  const { version, out } = c;
  if (isSetField(a, version)) {
    const at = out.action(SET_FIELD15, version);
    out.truncate(at + 4);
    putFieldEntry(out, a.field, version, a.value, a.mask);
    out.finish(at);
    return;
  }
  const isRaw = a.isLoad || a.compat === 'reg_load2' || version >= 3;
  const old = isRaw ? undefined : toOldActions(a, version);
  if (old === undefined) encodeLoads(a, c);
  else c.nested(old);
}

/** The two sides of "value->field".  Throws OfpTextError. */
export function splitArrow(arg: string): readonly [string, string] {
  const arrow = arg.indexOf('->');
  if (arrow < 0) throw new OfpTextError(`${arg}: missing \`->'`);
  if (arrow + 2 === arg.length) throw new OfpTextError(`->: missing field name following \`->'`);
  return [arg.slice(0, arrow), arg.slice(arrow + 2)];
}

function parseSetField(arg: string, c: ParseCtx): OfpactSetField {
  const [text, name] = splitArrow(arg);
  const field = mfByName(name) ?? mfByHeaderName(name);
  if (field === undefined) throw new OfpTextError(`${name} is not a valid OXM field name`);
  if (!field.isWritable) throw new OfpTextError(`${name} is read-only`);
  const { value, mask } = parseMf(field, text, c.names.ports);
  if (!mfIsValueOk(field, value)) throw new OfpTextError(`${text} is not a valid value for field ${name}`);
  c.usable &= field.usable.exact;
  return setField(field, value, mask);
}

function parseLoad(arg: string, c: ParseCtx): OfpactSetField {
  const [text, name] = splitArrow(arg);
  const dst = parseSubfield(name);
  const value = new Uint8Array(dst.field.bytes);
  if (scanIntString(text, value) === undefined) throw new OfpTextError(`${arg}: cannot parse integer value`);
  if (toBigint(value) >> BigInt(dst.bits) !== 0n) {
    const shown = formatMf(dst.field, value, undefined, c.names.ports);
    throw new OfpTextError(`${arg}: value ${shown} does not fit into ${dst.bits} bits`);
  }
  return load(dst, toBigint(value));
}

export const SET_FIELD_ROWS: AnyRow[] = [
  row<OfpactSetField>({
    kind: 'set_field',
    decoders: [
      { form: SET_FIELD12, decode: decodeSetField },
      { form: SET_FIELD15, decode: decodeSetField },
      { form: REG_LOAD, decode: decodeLoad },
      { form: REG_LOAD2, decode: decodeLoad2 },
    ],
    encode,
    format(a, { names }) {
      if (!a.isLoad) return `set_field:${formatMf(a.field, a.value, a.mask, names.ports)}->${a.field.name}`;
      return loadsOf(a)
        .map(({ dst, value }) => `load:${formatHex(value)}->${formatSubfield(dst)}`)
        .join(',');
    },
    parse: { set_field: parseSetField, load: parseLoad },
  }),
];
