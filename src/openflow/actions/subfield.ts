/**
 * Actions on parts of fields that are neither set nor loaded: move, push, pop, output to a register's port, check_pkt_larger, delete_field.
 * Source: OpenFlow 1.5.1 7.2.6.9, include/openflow/nicira-ext.h, lib/ofp-actions.c, lib/nx-match.c, ovs-actions(7).
 */
import type { MfField, Subfield } from '../fields/mf-field.ts';
import { formatSubfield, parseField, parseSubfield, scanSubfield } from '../fields/mf-subfield.ts';
import { OfpTextError, parseU16 } from '../ofp-text.ts';
import type {
  OfpactCheckPktLarger,
  OfpactDeleteField,
  OfpactOutputReg,
  OfpactRegMove,
  OfpactStack,
} from '../ofpact.ts';
import {
  checkDst,
  checkSrc,
  checkZeros,
  fieldBytes,
  nxmHeaderOf,
  ofsBits,
  readField,
  readNxmField,
  toSubfield,
} from './field-wire.ts';
import { type AnyRow, type DecodeCtx, row } from './row.ts';
import { splitArrow } from './set-field.ts';
import { type ActionBytes, actionForm } from './wire.ts';

/** Where the fixed part of each form ends, and headers begin. */
const REG_MOVE = actionForm('NXAST_REG_MOVE', 'NX1.0-1.4(6)', 16, true);
const COPY_FIELD13 = actionForm('ONFACT_COPY_FIELD', 'ONF1.3-1.4(3200)', 24, true);
const COPY_FIELD15 = actionForm('OFPAT_COPY_FIELD', 'OF1.5+(28)', 16, true);
const MOVE_HEADERS = 16;
const COPY13_NUMBERS = 12;
const COPY13_HEADERS = 20;
const COPY15_NUMBERS = 4;
const COPY15_HEADERS = 12;

/** Three numbers at `numbers`: width, offset of the source, offset of the destination; then two headers. */
function decodeMove(b: ActionBytes, c: DecodeCtx, numbers: number, headers: number): OfpactRegMove {
  const [bits, srcOfs, dstOfs] = [b.u16(numbers), b.u16(numbers + 2), b.u16(numbers + 4)];
  const first = readField(b, headers, c);
  const second = readField(b, first.end, c);
  checkZeros(b, second.end);
  const src = { field: first.field, ofs: srcOfs, bits };
  const dst = { field: second.field, ofs: dstOfs, bits };
  checkSrc(src);
  checkDst(dst);
  return { kind: 'move', src, dst };
}

/** Reads "source->destination", as wide as each other.  Throws OfpTextError. */
export function parseMove(arg: string): { readonly src: Subfield; readonly dst: Subfield } {
  const { subfield: src, rest } = scanSubfield(arg);
  if (!rest.startsWith('->')) throw new OfpTextError(`${arg}: missing \`->' following source`);
  const dst = parseSubfield(rest.slice(2));
  if (src.bits !== dst.bits) {
    throw new OfpTextError(`${arg}: source field is ${src.bits} bits wide but destination is ${dst.bits} bits wide`);
  }
  return { src, dst };
}

const move = row<OfpactRegMove>({
  kind: 'move',
  decoders: [
    { form: REG_MOVE, decode: (b, c) => decodeMove(b, c, 10, MOVE_HEADERS) },
    {
      form: COPY_FIELD13,
      decode: (b, c) => ({ ...decodeMove(b, c, COPY13_NUMBERS, COPY13_HEADERS), compat: 'copy_field' }),
    },
    {
      form: COPY_FIELD15,
      decode: (b, c) => ({ ...decodeMove(b, c, COPY15_NUMBERS, COPY15_HEADERS), compat: 'copy_field' }),
    },
  ],
  encode(a, { version, out }) {
    const is13 = version === 4 && a.compat === 'copy_field';
    const form = version >= 6 ? COPY_FIELD15 : is13 ? COPY_FIELD13 : REG_MOVE;
    const at = out.action(form, version);
    const numbers = at + (version >= 6 ? COPY15_NUMBERS : is13 ? COPY13_NUMBERS : 10);
    out.setU16(numbers, a.dst.bits);
    out.setU16(numbers + 2, a.src.ofs);
    out.setU16(numbers + 4, a.dst.ofs);
    out.truncate(at + (version >= 6 ? COPY15_HEADERS : is13 ? COPY13_HEADERS : MOVE_HEADERS));
    const headerVersion = form === REG_MOVE ? 0 : version;
    out.putBytes(fieldBytes(a.src.field, headerVersion));
    out.putBytes(fieldBytes(a.dst.field, headerVersion));
    out.finish(at);
  },
  format: (a) => `move:${formatSubfield(a.src)}->${formatSubfield(a.dst)}`,
  parse: {
    move: (arg) => ({ kind: 'move', ...parseMove(arg) }),
  },
});

