/** tun_metadata in matches: text and bytes as stock ovs-ofctl has them, without a TLV table. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it, test } from 'vitest';
import { formatFlowMod, parseFlow } from '../../../src/openflow/flow-text.ts';
import { newMatch, type TunMetadata } from '../../../src/openflow/match/match.ts';
import { formatMatch } from '../../../src/openflow/match/match-text.ts';
import { decodeNxMatch, encodeNxMatch } from '../../../src/openflow/match/nx-match.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import { OfpTextError } from '../../../src/openflow/ofp-text.ts';
import { fc } from '../../support/property.ts';

const hasOfctl = spawnSync('ovs-ofctl', ['--version']).status === 0;

// biome-ignore format: table
const TEXTS: readonly (readonly [text: string, want: string])[] = [
  ['tun_metadata0=0x1234',                       ''],
  ['tun_metadata0=0x1234/0xffff',                'tun_metadata0=0x1234'],
  ['tun_metadata0=0x1234/0xf0ff',                'tun_metadata0=0x1034/0xf0ff'],
  ['tun_metadata0=0',                            ''],
  ['tun_metadata0',                              ''],
  ['tun_metadata0=0/0x1',                        ''],
  ['tun_metadata0[0..3]=1',                      'tun_metadata0=0x1/0xf'],
  ['tun_metadata63=0x1,tun_metadata5=0xab',      'tun_metadata5=0xab,tun_metadata63=0x1'],
  ['tun_id=5,tun_metadata1=1,metadata=3',        'tun_id=0x5,tun_metadata1=0x1,metadata=0x3'],
  ['tun_metadata0=1,tun_metadata0=2',            'field tun_metadata0 set multiple times'],
  ['tun_metadata64=1',                           'unknown keyword tun_metadata64'],
];

/** As `ovs-ofctl parse-flow` does: through the bytes of a message. */
function ours(text: string): string {
  try {
    const { flow } = parseFlow(`${text},actions=drop`, 0);
    const { match } = decodeNxMatch(encodeNxMatch(flow.match, 0));
    return formatFlowMod({ ...flow, match, tableId: 0 }, 1);
  } catch (error) {
    if (error instanceof OfpTextError) return error.message;
    throw error;
  }
}
const lineOf = (want: string): string => (want.startsWith('tun') ? ` ADD ${want} actions=drop` : want);

describe('text', () => {
  test.each(TEXTS)('%s', (text, want) => {
    expect(ours(text)).toBe(lineOf(want || text));
  });

  test.skipIf(!hasOfctl).each(TEXTS)('%s is the same in stock ovs-ofctl (skipped without it)', (text, want) => {
    const r = spawnSync('ovs-ofctl', ['parse-flow', `${text},actions=drop`], { encoding: 'utf8' });
    const said = /NXT_FLOW_MOD \(xid=0x1\):( .*)$/m.exec(r.stdout)?.[1] ?? r.stderr.replace(/^ovs-ofctl: /, '').trim();
    expect(said).toBe(lineOf(want || text));
  });
});

describe('bytes', () => {
  const field = fc.record({
    index: fc.nat(63),
    value: fc.uint8Array({ minLength: 1, maxLength: 30 }),
    noise: fc.uint8Array({ minLength: 30, maxLength: 30 }),
    isMasked: fc.boolean(),
  });
  const fields = fc.uniqueArray(field, { minLength: 1, maxLength: 6, selector: (f) => f.index }).map((list) =>
    list
      .sort((a, b) => a.index - b.index)
      .map(({ index, value, noise, isMasked }): TunMetadata => {
        const mask = isMasked ? noise.slice(0, value.length) : new Uint8Array(value.length).fill(0xff);
        mask[0] = 0xff;
        value[0] = 1;
        return { index, isPresent: true, isMasked, mask, value: value.map((b, i) => b & (mask[i] as number)) };
      }),
  );

  it('are read back', () => {
    fc.assert(
      fc.property(fields, fc.constantFrom(0, 3, 4, 5, 6), (tunMetadata, version) => {
        const bytes = encodeNxMatch({ ...newMatch(), tunMetadata }, version);
        expect(decodeNxMatch(bytes).match.tunMetadata).toEqual(tunMetadata);
      }),
    );
  });

  test.skipIf(!hasOfctl)('are read by stock ovs-ofctl (skipped without it) as they are here', () => {
    for (const tunMetadata of fc.sample(fields, { numRuns: 30, seed: 7 })) {
      const match = { ...newMatch(), tunMetadata };
      const nxm = encodeNxMatch(match, 0);
      const padded = (nxm.length + 7) & ~7;
      const message = Buffer.alloc(48 + padded);
      message.set([1, 4, 0, message.length & 0xff], 0);
      message.writeUInt16BE(message.length, 2);
      message.writeUInt32BE(0x2320, 8);
      message.writeUInt32BE(13, 12);
      message.writeUInt16BE(0x8000, 30);
      message.writeUInt32BE(0xffffffff, 32);
      message.writeUInt16BE(0xffff, 36);
      message.writeUInt16BE(nxm.length, 40);
      message.set(nxm, 48);
      const r = spawnSync('ovs-ofctl', ['ofp-print', message.toString('hex')], { encoding: 'utf8' });
      expect(r.stdout.trim()).toBe(`NXT_FLOW_MOD (xid=0x0): ADD ${formatMatch(match)} actions=drop`);
    }
  });

  // biome-ignore format: table
  test.each([
    ['0001500112',                             'OFPBMC_DUP_FIELD'],
    [`0001517c${'00'.repeat(61)}01${'00'.repeat(62)}`, 'OFPBMC_BAD_WILDCARDS'],
    [`000152ff${'01'.repeat(10)}`,             'OFPBMC_BAD_LEN'],
  ])('%s is refused', (hex, code) => {
    const bytes = Uint8Array.from(Buffer.from(`0001500105${hex}`, 'hex'));
    let said = '';
    try {
      decodeNxMatch(bytes);
    } catch (error) {
      if (error instanceof OfpError) said = error.code;
    }
    expect(said).toBe(code);
  });

  it('are refused beyond 256 bytes', () => {
    const entry = (n: number) => `0001${(0x50 + 2 * n).toString(16)}7c${'01'.repeat(124)}`;
    const bytes = Uint8Array.from(Buffer.from(entry(0) + entry(1) + entry(2), 'hex'));
    expect(() => decodeNxMatch(bytes)).toThrow(expect.objectContaining({ code: 'OFPBMC_BAD_VALUE' }));
  });
});
