/** Packets made of flows have those flows, and right lengths and checksums. */
import { expect, test } from 'vitest';
import { composeFlow } from '../../src/flow/flow-compose.ts';
import { newFlowKey } from '../../src/flow/flow-key.ts';
import { odpKeyToFlow } from '../../src/odp/key/odp-key.ts';
import { parseOdpFlow } from '../../src/odp/text/odp-parse-key.ts';
import { foldSum, sumBytes } from '../../src/packet/checksum.ts';

function compose(text: string, size: Parameters<typeof composeFlow>[1]) {
  const flow = newFlowKey();
  odpKeyToFlow(parseOdpFlow(text).key, flow);
  return composeFlow(flow, size);
}
const ETH = 'in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07)';
const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');

test('ARP', () => {
  const arp = 'arp(sip=10.0.0.1,tip=10.0.0.2,op=1,sha=50:54:00:00:00:05,tha=00:00:00:00:00:00)';
  expect(hex(compose(`${ETH},eth_type(0x0806),${arp}`, {}))).toBe(
    '505400000007505400000005' + '0806' + '0001080006040001' + '5054000000050a000001' + '0000000000000a000002',
  );
});

test('TCP over IPv4 in a VLAN', () => {
  const text = `${ETH},eth_type(0x8100),vlan(vid=9,pcp=3),encap(eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=10),tcp_flags(0x010))`;
  const frame = compose(text, { payload: 64 }) ?? new Uint8Array();
  expect(frame.length).toBe(18 + 20 + 20 + 64);
  expect(hex(frame.subarray(12, 18))).toBe('810060090800');
  const dv = new DataView(frame.buffer);
  expect(dv.getUint16(20)).toBe(104);
  expect(foldSum(sumBytes(dv, 18, 20, 0))).toBe(0xffff);
  expect(foldSum(sumBytes(dv, 38, 84, foldSum(sumBytes(dv, 30, 8, 6 + 84))))).toBe(0xffff);
  expect(hex(frame.subarray(-3))).toBe('3d3e3f');
});

test('UDP over IPv6 of a given size; a size that is too small is refused', () => {
  const text = `${ETH},eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,proto=17,tclass=0,hlimit=128,frag=no),udp(src=1,dst=2)`;
  const frame = compose(text, { size: 100 }) ?? new Uint8Array();
  expect(frame.length).toBe(100);
  const dv = new DataView(frame.buffer);
  expect([dv.getUint16(18), dv.getUint16(58)]).toEqual([46, 46]);
  expect(foldSum(sumBytes(dv, 54, 46, foldSum(sumBytes(dv, 22, 32, 17 + 46))))).toBe(0xffff);
  expect(compose(text, { size: 61 })).toBe(undefined);
});
