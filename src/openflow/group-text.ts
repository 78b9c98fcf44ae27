/**
 * Groups as text: what `ovs-ofctl add-group` reads and `dump-groups` prints.
 *
 *     group_id=1,type=select,selection_method=hash,fields(ip_src),bucket=weight:5,actions=output:1,bucket=...
 *
 * Source: lib/ofp-group.c (parse_ofp_group_mod_str, ofp_print_group), ovs-ofctl(8) "Group Syntax".
 */
import { formatActions, parseActions } from './actions/index.ts';
import type { MfField, MfValue } from './fields/mf-field.ts';
import { mfByName } from './fields/mf-fields.ts';
import { formatMf, parseMfValue } from './fields/mf-text.ts';
import { mfIsMaskOk } from './fields/mf-value.ts';
import { OFPG } from './messages/flow/flow-types.ts';
import {
  type Bucket,
  GROUP_BUCKET,
  GROUP_COMMAND,
  GROUP_TYPE,
  type GroupDesc,
  type GroupMod,
  type GroupProps,
} from './messages/switch/switch-types.ts';
import { formatPort, type OfpNames, parsePort } from './ofp-names.ts';
import { OFPP } from './ofp-port.ts';
import { OFPUTIL_P } from './ofp-protocol.ts';
import { KeyValues, OfpTextError, parseU16, parseU32, parseU64 } from './ofp-text.ts';

/** Protocols that have buckets with ids, and selection methods. */
const WITH_BUCKET_IDS = OFPUTIL_P.OF10_ANY | OFPUTIL_P.OF15_UP;
/** Bytes of a selection method's name on the wire, with a 0 at its end. */
const MAX_METHOD_SIZE = 16;

/** What a group_mod's text may have. */
interface Wanted {
  readonly type: boolean;
  readonly buckets: boolean;
  readonly commandBucket: 'none' | 'one' | 'any';
}
const GROUP: Wanted = { type: true, buckets: true, commandBucket: 'none' };
// biome-ignore format: table
const WANTED: ReadonlyMap<number, Wanted> = new Map<number, Wanted>([
  [GROUP_COMMAND.ADD, GROUP], [GROUP_COMMAND.MODIFY, GROUP], [GROUP_COMMAND.ADD_OR_MOD, GROUP],
  [GROUP_COMMAND.DELETE,        { type: false, buckets: false, commandBucket: 'none' }],
  [GROUP_COMMAND.INSERT_BUCKET, { type: false, buckets: true,  commandBucket: 'one' }],
  [GROUP_COMMAND.REMOVE_BUCKET, { type: false, buckets: false, commandBucket: 'any' }],
]);

/** In the order in which beginnings of them are tried. */
const COMMANDS = [
  ['add', GROUP_COMMAND.ADD],
  ['delete', GROUP_COMMAND.DELETE],
  ['modify', GROUP_COMMAND.MODIFY],
  ['add_or_mod', GROUP_COMMAND.ADD_OR_MOD],
  ['insert_bucket', GROUP_COMMAND.INSERT_BUCKET],
  ['remove_bucket', GROUP_COMMAND.REMOVE_BUCKET],
] as const;

const TYPES: Readonly<Record<string, number>> = {
  all: GROUP_TYPE.ALL,
  select: GROUP_TYPE.SELECT,
  indirect: GROUP_TYPE.INDIRECT,
  ff: GROUP_TYPE.FF,
  fast_failover: GROUP_TYPE.FF,
};
const BUCKET_NAMES: Readonly<Record<string, number>> = {
  all: GROUP_BUCKET.ALL,
  first: GROUP_BUCKET.FIRST,
  last: GROUP_BUCKET.LAST,
};

type Draft = { -readonly [K in keyof GroupMod]: GroupMod[K] };
type PropsDraft = { -readonly [K in keyof GroupProps]: GroupProps[K] };

export interface ParsedGroup {
  readonly groupMod: GroupMod;
  /** OFPUTIL_P bits of the protocols that can say it. */
  readonly usableProtocols: number;
}

function need(isWanted: boolean, what: string, verb = 'is'): void {
  if (!isWanted) throw new OfpTextError(`${what} ${verb} not needed`);
}

function parseWatchPort(text: string, names: OfpNames): number {
  const port = parsePort(text, names.ports);
  if (port === undefined || (port >= OFPP.MAX && port !== OFPP.NONE && port !== OFPP.CONTROLLER)) {
    throw new OfpTextError(`${text}: invalid watch_port`);
  }
  return port;
}

