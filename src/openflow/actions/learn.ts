/**
 * learn: adds a flow made of what the packet has, by a list of what to match, load and output.
 *
 * ```
 * | source 13: 1 immediate | destination 11..12: 0 match, 1 load, 2 output | bits 0..9 |
 * then the source: header 4, offset 2, or the bits right-aligned in 16-bit words; then the destination: header 4, offset 2
 * ```
 * Source: include/openflow/nicira-ext.h (NX_LEARN_*), lib/ofp-actions.c (nx_action_learn), lib/learn.c, ovs-actions(7).
 */
import type { MfField, Subfield } from '../fields/mf-field.ts';
import { formatSubfield, parseSubfield, scanSubfield } from '../fields/mf-subfield.ts';
import { formatMf, parseMfValue } from '../fields/mf-text.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { formatTable, parseTable } from '../ofp-names.ts';
import { atoi, formatHex, formatHexNumber, KeyValues, OfpTextError, scanIntString, scanNumber } from '../ofp-text.ts';
import type { LearnSpec, OfpactLearn } from '../ofpact.ts';
import { checkZeros, fieldBytes, nxmHeaderOf, readField, readNxmField } from './field-wire.ts';
import { type AnyRow, type DecodeCtx, type FormatCtx, type ParseCtx, row } from './row.ts';
import { parseMove } from './subfield.ts';
import { type ActionBytes, actionForm } from './wire.ts';

const LEARN = actionForm('NXAST_LEARN', 'NX1.0+(16)', 32, true);
const LEARN2 = actionForm('NXAST_LEARN2', 'NX1.0+(45)', 40, true);
/** NX_LEARN_F_*. */
const F = { SEND_FLOW_REM: 1, DELETE_LEARNED: 2, WRITE_RESULT: 4 } as const;
const SPEC = { BITS: 0x3ff, IMMEDIATE: 1 << 13, DST: 3 << 11, LOAD: 1 << 11, OUTPUT: 2 << 11 } as const;
const DEFAULT_PRIORITY = 0x8000;

const fail = (err: keyof typeof OFPERR, why: string): never => {
  throw new OfpError(OFPERR[err], why);
};

function decodeSpecs(b: ActionBytes, from: number, c: DecodeCtx): LearnSpec[] {
  const specs: LearnSpec[] = [];
  let at = from;
  while (at < b.size) {
    const header = b.u16(at);
    at += 2;
    if (header === 0) break;
    const bits = header & SPEC.BITS;
    const isImmediate = (header & SPEC.IMMEDIATE) !== 0;
    const dst = header & SPEC.DST;
    if (dst === SPEC.DST || (dst === SPEC.OUTPUT && isImmediate)) {
      fail('OFPBAC_BAD_ARGUMENT', `spec 0x${header.toString(16)}`);
    }
    const words = 2 * Math.ceil(bits / 16);
    const size = (isImmediate ? words : 6) + (dst === SPEC.OUTPUT ? 0 : 6);
    if (b.size - at < size) fail('OFPBAC_BAD_LEN', `spec of ${size} bytes`);
    const subfield = (): Subfield => {
      at += 6;
      return { field: readNxmField(b.u32(at - 6), c), ofs: b.u16(at - 2), bits };
    };
    let src: LearnSpec['src'];
    if (isImmediate) {
      at += words;
      src = { kind: 'immediate', value: b.bytes(at - Math.ceil(bits / 8), at) };
    } else src = { kind: 'field', subfield: subfield() };
    const kind = dst === SPEC.LOAD ? 'load' : 'match';
    specs.push({ src, dst: dst === SPEC.OUTPUT ? { kind: 'output' } : { kind, subfield: subfield() }, bits });
  }
  checkZeros(b, at, 'OFPBAC_BAD_ARGUMENT');
  return specs;
}

