/** Groups and meters in text: read as stock ovs-ofctl reads them, whose bytes they are compared to where it is installed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatGroup, parseGroupMod } from '../../src/openflow/group-text.ts';
import { encodeMessage } from '../../src/openflow/messages/codec.ts';
import { GROUP_BUCKET, GROUP_COMMAND, GROUP_TYPE } from '../../src/openflow/messages/switch/switch-types.ts';
import { METER_COMMAND, parseMeterMod } from '../../src/openflow/meter-text.ts';
import { OFPUTIL_P } from '../../src/openflow/ofp-protocol.ts';
import { OfpTextError } from '../../src/openflow/ofp-text.ts';
import { ALL_VERSIONS } from '../../src/openflow/ofp-version.ts';
import { Vconn } from '../../src/openflow/vconn.ts';
import { hasOfctl, toHex } from './messages/oracle.ts';

// biome-ignore format: table
const GROUPS = [
  'group_id=1,type=all,bucket=output:1,bucket=output:2',
  'group_id=1234,type=select,bucket=output:10,bucket=weight:7,actions=output:11,set_field:1->reg0',
  'group_id=7 type=ff bucket=watch_port:1,actions=1,bucket=watch_group=5,action=2,watch_port:ANY',
  'group_id=1,type=fast_failover,bucket=watch_port=CONTROLLER,output:1',
  'group_id=0x10,type=indirect,bucket=actions=mod_dl_src:00:11:22:33:44:55,output:1',
  'type=indirect,group_id=4294967040',
  'group_id=1,type=select,selection_method=dp_hash,selection_method_param=0x10,bucket=bucket_id:3,output:1',
  'group_id=1,type=select,selection_method=hash,fields(eth_dst,ip_dst=255.255.255.0,tcp_dst),bucket=weight:0,1',
  'group_id=1,type=select,selection_method=hash,fields=ip_src,bucket=1',
  'group_id=1,type=select,selection_method=hash,bucket=bucket_id:0,resubmit(,1),ct(table=2)',
];
// biome-ignore format: table
const BAD_GROUPS = [
  '', 'type=all', 'group_id=1', 'group_id=all,type=select,bucket=weight:70000,1', 'group_id=1,type=other', 'group_id=x,type=all',
  'group_id=4294967041,type=all', 'group_id=1,type=all,bucket=weight:5,1', 'group_id=1,type=indirect,bucket=1,bucket=2',
  'group_id=1,type=ff,bucket=1', 'group_id=1,type=all,bucket=', 'group_id=1,type=all,bucket=bucket_id:1', 'group_id=1,type=all,x=1',
  'group_id=1,type=select,fields=ip_src,bucket=1', 'group_id=1,type=select,selection_method_param=1,bucket=1',
  'group_id=1,type=select,selection_method=0123456789abcdef', 'group_id=1,type=all,command_bucket_id=1',
  'group_id=1,type=select,selection_method=hash,fields(nosuch),bucket=1',
  'group_id=1,type=ff,bucket=watch_port:IN_PORT,1', 'group_id=1,type=ff,bucket=watch_port:LOCAL,1', 'group_id=1,type=ff,bucket=watch_group:4294967295,1',
  'group_id=1,type=all,bucket=bucket_id:4294967295,1', 'group_id=1,type=all,bucket=nosuch:1',
];
// biome-ignore format: table
const METERS = [
  'meter=1,kbps,bands=type=drop,rate=100', 'meter=5 pktps stats bands=type=drop rate=1', 'meter=controller,pktps,band=type=drop,rate=3',
  'meter=slowpath kbps burst bands=type=drop rate=3 burst_size=0x10', 'pktps,meter=0xffff0000,bands=type=drop,rate=1',
  'meter=2,kbps,burst,bands=type=dscp_remark,rate=3,burst_size=4,prec_level=5,type=drop,rate=9,burst_size=1',
];
// biome-ignore format: table
const BAD_METERS = [
  '', 'meter=1', 'meter=1,bands=type=drop,rate=1', 'meter=0,kbps,bands=type=drop,rate=1', 'kbps,bands=type=drop,rate=1', 'meter=1,kbps,bands=',
  'meter=1,kbps,bands=rate=1', 'meter=1,kbps,bands=type=none', 'meter=1,kbps,bands=type=drop', 'meter=1,kbps,x=1,bands=type=drop,rate=1',
  'meter=1,kbps,burst,bands=type=drop,rate=1', 'meter=1,kbps,bands=type=drop,rate=1,burst_size=3', 'meter=4294901761,kbps,bands=type=drop,rate=1',
  'meter=1,kbps,bands=type=drop,rate=1,prec_level=2', 'meter=1,kbps,bands=type=dscp_remark,rate=1', 'meter=1,kbps,bands=type=drop,rate=1,prec_level=256',
  'meter=1,kbps,x', 'meter=1,kbps,bands=type=drop,rate',
];

/** A switch that says yes to everything, and keeps the first message that is not about the connection. */
let server: Server;
let dir: string;
let got: string | undefined;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tapswitch-'));
  server = createServer((socket) => {
    const vconn = new Vconn(socket, { name: 'test', versions: ALL_VERSIONS });
    vconn.onMessage = (bytes) => {
      const isBarrier = bytes[1] === (bytes[0] === 1 ? 18 : 20) && bytes.length === 8;
      if (!isBarrier) got = toHex(bytes);
      else vconn.send(Uint8Array.from([bytes[0] as number, (bytes[1] as number) + 1, ...bytes.subarray(2)]));
    };
  });
  await new Promise<void>((done) => server.listen(join(dir, 's'), done));
});
afterAll(() => {
  for (const child of children) child.kill();
  server.close();
  rmSync(dir, { recursive: true });
});