function parseUpTo(text: string, max: number, what: string): number {
  const n = parseU32(text);
  if (n > max) throw new OfpTextError(`invalid ${what} ${n}`);
  return n;
}

function parseBucket(
  text: string,
  type: number,
  names: OfpNames,
): { readonly bucket: Bucket; readonly usable: number } {
  const isSelect = type === GROUP_TYPE.SELECT;
  let weight = isSelect ? 1 : 0;
  let watchPort: number = OFPP.NONE;
  let watchGroup: number = OFPG.ANY;
  let bucketId: number = GROUP_BUCKET.ALL;
  let usable: number = OFPUTIL_P.ANY;
  // What is no property of the bucket is an action.
  const actions: string[] = [];
  for (const kv = new KeyValues(text); kv.next(); ) {
    const { key, value } = kv;
    const name = key.toLowerCase();
    if (name === 'weight') weight = parseU16(value, 'weight');
    else if (name === 'watch_port') watchPort = parseWatchPort(value, names);
    else if (name === 'watch_group') watchGroup = parseUpTo(value, OFPG.MAX, 'watch_group id');
    else if (name === 'bucket_id') {
      bucketId = parseUpTo(value, GROUP_BUCKET.MAX, 'bucket_id id');
      usable &= WITH_BUCKET_IDS;
    } else actions.push(name === 'action' || name === 'actions' ? value : `${key}(${value})`);
  }
  if (actions.length === 0) throw new OfpTextError('bucket must specify actions');
  if (type === GROUP_TYPE.FF && watchPort === OFPP.NONE && watchGroup === OFPG.ANY) {
    throw new OfpTextError('fast failover bucket requires watch_port or watch_group');
  }
  const parsed = parseActions(actions.join(','), names);
  usable &= parsed.usableProtocols;
  return { bucket: { weight, watchPort, watchGroup, bucketId, ofpacts: parsed.actions }, usable };
}

const isCidr = (mask: MfValue): boolean => {
  const rest = ~new DataView(mask.buffer, mask.byteOffset).getUint32(0);
  return (rest & (rest + 1)) === 0;
};

function usableForHash(field: MfField, value: MfValue): number {
  const { exact, cidr, bitwise } = field.usable;
  if (value.every((b) => b === 0xff)) return exact;
  return bitwise === cidr || (value.length >= 4 && isCidr(value)) ? cidr : bitwise;
}

/** Fields to hash, each with the bits that count. */
function parseFields(
  text: string,
  names: OfpNames,
): { readonly fields: GroupProps['fields']; readonly usable: number } {
  const fields: { field: MfField; value: MfValue }[] = [];
  let usable: number = WITH_BUCKET_IDS;
  for (const kv = new KeyValues(text); kv.next(); ) {
    const field = mfByName(kv.key);
    if (field === undefined) throw new OfpTextError(`unknown field ${kv.key}`);
    if (fields.some((f) => f.field === field)) throw new OfpTextError(`${kv.key}: duplicate field`);
    let value = new Uint8Array(field.bytes).fill(0xff);
    if (kv.value !== '') {
      value = Uint8Array.from(parseMfValue(field, kv.value, names.ports));
      if (!field.isVariable && value.every((b) => b === 0)) {
        throw new OfpTextError(`${kv.value}: values are wildcards here and must not be all-zeros`);
      }
      if (!mfIsMaskOk(field, value)) throw new OfpTextError(`${kv.value}: invalid mask for field ${field.name}`);
    }
    usable &= usableForHash(field, value);
    fields.push({ field, value });
  }
  fields.sort((a, b) => a.field.id - b.field.id);
  return { fields, usable };
}

function parseCommandBucket(text: string, wanted: Wanted['commandBucket']): number {
  need(wanted !== 'none', 'command bucket id');
  const id = Object.hasOwn(BUCKET_NAMES, text) ? (BUCKET_NAMES[text] as number) : parseU32(text);
  if (id > GROUP_BUCKET.MAX && !Object.values(BUCKET_NAMES).includes(id)) {
    throw new OfpTextError(`invalid command bucket id ${id}`);
  }
  if (id === GROUP_BUCKET.ALL && wanted !== 'any') {
    throw new OfpTextError('command_bucket_id=all is not permitted');
  }
  return id;
}

