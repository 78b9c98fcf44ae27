/** packet_in and nxt_resume: there and back, against stock ovs-ofctl, and what is wrong with bad ones. */
import { describe, expect, test } from 'vitest';
import { parseActions } from '../../../src/openflow/actions/index.ts';
import { decodeNxMatch } from '../../../src/openflow/match/nx-match.ts';
import { decodeMessage, encodeMessage } from '../../../src/openflow/messages/codec.ts';
import {
  type PacketIn,
  type PacketInPrivate,
  UNKNOWN32,
  UNKNOWN64,
} from '../../../src/openflow/messages/flow/flow-types.ts';
import { decodeContinuation, encodeContinuation } from '../../../src/openflow/messages/packet/continuation.ts';
import { OFPR } from '../../../src/openflow/messages/packet/packet-in.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPRAW } from '../../../src/openflow/ofp-msgs.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 0;
/** in_port=3; in_port=3, reg1=0x12, metadata=0x5a. */
const inPort = decodeNxMatch(fromHex('00000002 0003')).match;
const metadata = decodeNxMatch(fromHex('00000002 0003 00010204 00000012 80000408 000000000000005a')).match;
const packet = fromHex(`ffffffffffff 102030405060 1234 ${'00'.repeat(46)}`);

const pin = (change: Partial<PacketIn>): PacketIn => ({
  packet,
  totalLen: packet.length,
  bufferId: UNKNOWN32,
  flowMetadata: metadata,
  reason: OFPR.NO_MATCH,
  tableId: 7,
  cookie: 0x1234n,
  userdata: new Uint8Array(),
  continuation: undefined,
  ...change,
});

const standard = (version: OfVersion): PacketIn =>
  version === 1
    ? pin({ flowMetadata: inPort, tableId: 0, cookie: UNKNOWN64 })
    : version === 2
      ? pin({ flowMetadata: inPort, cookie: UNKNOWN64 })
      : pin(version === 3 ? { cookie: UNKNOWN64 } : {});

describe('packet_in', () => {
  test.each(VERSIONS)("the standard's form of version %i", (version) => {
    const bytes = roundTrip({ kind: 'packet_in', version, xid, body: standard(version) });
    if (!hasOfctl) return;
    const text = stockPrint(bytes);
    expect(text).toMatch(
      /OFPT_PACKET_IN.* total_len=60 .*in_port=3 \(via no_match\) data_len=60 \(unbuffered\)\n.*dl_type=0x1234/,
    );
    if (version >= 2) expect(text).toContain(' table_id=7');
    if (version >= 3) expect(text).toContain('reg1=0x12,metadata=0x5a,in_port=3');
    if (version >= 4) expect(text).toContain('cookie=0x1234');
  });

  test.each(VERSIONS)("Nicira's forms in version %i", (version) => {
    const body = pin({ reason: OFPR.INVALID_TTL });
    const nxt = roundTrip({ kind: 'packet_in', version, xid, raw: OFPRAW.NXT_PACKET_IN, body });
    const continuation = encodeContinuation(state, version);
    const more = { ...body, totalLen: 128, bufferId: 0x114, userdata: fromHex('0102030405'), continuation };
    const nxt2 = roundTrip({ kind: 'packet_in', version, xid, raw: OFPRAW.NXT_PACKET_IN2, body: more });
    if (!hasOfctl) return;
    const common = 'table_id=7 cookie=0x1234 total_len=';
    expect(stockPrint(nxt)).toContain(`${common}60 reg1=0x12,metadata=0x5a,in_port=3 (via invalid_ttl) data_len=60`);
    const text = stockPrint(nxt2);
    expect(text).toContain(
      `${common}128 reg1=0x12,metadata=0x5a,in_port=3 (via invalid_ttl) data_len=60 buffer=0x00000114`,
    );
    expect(text).toContain('\n userdata=01.02.03.04.05\n');
  });

  test.each(VERSIONS)('reasons as version %i can tell them', (version) => {
    const told = Object.values(OFPR).map((reason) => {
      const bytes = encodeMessage({ kind: 'packet_in', version, xid, body: { ...standard(version), reason } });
      const m = decodeMessage(bytes);
      if (m.kind !== 'packet_in') throw new Error(m.kind);
      return m.body.reason;
    });
    const fine = version >= 5 ? [3, 4, 5] : [1, 1, 1];
    expect(told).toEqual([0, 1, 2, ...fine, version >= 4 ? 0 : 1, 0]);
  });

  test.each([
    ['NXT_PACKET_IN2 without a packet', '01040018 00000000 00002320 0000001e 00030005 07000000', 'OFPBRC_BAD_LEN'],
    [
      'longer than it says',
      `01040028 00000000 00002320 0000001e 00000010 ${'11'.repeat(12)} 00010008 00000003`,
      'OFPBRC_BAD_LEN',
    ],
    ['a number too short', '01040018 00000000 00002320 0000001e 00010007 00000000', 'OFPBPC_BAD_LEN'],
    ['1.2: no room for the padding', '030a0018 00000000 ffffffff 00000000 0001000400000000', 'OFPBRC_BAD_LEN'],
    ['1.1: a port that is none', '020a0018 00000000 ffffffff 0000ff11 00000001 00000000', 'OFPBAC_BAD_OUT_PORT'],
  ])('%s', (_what, text, error) => {
    expect(decodeError(fromHex(text))).toBe(error);
    if (hasOfctl) expect(stockPrint(fromHex(text))).toContain(error);
  });

  test('NXT_PACKET_IN2: what a controller does not know it leaves out', () => {
    const body = pin({});
    const bytes = encodeMessage({ kind: 'packet_in', version: 4, xid, raw: OFPRAW.NXT_PACKET_IN2, body });
    const longer = new Uint8Array([...bytes, ...fromHex('1234000800000000 ffff000c0000232000000099 00000000')]);
    new DataView(longer.buffer).setUint16(2, longer.length);
    expect(decodeMessage(longer).body).toEqual(body);
  });
});

