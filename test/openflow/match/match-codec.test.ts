/** Matches in messages: structs of OpenFlow 1.0 and 1.1 against stock ovs-ofctl, headers, padding and their errors. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it, test } from 'vitest';
import { newMatch } from '../../../src/openflow/match/match.ts';
import {
  decodeMatch,
  decodePaddedNxMatch,
  encodeMatch,
  encodePaddedNxMatch,
} from '../../../src/openflow/match/match-codec.ts';
import { normalizeMatch } from '../../../src/openflow/match/match-normalize.ts';
import { formatMatch } from '../../../src/openflow/match/match-text.ts';
import { OFPERR, OfpError, type OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { fc } from '../../support/property.ts';

const hasOfctl = spawnSync('ovs-ofctl', ['--version']).status === 0;
const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(/[ _]/g, ''), 'hex'));
const hex = (b: Uint8Array) => Buffer.from(b).toString('hex');

/** The lines " 4: ff -> 00" that ovs-ofctl prints for bytes that do not come back as they were. */
function differences(before: Uint8Array, after: Uint8Array): string[] {
  const h2 = (n: number | undefined) => (n ?? 0).toString(16).padStart(2, '0');
  return [...before].flatMap((b, i) =>
    b === after[i] ? [] : [`${String(i).padStart(2)}: ${h2(b)} -> ${h2(after[i])}`],
  );
}

/** What ovs-ofctl says of each of `structs`: the match as text and the differences, or the error. */
function stock(command: string, structs: readonly Uint8Array[]): string[][] {
  const input = structs.map((s) => `${hex(s)}\n`).join('');
  const { stdout } = spawnSync('ovs-ofctl', [command], { input, encoding: 'utf8', maxBuffer: 1 << 26 });
  const lines = stdout.split('\n');
  return structs.map(() => {
    const block = [lines.shift() ?? ''];
    for (let line = lines.shift(); line !== undefined && line !== ''; line = lines.shift()) block.push(line);
    return block;
  });
}

function ours(version: OfVersion, struct: Uint8Array): string[] {
  try {
    const { match } = decodeMatch(version, struct, 0);
    const once = encodeMatch(version, match);
    const found = [formatMatch(match), ...differences(struct, once)];
    if (version !== 1) return found;
    normalizeMatch(match);
    return [...found, ...differences(once, encodeMatch(version, match)).map((d) => `normal: ${d}`)];
  } catch (e) {
    if (!(e instanceof OfpError)) throw e;
    return [`bad ofp11_match: ${e.code}`];
  }
}

/** Random structs, some fields with values that mean something. */
function structs(size: number, fields: readonly (readonly [number, readonly string[]])[]): Uint8Array[] {
  const arbitrary = fc
    .tuple(
      fc.uint8Array({ minLength: size, maxLength: size }),
      ...fields.map(([, values]) => fc.option(fc.constantFrom(...values))),
    )
    .map(([struct, ...chosen]) => {
      chosen.forEach((value, i) => {
        if (value != null) struct.set(bytes(value), fields[i]?.[0]);
      });
      return struct;
    });
  return fc.sample(arbitrary, { numRuns: 2000, seed: 12 });
}

const TYPES = ['0800', '0806', '8035', '86dd', '8847', '8848', '05ff', '0004'];
const PROTOS = ['01', '06', '11', '84', '00'];

