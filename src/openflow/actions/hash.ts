/**
 * Actions that choose by a hash of the packet: multipath a link, bundle and bundle_load one of several ports.
 * Source: include/openflow/nicira-ext.h (NX_HASH_FIELDS_*, NX_MP_ALG_*, NX_BD_ALG_*), lib/multipath.c, lib/bundle.c, ovs-actions(7).
 */
import type { Subfield } from '../fields/mf-field.ts';
import { formatSubfield, parseSubfield } from '../fields/mf-subfield.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { formatPort, parsePort } from '../ofp-names.ts';
import { OFPP } from '../ofp-port.ts';
import { atoi, OfpTextError, scanNumber } from '../ofp-text.ts';
import type { HashFields, OfpactBundle, OfpactMultipath } from '../ofpact.ts';
import { checkDst, nxmHeaderOf, ofsBits, readNxmField, toSubfield } from './field-wire.ts';
import { checkOutputPort } from './output.ts';
import { type AnyRow, type DecodeCtx, type ParseCtx, row } from './row.ts';
import { type ActionBytes, actionForm } from './wire.ts';

/** In the order of their numbers. */
// biome-ignore format: names, several on a line
const FIELDS: readonly HashFields[] = ['eth_src', 'symmetric_l4', 'symmetric_l3l4', 'symmetric_l3l4+udp', 'nw_src', 'nw_dst', 'symmetric_l3'];
const MULTIPATH_ALGORITHMS = ['modulo_n', 'hash_threshold', 'hrw', 'iter_hash'] as const;
const BUNDLE_ALGORITHMS = ['active_backup', 'hrw'] as const;

const badArgument = (why: string): never => {
  throw new OfpError(OFPERR.OFPBAC_BAD_ARGUMENT, why);
};
const byNumber = <T>(list: readonly T[], n: number, what: string): T => list[n] ?? badArgument(`${what} ${n}`);

function byName<T extends string>(list: readonly T[], name: string, what: string, arg: string): T {
  const found = list.find((x) => x === name.toLowerCase());
  if (found === undefined) throw new OfpTextError(`${arg}: unknown ${what} \`${name}'`);
  return found;
}

/** What strtok() does: each call skips separators and gives what comes before the next one; undefined at the end. */
function tokenizer(text: string): (separators: string) => string | undefined {
  let at = 0;
  return (separators) => {
    while (at < text.length && separators.includes(text[at] as string)) at++;
    if (at >= text.length) return undefined;
    const start = at;
    while (at < text.length && !separators.includes(text[at] as string)) at++;
    return text.slice(start, at++);
  };
}

function parseOldSubfield(text: string, arg: string): Subfield {
  const subfield = parseSubfield(text);
  if (nxmHeaderOf(subfield.field) === 0) {
    throw new OfpTextError(`${arg}: experimenter OXM field '${text}' not supported`);
  }
  return subfield;
}

const MULTIPATH = actionForm('NXAST_MULTIPATH', 'NX1.0+(10)', 32);

const multipath = row<OfpactMultipath>({
  kind: 'multipath',
  decoders: [
    {
      form: MULTIPATH,
      decode(b, c) {
        const dst = toSubfield(readNxmField(b.u32(28), c), b.u16(26));
        const a: OfpactMultipath = {
          kind: 'multipath',
          fields: byNumber(FIELDS, b.u16(10), 'fields'),
          basis: b.u16(12),
          algorithm: byNumber(MULTIPATH_ALGORITHMS, b.u16(16), 'algorithm'),
          maxLink: b.u16(18),
          arg: b.u32(20),
          dst,
        };
        if (2 ** dst.bits < a.maxLink + 1) badArgument(`${a.maxLink + 1} links in ${dst.bits} bits`);
        checkDst(dst);
        return a;
      },
    },
  ],
  encode(a, { version, out }) {
    const at = out.action(MULTIPATH, version);
    out.setU16(at + 10, FIELDS.indexOf(a.fields));
    out.setU16(at + 12, a.basis);
    out.setU16(at + 16, MULTIPATH_ALGORITHMS.indexOf(a.algorithm));
    out.setU16(at + 18, a.maxLink);
    out.setU32(at + 20, a.arg);
    out.setU16(at + 26, ofsBits(a.dst));
    out.setU32(at + 28, nxmHeaderOf(a.dst.field));
  },
  format: (a) => `multipath(${a.fields},${a.basis},${a.algorithm},${a.maxLink + 1},${a.arg},${formatSubfield(a.dst)})`,
  parse: {
    multipath(arg) {
      const next = tokenizer(arg);
      const [fields = '', basis = '', algorithm = '', nText = '', argText = '', dstText] = Array.from(
        { length: 6 },
        () => next(', '),
      );
      if (dstText === undefined) throw new OfpTextError(`${arg}: not enough arguments to multipath action`);
      const known = byName(FIELDS, fields, 'fields', arg);
      const choice = byName(MULTIPATH_ALGORITHMS, algorithm, 'algorithm', arg);
      const nLinks = Number(BigInt.asIntN(32, scanNumber(nText, 10)?.value ?? 0n));
      if (nLinks < 1 || nLinks > 65536) {
        throw new OfpTextError(`${arg}: n_links ${nLinks} is not in valid range 1 to 65536`);
      }
      const dst = parseOldSubfield(dstText, arg);
      if (dst.bits < 16 && nLinks > 2 ** dst.bits) {
        const why = `${dst.bits}-bit destination field has ${2 ** dst.bits} possible values`;
        throw new OfpTextError(`${arg}: ${why}, less than specified n_links ${nLinks}`);
      }
      return {
        kind: 'multipath',
        fields: known,
        basis: atoi(basis, 16),
        algorithm: choice,
        maxLink: nLinks - 1,
        arg: atoi(argText, 32),
        dst,
      };
    },
  },
});

