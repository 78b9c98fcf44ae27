/**
 * Instructions of OpenFlow 1.1 and later: meter, apply, clear and write actions, write metadata, goto table, as rows of their own.
 *
 * OpenFlow 1.0 has none: what it can it says with extension actions.  In 1.5 meter is an action.
 * Source: OpenFlow 1.5.1 7.2.5, include/openflow/openflow-1.1.h, lib/ofp-actions.c.
 */
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { formatTable, parseTable } from '../ofp-names.ts';
import { OFPP } from '../ofp-port.ts';
import { OFPUTIL_P } from '../ofp-protocol.ts';
import { formatHex, OfpTextError, parseU32, parseU64 } from '../ofp-text.ts';
import type {
  OfpactGotoTable,
  OfpactKind,
  OfpactMeter,
  OfpactPlain,
  OfpactWriteActions,
  OfpactWriteMetadata,
} from '../ofpact.ts';
import { type AnyRow, row } from './row.ts';
import { actionForm } from './wire.ts';

/** Instructions in the order in which they are carried out. */
// biome-ignore format: names, several on a line
export const INSTRUCTIONS = ['meter', 'apply_actions', 'clear_actions', 'write_actions', 'write_metadata', 'goto_table'] as const;
export type Instruction = (typeof INSTRUCTIONS)[number];

/** The instruction that a kind of action is, or is in. */
export function instructionOf(kind: OfpactKind, version: number): Instruction {
  if (kind === 'meter') return version >= 6 ? 'apply_actions' : 'meter';
  return (INSTRUCTIONS as readonly string[]).includes(kind) ? (kind as Instruction) : 'apply_actions';
}

/** Instructions on the wire have the header of an action.  Sizes with `true` are the least. */
// biome-ignore format: table
export const INSTRUCTION_FORM = {
  goto_table:     actionForm('OFPIT_GOTO_TABLE',     'OF1.1+(1)',    'u8'),
  write_metadata: actionForm('OFPIT_WRITE_METADATA', 'OF1.1+(2)',     24),
  write_actions:  actionForm('OFPIT_WRITE_ACTIONS',  'OF1.1+(3)',      8, true),
  apply_actions:  actionForm('OFPIT_APPLY_ACTIONS',  'OF1.1+(4)',      8, true),
  clear_actions:  actionForm('OFPIT_CLEAR_ACTIONS',  'OF1.1+(5)',    'void'),
  meter:          actionForm('OFPIT_METER',          'OF1.1-1.4(6)', 'u32'),
} as const;

const METER15 = actionForm('OFPAT_METER', 'OF1.5+(29)', 'u32');
const WRITE_METADATA10 = actionForm('NXAST_WRITE_METADATA', 'NX1.0+(22)', 32);
const RESUBMIT_TABLE = actionForm('NXAST_RESUBMIT_TABLE', 'NX1.0+(14)', 16);
const ALL_ONES = 0xffffffffffffffffn;

export const INSTRUCTION_ROWS: AnyRow[] = [
  row<OfpactMeter>({
    kind: 'meter',
    decoders: [{ form: METER15, decode: (b) => ({ kind: 'meter', meterId: b.arg }) }],
    encode(a, { version, out }) {
      if (version >= 6) out.action(METER15, version, a.meterId);
      else if (version >= 4) out.action(INSTRUCTION_FORM.meter, version, a.meterId);
    },
    format: (a) => `meter:${a.meterId}`,
    parse: {
      meter(arg, c) {
        c.usable &= OFPUTIL_P.OF13_UP;
        return { kind: 'meter', meterId: parseU32(arg) };
      },
    },
  }),
  row<OfpactPlain>({
    kind: 'clear_actions',
    decoders: [],
    encode(_, { version, out }) {
      if (version > 1) out.action(INSTRUCTION_FORM.clear_actions, version);
    },
    format: () => 'clear_actions',
    parse: { clear_actions: () => ({ kind: 'clear_actions' }) },
  }),
  row<OfpactWriteActions>({
    kind: 'write_actions',
    decoders: [],
    encode(a, c) {
      if (c.version === 1) return;
      const at = c.out.action(INSTRUCTION_FORM.write_actions, c.version);
      const empty = c.out.size;
      c.nested(a.actions);
      if (c.out.size === empty) c.out.truncate(at);
      else c.out.finish(at);
    },
    format: (a, c) => `write_actions(${c.nested(a.actions)})`,
    parse: { write_actions: (arg, c) => ({ kind: 'write_actions', actions: c.nested(arg, 'write_actions') }) },
  }),
  row<OfpactWriteMetadata>({
    kind: 'write_metadata',
    decoders: [
      {
        form: WRITE_METADATA10,
        decode(b) {
          if (!b.isZero(10, 16)) throw new OfpError(OFPERR.NXBRC_MUST_BE_ZERO);
          return { kind: 'write_metadata', metadata: b.u64(16), mask: b.u64(24) };
        },
      },
    ],
    encode(a, { version, out }) {
      const at = out.action(version === 1 ? WRITE_METADATA10 : INSTRUCTION_FORM.write_metadata, version);
      out.setU64(out.size - 16, a.metadata);
      out.setU64(out.size - 8, a.mask);
      out.finish(at);
    },
    format: (a) => `write_metadata:${formatHex(a.metadata)}${a.mask === ALL_ONES ? '' : `/${formatHex(a.mask)}`}`,
    parse: {
      write_metadata(arg, c) {
        c.usable &= OFPUTIL_P.NXM_OF11_UP;
        const slash = arg.indexOf('/');
        const mask = slash < 0 ? ALL_ONES : parseU64(arg.slice(slash + 1));
        return { kind: 'write_metadata', metadata: parseU64(slash < 0 ? arg : arg.slice(0, slash)), mask };
      },
    },
  }),
  row<OfpactGotoTable>({
    kind: 'goto_table',
    decoders: [],
    encode(a, { version, out }) {
      if (version > 1) {
        out.action(INSTRUCTION_FORM.goto_table, version, a.table);
        return;
      }
      const at = out.action(RESUBMIT_TABLE, version);
      out.setU16(at + 10, OFPP.IN_PORT);
      out.setU8(at + 12, a.table);
    },
    format: (a, { names }) => `goto_table:${formatTable(a.table, names.tables)}`,
    parse: {
      goto_table(arg, { names }) {
        const table = parseTable(arg, names.tables);
        if (table === undefined) throw new OfpTextError(`unknown table "${arg}"`);
        return { kind: 'goto_table', table };
      },
    },
  }),
];
