/**
 * What groups are made of on the wire: buckets, and the properties of a group, of which there is one: how a select group selects.
 *
 * ```
 * 1.1-1.4   | length 16 | weight 16 | watch_port | watch_group | pad 32 | actions |
 * 1.0, 1.5  | length 16 | size of actions 16 | bucket_id | actions | properties |
 *
 * | 0xffff | length 16 | Netronome's id | 1 | pad 32 | method 16*8 | parameter 64 | fields with values, as OXM |
 * ```
 * Source: OpenFlow 1.1.0 A.3.4.2, 1.5.1 7.3.4.3, include/openflow/netronome-ext.h, lib/ofp-group.c, lib/nx-match.c (field arrays).
 */
import { decodeActions, encodeActions } from '../../actions/index.ts';
import type { MfField, MfValue } from '../../fields/mf-field.ts';
import { mfHeader } from '../../fields/mf-fields.ts';
import { mfIsMaskOk } from '../../fields/mf-value.ts';
import { checkOxmMask, putOxmEntry, readOxmEntry } from '../../match/oxm-entry.ts';
import { OFPERR, OfpError, VENDOR } from '../../ofp-errors.ts';
import { portFromOfp11, portToOfp11 } from '../../ofp-names.ts';
import { OFPP } from '../../ofp-port.ts';
import { OFPG } from '../flow/flow-types.ts';
import { type Bucket, GROUP_BUCKET, GROUP_COMMAND, GROUP_TYPE, type GroupProps } from '../switch/switch-types.ts';
import { type BodyIn, type BodyOut, getString, putString } from '../wire/body.ts';
import {
  beginProperty,
  eachProperty,
  endProperty,
  type Property,
  propertyU16,
  propertyU32,
  putPropertyU16,
  putPropertyU32,
  unknownProperty,
} from '../wire/properties.ts';

/** Whether the form is that of 1.5, which 1.0 has from Nicira. */
export const hasBuckets15 = ({ version }: { readonly version: number }): boolean => version === 1 || version >= 6;

const BUCKET11_SIZE = 16;
const BUCKET15_SIZE = 8;
const PROP = { WEIGHT: 0, WATCH_PORT: 1, WATCH_GROUP: 2 } as const;

const badBucket = (why: string): OfpError => new OfpError(OFPERR.OFPGMFC_BAD_BUCKET, why);

/** Throws OfpError (OFPGMFC_BAD_WATCH). */
function watchPort(port: number): number {
  try {
    return portFromOfp11(port);
  } catch (cause) {
    if (!(cause instanceof OfpError)) throw cause;
    throw new OfpError(OFPERR.OFPGMFC_BAD_WATCH, `bucket: watch_port ${port}`);
  }
}

/** Weight of a bucket that says nothing of it. */
const defaultWeight = (groupType: number): number => (groupType === GROUP_TYPE.SELECT ? 1 : 0);

function decode15({ dv, bytes, version }: BodyIn, at: number, size: number, groupType: number): Bucket {
  const actionsSize = dv.getUint16(at + 2);
  const actionsAt = at + BUCKET15_SIZE;
  if (actionsSize > size - BUCKET15_SIZE) {
    throw badBucket(`bucket of ${size} bytes at byte ${at}: ${actionsSize} bytes of actions`);
  }
  const ofpacts = decodeActions(version, bytes.subarray(actionsAt, actionsAt + actionsSize));
  let weight = defaultWeight(groupType);
  let port = portToOfp11(OFPP.NONE);
  let watchGroup: number = OFPG.ANY;
  eachProperty(dv, actionsAt + actionsSize, at + size, (p) => {
    const type = p.vendor === 0 ? p.type : -1;
    if (type === PROP.WEIGHT) weight = propertyU16(dv, p);
    else if (type === PROP.WATCH_PORT) port = propertyU32(dv, p);
    else if (type === PROP.WATCH_GROUP) watchGroup = propertyU32(dv, p);
    else unknownProperty(p, false);
  });
  const bucketId = dv.getUint32(at + 4);
  const bucket = { weight, watchPort: watchPort(port), watchGroup, bucketId, ofpacts };
  if (bucketId > GROUP_BUCKET.MAX) throw badBucket(`bucket_id ${bucketId}`);
  return bucket;
}

