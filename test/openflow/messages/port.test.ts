/** Statistics and changes of ports: there and back, errors, and against stock ovs-ofctl. */
import { describe, expect, test } from 'vitest';
import { UNKNOWN32 } from '../../../src/openflow/messages/flow/flow-types.ts';
import type { PortStats } from '../../../src/openflow/messages/switch/switch-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPP, OFPPC } from '../../../src/openflow/ofp-port.ts';
import { again, bodyAgain } from './again.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 3;
const counters = {
  rxPackets: 103766n,
  txPackets: 136n,
  rxBytes: 39651480n,
  txBytes: 11512n,
  rxDropped: 1n,
  txDropped: 2n,
  rxErrors: 3n,
  txErrors: 4n,
  rxFrameErrors: 252n,
  rxOverErrors: 253n,
  rxCrcErrors: 254n,
  collisions: 255n,
};

function statsOf(version: OfVersion): PortStats {
  const hasDuration = version >= 4;
  return {
    portNo: 2,
    counters,
    custom: [],
    durationSec: hasDuration ? 1 : UNKNOWN32,
    durationNsec: hasDuration ? 1_000_000 : UNKNOWN32,
  };
}

describe('statistics of ports', () => {
  test.each(VERSIONS)('version %i', (version) => {
    const stats = statsOf(version);
    const some = { ...stats, portNo: OFPP.LOCAL, counters: { rxPackets: 1n, txBytes: 0n } };
    const bytes = roundTrip({ kind: 'port_stats_reply', version, xid, body: [stats, some] });
    if (hasOfctl) {
      const text = stockPrint(bytes);
      expect(text).toContain('2 ports');
      expect(text).toContain('port  2: rx pkts=103766, bytes=39651480, drop=1, errs=3, frame=252, over=253, crc=254');
      expect(text).toContain('tx pkts=136, bytes=11512, drop=2, errs=4, coll=255');
      if (version >= 4) expect(text).toContain('duration=1.001s');
      expect(text).toContain('port LOCAL: rx pkts=1, bytes=?, drop=?, errs=?, frame=?, over=?, crc=?');
    }
    roundTrip({ kind: 'port_stats_request', version, xid, body: OFPP.NONE });
    const request = roundTrip({ kind: 'port_stats_request', version, xid, body: 3 });
    if (hasOfctl) expect(stockPrint(request)).toContain('OFPST_PORT request');
  });

  test.each([5, 6] as const)('counters of extensions, version %i', (version) => {
    const rfc2819 = {
      rx1To64Packets: 5n,
      rx1523ToMaxPackets: 6n,
      tx1To64Packets: 7n,
      txMulticastPackets: 8n,
      rxJabberErrors: 9n,
    };
    const stats = {
      ...statsOf(version),
      counters: { ...counters, ...rfc2819 },
      custom: [
        { name: 'ovs_tx_qos_drops', value: 17n },
        { name: 'n', value: 2n ** 63n },
      ],
    };
    const bytes = roundTrip({ kind: 'port_stats_reply', version, xid, body: [stats, stats] });
    if (hasOfctl) {
      const text = stockPrint(bytes);
      expect(text).toContain('rx rfc2819 1_to_64_packets=5, 1523_to_max_packets=6, rx_jabber_errors=9');
      expect(text).toContain('tx rfc2819 1_to_64_packets=7, multicast_packets=8');
      expect(text).toContain('CUSTOM Statistics\n                      ovs_tx_qos_drops=17, n=9223372036854775808');
    }
  });

  test('of others', () => {
    const of14 = `05130088 00000002 0004 0000 00000000  0078 0000 00000002 00000001 000f4240
      0000000000019556 0000000000000088 00000000025d0898 0000000000002cf8 ${'00'.repeat(32)}
      0000 0028 00000000 00000000000000fc 00000000000000fd 00000000000000fe 00000000000000ff`;
    const [stats] = bodyAgain('port_stats_reply', of14);
    expect(stats).toMatchObject({ portNo: 2, counters: { rxPackets: 103766n, collisions: 255n }, durationSec: 1 });
    again(`04130080 00000002 0004 0000 00000000  fffffffe 00000000 0000000000000044 0000000000009d2c
      000000000000167c 00000000011e3644 ${'00'.repeat(64)} ffffffffffffffff`);
  });

  test('lengths', () => {
    const head = (size: number): string =>
      `0513${(16 + size).toString(16).padStart(4, '0')} 00000002 0004 0000 00000000`;
    const entry = (size: number, rest: string): Uint8Array =>
      fromHex(`${head(size)} ${size.toString(16).padStart(4, '0')} 0000 00000002 ${'00'.repeat(72)} ${rest}`);
    expect(decodeError(entry(80, ''))).toBeUndefined();
    expect(decodeError(fromHex(`${head(8)} 0008 0000 00000002`))).toBe('OFPBRC_BAD_LEN');
    expect(decodeError(fromHex(`${head(80)} 0058 0000 00000002 ${'00'.repeat(72)}`))).toBe('OFPBRC_BAD_LEN');
    expect(decodeError(fromHex(`${head(80)} 0050 0000 00010000 ${'00'.repeat(72)}`))).toBe('OFPBAC_BAD_OUT_PORT');
    expect(decodeError(entry(88, '0000 0008 00000000'))).toBe('OFPBPC_BAD_LEN');
    expect(decodeError(entry(88, '0007 0008 00000000'))).toBeUndefined();
    expect(decodeError(entry(96, 'ffff 0010 0000aa01 00000001 00000000'))).toBe('OFPBPC_BAD_LEN');
    // One counter whose name, and one whose value, is beyond the property.
    expect(decodeError(entry(96, 'ffff 0010 0000aa01 00000002 0000 0000'))).toBeUndefined();
    expect(decodeError(entry(96, 'ffff 0010 0000aa01 00000002 0000 0001'))).toBe('OFPBPC_BAD_LEN');
    expect(decodeError(entry(104, 'ffff 0018 0000aa01 00000002 0000 0001 ff00000000000000'))).toBe('OFPBPC_BAD_LEN');
    expect(decodeError(entry(104, 'ffff 0018 0000aa01 00000002 0000 0001 0000000000000000'))).toBe('OFPBPC_BAD_LEN');
  });
});

