/**
 * What OpenFlow peers have brought switches down with, tried on ours: lengths that lie, bundles that fail late, meters that go while they are in use,
 * requests without end, peers that do not read, too many of everything.  Whatever it is, other requests are answered afterwards.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseFlow } from '../../../src/openflow/flow-text.ts';
import { decodeMessage, encodeMessage } from '../../../src/openflow/messages/codec.ts';
import {
  BUNDLE_CTRL,
  FLOW_FLAG,
  MONITOR_FLAG,
  OFPG,
  OFPTT_ALL,
} from '../../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import type { BodyOf, OfMessage } from '../../../src/openflow/messages/of-message.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import type { OfKind } from '../../../src/openflow/ofp-msgs.ts';
import { OFPP } from '../../../src/openflow/ofp-port.ts';
import { ALL_VERSIONS } from '../../../src/openflow/ofp-version.ts';
import { OfRig, type RigConnection } from '../../fuzz/of-rig.ts';
import { waitFor } from '../../support/wait-for.ts';
import { bucket, groupMod } from '../support/groups.ts';
import { catchAll, output } from '../support/rules.ts';

/** Long enough for any machine: what does not come in this time does not come. */
const LONG = { timeout: 60_000 };

let rig: OfRig;
beforeEach(async () => {
  rig = new OfRig();
  await rig.open();
});
afterEach(async () => {
  vi.useRealTimers();
  await rig.close();
});

const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

class Client {
  readonly c: RigConnection;
  readonly version: OfVersion;
  private xid = 10;
  constructor(version: OfVersion = 5, maxUnread?: number) {
    this.version = version;
    this.c = rig.connect(1 << version, 'primary', maxUnread);
  }
  push(...messages: readonly Uint8Array[]): void {
    for (const m of messages) this.c.stream.push(Buffer.from(m));
  }
  encode<K extends OfKind>(kind: K, body: BodyOf[K], more = false): Uint8Array {
    return encodeMessage({ kind, version: this.version, xid: this.xid, body, more });
  }
  async answers(): Promise<OfMessage[]> {
    await rig.settle();
    return this.c.stream
      .messages()
      .map((m) => decodeMessage(m))
      .filter((m) => m.kind !== 'hello');
  }
  async raw(...messages: readonly Uint8Array[]): Promise<OfMessage[]> {
    await rig.settle();
    this.push(...messages);
    return this.answers();
  }
  ask<K extends OfKind>(kind: K, body: BodyOf[K]): Promise<OfMessage[]> {
    this.xid++;
    return this.raw(this.encode(kind, body));
  }
  async isAlive(): Promise<boolean> {
    let all = await this.ask('barrier_request', undefined);
    for (const end = Date.now() + LONG.timeout; Date.now() < end; ) {
      if (all.some((m) => m.kind === 'barrier_reply' && m.xid === this.xid)) return true;
      all = await this.answers();
    }
    return false;
  }
  async bundle(messages: readonly Uint8Array[], id = 1): Promise<string[]> {
    const control = (type: number) => this.encode('bundle_control', { bundleId: id, type, flags: 1 });
    // A message in a bundle has the number of what adds it.
    for (const message of messages) new DataView(message.buffer).setUint32(4, this.xid);
    const adds = messages.map((message) => this.encode('bundle_add_message', { bundleId: id, flags: 1, message }));
    return errors(await this.raw(control(BUNDLE_CTRL.OPEN_REQUEST), ...adds, control(BUNDLE_CTRL.COMMIT_REQUEST)));
  }
}

const errors = (answers: readonly OfMessage[]): string[] =>
  answers.flatMap((m) => (m.kind === 'error' ? [m.body.err?.name ?? 'unknown'] : []));
const flowsOf = (): string[] =>
  [...rig.br.control.tables.rules()]
    .filter((r) => !rig.br.control.tables.table(r.table).isHidden && r.priority > 0)
    .map((r) => `${r.table} ${r.priority}`);