interface Outcome {
  readonly hex: string | undefined;
  readonly error: string | undefined;
}

/** What stock sends for a command, or how it refuses it. */
async function stock(version: 4 | 6, command: string, text: string): Promise<Outcome> {
  got = undefined;
  const args = ['--no-names', '-O', `OpenFlow1${version - 1}`, command, `unix:${join(dir, 's')}`, text];
  const child = spawn('ovs-ofctl', args);
  children.add(child);
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  await new Promise((done) => child.once('close', done));
  children.delete(child);
  const line = stderr.split('\n').find((l) => l.startsWith('ovs-ofctl: '));
  // Some of its errors begin with the text that was left to read.
  return { hex: got, error: line?.slice('ovs-ofctl: '.length).replace(/^: /, '') };
}

function ours(encode: () => Uint8Array): Outcome {
  try {
    return { hex: toHex(encode()), error: undefined };
  } catch (e) {
    if (!(e instanceof OfpTextError)) throw e;
    return { hex: undefined, error: e.message };
  }
}

/** xids are everyone's own. */
const withoutXid = ({ hex, error }: Outcome) => ({ message: hex?.replace(/^(.{8}).{8}/, '$1'), error });

describe('as stock reads them', () => {
  test.skipIf(!hasOfctl).each([...GROUPS, ...BAD_GROUPS])('group %s', async (text) => {
    const mine = ours(() =>
      encodeMessage({ kind: 'group_mod', version: 6, xid: 2, body: parseGroupMod(text, GROUP_COMMAND.ADD).groupMod }),
    );
    expect(withoutXid(mine)).toEqual(withoutXid(await stock(6, 'add-group', text)));
  });

  test.skipIf(!hasOfctl).each([...METERS, ...BAD_METERS])('meter %s', async (text) => {
    const mine = ours(() =>
      encodeMessage({ kind: 'meter_mod', version: 4, xid: 2, body: parseMeterMod(text, METER_COMMAND.ADD).meterMod }),
    );
    expect(withoutXid(mine)).toEqual(withoutXid(await stock(4, 'add-meter', text)));
  });

  test.skipIf(!hasOfctl).each([
    ['insert-buckets', GROUP_COMMAND.INSERT_BUCKET, 'group_id=1,command_bucket_id=first,bucket=bucket_id:4,weight:3,1'],
    ['insert-buckets', GROUP_COMMAND.INSERT_BUCKET, 'group_id=1,bucket=1'],
    ['insert-buckets', GROUP_COMMAND.INSERT_BUCKET, 'group_id=1,command_bucket_id=all,bucket=1'],
    ['insert-buckets', GROUP_COMMAND.INSERT_BUCKET, 'group_id=1,command_bucket_id=4294967041,bucket=1'],
    ['remove-buckets', GROUP_COMMAND.REMOVE_BUCKET, 'group_id=1'],
    ['remove-buckets', GROUP_COMMAND.REMOVE_BUCKET, 'group_id=1,command_bucket_id=7'],
    ['remove-buckets', GROUP_COMMAND.REMOVE_BUCKET, 'group_id=1,type=all'],
    ['remove-buckets', GROUP_COMMAND.REMOVE_BUCKET, 'group_id=1,bucket=1'],
    ['del-groups', GROUP_COMMAND.DELETE, ''],
    ['del-groups', GROUP_COMMAND.DELETE, 'group_id=5'],
    ['del-groups', GROUP_COMMAND.DELETE, 'group_id=all'],
    ['mod-group', GROUP_COMMAND.MODIFY, 'group_id=5,type=all,bucket=2'],
  ])('%s %s %s', async (command, number, text) => {
    const mine = ours(() =>
      encodeMessage({ kind: 'group_mod', version: 6, xid: 2, body: parseGroupMod(text, number).groupMod }),
    );
    expect(withoutXid(mine)).toEqual(withoutXid(await stock(6, command, text)));
  });
});

