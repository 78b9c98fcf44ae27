/** Messages about connection and switch: there and back, against stock ovs-ofctl, and what is wrong with bad ones. */

import { describe, expect, test } from 'vitest';
import type { OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import { decodeMessage, encodeMessage, supportedKinds } from '../../../src/openflow/messages/codec.ts';
import { OFPERR, type OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPRAW } from '../../../src/openflow/ofp-msgs.ts';
import { OfpWriter } from '../../../src/openflow/ofp-writer.ts';
import { fc } from '../../support/property.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 0x1234;
const port = {
  portNo: 0xfffe,
  hwAddr: fromHex('aabbccddeeff'),
  name: 'br0',
  config: 1,
  state: 1,
  curr: 0x842,
  advertised: 0x20,
  supported: 0x2040,
  peer: 0x8000,
  currSpeed: 10_000_000,
  maxSpeed: 10_000_000,
};
const features = (version: OfVersion) => ({
  datapathId: 0x0000aabbccddeeffn,
  nBuffers: 256,
  nTables: 254,
  auxiliaryId: version >= 4 ? 3 : 0,
  capabilities: version === 1 ? (1 << 30) | 0x80 | 7 : 0x4f,
  actions: version === 1 ? (['output', 'mod_nw_tos', 'enqueue'] as const) : [],
  ports: version <= 3 ? [port, { ...port, portNo: 1, name: 'p1' }] : undefined,
});

type Row = readonly [OfMessageOut, RegExp];
const of = <M extends OfMessageOut>(m: M): M => m;
const rows: Row[] = VERSIONS.flatMap((version): Row[] => [
  [of({ kind: 'hello', version, xid, body: { versions: (2 << version) - 2 } }), /OFPT_HELLO.*\n version bitmap: 0x01/],
  [
    of({ kind: 'echo_request', version, xid, body: { data: fromHex('010203') } }),
    /OFPT_ECHO_REQUEST.*3 bytes of payload/,
  ],
  [of({ kind: 'echo_reply', version, xid, body: { data: new Uint8Array() } }), /OFPT_ECHO_REPLY.*0 bytes of payload/],
  [of({ kind: 'barrier_request', version, xid, body: undefined }), /OFPT_BARRIER_REQUEST.*:$/m],
  [of({ kind: 'barrier_reply', version, xid, body: undefined }), /OFPT_BARRIER_REPLY.*:$/m],
  [of({ kind: 'features_request', version, xid, body: undefined }), /OFPT_FEATURES_REQUEST.*:$/m],
  [
    of({ kind: 'features_reply', version, xid, body: features(version) }),
    version <= 3
      ? /dpid:0000aabbccddeeff\nn_tables:254, n_buffers:256\ncapabilities: FLOW_STATS TABLE_STATS PORT_STATS[\s\S]* 1\(p1\): addr:aa:bb:cc:dd:ee:ff\n {5}config: {5}PORT_DOWN\n {5}state: {6}LINK_DOWN\n {5}current: {4}10MB-FD 10GB-FD COPPER\n {5}advertised: 1GB-FD\n {5}supported: {2}10GB-FD AUTO_NEG\n {5}peer: {7}AUTO_PAUSE_ASYM\n {5}speed: 10000 Mbps now, 10000 Mbps max\n LOCAL\(br0\)/
      : /auxiliary_id:3\ncapabilities: FLOW_STATS TABLE_STATS PORT_STATS GROUP_STATS QUEUE_STATS$/m,
  ],
  [of({ kind: 'get_config_request', version, xid, body: undefined }), /OFPT_GET_CONFIG_REQUEST.*:$/m],
  [
    of({
      kind: 'get_config_reply',
      version,
      xid,
      body: { frag: 3, invalidTtlToController: version <= 3 ? true : undefined, missSendLen: 128 },
    }),
    version <= 3 ? /frags=nx-match invalid_ttl_to_controller miss_send_len=128/ : /frags=nx-match miss_send_len=128/,
  ],
  [
    of({
      kind: 'set_config',
      version,
      xid,
      body: { frag: 1, invalidTtlToController: version <= 3 ? false : undefined, missSendLen: 0xffff },
    }),
    /OFPT_SET_CONFIG.*frags=drop miss_send_len=65535/,
  ],
  [
    of({ kind: 'role_reply', version, xid, body: { role: 2, generationId: version < 3 ? undefined : 5n } }),
    version < 3 ? /role=primary$/m : /role=primary generation_id=5$/m,
  ],
  [
    of({ kind: 'role_request', version, xid, body: { role: 3, generationId: version < 3 ? undefined : 7n } }),
    version < 3 ? /role=secondary$/m : /role=secondary generation_id=7$/m,
  ],
  [of({ kind: 'desc_stats_request', version, xid, body: undefined }), /OFPST_DESC request.*:$/m],
  [
    of({
      kind: 'desc_stats_reply',
      version,
      xid,
      body: { mfrDesc: 'Maker', hwDesc: 'Hard', swDesc: 'Soft', serialNum: 'S'.repeat(31), dpDesc: 'br0' },
    }),
    /Manufacturer: Maker\nHardware: Hard\nSoftware: Soft\nSerial Num: S{31}\nDP Description: br0/,
  ],
  [
    of({ kind: 'port_status', version, xid, body: { reason: 1, desc: port } }),
    /DEL:.*LOCAL\(br0\): addr:aa:bb:cc:dd:ee:ff/,
  ],
  [
    of({ kind: 'port_desc_stats_reply', version, xid, body: [port] }),
    /OFPST_PORT_DESC reply[\s\S]* LOCAL\(br0\): addr/,
  ],
  [
    of({ kind: 'port_desc_stats_request', version, xid, body: version < 6 ? 0xffff : 3 }),
    version < 6 ? /OFPST_PORT_DESC request/ : /port=3/,
  ],
]);

describe('messages there and back', () => {
  test.each(rows)('$kind of version $version', (m) => {
    roundTrip(m);
  });
  test.skipIf(!hasOfctl).each(rows)('ovs-ofctl reads $kind of version $version', (m, want) => {
    expect(stockPrint(encodeMessage(m))).toMatch(want);
  });
});

describe('errors', () => {
  test.each([
    ['of the standard', 1, 'OFPBRC_BAD_TYPE', '0001 0001'],
    ["Nicira's in 1.0", 1, 'NXBRC_NXM_INVALID', 'b0c2 0000 00002320 0001 0100'],
    ["Nicira's in 1.2", 3, 'NXBRC_NXM_INVALID', 'ffff 0002 00002320'],
    ["the ONF's in 1.3", 4, 'OFPBRC_MULTIPART_REQUEST_TIMEOUT', 'ffff 0a50 4f4e4600'],
    ['one that 1.0 has not', 1, 'OFPBRC_BAD_PACKET', 'b0c2 0000 00002320 0001 0209'],
  ] as const)('%s', (_what, version, name, body) => {
    const data = fromHex('0105000800000001');
    const bytes = encodeMessage({ kind: 'error', version, xid, body: { err: OFPERR[name], data } });
    expect(bytes.slice(8)).toEqual(fromHex(`${body}0105000800000001`));
    const known = OFPERR[name].codes[version] === undefined ? OFPERR.NXBRC_UNENCODABLE_ERROR : OFPERR[name];
    expect(decodeMessage(bytes).body).toEqual({ err: known, data });
    if (hasOfctl) expect(stockPrint(bytes)).toContain(` ${known.name}\n`);
  });

  test.each(VERSIONS.flatMap((version) => Object.values(OFPERR).map((err) => ({ version, err }))))(
    '$err.name in version $version keeps its numbers',
    ({ version, err }) => {
      const bytes = encodeMessage({ kind: 'error', version, xid, body: { err, data: new Uint8Array() } });
      const { kind, body } = decodeMessage(bytes);
      if (kind !== 'error') throw new Error(kind);
      expect(body.err?.codes[version]).toEqual(
        (err.codes[version] === undefined ? OFPERR.NXBRC_UNENCODABLE_ERROR : err).codes[version],
      );
    },
  );

  test.each([
    ['0401 000c 00000001 0063 0063', 'a type that nobody has'],
    ['0101 000c 00000001 b0c2 0000', 'a vendor error cut short'],
    ['0401 000c 00000001 ffff 0000', 'an experimenter error cut short'],
  ])('%s: %s', (text) => {
    expect(decodeMessage(fromHex(text)).body).toMatchObject({ err: undefined });
  });

  test('data is cut to what a message holds', () => {
    const body = { err: OFPERR.OFPBRC_BAD_LEN, data: new Uint8Array(0xffff) };
    expect(encodeMessage({ kind: 'error', version: 1, xid, body }).length).toBeLessThanOrEqual(0xffff);
  });
});

describe('bad messages', () => {
  test.each([
    ['flags of set_config', '0409 000c 00000001 0008 0000', 'OFPSCFC_BAD_FLAGS'],
    ['a role', '0418 0018 00000001 00000004 00000000 0000000000000000', 'OFPRRFC_BAD_ROLE'],
    ["a role of Nicira's", '0104 0014 00000001 00002320 0000000a 00000003', 'OFPRRFC_BAD_ROLE'],
    ['the length in the header', '0105 0009 00000001', 'OFPBRC_BAD_LEN'],
    ['no header', '0105', 'OFPBRC_BAD_LEN'],
    ['a reason of port_status', `010c 0040 00000001 03${'00'.repeat(55)}`, 'NXBRC_BAD_REASON'],
  ])('%s', (_what, text, error) => {
    expect(decodeError(fromHex(text))).toBe(error);
    if (hasOfctl && error !== 'OFPBRC_BAD_LEN') expect(stockPrint(fromHex(text))).toContain(error);
  });

  test('any bytes: a message or an OfpError', () => {
    const kinds = new Set(supportedKinds());
    const forms = Object.values(OFPRAW).filter((r) => kinds.has(r.kind));
    const message = fc
      .tuple(fc.constantFrom(...forms), fc.nat(5), fc.uint8Array({ maxLength: 200 }), fc.boolean())
      .map(([raw, v, rest, isSmall]) => {
        const out = new OfpWriter();
        out.begin(raw, Math.min(Math.max(raw.minVersion, v + 1), Math.min(raw.maxVersion, 6)), 1);
        const size = raw.minBody + (raw.multiple === 0 ? 0 : Math.floor(rest.length / raw.multiple) * raw.multiple);
        const at = out.room(size);
        // Small numbers come nearer to what makes sense.
        for (let i = 0; i < size; i++) out.bytes[at + i] = (rest[i % (rest.length || 1)] ?? 0) & (isSmall ? 7 : 255);
        return out.finish();
      });
    let good = 0;
    fc.assert(
      fc.property(message, (bytes) => {
        if (decodeError(bytes) === undefined) good++;
      }),
      { numRuns: 3000 },
    );
    expect(good).toBeGreaterThan(100);
  });
});
