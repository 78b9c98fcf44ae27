/**
 * What every dpif does, whoever provides it.  A provider's test calls `testDpif` with a way to make a fresh world.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Dpif, DpifProvider } from '../../src/dpif/dpif.ts';
import {
  DPIF_FP,
  DPIF_UC,
  type DpifExecute,
  type DpifFlow,
  type DpifFlowDel,
  type DpifFlowGet,
  type DpifFlowPut,
  type DpifOp,
  type DpifUpcall,
  type PortEvent,
} from '../../src/dpif/dpif-types.ts';
import { Ufid } from '../../src/odp/odp-ufid.ts';
import { formatOdpActions } from '../../src/odp/text/odp-format-actions.ts';
import { formatOdpFlow } from '../../src/odp/text/odp-format-key.ts';
import { parseOdpActions } from '../../src/odp/text/odp-parse-actions.ts';
import { parseOdpFlow } from '../../src/odp/text/odp-parse-key.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { waitFor } from '../support/wait-for.ts';

/** A datapath's surroundings. */
export interface DpifWorld {
  readonly provider: DpifProvider;
  /** Makes a device that can become a port. */
  addDevice(name: string): void | Promise<void>;
  /** A frame arrives at a device. */
  receive(name: string, frame: Uint8Array): void;
  /** Frames that a device has sent. */
  sent(name: string): readonly Uint8Array[];
  close(): void | Promise<void>;
}

const FRAME = Buffer.from(
  '0a0000000002 0a0000000001 0800 4500001c0000400040110000 0a000001 0a000002 03e8 07d0 0008 0000'.replaceAll(' ', ''),
  'hex',
);
const flowOf = (i: number) =>
  parseOdpFlow(`in_port(${i % 100}),eth(src=02:00:00:00:${hex2(i >> 8)}:${hex2(i & 255)}),eth_type(0x1234)`);
const hex2 = (n: number) => n.toString(16).padStart(2, '0');
const put = (i: number, flags: number = DPIF_FP.CREATE, actions = '2'): DpifFlowPut => ({
  type: 'put',
  flags,
  ...flowOf(i),
  ufid: undefined,
  actions: parseOdpActions(actions),
});