describe('structs of OpenFlow 1.0 and 1.1', () => {
  // biome-ignore format: table
  const of10 = structs(40, [[0, ['00000000', '003fffff', '002fff00', '00382000']], [18, ['ffff', '0005']], [22, TYPES], [25, PROTOS]]);
  // biome-ignore format: table
  const of11 = structs(88, [
    [4, ['0000', 'ffffffff', '00000003']], [8, ['00000000', '000003ff', '00000200']], [18, ['000000000000', 'ffffffffffff']], [36, ['ffff', 'fffe', '0005']],
    [38, ['00', '07']], [40, TYPES], [42, ['00', 'b8']], [43, PROTOS], [60, ['0008']], [62, ['0000']], [80, ['0000000000000000']],
  ]);
  for (const s of of11) s.set(bytes('00000058'));

  test.skipIf(!hasOfctl)('1.0: stock ovs-ofctl writes what it read as we do (skipped without it)', () => {
    expect(of10.map((s) => ours(1, s))).toEqual(stock('parse-ofp10-match', of10));
  });

  test.skipIf(!hasOfctl)('1.1: stock ovs-ofctl writes what it read as we do (skipped without it)', () => {
    expect(of11.map((s) => ours(2, s))).toEqual(stock('parse-ofp11-match', of11));
  });

  it('are what they were when they are written and read again', () => {
    for (const [version, all] of [
      [1, of10],
      [2, of11],
    ] as const) {
      for (const s of all) {
        let { match } = newMatchOf(version, s);
        const once = encodeMatch(version, match);
        ({ match } = decodeMatch(version, once, 0));
        expect(hex(encodeMatch(version, match))).toBe(hex(once));
      }
    }
  });
  const newMatchOf = (version: OfVersion, s: Uint8Array) => {
    try {
      return decodeMatch(version, s, 0);
    } catch {
      return { match: newMatch(), size: 0 };
    }
  };
});

describe('matches in messages', () => {
  // biome-ignore format: table
  test.each([
    [3, '0001 0004 00000000'],
    [4, '0001 000c 80000004 00000003 00000000'],
    [5, '0001 000a 80000a02 0806 000000000000'],
    [6, '0001 0010 80010008 0000000000000001'],
  ] as const)('version %i: %s is read and written', (version, text) => {
    const all = bytes(`aabb ${text} cc`);
    const { match, size } = decodeMatch(version, all, 2);
    expect(size).toBe(bytes(text).length);
    expect(hex(encodeMatch(version, match))).toBe(hex(bytes(text)));
  });

  it('1.1 is taken in all later versions, where OXM need not be', () => {
    const struct = encodeMatch(2, newMatch());
    expect(decodeMatch(4, struct, 0).size).toBe(88);
    expect(() => decodeMatch(4, struct, 0, { isLoose: true })).toThrow(
      expect.objectContaining({ code: 'OFPBMC_BAD_TYPE' }),
    );
  });

  // biome-ignore format: table
  test.each([
    [1, '00',                                'OFPBMC_BAD_LEN'],
    [2, '0000',                              'OFPBMC_BAD_LEN'],
    [2, '0000 0058 00000000',                'OFPBMC_BAD_LEN'],
    [2, '0000 0008 00000000',                'OFPBMC_BAD_LEN'],
    [4, '0002 0008 00000000',                'OFPBMC_BAD_TYPE'],
    [4, '0001 0003 00000000',                'OFPBMC_BAD_LEN'],
    [4, '0001 000c 80000004 00000003',       'OFPBMC_BAD_LEN'],
    [4, '0001 0010 00000000',                'OFPBMC_BAD_LEN'],
  ] as const)('version %i: %s is %s', (version, text, err) => {
    expect(() => decodeMatch(version, bytes(text), 0)).toThrow(expect.objectContaining({ err: OFPERR[err] }));
  });

  it('of a packet_out have nothing of the packet', () => {
    const pipelineOnly = { pipelineOnly: true };
    expect(decodeMatch(6, bytes('0001 000c 80000004 00000003 00000000'), 0, pipelineOnly).size).toBe(16);
    expect(() => decodeMatch(6, bytes('0001 000a 80000a02 0806 000000000000'), 0, pipelineOnly)).toThrow(
      expect.objectContaining({ code: 'OFPBRC_PIPELINE_FIELDS_ONLY' }),
    );
  });

  it('of Nicira messages are padded, too', () => {
    const all = bytes('00000002 0001 0000');
    const { match, size } = decodePaddedNxMatch(all, 0, 6);
    expect(size).toBe(8);
    expect(encodePaddedNxMatch(match)).toEqual({ bytes: all, length: 6 });
    expect(() => decodePaddedNxMatch(all.subarray(0, 6), 0, 6)).toThrow(
      expect.objectContaining({ code: 'OFPBMC_BAD_LEN' }),
    );
  });
});