const state: PacketInPrivate = {
  bridge: fromHex('00112233445566778899aabbccddeeff'),
  stack: [fromHex('0102'), fromHex('ff')],
  mirrors: 5,
  isConntracked: true,
  actions: [
    { kind: 'unroll_xlate', ruleTable: 3, ruleCookie: 0x77n },
    ...parseActions('output:1,dec_ttl').actions,
    { kind: 'unroll_xlate', ruleTable: 3, ruleCookie: 0x88n },
    ...parseActions('resubmit(,9)').actions,
  ],
  actionSet: parseActions('output:4').actions,
  odpPort: 12,
};
const empty: PacketInPrivate = {
  bridge: new Uint8Array(16),
  stack: [],
  mirrors: 0,
  isConntracked: false,
  actions: [],
  actionSet: [],
  odpPort: 0,
};

describe('continuations', () => {
  test('the bridge of a Buffer stays as it is', () => {
    const bridge = Buffer.from(state.bridge);
    const first = encodeContinuation({ ...state, bridge }, 1);
    expect(encodeContinuation({ ...state, bridge }, 1)).toEqual(first);
    expect(decodeContinuation(first, 1).bridge).toEqual(new Uint8Array(bridge));
    expect(decodeContinuation(Buffer.from(first), 1).bridge).toEqual(state.bridge);
  });

  test.each(VERSIONS)('there and back in version %i', (version) => {
    expect(decodeContinuation(encodeContinuation(state, version), version)).toEqual(state);
    expect(encodeContinuation(empty, version)).toHaveLength(0);
    expect(decodeContinuation(new Uint8Array(), version)).toEqual(empty);
  });

  test('actions of no rule are of table 0', () => {
    const { actions } = parseActions('output:1');
    const back = decodeContinuation(encodeContinuation({ ...empty, actions }, 1), 1);
    expect(back.actions).toEqual([{ kind: 'unroll_xlate', ruleTable: 0, ruleCookie: 0n }, ...actions]);
  });

  test.each(VERSIONS)('nxt_resume of version %i', (version) => {
    const packetIn = pin({ continuation: encodeContinuation(state, version) });
    const bytes = roundTrip({ kind: 'nxt_resume', version, xid, body: { packetIn, private: state } });
    if (!hasOfctl) return;
    const text = stockPrint(bytes);
    expect(text).toContain('reg1=0x12,metadata=0x5a,in_port=3 (via no_match) data_len=60');
    const rest = text.slice(text.indexOf(' continuation.bridge'));
    expect(rest.replaceAll(/\n.*dl_type=0x1234\n/g, '')).toBe(
      [
        ' continuation.bridge=00112233-4455-6677-8899-aabbccddeeff',
        ' continuation.stack=(top) 0xff 0x102 (bottom)',
        ' continuation.mirrors=0x5',
        ' continuation.conntracked=true',
        ' continuation.actions=unroll_xlate(table=3, cookie=119),output:1,dec_ttl,unroll_xlate(table=3, cookie=136),resubmit(,9)',
        ' continuation.action_set=output:4',
        ' continuation.odp_port=12',
      ].join('\n'),
    );
  });

  test.each([
    ['a property that nobody knows', '8009 0008 00000000', 'OFPBPC_BAD_TYPE'],
    ['a bridge of 4 bytes', '8000 0008 00000000', 'OFPBPC_BAD_LEN'],
    ['an action of no kind', '8006 0010 00000000 00ff 0008 00000000', 'OFPBAC_BAD_TYPE'],
    ['a stack entry of 129 bytes', `8001 0085 ${'00'.repeat(132)}`, 'OFPBPC_BAD_LEN'],
    ['an experimenter', 'ffff 0010 00002320 00000001 00000000', 'OFPBPC_BAD_EXP_TYPE'],
  ])('%s', (_what, text, error) => {
    const continuation = fromHex(text);
    const body = { packetIn: pin({}), private: empty };
    const bytes = encodeMessage({ kind: 'nxt_resume', version: 1, xid, body });
    const whole = new Uint8Array([
      ...bytes.slice(0, -8),
      ...fromHex('0008'),
      0,
      8 + continuation.length,
      0,
      0,
      0,
      0,
      ...continuation,
    ]);
    new DataView(whole.buffer).setUint16(2, whole.length);
    expect(decodeError(whole)).toBe(error);
  });
});
