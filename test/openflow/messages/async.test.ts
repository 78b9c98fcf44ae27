/** Asynchronous configuration, bundles, forwarded requests: there and back, against stock ovs-ofctl, and what is wrong with bad ones. */
import { describe, expect, test } from 'vitest';
import { decodeMessage, encodeMessage, type OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import type { AsyncConfig } from '../../../src/openflow/messages/flow/flow-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPRAW } from '../../../src/openflow/ofp-msgs.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint, toHex } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 2;
const OFF = { roleStatus: 0, tableStatus: 0, requestForward: 0 };
/** no_match and invalid_ttl for the primary, with what no_match implies. */
const legacy = (version: OfVersion): AsyncConfig => ({
  primary: { packetIn: 0x45 | (version < 4 ? 0x80 : 0), portStatus: 3, flowRemoved: 0, ...OFF },
  secondary: { packetIn: 6, portStatus: 7, flowRemoved: 0x28, ...OFF },
});
const all14: AsyncConfig = {
  primary: { packetIn: 0x3e, portStatus: 5, flowRemoved: 0x3f, roleStatus: 7, tableStatus: 0x18, requestForward: 3 },
  secondary: { packetIn: 2, portStatus: 2, flowRemoved: 1, roleStatus: 1, tableStatus: 8, requestForward: 1 },
};
const LEGACY_TEXT = [
  ' primary:\n       PACKET_IN: no_match invalid_ttl\n     PORT_STATUS: add delete\n    FLOW_REMOVED: (off)\n     ROLE_STATUS: (off)\n',
  ' secondary:\n       PACKET_IN: action invalid_ttl\n     PORT_STATUS: add delete modify\n    FLOW_REMOVED: group_delete eviction\n',
];
const TEXT14 =
  ' primary:\n       PACKET_IN: action invalid_ttl action_set group packet_out\n     PORT_STATUS: add modify\n    FLOW_REMOVED: idle hard delete group_delete meter_delete eviction\n     ROLE_STATUS: primary_request configuration_changed experimenter_data_changed\n    TABLE_STATUS: vacancy_down vacancy_up\n  REQUESTFORWARD: group_mod_request meter_mod_request\n';

const legacyForms: OfMessageOut[] = [
  { kind: 'set_async_config', version: 4, xid, body: legacy(4) },
  { kind: 'get_async_reply', version: 4, xid, body: legacy(4) },
  ...VERSIONS.map((version): OfMessageOut => {
    return { kind: 'set_async_config', version, xid, raw: OFPRAW.NXT_SET_ASYNC_CONFIG, body: legacy(version) };
  }),
];
const forms14: OfMessageOut[] = [
  { kind: 'set_async_config', version: 5, xid, body: all14 },
  { kind: 'get_async_reply', version: 6, xid, body: all14 },
];

describe('asynchronous configuration', () => {
  test.each(legacyForms)('three masks: $kind of version $version', (m) => {
    const bytes = roundTrip(m);
    if (hasOfctl) for (const text of LEGACY_TEXT) expect(stockPrint(bytes)).toContain(text);
  });

  test.each(forms14)('properties: $kind of version $version', (m) => {
    const bytes = roundTrip(m);
    if (hasOfctl) expect(stockPrint(bytes)).toContain(TEXT14);
  });

  test('NXT_SET_ASYNC_CONFIG2, and types that are not mentioned', () => {
    const body = { primary: { roleStatus: 7 }, secondary: { packetIn: 1 | 0x40 | 0x80 } };
    const raw = OFPRAW.NXT_SET_ASYNC_CONFIG2;
    const bytes = roundTrip({ kind: 'set_async_config', version: 3, xid, raw, body });
    if (hasOfctl) expect(stockPrint(bytes)).toContain('secondary:\n       PACKET_IN: no_match\n');
  });

  test.each([
    ['a mask with a reason that 1.4 has not', '051c0010 00000002 00000008 00000040', 'OFPACFC_INVALID'],
    ['a reason that 1.0 has not', '01040018 00000002 00002320 0000001b 00010008 00000008', 'OFPACFC_INVALID'],
    ['a type that nobody has', '051c0010 00000002 000c0008 00000000', 'OFPACFC_UNSUPPORTED'],
    [
      'an experimenter, of secondary controllers',
      '051c0018 00000002 fffe0010 00002320 00000000 00000000',
      'OFPBPC_BAD_EXP_TYPE',
    ],
    ['a mask of 2 bytes', '051c0010 00000002 00000006 00000000', 'OFPBPC_BAD_LEN'],
  ])('%s', (_what, text, error) => {
    expect(decodeError(fromHex(text))).toBe(error);
    if (hasOfctl) expect(stockPrint(fromHex(text))).toContain(error);
  });

  test('what a controller does not know of a switch it leaves out', () => {
    const bytes = fromHex('061b0018 00000002 000c0008 00000000 00010008 00001002');
    expect(decodeMessage(bytes).body).toEqual({ primary: { packetIn: 2 }, secondary: {} });
  });
});

