/** Partial checksums and super-packets in what a tunnel delivers. */
import { expect, test } from 'vitest';
import { findOffloads } from '../../../src/datapath/tunnel/offloads.ts';
import { foldSum, sumBytes } from '../../../src/packet/checksum.ts';
import { Arena, Packet, SLOT_SIZE, VNET_F, VNET_GSO } from '../../../src/packet/packet.ts';

/** An Ethernet frame with `payload` bytes behind a TCP or UDP header, whose checksum is partial or whole. */
function frame(options: {
  ipv6?: boolean;
  proto?: 6 | 17;
  payload?: number;
  whole?: boolean;
  vlan?: boolean;
  frag?: number;
}) {
  const { ipv6 = false, proto = 6, payload = 10, whole = false, vlan = false, frag = 0 } = options;
  const pkt = new Packet(new Arena(new ArrayBuffer(2 * SLOT_SIZE)));
  pkt.reset(0);
  const { view } = pkt.arena;
  const l3 = pkt.start + (vlan ? 18 : 14);
  const l4 = l3 + (ipv6 ? 40 : 20);
  const size = (proto === 6 ? 20 : 8) + payload;
  if (vlan) view.setUint32(pkt.start + 12, 0x81000064);
  view.setUint16(l3 - 2, ipv6 ? 0x86dd : 0x0800);
  view.setUint8(l3, ipv6 ? 0x60 : 0x45);
  view.setUint16(l3 + (ipv6 ? 4 : 2), ipv6 ? size : 20 + size);
  if (!ipv6) view.setUint16(l3 + 6, frag);
  view.setUint8(l3 + (ipv6 ? 6 : 9), proto);
  const addresses = l3 + (ipv6 ? 8 : 12);
  for (let i = 0; i < (ipv6 ? 32 : 8); i++) view.setUint8(addresses + i, 17 * i + 5);
  if (proto === 6) view.setUint8(l4 + 12, 0x50);
  else view.setUint16(l4 + 4, size);
  pkt.end = l4 + size;
  const pseudo = foldSum(sumBytes(view, addresses, ipv6 ? 32 : 8, proto + size));
  const at = l4 + (proto === 6 ? 16 : 6);
  view.setUint16(at, pseudo);
  if (whole) view.setUint16(at, ~foldSum(sumBytes(view, l4, size, 0)));
  return pkt;
}

// biome-ignore format: table
test.each([
  { name: 'TCP',                     in: {},                                          csumStart: 34, csumOffset: 16, gsoType: 0 },
  { name: 'TCP over IPv6',           in: { ipv6: true },                              csumStart: 54, csumOffset: 16, gsoType: 0 },
  { name: 'behind a VLAN tag',       in: { vlan: true },                              csumStart: 38, csumOffset: 16, gsoType: 0 },
  { name: 'UDP',                     in: { proto: 17 as const },                      csumStart: 34, csumOffset: 6,  gsoType: 0 },
  { name: 'a super-packet',          in: { payload: 20000 },                          csumStart: 34, csumOffset: 16, gsoType: VNET_GSO.TCPV4 },
  { name: 'a super-packet of IPv6',  in: { payload: 20000, ipv6: true },              csumStart: 54, csumOffset: 16, gsoType: VNET_GSO.TCPV6 },
])('partial: $name', ({ in: options, csumStart, csumOffset, gsoType }) => {
  const pkt = frame(options);
  findOffloads(pkt);
  expect(pkt).toMatchObject({ vnetFlags: VNET_F.NEEDS_CSUM, csumStart, csumOffset, gsoType });
  expect(pkt.hdrLen).toBe(gsoType === 0 ? 0 : csumStart + 20);
});

test.each([
  ['a whole checksum', frame({ whole: true })],
  ['a large packet with a whole checksum', frame({ whole: true, payload: 20000 })],
  ['a fragment', frame({ frag: 0x2000 })],
  ['a packet that is cut', Object.assign(frame({}), { end: frame({}).end - 1 })],
])('left as it is: %s', (_name, pkt) => {
  findOffloads(pkt);
  expect(pkt).toMatchObject({ vnetFlags: 0, gsoType: 0 });
});
