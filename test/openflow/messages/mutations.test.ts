/**
 * Bytes of messages about groups, meters, ports, queues and extensions, changed at random: they are read, or refused with an OfpError, and what
 * was read stays the same when it is written and read again.
 */

import { expect, test } from 'vitest';
import { decodeMessage, encodeMessage, type OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import type { OfMessage } from '../../../src/openflow/messages/of-message.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import { fc } from '../../support/property.ts';
import { fromHex } from './oracle.ts';

const SEEDS: readonly string[] = [
  `060f0090 11223344 0000 01 00 87654321 0050 0000 ffffffff
    0028 0010 00000000 0000001000000001 0000000000000000 0000000800640000 0001000800000001
    0028 0010 00000001 0000001000000002 0000000000000000 0000000800c80000 0001000800000002
    ffff0028 00001540 00000001 00000000 68617368000000000000000000000000 0000000000000007`,
  `020f0070 11223344 0000 01 00 87654321
    0020 0064 00000001 ffffffff 00000000 0000 0010 00000001 0000 000000000000
    0020 0064 00000001 ffffffff 00000000 0000 0010 00000001 0000 000000000000
    0020 00c8 00000003 ffffffff 00000000 0000 0010 00000003 0000 000000000000`,
  `061300d8 00000002 0007 0000 00000000  00c8 01 00 00002000 0078 000000000000
    0028 0010 00000000 0000001000000001 0000000000000000 0000000800640000 0001000800000001
    0028 0010 00000001 0000001000000002 0000000000000000 0000000800c80000 0001000800000002
    0028 0010 00000002 0000001000000003 0000000000000000 0000000800c80000 0001000800000003
    ffff003b 00001540 00000001 00000000 68617368000000000000000000000000 0000000000000000
    80001804 ffffff00 80001a02 ffff 80001401 ff 0000000000`,
  `04130048 00000002 0006 0000 00000000 0038 0000 00000001 00000001 00000000 ${'00'.repeat(16)} 0000001200000000 ${'11'.repeat(16)}`,
  '041d0020 00000002 0000 000d 00000005 00010010 00000400 00000080 00000000',
  `04130050 00000002 000a0000 00000000
    0028 0005 00000001 00010010 00010000 00000500 00000000 00020010 00100000 0000f000 00000000
    0018 0009 00000002 00010010 00020000 00000000 00000000`,
  `04130048 00000002 0009 0000 00000000 00000001 0038 000000000000 ${'00'.repeat(28)} ${'22'.repeat(16)}`,
  `051300a8 00000002 0004 0000 00000000  0098 0000 00000002 00000001 000f4240 ${'00'.repeat(64)}
    0000 0028 00000000 ${'00'.repeat(32)} ffff 0020 0000aa01 00000002 0000 0001 03 616263 0000000000000007 00000000`,
  '05100028 00000003 00000003 00000000 505400000001 0000 00000001 00000001 0000 0008 00000001',
  `01150040 00000001 0001 000000000000  00005555 0028 0000  0001 0010 00000000 01f4 000000000000
    0002 0010 00000000 02ee 000000000000  00004444 0008 0000`,
  `05130048 00000001 000f 0000 00000000  00000001 00005555 0020 000000000000  0001 0008 01f40000
    0002 0008 02ee0000  00000002 00004444 0018 000000000000 0002 0008 00640000`,
  `05130048 00000001 0005 0000 00000000 0038 000000000000 00000001 00000002 ${'00'.repeat(40)}`,
  '01040020 00000003 00002320 00000018 0000 000000000000 ffff 00 04 0000 0000',
  `01040068 00000003 00002320 00000020 01 00000000000000 0002 0008 000d0000 0000 0048 00000000
    0000 0014 00000000000000000000ffff0a0a0001 00000000 0001 0014 00000000000000000000ffff0a0a0002 00000000
    0004 0008 00500000 0005 0005 08 000000`,
];

/** undefined: refused.  Throws what is no OfpError. */
function read(bytes: Uint8Array): OfMessage | undefined {
  try {
    return decodeMessage(bytes);
  } catch (e) {
    if (e instanceof OfpError) return undefined;
    throw e;
  }
}

const seeds = SEEDS.map(fromHex);

test('what they are made of is read', () => {
  for (const seed of seeds) expect(() => decodeMessage(seed)).not.toThrow();
});

/** A byte here and there is another; the message may end sooner, and says so. */
const mutant = fc
  .tuple(
    fc.constantFrom(...seeds),
    fc.array(fc.tuple(fc.nat(), fc.oneof(fc.constantFrom(0, 1, 4, 8, 0x10, 0xff), fc.nat(255))), { maxLength: 4 }),
    fc.option(fc.nat(), { freq: 3 }),
  )
  .map(([seed, changes, cut]) => {
    const size = cut === null ? seed.length : 16 + (cut % (seed.length - 15));
    const bytes = seed.slice(0, size);
    for (const [at, value] of changes) bytes[8 + (at % (size - 8))] = value;
    new DataView(bytes.buffer).setUint16(2, size);
    return bytes;
  });

/** Whether actions are in it that later versions than 1.1 say in other words: they are read, and written as set_field. */
function hasOldActions(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  if ('kind' in value && OLD_ACTIONS.test(String(value.kind))) return true;
  return Object.values(value).some(hasOldActions);
}
const OLD_ACTIONS = /^(mod_|set_vlan_|set_tunnel$)/;

test('read or refused, and the same again', () => {
  fc.assert(
    fc.property(mutant, (bytes) => {
      const first = read(bytes);
      if (first === undefined) return;
      const out = encodeMessage({ ...first } as OfMessageOut);
      const second = decodeMessage(out);
      if (!hasOldActions(first.body)) expect(second).toEqual(first);
      const again = encodeMessage({ ...second } as OfMessageOut);
      expect(again).toEqual(out);
      expect(decodeMessage(again)).toEqual(second);
    }),
    { numRuns: 2000 },
  );
});
