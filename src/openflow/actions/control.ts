/**
 * Actions that steer the way through the tables, or leave marks: resubmit, clone, conjunction, sample, note, exit, fin_timeout and others
 * without arguments.
 * Source: include/openflow/nicira-ext.h, lib/ofp-actions.c, ovs-actions(7).
 */
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { formatPort, formatTable, parsePort, parseTable } from '../ofp-names.ts';
import { OFPP } from '../ofp-port.ts';
import { KeyValues, OfpTextError, parseU16, parseU32, scanHex } from '../ofp-text.ts';
import type {
  OfpactClone,
  OfpactConjunction,
  OfpactFinTimeout,
  OfpactNote,
  OfpactPlain,
  OfpactResubmit,
  OfpactSample,
  OfpactUnrollXlate,
} from '../ofpact.ts';
import { dottedHex } from './output.ts';
import { type AnyRow, row } from './row.ts';
import { type ActionBytes, actionForm } from './wire.ts';

/** "resubmit" without a table. */
const CURRENT_TABLE = 255;
const RESUBMIT = actionForm('NXAST_RESUBMIT', 'NX1.0+(1)', 'u16');
const RESUBMIT_TABLE = actionForm('NXAST_RESUBMIT_TABLE', 'NX1.0+(14)', 16);
const RESUBMIT_TABLE_CT = actionForm('NXAST_RESUBMIT_TABLE_CT', 'NX1.0+(44)', 16);

function decodeResubmitTable(b: ActionBytes, withCtOrig: boolean): OfpactResubmit {
  if (!b.isZero(13, 16)) throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT);
  return { kind: 'resubmit', inPort: b.u16(10), table: b.u8(12), withCtOrig, compat: '' };
}

const resubmit = row<OfpactResubmit>({
  kind: 'resubmit',
  decoders: [
    {
      form: RESUBMIT,
      decode: (b) => ({
        kind: 'resubmit',
        inPort: b.arg,
        table: CURRENT_TABLE,
        withCtOrig: false,
        compat: 'resubmit',
      }),
    },
    { form: RESUBMIT_TABLE, decode: (b) => decodeResubmitTable(b, false) },
    { form: RESUBMIT_TABLE_CT, decode: (b) => decodeResubmitTable(b, true) },
  ],
  encode(a, { version, out }) {
    if (a.table === CURRENT_TABLE && a.compat === 'resubmit') {
      out.action(RESUBMIT, version, a.inPort);
      return;
    }
    const at = out.action(a.withCtOrig ? RESUBMIT_TABLE_CT : RESUBMIT_TABLE, version);
    out.setU16(at + 10, a.inPort);
    out.setU8(at + 12, a.table);
  },
  format(a, { names }) {
    const port = a.inPort === OFPP.IN_PORT ? '' : formatPort(a.inPort, names.ports);
    if (port !== '' && a.table === CURRENT_TABLE) return `resubmit:${port}`;
    const table = a.table === CURRENT_TABLE ? '' : formatTable(a.table, names.tables);
    return `resubmit(${port},${table}${a.withCtOrig ? ',ct' : ''})`;
  },
  parse: {
    resubmit(arg, { names }) {
      const [portText = '', tableText = '', ct = ''] = arg.split(',');
      const inPort = portText === '' ? OFPP.IN_PORT : parsePort(portText, names.ports);
      if (inPort === undefined) throw new OfpTextError(`${portText}: resubmit to unknown port`);
      const table = tableText === '' ? CURRENT_TABLE : parseTable(tableText, names.tables);
      if (table === undefined) throw new OfpTextError(`${tableText}: resubmit to unknown table`);
      if (ct !== '' && ct !== 'ct') throw new OfpTextError(`${ct}: unknown parameter`);
      if (inPort === OFPP.IN_PORT && table === CURRENT_TABLE) {
        throw new OfpTextError('at least one "in_port" or "table" must be specified on resubmit');
      }
      return { kind: 'resubmit', inPort, table, withCtOrig: ct !== '', compat: '' };
    },
  },
});

const CLONE = actionForm('NXAST_CLONE', 'NX1.0+(42)', 16, true);
const clone = row<OfpactClone>({
  kind: 'clone',
  decoders: [{ form: CLONE, decode: (b, c) => ({ kind: 'clone', actions: c.nested(b.view(16), 'clone') }) }],
  encode(a, c) {
    const at = c.out.action(CLONE, c.version);
    c.nested(a.actions);
    c.out.finish(at);
  },
  format: (a, c) => `clone(${c.nested(a.actions)})`,
  parse: { clone: (arg, c) => ({ kind: 'clone', actions: c.nested(arg, 'clone') }) },
});