function decodeLearn(b: ActionBytes, c: DecodeCtx, is2: boolean): OfpactLearn {
  if (is2 && b.u16(38) !== 0) fail('NXBAC_MUST_BE_ZERO', 'padding');
  if (b.u8(27) !== 0) fail('OFPBAC_BAD_ARGUMENT', 'padding');
  const flags = b.u16(24);
  const table = b.u8(26);
  if (table === 255) fail('OFPBAC_BAD_ARGUMENT', 'table 255');
  if ((flags & ~(is2 ? 7 : 3)) !== 0) fail('OFPBAC_BAD_ARGUMENT', `flags 0x${flags.toString(16)}`);
  let resultDst: Subfield | undefined;
  let at = is2 ? 40 : 32;
  if ((flags & F.WRITE_RESULT) !== 0) {
    const { field, end } = readField(b, at, c);
    if (!field.isWritable) fail('OFPBAC_BAD_SET_ARGUMENT', `${field.name} is read-only`);
    resultDst = { field, ofs: b.u16(36), bits: 1 };
    at = end;
  } else if (is2 && b.u16(36) !== 0) fail('OFPBAC_BAD_ARGUMENT', 'an offset without result_dst');
  const a: OfpactLearn = {
    kind: 'learn',
    idleTimeout: b.u16(10),
    hardTimeout: b.u16(12),
    priority: b.u16(14),
    table,
    cookie: b.u64(16),
    finIdleTimeout: b.u16(28),
    finHardTimeout: b.u16(30),
    flags,
    limit: is2 ? b.u32(32) : 0,
    resultDst,
    specs: decodeSpecs(b, at, c),
  };
  return is2 ? { ...a, compat: 'learn2' } : a;
}

/** A field and its value as long as it, of bits right-aligned. */
function widen(field: MfField, value: Uint8Array): Uint8Array {
  const out = new Uint8Array(field.bytes);
  out.set(value.subarray(Math.max(0, value.length - field.bytes)), Math.max(0, field.bytes - value.length));
  return out;
}

function formatSpec({ src, dst, bits }: LearnSpec, { names }: FormatCtx): string {
  if (dst.kind === 'output') return src.kind === 'field' ? `output:${formatSubfield(src.subfield)}` : '';
  const to = dst.subfield;
  if (dst.kind === 'load') {
    const from = src.kind === 'field' ? formatSubfield(src.subfield) : formatHexNumber(src.value);
    return `load:${from}->${formatSubfield(to)}`;
  }
  if (src.kind === 'field') {
    const isSame = src.subfield.field === to.field && src.subfield.ofs === to.ofs;
    return formatSubfield(to) + (isSame ? '' : `=${formatSubfield(src.subfield)}`);
  }
  if (to.ofs !== 0 || bits !== to.field.bits) return `${formatSubfield(to)}=${formatHexNumber(src.value)}`;
  return `${to.field.name}=${formatMf(to.field, widen(to.field, src.value), undefined, names.ports)}`;
}

function formatLearn(a: OfpactLearn, c: FormatCtx): string {
  const parts = [`table=${formatTable(a.table, c.names.tables)}`];
  const number = (name: string, n: number): void => {
    if (n !== 0) parts.push(`${name}=${n}`);
  };
  number('idle_timeout', a.idleTimeout);
  number('hard_timeout', a.hardTimeout);
  number('fin_idle_timeout', a.finIdleTimeout);
  number('fin_hard_timeout', a.finHardTimeout);
  if (a.priority !== DEFAULT_PRIORITY) parts.push(`priority=${a.priority}`);
  if ((a.flags & F.SEND_FLOW_REM) !== 0) parts.push('send_flow_rem');
  if ((a.flags & F.DELETE_LEARNED) !== 0) parts.push('delete_learned');
  if (a.cookie !== 0n) parts.push(`cookie=${formatHex(a.cookie)}`);
  number('limit', a.limit);
  if (a.resultDst !== undefined) parts.push(`result_dst=${formatSubfield(a.resultDst)}`);
  return `learn(${[...parts, ...a.specs.map((s) => formatSpec(s, c))].join(',')})`;
}

/** What `read` gives; undefined if it is no such text. */
function tryRead<T>(read: () => T): T | OfpTextError {
  try {
    return read();
  } catch (error) {
    if (error instanceof OfpTextError) return error;
    throw error;
  }
}