describe('port_mod', () => {
  const hwAddr = fromHex('505400000001');
  test.each(VERSIONS)('version %i', (version) => {
    const body = { portNo: 3, hwAddr, config: OFPPC.PORT_DOWN, mask: OFPPC.PORT_DOWN | OFPPC.NO_FWD, advertise: 0 };
    const bytes = roundTrip({ kind: 'port_mod', version, xid, body });
    if (hasOfctl) {
      const text = stockPrint(bytes);
      expect(text).toContain('port: 3: addr:50:54:00:00:00:01');
      expect(text).toMatch(/config: PORT_DOWN\n *mask: {3}PORT_DOWN NO_FWD\n *advertise: UNCHANGED/);
    }
    const other = roundTrip({
      kind: 'port_mod',
      version,
      xid,
      body: { ...body, portNo: OFPP.LOCAL, advertise: 0x1001 },
    });
    if (hasOfctl) expect(stockPrint(other)).toContain('advertise: 10MB-HD FIBER');
  });

  test('only what the mask has', () => {
    const body = bodyAgain('port_mod', '010f0020 00000003 0003 505400000001 00000041 ffffff40 00000000 00000000');
    expect(body).toMatchObject({ config: 0x40, mask: 0x40 });
    again('05100028 00000003 00000003 00000000 505400000001 0000 00000001 00000001 0000 0008 00000001');
  });

  test('errors', () => {
    const of14 = (property: string): string | undefined =>
      decodeError(fromHex(`05100028 00000003 00000003 00000000 505400000001 0000 00000001 00000001 ${property}`));
    expect(of14('0000 0006 00000001')).toBe('OFPBPC_BAD_LEN');
    expect(of14('0001 0008 00000001')).toBe('OFPBPC_BAD_TYPE');
    expect(decodeError(fromHex(`04100028 00000003 00010000 00000000 505400000001 0000 ${'00'.repeat(16)}`))).toBe(
      'OFPBAC_BAD_OUT_PORT',
    );
  });
});
