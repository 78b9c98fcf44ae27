/** flow_mods and requests of flow statistics: there and back, against stock ovs-ofctl, and what is wrong with bad ones. */

import { describe, expect, test } from 'vitest';
import { parseInstructions } from '../../../src/openflow/actions/index.ts';
import { newMatch } from '../../../src/openflow/match/match.ts';
import { decodeNxMatch } from '../../../src/openflow/match/nx-match.ts';
import { decodeMessage, encodeMessage, type OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import {
  FLOW_FLAG,
  type FlowMod,
  OFPFC,
  OFPG,
  UNKNOWN32,
  UNKNOWN64,
} from '../../../src/openflow/messages/flow/flow-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPRAW } from '../../../src/openflow/ofp-msgs.ts';
import { fc } from '../../support/property.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

/** in_port=3, dl_type=0x0800, nw_dst=10.0.0.0/24. */
const { match } = decodeNxMatch(fromHex('00000002 0003 00000602 0800 00001108 0a000000 ffffff00'));
const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const forms = [
  ...VERSIONS.map((version) => ({ version, raw: version === 1 ? OFPRAW.OFPT10_FLOW_MOD : OFPRAW.OFPT11_FLOW_MOD })),
  ...VERSIONS.map((version) => ({ version, raw: OFPRAW.NXT_FLOW_MOD })),
].map((f) => ({ ...f, name: `${f.raw.name} of version ${f.version}` }));

const flow = (change: Partial<FlowMod>): FlowMod => ({
  match,
  priority: 123,
  cookie: 0n,
  cookieMask: 0n,
  newCookie: 0x12345n,
  modifyCookie: false,
  tableId: 0xff,
  command: OFPFC.ADD,
  idleTimeout: 10,
  hardTimeout: 20,
  bufferId: UNKNOWN32,
  outPort: 0xffff,
  outGroup: OFPG.ANY,
  flags: FLOW_FLAG.SEND_FLOW_REM | FLOW_FLAG.CHECK_OVERLAP,
  importance: 0,
  ofpacts: parseInstructions('output:2').actions,
  ...change,
});

/** An added flow as it comes back from a form. */
function added(version: OfVersion, is10: boolean): FlowMod {
  const flags = FLOW_FLAG.SEND_FLOW_REM | FLOW_FLAG.CHECK_OVERLAP | (version <= 2 ? FLOW_FLAG.RESET_COUNTS : 0);
  return flow({ flags, modifyCookie: is10, tableId: is10 ? 0xff : 7, importance: !is10 && version >= 5 ? 9 : 0 });
}
const xid = 1;
const isForm10 = (raw: (typeof forms)[number]['raw']): boolean => raw !== OFPRAW.OFPT11_FLOW_MOD;

describe('flow_mod', () => {
  test.each(forms)('$name: an added flow', ({ version, raw }) => {
    const body = added(version, isForm10(raw));
    const bytes = roundTrip({ kind: 'flow_mod', version, xid, raw, body });
    if (!hasOfctl) return;
    const text = stockPrint(bytes);
    const table = isForm10(raw) ? '' : 'table:7 ';
    expect(text).toContain(`ADD ${table}priority=123,ip,in_port=3,nw_dst=10.0.0.0/24 cookie:0x12345 idle:10 hard:20`);
    expect(text).toContain('send_flow_rem check_overlap');
    expect(text.trimEnd().endsWith('actions=output:2')).toBe(true);
  });

  test.each(forms.filter(({ raw, version }) => raw !== OFPRAW.OFPT10_FLOW_MOD && version !== 2))(
    '$name: flows deleted by their cookie',
    ({ version, raw }) => {
      const is10 = isForm10(raw);
      const body = flow({
        command: OFPFC.DELETE,
        cookie: 0x10n,
        cookieMask: 0xf0n,
        newCookie: UNKNOWN64,
        outPort: 4,
        outGroup: is10 ? OFPG.ANY : 5,
        flags: 0,
        ofpacts: [],
      });
      const bytes = roundTrip({ kind: 'flow_mod', version, xid, raw, body });
      if (hasOfctl) expect(stockPrint(bytes)).toMatch(/DEL .*cookie:0x10\/0xf0.* out_port:4/);
    },
  );

  test('the table of OpenFlow 1.0 is in the command, if that was agreed', () => {
    const context = { hasFlowModTableId: true };
    const body = { ...added(1, true), tableId: 5 };
    const bytes = encodeMessage({ kind: 'flow_mod', version: 1, xid, body }, context);
    expect(decodeMessage(bytes, context).body).toEqual(body);
    expect(decodeError(bytes)).toBe('OFPFMFC_BAD_COMMAND');
  });

  test('1.0: no wildcards at all is the highest priority', () => {
    const bytes = encodeMessage({ kind: 'flow_mod', version: 1, xid, body: added(1, true) });
    bytes.fill(0, 8, 12);
    expect(decodeMessage(bytes).body).toMatchObject({ priority: 0xffff });
  });

  test.each([
    ['a flag of nobody', 3, 44, 'ff', 'OFPFMFC_BAD_FLAGS'],
    ['a command of nobody', 4, 25, '09', 'OFPFMFC_BAD_COMMAND'],
    ['all tables', 4, 24, 'ff', 'OFPFMFC_BAD_TABLE_ID'],
    ['an emergency flow', 1, 71, '04', 'OFPFMFC_BAD_EMERG_TIMEOUT'],
    ['a port between', 4, 36, '00010000', 'OFPBAC_BAD_OUT_PORT'],
  ] as const)('%s', (_what, version, at, value, error) => {
    const bytes = encodeMessage({ kind: 'flow_mod', version, xid, body: added(version, version === 1) });
    bytes.set(fromHex(value), at);
    expect(decodeError(bytes)).toBe(error);
    if (hasOfctl) expect(stockPrint(bytes)).toContain(error);
  });
});

const asks: OfMessageOut[] = (['flow_stats_request', 'aggregate_stats_request'] as const).flatMap((kind) =>
  VERSIONS.flatMap((version): OfMessageOut[] => {
    const body = { match, cookie: 0n, cookieMask: 0n, outPort: 2, outGroup: OFPG.ANY, tableId: 5 };
    const nx = kind === 'flow_stats_request' ? OFPRAW.NXST_FLOW_REQUEST : OFPRAW.NXST_AGGREGATE_REQUEST;
    const withCookie = { ...body, cookie: 0x10n, cookieMask: 0xf0n };
    if (version > 1) return [{ kind, version, xid, body: withCookie }];
    return [
      { kind, version, xid, body },
      { kind, version, xid, raw: nx, body: withCookie },
    ];
  }),
);

describe('requests of statistics', () => {
  test.each(asks)('$kind of version $version', (m) => {
    const bytes = roundTrip(m);
    if (!hasOfctl) return;
    expect(stockPrint(bytes)).toMatch(
      /table=5,(cookie=0x10\/0xf0,)?out_port=2,ip,in_port=3,nw_dst=10\.0\.0\.0\/24|table=5.*out_port=2.*ip,in_port=3/,
    );
  });

  test('a match of everything', () => {
    const body = { match: newMatch(), cookie: 0n, cookieMask: 0n, outPort: 0xffff, outGroup: OFPG.ANY, tableId: 0xff };
    for (const version of VERSIONS) roundTrip({ kind: 'flow_stats_request', version, xid, body });
  });
});

test('bytes that are not what they were: a message or an OfpError', () => {
  const messages = [
    ...forms.map(({ version, raw }) =>
      encodeMessage({ kind: 'flow_mod', version, xid, raw, body: added(version, true) }),
    ),
    ...asks.map((m) => encodeMessage(m)),
  ];
  const changes = fc.array(fc.tuple(fc.nat(200), fc.oneof(fc.nat(255), fc.nat(8))), { minLength: 1, maxLength: 4 });
  const seen = new Set<string | undefined>();
  fc.assert(
    fc.property(fc.constantFrom(...messages), changes, fc.nat(80), (good, list, cut) => {
      const bytes = good.slice(0, cut < 20 ? Math.max(8, good.length - 4 * cut) : undefined);
      for (const [at, value] of list) bytes[8 + (at % Math.max(1, bytes.length - 8))] = value;
      const sized = bytes.slice(0, Math.max(8, good.length - (cut < 20 ? 4 * cut : 0)));
      new DataView(sized.buffer).setUint16(2, sized.length);
      seen.add(decodeError(sized));
    }),
    { numRuns: 5000 },
  );
  expect(seen.size).toBeGreaterThan(8);
});