describe('without stock', () => {
  test('defaults, and which protocols can say it', () => {
    const { groupMod, usableProtocols } = parseGroupMod('add group_id=1,type=select,bucket=output:1');
    expect(groupMod).toMatchObject({ command: GROUP_COMMAND.ADD, type: GROUP_TYPE.SELECT, groupId: 1 });
    expect(groupMod.buckets).toMatchObject([{ weight: 1, bucketId: GROUP_BUCKET.ALL }]);
    expect(usableProtocols).toBe(OFPUTIL_P.ANY);
    const withIds = parseGroupMod('group_id=1,type=select,bucket=bucket_id:1,output:1');
    expect(withIds.usableProtocols).toBe(OFPUTIL_P.OF10_ANY | OFPUTIL_P.OF15_UP);
    expect(parseMeterMod('meter=all', 'request').meterMod.meterId).toBe(0xffffffff);
  });

  test.each([
    'insert_bucket group_id=1,command_bucket_id=last,bucket=1',
    'i group_id=1,command_bucket_id=last,bucket=1',
  ])('a line of a file may begin with its command: %s', (text) => {
    expect(parseGroupMod(text).groupMod.command).toBe(GROUP_COMMAND.INSERT_BUCKET);
  });

  test.each(GROUPS)('what is printed is read as the same: %s', (text) => {
    const { groupMod } = parseGroupMod(text, GROUP_COMMAND.ADD);
    expect(parseGroupMod(formatGroup(groupMod, 4), GROUP_COMMAND.ADD).groupMod).toMatchObject({
      ...groupMod,
      buckets: groupMod.buckets.map((b) => ({ ...b, bucketId: GROUP_BUCKET.ALL })),
    });
  });

  test.each(BAD_GROUPS)('a bad group is a clear error: %j', (text) => {
    expect(() => parseGroupMod(text, GROUP_COMMAND.ADD)).toThrow(OfpTextError);
  });
  test.each(BAD_METERS)('a bad meter is a clear error: %j', (text) => {
    expect(() => parseMeterMod(text, METER_COMMAND.ADD)).toThrow(OfpTextError);
  });
});
