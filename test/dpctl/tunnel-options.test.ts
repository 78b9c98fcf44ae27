import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OpenNetdevs } from '../../src/dpctl/open-netdevs.ts';
import { optionsOfDevice, readTunnelOptions } from '../../src/dpctl/tunnel-options.ts';
import {
  initialTunnelPort,
  TUNNEL_TYPES,
  tunnelDevice,
  tunnelType,
  tunnelTypeOfDevice,
} from '../../src/dpif/tunnel-types.ts';
import { tunnelOptionsNest } from '../../src/dpif-netlink/vport-ops.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { MemoryHost } from '../support/memory-host.ts';

const logged: string[] = [];
beforeEach(() => {
  logged.length = 0;
  setConsole((line) => logged.push(line.split('|').slice(2).join('|').trimEnd()));
});
afterEach(() => setConsole(undefined));

function typed(name: string) {
  const type = tunnelType(name);
  if (type === undefined) throw new Error(name);
  return type;
}
const optionsOf = (text: string) =>
  new Map(text.split(' ').map((word) => [word.split('=')[0] ?? '', word.slice(word.indexOf('=') + 1)]));

describe('options of tunnels', () => {
  // biome-ignore format: table
  test.each([
    ['vxlan',     'remote_ip=10.0.0.1',                        { dstPort: 4789, extensions: [] }],
    ['vxlan',     'remote_ip=flow dst_port=4790 exts=gbp,gpe', { dstPort: 4790, extensions: [1, 8] }],
    ['vxlan',     'remote_ip=flow dst_port=65536',             { dstPort: 0, extensions: [] }],
    ['geneve',    'remote_ip=fd00::1 local_ip=fd00::2',        { dstPort: 6081, extensions: [] }],
    ['geneve',    'remote_ip=flow local_ip=flow dst_port=x',   { dstPort: 0, extensions: [] }],
    ['gre',       'remote_ip=flow packet_type=legacy_l3',      { dstPort: 0, extensions: [] }],
    ['gre',       'remote_ip=10.0.0.1 tos=0x10 ttl=inherit seq=true csum=true key=7', { dstPort: 0, extensions: [] }],
    ['ip6erspan', 'remote_ip=flow erspan_ver=2 erspan_dir=1 erspan_hwid=0x3f', { dstPort: 0, extensions: [] }],
    ['bareudp',   'remote_ip=flow dst_port=6635 payload_type=mpls', { dstPort: 6635, extensions: [1] }],
  ])('%s %s', (type, text, config) => {
    expect(readTunnelOptions('t', typed(type), optionsOf(text))).toEqual({ errno: 0, config });
    expect(logged).toEqual([]);
  });

  // biome-ignore format: table
  test.each([
    ['vxlan',  'key=7',                                   "t: vxlan type requires valid 'remote_ip' argument"],
    ['vxlan',  'remote_ip=::',                            "t: vxlan type requires valid 'remote_ip' argument"],
    ['vxlan',  'remote_ip=ff02::1',                       't: multicast remote_ip=ff02::1 not allowed'],
    ['geneve', 'remote_ip=10.0.0.1 local_ip=flow',        "t: geneve type requires 'remote_ip=flow' with 'local_ip=flow'"],
    ['gre',    'remote_ip=10.0.0.1 local_ip=::',          "t: 'remote_ip' and 'local_ip' has to be of the same address family"],
    ['lisp',   'remote_ip=flow packet_type=legacy_l2',    't: legacy_l2 configured on lisp tunnel that cannot carry L2 traffic'],
    ['vxlan',  'remote_ip=flow packet_type=legacy_l3',    't: legacy_l3 configured on VXLAN (without GPE) tunnel that cannot carry L3 traffic'],
    ['vxlan',  'remote_ip=flow packet_type=x',            "t: unknown packet_type 'x'"],
    ['erspan', 'remote_ip=flow erspan_ver=0',             't: invalid erspan version: 0'],
    ['erspan', 'remote_ip=flow erspan_idx=100000',        't: invalid erspan index: 100000'],
  ])('%s %s is refused', (type, text, why) => {
    expect(readTunnelOptions('t', typed(type), optionsOf(text))).toEqual({ errno: ERRNO.EINVAL, why });
    expect(logged).toEqual([`netdev_vport|WARN|${why}`]);
  });

  // biome-ignore format: table
  test.each([
    ['vxlan', 'remote_ip=flow tos=7',       't: invalid TOS 7'],
    ['vxlan', 'remote_ip=flow exts=x',      "t: unknown extension 'x'"],
    ['lisp',  'remote_ip=flow csum=true',   "t: unknown lisp argument 'csum'"],
    ['gre',   'remote_ip=flow dst_port=1',  "t: unknown gre argument 'dst_port'"],
    ['gre',   'remote_ip=flow erspan_x=1',  "t: unknown gre argument 'erspan_x'"],
  ])('%s %s is passed over', (type, text, why) => {
    expect(readTunnelOptions('t', typed(type), optionsOf(text)).errno).toBe(0);
    expect(logged).toEqual([`netdev_vport|WARN|${why}`]);
  });
});

