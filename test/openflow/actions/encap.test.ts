/** encap and decap: text and bytes as stock ovs-ofctl has them, and what is refused. */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { decodeActions, encodeActions, formatActions, parseActions } from '../../../src/openflow/actions/index.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import { OfpTextError } from '../../../src/openflow/ofp-text.ts';

const hex = (b: Uint8Array): string => Buffer.from(b).toString('hex');
const hasOfctl = spawnSync('ovs-ofctl', ['--version']).status === 0;

const HEADER = 'ffff 0018 00002320 002e 0000 0001894f';
// biome-ignore format: table
const WIRE: readonly (readonly [hex: string, want: string])[] = [
  ['ffff 0010 00002320 002e 0000 00000000',              'encap(ethernet)'],
  ['ffff 0010 00002320 002e 0000 00018847',              'encap(mpls)'],
  ['ffff 0010 00002320 002e 0000 00018848',              'encap(mpls_mc)'],
  ['ffff 0010 00002320 002e 0005 0001894f',              'encap(nsh)'],
  [`${HEADER} 0004 01 05 01 000000`,                     'encap(nsh(md_type=1))'],
  [`${HEADER} 0004 01 08 02 123456`,                     'encap(nsh(md_type=2))'],
  [`${HEADER} 0004 01 04 02 123456`,                     'encap(nsh(md_type=2))'],
  ['ffff 0028 00002320 002e 0000 0001894f 0004 01 05 02 000000 0004 02 10 1000 0a 04 12345678 00000000',
                                                         'encap(nsh(md_type=2,tlv(0x1000,10,0x12345678)))'],
  [`${HEADER} 0004 02 08 1000 0a 00`,                    'encap(nsh(tlv(0x1000,10,0)))'],
  ['ffff 0010 00002320 002f 0000 0000fffe',              'decap()'],
  ['ffff 0010 00002320 002f 0000 0001894f',              'decap(packet_type(ns=1,type=0x894f))'],
  ['ffff 0010 00002320 002f 0000 00000000',              'decap(packet_type(ns=0,type=0))'],
  // Another header, a property's length beyond the action, below its header, of another class, type, size.
  ['ffff 0010 00002320 002e 0000 00010800',              'NXBAC_BAD_HEADER_TYPE'],
  [`${HEADER} 0004 01 09 01 000000`,                     'OFPBAC_BAD_LEN'],
  [`${HEADER} 0004 01 03 01 000000`,                     'OFPBAC_BAD_LEN'],
  [`${HEADER} 0004 01 00 01 000000`,                     'OFPBAC_BAD_LEN'],
  [`${HEADER} 0003 01 05 01 000000`,                     'NXBAC_UNKNOWN_ED_PROP'],
  [`${HEADER} 0004 03 05 01 000000`,                     'NXBAC_UNKNOWN_ED_PROP'],
  [`${HEADER} 0004 02 08 1000 0a 01`,                    'NXBAC_BAD_ED_PROP'],
  [`${HEADER} 0004 02 07 1000 0a 00`,                    'NXBAC_BAD_ED_PROP'],
  ['ffff 0018 00002320 002f 0000 0000fffe 0000000000000000', 'NXBAC_UNKNOWN_ED_PROP'],
];

function ours(bytes: Uint8Array): string {
  try {
    return formatActions(decodeActions(4, bytes));
  } catch (error) {
    if (error instanceof OfpError) return error.code;
    throw error;
  }
}
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('bytes', () => {
  test.each(WIRE)('%s is %s', (text, want) => {
    expect(ours(bytesOf(text))).toBe(want);
  });

  test('are the same when they are written, but for padding', () => {
    for (const [text, want] of WIRE) {
      if (!want.includes('(')) continue;
      const list = decodeActions(4, bytesOf(text));
      expect(decodeActions(4, encodeActions(list, 4))).toEqual(list);
      if (!text.includes('123456 ') && !text.endsWith('123456'))
        expect(hex(encodeActions(list, 4))).toBe(hex(bytesOf(text)));
    }
  });

  test.skipIf(!hasOfctl)('mean to stock ovs-ofctl (skipped without it) what they mean here', () => {
    const input = WIRE.map(([text]) => `${text.replaceAll(' ', '')}\n`).join('');
    const { stdout } = spawnSync('ovs-ofctl', ['parse-actions', 'OpenFlow13'], { input, encoding: 'utf8' });
    const said = stdout.split('\n').flatMap((line) => /^(?:actions=|bad .*: )(.*)$/.exec(line)?.[1] ?? []);
    expect(said).toEqual(WIRE.map(([, want]) => want));
  });
});

describe('text', () => {
  // biome-ignore format: table
  const TEXTS: readonly (readonly [text: string, want: string])[] = [
    ['encap(ethernet)',                                   ''],
    ['encap(nsh(md_type=0x2,tlv(0x1,2,0xab)))',           'encap(nsh(md_type=2,tlv(0x0001,2,0xab)))'],
    ['encap(nsh(tlv(0x1000,10,0x001234)))',               'encap(nsh(tlv(0x1000,10,0x1234)))'],
    ['encap(nsh(tlv(0x1000,10,0x123)))',                  'encap(nsh(tlv(0x1000,10,0x12)))'],
    ['decap(packet_type(ns=0,type=0))',                   ''],
    ['decap()',                                           ''],
    ['decap',                                             'decap()'],
    ['encap(,)',                                          'Missing encap hdr: ,'],
    ['encap(x(y))',                                       'Encap hdr not supported: y'],
    ['encap(nsh(type=1))',                                'Invalid property: type'],
    ['encap(mpls(md_type=1))',                            'Invalid property: md_type'],
    ['encap(nsh(md_type))',                               'Value missing for encap property'],
    ['encap(nsh(md_type=3))',                             'invalid md_type'],
    ['encap(nsh(tlv(,,)))',                               'Invalid NSH TLV header: ,,'],
    ['encap(nsh(tlv(0x1000,10,12)))',                     'Invalid NSH TLV header: 0x1000,10,12'],
    ['decap(packet_type(x))',                             'Missing packet_type attribute ns'],
    ['decap(packet_type(ns=99))',                         'Unsupported ns value: 99'],
    ['decap(packet_type(ns=0))',                          'Missing packet_type attribute type'],
    ['decap(foo=bar)',                                    'Invalid decap argument: foo'],
  ];

  function printed(text: string): string {
    try {
      return formatActions(parseActions(text).actions);
    } catch (error) {
      if (error instanceof OfpTextError) return error.message;
      throw error;
    }
  }

  test.each(TEXTS)('%s', (text, want) => {
    expect(printed(text)).toBe(want || text);
  });

  test.skipIf(!hasOfctl).each(TEXTS)('%s is as in stock ovs-ofctl (skipped without it)', (text, want) => {
    const r = spawnSync('ovs-ofctl', ['-O', 'OpenFlow13', 'parse-flow', `packet_type=(1,0x894f),actions=${text}`], {
      encoding: 'utf8',
    });
    const said = /actions=(.*)$/m.exec(r.stdout)?.[1] ?? r.stderr.replace(/^ovs-ofctl: /, '').trim();
    expect(said).toBe(want || text);
  });
});