const CONJUNCTION = actionForm('NXAST_CONJUNCTION', 'NX1.0+(34)', 16);
const conjunction = row<OfpactConjunction>({
  kind: 'conjunction',
  decoders: [
    {
      form: CONJUNCTION,
      decode(b) {
        const [clause, nClauses] = [b.u8(10), b.u8(11)];
        if (nClauses < 2 || nClauses > 64 || clause >= nClauses) throw new OfpError(OFPERR.NXBAC_BAD_CONJUNCTION);
        return { kind: 'conjunction', id: b.u32(12), clause, nClauses };
      },
    },
  ],
  encode(a, { version, out }) {
    const at = out.action(CONJUNCTION, version);
    out.setU8(at + 10, a.clause);
    out.setU8(at + 11, a.nClauses);
    out.setU32(at + 12, a.id);
  },
  format: (a) => `conjunction(${a.id},${a.clause + 1}/${a.nClauses})`,
  parse: {
    conjunction(arg) {
      const m = /^\s*([+-]?(?:0[xX][\da-fA-F]+|\d+))\s*,\s*([+-]?\d+)\s*\/\s*([+-]?\d+)\s*$/.exec(arg);
      if (m === null) throw new OfpTextError('"conjunction" syntax is "conjunction(id,i/n)"');
      // Numbers are cut to their width, as scanf() does.
      const cut = (text: string | undefined): number =>
        Number(BigInt.asUintN(8, BigInt(text?.replace('+', '') ?? '0')));
      const [clause, nClauses] = [cut(m[2]), cut(m[3])];
      if (nClauses < 2) throw new OfpTextError('conjunction must have at least 2 clauses');
      if (nClauses > 64) throw new OfpTextError('conjunction must have at most 64 clauses');
      if (clause < 1) throw new OfpTextError('clause index must be positive');
      if (clause > nClauses) {
        throw new OfpTextError('clause index must be less than or equal to number of clauses');
      }
      return { kind: 'conjunction', id: parseU32(m[1] ?? ''), clause: clause - 1, nClauses };
    },
  },
});

const SAMPLE = actionForm('NXAST_SAMPLE', 'NX1.0+(29)', 24);
const SAMPLE2 = actionForm('NXAST_SAMPLE2', 'NX1.0+(38)', 32);
const SAMPLE3 = actionForm('NXAST_SAMPLE3', 'NX1.0+(41)', 32);
const DIRECTIONS = ['default', 'ingress', 'egress'] as const;

function decodeSample(b: ActionBytes, compat: 'sample' | 'sample2' | 'sample3'): OfpactSample {
  if (compat === 'sample3' && !b.isZero(27, 32)) throw new OfpError(OFPERR.NXBRC_MUST_BE_ZERO);
  const direction = DIRECTIONS[compat === 'sample3' ? b.u8(26) : 0];
  if (direction === undefined || b.u16(10) === 0) throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT);
  return {
    kind: 'sample',
    probability: b.u16(10),
    collectorSetId: b.u32(12),
    obsDomainId: b.u32(16),
    obsPointId: b.u32(20),
    samplingPort: compat === 'sample' ? OFPP.NONE : b.u16(24),
    direction,
    compat,
  };
}

const sample = row<OfpactSample>({
  kind: 'sample',
  decoders: [
    { form: SAMPLE, decode: (b) => decodeSample(b, 'sample') },
    { form: SAMPLE2, decode: (b) => decodeSample(b, 'sample2') },
    { form: SAMPLE3, decode: (b) => decodeSample(b, 'sample3') },
  ],
  encode(a, { version, out }) {
    const is3 = a.compat === 'sample3' || a.direction !== 'default';
    const is2 = a.compat === 'sample2' || a.samplingPort !== OFPP.NONE;
    const at = out.action(is3 ? SAMPLE3 : is2 ? SAMPLE2 : SAMPLE, version);
    out.setU16(at + 10, a.probability);
    out.setU32(at + 12, a.collectorSetId);
    out.setU32(at + 16, a.obsDomainId);
    out.setU32(at + 20, a.obsPointId);
    if (!is3 && !is2) return;
    out.setU16(at + 24, a.samplingPort);
    out.setU8(at + 26, DIRECTIONS.indexOf(a.direction));
  },
  format(a, { names }) {
    const port = a.samplingPort === OFPP.NONE ? '' : `,sampling_port=${formatPort(a.samplingPort, names.ports)}`;
    const ids = `collector_set_id=${a.collectorSetId},obs_domain_id=${a.obsDomainId},obs_point_id=${a.obsPointId}`;
    return `sample(probability=${a.probability},${ids}${port}${a.direction === 'default' ? '' : `,${a.direction}`})`;
  },
  parse: {
    sample(arg, { names }) {
      let a: OfpactSample = {
        kind: 'sample',
        probability: 0,
        collectorSetId: 0,
        obsDomainId: 0,
        obsPointId: 0,
        samplingPort: OFPP.NONE,
        direction: 'default',
        compat: '',
      };
      for (const kv = new KeyValues(arg); kv.next(); ) {
        const { key, value } = kv;
        if (key === 'probability') {
          a = { ...a, probability: parseU16(value, 'probability') };
          if (a.probability === 0) throw new OfpTextError(`invalid probability value "${value}"`);
        } else if (key === 'collector_set_id') a = { ...a, collectorSetId: parseU32(value) };
        else if (key === 'obs_domain_id') a = { ...a, obsDomainId: parseU32(value) };
        else if (key === 'obs_point_id') a = { ...a, obsPointId: parseU32(value) };
        else if (key === 'sampling_port') {
          const samplingPort = parsePort(value, names.ports);
          if (samplingPort === undefined) throw new OfpTextError(`${value}: unknown port`);
          a = { ...a, samplingPort };
        } else if (key === 'ingress' || key === 'egress') a = { ...a, direction: key };
        else throw new OfpTextError(`invalid key "${key}" in "sample" argument`);
      }
      if (a.probability === 0) throw new OfpTextError('non-zero "probability" must be specified on sample');
      return a;
    },
  },
});

