/**
 * The action group: which buckets a packet goes through, and what they do, each to a copy.
 *
 *     all, indirect   every bucket
 *     select          one, by a hash (`groups/selection.ts`); with dp_hash the packet is recirculated, for the datapath to hash it
 *     ff              the first that is alive
 *
 * Only what decided is matched: a bucket's liveness is not of the packet, and a change of it has flows revalidated.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_group_action, xlate_group_bucket, pick_*_select_group, bucket_is_alive).
 */
import { FIELD } from '../../../flow/fields.ts';
import { getField, setField } from '../../../flow/flow-key.ts';
import { hash2Words, hashBoolean, hashBytes, hashUint64 } from '../../../flow/hash.ts';
import { hashSymmetricL4, unwildcardHashFields } from '../../../flow/hash-fields.ts';
import { OVS_HASH_ALG } from '../../../odp/action-attrs.ts';
import { mfPrereqsOk } from '../../../openflow/fields/mf-prereqs.ts';
import { mfGet, mfMaskBits } from '../../../openflow/fields/mf-value.ts';
import { TlvTable } from '../../../openflow/fields/tlv-table.ts';
import { OFPG } from '../../../openflow/messages/flow/flow-types.ts';
import { GROUP_TYPE } from '../../../openflow/messages/switch/switch-types.ts';
import { formatPort } from '../../../openflow/ofp-names.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import type { Group, GroupBucket } from '../../groups/group.ts';
import type { HashField, Selection } from '../../groups/selection.ts';
import { OFT } from '../trace/xlate-trace.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { XLATE_ERROR } from '../xlate-error.ts';
import { finishFreezing, triggerFreeze } from '../xlate-freeze.ts';
import { reportError } from '../xlate-report.ts';
import type { Runner } from './xlate-clone.ts';
import { isPortAlive } from './xlate-hash.ts';

/** Groups that watch groups may go this deep. */
const MAX_LIVENESS_DEPTH = 128;

/** Whether a packet can be sent through `bucket` with any use. */
function isBucketAlive(ctx: XlateCtx, group: Group, bucket: GroupBucket, depth: number): boolean {
  if (depth >= MAX_LIVENESS_DEPTH) {
    reportError(ctx, `bucket chaining exceeded ${MAX_LIVENESS_DEPTH} links`);
    return false;
  }
  if (group.type === GROUP_TYPE.SELECT && bucket.weight === 0) return false;
  if (!bucket.watches) return true;
  const { watchPort, watchGroup } = bucket.spec;
  if (watchPort === OFPP.CONTROLLER) {
    if (ctx.bridge.isControlled?.() === true) return true;
  } else if (watchPort !== OFPP.NONE && isPortAlive(ctx, watchPort)) return true;
  if (watchGroup === OFPG.ANY) return false;
  const watched = ctx.bridge.group?.(watchGroup);
  return watched !== undefined && firstAlive(ctx, watched, depth + 1) !== undefined;
}

function reportDead(ctx: XlateCtx, bucket: GroupBucket): void {
  if (ctx.trace === undefined) return;
  const { watchPort, watchGroup } = bucket.spec;
  const watched: string[] = [];
  if (watchPort !== OFPP.NONE) watched.push(`port ${formatPort(watchPort)}`);
  // A group is called a port as well: that is how Open vSwitch prints it.
  if (watchGroup !== OFPG.ANY) watched.push(`port ${watchGroup}`);
  ctx.trace.detail(`bucket ${bucket.id}: not live due to ${watched.join(' and ')}`);
}

function firstAlive(ctx: XlateCtx, group: Group, depth: number): GroupBucket | undefined {
  for (const bucket of group.buckets) {
    if (isBucketAlive(ctx, group, bucket, depth)) return bucket;
    reportDead(ctx, bucket);
  }
  return undefined;
}

/** The bucket alive whose own hash, times its weight, is highest; of equals the last. */
function bestAlive(ctx: XlateCtx, group: Group, basis: number): GroupBucket | undefined {
  let best: GroupBucket | undefined;
  let bestScore = 0;
  for (const bucket of group.buckets) {
    if (!isBucketAlive(ctx, group, bucket, 0)) {
      reportDead(ctx, bucket);
      continue;
    }
    const score = Math.imul(hash2Words(bucket.id, basis) & 0xffff, bucket.weight) >>> 0;
    if (score >= bestScore) [best, bestScore] = [bucket, score];
    ctx.trace?.detail(`bucket ${bucket.id}: score ${score}`);
  }
  return best;
}

/** Hash of the fields that a controller chose, as far as the packet has them. */
function hashOfFields(ctx: XlateCtx, fields: readonly HashField[], param: bigint): number {
  const { flow, wc } = ctx;
  let hash = hashUint64(param);
  for (const { field, mask } of fields) {
    if (!mfPrereqsOk(field, flow, undefined, wc)) continue;
    const value = mfGet(field, flow);
    // What is in an option of a tunnel is hashed, and then whether there is anything.
    const isSet = value.some((b) => b !== 0);
    hash = hashBytes(
      value.map((b, i) => b & (mask[i] as number)),
      hash,
    );
    if (field.special === 'tun-metadata') hash = hashBoolean(isSet, hash);
    mfMaskBits(field, mask, wc);
  }
  return hash;
}

