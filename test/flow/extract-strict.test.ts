/** Key extraction by userspace, where it is not the kernel's. */

import { describe, expect, test } from 'vitest';
import { extractStrictly } from '../../src/flow/extract-strict.ts';
import { FIELD } from '../../src/flow/fields.ts';
import { extractHeaders } from '../../src/flow/flow-extract.ts';
import { type FlowKey, getField, getFieldBytes, isFieldSet, newFlow } from '../../src/flow/flow-key.ts';
import { bytes, eth, ip6, ipv4, ipv6, udp } from '../support/frames.ts';
import { newArena, packetOf } from '../support/packets.ts';
import { fc } from '../support/property.ts';

function strict(frame: readonly number[]): FlowKey {
  const key = newFlow();
  extractStrictly(packetOf(newArena(1), frame), key);
  return key;
}

/** Fields that are not zero, as hex, without addresses. */
function fieldsOf(key: FlowKey): Record<string, string> {
  const out: Record<string, string> = {};
  for (const f of Object.values(FIELD)) {
    if (!isFieldSet(key, f) || /^(eth(Src|Dst)|nw(Src|Dst|Ttl)|ipv6(Src|Dst))$/.test(f.name)) continue;
    const raw = new Uint8Array(f.bits >>> 3);
    getFieldBytes(key, f, raw, 0);
    out[f.name] = Buffer.from(raw).toString('hex');
  }
  return out;
}

const with8 = (frame: readonly number[], at: number, value: number): number[] =>
  frame.map((b, i) => (i === at ? value : b));
const nsh = (words: number, mdtype: number) => bytes(`0f c${words.toString(16)} 0${mdtype} 03 00 00 12 34`);
const ns = (...options: string[]) => [
  ...bytes('87 00 00 00 00 00 00 07'),
  ...ip6('fe80::9'),
  ...bytes(options.join(' ')),
];
const fragment = (next: number, off: number) => [next, 0, off >>> 8, off & 0xff, 0, 0, 0, 1];
const V4 = { ethType: '0800' };
const V6 = { ethType: '86dd' };
const UDP = { nwProto: '11', tpSrc: '03e8', tpDst: '0035' };
const whole4 = eth(0x0800, ipv4(17, udp()));
const whole6 = eth(0x86dd, ipv6(17, udp()));

// biome-ignore format: table
const CASES: readonly (readonly [string, readonly number[], Record<string, string>])[] = [
  ['no whole frame', whole4.slice(0, 13), {}],
  ['IPv4', whole4, { ...V4, ...UDP }],
  ['IPv4 longer than the frame', with8(whole4, 17, 200), V4],
  ['IPv4 shorter than its header', with8(whole4, 17, 19), V4],
  ['ports in the padding of IPv4', with8(whole4, 17, 27), { ...V4, nwProto: '11' }],
  ['IGMP', eth(0x0800, ipv4(2, bytes('16 02 00 00 e0 00 00 05'))), { ...V4, nwProto: '02', tpSrc: '0016', tpDst: '0002' }],
  ['ICMPv6 over IPv4', eth(0x0800, ipv4(58, ns('01 01 02 00 00 00 00 02'))),
    { ...V4, nwProto: '3a', tpSrc: '0087', ndTarget: 'fe800000000000000000000000000009', arpSha: '020000000002',
      ndReserved: '00000007', ndOptionsType: '01' }],
  ['ICMPv6 over IPv4, too short', eth(0x0800, ipv4(58, bytes('87 00 00 00 00 00 00'))), { ...V4, nwProto: '3a' }],
  ['ICMP over IPv6', eth(0x86dd, ipv6(1, bytes('3b 02 00 00 00 00 00 00'))), { ...V6, nwProto: '01', tpSrc: '003b', tpDst: '0002' }],
  ['ICMP over IPv6, too short', eth(0x86dd, ipv6(1, bytes('3b 02 00 00 00 00 00'))), { ...V6, nwProto: '01' }],
  ['IGMP over IPv6', eth(0x86dd, ipv6(2, bytes('16 02 00 00 e0 00 00 05'))), { ...V6, nwProto: '02', tpSrc: '0016', tpDst: '0002' }],
  ['IPv6', whole6, { ...V6, ...UDP }],
  ['IPv6 longer than the frame', with8(whole6, 19, 200), V6],
  ['ports in the padding of IPv6', with8(whole6, 19, 7), { ...V6, nwProto: '11' }],
  ['a fragment that is all', eth(0x86dd, ipv6(44, [...fragment(17, 0), ...udp()])), { ...V6, ...UDP }],
  ['a first fragment', eth(0x86dd, ipv6(44, [...fragment(17, 1), ...udp()])), { ...V6, ...UDP, nwFrag: '01' }],
  ['a later fragment', eth(0x86dd, ipv6(44, [...fragment(17, 9), ...udp()])), { ...V6, nwProto: '2c', nwFrag: '02' }],
  ['a chain that ends early', eth(0x86dd, ipv6(0, bytes('11 00 00 00'))), V6],
  ['neighbour discovery', eth(0x86dd, ipv6(58, ns('02 01 02 00 00 00 00 01 01 01 02 00 00 00 00 02'))),
    { ...V6, nwProto: '3a', tpSrc: '0087', ndTarget: 'fe800000000000000000000000000009', arpSha: '020000000002', arpTha: '020000000001',
      ndReserved: '00000007', ndOptionsType: '02' }],
  ['SNAP', eth(20, bytes('aa aa 03 00 00 00 08 06')), { ethType: '0806' }],
  ['SNAP with another control byte', eth(20, bytes('aa aa 13 00 00 00 08 06')), { ethType: '0004' }],
  ['NSH', eth(0x894f, nsh(2, 2)), { ethType: '894f', nshTtl: '3f', nshMdtype: '02', nshNp: '03', nshPathHdr: '00001234' }],
  ['NSH of unknown metadata', eth(0x894f, nsh(2, 3)), { ethType: '894f', nshTtl: '3f', nshMdtype: '03', nshNp: '03', nshPathHdr: '00001234' }],
  ['NSH longer than the frame', eth(0x894f, nsh(3, 2)), { ethType: '894f' }],
];

describe('extractStrictly', () => {
  test.each(CASES)('%s', (_name, frame, want) => {
    expect(fieldsOf(strict(frame))).toEqual(want);
  });

  test('tells of random bytes no more than the kernel does of the Ethernet header, and never throws', () => {
    const types = fc.constantFrom([0x08, 0], [0x86, 0xdd], [0x89, 0x4f], [0x88, 0x47], [8, 6], [0x81, 0], [0, 9]);
    fc.assert(
      fc.property(types, fc.uint8Array({ maxLength: 90 }), (type, rest) => {
        const frame = [...new Array<number>(12).fill(2), ...type, ...rest];
        const [key, kernel] = [strict(frame), newFlow()];
        extractHeaders(packetOf(newArena(1), frame), kernel);
        for (const f of [FIELD.vlanTpid, FIELD.vlanTci, FIELD.cvlanTci])
          expect(getField(key, f)).toBe(getField(kernel, f));
      }),
    );
  });
});
