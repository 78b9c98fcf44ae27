/** packet_out and small messages: there and back, and against stock ovs-ofctl. */
import { describe, expect, test } from 'vitest';
import { parseInstructions } from '../../../src/openflow/actions/index.ts';
import { decodeMatch } from '../../../src/openflow/match/match-codec.ts';
import { decodeMessage, encodeMessage, type OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import { UNKNOWN32 } from '../../../src/openflow/messages/flow/flow-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 1;
/** in_port=1. */
const { match } = decodeMatch(6, fromHex('0001 000c 80000004 00000001 00000000'), 0);
const out = { packet: fromHex(`${'0102030405060708090a0b0c'}88cc${'00'.repeat(46)}`), bufferId: UNKNOWN32 };
const ofpacts = parseInstructions('output:2').actions;

describe('packet_out', () => {
  test.each(VERSIONS)('of version %i', (version) => {
    const bytes = encodeMessage({ kind: 'packet_out', version, xid, body: { ...out, flowMetadata: match, ofpacts } });
    const m = decodeMessage(bytes);
    if (m.kind !== 'packet_out') throw new Error(m.kind);
    expect(m.body).toMatchObject({ ...out, ofpacts });
    roundTrip({ kind: 'packet_out', version, xid, body: m.body });
    if (hasOfctl) expect(stockPrint(bytes)).toMatch(/in_port=1,? actions=output:2 data_len=60/);
  });

  test('an input port that no packet comes from', () => {
    const body = { ...out, flowMetadata: match, ofpacts };
    const bytes = encodeMessage({ kind: 'packet_out', version: 1, xid, body });
    bytes.set(fromHex('fffb'), 12);
    expect(decodeError(bytes)).toBe('OFPBRC_BAD_PORT');
    bytes.set(fromHex('0001ffff'), 12);
    expect(decodeError(bytes)).toBe('OFPBRC_BAD_LEN');
  });
});

const small: (readonly [OfMessageOut, RegExp])[] = [
  [{ kind: 'set_flow_format', version: 1, xid, body: 2 }, /NXT_SET_FLOW_FORMAT.*format=nxm/],
  [{ kind: 'set_packet_in_format', version: 4, xid, body: 1 }, /NXT_SET_PACKET_IN_FORMAT.*format=nxt_packet_in/],
  [{ kind: 'set_controller_id', version: 1, xid, body: 123 }, /NXT_SET_CONTROLLER_ID.*id=123/],
  [{ kind: 'ct_flush_zone', version: 4, xid, body: 13 }, /NXT_CT_FLUSH_ZONE.*zone_id=13/],
  [{ kind: 'flow_mod_table_id', version: 1, xid, body: true }, /NXT_FLOW_MOD_TABLE_ID.*enable/],
  [{ kind: 'flow_monitor_cancel', version: 1, xid, body: 5 }, /NXT_FLOW_MONITOR_CANCEL.*id=5/],
  [
    { kind: 'bundle_control', version: 5, xid, body: { bundleId: 3, type: 0, flags: 1 } },
    /OFPT_BUNDLE_CONTROL[\s\S]*bundle_id=0x3 type=OPEN_REQUEST flags=atomic/,
  ],
];
test.each(small)('$kind', (m, want) => {
  const bytes = roundTrip(m);
  if (hasOfctl) expect(stockPrint(bytes)).toMatch(want);
});
