/**
 * What tables can do: table_features of OpenFlow 1.3 and later.
 *
 * ```
 * | length 16 | table 8 | command 8 | 0 32 | name 8*32 | metadata_match 64 | metadata_write 64 | capabilities | max_entries | properties |
 * ```
 * Properties come in pairs, 2n for flows and 2n+1 for the flow that matches what no other does; without the second the first counts for both.
 * They are lists: of instruction or action ids (type 16, length 16), of table numbers, of OXM headers.
 * Source: OpenFlow 1.3.5 A.3.5.5, 1.5.1 7.3.5.18, lib/ofp-table.c.
 */

import type { MfField } from '../../fields/mf-field.ts';
import { MF_FIELDS, mfHeader } from '../../fields/mf-fields.ts';
import { putOxmHeader, readOxmHeader } from '../../match/oxm-entry.ts';
import { OFPERR, OfpError, type OfVersion } from '../../ofp-errors.ts';
import type { OfpWriter } from '../../ofp-writer.ts';
import type { OfpactKind } from '../../ofpact.ts';
import { OFPTT_ALL } from '../flow/flow-types.ts';
import { decodeActionBits, encodeActionBits } from '../switch/action-bits.ts';
import type { TableActionFeatures, TableFeatures, TableInstructionFeatures } from '../switch/switch-types.ts';
import { type BodyIn, type BodyOut, type Codecs, getString, listCodec, NO_BODY, putString } from '../wire/body.ts';
import { beginProperty, eachProperty, endProperty, type Property, unknownProperty } from '../wire/properties.ts';
import { TABLE_EVICTION, TABLE_VACANCY_EVENTS } from './table-config.ts';

const SIZE = 64;
const NAME_AT = 8;
export const TABLE_NAME_SIZE = 32;

/** Instructions by their type on the wire. */
// biome-ignore format: list
const INSTRUCTION_TYPES = [undefined, 'goto_table', 'write_metadata', 'write_actions', 'apply_actions', 'clear_actions', 'meter'] as const;

/** Whether a version has the instruction of a type: 1.5 made an action of meter. */
const isInstruction = (name: string | undefined, version: OfVersion): name is string =>
  name !== undefined && (name !== 'meter' || version === 4 || version === 5);

/** Instructions by name as a bit for each type, those that the version lacks left out. */
export function encodeInstructionBits(names: ReadonlySet<string>, version: OfVersion): number {
  let bits = 0;
  INSTRUCTION_TYPES.forEach((name, type) => {
    if (isInstruction(name, version) && names.has(name)) bits |= 1 << type;
  });
  return bits;
}

/** The names of the instructions that have a bit; bits of none are nothing. */
export const decodeInstructionBits = (bits: number, version: OfVersion): Set<string> =>
  new Set(
    INSTRUCTION_TYPES.filter((name, type) => isInstruction(name, version) && (bits & (1 << type)) !== 0) as string[],
  );

/** OFPTFPT13_*; the lists for the flow that matches the rest are one more. */
// biome-ignore format: table
const PROP = {
  INSTRUCTIONS: 0, NEXT_TABLES: 2, WRITE_ACTIONS: 4, APPLY_ACTIONS: 6, MATCH: 8, WILDCARDS: 10, WRITE_SETFIELD: 12, APPLY_SETFIELD: 14,
} as const;
const REQUIRED = Object.values(PROP);

/** Numbers of ids that follow each other; those of experimenters are no more than their type. */
function idsOf(m: BodyIn, p: Property): number[] {
  const ids: number[] = [];
  eachProperty(m.dv, p.dataAt, p.at + p.size, (id) => ids.push(id.type), 1, 0x10000);
  return ids;
}

function instructionsOf(m: BodyIn, p: Property, isLoose: boolean): Set<string> {
  const names = new Set<string>();
  for (const id of idsOf(m, p)) {
    const name = INSTRUCTION_TYPES[id];
    if (name !== undefined) names.add(name);
    else if (!isLoose) throw new OfpError(OFPERR.OFPBIC_UNKNOWN_INST, `table_features: instruction ${id}`);
  }
  return names;
}

