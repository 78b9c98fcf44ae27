/** The whole of vswitchd but the datapath: real ovsdb-server, stock ovs-vsctl, and a fake backer. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/util/errno.ts';
import type { Vswitchd } from '../../src/vswitchd/vswitchd.ts';
import { type OvsdbServer, skipReason, until } from '../ovsdb/ovsdb-server.ts';
import type { FakeWorld } from './fakes.ts';
import { SwitchLab } from './switch-lab.ts';

describe.skipIf(skipReason())('vswitchd with ovs-vsctl', () => {
  let lab: SwitchLab;
  let server: OvsdbServer;
  let world: FakeWorld;
  let lines: readonly string[] = [];
  let running: Vswitchd[] = [];

  beforeEach(async () => {
    lab = await SwitchLab.open();
    ({ server, world, lines, running } = lab);
    await lab.start();
  });
  afterEach(() => lab.close());

  const start = (): Promise<Vswitchd> => lab.start();
  const vsctl = (...args: string[]) => lab.vsctl(...args);
  const get = async (name: string, ...columns: string[]) =>
    (await vsctl('get', 'interface', name, ...columns)).out.trim().split('\n');
  const ports = () => [...(world.ports?.keys() ?? [])];

  test('add-br and del-br return when it is done', async () => {
    expect((await vsctl('add-br', 'br0')).err).toBe('');
    expect(ports()).toEqual(['ovs-system', 'br0']);
    const mac = world.netdevs.get('br0')?.mac ?? '';
    expect(await get('br0', 'ofport', 'error', 'mac_in_use', 'admin_state', 'mtu')).toEqual([
      '65534',
      '[]',
      `"${mac}"`,
      'down',
      '1500',
    ]);
    const bridge = (await vsctl('get', 'bridge', 'br0', 'datapath_id', 'datapath_version')).out;
    expect(bridge).toBe(`"0000${mac.replaceAll(':', '')}"\n"<unknown>"\n`);
    await vsctl('--id=@d', 'create', 'Datapath', 'datapath_version=0', '--', 'set', 'open', '.', 'datapaths:system=@d');
    const caps = (await vsctl('list-dp-cap', 'system')).out;
    expect(caps).toContain('add_mpls=false');
    expect(caps).toContain('max_vlan_headers=2 ');
    const uuid = (await vsctl('get', 'bridge', 'br0', '_uuid')).out.trim();
    // The first four bytes of the UUID backwards, then two more backwards, the first with its local bit set.
    expect(mac.slice(3, 11)).toBe([uuid.slice(4, 6), uuid.slice(2, 4), uuid.slice(0, 2)].join(':'));
    const root = (await vsctl('get', 'open', '.', 'iface_types', 'datapath_types', 'ovs_version')).out;
    const tunnels = 'bareudp, erspan, geneve, gre, gtpu';
    const types = `${tunnels}, internal, ip6erspan, ip6gre, lisp, patch, stt, system, tap, vxlan`;
    expect(root).toBe(`[${types}]\n[system]\n"3.1.0"\n`);
    await vsctl('del-br', 'br0');
    expect(world.ports).toBe(undefined);
    expect(world.journal.slice(-2)).toEqual(['destroy br0', 'close and delete']);
  });

  test('devices are given up with their port, or with the bridge', async () => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0', '--', 'add-port', 'br0', 'eth1');
    await vsctl('del-port', 'eth0');
    expect(world.netdevs.released).toEqual(['eth0']);
    await vsctl('del-br', 'br0');
    expect(world.netdevs.released.sort()).toEqual(['br0', 'eth0', 'eth1']);
  });

  test('ports are in bundles before packets come by patch ports, and until they go', async () => {
    await vsctl('add-br', 'br0');
    const br0 = world.backer?.ofprotos.get('br0');
    if (br0 === undefined) throw new Error('there is no br0');
    const seen: string[] = [];
    const note = (what: string, name: string) => seen.push(`${what} ${name} ${br0.bundles.has(name)}`);
    const { setPatchPeer, portDel } = br0;
    br0.setPatchPeer = (name, peer) => {
      note('peer', name);
      setPatchPeer.call(br0, name, peer);
    };
    br0.portDel = (name) => {
      note('del', name);
      return portDel.call(br0, name);
    };
    await vsctl('add-port', 'br0', 'p0', '--', 'set', 'interface', 'p0', 'type=patch', 'options:peer=p1');
    await vsctl('del-port', 'p0');
    expect(new Set(seen)).toEqual(new Set(['peer p0 true', 'del p0 true']));
    expect(br0.bundles.has('p0')).toBe(false);
    // Each before the next is added, which may take a while.
    await vsctl('add-port', 'br0', 'eth0', '--', 'add-port', 'br0', 'eth1');
    const bundles = world.journal.flatMap((line) => /^(add br0|bundle) eth\d/.exec(line)?.[0] ?? []);
    expect(bundles).toEqual(['add br0 eth0', 'bundle eth0', 'add br0 eth1', 'bundle eth1']);
  });

  test('ports of each type, and errors for those that cannot be', async () => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0', '--', 'add-port', 'br0', 'eth1', 'tag=7');
    expect(ports()).toEqual(['ovs-system', 'br0', 'eth0', 'eth1']);
    expect(world.journal).toContain('bundle eth1 access tag=7 [eth1]');
    const { err } = await vsctl('add-port', 'br0', 'eth9');
    expect(err).toContain('could not open network device eth9 (No such device)');
    expect(await get('eth9', 'ofport', 'error')).toEqual([
      '-1',
      '"could not open network device eth9 (No such device)"',
    ]);
    await vsctl('add-port', 'br0', 'v1', '--', 'set', 'interface', 'v1', 'type=vxlan');
    expect((await get('v1', 'error'))[0]).toContain("v1: vxlan type requires valid 'remote_ip' argument");
    await vsctl('add-port', 'br0', 'pa', '--', 'set', 'interface', 'pa', 'type=patch', 'options:peer=nobody');
    expect(await get('pa', 'error')).toEqual(['"no such peer"']);
    await vsctl('del-port', 'pa');
    // What is wrong with these only the log says, once.
    for (const name of ['ovs-netdev', 'vxlan_sys_4789']) {
      expect((await vsctl('add-port', 'br0', name)).err).toContain(`Error detected while setting up '${name}'.  See `);
      expect(await get(name, 'ofport', 'error')).toEqual(['-1', '[]']);
      await vsctl('set', 'port', name, 'external_ids:x=y');
      expect(lines.join('').split(`could not create interface ${name}, name is reserved\n`)).toHaveLength(2);
      await vsctl('del-port', name);
    }
    await vsctl('add-port', 'br0', 'u1', '--', 'set', 'interface', 'u1', 'type=nonesuch');
    expect((await get('u1', 'error'))[0]).toContain('(Address family not supported by protocol)');
    expect(lines.join('')).toContain('|netdev|WARN|could not create netdev u1 of unknown type nonesuch\n');
    await vsctl('add-port', 'br0', 'p1', '--', 'set', 'interface', 'p1', 'type=internal');
    expect(await get('p1', 'ofport', 'error', 'status')).toEqual(['3', '[]', '{driver_name=openvswitch}']);
    await vsctl('del-port', 'eth1');
    expect(ports()).not.toContain('eth1');
    expect(world.journal.slice(-2)).toEqual(['del br0 eth1', 'unbundle eth1']);
    // A change that does not concern the datapath reaches nobody.
    const before = world.journal.length;
    await vsctl('set', 'bridge', 'br0', 'external_ids:x=y');
    expect(world.journal.length).toBe(before);
  });

  test('only devices are told of options: tunnels and patch ports have none', async () => {
    const patch = (n: number) => `-- add-port br0 pa${n} -- set interface pa${n} type=patch options:peer=pa${3 - n}`;
    const tunnel = '-- add-port br0 v1 -- set interface v1 type=vxlan options:remote_ip=1.2.3.4';
    await vsctl(...`add-br br0 -- add-port br0 eth0 ${patch(1)} ${patch(2)} ${tunnel}`.split(' '));
    await vsctl('set', 'interface', 'v1', 'options:key=flow');
    expect([...world.netdevs.told].sort()).toEqual(['br0', 'eth0']);
  });

  test('another limit of VLAN tags has flows made anew', async () => {
    await vsctl('add-br', 'br0');
    await vsctl('set', 'open', '.', 'other_config:vlan-limit=0');
    await vsctl('set', 'open', '.', 'other_config:vlan-limit=2');
    await vsctl('set', 'open', '.', 'other_config:vlan-limit=1');
    expect(world.journal.filter((line) => line === 'flows anew')).toHaveLength(2);
  });

  test('ofport_request moves ports, and the one that was there by chance', async () => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0', '--', 'add-port', 'br0', 'eth1');
    expect([await get('eth0', 'ofport'), await get('eth1', 'ofport')]).toEqual([['1'], ['2']]);
    await vsctl('set', 'interface', 'eth1', 'ofport_request=1');
    expect([await get('eth0', 'ofport'), await get('eth1', 'ofport')]).toEqual([['2'], ['1']]);
    await vsctl('set', 'interface', 'eth0', 'ofport_request=30');
    expect(await get('eth0', 'ofport')).toEqual(['30']);
    await vsctl('set', 'interface', 'eth1', 'ofport_request=30');
    expect([await get('eth0', 'ofport'), await get('eth1', 'ofport')]).toEqual([['30'], ['1']]);
  });

  test('the bridge takes the lowest universal MAC address of its ports, or the one that it is told', async () => {
    world.netdevs.put('eth0', { mac: '00:11:22:33:44:66' });
    world.netdevs.put('eth1', { mac: '00:11:22:33:44:55' });
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0', '--', 'add-port', 'br0', 'eth1');
    expect(world.netdevs.get('br0')?.mac).toBe('00:11:22:33:44:55');
    await vsctl('set', 'bridge', 'br0', 'other_config:hwaddr=02:aa:aa:aa:aa:aa', 'other_config:datapath-id=0x42');
    expect(world.netdevs.get('br0')?.mac).toBe('02:aa:aa:aa:aa:aa');
    expect((await vsctl('get', 'bridge', 'br0', 'datapath_id')).out).toBe('"0000000000000042"\n');
    await vsctl('set', 'interface', 'eth0', 'mtu_request=1400');
    expect([world.netdevs.get('eth0')?.mtu, world.netdevs.get('br0')?.mtu]).toEqual([1400, 1400]);
  });

  test('an internal port keeps an MTU that is lower than those of the other devices, until that of these changes', async () => {
    const mtus = () => [world.netdevs.get('eth0')?.mtu, world.netdevs.get('br0')?.mtu];
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0', '--', 'set', 'interface', 'eth0', 'mtu_request=1450');
    expect(mtus()).toEqual([1450, 1450]);
    world.netdevs.put('br0', { mtu: 1300 });
    await vsctl('set', 'bridge', 'br0', 'external_ids:a=b');
    expect(mtus()).toEqual([1450, 1300]);
    world.netdevs.put('br0', { mtu: 1500 });
    await vsctl('set', 'bridge', 'br0', 'external_ids:a=c');
    expect(mtus()).toEqual([1450, 1450]);
    await vsctl('set', 'interface', 'eth0', 'mtu_request=1490');
    expect(mtus()).toEqual([1490, 1490]);
    await vsctl('del-port', 'eth0');
    expect(mtus()[1]).toBe(1500);
  });

  test('a patch port whose options become wrong is no port any more, and says why', async () => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'pa');
    await vsctl('set', 'interface', 'pa', 'type=patch', 'options:peer=pb');
    expect(ports()).toContain('pa');
    await vsctl('set', 'interface', 'pa', 'options:peer=pa');
    expect(await get('pa', 'ofport', 'error')).toEqual(['-1', '"pa: patch peer must not be self"']);
    await vsctl('set', 'interface', 'pa', 'options:peer=pb', 'options:more=1');
    expect(await get('pa', 'ofport', 'error')).toEqual(['-1', `"pa: patch type takes only a 'peer' argument"`]);
    expect(ports()).not.toContain('pa');
    await vsctl('remove', 'interface', 'pa', 'options', 'more');
    expect(ports()).toContain('pa');
  });

  test('devices that come, go, change and come back are followed', async () => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0', '--', 'add-port', 'br0', 'eth7');
    world.netdevs.put('eth0', { isUp: true, hasCarrier: true });
    await until(async () => (await get('eth0', 'link_state'))[0] === 'up', 'link_state');
    world.netdevs.put('eth7');
    await until(() => ports().includes('eth7'), 'eth7 to become a port');
    await until(async () => (await get('eth7', 'error'))[0] === '[]', 'the error to go');
    world.netdevs.drop('eth0');
    await until(() => !ports().includes('eth0'), 'eth0 to leave the datapath');
    await until(async () => (await get('eth0', 'ofport'))[0] === '-1', 'ofport -1');
    world.netdevs.put('eth0');
    await until(() => ports().includes('eth0'), 'eth0 to be a port again');
    // The same name, another device.
    const n = world.journal.length;
    world.netdevs.devices.delete('eth0');
    world.netdevs.put('eth0');
    await until(
      () => world.journal.slice(n).includes('del br0 eth0') && ports().includes('eth0'),
      'eth0 to be replaced',
    );
  });

  test('statistics are written', async () => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0');
    await until(async () => (await get('eth0', 'statistics'))[0] !== '{}', 'statistics');
    expect((await get('eth0', 'statistics'))[0]).toBe(
      '{collisions=1, rx_bytes=200, rx_crc_err=3, rx_dropped=0, rx_errors=0, rx_frame_err=4, rx_missed_errors=5, ' +
        'rx_multicast_packets=0, rx_over_err=2, rx_packets=2, tx_bytes=200, tx_dropped=0, tx_errors=0, tx_packets=2}',
    );
  });

  test('the datapath dies and comes back', async () => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0');
    world.die();
    await until(async () => (await get('eth0', 'ofport'))[0] === '-1', 'the error in the database');
    expect((await get('eth0', 'error'))[0]).toContain(
      'datapath ovs-system is not available (Connection refused: no openvswitch module and no',
    );
    const { err } = await vsctl('add-port', 'br0', 'eth1');
    expect(err).toContain('Connection refused');
    world.isAlive = true;
    await until(() => ports().length === 4, 'the ports to come back');
    await until(async () => (await get('eth1', 'error'))[0] === '[]', 'the error to go');
    const said = lines.filter((line) => line.includes('|bridge|ERR|'));
    expect(said.filter((line) => line.includes('is gone (Connection refused)')).length).toBe(1);
    expect(said.length).toBeLessThanOrEqual(2);
  });

  test.each(['ETIMEDOUT', 'ENOBUFS'] as const)('a datapath that is only slow stays: %s', async (name) => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0');
    world.statsErrno = ERRNO[name];
    const { nAsked } = world;
    await until(() => world.nAsked > nAsked + 2, 'it to be asked');
    expect(world.journal).not.toContain('close');
    expect((await get('eth0', 'error'))[0]).toBe('[]');
  });

  test('a port that is deleted under us is made again', async () => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0');
    world.backer?.vanish('br0', 'eth0');
    expect(ports()).not.toContain('eth0');
    await until(() => ports().includes('eth0'), 'eth0 to be a port again');
    expect(world.journal.filter((entry) => entry === 'configured').length).toBe(1);
  });

  test('a datapath that is deleted under us is made again', async () => {
    await vsctl('add-br', 'br0');
    world.ports = undefined;
    await until(() => ports().length === 2, 'ovs-system to be made again');
  });

  test('a restart keeps the ports, and sweeps away those that nobody wants', async () => {
    await vsctl('add-br', 'br0', '--', 'add-port', 'br0', 'eth0', '--', 'add-port', 'br0', 'eth1');
    const numbers = new Map(world.ports);
    await running.pop()?.stop(false);
    expect(world.journal.at(-1)).toBe('close');
    server.vsctl('del-port', 'eth1');
    const again = await start();
    await again.configured;
    numbers.delete('eth1');
    expect(world.ports).toEqual(numbers);
    expect(world.journal).toContain('dpif del eth1');
    expect(await get('eth0', 'ofport')).toEqual(['1']);
    await running.pop()?.stop(true);
    expect(world.ports).toBe(undefined);
    expect(world.journal.slice(-2)).toEqual(['destroy br0', 'close and delete']);
  });

  test('a second vswitchd waits until the first one goes', async () => {
    await vsctl('add-br', 'br0');
    const second = await start();
    await until(() => lines.join('').includes('disabling this process'), 'the second to say so');
    expect(lines.join('')).toContain(
      `|bridge|ERR|another ovs-vswitchd process is running, disabling this process (pid ${process.pid}) until it goes away\n`,
    );
    expect(second.backer).toBe(undefined);
    await running.shift()?.stop(false);
    await second.configured;
    expect(second.backer?.ofprotos.has('br0')).toBe(true);
  });

  test('a bridge of a datapath type that we lack is an error, and no bridge', async () => {
    const { err } = await vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev');
    expect(err).toContain('datapath_type "netdev" is not supported');
    expect(world.ports).toBe(undefined);
  });
});
