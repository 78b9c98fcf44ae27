/** Messages about groups: there and back, errors, and against stock ovs-ofctl. */
import { describe, expect, test } from 'vitest';
import { parseActions } from '../../../src/openflow/actions/index.ts';
import { mfByName } from '../../../src/openflow/fields/mf-fields.ts';
import type { OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import { encodeMessage } from '../../../src/openflow/messages/codec.ts';
import { OFPG, UNKNOWN32 } from '../../../src/openflow/messages/flow/flow-types.ts';
import {
  type Bucket,
  GROUP_BUCKET,
  GROUP_COMMAND,
  GROUP_TYPE,
  type GroupMod,
} from '../../../src/openflow/messages/switch/switch-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPP } from '../../../src/openflow/ofp-port.ts';
import { again, bodyAgain } from './again.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint, toHex } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 2;
const field = (name: string) => mfByName(name) as NonNullable<ReturnType<typeof mfByName>>;

const bucket = (n: number, more: Partial<Bucket> = {}): Bucket => ({
  weight: 0,
  watchPort: OFPP.NONE,
  watchGroup: OFPG.ANY,
  bucketId: n,
  ofpacts: parseActions(`output:${n + 1}`).actions,
  ...more,
});
const props = { selectionMethod: '', selectionMethodParam: 0n, fields: [] };
const all: GroupMod = {
  command: GROUP_COMMAND.ADD,
  commandBucketId: GROUP_BUCKET.ALL,
  type: GROUP_TYPE.ALL,
  groupId: 7,
  buckets: [bucket(0), bucket(1)],
  props,
};
const hashed = {
  selectionMethod: 'hash',
  selectionMethodParam: 7n,
  fields: [
    { field: field('ip_dst'), value: fromHex('ffffff00') },
    { field: field('nw_proto'), value: fromHex('ff') },
  ],
};
const groupMod = (version: OfVersion, body: GroupMod): OfMessageOut<'group_mod'> => ({
  kind: 'group_mod',
  version,
  xid,
  body,
});
/** The error that a group_mod ends in, made of what would be right. */
const errorOf = (version: OfVersion, change: Partial<GroupMod>): string | undefined =>
  decodeError(encodeMessage(groupMod(version, { ...all, ...change })));

describe('group_mod', () => {
  test.each(VERSIONS)('commands and types, version %i', (version) => {
    for (const command of [GROUP_COMMAND.ADD, GROUP_COMMAND.MODIFY, GROUP_COMMAND.ADD_OR_MOD]) {
      const bytes = roundTrip(groupMod(version, { ...all, command }));
      if (hasOfctl)
        expect(stockPrint(bytes)).toMatch(/(ADD|MOD|ADD_OR_MOD) group_id=7,type=all,bucket=.*actions=output:2/);
    }
    const select = [bucket(0, { weight: 100, watchPort: 1 }), bucket(1, { weight: 1, watchGroup: 9 })];
    roundTrip(groupMod(version, { ...all, type: GROUP_TYPE.SELECT, buckets: select }));
    roundTrip(groupMod(version, { ...all, type: GROUP_TYPE.FF, buckets: [bucket(0, { watchPort: 3 })] }));
    roundTrip(groupMod(version, { ...all, type: GROUP_TYPE.INDIRECT, buckets: [bucket(0)] }));
    const deleted = { ...all, command: GROUP_COMMAND.DELETE, groupId: OFPG.ALL, buckets: [] };
    const bytes = roundTrip(groupMod(version, deleted));
    if (hasOfctl) expect(stockPrint(bytes)).toContain('DEL group_id=4294967292,type=all');
  });

  test.each([1, 6] as const)('single buckets, version %i', (version) => {
    const insert = { ...all, command: GROUP_COMMAND.INSERT_BUCKET, commandBucketId: GROUP_BUCKET.FIRST };
    let bytes = roundTrip(groupMod(version, { ...insert, buckets: [bucket(5, { weight: 3 })] }));
    if (hasOfctl) {
      expect(stockPrint(bytes)).toContain(
        'INSERT_BUCKET command_bucket_id:first,group_id=7,bucket=bucket_id:5,weight:3,actions=output:6',
      );
    }
    bytes = roundTrip(
      groupMod(version, { ...all, command: GROUP_COMMAND.REMOVE_BUCKET, commandBucketId: 4, buckets: [] }),
    );
    if (hasOfctl) expect(stockPrint(bytes)).toContain('REMOVE_BUCKET command_bucket_id:4,group_id=7');
  });

  test.each([1, 6] as const)('how a group selects, version %i', (version) => {
    const bytes = roundTrip(groupMod(version, { ...all, type: GROUP_TYPE.SELECT, props: hashed }));
    if (hasOfctl) {
      expect(stockPrint(bytes)).toContain(
        'selection_method=hash,selection_method_param=7,fields(ip_dst=255.255.255.0,nw_proto),bucket=bucket_id:0',
      );
    }
    const dpHash = { selectionMethod: 'dp_hash', selectionMethodParam: 0n, fields: [] };
    roundTrip(groupMod(version, { ...all, type: GROUP_TYPE.SELECT, props: dpHash }));
  });

  test('buckets without ids get ids', () => {
    const none = bucket(0, { bucketId: GROUP_BUCKET.ALL });
    const hex = toHex(encodeMessage(groupMod(6, { ...all, buckets: [none, bucket(0), none] })));
    const body = bodyAgain('group_mod', hex);
    expect(body.buckets.map((b) => b.bucketId)).toEqual([1, 0, 2]);
  });

  test('messages of others', () => {
    const buckets = `
      0020 0008 00000000  0000 0008 0001 0000  0000 0008 0064 0000  0001 0008 00000001
      0020 0008 00000001  0000 0008 0002 0000  0000 0008 00c8 0000  0001 0008 00000002
      0020 0008 00000002  0000 0008 0003 0000  0000 0008 00c8 0000  0001 0008 00000003`;
    const method = 'ffff0028 00001540 00000001 00000000 68617368000000000000000000000000 0000000000000007';
    const body = bodyAgain(
      'group_mod',
      `010400a8 00000002 00002320 0000001f 0000 01 00 87654321 0060 0000 ffffffff ${buckets} ${method}`,
    );
    expect(body).toMatchObject({ groupId: 0x87654321, type: GROUP_TYPE.SELECT, command: GROUP_COMMAND.ADD });
    expect(body.buckets.map((b) => [b.weight, b.watchPort, b.bucketId])).toEqual([
      [100, 1, 0],
      [200, 2, 1],
      [200, 3, 2],
    ]);
    expect(body.props).toEqual({ selectionMethod: 'hash', selectionMethodParam: 7n, fields: [] });
    again(`020f0070 11223344 0000 01 00 87654321
      0020 0064 00000001 ffffffff 00000000 0000 0010 00000001 0000 000000000000
      0020 00c8 00000002 ffffffff 00000000 0000 0010 00000002 0000 000000000000
      0020 00c8 00000003 ffffffff 00000000 0000 0010 00000003 0000 000000000000`);
    again(`060f0090 11223344 0003 01 00 87654321 0078 0000 fffffffd
      0028 0010 00000000 0000001000000001 0000000000000000 0000000800640000 0001000800000001
      0028 0010 00000001 0000001000000002 0000000000000000 0000000800c80000 0001000800000002
      0028 0010 00000002 0000001000000003 0000000000000000 0000000800c80000 0001000800000003`);
  });

  test('what does not go together', () => {
    const watching = [bucket(0, { watchPort: 1 })];
    for (const version of VERSIONS) {
      expect(errorOf(version, { type: GROUP_TYPE.INDIRECT })).toBe('OFPGMFC_INVALID_GROUP');
      expect(errorOf(version, { type: 4 })).toBe('OFPGMFC_BAD_TYPE');
      expect(errorOf(version, { command: 9 })).toBe('OFPGMFC_BAD_COMMAND');
      expect(errorOf(version, { buckets: [bucket(0, { weight: 1 })] })).toBe('OFPGMFC_INVALID_GROUP');
      expect(errorOf(version, { buckets: watching })).toBe('OFPGMFC_WATCH_UNSUPPORTED');
      expect(errorOf(version, { type: GROUP_TYPE.FF })).toBe('OFPGMFC_INVALID_GROUP');
      const deletes = errorOf(version, { command: GROUP_COMMAND.DELETE });
      expect(deletes).toBe(version === 4 || version === 5 ? 'OFPGMFC_INVALID_GROUP' : undefined);
    }
    for (const version of [1, 6] as const) {
      expect(errorOf(version, { commandBucketId: 0 })).toBe('OFPGMFC_BAD_BUCKET');
      expect(errorOf(version, { command: GROUP_COMMAND.INSERT_BUCKET })).toBe('OFPGMFC_BAD_BUCKET');
      expect(errorOf(version, { command: GROUP_COMMAND.REMOVE_BUCKET })).toBe('OFPGMFC_BAD_BUCKET');
      expect(errorOf(version, { buckets: [bucket(1), bucket(1)] })).toBe('OFPGMFC_BAD_BUCKET');
      expect(errorOf(version, { props: hashed })).toBe('OFPBPC_BAD_VALUE');
      const select = { type: GROUP_TYPE.SELECT, buckets: [] };
      const unknown = { ...hashed, selectionMethod: 'other' };
      expect(errorOf(version, { ...select, props: unknown })).toBe('OFPBPC_BAD_VALUE');
      expect(errorOf(version, { ...select, props: { ...hashed, selectionMethod: 'dp_hash' } })).toBe(
        'OFPBPC_BAD_VALUE',
      );
      const twice = { ...hashed, fields: [...hashed.fields, ...hashed.fields] };
      expect(errorOf(version, { ...select, props: twice })).toBe('OFPBMC_DUP_FIELD');
      const half = { ...hashed, fields: [{ field: field('nw_proto'), value: fromHex('0f') }] };
      expect(errorOf(version, { ...select, props: half })).toBe('OFPBMC_BAD_MASK');
    }
  });

  test('lengths', () => {
    // Of a bucket: too short, beyond the message; a rest that is none; actions beyond their bucket; a port out of range.
    const of13 = '040f00HH 00000001 0000 00 00 00000001';
    const cases: readonly (readonly [string, string])[] = [
      [`${of13.replace('HH', '20')} 0008 0000 ffffffff ffffffff 00000000`, 'OFPGMFC_BAD_BUCKET'],
      [`${of13.replace('HH', '20')} 0018 0000 ffffffff ffffffff 00000000`, 'OFPGMFC_BAD_BUCKET'],
      [`${of13.replace('HH', '18')} 0008 0000 ffffffff`, 'OFPGMFC_BAD_BUCKET'],
      [`${of13.replace('HH', '20')} 0010 0000 00010000 ffffffff 00000000`, 'OFPGMFC_BAD_WATCH'],
      ['060f0020 00000001 0000 00 00 00000001 0008 0000 ffffffff 0008 0008 00000000', 'OFPGMFC_BAD_BUCKET'],
      ['060f0020 00000001 0000 00 00 00000001 0010 0000 ffffffff 0008 0000 00000000', 'OFPBRC_BAD_LEN'],
      ['060f0020 00000001 0000 00 00 00000001 0008 0000 ffffffff 0008 0000 ffffff01', 'OFPGMFC_BAD_BUCKET'],
      [
        '060f0028 00000001 0000 00 00 00000001 0010 0000 ffffffff 0010 0000 00000000 0009 0008 00000000',
        'OFPBPC_BAD_TYPE',
      ],
      [
        '060f0028 00000001 0000 00 00 00000001 0010 0000 ffffffff 0010 0000 00000000 0001 0006 00000000',
        'OFPBPC_BAD_LEN',
      ],
    ];
    for (const [hex, want] of cases) {
      expect(decodeError(fromHex(hex)), hex).toBe(want);
      if (hasOfctl) expect(stockPrint(fromHex(hex)), hex).toContain(want);
    }
  });
});

describe('statistics of groups', () => {
  test.each(VERSIONS)('version %i', (version) => {
    const hasDuration = version !== 2 && version !== 3;
    const duration = hasDuration
      ? { durationSec: 18, durationNsec: 500_000_000 }
      : { durationSec: UNKNOWN32, durationNsec: UNKNOWN32 };
    const counters = { packetCount: 0x8888n, byteCount: 0x777777n };
    const first = { groupId: 5, refCount: 4, ...counters, ...duration, buckets: [counters, counters] };
    const bytes = roundTrip({
      kind: 'group_stats_reply',
      version,
      xid,
      body: [first, { ...first, groupId: 6, buckets: [] }],
    });
    if (hasOfctl) {
      const text = stockPrint(bytes);
      expect(text).toContain(`group_id=5,${hasDuration ? 'duration=18.500s,' : ''}ref_count=4,packet_count=34952`);
      expect(text).toContain('bucket1:packet_count=34952,byte_count=7829367\n group_id=6');
    }
    roundTrip({ kind: 'group_stats_request', version, xid, body: OFPG.ALL });
    const request = roundTrip({ kind: 'group_stats_request', version, xid, body: 3 });
    if (hasOfctl) expect(stockPrint(request)).toContain('group_id=3');
  });

  test('lengths', () => {
    const head = '0413HHHH 00000001 0006 0000 00000000';
    expect(decodeError(fromHex(`${head.replace('HHHH', '0038')} 0008${'00'.repeat(38)}`))).toBe('OFPBRC_BAD_LEN');
    expect(decodeError(fromHex(`${head.replace('HHHH', '0018')} 0028000000000001`))).toBe('OFPBRC_BAD_LEN');
    const entry = `0058 0000 00000001 ${'00000000'.repeat(8)}`;
    expect(decodeError(fromHex(`${head.replace('HHHH', '0038')} ${entry}`))).toBe('OFPBRC_BAD_LEN');
  });
});

describe('descriptions of groups', () => {
  test.each(VERSIONS)('version %i', (version) => {
    const select = { type: GROUP_TYPE.SELECT, groupId: 8, buckets: [bucket(0, { weight: 9 })] };
    const has15 = version === 1 || version === 6;
    const list = [
      { ...select, props: has15 ? hashed : props },
      { ...all, buckets: [bucket(0)] },
    ].map(({ type, groupId, buckets, props: p }) => ({ type, groupId, buckets, props: p }));
    const bytes = roundTrip({ kind: 'group_desc_stats_reply', version, xid, body: list });
    if (hasOfctl)
      expect(stockPrint(bytes)).toMatch(/group_id=8,type=select,.*weight:9,actions=output:1\n group_id=7,type=all/);
    const body = has15 ? 9 : OFPG.ALL;
    const request = roundTrip({ kind: 'group_desc_stats_request', version, xid, body });
    if (hasOfctl) expect(stockPrint(request)).toContain(`group_id=${has15 ? '9' : 'ALL'}`);
  });

  test('of others', () => {
    again(`061300d8 00000002 0007 0000 00000000  00c8 01 00 00002000 0078 000000000000
      0028 0010 00000000 0000001000000001 0000000000000000 0000000800640000 0001000800000001
      0028 0010 00000001 0000001000000002 0000000000000000 0000000800c80000 0001000800000002
      0028 0010 00000002 0000001000000003 0000000000000000 0000000800c80000 0001000800000003
      ffff003b 00001540 00000001 00000000 68617368000000000000000000000000 0000000000000000
      80001804 ffffff00 80001a02 ffff 80001401 ff 0000000000`);
  });

  test('lengths', () => {
    expect(decodeError(fromHex('04130018 00000002 0007 0000 00000000 0007 00 00 00000001'))).toBe('OFPBRC_BAD_LEN');
    expect(decodeError(fromHex('04130018 00000002 0007 0000 00000000 0010 00 00 00000001'))).toBe('OFPBRC_BAD_LEN');
    expect(decodeError(fromHex('06130020 00000002 0007 0000 00000000 0010 00 00 00000001 0008 000000000000'))).toBe(
      'OFPBRC_BAD_LEN',
    );
  });
});

describe('features of groups', () => {
  test.each(VERSIONS)('version %i', (version) => {
    const body = {
      types: 0xf,
      capabilities: 7,
      maxGroups: [1, 2, 3, 0xffffff00],
      ofpacts: [
        new Set(['output'] as const),
        new Set(['output', version < 3 ? 'set_vlan_vid' : 'push_mpls'] as const),
        new Set(['strip_vlan'] as const),
        new Set([]),
      ],
    };
    const bytes = roundTrip({ kind: 'group_features_stats_reply', version, xid, body });
    if (hasOfctl) {
      const text = stockPrint(bytes);
      expect(text).toContain(`actions: output ${version < 3 ? 'set_vlan_vid' : 'push_mpls'}`);
      expect(text).toMatch(/fast failover group:\n *max_groups=0xffffff00\n *actions: <none>/);
    }
    const request = roundTrip({ kind: 'group_features_stats_request', version, xid, body: undefined });
    if (hasOfctl) expect(stockPrint(request)).toContain('GROUP_FEATURES request');
  });
});