function decode11({ dv, bytes, version }: BodyIn, at: number, size: number, bucketId: number): Bucket {
  const ofpacts = decodeActions(version, bytes.subarray(at + BUCKET11_SIZE, at + size));
  return {
    weight: dv.getUint16(at + 2),
    watchPort: watchPort(dv.getUint32(at + 4)),
    watchGroup: dv.getUint32(at + 8),
    bucketId,
    ofpacts,
  };
}

/** Reads the buckets from `at` to `end` of a group of type `groupType`.  Throws OfpError. */
export function decodeBuckets(m: BodyIn, at: number, end: number, groupType: number): Bucket[] {
  const is15 = hasBuckets15(m);
  const least = is15 ? BUCKET15_SIZE : BUCKET11_SIZE;
  const buckets: Bucket[] = [];
  for (let next = at; next < end; ) {
    if (end - next < least) throw badBucket(`buckets end with ${end - next} bytes left over`);
    const size = m.dv.getUint16(next);
    if (size < least || size > end - next) throw badBucket(`bucket at byte ${next}: ${size} bytes`);
    buckets.push(is15 ? decode15(m, next, size, groupType) : decode11(m, next, size, buckets.length));
    next += size;
  }
  if (is15 && new Set(buckets.map((b) => b.bucketId)).size < buckets.length) throw badBucket('bucket_id twice');
  return buckets;
}

/** Ids for the wire: a bucket that has none (GROUP_BUCKET.ALL) gets the lowest that no bucket has. */
function bucketIds(buckets: readonly Bucket[]): number[] {
  const used = new Set(buckets.map((b) => b.bucketId));
  let free = 0;
  return buckets.map(({ bucketId }) => {
    if (bucketId <= GROUP_BUCKET.MAX) return bucketId;
    while (used.has(free)) free++;
    return free++;
  });
}

function encode15(bucket: Bucket, bucketId: number, groupType: number, { out, version }: BodyOut): void {
  const actions = encodeActions(bucket.ofpacts, version);
  const at = out.room(BUCKET15_SIZE);
  out.put(actions);
  if (groupType === GROUP_TYPE.SELECT || bucket.weight !== 0) putPropertyU16(out, PROP.WEIGHT, bucket.weight);
  if (bucket.watchPort !== OFPP.NONE) putPropertyU32(out, PROP.WATCH_PORT, portToOfp11(bucket.watchPort));
  if (bucket.watchGroup !== OFPG.ANY) putPropertyU32(out, PROP.WATCH_GROUP, bucket.watchGroup);
  out.dv.setUint16(at, out.size - at);
  out.dv.setUint16(at + 2, actions.length);
  out.dv.setUint32(at + 4, bucketId);
}

function encode11(bucket: Bucket, { out, version }: BodyOut): void {
  const at = out.room(BUCKET11_SIZE);
  out.put(encodeActions(bucket.ofpacts, version));
  out.dv.setUint16(at, out.size - at);
  out.dv.setUint16(at + 2, bucket.weight);
  out.dv.setUint32(at + 4, portToOfp11(bucket.watchPort));
  out.dv.setUint32(at + 8, bucket.watchGroup);
}

/** Appends the buckets of a group of type `groupType`. */
export function encodeBuckets(buckets: readonly Bucket[], groupType: number, m: BodyOut): void {
  if (!hasBuckets15(m)) {
    for (const bucket of buckets) encode11(bucket, m);
    return;
  }
  const ids = bucketIds(buckets);
  buckets.forEach((bucket, i) => {
    encode15(bucket, ids[i] as number, groupType, m);
  });
}

const SELECTION_METHOD = 1;
const METHOD_SIZE = 16;
const METHOD_PROP_SIZE = 40;
/** Places in the property. */
const METHOD_AT = 16;
const PARAM_AT = 32;

export const NO_PROPS: GroupProps = Object.freeze({ selectionMethod: '', selectionMethodParam: 0n, fields: [] });

const badValue = (why: string): OfpError => new OfpError(OFPERR.OFPBPC_BAD_VALUE, `selection method: ${why}`);

/** Values of fields of variable length are on the wire without their leading zeros. */
function widened(value: Uint8Array, size: number): MfValue {
  const whole = new Uint8Array(size);
  const part = value.subarray(0, size);
  whole.set(part, size - part.length);
  return whole;
}

