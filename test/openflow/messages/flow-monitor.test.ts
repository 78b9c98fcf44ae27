/** Flow monitors: there and back, against stock ovs-ofctl, and what is wrong with bad ones. */

import { describe, expect, test } from 'vitest';
import { parseActions } from '../../../src/openflow/actions/index.ts';
import { newMatch } from '../../../src/openflow/match/match.ts';
import { decodeNxMatch } from '../../../src/openflow/match/nx-match.ts';
import { decodeMessage, encodeMessage } from '../../../src/openflow/messages/codec.ts';
import {
  type FlowMonitorRequest,
  type FlowUpdate,
  MONITOR_COMMAND,
  OFPG,
} from '../../../src/openflow/messages/flow/flow-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPP } from '../../../src/openflow/ofp-port.ts';
import { fc } from '../../support/property.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 4;
/** in_port=3, dl_type=0x0800, nw_dst=10.0.0.0/24. */
const { match } = decodeNxMatch(fromHex('00000002 0003 00000602 0800 00001108 0a000000 ffffff00'));

const requests = (version: OfVersion): FlowMonitorRequest[] => [
  { id: 7, command: MONITOR_COMMAND.ADD, flags: 0x5f, outPort: OFPP.LOCAL, outGroup: OFPG.ANY, tableId: 1, match },
  {
    id: 8,
    command: version >= 5 ? MONITOR_COMMAND.MODIFY : MONITOR_COMMAND.ADD,
    flags: 4,
    outPort: OFPP.NONE,
    outGroup: version >= 5 ? 64 : OFPG.ANY,
    tableId: 0xff,
    match: newMatch(),
  },
];
const cancel: FlowMonitorRequest = {
  id: 9,
  command: MONITOR_COMMAND.DELETE,
  flags: 0,
  outPort: OFPP.NONE,
  outGroup: OFPG.ANY,
  tableId: 0xff,
  match: newMatch(),
};

const full = {
  reason: 0,
  idleTimeout: 5,
  hardTimeout: 16,
  tableId: 1,
  priority: 0x8000,
  cookie: 0x123n,
  match,
  ofpacts: parseActions('output:2').actions,
};
const updates = (version: OfVersion): FlowUpdate[] => [
  { ...full, event: 'added' },
  { ...full, event: 'deleted', reason: 5, ofpacts: [] },
  { ...full, event: 'modified', priority: 9, idleTimeout: 0, hardTimeout: 0 },
  { event: 'abbrev', xid: 0x186a0 },
  ...(version >= 5
    ? [{ ...full, event: 'initial' } as const, { event: 'paused' } as const, { event: 'resumed' } as const]
    : []),
];

