/** Groups as tests write them. */
import { OFPG } from '../../../src/openflow/messages/flow/flow-types.ts';
import {
  type Bucket,
  GROUP_BUCKET,
  GROUP_COMMAND,
  GROUP_TYPE,
  type GroupMod,
} from '../../../src/openflow/messages/switch/switch-types.ts';
import { OFPP } from '../../../src/openflow/ofp-port.ts';
import type { Ofpact } from '../../../src/openflow/ofpact.ts';

export const bucket = (bucketId: number, ofpacts: readonly Ofpact[], more: Partial<Bucket> = {}): Bucket => ({
  bucketId,
  weight: 1,
  watchPort: OFPP.NONE,
  watchGroup: OFPG.ANY,
  ofpacts,
  ...more,
});

export const groupMod = (
  command: keyof typeof GROUP_COMMAND,
  groupId: number,
  type: keyof typeof GROUP_TYPE,
  buckets: readonly Bucket[] = [],
  more: Partial<GroupMod> = {},
): GroupMod => ({
  command: GROUP_COMMAND[command],
  groupId,
  type: GROUP_TYPE[type],
  buckets,
  commandBucketId: GROUP_BUCKET.ALL,
  props: { selectionMethod: '', selectionMethodParam: 0n, fields: [] },
  ...more,
});