/** A key that is no bucket; which protocols can say it. */
function setKey(draft: Draft, props: PropsDraft, wanted: Wanted, key: string, value: string, names: OfpNames): number {
  switch (key) {
    case 'command_bucket_id':
      draft.commandBucketId = parseCommandBucket(value, wanted.commandBucket);
      return OFPUTIL_P.ANY;
    case 'group_id':
      draft.groupId = value === 'all' ? OFPG.ALL : parseU32(value);
      if (draft.groupId !== OFPG.ALL && draft.groupId > OFPG.MAX) {
        throw new OfpTextError(`invalid group id ${draft.groupId}`);
      }
      return OFPUTIL_P.ANY;
    case 'type':
      need(wanted.type, 'type');
      if (!Object.hasOwn(TYPES, value)) throw new OfpTextError(`invalid group type ${value}`);
      draft.type = TYPES[value] as number;
      return OFPUTIL_P.ANY;
    case 'selection_method':
      need(wanted.type, 'selection method');
      if (value.length >= MAX_METHOD_SIZE) {
        throw new OfpTextError(`selection method is longer than ${MAX_METHOD_SIZE - 1} bytes long`);
      }
      props.selectionMethod = value;
      return WITH_BUCKET_IDS;
    case 'selection_method_param':
      need(wanted.type, 'selection method param');
      props.selectionMethodParam = parseU64(value);
      return WITH_BUCKET_IDS;
    case 'fields': {
      need(wanted.type, 'fields', 'are');
      const { fields, usable } = parseFields(value, names);
      props.fields = fields;
      return usable;
    }
    default:
      throw new OfpTextError(`unknown keyword ${key}`);
  }
}

/** Splits "insert_bucket group_id=1,..." of a file of commands; the beginning of a command is enough. */
function takeCommand(text: string): { readonly command: number; readonly rest: string } {
  const rest = text.trimStart();
  const word = /^[^, \t\r\n]*/.exec(rest)?.[0] ?? '';
  const found = COMMANDS.find(([name]) => name.startsWith(word));
  return found === undefined
    ? { command: GROUP_COMMAND.ADD, rest }
    : { command: found[1], rest: rest.slice(word.length) };
}

const BUCKET_KEY = 'bucket=';

/** Cuts the buckets off, which come last: their defaults depend on what is before them. */
function splitBuckets(text: string): { readonly head: string; readonly buckets: readonly string[] } {
  // "command_bucket_id=" has no such key in it: it goes on after "bucket".
  const [head = '', ...buckets] = text.split(BUCKET_KEY);
  return { head, buckets };
}

/**
 * Reads a group_mod; without `command` (GROUP_COMMAND.*) the text may begin with one, "add" if it does not.
 * Throws OfpTextError, and OfpError for a port that no switch can have.
 */
export function parseGroupMod(text: string, command?: number, names: OfpNames = {}): ParsedGroup {
  const taken = command === undefined ? takeCommand(text) : { command, rest: text };
  const wanted = WANTED.get(taken.command);
  if (wanted === undefined) throw new RangeError(`group command ${taken.command}, want one of GROUP_COMMAND`);
  const props: PropsDraft = { selectionMethod: '', selectionMethodParam: 0n, fields: [] };
  const draft: Draft = {
    command: taken.command,
    commandBucketId: GROUP_BUCKET.ALL,
    type: GROUP_TYPE.ALL,
    groupId: OFPG.ANY,
    buckets: [],
    props,
  };
  if (taken.command === GROUP_COMMAND.DELETE && taken.rest === '') {
    draft.groupId = OFPG.ALL;
    return { groupMod: draft, usableProtocols: OFPUTIL_P.ANY };
  }

  let usable: number = wanted.commandBucket === 'none' ? OFPUTIL_P.ANY : WITH_BUCKET_IDS;
  const { head, buckets: texts } = splitBuckets(taken.rest);
  if (texts.length > 0) need(wanted.buckets, 'bucket');
  const seen = new Set<string>();
  for (const kv = new KeyValues(head); kv.next(); ) {
    usable &= setKey(draft, props, wanted, kv.key, kv.value, names);
    seen.add(kv.key);
  }
  checkKeys(draft, props, wanted, seen);

  const buckets: Bucket[] = [];
  for (const bucketText of texts) {
    const parsed = parseBucket(bucketText, draft.type, names);
    usable &= parsed.usable;
    buckets.push(parsed.bucket);
    const mayWeigh = taken.command === GROUP_COMMAND.INSERT_BUCKET || draft.type === GROUP_TYPE.SELECT;
    if (!mayWeigh && parsed.bucket.weight !== 0) {
      throw new OfpTextError('Only select groups can have bucket weights.');
    }
  }
  if (draft.type === GROUP_TYPE.INDIRECT && buckets.length > 1) {
    throw new OfpTextError('Indirect groups can have at most one bucket.');
  }
  return { groupMod: { ...draft, buckets }, usableProtocols: usable };
}

