/** What vswitchd reads of the table Open_vSwitch and writes there: real ovsdb-server, stock ovs-vsctl, and a fake backer. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Vswitchd } from '../../src/vswitchd/vswitchd.ts';
import { type OvsdbServer, skipReason, until } from '../ovsdb/ovsdb-server.ts';
import type { FakeWorld } from './fakes.ts';
import { SwitchLab } from './switch-lab.ts';

describe.skipIf(skipReason())('vswitchd and its database', () => {
  let lab: SwitchLab;
  let server: OvsdbServer;
  let world: FakeWorld;
  let lines: readonly string[] = [];

  beforeEach(async () => {
    lab = await SwitchLab.open();
    ({ server, world, lines } = lab);
  });
  afterEach(() => lab.close());

  const start = (): Promise<Vswitchd> => lab.start();
  const vsctl = async (...args: string[]): Promise<string> => (await lab.vsctl(...args)).out;
  const get = async (...args: string[]) => (await vsctl('--no-wait', 'get', ...args)).trim();

  test('numbers of the host are there while they are asked for', async () => {
    await start();
    await vsctl('set', 'open', '.', 'other_config:enable-statistics=true');
    await until(async () => /cpu="?\d/.test(await get('open', '.', 'statistics')), 'statistics');
    expect(await get('open', '.', 'statistics')).toMatch(/load_average="\d.*memory="\d/);
    await vsctl('remove', 'open', '.', 'other_config', 'enable-statistics');
    await until(async () => (await get('open', '.', 'statistics')) === '{}', 'none');
  });

  test('flow-restore-wait holds until it is false once, and keeps controllers away', async () => {
    server.vsctl('set', 'open', '.', 'other_config:flow-restore-wait=true');
    const v = await start();
    await vsctl('add-br', 'br0', '--', 'set-controller', 'br0', 'tcp:127.0.0.1:1');
    const options = () => (v.backer as unknown as { options: { flowRestoreWait?: boolean } }).options;
    const controllers = () => world.backer?.ofprotos.get('br0')?.openflow?.controllers.map((c) => c.target);
    expect(options().flowRestoreWait).toBe(true);
    expect(controllers()).toEqual([]);
    await vsctl('remove', 'open', '.', 'other_config', 'flow-restore-wait');
    expect(options().flowRestoreWait).toBe(false);
    expect(controllers()).toEqual(['tcp:127.0.0.1:1']);
    await vsctl('set', 'open', '.', 'other_config:flow-restore-wait=true');
    expect(options().flowRestoreWait).toBe(false);
    expect(controllers()).toEqual(['tcp:127.0.0.1:1']);
  });

  test('zones of the connection tracker', async () => {
    await start();
    await vsctl(
      'add-br',
      'br0',
      '--',
      '--id=@dp',
      'create',
      'datapath',
      'datapath_version=0',
      '--',
      'set',
      'open',
      '.',
      'datapaths:system=@dp',
    );
    expect(await vsctl('list-dp-cap', 'system')).toContain('recirc=true');
    await vsctl('add-zone-tp', 'system', 'zone=3', 'udp_single=7', 'tcp_close=9');
    const times = new Map([
      ['tcp_close', 9],
      ['udp_single', 7],
    ]);
    expect(world.backer?.ctZones).toEqual(new Map([[3, times]]));
    await vsctl('del-zone-tp', 'system', 'zone=3');
    expect(world.backer?.ctZones).toEqual(new Map());
  });

  test('a killed database changes nothing; what was written meanwhile is done when it is back', async () => {
    await start();
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0');
    const before = [...(world.ports?.keys() ?? [])];
    world.journal.length = 0;
    await server.restart();
    expect([...(world.ports?.keys() ?? [])]).toEqual(before);
    await vsctl('add-port', 'br0', 'eth1', '--', 'del-port', 'eth0');
    expect([...(world.ports?.keys() ?? [])].sort()).toEqual(['br0', 'eth1', 'ovs-system']);
    // Columns that the server does not keep are written again.
    expect(await get('interface', 'br0', 'ofport')).toBe('65534');
    expect(await get('bridge', 'br0', 'datapath_id')).toMatch(/^"[0-9a-f]{16}"$/);
  });

  test('one transaction: deleted and added under the same names, moved to another bridge, numbers exchanged', async () => {
    await start();
    await vsctl(
      'add-br',
      'br0',
      '--',
      'add-br',
      'br1',
      '--',
      'add-port',
      'br0',
      'eth0',
      '--',
      'add-port',
      'br0',
      'eth1',
    );
    const ofport = (name: string) => get('interface', name, 'ofport');
    const bridgeOf = (name: string) => vsctl('--no-wait', 'port-to-br', name).then((s) => s.trim());
    await vsctl('del-port', 'eth0', '--', 'add-port', 'br1', 'eth0');
    expect([await bridgeOf('eth0'), await ofport('eth0')]).toEqual(['br1', '1']);
    expect([...(world.backer?.ofprotos.get('br1')?.ports.keys() ?? [])]).toContain('eth0');
    expect([...(world.backer?.ofprotos.get('br0')?.ports.keys() ?? [])]).not.toContain('eth0');

    await vsctl(
      'add-port',
      'br0',
      'eth2',
      '--',
      'set',
      'interface',
      'eth1',
      'ofport_request=5',
      '--',
      'set',
      'interface',
      'eth2',
      'ofport_request=6',
    );
    expect([await ofport('eth1'), await ofport('eth2')]).toEqual(['5', '6']);
    await vsctl('set', 'interface', 'eth1', 'ofport_request=6', '--', 'set', 'interface', 'eth2', 'ofport_request=5');
    expect([await ofport('eth1'), await ofport('eth2')]).toEqual(['6', '5']);

    await vsctl(
      'del-br',
      'br0',
      '--',
      'add-br',
      'br0',
      '--',
      'add-port',
      'br0',
      'eth1',
      '--',
      'set',
      'port',
      'eth1',
      'tag=7',
    );
    expect([...(world.backer?.ofprotos.get('br0')?.ports.keys() ?? [])].sort()).toEqual(['br0', 'eth1']);
    expect(world.backer?.ofprotos.get('br0')?.bundles.get('eth1')?.tag).toBe(7);
    // A port of another name that takes over the interface's device.
    await vsctl('del-port', 'br0', 'eth1', '--', 'add-bond', 'br0', 'bond0', 'eth1', 'eth2');
    expect([...(world.backer?.ofprotos.get('br0')?.bundles.get('bond0')?.members ?? [])]).toEqual(['eth1']);
  });

  test('of a bond only the first interface becomes a port, and the others say why they do not', async () => {
    await start();
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth2');
    expect(await get('interface', 'eth2', 'ofport')).toBe('1');
    const said = await vsctl('del-port', 'eth2', '--', 'add-bond', 'br0', 'bond0', 'eth2', 'eth1', 'lacp=active');
    expect(said).toBe('');
    expect([...(world.backer?.ofprotos.get('br0')?.ports.keys() ?? [])].sort()).toEqual(['br0', 'eth1']);
    expect(await get('interface', 'eth1', 'error')).toBe('[]');
    expect(await get('interface', 'eth2', 'ofport')).toBe('-1');
    expect(await get('interface', 'eth2', 'error')).toBe('"port bond0: bonds are not supported, only eth1 is used"');
    // Without the first one the next takes its place.
    await vsctl('del-bond-iface', 'bond0', 'eth1');
    expect([...(world.backer?.ofprotos.get('br0')?.bundles.get('bond0')?.members ?? [])]).toEqual(['eth2']);
    expect(await get('interface', 'eth2', 'error')).toBe('[]');
  });

  test('a port has counters as soon as it is one, and before the time for statistics', async () => {
    await lab.start({ statsMs: 3_600_000 });
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0');
    for (const name of ['br0', 'eth0']) expect(await get('interface', name, 'statistics')).toContain('rx_packets=');
    await vsctl('add-port', 'br0', 'eth1');
    expect(await get('interface', 'eth1', 'statistics')).toContain('rx_packets=');
  });

  test('fake bridges are ports with a tag', async () => {
    await start();
    await vsctl('add-br', 'br0', '--', 'add-br', 'vlan9', 'br0', '9', '--', 'add-port', 'vlan9', 'eth0');
    const bundle = (name: string) => world.backer?.ofprotos.get('br0')?.bundles.get(name);
    expect(bundle('vlan9')).toMatchObject({ tag: 9, vlanMode: 'access' });
    expect(bundle('eth0')).toMatchObject({ tag: 9, vlanMode: 'access' });
    expect(await get('interface', 'vlan9', 'ofport')).toMatch(/^\d+$/);
    await vsctl('br-set-external-id', 'vlan9', 'a', 'b', '--', 'del-br', 'vlan9');
    expect(bundle('eth0')).toBe(undefined);
  });

  test('what cannot be followed is said once', async () => {
    await start();
    await vsctl('set', 'open', '.', 'other_config:pmd-cpu-mask=3', 'other_config:max-idle=5000');
    await vsctl(
      'add-br',
      'br0',
      '--',
      '--id=@n',
      'create',
      'netflow',
      'targets="here"',
      '--',
      'set',
      'bridge',
      'br0',
      'netflow=@n',
    );
    await vsctl('set', 'bridge', 'br0', 'stp_enable=true', 'other_config:forward-bpdu=true');
    await vsctl('set', 'interface', 'br0', 'bfd:enable=true');
    await vsctl('set-controller', 'br0', 'tcp:127.0.0.1:1', '--', 'set', 'controller', 'br0', 'local_ip=192.0.2.1');
    const said = (text: string) => lines.filter((line) => line.includes(text)).length;
    expect(said('INFO|other_config:pmd-cpu-mask has no effect: there are no PMD threads')).toBe(1);
    expect(said('max-idle')).toBe(0);
    expect(said('WARN|controller tcp:127.0.0.1:1: local_ip is not supported')).toBe(1);
    expect(said('WARN|bridge br0: NetFlow target "here" is not HOST:PORT')).toBe(1);
    expect(said('WARN|bridge br0: NetFlow is not supported; its settings are ignored')).toBe(1);
    expect(said('WARN|bridge br0: spanning tree (STP) is not supported')).toBe(1);
    expect(said('WARN|interface br0: BFD is not supported')).toBe(1);
    await vsctl('set-ssl', '/nonexistent/key', '/nonexistent/cert', '/nonexistent/ca', '--', 'add-br', 'br1');
    await vsctl('set', 'bridge', 'br1', 'datapath_type=netdev');
    expect(said('ERR|files of table SSL cannot be used: ENOENT')).toBe(1);
    expect(said('ERR|bridge br1: not created, as datapath_type "netdev" is not supported')).toBe(1);
    expect(said('INFO|bridge br1: deleted interface br1 on port 65534')).toBe(1);
    expect(world.backer?.ofprotos.get('br0')?.forwardsBpdu).toBe(true);
    // Set anew, it is said anew.
    await vsctl('set', 'bridge', 'br0', 'stp_enable=false');
    await vsctl('set', 'bridge', 'br0', 'stp_enable=true');
    expect(said('spanning tree (STP)')).toBe(2);
  });
});
