/** Messages about tables: there and back, against stock ovs-ofctl, and what is wrong with bad ones. */

import { describe, expect, test } from 'vitest';
import type { MfField } from '../../../src/openflow/fields/mf-field.ts';
import { MF } from '../../../src/openflow/fields/mf-fields.ts';
import { decodeMessage, encodeMessage } from '../../../src/openflow/messages/codec.ts';
import type {
  TableDesc,
  TableFeatures,
  TableInstructionFeatures,
  TableStats,
} from '../../../src/openflow/messages/switch/switch-types.ts';
import type { OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { fc } from '../../support/property.ts';
import { decodeError, fromHex, hasOfctl, roundTrip, stockPrint } from './oracle.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const xid = 2;
const fields = (text: string): Set<MfField> => new Set(text.split(' ').map((name) => MF[name] as MfField));
const off = { vacancyDown: 0, vacancyUp: 0, vacancy: 0 } as const;
const legacy = { tableId: 3, hasEviction: undefined, evictionFlags: undefined, hasVacancyEvents: undefined, ...off };
const on: TableDesc = {
  tableId: 3,
  hasEviction: true,
  evictionFlags: 7,
  hasVacancyEvents: true,
  vacancyDown: 20,
  vacancyUp: 80,
  vacancy: 0,
};

describe('table_mod, table_desc, table_status', () => {
  test.each([
    [2, 'drop', / table_id=3, flow_miss_config=drop/],
    [3, 'continue', / table_id=3, flow_miss_config=continue/],
    [4, 'default', / table_id=3$/m],
  ] as const)('table_mod of version %i: %s', (version, miss, want) => {
    const bytes = roundTrip({ kind: 'table_mod', version, xid, body: { ...legacy, miss } });
    if (hasOfctl) expect(stockPrint(bytes)).toMatch(want);
  });

  test.each([5, 6] as const)('table_mod of version %i', (version) => {
    const body = { ...on, evictionFlags: undefined, miss: 'default' } as const;
    const bytes = roundTrip({ kind: 'table_mod', version, xid, body });
    roundTrip({ kind: 'table_mod', version, xid, body: { ...body, evictionFlags: 5 } });
    const none = { ...body, ...off, hasEviction: false, hasVacancyEvents: false };
    const noneBytes = roundTrip({ kind: 'table_mod', version, xid, body: none });
    if (!hasOfctl) return;
    expect(stockPrint(bytes)).toMatch(/table_id=3, eviction=on, vacancy=on vacancy:20,80/);
    expect(stockPrint(noneBytes)).toContain('table_id=3, eviction=off, vacancy=off');
  });

  test.each([5, 6] as const)('table_desc and table_status of version %i', (version) => {
    const none = { ...on, ...off, tableId: 4, hasEviction: false, evictionFlags: undefined, hasVacancyEvents: false };
    const now = { ...on, vacancy: 40 };
    const bytes = roundTrip({ kind: 'table_desc_reply', version, xid, body: [now, none] });
    const status = roundTrip({ kind: 'table_status', version, xid, body: { reason: 3, desc: now } });
    roundTrip({ kind: 'table_status', version, xid, body: { reason: 4, desc: none } });
    if (!hasOfctl) return;
    const text =
      '\n   eviction=on eviction_flags=OTHER|IMPORTANCE|LIFETIME\n   vacancy=on vacancy_down=20% vacancy_up=80% vacancy=40%\n';
    expect(stockPrint(bytes)).toContain(
      `  table 3:${text}\n  table 4:\n   eviction=off eviction_flags=(default)\n   vacancy=off`,
    );
    expect(stockPrint(status)).toContain(`reason=VACANCY_DOWN\ntable_desc:-\n  table 3:${text}`);
  });

  test.each([
    ['thresholds the wrong way round', '05110018 00000002 03000000 00000008 00030008 50140000', 'OFPBPC_BAD_VALUE'],
    ['a threshold beyond 100%', '05110018 00000002 03000000 00000008 00030008 14650000', 'OFPBPC_BAD_VALUE'],
    ['a vacancy in a request', '05110018 00000002 03000000 00000008 00030008 14502800', 'OFPBPC_BAD_VALUE'],
    ['a vacancy property of 7 bytes', '05110018 00000002 03000000 00000008 00030007 14500000', 'OFPBPC_BAD_LEN'],
    ['a property of nobody', '05110018 00000002 03000000 00000000 00090008 00000000', 'OFPBRC_BAD_TYPE'],
    ['a status for no reason', '051f0018 00000002 0100000000000000 00080300 00000000', 'OFPBPC_BAD_VALUE'],
    ['a description of 4 bytes', '051f0018 00000002 0300000000000000 00040300 00000000', 'OFPBRC_BAD_LEN'],
  ])('%s', (_what, text, error) => {
    expect(decodeError(fromHex(text))).toBe(error);
    if (hasOfctl) expect(stockPrint(fromHex(text))).toContain(error);
  });
});

const can = (change: Partial<TableInstructionFeatures>): TableInstructionFeatures => ({
  next: new Set([4, 5, 6]),
  instructions: new Set(['goto_table', 'write_metadata', 'write_actions', 'apply_actions', 'clear_actions']),
  write: { ofpacts: new Set(['output', 'set_field', 'group']), setFields: fields('reg0 eth_src') },
  apply: { ofpacts: new Set(['output', 'push_vlan']), setFields: fields('tun_id vlan_vid') },
  ...change,
});
const features = (version: OfVersion, change: Partial<TableFeatures> = {}): TableFeatures => ({
  command: version >= 6 ? 1 : 0,
  tableId: 3,
  name: 'classifier',
  metadataMatch: 0xffn,
  metadataWrite: 0xf0n,
  maxEntries: 1000,
  hasProperties: true,
  miss: 'default',
  supportsEviction: version < 5 ? undefined : true,
  supportsVacancyEvents: version < 5 ? undefined : false,
  nonmissFeatures: can({}),
  missFeatures: can({ next: new Set([9]) }),
  match: fields('dp_hash metadata eth_src eth_type'),
  mask: fields('metadata eth_src'),
  wildcard: fields('metadata eth_src eth_type'),
  ...change,
});

describe('table_features', () => {
  test.each([4, 5, 6] as const)('of version %i', (version) => {
    const body = [features(version), features(version, { tableId: 4, name: 'x'.repeat(31) })];
    const bytes = roundTrip({ kind: 'table_features_stats_reply', version, xid, body });
    roundTrip({ kind: 'table_features_stats_request', version, xid, body });
    roundTrip({ kind: 'table_features_stats_request', version, xid, body: [] });
    if (!hasOfctl) return;
    const text = stockPrint(bytes);
    expect(text).toContain('table 3 ("classifier")');
    expect(text).toContain('metadata: match=0xff write=0xf0');
    expect(text).toContain('max_entries=1000');
    if (version >= 5) expect(text).toContain('eviction: supported');
    expect(text).toMatch(/next tables: 4-6\n[\s\S]*next tables: 9\n/);
    expect(text).toContain('instructions: apply_actions clear_actions write_actions write_metadata goto_table');
    expect(text).toContain('actions: output group set_field');
    expect(text).toMatch(/supported on Set-Field: (reg0 eth_src|tun_id)/);
    expect(text).toContain('arbitrary mask: metadata eth_src');
    expect(text).toContain('exact match or wildcard: eth_type');
    expect(text).toContain('must exact match: dp_hash');
  });

  test('lists that tables have in common are read once, others apart', () => {
    const wildcard = fields('metadata eth_src');
    const body = [
      features(5),
      features(5, { tableId: 4 }),
      features(5, { tableId: 5, wildcard }),
      features(5, { tableId: 6, mask: fields('metadata'), wildcard }),
      features(5, { tableId: 7 }),
    ];
    const m = decodeMessage(roundTrip({ kind: 'table_features_stats_reply', version: 5, xid, body }));
    if (m.kind !== 'table_features_stats_reply') throw new Error(m.kind);
    expect(m.body.map((tf) => [tf.match, tf.mask, tf.wildcard])).toEqual(
      body.map((tf) => [tf.match, tf.mask, tf.wildcard]),
    );
    expect(m.body[1]?.match).toBe(m.body[0]?.match);
  });

  test('1.5 may ask for no change', () => {
    const none = can({ next: new Set(), instructions: new Set() });
    const nothing = { ...none, write: { ofpacts: new Set(), setFields: new Set() } };
    const all = { ...nothing, apply: nothing.write } as TableInstructionFeatures;
    const change = { hasProperties: false, nonmissFeatures: all, missFeatures: all };
    const body = [features(6, { ...change, match: new Set(), mask: new Set(), wildcard: new Set() })];
    roundTrip({ kind: 'table_features_stats_request', version: 6, xid, body });
    const old = encodeMessage({ kind: 'table_features_stats_request', version: 5, xid, body });
    expect(decodeError(old)).toBe('OFPTFFC_BAD_FEATURES');
  });

  test('without lists for the flow that matches the rest, those for others count', () => {
    const bytes = encodeMessage({ kind: 'table_features_stats_request', version: 4, xid, body: [features(4)] });
    const dv = new DataView(bytes.buffer);
    const kept = [...bytes.slice(0, 16 + 64)];
    for (let at = 16 + 64; at < bytes.length; ) {
      const size = Math.ceil(dv.getUint16(at + 2) / 8) * 8;
      if (dv.getUint16(at) % 2 === 0) kept.push(...bytes.slice(at, at + size));
      at += size;
    }
    const shorter = Uint8Array.from(kept);
    new DataView(shorter.buffer).setUint16(2, shorter.length);
    new DataView(shorter.buffer).setUint16(16, shorter.length - 16);
    expect(decodeMessage(shorter).body).toEqual([features(4, { missFeatures: can({}) })]);
  });

  const request = (change: (dv: DataView) => void, version: OfVersion = 6): Uint8Array => {
    const bytes = encodeMessage({ kind: 'table_features_stats_request', version, xid, body: [features(version)] });
    change(new DataView(bytes.buffer));
    return bytes;
  };
  test.each([
    ['a command of nobody', (dv: DataView) => dv.setUint8(19, 4), 'OFPTFFC_BAD_COMMAND'],
    ['all tables', (dv: DataView) => dv.setUint8(18, 0xff), 'OFPTFFC_BAD_TABLE'],
    ['a length that is no multiple of 8', (dv: DataView) => dv.setUint16(16, 68), 'OFPBPC_BAD_LEN'],
    ['an instruction of nobody', (dv: DataView) => dv.setUint16(84, 9), 'OFPBIC_UNKNOWN_INST'],
    ['a property twice', (dv: DataView) => dv.setUint16(80, 2), 'OFPTFFC_BAD_FEATURES'],
    ['a property of nobody', (dv: DataView) => dv.setUint16(80, 16), 'OFPBPC_BAD_TYPE'],
  ])('%s', (_what, change, error) => {
    expect(decodeError(request(change))).toBe(error);
  });

  test('what a controller does not know it leaves out', () => {
    const bytes = encodeMessage({ kind: 'table_features_stats_reply', version: 5, xid, body: [features(5)] });
    new DataView(bytes.buffer).setUint16(84, 9);
    const m = decodeMessage(bytes);
    if (m.kind !== 'table_features_stats_reply') throw new Error(m.kind);
    expect(m.body[0]?.nonmissFeatures.instructions.has('goto_table')).toBe(false);
  });
});

const FIELDS10 = 'in_port vlan_vid vlan_pcp eth_src eth_dst eth_type ip_src ip_dst nw_tos nw_proto tcp_src tcp_dst';

/** What a form can tell of a table. */
function statsOf(version: OfVersion): TableStats {
  const stats = { tableId: 3, activeCount: 12, lookupCount: 1000n, matchedCount: 900n, features: undefined };
  if (version >= 4) return stats;
  const noFields = { ofpacts: new Set<never>(), setFields: new Set<MfField>() };
  const nothing = { next: new Set<number>(), instructions: new Set<string>(), write: noFields, apply: noFields };
  const base = features(version, {
    hasProperties: false,
    metadataMatch: 0n,
    metadataWrite: 0n,
    mask: new Set(),
    command: 0,
  });
  if (version === 1) {
    const all = new Set([...fields(FIELDS10)].sort((a, b) => a.id - b.id));
    return {
      ...stats,
      features: { ...base, match: all, wildcard: all, nonmissFeatures: nothing, missFeatures: nothing },
    };
  }
  const write = {
    ofpacts: new Set(['output', 'group'] as const),
    setFields: version === 3 ? fields('vlan_vid eth_src') : new Set<MfField>(),
  };
  // Stock reads both of 1.1 from the first.
  const apply = version === 2 ? write : noFields;
  const able = { ...nothing, instructions: new Set(['goto_table', 'apply_actions']), write, apply };
  const all = version === 2 ? `${FIELDS10} mpls_label mpls_tc metadata` : 'metadata in_port_oxm eth_src eth_type';
  const wildcard = new Set([...fields(all)].sort((a, b) => a.id - b.id));
  const metadata = version === 3 ? { metadataMatch: 0xffn, metadataWrite: 0xf0n } : {};
  const told = { ...base, ...metadata, miss: 'drop' as const, match: wildcard, wildcard };
  return { ...stats, features: { ...told, nonmissFeatures: able, missFeatures: able } };
}

describe('table statistics', () => {
  test.each(VERSIONS)('of version %i', (version) => {
    const stats = statsOf(version);
    const bytes = roundTrip({ kind: 'table_stats_reply', version, xid, body: [stats] });
    roundTrip({ kind: 'table_stats_request', version, xid, body: undefined });
    if (!hasOfctl) return;
    const text = stockPrint(bytes);
    const name = version <= 3 ? ' ("classifier")' : '';
    expect(text).toContain(`  table 3${name}:\n    active=12, lookup=1000, matched=900\n`);
    if (version <= 3) expect(text).toContain('max_entries=1000');
  });

  test('fields that cannot be matched are wild in 1.0 and 1.1', () => {
    const { features: can10, ...stats } = statsOf(1);
    if (can10 === undefined) throw new Error('no features');
    const body = [{ ...stats, features: { ...can10, match: new Set<MfField>(), wildcard: new Set<MfField>() } }];
    expect(decodeMessage(encodeMessage({ kind: 'table_stats_reply', version: 1, xid, body })).body).toEqual([
      statsOf(1),
    ]);
  });
});

test('bytes that are not what they were: a message or an OfpError', () => {
  const messages = [
    encodeMessage({ kind: 'table_features_stats_request', version: 6, xid, body: [features(6)] }),
    encodeMessage({ kind: 'table_features_stats_reply', version: 5, xid, body: [features(5)] }),
    encodeMessage({ kind: 'table_desc_reply', version: 5, xid, body: [on] }),
    encodeMessage({ kind: 'table_status', version: 6, xid, body: { reason: 3, desc: on } }),
    encodeMessage({ kind: 'table_mod', version: 6, xid, body: { ...on, miss: 'default' } }),
    ...VERSIONS.map((version) => encodeMessage({ kind: 'table_stats_reply', version, xid, body: [statsOf(version)] })),
  ];
  const changes = fc.array(fc.tuple(fc.nat(400), fc.oneof(fc.nat(255), fc.nat(8))), { minLength: 1, maxLength: 3 });
  const seen = new Set<string | undefined>();
  fc.assert(
    fc.property(fc.constantFrom(...messages), changes, (good, list) => {
      const bytes = good.slice();
      for (const [at, value] of list) bytes[8 + (at % (bytes.length - 8))] = value;
      seen.add(decodeError(bytes));
    }),
    { numRuns: 3000 },
  );
  expect(seen.size).toBeGreaterThan(8);
});