function checkKeys(draft: Draft, props: PropsDraft, wanted: Wanted, seen: ReadonlySet<string>): void {
  if (draft.groupId === OFPG.ANY) throw new OfpTextError('must specify a group_id');
  if (wanted.type && !seen.has('type')) throw new OfpTextError('must specify a type');
  if (props.selectionMethod !== 'hash' && props.fields.length > 0) {
    throw new OfpTextError('fields may only be specified with "selection_method=hash"');
  }
  if (props.selectionMethod === '' && props.selectionMethodParam !== 0n) {
    throw new OfpTextError('selection_method_param is only allowed with "selection_method"');
  }
  if (wanted.commandBucket === 'one' && !seen.has('command_bucket_id')) {
    throw new OfpTextError('must specify a command bucket id');
  }
}

/** "ALL", "ANY", or the number. */
export const formatGroupId = (id: number): string => (id === OFPG.ALL ? 'ALL' : id === OFPG.ANY ? 'ANY' : String(id));

const bucketName = (id: number): string =>
  Object.keys(BUCKET_NAMES).find((name) => BUCKET_NAMES[name] === id) ?? String(id);

/** "bucket_id:1,"; "" where the version has no ids. */
export const formatBucketId = (label: string, id: number, version: number): string =>
  version > 1 && version < 6 ? '' : `${label}:${bucketName(id)},`;

function formatBucket(b: Bucket, type: number, version: number, names: OfpNames): string {
  let text = formatBucketId('bucket_id', b.bucketId, version);
  if (b.weight !== (type === GROUP_TYPE.SELECT ? 1 : 0)) text += `weight:${b.weight},`;
  if (b.watchPort !== OFPP.NONE) text += `watch_port:${formatPort(b.watchPort, names.ports)},`;
  if (b.watchGroup !== OFPG.ANY) text += `watch_group:${b.watchGroup},`;
  return `bucket=${text}actions=${formatActions(b.ofpacts, names)}`;
}

function formatProps({ selectionMethod, selectionMethodParam, fields }: GroupProps): string {
  if (selectionMethod === '') return '';
  let text = `,selection_method=${selectionMethod}`;
  if (selectionMethodParam !== 0n) text += `,selection_method_param=${selectionMethodParam}`;
  if (fields.length === 0) return text;
  const list = fields.map(({ field, value }) =>
    value.every((b) => b === 0xff) ? field.name : `${field.name}=${formatMf(field, value)}`,
  );
  return `${text},fields${fields.length === 1 ? `=${list[0]}` : `(${list.join(',')})`}`;
}

const TYPE_NAMES = ['all', 'select', 'indirect', 'ff'] as const;

/** A group, on one line; without its type if `hasType` is false, as in messages about buckets alone. */
export function formatGroup(g: GroupDesc, version: number, names: OfpNames = {}, hasType = true): string {
  const type = hasType ? `,type=${TYPE_NAMES[g.type] ?? 'unknown'}` : '';
  const buckets = g.buckets.map((b) => `,${formatBucket(b, g.type, version, names)}`).join('');
  return `group_id=${g.groupId}${type}${formatProps(g.props)}${buckets}`;
}

// biome-ignore format: table
const COMMAND_NAMES: ReadonlyMap<number, string> = new Map<number, string>([
  [GROUP_COMMAND.ADD, 'ADD'], [GROUP_COMMAND.MODIFY, 'MOD'], [GROUP_COMMAND.ADD_OR_MOD, 'ADD_OR_MOD'], [GROUP_COMMAND.DELETE, 'DEL'],
  [GROUP_COMMAND.INSERT_BUCKET, 'INSERT_BUCKET'], [GROUP_COMMAND.REMOVE_BUCKET, 'REMOVE_BUCKET'],
]);

/** A group_mod as ovs-ofctl prints it after the message's name: a line that begins with its end. */
export function formatGroupMod(gm: GroupMod, version: number, names: OfpNames = {}): string {
  const command = COMMAND_NAMES.get(gm.command) ?? `cmd:${gm.command}`;
  const isAboutBuckets = gm.command === GROUP_COMMAND.INSERT_BUCKET || gm.command === GROUP_COMMAND.REMOVE_BUCKET;
  const bucket = isAboutBuckets ? formatBucketId('command_bucket_id', gm.commandBucketId, version) : '';
  return `\n ${command} ${bucket}${formatGroup(gm, version, names, !isAboutBuckets)}`;
}
