import { describe, expect, it } from 'vitest';
import { readGroupMessage } from '../../../src/ofproto/mcast/membership.ts';
import { fc } from '../../support/property.ts';

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));

function checksum(data: Uint8Array, seed = 0): number {
  let sum = seed;
  for (let i = 0; i < data.length; i++) sum += (data[i] as number) << (i % 2 === 0 ? 8 : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
const u16 = (n: number): string => n.toString(16).padStart(4, '0');

/** An IGMP message in IPv4 with the router alert option, from 10.0.0.1, with its checksum in bytes 2 and 3. */
function igmp(body: string, tags = '', src = '0a000001'): Uint8Array {
  const message = bytes(body);
  new DataView(message.buffer).setUint16(2, checksum(message));
  const ip = `46c0${u16(24 + message.length)}0000400001020000${src}e000001694040000`;
  return bytes(`01005e000016020000000001${tags}0800${ip}${Buffer.from(message).toString('hex')}`);
}

const MLD_SRC = 'fe800000000000000000000000000001';
const MLD_DST = 'ff020000000000000000000000000016';

/** An MLD message behind a hop-by-hop header with the router alert option. */
function mld(body: string, src = MLD_SRC): Uint8Array {
  const message = bytes(body);
  const pseudo = bytes(`${src}${MLD_DST}${u16(0)}${u16(message.length)}0000003a`);
  const sum = ~checksum(pseudo) & 0xffff;
  new DataView(message.buffer).setUint16(2, checksum(message, sum));
  const hop = '3a00050200000100';
  const ip = `60000000${u16(8 + message.length)}0001${src}${MLD_DST}${hop}`;
  return bytes(`333300000016020000000001 86dd${ip}${Buffer.from(message).toString('hex')}`);
}
const V6 = (last: string): string => `ff05000000000000000000000000${last}`;

describe('readGroupMessage', () => {
  // biome-ignore format: table
  it.each([
    ['an IGMPv1 report',  igmp('12000000 e0010101'), 0x12, [['224.1.1.1', true]]],
    ['an IGMPv2 report',  igmp('16000000 e0010101'), 0x16, [['224.1.1.1', true]]],
    ['one with two tags', igmp('16000000 e0010101', '88a80064 8100000a'.replace(' ', '')), 0x16, [['224.1.1.1', true]]],
    ['an IGMPv2 leave',   igmp('17000000 e0010101'), 0x17, [['224.1.1.1', false]]],
    ['a query',           igmp('11140000 00000000'), 0x11, []],
    ['an IGMPv3 report',  igmp('22000000 00000005' +
                               '04000000 e0010101' +            // everything
                               '03000000 e0010102' +            // nothing
                               '01000001 e0010103 0a000009' +   // from one source
                               '09000000 e0010104' +            // unknown
                               '02010000 e0010105 aabbccdd'),   // auxiliary data
      0x22, [['224.1.1.1', true], ['224.1.1.2', false], ['224.1.1.3', true], ['224.1.1.5', true]]],
    ['an MLDv1 report',   mld(`83000000 00000000 ${V6('0001')}`), 131, [['ff05::1', true]]],
    ['an MLDv1 done',     mld(`84000000 00000000 ${V6('0001')}`), 132, [['ff05::1', false]]],
    ['an MLD query',      mld(`82000000 00000000 ${'0'.repeat(32)}`), 130, []],
    ['an MLDv2 report',   mld(`8f000000 00000002 04000000 ${V6('0001')} 03000000 ${V6('0002')}`), 143,
      [['ff05::1', true], ['ff05::2', false]]],
  ] as const)('reads %s', (_, frame, type, memberships) => {
    expect(readGroupMessage(frame)).toEqual({
      ...{ type, isIntact: true, hasSource: true },
      memberships: memberships.map(([group, joins]) => ({ group, joins })),
    });
  });

  it('believes nothing that has a wrong checksum', () => {
    for (const frame of [igmp('16000000 e0010101'), mld(`83000000 00000000 ${V6('0001')}`)]) {
      frame[frame.length - 1] = (frame.at(-1) as number) ^ 1;
      expect(readGroupMessage(frame)).toMatchObject({ isIntact: false, memberships: [] });
    }
  });

  it('tells whether the sender has an address', () => {
    expect(readGroupMessage(igmp('11140000 00000000', '', '00000000'))?.hasSource).toBe(false);
    expect(readGroupMessage(mld(`82000000 00000000 ${'0'.repeat(32)}`, '0'.repeat(32)))?.hasSource).toBe(false);
  });

  it('takes no padding for a part of it', () => {
    expect(readGroupMessage(bytes(`${Buffer.from(igmp('16000000 e0010101')).toString('hex')}ffffff`))?.isIntact).toBe(
      true,
    );
  });

  it('reads as many records as there are, whatever their number says', () => {
    expect(readGroupMessage(igmp('22000000 0000ffff 04000000 e0010101'))?.memberships).toHaveLength(1);
  });

  it('finds nothing where there is nothing, and never fails', () => {
    expect(readGroupMessage(new Uint8Array(0))).toBeUndefined();
    expect(
      readGroupMessage(bytes(`01005e0000160200000000010800450000140000000040110000${'00'.repeat(8)}`)),
    ).toBeUndefined();
    const whole = [igmp('22000000 00000001 04000000 e0010101'), mld(`8f000000 00000001 04000000 ${V6('0001')}`)];
    fc.assert(
      fc.property(fc.nat(1), fc.nat(100), fc.array(fc.tuple(fc.nat(99), fc.nat(255))), (which, size, changes) => {
        const frame = (whole[which] as Uint8Array).slice(0, size);
        for (const [at, value] of changes) if (at < frame.length) frame[at] = value;
        readGroupMessage(frame);
      }),
    );
  });
});