const BUNDLE = actionForm('NXAST_BUNDLE', 'NX1.0+(12)', 32, true);
const BUNDLE_LOAD = actionForm('NXAST_BUNDLE_LOAD', 'NX1.0+(13)', 32, true);
const MEMBERS = 32;
const MAX_MEMBERS = 2048;
const NXM_OF_IN_PORT = 0x00000002;

/** Throws OfpError (OFPBAC_BAD_OUT_PORT) for a port that cannot be a member, in a switch with ports below `maxPorts`. */
export function checkMembers(members: readonly number[], maxPorts: number): void {
  for (const port of members) {
    if (port !== OFPP.NONE) checkOutputPort(port, maxPorts);
    if (port === OFPP.CONTROLLER) throw new OfpError(OFPERR.OFPBAC_BAD_OUT_PORT, 'CONTROLLER in a bundle');
  }
}

function decodeBundle(b: ActionBytes, c: DecodeCtx, isLoad: boolean): OfpactBundle {
  const dst = isLoad ? toSubfield(readNxmField(b.u32(24), c), b.u16(22)) : undefined;
  const n = b.u16(20);
  if (b.size - MEMBERS < 2 * n) throw new OfpError(OFPERR.OFPBAC_BAD_LEN, `${n} members`);
  const members = Array.from({ length: n }, (_, i) => b.u16(MEMBERS + 2 * i));
  const a: OfpactBundle = {
    kind: 'bundle',
    algorithm: byNumber(BUNDLE_ALGORITHMS, b.u16(10), 'algorithm'),
    fields: byNumber(FIELDS, b.u16(12), 'fields'),
    basis: b.u16(14),
    members,
    dst,
  };
  if (n > MAX_MEMBERS) badArgument(`${n} members`);
  if (b.u32(16) !== NXM_OF_IN_PORT) badArgument('the type of members');
  if (!b.isZero(28, MEMBERS) || (!isLoad && !b.isZero(22, 28))) badArgument('reserved bytes are not 0');
  if (dst !== undefined) {
    if (dst.bits < 16) badArgument(`bundle_load into ${dst.bits} bits`);
    checkDst(dst);
  }
  checkMembers(members, OFPP.MAX);
  return a;
}

function parseBundle(arg: string, c: ParseCtx, isLoad: boolean): OfpactBundle {
  const next = tokenizer(arg);
  const [fields = '', basis = '', algorithm = '', type = ''] = Array.from({ length: 4 }, () => next(', '));
  const dst = isLoad ? next(', ') : undefined;
  const delimiter = next(': ');
  if (delimiter === undefined) throw new OfpTextError(`${arg}: not enough arguments to bundle action`);
  if (!/^(members|slaves)$/i.test(delimiter)) {
    throw new OfpTextError(`${arg}: missing member delimiter, expected \`members', got \`${delimiter}'`);
  }
  const members: number[] = [];
  while (members.length < MAX_MEMBERS) {
    const text = next(', []');
    if (text === undefined) break;
    const port = parsePort(text, c.names.ports);
    if (port === undefined) throw new OfpTextError(`${text}: bad port number`);
    members.push(port);
  }
  const a: Omit<OfpactBundle, 'dst'> = {
    kind: 'bundle',
    fields: byName(FIELDS, fields, 'fields', arg),
    algorithm: byName(BUNDLE_ALGORITHMS, algorithm, 'algorithm', arg),
    basis: atoi(basis, 16),
    members,
  };
  if (type.toLowerCase() !== 'ofport') throw new OfpTextError(`${arg}: unknown member_type \`${type}'`);
  return { ...a, dst: dst === undefined ? undefined : parseOldSubfield(dst, arg) };
}

const bundle = row<OfpactBundle>({
  kind: 'bundle',
  decoders: [
    { form: BUNDLE, decode: (b, c) => decodeBundle(b, c, false) },
    { form: BUNDLE_LOAD, decode: (b, c) => decodeBundle(b, c, true) },
  ],
  encode(a, { version, out }) {
    const at = out.action(a.dst === undefined ? BUNDLE : BUNDLE_LOAD, version);
    out.setU16(at + 10, BUNDLE_ALGORITHMS.indexOf(a.algorithm));
    out.setU16(at + 12, FIELDS.indexOf(a.fields));
    out.setU16(at + 14, a.basis);
    out.setU32(at + 16, NXM_OF_IN_PORT);
    out.setU16(at + 20, a.members.length);
    if (a.dst !== undefined) {
      out.setU16(at + 22, ofsBits(a.dst));
      out.setU32(at + 24, nxmHeaderOf(a.dst.field));
    }
    for (const port of a.members) out.putU16(port);
    out.finish(at);
  },
  format(a, { names }) {
    const dst = a.dst === undefined ? '' : `${formatSubfield(a.dst)},`;
    const members = a.members.map((port) => formatPort(port, names.ports)).join(',');
    const name = a.dst === undefined ? 'bundle' : 'bundle_load';
    return `${name}(${a.fields},${a.basis},${a.algorithm},ofport,${dst}members:${members})`;
  },
  parse: {
    bundle: (arg, c) => parseBundle(arg, c, false),
    bundle_load: (arg, c) => parseBundle(arg, c, true),
  },
});

export const HASH_ROWS: AnyRow[] = [multipath, bundle];
