/** Messages about meters: there and back, errors, and against stock ovs-ofctl. */
import { describe, expect, test } from 'vitest';
import type { OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import { METER_BAND, METER_COMMAND, METER_FLAG } from '../../../src/openflow/messages/group/meter.ts';
import { METER } from '../../../src/openflow/messages/switch/switch-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { again } from './again.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [4, 5, 6];
const xid = 2;
const drop = { type: METER_BAND.DROP, rate: 1024, burstSize: 128, precLevel: 0 };
const remark = { type: METER_BAND.DSCP_REMARK, rate: 9, burstSize: 0, precLevel: 3 };
const config = { meterId: 5, flags: METER_FLAG.KBPS | METER_FLAG.BURST | METER_FLAG.STATS, bands: [drop, remark] };
const counters = { packetCount: 126n, byteCount: 13363n };
const stats = {
  meterId: 1,
  flowCount: 5,
  packetInCount: 4096n,
  byteInCount: 143360n,
  durationSec: 394,
  durationNsec: 174990148,
  bands: [counters, counters],
};
const features = { maxMeters: 65536, bandTypes: 6, capabilities: 15, maxBands: 16, maxColor: 2 };

type Case = readonly [Pick<OfMessageOut, 'kind' | 'body'>, RegExp];
const cases: readonly Case[] = [
  [
    { kind: 'meter_mod', body: { ...config, command: METER_COMMAND.ADD } },
    /ADD meter=5 kbps burst stats bands=\ntype=drop rate=1024 burst_size=128\ntype=dscp_remark rate=9 burst_size=0 prec_level=3/,
  ],
  [
    { kind: 'meter_mod', body: { command: METER_COMMAND.MODIFY, meterId: METER.CONTROLLER, flags: 2, bands: [drop] } },
    /MOD meter=controller pktps bands=/,
  ],
  [
    { kind: 'meter_mod', body: { command: METER_COMMAND.DELETE, meterId: METER.ALL, flags: 0, bands: [] } },
    /DEL meter=all/,
  ],
  [{ kind: 'meter_stats_request', body: METER.ALL }, /METER request .*meter=all/],
  [{ kind: 'meter_config_stats_request', body: 3 }, /METER_CONFIG request .*meter=3/],
  [{ kind: 'meter_features_stats_request', body: undefined }, /METER_FEATURES request/],
  [
    { kind: 'meter_stats_reply', body: [stats, { ...stats, meterId: 2, bands: [] }] },
    /meter:1 flow_count:5 packet_in_count:4096 byte_in_count:143360 duration:394\.174990148s bands:[\s\S]*1: packet_count:126 byte_count:13363\n\nmeter:2/,
  ],
  [
    { kind: 'meter_config_stats_reply', body: [config, { ...config, meterId: 6, bands: [drop] }] },
    /meter=5 kbps burst stats bands=[\s\S]*meter=6 kbps burst stats bands=\ntype=drop/,
  ],
  [
    { kind: 'meter_features_stats_reply', body: features },
    /max_meter:65536 max_bands:16 max_color:2\nband_types: drop dscp_remark\ncapabilities: kbps pktps burst stats/,
  ],
];

describe.each(VERSIONS)('version %i', (version) => {
  test.each(cases)('$kind', (m, want) => {
    const bytes = roundTrip({ ...m, version, xid });
    if (hasOfctl) expect(stockPrint(bytes)).toMatch(want);
  });
});

test('messages of others', () => {
  again('041d0020 00000002 0000 000d 00000005 00010010 00000400 00000080 00000000');
  again(`04130050 00000002 000a0000 00000000
    0028 0005 00000001 00010010 00010000 00000500 00000000 00020010 00100000 0000f000 00000000
    0018 0009 00000002 00010010 00020000 00000000 00000000`);
});

test.each([
  ['041d0020 8501d738 0000 0000 00000001 00050010 00000002 00000002 00000000', 'OFPMMFC_BAD_BAND'],
  ['041d0010 28a62652 0008 0000 00000001', 'OFPMMFC_BAD_COMMAND'],
  ['041d0020 82b3a1a4 0000 0003 00000001 00010010 00000002 00000002 00000000', 'OFPMMFC_BAD_FLAGS'],
  ['041d0020 00000001 0000 0001 00000001 00010018 00000002 00000002 00000000', 'OFPBRC_BAD_LEN'],
  ['041d0018 00000001 0000 0001 00000001 00010010 00000002', 'OFPBRC_BAD_LEN'],
  ['04130018 00000001 000a 0000 00000000 0007 0000 00000001', 'OFPBRC_BAD_LEN'],
  ['04130018 00000001 000a 0000 00000000 0018 0000 00000001', 'OFPBRC_BAD_LEN'],
  ['04130018 00000001 0009 0000 00000000 00000001 0028 0000', 'OFPBRC_BAD_LEN'],
  [`04130038 00000001 0009 0000 00000000 00000001 0027 ${'00'.repeat(34)}`, 'OFPBRC_BAD_LEN'],
  [`04130040 00000001 0009 0000 00000000 00000001 0030 ${'00'.repeat(42)}`, 'OFPBRC_BAD_LEN'],
])('%s is %s', (hex, want) => {
  expect(decodeError(fromHex(hex))).toBe(want);
  // Stock prints the entries of lists up to the wrong one.
  if (hasOfctl && hex.startsWith('041d')) expect(stockPrint(fromHex(hex))).toContain(want);
});