/** The low bits of a value of any length, as bytes. */
const lowBytes = (value: Uint8Array, bits: number): Uint8Array => value.slice(value.length - Math.ceil(bits / 8));
const fits = (value: Uint8Array, bits: number): boolean =>
  value.reduce((n, b) => (n << 8n) | BigInt(b), 0n) >> BigInt(bits) === 0n;

function oldSubfield(subfield: Subfield, text: string, orig: string): Subfield {
  if (nxmHeaderOf(subfield.field) !== 0) return subfield;
  throw new OfpTextError(`${orig}: experimenter OXM field '${text}' not supported`);
}

/** A value for some bits of a field. */
function parsePart(dst: Subfield, value: string, orig: string): Uint8Array {
  const bytes = new Uint8Array(dst.field.bytes);
  if (scanIntString(value, bytes) !== '') throw new OfpTextError(`${orig}: cannot parse integer value`);
  if (!fits(bytes, dst.bits)) throw new OfpTextError(`${orig}: value ${value} does not fit into ${dst.bits} bits`);
  return bytes;
}

function parseMatchSpec(dst: Subfield, name: string, value: string, orig: string, c: ParseCtx): LearnSpec {
  const to = { kind: 'match', subfield: dst } as const;
  if (value === '') return { src: { kind: 'field', subfield: dst }, dst: to, bits: dst.bits };
  const src = tryRead(() => parseSubfield(value));
  if (!(src instanceof OfpTextError)) {
    if (src.bits !== dst.bits) {
      throw new OfpTextError(`${orig}: bit widths of ${name} (${src.bits}) and ${value} (${dst.bits}) differ`);
    }
    return { src: { kind: 'field', subfield: src }, dst: to, bits: dst.bits };
  }
  const isWhole = dst.ofs === 0 && dst.bits === dst.field.bits;
  const bytes = tryRead(() => (isWhole ? parseMfValue(dst.field, value, c.names.ports) : parsePart(dst, value, orig)));
  if (bytes instanceof OfpTextError) {
    const whys = `cannot be parsed as a subfield (${src.message}) or an immediate value (${bytes.message})`;
    throw new OfpTextError(`${orig}: ${name} value ${value} ${whys}`);
  }
  return { src: { kind: 'immediate', value: lowBytes(bytes, dst.bits) }, dst: to, bits: dst.bits };
}

function parseLoadSpec(value: string): LearnSpec {
  const arrow = value.indexOf('->');
  if (arrow === 0) throw new OfpTextError(`load: missing source before \`->' in \`${value}'`);
  if (arrow < 0) throw new OfpTextError(`load: missing \`->' in \`${value}'`);
  const bytes = new Uint8Array(128);
  const rest = scanIntString(value, bytes);
  if (rest === undefined) {
    const { src, dst } = parseMove(value);
    return { src: { kind: 'field', subfield: src }, dst: { kind: 'load', subfield: dst }, bits: src.bits };
  }
  if (!rest.startsWith('->')) throw new OfpTextError(`load: garbage before \`->' in \`${value}'`);
  const dst = oldSubfield(parseSubfield(rest.slice(2)), rest.slice(2), value);
  if (!fits(bytes, dst.bits)) throw new OfpTextError(`${value}: value does not fit into ${dst.bits} bits`);
  const immediate = { kind: 'immediate', value: lowBytes(bytes, dst.bits) } as const;
  return { src: immediate, dst: { kind: 'load', subfield: dst }, bits: dst.bits };
}

function parseSpec(orig: string, name: string, value: string, c: ParseCtx): LearnSpec {
  const scanned = tryRead(() => scanSubfield(name));
  const { subfield: dst, rest } = scanned instanceof OfpTextError ? { subfield: undefined, rest: '' } : scanned;
  if (dst !== undefined && rest === '') return parseMatchSpec(oldSubfield(dst, name, orig), name, value, orig, c);
  if (name === 'load') return parseLoadSpec(value);
  if (name !== 'output') throw new OfpTextError(`${orig}: unknown keyword ${name}`);
  const src = parseSubfield(value);
  return { src: { kind: 'field', subfield: src }, dst: { kind: 'output' }, bits: src.bits };
}