/** ADD group_id=1, of type all; ADD meter=1 without bands. */
const group = { command: 0, commandBucketId: 0xffffffff, type: 0, groupId: 1, buckets: [] };
const props = { selectionMethod: '', selectionMethodParam: 0n, fields: [] };

describe('requestforward', () => {
  test.each(VERSIONS)('of version %i', (version) => {
    const body = { reason: 'group_mod' as const, xid: 7, groupMod: { ...group, props } };
    const bytes = roundTrip({ kind: 'requestforward', version, xid, body });
    const meterMod = { command: 0, meterId: 1, flags: 1, bands: [] };
    const meter = { kind: 'requestforward', version, xid, body: { reason: 'meter_mod', xid: 8, meterMod } } as const;
    if (version >= 4) roundTrip(meter);
    if (!hasOfctl) return;
    expect(stockPrint(bytes)).toContain('REQUESTFORWARD');
    expect(stockPrint(bytes)).toContain('reason=group_mod\n ADD group_id=1,type=all');
    if (version >= 4) expect(stockPrint(encodeMessage(meter))).toContain('reason=meter_mod ADD meter=1 kbps bands=');
  });

  test.each([
    ['a hello', '05200010 00000002 05000008 00000002', 'OFPBFC_MSG_UNSUP'],
    ['another version', '05200010 00000002 04000008 00000002', 'OFPBRC_BAD_VERSION'],
    ['a message longer than the rest', '05200010 00000002 05000010 00000002', 'OFPBFC_MSG_BAD_LEN'],
    ['a message shorter than a header', '05200010 00000002 05000007 00000002', 'OFPBFC_MSG_BAD_LEN'],
  ])('%s', (_what, text, error) => {
    expect(decodeError(fromHex(text))).toBe(error);
    if (hasOfctl) expect(stockPrint(fromHex(text))).toContain(error);
  });
});

describe('bundle_add_message', () => {
  const inner = (version: OfVersion, id = xid): Uint8Array =>
    encodeMessage({ kind: 'group_mod', version, xid: id, body: { ...group, props } });

  test.each([4, 5, 6] as const)('of version %i', (version) => {
    const message = inner(version);
    const bytes = roundTrip({ kind: 'bundle_add_message', version, xid, body: { bundleId: 1, flags: 3, message } });
    if (!hasOfctl) return;
    const text = stockPrint(bytes);
    expect(text).toContain(' bundle_id=0x1 flags=atomic ordered\n');
    expect(text).toContain('OFPT_GROUP_MOD');
    expect(text).toContain(' ADD group_id=1,type=all');
  });

  test.each([
    ['another xid', toHex(inner(5, 99)), 'OFPBFC_MSG_BAD_XID'],
    ['another version', toHex(inner(4)), 'OFPBFC_BAD_VERSION'],
    ['a hello', '0500000800000002', 'OFPBFC_MSG_UNSUP'],
    ['no message that is known', '0577000800000002', 'OFPBFC_MSG_UNSUP'],
    ['a message longer than the rest', '0500001000000002', 'OFPBFC_MSG_BAD_LEN'],
    ['less than a header', '05000008', 'OFPBFC_MSG_BAD_LEN'],
  ])('%s', (_what, text, error) => {
    const body = { bundleId: 1, flags: 3, message: fromHex(text) };
    const bytes = encodeMessage({ kind: 'bundle_add_message', version: 5, xid, body });
    expect(decodeError(bytes)).toBe(error);
    if (hasOfctl) expect(stockPrint(bytes)).toContain(error);
  });
});
