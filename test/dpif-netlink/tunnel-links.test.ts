import { beforeEach, expect, test } from 'vitest';
import type { Dpif } from '../../src/dpif/dpif.ts';
import { TUNNEL_TYPES, tunnelType } from '../../src/dpif/tunnel-types.ts';
import { DpifNetlinkProvider } from '../../src/dpif-netlink/dpif-netlink.ts';
import { type TunnelLinks, tunnelLinkInfo } from '../../src/dpif-netlink/tunnel-links.ts';
import { collectsMetadata, IFLA } from '../../src/netlink/families/rt-link.ts';
import { MessageWriter } from '../../src/netlink/message.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { MemoryHost } from '../support/memory-host.ts';

/** As the kernel's reader of links has it. */
function linkOf(info: Uint8Array) {
  const w = new MessageWriter(512);
  const at = w.attrHeader(18, info.length);
  w.bytes.set(info, at);
  return IFLA.read(w.dv, 0, w.size).linkinfo;
}
const typed = (name: string) => {
  const type = tunnelType(name);
  if (type === undefined) throw new Error(name);
  return type;
};

test('a device takes its remote end packet by packet', () => {
  for (const type of TUNNEL_TYPES) {
    const info = tunnelLinkInfo(type, { dstPort: 4790, extensions: [] });
    // Kernels have no such device.
    if (['lisp', 'stt', 'gtpu', 'bareudp'].includes(type.name)) expect(info).toBe(undefined);
    else expect(collectsMetadata(linkOf(info ?? new Uint8Array()))).toBe(true);
  }
});

// biome-ignore format: table
test.each([
  // learning 0, collect_metadata 1, udp_zero_csum6_rx 1, gbp, port 4790
  ['vxlan', [1], 'vxlan', '0500070000000000' + '0500190001000000' + '0500140001000000' + '04001700' + '06000f0012b60000'],
  ['geneve', [], 'geneve', '04000600' + '05000a0001000000' + '0600050012b60000'],
  ['ip6gre', [], 'ip6gretap', '04001200'],
])('%s is told this', (name, extensions, kind, data) => {
  const info = linkOf(tunnelLinkInfo(typed(name), { dstPort: 4790, extensions }) ?? new Uint8Array());
  expect(info?.kind).toBe(kind);
  expect(Buffer.from(info?.data ?? []).toString('hex')).toBe(data);
});

let host: MemoryHost;
let dpif: Dpif;
let made: string[];
let canMake: boolean;
beforeEach(async () => {
  host = new MemoryHost();
  made = [];
  canMake = true;
  const links: TunnelLinks = {
    make: async (device) => {
      if (!canMake) throw new Error('Request rejected: ENOTSUP');
      made.push(device);
      host.addDevice(device);
    },
    remove: async (device) => {
      if (!made.includes(device)) throw new Error('Request rejected: ENODEV');
      made = made.filter((d) => d !== device);
      host.removeDevice(device);
    },
  };
  const provider = new DpifNetlinkProvider(async () => host.endpoint, undefined, links);
  dpif = await provider.open('dp0', true);
});

// This datapath has no vports of tunnels, as the module has none of these types.
test('a tunnel that the datapath has no vport for is a device, which goes with its port', async () => {
  const portNo = await dpif.portAdd('any', 'erspan', undefined);
  expect(await dpif.portQuery(portNo)).toMatchObject({ name: 'erspan_sys', type: 'erspan' });
  expect(made).toEqual(['erspan_sys']);
  await dpif.portDel(portNo);
  expect(made).toEqual([]);
  // What an earlier run has left is made anew.
  made.push('gre_sys');
  host.addDevice('gre_sys');
  await dpif.portAdd('any', 'gre', undefined);
  expect(made).toEqual(['gre_sys']);
});

test('without such a device it is refused as before', async () => {
  const refused = { errno: ERRNO.EAFNOSUPPORT };
  await expect(dpif.portAdd('any', 'stt', undefined)).rejects.toMatchObject(refused);
  canMake = false;
  await expect(dpif.portAdd('any', 'erspan', undefined)).rejects.toMatchObject(refused);
  expect(await dpif.portDump()).toHaveLength(1);
});

test('a device that cannot be a port is removed again', async () => {
  const first = await dpif.portAdd('any', 'erspan', undefined);
  await expect(dpif.portAdd('any', 'geneve', first)).rejects.toMatchObject({ errno: ERRNO.EBUSY });
  expect(made).toEqual(['erspan_sys']);
});