function actionsOf(m: BodyIn, p: Property): Set<OfpactKind> {
  const bits = idsOf(m, p).reduce((all, id) => (id < 32 ? all | (1 << id) : all), 0);
  return new Set(decodeActionBits(bits >>> 0, m.version));
}

function tablesOf(m: BodyIn, p: Property): Set<number> {
  const tables = new Set(m.bytes.subarray(p.dataAt, p.at + p.size));
  if (tables.has(OFPTT_ALL)) throw new OfpError(OFPERR.OFPBPC_BAD_VALUE, 'table_features: next table 255');
  return tables;
}

interface Fields {
  readonly exact: ReadonlySet<MfField>;
  readonly masked: ReadonlySet<MfField>;
}

/**
 * Lists of fields that were read, by their bytes.  All tables of a switch say the same, some hundreds of headers each; so a reply of 254 tables
 * is a few lists, which are read once and shared.
 */
const listsBefore = new Map<string, Fields>();
const MAX_LISTS = 32;

function fieldsOf(m: BodyIn, p: Property, isLoose: boolean, allowsMask: boolean): Fields {
  const list = Buffer.from(m.bytes.buffer, m.bytes.byteOffset + p.dataAt, p.at + p.size - p.dataAt).toString('latin1');
  const key = `${isLoose} ${allowsMask} ${list}`;
  const known = listsBefore.get(key);
  if (known !== undefined) return known;
  const fields = readFields(m, p, isLoose, allowsMask);
  if (listsBefore.size >= MAX_LISTS) listsBefore.clear();
  listsBefore.set(key, fields);
  return fields;
}

function readFields(m: BodyIn, p: Property, isLoose: boolean, allowsMask: boolean): Fields {
  const exact = new Set<MfField>();
  const masked = new Set<MfField>();
  const bytes = m.bytes.subarray(0, p.at + p.size);
  for (let at = p.dataAt; at < bytes.length; ) {
    const { field, hasMask, end } = readOxmHeader(bytes, at);
    if (field === undefined && !isLoose) {
      throw new OfpError(OFPERR.OFPBMC_BAD_FIELD, `table_features: no field known at byte ${at}`);
    }
    if (hasMask && (!allowsMask || field?.isMaskable === false)) {
      throw new OfpError(OFPERR.OFPBMC_BAD_MASK, `table_features: mask at byte ${at}`);
    }
    if (field !== undefined) (hasMask ? masked : exact).add(field);
    at = end;
  }
  return { exact, masked };
}

const NONE: Fields = { exact: new Set(), masked: new Set() };
const inOrder = (fields: Iterable<MfField>): Set<MfField> => new Set([...fields].sort((a, b) => a.id - b.id));

/** What the two lists about matches come to, and the lists: the next table mostly has the same. */
let lastMatching = { matched: NONE, wild: NONE, match: NONE.exact, mask: NONE.exact, wildcard: NONE.exact };

function matchingOf(matched: Fields, wild: Fields): Pick<TableFeatures, 'match' | 'mask' | 'wildcard'> {
  if (matched !== lastMatching.matched || wild !== lastMatching.wild) {
    // What has a mask can be matched, and left out; what cannot be matched is not left out.
    const match = inOrder(new Set([...matched.exact, ...matched.masked]));
    const wildcard = inOrder(new Set([...wild.exact, ...matched.masked].filter((f) => match.has(f))));
    lastMatching = { matched, wild, match, mask: inOrder(matched.masked), wildcard };
  }
  const { match, mask, wildcard } = lastMatching;
  return { match, mask, wildcard };
}

/** A feature list of nothing. */
export const noInstructionFeatures = (): TableInstructionFeatures => ({
  next: new Set(),
  instructions: new Set(),
  write: { ofpacts: new Set(), setFields: new Set() },
  apply: { ofpacts: new Set(), setFields: new Set() },
});