describe('devices of tunnels', () => {
  test('are named after type and port', () => {
    for (const type of TUNNEL_TYPES) {
      const device = tunnelDevice(type, { dstPort: 4000, extensions: [] });
      expect(device.length).toBeLessThanOrEqual(15);
      expect(tunnelTypeOfDevice(device)).toBe(type);
      expect(initialTunnelPort(type, device)).toBe(type.defaultPort === undefined ? 0 : 4000);
    }
    expect(tunnelTypeOfDevice('vxlan0')).toBeUndefined();
    expect(initialTunnelPort(typed('geneve'), 'genev_sys_0')).toBe(6081);
  });

  // biome-ignore format: table
  test.each([
    ['vxlan',   'vxlan_sys_4789', 'packet_type=ptap'],
    ['vxlan',   'vxlan_sys_4790', 'dst_port=4790 packet_type=ptap'],
    ['erspan',  'erspan_sys',     'erspan_ver=0 packet_type=ptap'],
    ['bareudp', 'udp_sys_6635',   'dst_port=6635 packet_type=ptap'],
  ])('%s %s shows %s', (type, device, text) => {
    expect([...optionsOfDevice(typed(type), device)].map(([k, v]) => `${k}=${v}`).join(' ')).toBe(text);
  });

  test('their options on the wire', () => {
    const hex = (dstPort: number, extensions: number[]) => {
      const nest = tunnelOptionsNest({ dstPort, extensions });
      return nest && Buffer.from(nest).toString('hex');
    };
    expect(hex(0, [])).toBeUndefined();
    expect(hex(4790, [])).toBe('06000100b6120000');
    expect(hex(0, [1])?.slice(0, 4)).toBe('0800');
    expect(hex(4789, [1, 8])).toHaveLength(40);
  });
});

describe('VXLAN with and without group policy', () => {
  const host = new MemoryHost();
  afterEach(() => host.close());
  test('cannot be on one port', async () => {
    const port = (name: string, portNo: number) => ({ name, type: 'vxlan', portNo, ifindex: undefined });
    const open = new OpenNetdevs(host, [port('vxlan_sys_4789', 1), port('vxlan_sys_4790', 2)]);
    const set = async (name: string, text: string) => {
      const device = await open.open(name, 'vxlan');
      const { errno } = open.configure(device, optionsOf(`remote_ip=flow ${text}`));
      if (errno === 0) open.keep(device);
      return errno;
    };
    expect(await set('a', 'dst_port=4790')).toBe(0);
    expect(await set('b', 'dst_port=4790 exts=gbp')).toBe(ERRNO.EEXIST);
    expect(logged.at(-1)).toBe('netdev|WARN|b: could not set configuration (File exists)');
    expect(await set('b', 'dst_port=4791 exts=gbp')).toBe(0);
    expect(await set('c', 'dst_port=4791')).toBe(ERRNO.EEXIST);
    // Nobody else is on the default port, so that it may change its kind.
    expect(await set('vxlan_sys_4789', 'exts=gbp')).toBe(0);
    expect(await set('d', 'key=1')).toBe(ERRNO.EEXIST);
    await expect(open.open('b', 'geneve')).rejects.toMatchObject({ errno: ERRNO.EEXIST });
  });
});
