/** flow_removed and OXS: there and back, against stock ovs-ofctl, and what is wrong with bad ones. */
import { describe, expect, test } from 'vitest';
import { decodeNxMatch } from '../../../src/openflow/match/nx-match.ts';
import { decodeMessage, encodeMessage } from '../../../src/openflow/messages/codec.ts';
import { type FlowRemoved, UNKNOWN32, UNKNOWN64 } from '../../../src/openflow/messages/flow/flow-types.ts';
import { decodeOxsStats, encodeOxsStats, NO_OXS_STATS } from '../../../src/openflow/messages/flow/oxs-stats.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPRAW } from '../../../src/openflow/ofp-msgs.ts';
import { OfpWriter } from '../../../src/openflow/ofp-writer.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 0;
/** OFPRR_*. */
const OFPRR = { HARD_TIMEOUT: 1, DELETE: 2, METER_DELETE: 4 } as const;
/** in_port=3, dl_type=0x0800, nw_dst=10.0.0.0/24. */
const { match } = decodeNxMatch(fromHex('00000002 0003 00000602 0800 00001108 0a000000 ffffff00'));

const removed = (change: Partial<FlowRemoved>): FlowRemoved => ({
  match,
  cookie: 0x123n,
  priority: 5,
  reason: OFPRR.HARD_TIMEOUT,
  tableId: 7,
  durationSec: 12,
  durationNsec: 345_000_000,
  idleTimeout: 60,
  hardTimeout: 120,
  packetCount: 3n,
  byteCount: 180n,
  ...change,
});

describe('flow_removed', () => {
  test.each(VERSIONS)('of version %i', (version) => {
    const body = removed(version === 1 ? { tableId: 0xff, hardTimeout: 0 } : {});
    const bytes = roundTrip({ kind: 'flow_removed', version, xid, body });
    if (!hasOfctl) return;
    const where = version === 1 ? '' : ' table_id=7';
    const hard = version === 1 ? '' : ' hard120';
    const what = `reason=hard${where} cookie:0x123 duration12.345s idle60${hard} pkts3 bytes180`;
    expect(stockPrint(bytes)).toContain(`priority=5,ip,in_port=3,nw_dst=10.0.0.0/24 ${what}\n`);
  });

  test.each(VERSIONS)("Nicira's, in version %i", (version) => {
    const body = removed({ hardTimeout: 0, packetCount: UNKNOWN64 });
    const bytes = roundTrip({ kind: 'flow_removed', version, xid, raw: OFPRAW.NXT_FLOW_REMOVED, body });
    roundTrip({ kind: 'flow_removed', version, xid, raw: OFPRAW.NXT_FLOW_REMOVED, body: { ...body, tableId: 0xff } });
    if (!hasOfctl) return;
    expect(stockPrint(bytes)).toContain(
      'nw_dst=10.0.0.0/24 reason=hard table_id=7 cookie:0x123 duration12.345s idle60',
    );
  });

  test('what versions cannot tell', () => {
    const told = (version: OfVersion, change: Partial<FlowRemoved>) =>
      decodeMessage(encodeMessage({ kind: 'flow_removed', version, xid, body: removed(change) })).body;
    expect(told(1, { packetCount: UNKNOWN64 })).toMatchObject({ packetCount: 0n });
    expect(told(3, { packetCount: UNKNOWN64 })).toMatchObject({ packetCount: UNKNOWN64 });
    expect(told(4, { reason: OFPRR.METER_DELETE })).toMatchObject({ reason: OFPRR.DELETE });
    expect(told(5, { reason: OFPRR.METER_DELETE })).toMatchObject({ reason: OFPRR.METER_DELETE });
  });

  test('bad lengths', () => {
    const nxt = encodeMessage({
      kind: 'flow_removed',
      version: 1,
      xid,
      raw: OFPRAW.NXT_FLOW_REMOVED,
      body: removed({}),
    });
    nxt[16 + 23] = 4; // The length of the match.
    const of15 = encodeMessage({ kind: 'flow_removed', version: 6, xid, body: removed({}) });
    const oxsAt = of15.length - 40;
    of15[oxsAt + 3] = 200;
    for (const bytes of [nxt, of15]) {
      expect(decodeError(bytes)).toMatch(/_BAD_LEN$/);
      if (hasOfctl) expect(stockPrint(bytes)).toContain(decodeError(bytes));
    }
  });
});

describe('OXS', () => {
  const bytesOf = (stats: Parameters<typeof encodeOxsStats>[1]): Uint8Array => {
    const out = new OfpWriter();
    encodeOxsStats(out, stats);
    return out.bytes.slice(0, out.size);
  };
  const read = (bytes: Uint8Array) => decodeOxsStats(new DataView(bytes.buffer), 0);

  test.each([
    NO_OXS_STATS,
    { ...NO_OXS_STATS, flowCount: 9 },
    { durationSec: 1, durationNsec: 2, idleAge: 3, packetCount: 4n, byteCount: 5n, flowCount: 6 },
  ])('there and back: %o', (stats) => {
    const bytes = bytesOf(stats);
    expect(bytes.length % 8).toBe(0);
    expect(read(bytes)).toEqual({ stats, size: bytes.length });
  });

  test('entries that nobody knows are left out', () => {
    const bytes = fromHex('0000 001c ffff 0806 00002320 1234 1234 0002 aaaa 80020604 00000007 00000000');
    expect(read(bytes).stats).toEqual({ ...NO_OXS_STATS, flowCount: 7 });
    expect(read(bytes).stats.durationSec).toBe(UNKNOWN32);
  });

  test.each([
    ['cut short', '0000 0010 80020008 00000001'],
    ['a length of 3', '0000 0003 00000000'],
    ['an entry that goes on after the end', '0000 000c 80020008 00000001 00000002'],
    ['an experimenter without an id', '0000 0008 ffff0002 00000000'],
    ['half a header', '0000 0006 8002 0000'],
  ])('%s', (_what, text) => {
    expect(() => read(fromHex(text))).toThrow(expect.objectContaining({ code: 'OFPBMC_BAD_LEN' }));
  });
});