const NOTE = actionForm('NXAST_NOTE', 'NX1.0+(8)', 16, true);
const note = row<OfpactNote>({
  kind: 'note',
  decoders: [{ form: NOTE, decode: (b) => ({ kind: 'note', data: b.bytes(10, b.size) }) }],
  encode(a, { version, out }) {
    const at = out.action(NOTE, version);
    out.truncate(at + 10);
    out.putBytes(a.data);
    out.finish(at);
  },
  format: (a) => `note:${dottedHex(a.data)}`,
  parse: {
    note(arg) {
      const { bytes, rest } = scanHex(arg);
      if (rest !== '') throw new OfpTextError("bad hex digit in `note' argument");
      return { kind: 'note', data: bytes };
    },
  },
});

const FIN_TIMEOUT = actionForm('NXAST_FIN_TIMEOUT', 'NX1.0+(19)', 16);
const finTimeout = row<OfpactFinTimeout>({
  kind: 'fin_timeout',
  decoders: [{ form: FIN_TIMEOUT, decode: (b) => ({ kind: 'fin_timeout', idle: b.u16(10), hard: b.u16(12) }) }],
  encode(a, { version, out }) {
    const at = out.action(FIN_TIMEOUT, version);
    out.setU16(at + 10, a.idle);
    out.setU16(at + 12, a.hard);
  },
  format(a) {
    const parts = [a.idle === 0 ? '' : `idle_timeout=${a.idle}`, a.hard === 0 ? '' : `hard_timeout=${a.hard}`];
    return `fin_timeout(${parts.filter((p) => p !== '').join(',')})`;
  },
  parse: {
    fin_timeout(arg) {
      let [idle, hard] = [0, 0];
      for (const kv = new KeyValues(arg); kv.next(); ) {
        if (kv.key === 'idle_timeout') idle = parseU16(kv.value, kv.key);
        else if (kv.key === 'hard_timeout') hard = parseU16(kv.value, kv.key);
        else throw new OfpTextError(`invalid key '${kv.key}' in 'fin_timeout' argument`);
      }
      return { kind: 'fin_timeout', idle, hard };
    },
  },
});

function plainRow(kind: OfpactPlain['kind'], codes: string, isDebug = false): AnyRow {
  const form = actionForm(`NXAST_${kind.toUpperCase()}`, codes, 'void');
  return row<OfpactPlain>({
    kind,
    decoders: [
      {
        form,
        decode(_, c) {
          if (isDebug && !c.allowsDebug) throw new OfpError(OFPERR.OFPBAC_BAD_VENDOR_TYPE);
          return { kind };
        },
      },
    ],
    encode: (_, { version, out }) => void out.action(form, version),
    format: () => kind,
    parse: { [kind]: () => ({ kind }) },
  });
}

const unrollXlate = row<OfpactUnrollXlate>({
  kind: 'unroll_xlate',
  decoders: [],
  encode() {
    throw new Error('unroll_xlate never leaves the switch');
  },
  format: (a, { names }) => `unroll_xlate(table=${formatTable(a.ruleTable, names.tables)}, cookie=${a.ruleCookie})`,
  parse: {
    unroll_xlate() {
      throw new OfpTextError("UNROLL is an internal action that shouldn't be used via OpenFlow");
    },
  },
});

export const CONTROL_ROWS: AnyRow[] = [
  resubmit,
  clone,
  conjunction,
  sample,
  note,
  finTimeout,
  plainRow('exit', 'NX1.0+(17)'),
  plainRow('ct_clear', 'NX1.0+(43)'),
  plainRow('dec_nsh_ttl', 'NX1.3+(48)'),
  plainRow('debug_slow', 'NX1.0+(254)', true),
  plainRow('debug_recirc', 'NX1.0+(255)', true),
  unrollXlate,
];
