/** Columns of Interface rows: what is told of devices of each kind, and which counters. */
import { describe, expect, it } from 'vitest';
import { deviceColumns, statisticsColumn } from '../../../src/vswitchd/status/iface-status.ts';

const NETDEV = {
  name: 'p0',
  ifindex: 7,
  mac: '02:00:00:00:00:01',
  mtu: 1500,
  isUp: true,
  hasCarrier: false,
  linkResets: 5,
  kind: 'veth',
};
const DRIVER = { name: 'veth', version: '1.0', firmware: '' };

describe('deviceColumns', () => {
  it('tells of a device, since it became a port', () => {
    expect(deviceColumns(NETDEV, 'system', DRIVER, 3)).toMatchObject({
      admin_state: 'up',
      link_state: 'down',
      link_resets: 2,
      mtu: 1500,
      mac_in_use: '02:00:00:00:00:01',
      ifindex: 7,
      status: new Map(Object.entries({ driver_name: 'veth', driver_version: '1.0', firmware_version: '' })),
    });
  });

  it('says nothing of a driver that says nothing', () => {
    expect(deviceColumns(NETDEV, 'system', undefined)).toMatchObject({ status: new Map(), link_resets: 5 });
  });

  it('names the switch as the driver of an internal port', () => {
    const { status } = deviceColumns(NETDEV, 'internal', DRIVER);
    expect(status).toEqual(new Map([['driver_name', 'openvswitch']]));
  });

  it('is empty without a device', () => {
    expect(deviceColumns(undefined, 'system', DRIVER)).toMatchObject({ admin_state: undefined, status: new Map() });
  });
});

describe('statisticsColumn', () => {
  const ofDevice = { multicast: 1n, collisions: 2n, rxOverErrors: 3n, rxCrcErrors: 4n, rxFrameErrors: 5n };
  const counted = {
    ...{ rxPackets: 10n, txPackets: 11n, rxBytes: 12n, txBytes: 13n },
    ...{ rxErrors: 14n, txErrors: 15n, rxDropped: 16n, txDropped: 17n },
  };
  const port = { ...counted, upcallSuccess: undefined, upcallFail: undefined };

  it('takes packets from the datapath, and errors from the device', () => {
    const device = { ...counted, rxPackets: 99n, ...ofDevice, rxMissedErrors: 6n };
    expect(Object.fromEntries(statisticsColumn(port, device))).toEqual({
      ...{ rx_packets: 10, tx_packets: 11, rx_bytes: 12, tx_bytes: 13 },
      ...{ rx_errors: 14, tx_errors: 15, rx_dropped: 16, tx_dropped: 17 },
      ...{
        rx_multicast_packets: 1,
        collisions: 2,
        rx_over_err: 3,
        rx_crc_err: 4,
        rx_frame_err: 5,
        rx_missed_errors: 6,
      },
    });
  });

  it('has no such errors of an internal port', () => {
    const stats = statisticsColumn(port, 'none');
    expect([stats.size, stats.get('collisions'), stats.get('rx_errors')]).toEqual([14, 0, 14]);
  });

  it('knows only packets and bytes of ports that count by themselves', () => {
    const stats = Object.fromEntries(statisticsColumn(port, 'unknown'));
    expect(stats).toEqual({ rx_packets: 10, tx_packets: 11, rx_bytes: 12, tx_bytes: 13 });
  });
});