/** Properties by their type, each at most once.  Throws OfpError. */
function readProperties(m: BodyIn, at: number, end: number, isLoose: boolean): Map<number, Property> {
  const found = new Map<number, Property>();
  eachProperty(m.dv, at, end, (p) => {
    if (
      p.vendor !== 0 ||
      p.type > PROP.APPLY_SETFIELD + 1 ||
      p.type === PROP.MATCH + 1 ||
      p.type === PROP.WILDCARDS + 1
    ) {
      unknownProperty(p, isLoose);
      return;
    }
    if (found.has(p.type)) throw new OfpError(OFPERR.OFPTFFC_BAD_FEATURES, `table_features: property ${p.type} again`);
    found.set(p.type, p);
  });
  const hasAny = at < end;
  const missing = REQUIRED.find((type) => !found.has(type));
  // 1.5 may do without any.
  if (missing !== undefined && (hasAny || m.version < 6)) {
    throw new OfpError(OFPERR.OFPTFFC_BAD_FEATURES, `table_features: no property ${missing}`);
  }
  return found;
}

function decodeFeatures(m: BodyIn, at: number, push: (tf: TableFeatures) => void): number {
  const { raw, version, dv, bytes } = m;
  const left = bytes.length - at;
  const size = left < SIZE ? 0 : dv.getUint16(at);
  if (size < SIZE || size % 8 !== 0 || size > left) {
    throw new OfpError(OFPERR.OFPBPC_BAD_LEN, `table_features of ${size} bytes, ${left} are there`);
  }
  const command = version >= 6 ? dv.getUint8(at + 3) : 0;
  if (command > 3) throw new OfpError(OFPERR.OFPTFFC_BAD_COMMAND, `table_features: command ${command}`);
  const tableId = dv.getUint8(at + 2);
  if (tableId === OFPTT_ALL) throw new OfpError(OFPERR.OFPTFFC_BAD_TABLE, 'table_features of table 255');
  const isLoose = raw.multipart === 'reply';
  const found = readProperties(m, at + SIZE, at + size, isLoose);
  const read = <T>(type: number, miss: number, none: T, parse: (p: Property) => T): T => {
    const p = found.get(type + miss) ?? found.get(type);
    return p === undefined ? none : parse(p);
  };
  const setFields = (type: number, miss: number): ReadonlySet<MfField> =>
    read(type, miss, NONE, (p) => fieldsOf(m, p, isLoose, false)).exact;
  const actions = (type: number, miss: number) => read(type, miss, new Set<OfpactKind>(), (p) => actionsOf(m, p));
  const instructions = (miss: number): TableInstructionFeatures => ({
    instructions: read(PROP.INSTRUCTIONS, miss, new Set<string>(), (p) => instructionsOf(m, p, isLoose)),
    next: read(PROP.NEXT_TABLES, miss, new Set<number>(), (p) => tablesOf(m, p)),
    write: { ofpacts: actions(PROP.WRITE_ACTIONS, miss), setFields: setFields(PROP.WRITE_SETFIELD, miss) },
    apply: { ofpacts: actions(PROP.APPLY_ACTIONS, miss), setFields: setFields(PROP.APPLY_SETFIELD, miss) },
  });
  const matched = read(PROP.MATCH, 0, NONE, (p) => fieldsOf(m, p, isLoose, true));
  const wild = read(PROP.WILDCARDS, 0, NONE, (p) => fieldsOf(m, p, isLoose, false));
  const capabilities = dv.getUint32(at + NAME_AT + TABLE_NAME_SIZE + 16);
  push({
    command,
    tableId,
    name: getString(bytes, at + NAME_AT, TABLE_NAME_SIZE - 1),
    metadataMatch: dv.getBigUint64(at + 40),
    metadataWrite: dv.getBigUint64(at + 48),
    maxEntries: dv.getUint32(at + 60),
    hasProperties: size > SIZE,
    miss: 'default',
    supportsEviction: version < 5 ? undefined : (capabilities & TABLE_EVICTION) !== 0,
    supportsVacancyEvents: version < 5 ? undefined : (capabilities & TABLE_VACANCY_EVENTS) !== 0,
    nonmissFeatures: instructions(0),
    missFeatures: instructions(1),
    ...matchingOf(matched, wild),
  });
  return at + size;
}

