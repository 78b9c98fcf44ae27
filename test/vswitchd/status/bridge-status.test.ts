/** What is written of an interface is compared with its row only if something that it was made of, or the row, is not what it was. */
import { expect, test } from 'vitest';
import type { Ofproto } from '../../../src/ofproto/ofproto-provider.ts';
import type { Txn } from '../../../src/ovsdb/idl.ts';
import type { BridgePorts } from '../../../src/vswitchd/bridge/bridge-ports.ts';
import type { BridgeConfig } from '../../../src/vswitchd/config/switch-config.ts';
import type { NetdevTable } from '../../../src/vswitchd/devices/netdev.ts';
import type { RemoteDevices } from '../../../src/vswitchd/devices/remote-devices.ts';
import { BridgeStatus } from '../../../src/vswitchd/status/bridge-status.ts';

const netdev = {
  name: 'p1',
  ifindex: 7,
  mac: '02:00:00:00:00:07',
  mtu: 1500,
  isUp: true,
  hasCarrier: true,
  linkResets: 3,
};

/** A bridge of one port, and a database that takes what is written. */
function makeBridge() {
  const world = {
    driver: 'veth',
    resetsBefore: 1,
    netdev,
    row: { _uuid: 'u1' } as Record<string, unknown>,
    nCompared: 0,
  };
  const ofproto = { name: 'br0', ports: new Map([['p1', { name: 'p1', type: 'system', ofport: 1 }]]) };
  const drivers = new Map<string, object>();
  const driver = () => {
    const known = drivers.get(world.driver) ?? { name: world.driver, version: '1', firmware: '' };
    drivers.set(world.driver, known);
    return known;
  };
  const status = new BridgeStatus(
    ofproto as unknown as Ofproto,
    { get: () => world.netdev, driver } as unknown as NetdevTable,
    {
      errorOf: () => undefined,
      linkResetsBefore: () => world.resetsBefore,
      tunnels: { statusOf: () => undefined, ifindexOf: () => 0 },
    } as unknown as BridgePorts,
    { get: () => undefined } as unknown as RemoteDevices,
  );
  const txn = {
    row: () => world.row,
    update: (_table: unknown, _uuid: string, values: Record<string, unknown>) => {
      world.nCompared++;
      const changed = Object.entries(values).filter(([name, value]) => world.row[name] !== value);
      if (changed.length > 0) world.row = { ...world.row, ...Object.fromEntries(changed) };
      return changed.length > 0;
    },
  };
  const config = { ports: [{ interfaces: [{ uuid: 'u1', name: 'p1', type: 'system' }] }] };
  /** How often the row was compared. */
  const write = (): number => {
    const before = world.nCompared;
    status.writeInterfaces(txn as unknown as Txn, config as unknown as BridgeConfig);
    return world.nCompared - before;
  };
  return { world, write };
}

test('driver, link resets and device are followed', () => {
  const { world, write } = makeBridge();
  write();
  expect(world.row['status']).toEqual(
    new Map(Object.entries({ driver_name: 'veth', driver_version: '1', firmware_version: '' })),
  );
  expect(world.row['link_resets']).toBe(2);
  world.driver = 'tun';
  write();
  expect((world.row['status'] as Map<string, string>).get('driver_name')).toBe('tun');
  world.resetsBefore = 3;
  write();
  expect(world.row['link_resets']).toBe(0);
  world.netdev = { ...netdev, mtu: 9000 };
  write();
  expect(world.row['mtu']).toBe(9000);
});

test('a row is compared again only if one of its columns is not what it was', () => {
  const { world, write } = makeBridge();
  expect([write(), write(), write()]).toEqual([1, 1, 0]);
  world.row = { ...world.row, statistics: new Map([['rx_packets', 1]]) };
  expect(write()).toBe(0);
  world.row = { ...world.row, link_state: 'down' };
  expect([write(), write(), write()]).toEqual([1, 0, 0]);
  expect(world.row['link_state']).toBe('up');
});
