/**
 * Messages about groups: group_mod, statistics, descriptions, features.
 *
 * ```
 * group_mod  1.1-1.4 | command 16 | type 8 | pad 8 | group_id | buckets |
 *            1.0,1.5 | command 16 | type 8 | pad 8 | group_id | size of buckets 16 | pad 16 | command_bucket_id | buckets | properties |
 * stats      | length 16 | pad 16 | group_id | ref_count | pad 32 | packets 64 | bytes 64 | (duration, from 1.3) | packets and bytes of buckets |
 * desc       1.1-1.4 | length 16 | type 8 | pad 8 | group_id | buckets |
 *            1.0,1.5 | length 16 | type 8 | pad 8 | group_id | size of buckets 16 | pad 48 | buckets | properties |
 * ```
 * Source: OpenFlow 1.1.0 A.3.4.2, A.3.5, 1.2 A.3.5.10, 1.5.1 7.3.4.3, 7.3.5, lib/ofp-group.c.
 */
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import { OFPRAW } from '../../ofp-msgs.ts';
import { OFPP } from '../../ofp-port.ts';
import { OFPG, UNKNOWN32 } from '../flow/flow-types.ts';
import { decodeActionBits, encodeActionBits } from '../switch/action-bits.ts';
import {
  type Bucket,
  GROUP_BUCKET,
  GROUP_COMMAND,
  GROUP_TYPE,
  type GroupDesc,
  type GroupFeatures,
  type GroupMod,
  type GroupStats,
} from '../switch/switch-types.ts';
import { type BodyCodec, type BodyIn, type BodyOut, type Codecs, listCodec, NO_BODY, needBytes } from '../wire/body.ts';
import {
  decodeBuckets,
  decodeGroupProps,
  encodeBuckets,
  encodeGroupProps,
  hasBuckets15,
  NO_PROPS,
} from './group-buckets.ts';

const fail = (name: keyof typeof OFPERR, why: string): never => {
  throw new OfpError(OFPERR[name], why);
};

const isWatching = (b: Bucket): boolean => b.watchPort !== OFPP.NONE || b.watchGroup !== OFPG.ANY;

function checkCommandBucket(command: number, id: number): void {
  const { MAX, FIRST, LAST, ALL, INSERT_BUCKET, REMOVE_BUCKET } = { ...GROUP_BUCKET, ...GROUP_COMMAND };
  const isOne = id <= MAX || id === FIRST || id === LAST;
  const isOk = command === INSERT_BUCKET ? isOne : command === REMOVE_BUCKET ? isOne || id === ALL : id === ALL;
  if (!isOk) fail('OFPGMFC_BAD_BUCKET', `group_mod: command_bucket_id ${id}`);
}

/** Throws OfpError unless the parts of the message go together. */
function checkGroupMod({ type, command, buckets }: GroupMod): void {
  const { ADD, MODIFY, ADD_OR_MOD, DELETE, INSERT_BUCKET, REMOVE_BUCKET } = GROUP_COMMAND;
  if (type > GROUP_TYPE.FF) fail('OFPGMFC_BAD_TYPE', `group of type ${type}`);
  if (type === GROUP_TYPE.INDIRECT && command !== DELETE && buckets.length !== 1) {
    fail('OFPGMFC_INVALID_GROUP', `indirect group of ${buckets.length} buckets, want 1`);
  }
  const commands: readonly number[] = [ADD, MODIFY, ADD_OR_MOD, DELETE, INSERT_BUCKET, REMOVE_BUCKET];
  if (!commands.includes(command)) fail('OFPGMFC_BAD_COMMAND', `group_mod: command ${command}`);
  if (command === REMOVE_BUCKET && buckets.length > 0) fail('OFPGMFC_BAD_BUCKET', 'buckets to be removed');
  for (const bucket of buckets) {
    if (bucket.weight !== 0 && type !== GROUP_TYPE.SELECT && command !== INSERT_BUCKET) {
      fail('OFPGMFC_INVALID_GROUP', 'weight of a bucket whose group does not select');
    }
    if ((type === GROUP_TYPE.ALL || type === GROUP_TYPE.INDIRECT) && isWatching(bucket)) {
      fail('OFPGMFC_WATCH_UNSUPPORTED', 'bucket that watches in a group that does not');
    }
    if (type === GROUP_TYPE.FF && !isWatching(bucket)) {
      fail('OFPGMFC_INVALID_GROUP', 'bucket for failover that watches nothing');
    }
  }
}