/** Ids of the bits that are set. */
function putIds(out: OfpWriter, type: number, bits: number): void {
  const at = beginProperty(out, type);
  for (let id = 0; id < 32; id++) {
    if ((bits & (1 << id)) === 0) continue;
    out.u16(id);
    out.u16(4);
  }
  endProperty(out, at);
}

const NO_FIELDS: ReadonlySet<MfField> = new Set();

function putFields(
  out: OfpWriter,
  type: number,
  fields: ReadonlySet<MfField>,
  version: OfVersion,
  mask = NO_FIELDS,
): void {
  const at = beginProperty(out, type);
  out.put(headersOf(fields, version, mask));
  endProperty(out, at);
}

interface Headers {
  readonly version: OfVersion;
  readonly mask: ReadonlySet<MfField>;
  readonly bytes: Uint8Array;
}
/** By the fields.  All tables have the same, so that an answer of 254 of them says a few things again and again. */
const headersBefore = new WeakMap<ReadonlySet<MfField>, Headers[]>();

function headersOf(fields: ReadonlySet<MfField>, version: OfVersion, mask: ReadonlySet<MfField>): Uint8Array {
  let known = headersBefore.get(fields);
  if (known === undefined) {
    known = [];
    headersBefore.set(fields, known);
  }
  const found = known.find((h) => h.version === version && h.mask === mask);
  if (found !== undefined) return found.bytes;
  const headers: number[] = [];
  for (const field of MF_FIELDS) {
    const header = fields.has(field) ? mfHeader(field, version)?.header : undefined;
    if (header !== undefined) putOxmHeader(headers, header, field.bytes, mask.has(field));
  }
  const bytes = Uint8Array.from(headers);
  known.push({ version, mask, bytes });
  return bytes;
}

function putActions(
  out: OfpWriter,
  f: TableActionFeatures,
  types: readonly [number, number],
  version: OfVersion,
): void {
  putIds(out, types[0], encodeActionBits(f.ofpacts, version));
  putFields(out, types[1], f.setFields, version);
}

function putInstructions(out: OfpWriter, f: TableInstructionFeatures, miss: number, version: OfVersion): void {
  putIds(out, PROP.INSTRUCTIONS + miss, encodeInstructionBits(f.instructions, version));
  const at = beginProperty(out, PROP.NEXT_TABLES + miss);
  out.put(Uint8Array.from(f.next).sort());
  endProperty(out, at);
  putActions(out, f.write, [PROP.WRITE_ACTIONS + miss, PROP.WRITE_SETFIELD + miss], version);
  putActions(out, f.apply, [PROP.APPLY_ACTIONS + miss, PROP.APPLY_SETFIELD + miss], version);
}

function encodeFeatures(tf: TableFeatures, { version, out }: BodyOut): void {
  const at = out.size;
  out.u16(0);
  out.u8(tf.tableId);
  out.u8(version >= 6 ? tf.command : 0);
  out.u32(0);
  putString(out, tf.name, TABLE_NAME_SIZE);
  out.u64(tf.metadataMatch);
  out.u64(tf.metadataWrite);
  const eviction = tf.supportsEviction === true ? TABLE_EVICTION : 0;
  out.u32(version < 5 ? 0 : eviction | (tf.supportsVacancyEvents === true ? TABLE_VACANCY_EVENTS : 0));
  out.u32(tf.maxEntries);
  if (tf.hasProperties) {
    putInstructions(out, tf.nonmissFeatures, 0, version);
    putInstructions(out, tf.missFeatures, 1, version);
    putFields(out, PROP.MATCH, tf.match, version, tf.mask);
    putFields(out, PROP.WILDCARDS, tf.wildcard, version);
  }
  out.dv.setUint16(at, out.size - at);
}

export const TABLE_FEATURES_CODECS = {
  table_desc_request: NO_BODY,
  table_features_stats_request: listCodec(decodeFeatures, encodeFeatures),
  table_features_stats_reply: listCodec(decodeFeatures, encodeFeatures),
} satisfies Partial<Codecs>;
