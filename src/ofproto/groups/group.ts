/**
 * A group: buckets of actions, and what went through them.
 *
 * What a group_mod changes makes a new Group in the place of the old one; only statistics change in place.
 * `group-table.ts` has all of a switch's; `../xlate-group.ts` carries them out.
 * Source: ofproto/ofproto-provider.h (struct ofgroup), ofproto/ofproto-dpif.c (struct group_dpif).
 */
import { actionSetToList } from '../../openflow/actions/action-set.ts';
import { bindWideActions } from '../../openflow/fields/tlv-bind.ts';
import type { TlvTable } from '../../openflow/fields/tlv-table.ts';
import { OFPG } from '../../openflow/messages/flow/flow-types.ts';
import { type Bucket, GROUP_TYPE, type GroupProps } from '../../openflow/messages/switch/switch-types.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { type Selection, selectionOf } from './selection.ts';

export class GroupBucket {
  readonly spec: Bucket;
  private readonly actions: readonly Ofpact[];
  private boundTo: TlvTable | undefined;
  private bound: readonly Ofpact[] = [];
  nPackets = 0n;
  nBytes = 0n;

  constructor(spec: Bucket) {
    this.spec = spec;
    this.actions = actionSetToList(spec.ofpacts);
  }

  /** Its action set in the order in which it is carried out, with the fields of tun_metadata that a bridge has now. */
  actionsWith(table: TlvTable): readonly Ofpact[] {
    if (table !== this.boundTo) {
      this.boundTo = table;
      this.bound = bindWideActions(this.actions, table);
    }
    return this.bound;
  }

  get id(): number {
    return this.spec.bucketId;
  }
  get weight(): number {
    return this.spec.weight;
  }
  /** Whether it counts only while what it watches is alive. */
  get watches(): boolean {
    return this.spec.watchPort !== OFPP.NONE || this.spec.watchGroup !== OFPG.ANY;
  }
}

export interface GroupSpec {
  readonly groupId: number;
  /** GROUP_TYPE.* */
  readonly type: number;
  readonly buckets: readonly Bucket[];
  readonly props: GroupProps;
  /** Monotonic ms of its addition, which modifications leave as it is. */
  readonly createdMs: number;
}

export class Group {
  readonly id: number;
  readonly type: number;
  readonly buckets: readonly GroupBucket[];
  readonly props: GroupProps;
  readonly createdMs: number;
  /** How a select group chooses; undefined for other types. */
  readonly selection: Selection<GroupBucket> | undefined;
  nPackets = 0n;
  nBytes = 0n;

  constructor(spec: GroupSpec) {
    this.id = spec.groupId;
    this.type = spec.type;
    this.buckets = spec.buckets.map((b) => new GroupBucket(b));
    this.props = spec.props;
    this.createdMs = spec.createdMs;
    this.selection = spec.type === GROUP_TYPE.SELECT ? selectionOf(spec.groupId, this.buckets, spec.props) : undefined;
  }

  /** Buckets that were those of `old` go on counting where they were; the group itself counts anew. */
  continueBuckets(old: Group): void {
    const counted = new Map(old.buckets.map((b) => [b.spec, b]));
    for (const bucket of this.buckets) {
      const before = counted.get(bucket.spec);
      if (before !== undefined) creditBucket(bucket, before.nPackets, before.nBytes);
    }
  }

  /** Adds packets that went through `bucket`; undefined: through all of them. */
  credit(bucket: GroupBucket | undefined, nPackets: bigint, nBytes: bigint): void {
    this.nPackets += nPackets;
    this.nBytes += nBytes;
    if (bucket !== undefined) creditBucket(bucket, nPackets, nBytes);
    else for (const b of this.buckets) creditBucket(b, nPackets, nBytes);
  }
}

function creditBucket(bucket: GroupBucket, nPackets: bigint, nBytes: bigint): void {
  bucket.nPackets += nPackets;
  bucket.nBytes += nBytes;
}
