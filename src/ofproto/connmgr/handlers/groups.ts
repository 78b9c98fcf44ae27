/**
 * Changes of groups, and what is told of them.
 * Source: ofproto/ofproto.c (handle_group_mod, handle_group_request), lib/ofp-group.c (ofputil_encode_group_mod).
 */

import { OFPG, UNKNOWN32 } from '../../../openflow/messages/flow/flow-types.ts';
import { decodeActionBits } from '../../../openflow/messages/switch/action-bits.ts';
import { GROUP_COMMAND, type GroupFeatures, type GroupMod } from '../../../openflow/messages/switch/switch-types.ts';
import type { OfVersion } from '../../../openflow/ofp-errors.ts';
import type { OfpactKind } from '../../../openflow/ofpact.ts';
import type { Group } from '../../groups/group.ts';
import { type GroupModResult, GroupTable } from '../../groups/group-table.ts';
import type { Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';
import type { OfConn } from '../ofconn.ts';

/** OFPRFR_GROUP_MOD. */
const REASON_GROUP_MOD = 0;
/** OFPGFC_*: weights, liveness, groups that lead to groups. */
const CAPABILITIES = 1 | 2 | 4;
const N_TYPES = 4;
const VERSIONS: readonly OfVersion[] = [1, 2, 3];

const EVERY_KIND: ReadonlySet<OfpactKind> = new Set(VERSIONS.flatMap((v) => decodeActionBits(UNKNOWN32, v)));

const featuresOf = (groups: GroupTable): GroupFeatures => ({
  types: (1 << N_TYPES) - 1,
  capabilities: CAPABILITIES,
  maxGroups: new Array<number>(N_TYPES).fill(groups.maxOfType),
  ofpacts: new Array<ReadonlySet<OfpactKind>>(N_TYPES).fill(EVERY_KIND),
});

/** A group_mod in the words of a version that may lack its command. */
export function groupModFor(version: number, gm: GroupMod, { group, existed }: GroupModResult): GroupMod {
  const { ADD, MODIFY, ADD_OR_MOD, INSERT_BUCKET, REMOVE_BUCKET } = GROUP_COMMAND;
  if (gm.command === ADD_OR_MOD) return { ...gm, command: existed ? MODIFY : ADD };
  const isOfBuckets = gm.command === INSERT_BUCKET || gm.command === REMOVE_BUCKET;
  const has15 = version === 1 || version >= 6;
  if (!isOfBuckets || has15 || group === undefined) return gm;
  return { ...gm, command: MODIFY, type: group.type, buckets: group.buckets.map((b) => b.spec) };
}

/** Tells other controllers of a group_mod that `source` has had carried out. */
export function forwardGroupMod(sw: OfSwitch, source: OfConn, xid: number, gm: GroupMod, result: GroupModResult): void {
  for (const conn of sw.conns) {
    if (conn === source || !conn.wants('requestForward', REASON_GROUP_MOD)) continue;
    conn.send('requestforward', { reason: 'group_mod', xid, groupMod: groupModFor(conn.version, gm, result) });
  }
}

/** The groups that a request is about: one that is not there is none. */
function select(sw: OfSwitch, id: number): Group[] {
  if (id === OFPG.ALL) return sw.groups.all();
  const group = sw.groups.newest(id);
  return group === undefined ? [] : [group];
}

export const GROUP_HANDLERS = {
  group_mod: (conn, msg, sw) => {
    const result = sw.groups.apply(msg.body);
    forwardGroupMod(sw, conn, msg.xid, msg.body, result);
  },
  group_stats_request: (conn, msg, sw) => {
    conn.replyList(
      'group_stats_reply',
      select(sw, msg.body).map((group) => sw.groups.stats(group)),
      msg,
    );
  },
  group_desc_stats_request: (conn, msg, sw) => {
    conn.replyList(
      'group_desc_stats_reply',
      select(sw, msg.body).map((group) => GroupTable.desc(group)),
      msg,
    );
  },
  group_features_stats_request: (conn, msg, sw) => {
    conn.reply('group_features_stats_reply', featuresOf(sw.groups), msg);
  },
} satisfies Handlers;