describe('flow monitors', () => {
  test.each(VERSIONS)('requests of version %i', (version) => {
    const body = [...requests(version), ...(version >= 5 ? [cancel] : [])];
    const bytes = roundTrip({ kind: 'flow_monitor_stats_request', version, xid, body });
    if (!hasOfctl) return;
    const group = version >= 5 ? ' out_group=64' : '';
    const cancelled = version >= 5 ? '\n id=9 command=delete' : '';
    const first =
      ' id=7 flags=initial,add,delete,modify,actions,own out_port=LOCAL table=1 ip,in_port=3,nw_dst=10.0.0.0/24';
    const text = stockPrint(bytes);
    expect(text.slice(text.indexOf('\n') + 1).trimEnd()).toBe(`${first}\n id=8 flags=delete${group}${cancelled}`);
  });

  test.each(VERSIONS)('updates of version %i', (version) => {
    const bytes = roundTrip({ kind: 'flow_monitor_stats_reply', version, xid, body: updates(version) });
    if (!hasOfctl) return;
    const flow = 'table=1 idle_timeout=5 hard_timeout=16 cookie=0x123 ip,in_port=3,nw_dst=10.0.0.0/24';
    const lines = [
      ` event=ADDED ${flow} actions=output:2`,
      ` event=DELETED reason=eviction ${flow}`,
      ' event=MODIFIED table=1 cookie=0x123 ip,in_port=3,nw_dst=10.0.0.0/24 actions=output:2',
      ' event=ABBREV xid=0x186a0',
      ...(version >= 5 ? [` event=INITIAL ${flow} actions=output:2`, ' event=PAUSED', ' event=RESUMED'] : []),
    ];
    const text = stockPrint(bytes);
    expect(text.slice(text.indexOf('\n') + 1).trimEnd()).toBe(lines.join('\n'));
  });

  test('before 1.4, flows that are there are flows added; pauses are other messages', () => {
    const body: FlowUpdate[] = [{ ...full, event: 'initial' }];
    const bytes = encodeMessage({ kind: 'flow_monitor_stats_reply', version: 1, xid, body });
    expect(decodeMessage(bytes).body).toEqual([{ ...full, event: 'added' }]);
    const paused = { kind: 'flow_monitor_stats_reply', version: 4, xid, body: [{ event: 'paused' }] } as const;
    expect(() => encodeMessage(paused)).toThrow(RangeError);
    for (const kind of ['flow_monitor_paused', 'flow_monitor_resumed'] as const) {
      for (const version of [1, 2, 3, 4] as const) roundTrip({ kind, version, xid, body: undefined });
    }
  });

  const nx = '01100028 00000004 ffff0000 00002320 00000002 00000000';
  test.each([
    ['no flag that asks for anything', `${nx} 00004000 0001fffe 00000100 00000000`, 'OFPMOFC_BAD_FLAGS'],
    ['a flag of nobody', `${nx} 00004000 0042fffe 00000100 00000000`, 'OFPMOFC_BAD_FLAGS'],
    ['padding that is not 0', `${nx} 00004000 0002fffe 00000100 00000001`, 'NXBRC_MUST_BE_ZERO'],
    ['a match longer than the rest', `${nx} 00004000 0002fffe 00080100 00000000`, 'OFPBMC_BAD_LEN'],
    [
      '1.4: the flag that would ask for no abbreviations',
      '05120028 00000004 00100000 00000000 00004000 00000001 ffffffff 00220100 0001000400000000',
      'OFPMOFC_BAD_FLAGS',
    ],
    ['an update of no event', '05130018 00000004 00100000 00000000 0008000700000000', 'NXBRC_FM_BAD_EVENT'],
    [
      'an abbreviation of 16 bytes',
      '05130020 00000004 00100000 00000000 0010000400000000 0000000000000000',
      'OFPBRC_BAD_LEN',
    ],
    [
      'an update shorter than what it tells',
      '05130020 00000004 00100000 00000000 0010000100000000 0000000000000000',
      'OFPBRC_BAD_LEN',
    ],
    ['an update without length', '05130018 00000004 00100000 00000000 0000000400000000', 'OFPBRC_BAD_LEN'],
  ])('%s', (_what, text, error) => {
    expect(decodeError(fromHex(text))).toBe(error);
    if (hasOfctl) expect(stockPrint(fromHex(text))).toContain(error);
  });

  test('bytes that are not what they were: a message or an OfpError', () => {
    const messages = VERSIONS.flatMap((version) => [
      encodeMessage({ kind: 'flow_monitor_stats_request', version, xid, body: requests(version) }),
      encodeMessage({ kind: 'flow_monitor_stats_reply', version, xid, body: updates(version) }),
    ]);
    const changes = fc.array(fc.tuple(fc.nat(300), fc.oneof(fc.nat(255), fc.nat(8))), { minLength: 1, maxLength: 3 });
    const seen = new Set<string | undefined>();
    fc.assert(
      fc.property(fc.constantFrom(...messages), changes, (good, list) => {
        const bytes = good.slice();
        for (const [at, value] of list) bytes[16 + (at % (bytes.length - 16))] = value;
        seen.add(decodeError(bytes));
      }),
      { numRuns: 3000 },
    );
    expect(seen.size).toBeGreaterThan(6);
  });
});