/** Every 16-bit number of a message, after its header, says something else about a length: it is read or refused. */
async function lieAboutLengths(client: Client, hex: string): Promise<number> {
  const seed = fromHex(hex);
  new DataView(seed.buffer).setUint16(2, seed.length);
  let nRefused = 0;
  const all: Uint8Array[] = [];
  for (let at = 8; at + 2 <= seed.length; at += 2) {
    for (const n of [0, 1, 3, 4, 7, 8, 9, 15, 16, 0x7fff, 0xfff8, 0xffff]) {
      const bytes = seed.slice();
      new DataView(bytes.buffer).setUint16(at, n);
      try {
        decodeMessage(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(OfpError);
        nRefused++;
      }
      all.push(bytes);
    }
  }
  // And each of them ends too early.
  for (let size = 8; size < seed.length; size++) {
    const bytes = seed.slice(0, size);
    new DataView(bytes.buffer).setUint16(2, size);
    all.push(bytes);
  }
  await client.raw(...all);
  expect(await client.isAlive()).toBe(true);
  return nRefused;
}

// biome-ignore format: table
test.each<[what: string, version: OfVersion, hex: string]>([
  ['queue_get_config_reply of 1.0', 1, `01150040 00000001 0001000000000000 000055550028 0000 00010010 00000000 01f4000000000000
                                        00020010 00000000 02ee000000000000 00004444 0008 0000`],
  ['queue description of 1.4', 5, `05130048 00000001 000f000000000000 00000001 00005555 0020 000000000000 0001000801f40000
                                   0002000802ee0000 00000002 00004444 0018000000000000 0002000800640000`],
  ['properties of port_mod', 5, '05100028 00000003 00000003 00000000 505400000001 0000 00000001 00000001 0000 0008 00000001'],
  ['properties of table_mod', 5, '05110020 00000002 00000000 0000000c 0002000800000007 00030008 14500000'],
  ['properties of an asynchronous configuration', 6, '061c0018 00000003 00000008 00000005 00010008 00000001'],
  ['bands of meter_mod', 4, '041d0020 00000002 0000 000d 00000005 00010010 00000400 00000080 00000000'],
  ['buckets of group_mod', 6, `060f0040 11223344 0000 01 00 87654321 0028 0000 ffffffff
                               00280010 00000000 0000001000000001 0000000000000000 0000000800640000 0001000800000001`],
  ['updates of flows', 1, `01110050 00000002 ffff0000 00002320 00000002 00000000
                           0030 0001 0005 8000 0005 000a 0006 0101 123456789abcdef0 000000020001 0000 00000000 0008 00000001 ffff0000`],
])('lengths that lie: %s', async (_what, version, hex) => {
  const client = new Client(version);
  expect(await lieAboutLengths(client, hex)).toBeGreaterThan(10);
});

test('lengths that lie: RAW_ENCAP and its properties', async () => {
  const client = new Client(5);
  const { flow } = parseFlow(
    'actions=encap(nsh(md_type=2,tlv(0x1000,10,0x12345678),tlv(0x2000,20,0xfedc))),set_field:1->nsh_spi,encap(ethernet),2',
  );
  const bytes = client.encode('flow_mod', newFlowMod('ADD', flow));
  expect(errors(await client.raw(bytes))).toEqual([]);
  expect(await lieAboutLengths(client, Buffer.from(bytes).toString('hex'))).toBeGreaterThan(50);
});

describe('bundles', () => {
  test('the last message fails: flows and groups are what they were, deleted ones, too', async () => {
    const client = new Client();
    const flow = (priority: number, group: number, command: 'ADD' | 'DELETE' = 'ADD') =>
      client.encode('flow_mod', newFlowMod(command, { priority, ofpacts: [{ kind: 'group', groupId: group }] }));
    const group = (id: number, port: number, command: 'ADD' | 'MODIFY' | 'DELETE' = 'ADD') =>
      client.encode(
        'group_mod',
        groupMod(command, id, 'ALL', command === 'DELETE' ? [] : [bucket(0, [output(port)], { weight: 0 })]),
      );
    expect(errors(await client.raw(group(1, 1), group(2, 2), flow(10, 1), flow(20, 2)))).toEqual([]);
    const [before] = await client.ask('group_desc_stats_request', OFPG.ALL);
    const flows = flowsOf();

    const steps = [
      group(3, 3),
      flow(30, 3),
      group(1, 3, 'MODIFY'),
      group(2, 0, 'DELETE'),
      flow(10, 0, 'DELETE'),
      group(OFPG.ALL, 0, 'DELETE'),
    ];
    const failing = await client.bundle([...steps, flow(40, 99)]);
    expect(failing).toEqual(['OFPBAC_BAD_OUT_GROUP', 'OFPBFC_MSG_FAILED']);
    expect(flowsOf()).toEqual(flows);
    const [after] = await client.ask('group_desc_stats_request', OFPG.ALL);
    expect(after?.body).toEqual(before?.body);

    // Nothing of it is in the way of the same, without its end.
    expect(await client.bundle(steps)).toEqual([]);
    expect(flowsOf()).toEqual([]);
    expect(rig.br.control.groups.all()).toEqual([]);
  });

  test('thousands of them: there is a limit, and their time ends', async () => {
    const client = new Client();
    const open = (bundleId: number) =>
      client.encode('bundle_control', { bundleId, type: BUNDLE_CTRL.OPEN_REQUEST, flags: 1 });
    const answers = await client.raw(...Array.from({ length: 3000 }, (_, i) => open(i)));
    expect(answers).toHaveLength(3000);
    expect(new Set(errors(answers))).toEqual(new Set(['OFPBFC_OUT_OF_BUNDLES']));
    expect(errors(answers)).toHaveLength(3000 - 1024);
    await rig.pass(11_000);
    expect(errors(await client.answers())).toEqual(new Array(1024).fill('OFPBFC_TIMEOUT'));
    expect(client.c.conn()?.bundles.size).toBe(0);
    expect(errors(await client.raw(open(1)))).toEqual([]);
  });

  test('a connection that ends takes its bundles along', async () => {
    const client = new Client();
    const message = client.encode('flow_mod', newFlowMod('ADD', { priority: 7 }));
    await client.raw(client.encode('bundle_add_message', { bundleId: 1, flags: 1, message }));
    client.c.stream.destroy();
    await rig.settle();
    await rig.pass(11_000);
    expect(rig.conns.conns.size).toBe(0);
    expect(flowsOf()).toEqual([]);
  });
});

test('a meter is deleted while flows use it, and others want to', async () => {
  const [a, b] = [new Client(), new Client(6)];
  const meter = (command: number) =>
    a.encode('meter_mod', {
      command,
      meterId: 1,
      flags: 1,
      bands: [{ type: 1, precLevel: 0, rate: 10, burstSize: 0 }],
    });
  const flow = (client: Client, priority: number) =>
    client.encode('flow_mod', newFlowMod('ADD', { priority, ofpacts: [{ kind: 'meter', meterId: 1 }, output(1)] }));
  expect(errors(await a.raw(meter(0), flow(a, 1), flow(a, 2)))).toEqual([]);
  expect(errors(await b.raw(flow(b, 3)))).toEqual([]);
  // All at once: the deletion waits for the datapath, the other connection does not.
  a.push(meter(2), flow(a, 4));
  b.push(flow(b, 5), flow(b, 6));
  expect(new Set(errors([...(await a.answers()), ...(await b.answers())]))).toEqual(new Set(['OFPMMFC_INVALID_METER']));
  expect(flowsOf()).toEqual([]);
  expect(rig.dpif.meters.byId.size).toBe(0);
  expect(await a.isAlive()).toBe(true);
  expect(await b.isAlive()).toBe(true);
});

test('updates of flows while the peer does not read: paused, resumed, and true in the end', async () => {
  const [watcher, other] = [new Client(), new Client()];
  const flags = MONITOR_FLAG.INITIAL | MONITOR_FLAG.ADD | MONITOR_FLAG.DELETED | MONITOR_FLAG.MODIFY;
  const request = {
    id: 1,
    command: 0,
    flags,
    outPort: OFPP.NONE,
    outGroup: OFPG.ANY,
    tableId: OFPTT_ALL,
    match: catchAll(),
  };
  await watcher.ask('flow_monitor_stats_request', [request as never]);
  watcher.c.stream.reads(false);
  const mod = (command: 'ADD' | 'DELETE_STRICT', priority: number) =>
    other.encode('flow_mod', newFlowMod(command, { priority, ofpacts: command === 'ADD' ? [output(1)] : [] }));
  const range = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
  expect(errors(await other.raw(...range(4000).map((p) => mod('ADD', p))))).toEqual([]);
  expect(watcher.c.conn()?.monitors.isPaused).toBe(true);
  expect(watcher.c.stream.writableLength).toBeLessThan(512 * 1024);
  await other.raw(...range(3990).map((p) => mod('DELETE_STRICT', p)));
  watcher.c.stream.reads(true);
  await rig.settle();
  const known = new Set<number>();
  for (const m of await watcher.answers()) {
    if (m.kind !== 'flow_monitor_stats_reply') continue;
    for (const u of m.body) {
      if (u.event === 'added' || u.event === 'initial' || u.event === 'modified') known.add(u.priority);
      if (u.event === 'deleted') expect(known.delete(u.priority)).toBe(true);
    }
  }
  expect([...known].filter((p) => p > 0).sort((x, y) => x - y)).toEqual(range(4000).slice(-10));
  expect(await watcher.isAlive()).toBe(true);
});

describe('multipart requests', () => {
  /** A part of about 60 kB. */
  const part = (client: Client, xid: number, more = true): Uint8Array => {
    const request = {
      id: 1,
      command: 0,
      flags: MONITOR_FLAG.INITIAL | MONITOR_FLAG.ADD,
      outPort: OFPP.NONE,
      outGroup: OFPG.ANY,
      tableId: 0,
      match: catchAll(),
    };
    const body = Array.from({ length: 1500 }, (_, i) => ({ ...request, id: i })) as never;
    return encodeMessage({ kind: 'flow_monitor_stats_request', version: client.version, xid, body, more });
  };

  test('too long', async () => {
    const client = new Client();
    const one = part(client, 5);
    expect(one.length).toBeGreaterThan(30_000);
    const answers = await client.raw(...new Array<Uint8Array>(Math.ceil((4 << 20) / one.length) + 1).fill(one));
    expect(errors(answers)).toEqual(['OFPBRC_MULTIPART_BUFFER_OVERFLOW']);
    expect(await client.isAlive()).toBe(true);
  });

  test('many of them that do not end', async () => {
    const client = new Client();
    const one = part(client, 0);
    const n = Math.ceil((5 << 20) / one.length);
    const parts = Array.from({ length: n }, (_, xid) => {
      const bytes = one.slice();
      new DataView(bytes.buffer).setUint32(4, xid);
      return bytes;
    });
    const refused = errors(await client.raw(...parts));
    expect(new Set(refused)).toEqual(new Set(['OFPBRC_MULTIPART_BUFFER_OVERFLOW']));
    expect(refused.length).toBeGreaterThan(n / 8);
    await rig.pass(1100);
    const late = errors(await client.answers());
    expect(new Set(late)).toEqual(new Set(['OFPBRC_MULTIPART_REQUEST_TIMEOUT']));
    expect(late.length + refused.length).toBe(n);
    // There is room again.
    expect(errors(await client.raw(...parts.slice(0, 20)))).toEqual([]);
  });
});

describe('peers that do not read', () => {
  test('are not listened to, and then answered', async () => {
    const client = new Client();
    await rig.settle();
    client.c.stream.reads(false);
    const request = client.encode('desc_stats_request', undefined);
    client.push(...new Array<Uint8Array>(5000).fill(request));
    await rig.settle();
    expect(client.c.stream.writableLength).toBeLessThan(300 * 1024);
    client.c.stream.reads(true);
    let n = 0;
    for (const end = Date.now() + LONG.timeout; n < 5000 && Date.now() < end; ) n += (await client.answers()).length;
    expect(n).toBe(5000);
  });

  test('wrong versions are not answered without end either', async () => {
    const client = new Client();
    await rig.settle();
    client.c.stream.reads(false);
    client.push(...new Array<Uint8Array>(50_000).fill(fromHex('01050008 00000001')));
    await rig.settle();
    expect(client.c.stream.writableLength).toBeLessThan(400 * 1024);
  });

  test('are given up if they have asked for what they do not read', async () => {
    const [client, other] = [new Client(5, 50_000), new Client(5)];
    await rig.settle();
    client.c.stream.reads(false);
    for (let i = 0; i < 3000; i++) {
      const flow = { priority: 5, flags: FLOW_FLAG.SEND_FLOW_REM };
      other.push(other.encode('flow_mod', newFlowMod('ADD', flow)), other.encode('flow_mod', newFlowMod('DELETE', {})));
    }
    await waitFor(() => expect(client.c.vconn.state).toBe('closed'));
    expect(rig.conns.conns.size).toBe(1);
    expect(await other.isAlive()).toBe(true);
  });
});

test('a thousand connections at once', async () => {
  const clients = Array.from({ length: 1000 }, (_, i) => new Client(((i % 6) + 1) as OfVersion));
  await rig.settle();
  for (const c of clients) c.push(c.encode('features_request', undefined), c.encode('barrier_request', undefined));
  for (const c of clients) expect((await c.answers()).map((m) => m.kind)).toEqual(['features_reply', 'barrier_reply']);
  expect(rig.conns.conns.size).toBe(1000);
  for (const c of clients) c.c.stream.destroy();
  await rig.settle();
  expect(rig.conns.conns.size).toBe(0);
});

describe('half-open connections', () => {
  test('what never says hello is closed', async () => {
    const runDir = mkdtempSync(join(tmpdir(), 'half-open-'));
    try {
      rig.br.control.configure({
        versions: ALL_VERSIONS,
        failMode: 'secure',
        controllers: [],
        tls: undefined,
        runDir,
        datapathId: '1',
        desc: { dpDesc: undefined, serialNum: undefined },
      });
      await waitFor(
        () =>
          new Promise<void>((resolve, reject) => {
            const probe = connect(join(runDir, 'br0.mgmt'), () => resolve(void probe.destroy()));
            probe.on('error', reject);
          }),
      );
      const peer = connect(join(runDir, 'br0.mgmt'));
      let isClosed = false;
      peer.on('error', () => {});
      peer.on('data', () => {});
      peer.on('end', () => {
        isClosed = true;
      });
      await waitFor(() => expect(peer.bytesRead).toBeGreaterThan(0));
      await rig.pass(119_000);
      expect(isClosed).toBe(false);
      await rig.pass(2000);
      await waitFor(() => expect(isClosed).toBe(true));
      peer.destroy();
    } finally {
      rmSync(runDir, { recursive: true, force: true });
    }
  });

  test('what was closed here, and neither reads nor ends, does not linger', async () => {
    const client = new Client();
    await rig.settle();
    client.c.stream.reads(false);
    client.push(client.encode('desc_stats_request', undefined));
    await rig.settle();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    client.c.vconn.close();
    // What it still says has no effect, and is not kept.
    client.push(client.encode('flow_mod', newFlowMod('ADD', { priority: 9 })));
    await rig.settle();
    expect(client.c.stream.destroyed).toBe(false);
    vi.advanceTimersByTime(5000);
    expect(client.c.stream.destroyed).toBe(true);
    expect(flowsOf()).toEqual([]);
  });
});