function decodeGroupMod15(m: BodyIn): GroupMod {
  const { dv, at, bytes } = m;
  const head = { command: dv.getUint16(at), type: dv.getUint8(at + 2), groupId: dv.getUint32(at + 4) };
  const commandBucketId = dv.getUint32(at + 12);
  checkCommandBucket(head.command, commandBucketId);
  const bucketsAt = at + 16;
  const bucketsSize = dv.getUint16(at + 8);
  needBytes(m, bucketsAt, bucketsSize, 'group_mod: buckets');
  const end = bucketsAt + bucketsSize;
  const buckets = decodeBuckets(m, bucketsAt, end, head.type);
  return { ...head, commandBucketId, buckets, props: decodeGroupProps(m, end, bytes.length, head) };
}

function decodeGroupMod11(m: BodyIn): GroupMod {
  const { dv, at, bytes, version } = m;
  const command = dv.getUint16(at);
  const type = dv.getUint8(at + 2);
  const buckets = decodeBuckets(m, at + 8, bytes.length, type);
  if (version >= 4 && command === GROUP_COMMAND.DELETE && buckets.length > 0) {
    fail('OFPGMFC_INVALID_GROUP', 'group_mod: buckets of a group to be deleted');
  }
  const groupId = dv.getUint32(at + 4);
  return { command, type, groupId, commandBucketId: GROUP_BUCKET.ALL, buckets, props: NO_PROPS };
}

/**
 * In 1.1 to 1.4 there are no commands for single buckets: whoever tells such a switch or controller of one is to make it a MODIFY with all
 * buckets that the group has then.
 */
const groupMod: BodyCodec<GroupMod> = {
  decode(m) {
    const gm = hasBuckets15(m) ? decodeGroupMod15(m) : decodeGroupMod11(m);
    checkGroupMod(gm);
    return gm;
  },
  encode(gm, m) {
    const { out } = m;
    const is15 = hasBuckets15(m);
    const at = out.room(is15 ? 16 : 8);
    encodeBuckets(gm.buckets, gm.type, m);
    out.dv.setUint16(at, gm.command);
    out.dv.setUint8(at + 2, gm.type);
    out.dv.setUint32(at + 4, gm.groupId);
    if (!is15) return;
    out.dv.setUint16(at + 8, out.size - at - 16);
    out.dv.setUint32(at + 12, gm.commandBucketId);
    encodeGroupProps(gm.props, m);
  },
};

/** A group, or OFPG.ALL; before 1.5 requests of descriptions have no body and mean all. */
const groupRequest: BodyCodec<number> = {
  decode: ({ raw, dv, at }) => (raw.minBody === 0 ? OFPG.ALL : dv.getUint32(at)),
  encode(groupId, { raw, out }) {
    if (raw.minBody === 0) return;
    out.u32(groupId);
    out.u32(0);
  },
};

const COUNTERS_SIZE = 16;
const statsSize = (m: BodyIn | BodyOut): number => (m.raw === OFPRAW.OFPST11_GROUP_REPLY ? 32 : 40);

function decodeGroupStats(m: BodyIn, at: number, push: (stats: GroupStats) => void): number {
  const { dv } = m;
  const base = statsSize(m);
  needBytes(m, at, base, 'group statistics');
  const size = dv.getUint16(at);
  if (size < base) fail('OFPBRC_BAD_LEN', `group statistics of ${size} bytes`);
  // Bytes after the last whole bucket belong to nothing: the next entry begins there.
  const nBuckets = Math.floor((size - base) / COUNTERS_SIZE);
  needBytes(m, at + base, nBuckets * COUNTERS_SIZE, 'group statistics: buckets');
  const counters = (from: number) => ({ packetCount: dv.getBigUint64(from), byteCount: dv.getBigUint64(from + 8) });
  push({
    groupId: dv.getUint32(at + 4),
    refCount: dv.getUint32(at + 8),
    ...counters(at + 16),
    durationSec: base === 40 ? dv.getUint32(at + 32) : UNKNOWN32,
    durationNsec: base === 40 ? dv.getUint32(at + 36) : UNKNOWN32,
    buckets: Array.from({ length: nBuckets }, (_, i) => counters(at + base + i * COUNTERS_SIZE)),
  });
  return at + base + nBuckets * COUNTERS_SIZE;
}

