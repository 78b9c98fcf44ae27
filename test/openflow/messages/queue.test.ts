/** Messages about queues: there and back, errors, and against stock ovs-ofctl. */
import { describe, expect, test } from 'vitest';
import { UNKNOWN32 } from '../../../src/openflow/messages/flow/flow-types.ts';
import { OFPQ_ALL } from '../../../src/openflow/messages/switch/switch-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPP } from '../../../src/openflow/ofp-port.ts';
import { again, bodyAgain } from './again.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 1;

describe.each(VERSIONS)('version %i', (version) => {
  const is14 = version >= 5;

  test('configuration', () => {
    const queues = [
      { port: 1, queue: 0x4444, minRate: undefined, maxRate: undefined },
      { port: 1, queue: 0x5555, minRate: 500, maxRate: 750 },
      { port: 1, queue: 0x6666, minRate: undefined, maxRate: 1001 },
    ];
    const body = { port: is14 ? OFPP.NONE : 1, queues };
    const bytes = roundTrip({ kind: 'queue_get_config_reply', version, xid, body });
    if (hasOfctl) {
      expect(stockPrint(bytes)).toContain(
        'port=1\nqueue 17476:\nqueue 21845: min_rate:50.0% max_rate:75.0%\nqueue 26214: max_rate:(disabled)',
      );
    }
    roundTrip({ kind: 'queue_get_config_reply', version, xid, body: { ...body, queues: [] } });
    const request = { port: 1, queue: is14 ? 2 : OFPQ_ALL };
    const asked = roundTrip({ kind: 'queue_get_config_request', version, xid, body: request });
    if (hasOfctl) expect(stockPrint(asked)).toContain(is14 ? 'port=1 queue=2' : 'port=1');
    const all = { port: OFPP.NONE, queue: OFPQ_ALL };
    if (version > 1) roundTrip({ kind: 'queue_get_config_request', version, xid, body: all });
  });

  test('statistics', () => {
    const duration = version >= 4 ? 100 : UNKNOWN32;
    const stats = {
      port: 3,
      queue: 1,
      txBytes: 302n,
      txPackets: 1n,
      txErrors: 0n,
      durationSec: duration,
      durationNsec: version >= 4 ? 500_000_000 : UNKNOWN32,
    };
    const bytes = roundTrip({ kind: 'queue_stats_reply', version, xid, body: [stats, { ...stats, queue: 2 }] });
    if (hasOfctl) {
      const text = stockPrint(bytes);
      expect(text).toContain('2 queues');
      expect(text).toContain(
        `port 3 queue 2: bytes=302, pkts=1, errors=0, duration=${version >= 4 ? '100.500s' : '?'}`,
      );
    }
    const request = roundTrip({
      kind: 'queue_stats_request',
      version,
      xid,
      body: { port: OFPP.NONE, queue: OFPQ_ALL },
    });
    if (hasOfctl) expect(stockPrint(request)).toContain('port=ANY queue=ALL');
    roundTrip({ kind: 'queue_stats_request', version, xid, body: { port: OFPP.LOCAL, queue: 7 } });
  });
});

test('messages of others', () => {
  const body = bodyAgain(
    'queue_get_config_reply',
    `01150040 00000001 0001 000000000000  00005555 0028 0000  0001 0010 00000000 01f4 000000000000
      0002 0010 00000000 02ee 000000000000  00004444 0008 0000`,
  );
  expect(body.port).toBe(1);
  expect(body.queues).toEqual([
    { port: 1, queue: 0x5555, minRate: 500, maxRate: 750 },
    { port: 1, queue: 0x4444, minRate: undefined, maxRate: undefined },
  ]);
  again(`05130048 00000001 000f 0000 00000000  00000001 00005555 0020 000000000000  0001 0008 01f40000
    0002 0008 02ee0000  00000002 00004444 0018 000000000000 0002 0008 00640000`);
  // A rate of a kind that is not known.
  const [queue] = bodyAgain(
    'queue_get_config_reply',
    '01150028 00000001 0001 000000000000  00005555 0018 0000  0009 0010 00000000 01f4 000000000000',
  ).queues.slice(0, 1);
  expect(queue).toMatchObject({ minRate: undefined, maxRate: undefined });
});

test.each([
  ['0114000c 00000001 ffff 0000', 'OFPQOFC_BAD_PORT'],
  ['04160010 00000001 fffffffe 00000000', 'OFPQOFC_BAD_PORT'],
  ['04160010 00000001 00010000 00000000', 'OFPBAC_BAD_OUT_PORT'],
  ['01150018 00000001 0001 000000000000 00005555 0006 0000', 'OFPBRC_BAD_LEN'],
  ['01150018 00000001 0001 000000000000 00005555 000c 0000', 'OFPBRC_BAD_LEN'],
  ['01150018 00000001 0001 000000000000 00005555 0010 0000', 'OFPBRC_BAD_LEN'],
  ['01150020 00000001 0001 000000000000 00005555 0010 0000 0001 0008 00000000', 'OFPBRC_BAD_LEN'],
  ['01150020 00000001 0001 000000000000 00005555 0010 0000 0009 0010 00000000', 'OFPBRC_BAD_LEN'],
  ['05130020 00000001 000f 0000 00000000 00000001 00005555 0018 000000000000', 'OFPBRC_BAD_LEN'],
  ['05130028 00000001 000f 0000 00000000 00000001 00005555 0018 000000000000 0001 0005 00000000', 'OFPBPC_BAD_LEN'],
])('%s is %s', (hex, want) => {
  expect(decodeError(fromHex(hex))).toBe(want);
  if (hasOfctl) expect(stockPrint(fromHex(hex))).toContain(want);
});

test.each([
  `05130040 00000001 0005 0000 00000000 0028 000000000000 ${'00'.repeat(40)}`,
  `05130040 00000001 0005 0000 00000000 0038 000000000000 ${'00'.repeat(40)}`,
])('statistics of a wrong length: %s', (hex) => {
  expect(decodeError(fromHex(hex))).toBe('OFPBRC_BAD_LEN');
});
