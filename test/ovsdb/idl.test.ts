import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Changes, Idl, type IdlOptions } from '../../src/ovsdb/idl.ts';
import { Bridge, DATABASE, Interface, Open_vSwitch, Port } from '../../src/ovsdb/vswitch-schema.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { type OvsdbServer, skipReason, startOvsdbServer, until } from './ovsdb-server.ts';

describe.skipIf(skipReason())('a replica of a real ovsdb-server', () => {
  let server: OvsdbServer;
  const open: Idl[] = [];
  const lines: string[] = [];

  beforeEach(async () => {
    setConsole((line) => lines.push(line));
    server = await startOvsdbServer();
  });
  afterEach(async () => {
    for (const idl of open.splice(0)) idl.close();
    await server.stop();
    setConsole(undefined);
    lines.length = 0;
  });

  function replica(options: Partial<IdlOptions> = {}): { idl: Idl; seen: Changes[] } {
    const seen: Changes[] = [];
    const idl = new Idl({
      remote: server.remote,
      database: DATABASE,
      tables: [
        { table: Open_vSwitch, quiet: ['cur_cfg'], omit: ['external_ids'] },
        { table: Bridge, quiet: ['datapath_id'] },
        { table: Port },
        { table: Interface, quiet: ['ofport', 'statistics'] },
      ],
      session: { minBackoffMs: 20 },
      changed: (changes) => seen.push(changes),
      ...options,
    });
    open.push(idl);
    return { idl, seen };
  }
  const names = (idl: Idl) => [...idl.rows(Bridge)].map((b) => b.name).sort();

  test('it follows what ovs-vsctl does', async () => {
    const { idl, seen } = replica();
    await until(() => idl.hasData, 'the replica');
    expect(names(idl)).toEqual([]);
    server.vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'other_config:hwaddr=02:00:00:00:00:01');
    await until(() => names(idl).length === 1, 'br0');
    const br0 = [...idl.rows(Bridge)][0];
    expect(br0?.other_config).toEqual(new Map([['hwaddr', '02:00:00:00:00:01']]));
    const port = idl.row(Port, br0?.ports[0] ?? '');
    expect(port).toMatchObject({ name: 'br0', tag: undefined, trunks: [] });
    expect(idl.row(Interface, port?.interfaces[0] ?? '')?.type).toBe('internal');
    expect(seen.at(-1)?.get('Bridge')).toEqual(new Set([br0?._uuid]));

    server.vsctl('set', 'port', 'br0', 'tag=5', '--', 'remove', 'bridge', 'br0', 'other_config', 'hwaddr');
    await until(() => idl.row(Port, port?._uuid ?? '')?.tag === 5, 'the tag');
    expect([...idl.rows(Bridge)][0]?.other_config.size).toBe(0);
    server.vsctl('del-br', 'br0');
    await until(() => names(idl).length === 0, 'br0 to go');
    expect([...idl.rows(Interface)]).toEqual([]);
  });

  test('transactions write, and the replica shows it before they resolve', async () => {
    server.vsctl('add-br', 'br0');
    const { idl, seen } = replica();
    await until(() => idl.hasData, 'the replica');
    const iface = [...idl.rows(Interface)][0];
    if (iface === undefined) throw new Error('no interface');
    const n = seen.length;
    const write = () =>
      idl.transact((txn) =>
        txn.update(Interface, iface._uuid, { ofport: 3, statistics: new Map([['rx_packets', 7]]) }),
      );
    expect(await write()).toBe('success');
    expect(idl.row(Interface, iface._uuid)).toMatchObject({ ofport: 3, statistics: new Map([['rx_packets', 7]]) });
    expect(await write()).toBe('unchanged');
    expect(seen.length).toBe(n);
    expect(server.vsctl('get', 'interface', 'br0', 'ofport', 'statistics')).toBe('3\n{rx_packets=7}\n');
    expect(await idl.transact((txn) => txn.update(Interface, iface._uuid, { mac: 'x', ofport: undefined }))).toBe(
      'success',
    );
    expect(seen.length).toBe(n + 1);
    expect(idl.row(Interface, iface._uuid)?.ofport).toBe(undefined);
  });

  test('inserted rows refer to each other; an error changes nothing', async () => {
    const { idl } = replica();
    await until(() => idl.hasData, 'the replica');
    const root = [...idl.rows(Open_vSwitch)][0];
    if (root === undefined) throw new Error('no Open_vSwitch row');
    const addBridge = () =>
      idl.transact((txn) => {
        const iface = txn.insert(Interface, { name: 'br1', type: 'internal' });
        const port = txn.insert(Port, { name: 'br1', interfaces: [iface] });
        const bridge = txn.insert(Bridge, { name: 'br1', ports: [port] });
        const bridges = idl.row(Open_vSwitch, root._uuid)?.bridges ?? [];
        txn.update(Open_vSwitch, root._uuid, { bridges: [...bridges, bridge] });
        txn.comment('from a test');
      });
    expect(await addBridge()).toBe('success');
    expect(names(idl)).toEqual(['br1']);
    expect(await addBridge()).toBe('error');
    expect(lines.join('')).toContain('transaction error: constraint violation');
    expect(await idl.transact((txn) => txn.update(Bridge, [...idl.rows(Bridge)][0]?._uuid ?? '', { ports: [] }))).toBe(
      'success',
    );
  });

  test('a verified column that changed makes the transaction fail', async () => {
    server.vsctl('add-br', 'br0');
    // This replica does not follow Bridge.fail_mode, so it verifies against what it believes: nothing.
    const { idl } = replica({ tables: [{ table: Open_vSwitch }, { table: Bridge, omit: ['fail_mode'] }] });
    await until(() => idl.hasData, 'the replica');
    server.vsctl('set', 'bridge', 'br0', 'fail_mode=secure');
    const uuid = [...idl.rows(Bridge)][0]?._uuid ?? '';
    const status = await idl.transact((txn) => {
      txn.verify(Bridge, uuid, 'fail_mode');
      txn.update(Bridge, uuid, { datapath_id: '1' });
    });
    expect(status).toBe('try-again');
    expect(server.vsctl('get', 'bridge', 'br0', 'datapath_id')).toBe('[]\n');
  });

  test('one of two has the lock, and the other gets it when the first goes', async () => {
    const first = replica({ lock: 'ovs_vswitchd' });
    await until(() => first.idl.hasLock, 'the lock');
    const second = replica({ lock: 'ovs_vswitchd' });
    await until(() => second.idl.hasData && second.idl.isLockContended, 'the second to find the lock taken');
    expect(await second.idl.transact((txn) => txn.insert(Bridge, { name: 'x' }))).toBe('not-locked');
    const n = second.seen.length;
    first.idl.close();
    await until(() => second.idl.hasLock, 'the second to get the lock');
    expect(second.seen.length).toBeGreaterThan(n);
  });

  test('a restarted server is found again, and what changed meanwhile is seen', async () => {
    server.vsctl('add-br', 'br0');
    const { idl } = replica({ lock: 'ovs_vswitchd' });
    await until(() => idl.hasData && idl.hasLock, 'the replica');
    await server.restart();
    server.vsctl('add-br', 'br1', '--', 'del-br', 'br0');
    await until(() => idl.isConnected && idl.hasLock && names(idl)[0] === 'br1', 'the replica to catch up');
    expect(names(idl)).toEqual(['br1']);
    expect([...idl.rows(Interface)].map((i) => i.name)).toEqual(['br1']);
    expect(lines.join('')).toContain('connection closed by peer');
  });
});