function encodeGroupStats(stats: GroupStats, m: BodyOut): void {
  const { out } = m;
  const base = statsSize(m);
  out.u16(base + stats.buckets.length * COUNTERS_SIZE);
  out.u16(0);
  out.u32(stats.groupId);
  out.u32(stats.refCount);
  out.u32(0);
  out.u64(stats.packetCount);
  out.u64(stats.byteCount);
  if (base === 40) {
    out.u32(stats.durationSec);
    out.u32(stats.durationNsec);
  }
  for (const { packetCount, byteCount } of stats.buckets) {
    out.u64(packetCount);
    out.u64(byteCount);
  }
}

function decodeGroupDesc(m: BodyIn, at: number, push: (desc: GroupDesc) => void): number {
  const { dv } = m;
  const is15 = hasBuckets15(m);
  const base = is15 ? 16 : 8;
  needBytes(m, at, base, 'group description');
  const size = dv.getUint16(at);
  if (size < base) fail('OFPBRC_BAD_LEN', `group description of ${size} bytes`);
  needBytes(m, at, size, 'group description');
  const type = dv.getUint8(at + 2);
  const bucketsSize = is15 ? dv.getUint16(at + 8) : size - base;
  if (bucketsSize > size - base) fail('OFPBRC_BAD_LEN', `group description: ${bucketsSize} bytes of buckets`);
  const bucketsEnd = at + base + bucketsSize;
  const buckets = decodeBuckets(m, at + base, bucketsEnd, type);
  const props = is15 ? decodeGroupProps(m, bucketsEnd, at + size, { type, command: GROUP_COMMAND.ADD }) : NO_PROPS;
  push({ type, groupId: dv.getUint32(at + 4), buckets, props });
  return at + size;
}

function encodeGroupDesc(desc: GroupDesc, m: BodyOut): void {
  const { out } = m;
  const is15 = hasBuckets15(m);
  const at = out.room(is15 ? 16 : 8);
  encodeBuckets(desc.buckets, desc.type, m);
  const bucketsEnd = out.size;
  if (is15) encodeGroupProps(desc.props, m);
  out.dv.setUint16(at, out.size - at);
  out.dv.setUint8(at + 2, desc.type);
  out.dv.setUint32(at + 4, desc.groupId);
  if (is15) out.dv.setUint16(at + 8, bucketsEnd - at - 16);
}

const TYPES = [0, 1, 2, 3] as const;

const groupFeatures: BodyCodec<GroupFeatures> = {
  decode: ({ dv, at, version }) => ({
    types: dv.getUint32(at),
    capabilities: dv.getUint32(at + 4),
    maxGroups: TYPES.map((type) => dv.getUint32(at + 8 + 4 * type)),
    ofpacts: TYPES.map((type) => new Set(decodeActionBits(dv.getUint32(at + 24 + 4 * type), version))),
  }),
  encode(f, { out, version }) {
    out.u32(f.types);
    out.u32(f.capabilities);
    for (const type of TYPES) out.u32(f.maxGroups[type] ?? 0);
    for (const type of TYPES) out.u32(encodeActionBits(f.ofpacts[type] ?? [], version));
  },
};

export const GROUP_CODECS = {
  group_mod: groupMod,
  group_stats_request: groupRequest,
  group_stats_reply: listCodec(decodeGroupStats, encodeGroupStats),
  group_desc_stats_request: groupRequest,
  group_desc_stats_reply: listCodec(decodeGroupDesc, encodeGroupDesc),
  group_features_stats_request: NO_BODY,
  group_features_stats_reply: groupFeatures,
} satisfies Partial<Codecs>;
