/** FTP and TFTP: what is announced is expected, and with NAT rewritten. */
import { describe, expect, test } from 'vitest';
import { findCommand } from '../../../../src/datapath/conntrack/helpers/ftp-text.ts';
import { parseIpv6Words, printIpv6Words } from '../../../../src/datapath/conntrack/ip-text.ts';
import { checksumsAreRight, eth, ipv4With } from '../../../support/frames.ts';
import { CtRig, ct } from '../ct-rig.ts';

const [A, B, N] = ['10.0.0.1', '10.0.0.2', '10.1.0.9'];
const text = (s: string) => [...Buffer.from(s)];
/** All segments acknowledge sequence number 2: see frames.ts. */
const tcp = (src: string, srcPort: number, dst: string, dstPort: number, flags: number, seq: number, data = '') =>
  eth(0x0800, ipv4With(6, { srcPort, dstPort, flags, seq, payload: text(data) }, { src, dst }));

/** A control connection from A to the FTP server B, through `nat` if it is given. */
function control(rig: CtRig, ...more: number[][]): string {
  const commit = [ct.commit(), ct.helper('ftp'), ...more];
  rig.run(tcp(A, 1000, B, 21, 2, 1), commit);
  const seen = more.length > 0 ? N : A;
  rig.run(tcp(B, 21, seen, 1000, 0x12, 1), [ct.nat()]);
  rig.run(tcp(A, 1000, B, 21, 0x10, 2), [ct.nat()]);
  return seen;
}

describe('ftp', () => {
  test('PORT: the connection that it announces is related, once', () => {
    const rig = new CtRig();
    control(rig);
    expect(rig.look(tcp(A, 1000, B, 21, 0x18, 2, 'PORT 10,0,0,1,4,210\r\n'))).toBe('est|trk');
    expect(rig.tracker.expectations.count).toBe(1);
    const data = tcp(B, 20, A, 1234, 2, 1);
    expect(rig.look(tcp(B, 20, A, 1235, 2, 0)), 'another port').toBe('new|trk');
    expect(rig.look(data)).toBe('new|rel|trk');
    expect(rig.commit(data).state).toBe('new|rel|trk');
    expect(rig.tracker.expectations.count).toBe(0);
    expect(rig.look(tcp(A, 1234, B, 20, 0x12, 1))).toBe('est|rel|rpl|trk');
  });

  test('a host can announce only itself', () => {
    const rig = new CtRig();
    control(rig);
    rig.look(tcp(A, 1000, B, 21, 0x18, 2, 'PORT 10,0,0,77,4,210\r\n'));
    expect(rig.tracker.expectations.count).toBe(0);
  });

  test('with source NAT, what is said is translated, and sequence numbers follow', () => {
    const rig = new CtRig();
    control(rig, ct.nat(ct.src(), ct.ip(N)));
    const said = rig.run(tcp(A, 1000, B, 21, 0x18, 2, 'PORT 10,0,0,1,4,210\r\n'), [ct.nat()]);
    expect(Buffer.from(said.frame.slice(54)).toString()).toBe('PORT 10,1,0,9,4,210\r\n');
    expect(checksumsAreRight(said.frame)).toBe(true);
    const data = rig.run(tcp(B, 20, N, 1234, 2, 0), [ct.commit(), ct.nat()]);
    expect(data.state).toContain('rel');
    expect(data.frame.slice(30, 34)).toEqual([10, 0, 0, 1]);
  });

  test('an address that is longer as text moves the sequence numbers of what follows', () => {
    const rig = new CtRig();
    const far = '10.100.100.109';
    rig.run(tcp(A, 1000, B, 21, 2, 1), [ct.commit(), ct.helper('ftp'), ct.nat(ct.src(), ct.ip(far))]);
    rig.run(tcp(B, 21, far, 1000, 0x12, 1), [ct.nat()]);
    rig.run(tcp(A, 1000, B, 21, 0x10, 2), [ct.nat()]);
    const line = 'PORT 10,0,0,1,4,210\r\n';
    const said = rig.run(tcp(A, 1000, B, 21, 0x18, 2, line), [ct.nat()]);
    expect(Buffer.from(said.frame.slice(54)).toString()).toBe('PORT 10,100,100,109,4,210\r\n');
    const next = rig.run(tcp(A, 1000, B, 21, 0x18, 2 + line.length, 'LIST\r\n'), [ct.nat()]);
    expect(next.frame.slice(38, 42)).toEqual([0, 0, 0, 2 + line.length + 6]);
    expect(checksumsAreRight(next.frame)).toBe(true);
  });
});

test('tftp: the answer may come from any port', () => {
  const rig = new CtRig();
  const udp = (src: string, srcPort: number, dst: string, dstPort: number, data: number[]) =>
    eth(0x0800, ipv4With(17, { srcPort, dstPort, payload: data }, { src, dst }));
  rig.commit(udp(A, 2000, B, 69, [0, 1, ...text('file\0octet\0')]), ct.helper('tftp'));
  expect(rig.look(udp(B, 4321, A, 2000, [0, 3, 0, 1]))).toBe('new|rel|trk');
});

test.each([
  ['PORT 10,0,0,1,4,210\r\n', false, false, { kind: 'PORT', port: 1234, text: '10,0,0,1,4,210', offset: 5 }],
  ['PORT 10,0,0,1,4,21', false, false, 'partial'],
  ['PORT 10,0,0,1,4,999\r\n', false, false, undefined],
  ['EPRT |2|fe80::1|1234|\r\n', false, true, { kind: 'EPRT', port: 1234, offset: 5 }],
  ['EPRT |1|10.0.0.1|70000|\r\n', false, false, undefined],
  ['227 Entering Passive Mode (10,0,0,2,4,1)\r\n', true, false, { kind: 'PASV', port: 1025, text: '10,0,0,2,4,1' }],
  ['229 Entering Extended Passive Mode (|||1234|)\r\n', true, true, { kind: 'EPSV', port: 1234, text: '|||1234|' }],
  ['USER me\r\n', false, false, undefined],
] as const)('%j', (line, isReply, isV6, want) => {
  const got = findCommand(line, isReply, isV6);
  if (typeof want === 'object') expect(got).toMatchObject(want);
  else expect(got).toBe(want);
});

test('IPv6 addresses as words', () => {
  for (const addr of ['::', '::1', 'fe80::1', '2001:db8::', '1:2:3:4:5:6:7:8', '1:0:0:2::3']) {
    expect(printIpv6Words(parseIpv6Words(addr)!)).toBe(addr);
  }
  for (const addr of ['', '1', 'fe80', 'fe80::1%eth0', '::10.0.0.1', 'x::'])
    expect(parseIpv6Words(addr)).toBeUndefined();
});