function stackRow(kind: OfpactStack['kind'], type: number): AnyRow {
  const form = actionForm(`NXAST_STACK_${kind.toUpperCase()}`, `NX1.0+(${type})`, 24);
  return row<OfpactStack>({
    kind,
    decoders: [
      {
        form,
        decode(b, c) {
          const { field, end } = readField(b, 12, c);
          const subfield = { field, ofs: b.u16(10), bits: b.u16(end) };
          checkZeros(b, end + 2);
          (kind === 'push' ? checkSrc : checkDst)(subfield);
          return { kind, subfield };
        },
      },
    ],
    encode({ subfield }, { version, out }) {
      const at = out.action(form, version);
      const header = fieldBytes(subfield.field, 0);
      out.setU16(at + 10, subfield.ofs);
      out.setBytes(at + 12, header);
      out.setU16(at + 12 + header.length, subfield.bits);
    },
    format: (a) => `${kind}:${formatSubfield(a.subfield)}`,
    parse: {
      [kind](arg: string): OfpactStack {
        const { subfield, rest } = scanSubfield(arg);
        if (rest !== '') throw new OfpTextError(`${rest}: trailing garbage following push or pop`);
        return { kind, subfield };
      },
    },
  });
}

const OUTPUT_REG = actionForm('NXAST_OUTPUT_REG', 'NX1.0+(15)', 24);
const OUTPUT_REG2 = actionForm('NXAST_OUTPUT_REG2', 'NX1.0+(32)', 24);

const outputReg = row<OfpactOutputReg>({
  kind: 'output_reg',
  decoders: [
    {
      form: OUTPUT_REG,
      decode(b, c) {
        checkZeros(b, 18, 'OFPBAC_BAD_ARGUMENT');
        const src = toSubfield(readNxmField(b.u32(12), c), b.u16(10));
        checkSrc(src);
        return { kind: 'output_reg', src, maxLen: b.u16(16) };
      },
    },
    {
      form: OUTPUT_REG2,
      decode(b, c) {
        const { field, end } = readField(b, 14, c);
        checkZeros(b, end);
        const src = toSubfield(field, b.u16(10));
        checkSrc(src);
        return { kind: 'output_reg', src, maxLen: b.u16(12), compat: 'output_reg2' };
      },
    },
  ],
  encode(a, { version, out }) {
    const header = nxmHeaderOf(a.src.field);
    const is2 = a.compat === 'output_reg2' || header === 0;
    const at = out.action(is2 ? OUTPUT_REG2 : OUTPUT_REG, version);
    out.setU16(at + 10, ofsBits(a.src));
    out.setU16(at + (is2 ? 12 : 16), a.maxLen);
    if (is2) out.setBytes(at + 14, fieldBytes(a.src.field, 0));
    else out.setU32(at + 12, header);
  },
  format: (a) => `output:${formatSubfield(a.src)}`,
  // Its text is "output:" with a subfield for a port.
  parse: {},
});

const CHECK_PKT_LARGER = actionForm('NXAST_CHECK_PKT_LARGER', 'NX1.0+(49)', 24, true);

const checkPktLarger = row<OfpactCheckPktLarger>({
  kind: 'check_pkt_larger',
  decoders: [
    {
      form: CHECK_PKT_LARGER,
      decode(b, c) {
        const { field, end } = readField(b, 14, c);
        checkZeros(b, end);
        const dst = { field, ofs: b.u16(12), bits: 1 };
        checkDst(dst);
        return { kind: 'check_pkt_larger', length: b.u16(10), dst };
      },
    },
  ],
  encode(a, { version, out }) {
    const at = out.action(CHECK_PKT_LARGER, version);
    out.setU16(at + 10, a.length);
    out.setU16(at + 12, a.dst.ofs);
    out.setBytes(at + 14, fieldBytes(a.dst.field, 0));
  },
  format: (a) => `check_pkt_larger(${a.length})->${formatSubfield(a.dst)}`,
  parse: {
    check_pkt_larger(arg) {
      const [length, dstText] = splitArrow(arg);
      const dst = parseSubfield(dstText);
      if (dst.bits !== 1) throw new OfpTextError('Only 1-bit destination field is allowed');
      return { kind: 'check_pkt_larger', length: parseU16(length.replace(/\)$/, ''), '(null)'), dst };
    },
  },
});

const DELETE_FIELD = actionForm('NXAST_DELETE_FIELD', 'NX1.0+(50)', 24);

const deleteField = row<OfpactDeleteField>({
  kind: 'delete_field',
  decoders: [{ form: DELETE_FIELD, decode: (b, c) => ({ kind: 'delete_field', field: readField(b, 10, c).field }) }],
  encode(a: { readonly field: MfField }, { version, out }) {
    out.setBytes(out.action(DELETE_FIELD, version) + 10, fieldBytes(a.field, 0));
  },
  format: (a) => `delete_field:${a.field.name}`,
  parse: { delete_field: (arg) => ({ kind: 'delete_field', field: parseField(arg) }) },
});

export const SUBFIELD_ROWS: AnyRow[] = [
  move,
  stackRow('push', 27),
  stackRow('pop', 28),
  outputReg,
  checkPktLarger,
  deleteField,
];
