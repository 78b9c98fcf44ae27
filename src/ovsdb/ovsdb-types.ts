/**
 * OVSDB's values: atoms, sets, maps and row references, what they look like on the wire, and how a table's columns are
 * declared.  A row's TypeScript type follows from its table's declaration (vswitch-schema.ts, generated).
 *
 *     wire                              here
 *     "text", 3, true                   the same
 *     ["uuid", "550e8400-..."]          the text of the UUID
 *     ["set", [a, b]], or a alone       an array; undefined or the atom where a column holds one at most
 *     ["map", [[k, v], ...]]            a Map
 *
 * An integer has 64 bits in OVSDB; here it is a number, exact up to 2^53.
 * Source: RFC 7047 section 5.1, ovsdb/ovsdb-types.h.
 */
import { isJsonObject, type Json } from '../util/json-stream.ts';

export type AtomType = 'integer' | 'real' | 'boolean' | 'string' | 'uuid';
export type Atom = number | boolean | string;
/** The text of a row's UUID, or, within a transaction, of the name of a row that it inserts. */
export type Uuid = string;

interface AtomOf {
  readonly integer: number;
  readonly real: number;
  readonly boolean: boolean;
  readonly string: string;
  readonly uuid: Uuid;
}

/** A column: what it holds.  `T` is the TypeScript type of its values. */
export interface Column<T> {
  readonly shape: 'scalar' | 'optional' | 'set' | 'map';
  readonly key: AtomType;
  /** Of a map. */
  readonly value: AtomType | undefined;
  /** What a row holds that nobody set. */
  readonly initial: T;
}
/** The type of a column's values. */
export type ValueOf<C> = C extends Column<infer T> ? T : never;

const INITIAL: AtomOf = {
  integer: 0,
  real: 0,
  boolean: false,
  string: '',
  uuid: '00000000-0000-0000-0000-000000000000',
};

/** Exactly one atom. */
export function scalar<K extends AtomType>(key: K): Column<AtomOf[K]> {
  return { shape: 'scalar', key, value: undefined, initial: INITIAL[key] };
}
/** One atom or none. */
export function optional<K extends AtomType>(key: K): Column<AtomOf[K] | undefined> {
  return { shape: 'optional', key, value: undefined, initial: undefined };
}
/** Any number of different atoms, in no order. */
export function set<K extends AtomType>(key: K): Column<readonly AtomOf[K][]> {
  return { shape: 'set', key, value: undefined, initial: [] };
}
export function map<K extends AtomType, V extends AtomType>(
  key: K,
  value: V,
): Column<ReadonlyMap<AtomOf[K], AtomOf[V]>> {
  return { shape: 'map', key, value, initial: new Map() };
}

export type Columns = { readonly [name: string]: Column<unknown> };
export interface Table<C extends Columns = Columns> {
  readonly name: string;
  readonly columns: C;
}
export const table = <const C extends Columns>(name: string, columns: C): Table<C> => ({ name, columns });

/** A row as the replica holds it: never changed, replaced by another object when the database's row changes. */
export type Row<T extends Table> = { readonly _uuid: Uuid } & {
  readonly [K in keyof T['columns']]: ValueOf<T['columns'][K]>;
};
/** Some of a row's columns, to write. */
export type RowValues<T extends Table> = { readonly [K in keyof T['columns']]?: ValueOf<T['columns'][K]> };

/** What came from the server does not follow RFC 7047. */
export class OvsdbFormatError extends Error {
  override readonly name = 'OvsdbFormatError';
  readonly code = 'ERR_OVSDB_FORMAT';
  /** Where: "Bridge.ports", "update3". */
  readonly path: string;

  constructor(path: string, reason: string) {
    super(`${path}: ${reason}`);
    this.path = path;
  }
}

/** What the server answered instead of a result: the "error" and "details" members of RFC 7047's <error>. */
export class OvsdbError extends Error {
  override readonly name: string = 'OvsdbError';
  /** "constraint violation", "syntax error" ... */
  readonly error: string;
  readonly details: string | undefined;

  constructor(error: string, details: string | undefined) {
    super(details === undefined ? error : `${error}: ${details}`);
    this.error = error;
    this.details = details;
  }
}
/** A "wait" of the transaction did not hold: somebody else changed the row.  Worth another try. */
export class OvsdbTimedOut extends OvsdbError {
  override readonly name = 'OvsdbTimedOut';
}
/** The transaction asserted a lock that this client does not hold (RFC 7047 5.2.10). */
export class OvsdbNotOwner extends OvsdbError {
  override readonly name = 'OvsdbNotOwner';
}
/** A constraint of the schema or a row that is referred to does not allow the change. */
export class OvsdbConstraintViolation extends OvsdbError {
  override readonly name = 'OvsdbConstraintViolation';
}
export class OvsdbReferentialIntegrityViolation extends OvsdbError {
  override readonly name = 'OvsdbReferentialIntegrityViolation';
}
/** The server does not know the method: an older server. */
export class OvsdbUnknownMethod extends OvsdbError {
  override readonly name = 'OvsdbUnknownMethod';
}

