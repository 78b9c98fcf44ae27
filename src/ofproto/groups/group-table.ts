/**
 * The groups of a switch, and how group_mods change them: in the transactions of the flow tables, so that a bundle's flows and groups
 * change together.  Look-ups see the changes of a transaction from its commit on.
 *
 * Groups may lead to each other, in circles too, and to groups that are not there: translation copes (`xlate/actions/xlate-group.ts`).
 * Source: ofproto/ofproto.c (ofproto_group_mod_start, add_group_start, modify_group_start, delete_groups_start).
 */
import { OFPG } from '../../openflow/messages/flow/flow-types.ts';
import {
  type Bucket,
  GROUP_COMMAND,
  GROUP_TYPE,
  type GroupDesc,
  type GroupMod,
  type GroupStats,
} from '../../openflow/messages/switch/switch-types.ts';
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { monotonicMs } from '../../util/clock.ts';
import type { FlowTables } from '../tables/flow-tables.ts';
import type { FlowTransaction } from '../tables/flow-transaction.ts';
import { someAction } from '../tables/rule.ts';
import { OFPRR } from '../tables/rule-change.ts';
import { insertBuckets, removeBuckets } from './bucket-list.ts';
import { Group } from './group.ts';

/** What a group_mod did, for those who are told of it. */
export interface GroupModResult {
  /** The group as it is now; undefined if it was deleted. */
  readonly group: Group | undefined;
  /** Whether there was one before. */
  readonly existed: boolean;
}

export interface GroupTableOptions {
  /** Is called after each commit that changed a group. */
  readonly onChange: () => void;
  /** How many groups of each type there may be; OFPG_MAX of each if undefined. */
  readonly maxOfType?: number | undefined;
}

export class GroupTable {
  /** Groups of each type at most. */
  readonly maxOfType: number;
  private readonly tables: FlowTables;
  private readonly onChange: () => void;
  private readonly byId = new Map<number, Group>();
  /** What the transaction under way has made of groups; undefined: deleted. */
  private pending = new Map<number, Group | undefined>();
  private transaction: FlowTransaction | undefined;

  /** `tables` are the switch's, whose transactions this takes part in. */
  constructor(tables: FlowTables, { onChange, maxOfType = OFPG.MAX }: GroupTableOptions) {
    this.tables = tables;
    this.onChange = onChange;
    this.maxOfType = maxOfType;
  }

  /** The group as look-ups of `version` see it: that of a transaction under way sees its changes. */
  find(id: number, version = this.tables.version): Group | undefined {
    const { transaction } = this;
    return transaction !== undefined && version >= transaction.version ? this.newest(id) : this.byId.get(id);
  }

  /** The group with the changes of the transaction under way, if any. */
  newest(id: number): Group | undefined {
    return this.pending.has(id) ? this.pending.get(id) : this.byId.get(id);
  }

  /** By rising id, with the changes of the transaction under way. */
  all(): Group[] {
    const ids = new Set([...this.byId.keys(), ...this.pending.keys()]);
    return [...ids].sort((a, b) => a - b).flatMap((id) => this.newest(id) ?? []);
  }

  /** Throws OFPBAC_BAD_OUT_GROUP if actions send to a group that is not there. */
  checkActions(actions: readonly Ofpact[]): void {
    someAction(actions, (a) => {
      if (a.kind === 'group' && this.newest(a.groupId) === undefined) {
        throw new OfpError(OFPERR.OFPBAC_BAD_OUT_GROUP, `group ${a.groupId}`);
      }
      return false;
    });
  }

  /** Carries out one group_mod, or leaves all as it was and throws the OfpError. */
  apply(gm: GroupMod): GroupModResult {
    const tx = this.tables.begin();
    let result: GroupModResult;
    try {
      result = this.applyIn(tx, gm);
    } catch (e) {
      tx.revert();
      throw e;
    }
    tx.commit();
    return result;
  }

  /** Deletes all of them, and the flows that send to them. */
  deleteAll(): void {
    if (this.byId.size === 0) return;
    const tx = this.tables.begin();
    this.join(tx);
    for (const group of this.all()) this.delete(tx, group);
    tx.commit();
  }

