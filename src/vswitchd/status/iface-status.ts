/**
 * What the database is told of an interface: the columns of its Interface row that say how it is, how its device is, and
 * what it has counted.  bridge.ts writes them.  Source: vswitchd/vswitch.xml (Interface), vswitchd/bridge.c.
 */
import type { DpifPortStats } from '../../dpif/dpif-types.ts';
import type { DeviceDriver } from '../../native/index.ts';
import { speedOf } from '../../openflow/messages/port/phy-port.ts';
import type { RowValues } from '../../ovsdb/ovsdb-types.ts';
import type { Interface } from '../../ovsdb/vswitch-schema.ts';
import { formatMac } from '../../util/inet.ts';
import type { Netdev, NetdevStats } from '../devices/netdev.ts';

type InterfaceColumns = RowValues<typeof Interface>;

/** Columns that follow the device; empty ones if there is none that we can see. */
export function deviceColumns(
  netdev: Netdev | undefined,
  type: string,
  driver: DeviceDriver | undefined,
  linkResetsBefore = 0,
): InterfaceColumns {
  if (netdev === undefined) return NO_DEVICE;
  return {
    admin_state: netdev.isUp ? 'up' : 'down',
    link_state: netdev.hasCarrier ? 'up' : 'down',
    link_resets: netdev.linkResets - linkResetsBefore,
    mtu: netdev.mtu,
    mac_in_use: netdev.mac,
    ifindex: netdev.ifindex,
    status: new Map(type === 'internal' ? [['driver_name', 'openvswitch']] : driverStatus(driver)),
  };
}

const driverStatus = (driver: DeviceDriver | undefined): [string, string][] =>
  driver === undefined
    ? []
    : [
        ['driver_name', driver.name],
        ['driver_version', driver.version],
        ['firmware_version', driver.firmware],
      ];

/** OFPPF_* of links that send and receive at once. */
const FULL_DUPLEX = 0x3ea;

/** Columns of what the link of a device does (OFPPF_* bits); empty ones if its speed is not known. */
export function linkColumns(curr: number): InterfaceColumns {
  const kbps = speedOf(curr);
  if (kbps === 0) return { duplex: undefined, link_speed: undefined };
  return { duplex: (curr & FULL_DUPLEX) === 0 ? 'half' : 'full', link_speed: kbps * 1000 };
}

/** Columns of a patch port, which is always up. */
export const patchColumns = (mac: Uint8Array): InterfaceColumns => ({
  ...NO_DEVICE,
  admin_state: 'up',
  link_state: 'up',
  link_resets: 0,
  mac_in_use: formatMac(mac),
  ifindex: 0,
  duplex: undefined,
  link_speed: undefined,
});

/** Columns of a tunnel, which is always up, too. */
export const tunnelColumns = (
  mac: Uint8Array,
  ifindex: number,
  status: ReadonlyMap<string, string>,
): InterfaceColumns => ({
  ...patchColumns(mac),
  ifindex,
  status,
});

const NO_DEVICE: InterfaceColumns = {
  admin_state: undefined,
  link_state: undefined,
  link_resets: undefined,
  mtu: undefined,
  mac_in_use: undefined,
  ifindex: undefined,
  status: new Map(),
};

/** All that is said of an interface that could not be made part of its bridge; an empty `error` is not said. */
export const failedColumns = (error: string): InterfaceColumns => ({
  ...NO_DEVICE,
  ofport: -1,
  error: error || undefined,
  duplex: undefined,
  link_speed: undefined,
  statistics: new Map(),
});

// biome-ignore format: table
const FROM_DATAPATH = [
  ['rx_packets', 'rxPackets'], ['tx_packets', 'txPackets'],
  ['rx_bytes',   'rxBytes'],   ['tx_bytes',   'txBytes'],
  ['rx_dropped', 'rxDropped'], ['tx_dropped', 'txDropped'],
  ['rx_errors',  'rxErrors'],  ['tx_errors',  'txErrors'],
] as const;
// biome-ignore format: table
const FROM_DEVICE = [
  ['rx_frame_err',         'rxFrameErrors'],
  ['rx_over_err',          'rxOverErrors'],
  ['rx_crc_err',           'rxCrcErrors'],
  ['rx_missed_errors',     'rxMissedErrors'],
  ['collisions',           'collisions'],
  ['rx_multicast_packets', 'multicast'],
] as const;

/** Of what counts its own packets (patch ports, tunnels), only this is known. */
const OWN = ['rx_packets', 'tx_packets', 'rx_bytes', 'tx_bytes'];

/** Where the errors are that only a device knows of: in its own counters; nowhere, so that there are none; or not told at all. */
export type DeviceErrors = NetdevStats | 'none' | 'unknown';

/** Interface.statistics: what the datapath has counted on the port, and errors of its device. */
export function statisticsColumn(port: DpifPortStats, device: DeviceErrors): ReadonlyMap<string, number> {
  const result = new Map<string, number>();
  const isOwn = device === 'unknown';
  for (const [name, key] of FROM_DATAPATH) if (!isOwn || OWN.includes(name)) result.set(name, Number(port[key]));
  if (isOwn) return result;
  for (const [name, key] of FROM_DEVICE) result.set(name, device === 'none' ? 0 : Number(device[key]));
  return result;
}