const ERRORS = {
  'timed out': OvsdbTimedOut,
  'not owner': OvsdbNotOwner,
  'constraint violation': OvsdbConstraintViolation,
  'referential integrity violation': OvsdbReferentialIntegrityViolation,
  'unknown method': OvsdbUnknownMethod,
} as const;

/** The error that `json`, an <error> or a JSON-RPC error of any other form, stands for. */
export function ovsdbError(json: Json): OvsdbError {
  if (!isJsonObject(json)) return new OvsdbError(typeof json === 'string' ? json : JSON.stringify(json), undefined);
  const error = typeof json['error'] === 'string' ? json['error'] : 'unknown error';
  const details = typeof json['details'] === 'string' ? json['details'] : undefined;
  const Class = Object.hasOwn(ERRORS, error) ? ERRORS[error as keyof typeof ERRORS] : OvsdbError;
  return new Class(error, details);
}

function decodeAtom(type: AtomType, json: Json | undefined, path: string): Atom {
  switch (type) {
    case 'integer':
    case 'real':
      if (typeof json === 'number' && (type === 'real' || Number.isInteger(json))) return json;
      break;
    case 'boolean':
      if (typeof json === 'boolean') return json;
      break;
    case 'string':
      if (typeof json === 'string') return json;
      break;
    case 'uuid':
      if (Array.isArray(json) && json.length === 2 && json[0] === 'uuid' && typeof json[1] === 'string') return json[1];
      break;
  }
  throw new OvsdbFormatError(path, `${JSON.stringify(json)?.slice(0, 100)} is not of type ${type}`);
}

/** The array that a ["set", [...]] or ["map", [...]] holds; undefined if `json` is neither. */
function listOf(json: Json | undefined, kind: 'set' | 'map'): readonly Json[] | undefined {
  return Array.isArray(json) && json.length === 2 && json[0] === kind && Array.isArray(json[1]) ? json[1] : undefined;
}

/** The value of a column from the wire.  Throws an OvsdbFormatError that names `path`. */
export function decodeValue(column: Column<unknown>, json: Json | undefined, path: string): unknown {
  if (column.shape === 'map') {
    const pairs = listOf(json, 'map');
    if (pairs === undefined) throw new OvsdbFormatError(path, 'want a map');
    const value = column.value ?? 'string';
    return new Map(
      pairs.map((pair) => {
        if (!Array.isArray(pair) || pair.length !== 2) throw new OvsdbFormatError(path, 'want pairs in a map');
        return [decodeAtom(column.key, pair[0], path), decodeAtom(value, pair[1], path)] as const;
      }),
    );
  }
  // A set of one element may come as the element alone.
  const atoms = (listOf(json, 'set') ?? [json]).map((atom) => decodeAtom(column.key, atom, path));
  if (column.shape === 'set') return atoms;
  if (atoms.length > 1 || (atoms.length === 0 && column.shape === 'scalar')) {
    throw new OvsdbFormatError(path, `${atoms.length} values in a column that holds one`);
  }
  return atoms[0];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function encodeAtom(type: AtomType, atom: unknown): Json {
  if (type !== 'uuid') return atom as Atom;
  return [UUID.test(atom as string) ? 'uuid' : 'named-uuid', atom as string];
}

/** The value of a column for the wire. */
export function encodeValue(column: Column<unknown>, value: unknown): Json {
  switch (column.shape) {
    case 'scalar':
      return encodeAtom(column.key, value);
    case 'optional':
      return value === undefined ? ['set', []] : encodeAtom(column.key, value);
    case 'set':
      return ['set', (value as readonly Atom[]).map((atom) => encodeAtom(column.key, atom))];
    case 'map': {
      const type = column.value ?? 'string';
      const pairs = [...(value as ReadonlyMap<Atom, Atom>)];
      return ['map', pairs.map(([k, v]) => [encodeAtom(column.key, k), encodeAtom(type, v)])];
    }
  }
}

/** Whether two values of a column are the same; sets and maps have no order. */
export function valuesEqual(column: Column<unknown>, a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (column.shape === 'set') {
    const [x, y] = [a as readonly Atom[], new Set(b as readonly Atom[])];
    return x.length === y.size && x.every((atom) => y.has(atom));
  }
  if (column.shape === 'map') {
    const [x, y] = [a as ReadonlyMap<Atom, Atom>, b as ReadonlyMap<Atom, Atom>];
    return x.size === y.size && [...x].every(([k, v]) => y.has(k) && y.get(k) === v);
  }
  return false;
}

/**
 * Applies an update2 "modify" to a value (ovsdb-server(7), "Update2"): the new atom for a column of one; for sets, the
 * elements that come or go; for maps, pairs to add, to change, or, where the value is the same, to remove.
 */
export function applyDiff(column: Column<unknown>, old: unknown, diff: unknown): unknown {
  if (column.shape === 'set') {
    const result = new Set(old as readonly Atom[]);
    for (const atom of diff as readonly Atom[]) if (!result.delete(atom)) result.add(atom);
    return [...result];
  }
  if (column.shape === 'map') {
    const result = new Map(old as ReadonlyMap<Atom, Atom>);
    for (const [k, v] of diff as ReadonlyMap<Atom, Atom>) {
      if (result.has(k) && result.get(k) === v) result.delete(k);
      else result.set(k, v);
    }
    return result;
  }
  return diff;
}