function decodeFields(bytes: Uint8Array): { field: MfField; value: MfValue }[] {
  const fields: { field: MfField; value: MfValue }[] = [];
  const fail = (name: keyof typeof OFPERR, at: number): never => {
    throw new OfpError(OFPERR[name], `selection method: field at byte ${at}`);
  };
  for (let at = 0; at < bytes.length; ) {
    const entry = readOxmEntry(bytes, at);
    const { field } = entry;
    checkOxmMask(at, entry);
    if (entry.hasMask) fail('OFPBMC_BAD_MASK', at);
    if (field === undefined) return fail('OFPBMC_BAD_FIELD', at);
    if (fields.some((f) => f.field === field)) fail('OFPBMC_DUP_FIELD', at);
    const value = widened(entry.value, field.bytes);
    if (!mfIsMaskOk(field, value)) fail('OFPBMC_BAD_MASK', at);
    fields.push({ field, value });
    at = entry.end;
  }
  return fields.sort((a, b) => a.field.id - b.field.id);
}

const MAY_SELECT: readonly number[] = [GROUP_COMMAND.ADD, GROUP_COMMAND.MODIFY, GROUP_COMMAND.ADD_OR_MOD];
const COMMANDS: readonly number[] = Object.values(GROUP_COMMAND);

function decodeSelectionMethod({ bytes, dv }: BodyIn, p: Property, groupType: number, command: number): GroupProps {
  if (groupType > GROUP_TYPE.FF) throw new OfpError(OFPERR.OFPGMFC_BAD_TYPE, `group of type ${groupType}`);
  if (groupType !== GROUP_TYPE.SELECT) throw badValue('the group is not a select group');
  if (!COMMANDS.includes(command)) throw new OfpError(OFPERR.OFPGMFC_BAD_COMMAND, `group_mod: command ${command}`);
  if (!MAY_SELECT.includes(command)) throw badValue('only for adding and modifying groups');
  if (p.size < METHOD_PROP_SIZE) throw new OfpError(OFPERR.OFPBPC_BAD_LEN, `selection method of ${p.size} bytes`);
  const methodAt = p.at + METHOD_AT;
  if (!bytes.subarray(methodAt, methodAt + METHOD_SIZE).includes(0)) throw badValue('name without end');
  const selectionMethod = getString(bytes, methodAt, METHOD_SIZE);
  if (selectionMethod !== 'hash' && selectionMethod !== 'dp_hash') throw badValue(`unknown "${selectionMethod}"`);
  const fields = bytes.subarray(p.at + METHOD_PROP_SIZE, p.at + p.size);
  if (fields.length > 0 && selectionMethod !== 'hash') throw badValue(`${selectionMethod} has no fields`);
  const selectionMethodParam = dv.getBigUint64(p.at + PARAM_AT);
  return { selectionMethod, selectionMethodParam, fields: decodeFields(fields) };
}

/** Reads the properties from `at` to `end`.  `command`: GROUP_COMMAND.ADD for a description.  Throws OfpError. */
export function decodeGroupProps(
  m: BodyIn,
  at: number,
  end: number,
  group: { readonly type: number; readonly command: number },
): GroupProps {
  let props = NO_PROPS;
  eachProperty(m.dv, at, end, (p) => {
    const isNetronome = p.vendor === VENDOR.NTR || p.vendor === VENDOR.NTR_COMPAT;
    if (isNetronome && p.type === SELECTION_METHOD) props = decodeSelectionMethod(m, p, group.type, group.command);
    else unknownProperty(p, false);
  });
  return props;
}

/** Appends the properties, if the group has any. */
export function encodeGroupProps(props: GroupProps, { out, version }: BodyOut): void {
  if (props.selectionMethod === '') return;
  const at = beginProperty(out, SELECTION_METHOD, VENDOR.NTR);
  out.u32(0);
  putString(out, props.selectionMethod, METHOD_SIZE);
  out.u64(props.selectionMethodParam);
  const bytes: number[] = [];
  for (const { field, value } of [...props.fields].sort((a, b) => a.field.id - b.field.id)) {
    let from = 0;
    if (field.isVariable) while (from < value.length && value[from] === 0) from++;
    putOxmEntry(bytes, mfHeader(field, version)?.header ?? 0n, value.subarray(from));
  }
  out.put(Uint8Array.from(bytes));
  endProperty(out, at);
}