function parseLearn(arg: string, c: ParseCtx): OfpactLearn {
  const timeouts = { idleTimeout: 0, hardTimeout: 0, finIdleTimeout: 0, finHardTimeout: 0 };
  const keys = new Map<string, keyof typeof timeouts>([
    ['idle_timeout', 'idleTimeout'],
    ['hard_timeout', 'hardTimeout'],
    ['fin_idle_timeout', 'finIdleTimeout'],
    ['fin_hard_timeout', 'finHardTimeout'],
  ]);
  let [table, priority, cookie, flags, limit] = [1, DEFAULT_PRIORITY, 0n, 0, 0];
  let resultDst: Subfield | undefined;
  const specs: LearnSpec[] = [];
  for (const kv = new KeyValues(arg); kv.next(); ) {
    const { key, value } = kv;
    const timeout = keys.get(key);
    if (timeout !== undefined) timeouts[timeout] = atoi(value, 16);
    else if (key === 'table') {
      const t = parseTable(value, c.names.tables);
      if (t === undefined) throw new OfpTextError(`unknown table "${value}"`);
      if (t === 255) throw new OfpTextError(`${arg}: table id 255 not valid for \`learn' action`);
      table = t;
    } else if (key === 'priority') priority = atoi(value, 16);
    else if (key === 'cookie') cookie = BigInt.asUintN(64, scanNumber(value, 0)?.value ?? 0n);
    else if (key === 'send_flow_rem') flags |= F.SEND_FLOW_REM;
    else if (key === 'delete_learned') flags |= F.DELETE_LEARNED;
    else if (key === 'limit') limit = atoi(value, 32);
    else if (key === 'result_dst') {
      flags |= F.WRITE_RESULT;
      resultDst = parseSubfield(value);
      if (!resultDst.field.isWritable) throw new OfpTextError(`${value} is read-only`);
      if (resultDst.bits !== 1) throw new OfpTextError("result_dst in 'learn' action must be a single bit");
    } else specs.push(parseSpec(arg, key, value, c));
  }
  return { kind: 'learn', ...timeouts, priority, table, cookie, flags, limit, resultDst, specs };
}

const learn = row<OfpactLearn>({
  kind: 'learn',
  decoders: [
    { form: LEARN, decode: (b, c) => decodeLearn(b, c, false) },
    { form: LEARN2, decode: (b, c) => decodeLearn(b, c, true) },
  ],
  encode(a, { version, out }) {
    const is2 = a.compat === 'learn2' || a.limit !== 0 || a.resultDst !== undefined;
    const at = out.action(is2 ? LEARN2 : LEARN, version);
    const numbers = [a.idleTimeout, a.hardTimeout, a.priority];
    for (const [i, n] of numbers.entries()) out.setU16(at + 10 + 2 * i, n);
    out.setU64(at + 16, a.cookie);
    out.setU16(at + 24, a.flags);
    out.setU8(at + 26, a.table);
    out.setU16(at + 28, a.finIdleTimeout);
    out.setU16(at + 30, a.finHardTimeout);
    if (is2) out.setU32(at + 32, a.limit);
    if (a.resultDst !== undefined) {
      out.setU16(at + 36, a.resultDst.ofs);
      out.putBytes(fieldBytes(a.resultDst.field, 0));
    }
    const putSubfield = (s: Subfield): void => {
      out.putU32(nxmHeaderOf(s.field));
      out.putU16(s.ofs);
    };
    for (const { src, dst, bits } of a.specs) {
      const to = dst.kind === 'match' ? 0 : dst.kind === 'load' ? SPEC.LOAD : SPEC.OUTPUT;
      out.putU16(bits | to | (src.kind === 'immediate' ? SPEC.IMMEDIATE : 0));
      if (src.kind === 'field') putSubfield(src.subfield);
      else {
        out.putBytes(new Uint8Array(2 * Math.ceil(bits / 16) - src.value.length));
        out.putBytes(src.value);
      }
      if (dst.kind !== 'output') putSubfield(dst.subfield);
    }
    out.finish(at);
  },
  format: formatLearn,
  parse: { learn: parseLearn },
});

export const LEARN_ROWS: AnyRow[] = [learn];