function pickByDpHash(
  ctx: XlateCtx,
  group: Group,
  how: Extract<Selection<GroupBucket>, { method: 'dp_hash' }>,
): GroupBucket | undefined {
  // Hashes of datapaths are never 0: 0 says that there is none yet.
  const hash = getField(ctx.flow, FIELD.dpHash);
  if (hash === 0) {
    const isKnown = how.algorithm <= ctx.support.maxHashAlg;
    ctx.freezeHash = { algorithm: isKnown ? how.algorithm : OVS_HASH_ALG.L4, basis: how.basis };
    triggerFreeze(ctx);
    return undefined;
  }
  const { table } = how;
  const mask = table.length - 1;
  setField(ctx.wc, FIELD.dpHash, getField(ctx.wc, FIELD.dpHash) | mask);
  // The values of a bucket lie scattered, so that those of a dead one are shared by all others.
  for (let i = 0; i <= mask; i++) {
    const bucket = table[(hash + i) & mask] as GroupBucket;
    if (isBucketAlive(ctx, group, bucket, 0)) return bucket;
  }
  return undefined;
}

function pickSelect(ctx: XlateCtx, group: Group): GroupBucket | undefined {
  const { selection } = group;
  if (ctx.wasMpls) {
    // What is hashed is behind the label.
    triggerFreeze(ctx);
    return undefined;
  }
  switch (selection?.method) {
    case 'dp_hash':
      return pickByDpHash(ctx, group, selection);
    case 'hash':
      return bestAlive(ctx, group, hashOfFields(ctx, selection.fields, selection.param));
    default:
      unwildcardHashFields(ctx.flow, ctx.wc, 'symmetric_l4');
      return bestAlive(ctx, group, hashSymmetricL4(ctx.flow, 0));
  }
}

const NO_OPTIONS = new TlvTable();

/** Carries out a bucket's actions on a copy of the packet. */
function runBucket(ctx: XlateCtx, bucket: GroupBucket, isLast: boolean, runner: Runner): void {
  const { wasMpls, inBucket } = ctx;
  const up = ctx.trace?.enter(OFT.BUCKET, `bucket ${bucket.id}`);
  const flow = ctx.flow.slice();
  ctx.inBucket = true;
  ctx.depth++;
  runner.list(bucket.actionsWith(ctx.bridge.tlvTable ?? NO_OPTIONS), ctx, isLast);
  ctx.depth--;
  ctx.inBucket = inBucket;
  if (ctx.freezing && ctx.error === XLATE_ERROR.OK) finishFreezing(ctx);
  ctx.flow.set(flow);
  ctx.wasMpls = wasMpls;
  // What ended the bucket does not end what follows the group; nor does a packet that it could not handle.
  ctx.exit = false;
  if (ctx.error === XLATE_ERROR.TOO_MANY_MPLS_LABELS || ctx.error === XLATE_ERROR.UNSUPPORTED_PACKET_TYPE) {
    ctx.error = XLATE_ERROR.OK;
  }
  ctx.trace?.leave(up);
}

/** Credits the group with the packets of this translation, now and whenever the cache is replayed. */
function credit(ctx: XlateCtx, group: Group, bucket: GroupBucket | undefined): void {
  if (ctx.stats !== undefined) group.credit(bucket, ctx.stats.nPackets, ctx.stats.nBytes);
  ctx.cache?.addGroup(group, bucket);
}

/**
 * Sends the packet through group `id`; the caller has seen to it that translation may go deeper.
 * False if there is no such group: the list of actions ends there.
 */
export function xlateGroup(ctx: XlateCtx, id: number, isLast: boolean, runner: Runner): boolean {
  const group = ctx.bridge.group?.(id);
  if (group === undefined) {
    ctx.trace?.warn(`output to nonexistent group ${id}`);
    return false;
  }
  if (group.type === GROUP_TYPE.ALL || group.type === GROUP_TYPE.INDIRECT) {
    for (const [i, bucket] of group.buckets.entries()) {
      runBucket(ctx, bucket, isLast && i === group.buckets.length - 1, runner);
    }
    credit(ctx, group, undefined);
    return true;
  }
  const bucket = group.type === GROUP_TYPE.SELECT ? pickSelect(ctx, group) : firstAlive(ctx, group, 0);
  if (bucket === undefined) {
    ctx.trace?.detail('no live bucket');
    return true;
  }
  ctx.trace?.detail(`using bucket ${bucket.id}`);
  runBucket(ctx, bucket, isLast, runner);
  credit(ctx, group, bucket);
  return true;
}
