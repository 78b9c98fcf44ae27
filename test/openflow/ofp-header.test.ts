import { describe, expect, test } from 'vitest';
import { OFPERR, OfpError, ofpErrByCode, ofpErrByName } from '../../src/openflow/ofp-errors.ts';
import { decodeHeader, decodeHeaderPartial, replyRaw } from '../../src/openflow/ofp-header.ts';
import { OFPRAW, rawFor } from '../../src/openflow/ofp-msgs.ts';
import { MultipartWriter, OfpWriter } from '../../src/openflow/ofp-writer.ts';
import { fc } from '../support/property.ts';

const view = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength);
const hex = (text: string): DataView => view(Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex')));

const forms = Object.values(OFPRAW).flatMap((raw) =>
  [1, 2, 3, 4, 5, 6]
    .filter((v) => v >= raw.minVersion && v <= raw.maxVersion)
    .map((version) => ({ name: `${raw.name} of version ${version}`, raw, version })),
);

describe('forms of messages', () => {
  test('there are 161, and 198 errors', () => {
    expect(Object.keys(OFPRAW)).toHaveLength(161);
    expect(Object.keys(OFPERR)).toHaveLength(198);
  });

  test.each(forms)('$name: its headers are found again', ({ raw, version }) => {
    const out = new OfpWriter();
    const bodyAt = out.begin(raw, version, 0x12345678);
    out.room(raw.minBody);
    const header = decodeHeader(view(out.finish()));
    expect(header).toEqual({ raw, version, xid: 0x12345678, bodyAt, flags: 0 });
    expect(header.raw).toBe(raw);
  });

  test.each(forms)('$name: a wrong length is BAD_LEN, but not to a partial look', ({ raw, version }) => {
    const out = new OfpWriter();
    out.begin(raw, version, 1);
    const wrong = raw.minBody > 0 ? raw.minBody - 1 : raw.multiple === 1 ? -1 : 1;
    if (wrong < 0) return; // Any length goes.
    out.room(wrong);
    const bytes = out.finish();
    expect(() => decodeHeader(view(bytes))).toThrow(expect.objectContaining({ err: OFPERR.OFPBRC_BAD_LEN }));
    expect(decodeHeaderPartial(view(bytes)).raw).toBe(raw);
  });

  test.each([
    ['nothing', '', 'OFPBRC_BAD_LEN'],
    ['no whole header', '01 05 0008 000000', 'OFPBRC_BAD_LEN'],
    ['an unknown type', '01 63 0008 00000001', 'OFPBRC_BAD_TYPE'],
    ['an unknown version', '09 05 0008 00000001', 'OFPBRC_BAD_TYPE'],
    ['an unknown statistic', '04 12 0010 00000001 0063 0000 00000000', 'OFPBRC_BAD_STAT'],
    ['an unknown vendor', '04 04 0010 00000001 00001234 00000001', 'OFPBRC_BAD_VENDOR'],
    ['an unknown subtype', '04 04 0010 00000001 00002320 00000fff', 'OFPBRC_BAD_SUBTYPE'],
    [
      'an unknown statistic of Nicira',
      '01 10 0018 00000001 ffff 0000 00002320 00000fff 00000000',
      'OFPBRC_BAD_SUBTYPE',
    ],
    ['a cut vendor header', '04 04 000c 00000001 00002320', 'OFPBRC_BAD_LEN'],
    ['statistics of an unknown vendor', '01 10 0010 00000001 ffff 0000 00001234', 'OFPBRC_BAD_VENDOR'],
  ] as const)('%s', (_what, text, error) => {
    expect(() => decodeHeader(hex(text))).toThrow(expect.objectContaining({ code: error }));
  });

  test('a hello of a version that nobody knows is one', () => {
    expect(decodeHeader(hex('ff 00 0008 00000007'))).toMatchObject({ raw: OFPRAW.OFPT_HELLO, version: 255, xid: 7 });
  });

  test('each request has its reply', () => {
    expect(replyRaw(OFPRAW.NXST_FLOW_REQUEST, 1)).toBe(OFPRAW.NXST_FLOW_REPLY);
    for (const { raw, version } of forms) {
      if (raw.multipart === 'request') expect(replyRaw(raw, version as 1).multipart).toBe('reply');
    }
  });

  test('the standard form comes before an extension', () => {
    expect(rawFor('flow_mod', 1)).toBe(OFPRAW.OFPT10_FLOW_MOD);
    expect(rawFor('flow_monitor_stats_request', 4)).toBe(OFPRAW.ONFST13_FLOW_MONITOR_REQUEST);
    expect(rawFor('meter_mod', 2)).toBeUndefined();
  });

  test('whatever bytes come, only OfpError is thrown', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(0, 4, 16, 17, 18, 19, -1), (bytes, type) => {
        if (type >= 0 && bytes.length > 1) bytes[1] = type;
        try {
          decodeHeader(view(bytes));
        } catch (e) {
          expect(e).toBeInstanceOf(OfpError);
        }
      }),
    );
  });
});

describe('multipart messages', () => {
  const parts: Uint8Array[] = [];
  const writer = new MultipartWriter((part) => parts.push(part));

  test('are cut between entries, and all but the last say that more follow', () => {
    parts.length = 0;
    writer.begin(OFPRAW.OFPST13_FLOW_REPLY, 4, 9);
    for (let i = 0; i < 5000; i++) {
      writer.out.room(92);
      writer.out.u32(i);
      expect(writer.endEntry()).toBe(true);
    }
    writer.end();
    let next = 0;
    parts.forEach((part, i) => {
      const header = decodeHeader(view(part));
      expect(header).toMatchObject({ raw: OFPRAW.OFPST13_FLOW_REPLY, xid: 9, flags: i < parts.length - 1 ? 1 : 0 });
      expect(view(part).getUint16(2)).toBe(part.length);
      for (let at = header.bodyAt; at < part.length; at += 96) expect(view(part).getUint32(at + 92)).toBe(next++);
    });
    expect(next).toBe(5000);
    expect(parts).toHaveLength(8);
  });

  test('an entry that fits into no message is left out', () => {
    parts.length = 0;
    writer.begin(OFPRAW.OFPST13_FLOW_REPLY, 4, 9);
    writer.out.room(66000);
    expect(writer.endEntry()).toBe(false);
    writer.out.room(8);
    expect(writer.endEntry()).toBe(true);
    writer.end();
    expect(parts.map((p) => p.length)).toEqual([24]);
  });
});

describe('errors', () => {
  test('two errors with the same numbers decode as the first', () => {
    expect(ofpErrByCode(1, 0, 1, 5)).toBe(OFPERR.OFPBRC_EPERM);
    expect(ofpErrByCode(3, 0, 1, 10)).toBe(OFPERR.OFPBRC_IS_SECONDARY);
    expect(ofpErrByCode(4, 0x4f4e4600, 2640, 0)).toBe(OFPERR.OFPBRC_MULTIPART_REQUEST_TIMEOUT);
    expect(ofpErrByCode(1, 0, 99, 99)).toBeUndefined();
  });
  test('are found by name', () => {
    expect(ofpErrByName('OFPBMC_BAD_FIELD')).toBe(OFPERR.OFPBMC_BAD_FIELD);
    expect(ofpErrByName('toString')).toBeUndefined();
  });
});