  /** Carries out a group_mod as part of a transaction, which an OfpError has to revert. */
  applyIn(tx: FlowTransaction, gm: GroupMod): GroupModResult {
    this.join(tx);
    const old = this.newest(gm.groupId);
    const done = (group: Group): GroupModResult => ({ group, existed: old !== undefined });
    switch (gm.command) {
      case GROUP_COMMAND.ADD:
        return done(this.add(gm, old));
      case GROUP_COMMAND.MODIFY:
        return done(this.modify(gm, old, gm.buckets));
      case GROUP_COMMAND.ADD_OR_MOD:
        return done(old === undefined ? this.add(gm, old) : this.modify(gm, old, gm.buckets));
      case GROUP_COMMAND.INSERT_BUCKET:
        return done(this.modifyBuckets(gm, old, (b) => insertBuckets(b, gm.buckets, gm.commandBucketId)));
      case GROUP_COMMAND.REMOVE_BUCKET:
        return done(this.modifyBuckets(gm, old, (b) => removeBuckets(b, gm.commandBucketId)));
      case GROUP_COMMAND.DELETE: {
        const gone = gm.groupId === OFPG.ALL ? this.all() : old === undefined ? [] : [old];
        for (const group of gone) this.delete(tx, group);
        return { group: undefined, existed: gone.length > 0 };
      }
      default:
        throw new OfpError(OFPERR.OFPGMFC_BAD_COMMAND, `group_mod: command ${gm.command}`);
    }
  }

  private add(gm: GroupMod, old: Group | undefined): Group {
    if (old !== undefined) throw new OfpError(OFPERR.OFPGMFC_GROUP_EXISTS, `group ${gm.groupId}`);
    this.checkRoom(gm.type);
    return this.put(gm, gm.buckets, monotonicMs());
  }

  private modify(gm: GroupDesc, old: Group | undefined, buckets: readonly Bucket[]): Group {
    if (old === undefined) throw new OfpError(OFPERR.OFPGMFC_UNKNOWN_GROUP, `group ${gm.groupId}`);
    if (gm.type !== old.type) this.checkRoom(gm.type);
    return this.put(gm, buckets, old.createdMs);
  }

  /** Type and properties stay as they are. */
  private modifyBuckets(gm: GroupMod, old: Group | undefined, change: (old: Bucket[]) => Bucket[]): Group {
    if (old === undefined) throw new OfpError(OFPERR.OFPGMFC_UNKNOWN_GROUP, `group ${gm.groupId}`);
    const { id: groupId, type, props } = old;
    const desc = { groupId, type, props, buckets: [] };
    const group = this.modify(desc, old, change(old.buckets.map((b) => b.spec)));
    group.continueBuckets(old);
    return group;
  }

  private put({ groupId, type, props }: GroupDesc, buckets: readonly Bucket[], createdMs: number): Group {
    if (groupId > OFPG.MAX) throw new OfpError(OFPERR.OFPGMFC_INVALID_GROUP, `group ${groupId}`);
    if (type > GROUP_TYPE.FF) throw new OfpError(OFPERR.OFPGMFC_BAD_TYPE, `group type ${type}`);
    const group = new Group({ groupId, type, buckets, props, createdMs });
    this.pending.set(groupId, group);
    return group;
  }

  private delete(tx: FlowTransaction, group: Group): void {
    for (const rule of [...this.tables.uses.ofGroup(group.id)]) tx.remove(rule, OFPRR.GROUP_DELETE);
    this.pending.set(group.id, undefined);
  }

  private checkRoom(type: number): void {
    // Almost always there is room for any number that fits into the memory.
    if (this.maxOfType >= OFPG.MAX) return;
    const n = this.all().filter((g) => g.type === type).length;
    if (n >= this.maxOfType) throw new OfpError(OFPERR.OFPGMFC_OUT_OF_GROUPS, `groups of type ${type}`);
  }

  private join(tx: FlowTransaction): void {
    if (this.transaction === tx) return;
    this.transaction = tx;
    tx.join({
      commit: () => this.commit(),
      revert: () => this.forget(),
    });
  }

  private commit(): void {
    const { pending } = this;
    this.forget();
    for (const [id, group] of pending) {
      if (group === undefined) this.byId.delete(id);
      else this.byId.set(id, group);
    }
    if (pending.size > 0) this.onChange();
  }

  private forget(): void {
    this.pending = new Map();
    this.transaction = undefined;
  }

  /** What a group does, for group_desc. */
  static desc({ id: groupId, type, buckets, props }: Group): GroupDesc {
    return { groupId, type, props, buckets: buckets.map((b) => b.spec) };
  }

  /** What went through a group, and how many actions of rules send to it. */
  stats({ id: groupId, createdMs, nPackets, nBytes, buckets }: Group): GroupStats {
    const ageMs = Math.max(0, monotonicMs() - createdMs);
    let refCount = 0;
    const count = (a: Ofpact): boolean => {
      if (a.kind === 'group' && a.groupId === groupId) refCount++;
      return false;
    };
    for (const rule of this.tables.uses.ofGroup(groupId)) someAction(rule.actions, count);
    return {
      groupId,
      refCount,
      packetCount: nPackets,
      byteCount: nBytes,
      durationSec: Math.floor(ageMs / 1000),
      durationNsec: Math.floor(ageMs % 1000) * 1_000_000,
      buckets: buckets.map((b) => ({ packetCount: b.nPackets, byteCount: b.nBytes })),
    };
  }
}
