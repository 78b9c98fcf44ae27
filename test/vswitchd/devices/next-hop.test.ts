import { expect, test } from 'vitest';
import { neighbour, routeTo } from '../../../src/vswitchd/devices/next-hop.ts';

const ROUTES = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth1	0002A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
down	0003A8C0	00000000	0000	0	0	0	00FFFFFF	0	0	0
eth0	00000000	0101A8C0	0003	0	0	0	00000000	0	0	0
`;
const ARP = `IP address       HW type     Flags       HW address            Mask     Device
192.168.1.1      0x1         0x2         00:11:22:33:44:55     *        eth0
192.168.2.9      0x1         0x0         00:00:00:00:00:00     *        eth1
`;

test('the first route that is up decides: the gateway, or the address itself', () => {
  const near = Uint8Array.of(192, 168, 2, 9);
  expect(routeTo(ROUTES, near)).toEqual({ device: 'eth1', ip: near });
  const gateway = { device: 'eth0', ip: Uint8Array.of(192, 168, 1, 1) };
  expect(routeTo(ROUTES, Uint8Array.of(10, 0, 0, 1))).toEqual(gateway);
  expect(routeTo(ROUTES, Uint8Array.of(192, 168, 3, 1))).toEqual(gateway);
  expect(routeTo(ROUTES.split('\n').slice(0, 3).join('\n'), Uint8Array.of(10, 0, 0, 1))).toBeUndefined();
});

test('neighbours by address and device; one that has not answered has no address', () => {
  const ip = Uint8Array.of(192, 168, 1, 1);
  expect(neighbour(ARP, { device: 'eth0', ip })).toEqual(Uint8Array.of(0, 0x11, 0x22, 0x33, 0x44, 0x55));
  expect(neighbour(ARP, { device: 'eth1', ip })).toBeUndefined();
  expect(neighbour(ARP, { device: 'eth1', ip: Uint8Array.of(192, 168, 2, 9) })).toBeUndefined();
});