export function testDpif(name: string, makeWorld: () => DpifWorld | Promise<DpifWorld>): void {
  describe(`dpif: ${name}`, () => {
    let world: DpifWorld;
    let dpif: Dpif;

    beforeEach(async () => {
      setConsole(() => {});
      world = await makeWorld();
      await world.addDevice('v1');
      await world.addDevice('v2');
      dpif = await world.provider.open('dp0', true);
    });
    afterEach(async () => {
      dpif.close();
      world.provider.close();
      await world.close();
      setConsole(undefined);
    });

    const dump = async (terse = false): Promise<DpifFlow[]> => {
      const all: DpifFlow[] = [];
      await dpif.flowDump(terse, (flows) => {
        all.push(...flows);
      });
      return all;
    };

    test('datapaths are made, listed, opened and deleted', async () => {
      expect(dpif).toMatchObject({ name: 'dp0', type: world.provider.type });
      await (await world.provider.open('dp1', true)).close();
      expect(await world.provider.enumerate()).toEqual(['dp0', 'dp1']);
      await expect(world.provider.open('dp0', true)).rejects.toMatchObject({ errno: ERRNO.EEXIST });
      await expect(world.provider.open('nodp', false)).rejects.toMatchObject({ errno: ERRNO.ENODEV });
      const again = await world.provider.open('dp1', false);
      await again.destroy();
      again.close();
      expect(await world.provider.enumerate()).toEqual(['dp0']);
    });

    test('ports: added, found, listed by number, removed', async () => {
      expect(await dpif.portAdd('v2', 'system', 7)).toBe(7);
      expect(await dpif.portAdd('v1', 'system', undefined)).toBe(1);
      expect(await dpif.portAdd('int0', 'internal', undefined)).toBe(2);
      const ports = (await dpif.portDump()).map((p) => `${p.portNo} ${p.name} ${p.type}`);
      expect(ports).toEqual(['0 dp0 internal', '1 v1 system', '2 int0 internal', '7 v2 system']);
      expect(await dpif.portQuery('v2')).toMatchObject({ portNo: 7 });
      expect(await dpif.portQuery(2)).toMatchObject({ name: 'int0', type: 'internal' });
      expect(await dpif.portQuery('nodev')).toBeUndefined();
      expect(await dpif.portQuery(99)).toBeUndefined();
      await dpif.portDel(7);
      expect(await dpif.portQuery('v2')).toBeUndefined();
      await expect(dpif.portDel(7)).rejects.toMatchObject({ errno: ERRNO.ENODEV });
    });

    test('a port of another datapath is none of this one', async () => {
      const other = await world.provider.open('dp1', true);
      await other.portAdd('v1', 'system', undefined);
      expect(await dpif.portQuery('v1')).toBeUndefined();
      await expect(dpif.portAdd('v1', 'system', undefined)).rejects.toMatchObject({ errno: ERRNO.EBUSY });
      other.close();
    });

    test('ports that cannot be added', async () => {
      await dpif.portAdd('v1', 'system', 5);
      await expect(dpif.portAdd('v1', 'system', undefined)).rejects.toMatchObject({ errno: ERRNO.EEXIST });
      await expect(dpif.portAdd('v2', 'system', 5)).rejects.toMatchObject({ errno: ERRNO.EBUSY });
      await expect(dpif.portAdd('nodev', 'system', undefined)).rejects.toMatchObject({ errno: ERRNO.ENODEV });
      await expect(dpif.portAdd('v2', 'bogus', undefined)).rejects.toMatchObject({ errno: ERRNO.EINVAL });
    });

    test('port changes are told, after a first resync', async () => {
      const events: PortEvent[] = [];
      const stop = dpif.portPoll((e) => events.push(e));
      await waitFor(() => expect(events).toEqual([{ kind: 'resync' }]));
      const portNo = await dpif.portAdd('v1', 'system', undefined);
      await dpif.portDel(portNo);
      await waitFor(() =>
        expect(events.slice(1)).toEqual([
          { kind: 'changed', name: 'v1', deleted: false },
          { kind: 'changed', name: 'v1', deleted: true },
        ]),
      );
      stop();
      await dpif.portAdd('v2', 'system', undefined);
      expect(events).toHaveLength(3);
    });

    test('a flow: put, got, changed, dumped, deleted', async () => {
      const ufid = new Ufid(0x00112233, 0x44556677, 0x8899aabb | 0, 0xccddeeff | 0);
      const created: DpifFlowPut = { ...put(1), ufid };
      const get: DpifFlowGet = { type: 'get', key: undefined, ufid };
      const modified: DpifFlowPut = { ...put(1, DPIF_FP.MODIFY, '3'), ufid, wantStats: true };
      const got: DpifFlowGet = { ...get };
      await dpif.operate([created, get, modified, got]);
      expect([created, get, modified, got].map((op) => op.result)).toEqual([0, 0, 0, 0]);
      expect(get.flow?.ufid).toEqual(ufid);
      expect(formatOdpActions(get.flow?.actions ?? new Uint8Array())).toBe('2');
      expect(formatOdpActions(got.flow?.actions ?? new Uint8Array())).toBe('3');
      expect(modified.stats).toEqual({ nPackets: 0, nBytes: 0, used: 0, tcpFlags: 0 });
      expect(created.stats).toBeUndefined();

      const [flow] = await dump();
      expect(formatOdpFlow(flow?.key ?? new Uint8Array(), flow?.mask)).toBe(
        'in_port(1),eth(src=02:00:00:00:00:01),eth_type(0x1234)',
      );
      const [terse] = await dump(true);
      expect(terse).toMatchObject({ ufid, key: undefined, mask: undefined, actions: undefined });

      const del: DpifFlowDel = { type: 'del', key: undefined, ufid, wantStats: true };
      const gone: DpifFlowDel = { type: 'del', key: undefined, ufid };
      await dpif.operate([del, gone]);
      expect([del.result, gone.result]).toEqual([0, ERRNO.ENOENT]);
      expect(del.stats?.nPackets).toBe(0);
      expect(await dump()).toEqual([]);
    });

    test('one operation that fails says so, and does not touch the others', async () => {
      const ops: DpifOp[] = [
        put(1),
        put(1),
        put(2, DPIF_FP.MODIFY),
        put(3),
        { type: 'get', key: flowOf(9).key, ufid: undefined },
      ];
      await dpif.operate(ops);
      expect(ops.map((op) => op.result)).toEqual([0, ERRNO.EEXIST, ERRNO.ENOENT, 0, ERRNO.ENOENT]);
      expect(await dump()).toHaveLength(2);
    });

    test('many flows: put in batches, dumped in batches, flushed', async () => {
      const ops = Array.from({ length: 1000 }, (_, i) => put(i));
      await dpif.operate(ops);
      expect(ops.every((op) => op.result === 0)).toBe(true);
      let nBatches = 0;
      const keys = new Set<string>();
      await dpif.flowDump(false, async (flows) => {
        nBatches++;
        await new Promise((resolve) => setImmediate(resolve));
        for (const f of flows) keys.add(Buffer.from(f.key ?? []).toString('hex'));
      });
      expect(keys.size).toBe(1000);
      expect(nBatches).toBeGreaterThan(1);
      expect((await dpif.stats()).nFlows).toBe(1000n);
      await dpif.flowFlush();
      expect(await dump()).toEqual([]);
    });

    test('a visitor that fails ends the dump', async () => {
      await dpif.operate([put(1)]);
      await expect(dpif.flowDump(false, () => Promise.reject(new Error('enough')))).rejects.toThrow('enough');
    });

    test('executing a packet sends it, and an oversized one is refused', async () => {
      await dpif.portAdd('v1', 'system', undefined);
      const execute = (packet: Uint8Array, actions: string): DpifExecute => ({
        type: 'execute',
        key: new Uint8Array(),
        actions: parseOdpActions(actions),
        packet,
      });
      const ok = execute(FRAME, '1,1');
      const large = execute(new Uint8Array(66_000), '1');
      await dpif.operate([ok, large]);
      expect([ok.result, large.result]).toEqual([0, ERRNO.ENOBUFS]);
      await waitFor(() => expect(world.sent('v1')).toHaveLength(2));
      expect(Buffer.from(world.sent('v1')[0] ?? []).toString('hex')).toBe(FRAME.toString('hex'));
    });

    test('upcalls: misses and userspace actions come to the handler, until it goes', async () => {
      await dpif.portAdd('v1', 'system', undefined);
      const seen: (Pick<DpifUpcall, 'type'> & { key: string; packet: string; userdata: string })[] = [];
      const handler = (upcalls: readonly DpifUpcall[]) => {
        for (const u of upcalls) {
          const key = formatOdpFlow(u.key);
          const hex = (b: Uint8Array | undefined) => Buffer.from(b ?? []).toString('hex');
          seen.push({ type: u.type, key, packet: hex(u.packet), userdata: hex(u.userdata) });
        }
      };
      world.receive('v1', FRAME);
      expect((await dpif.stats()).nLost).toBe(1n);

      await dpif.setUpcallHandler(handler);
      world.receive('v1', FRAME);
      await waitFor(() => expect(seen).toHaveLength(1));
      expect(seen[0]).toMatchObject({ type: DPIF_UC.MISS, packet: FRAME.toString('hex') });
      expect(seen[0]?.key).toContain('in_port(1)');
      expect(seen[0]?.key).toContain('udp(src=1000,dst=2000)');

      const pid = dpif.upcallPid?.(1) ?? 0;
      const flow = parseOdpFlow('in_port(1),eth(),eth_type(0x0800),ipv4(dst=10.0.0.2)');
      const actions = parseOdpActions(`userspace(pid=${pid},userdata(0102030405060708))`);
      const ops: DpifFlowPut[] = [{ type: 'put', flags: DPIF_FP.CREATE, ...flow, ufid: undefined, actions }];
      await dpif.operate(ops);
      world.receive('v1', FRAME);
      await waitFor(() => expect(seen).toHaveLength(2));
      expect(seen[1]).toMatchObject({ type: DPIF_UC.ACTION, userdata: '0102030405060708' });

      await dpif.flowFlush();
      await dpif.setUpcallHandler(null);
      world.receive('v1', FRAME);
      expect((await dpif.stats()).nLost).toBe(2n);
      expect(seen).toHaveLength(2);
    });

    test('while a handler is busy with a few batches upcalls wait; one that fails gets the next ones all the same', async () => {
      await dpif.portAdd('v1', 'system', undefined);
      let nCalls = 0;
      let nSeen = 0;
      let isBusy = true;
      const releases: (() => void)[] = [];
      await dpif.setUpcallHandler((upcalls) => {
        nSeen += upcalls.length;
        nCalls++;
        if (isBusy) return new Promise((resolve) => releases.push(resolve));
        if (nCalls % 2 === 1) throw new Error('a bug in the handler');
        return Promise.reject(new Error('another bug'));
      });
      for (let i = 0; i < 20; i++) {
        world.receive('v1', FRAME);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const nBusy = nSeen;
      expect([nCalls, nBusy < 10]).toEqual([releases.length, true]);
      isBusy = false;
      for (const release of releases) release();
      await waitFor(() => expect(nSeen).toBe(20));
      for (let i = 21; i < 24; i++) {
        world.receive('v1', FRAME);
        await waitFor(() => expect(nSeen).toBe(i));
      }
    });

    test('statistics of packets and ports', async () => {
      await dpif.portAdd('v1', 'system', undefined);
      await dpif.portAdd('v2', 'system', undefined);
      const flow = parseOdpFlow('in_port(1),eth(),eth_type(0x0800),ipv4()');
      await dpif.operate([
        { type: 'put', flags: DPIF_FP.CREATE, ...flow, ufid: undefined, actions: parseOdpActions('2') },
      ]);
      world.receive('v1', FRAME);
      world.receive('v1', FRAME);
      const [f] = await dump();
      expect(f?.stats).toMatchObject({ nPackets: 2, nBytes: 2 * FRAME.length });
      expect(f?.stats.used).toBeGreaterThan(0n);
      expect(await dpif.stats()).toMatchObject({ nHit: 2n, nMissed: 0n, nFlows: 1n, nMasks: 1 });
      expect(await dpif.portStats(2)).toMatchObject({ txPackets: 2n });
      await expect(dpif.portStats(9)).rejects.toMatchObject({ errno: ERRNO.ENODEV });
    });

    test('meters count, drop what exceeds their rate, and go', async ({ skip }) => {
      const { meters } = dpif;
      if (meters === undefined) skip('this provider has no meters');
      const { maxMeters, maxBands, hasDrop } = (await meters?.features()) ?? {};
      expect([(maxMeters ?? 0) > 0, maxBands, hasDrop]).toEqual([true, 1, true]);
      await meters?.set(7, { isKbps: false, bands: [{ rate: 1, burst: 1 }] });
      await dpif.portAdd('v1', 'system', undefined);
      await dpif.portAdd('v2', 'system', undefined);
      const flow = parseOdpFlow('in_port(1),eth(),eth_type(0x0800),ipv4()');
      const actions = parseOdpActions('meter(7),2');
      await dpif.operate([{ type: 'put', flags: DPIF_FP.CREATE, ...flow, ufid: undefined, actions }]);
      for (let i = 0; i < 3; i++) world.receive('v1', FRAME);
      const bytes = BigInt(FRAME.length);
      expect(await meters?.get(7)).toEqual({
        nPackets: 3n,
        nBytes: 3n * bytes,
        bands: [{ nPackets: 2n, nBytes: 2n * bytes }],
      });
      expect(world.sent('v2')).toHaveLength(1);
      await expect(meters?.set(8, { isKbps: true, bands: [{ rate: 0, burst: 1 }] })).rejects.toMatchObject({
        errno: ERRNO.EINVAL,
      });
      await meters?.del(7);
      await meters?.del(7);
      await expect(meters?.get(7)).rejects.toMatchObject({ errno: ERRNO.ENOENT });
    });
  });
}
