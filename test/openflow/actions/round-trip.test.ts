/**
 * Every kind of action, generated: through the bytes of every version and back, through text and back, and the same before stock
 * ovs-ofctl.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import {
  decodeActions,
  decodeInstructions,
  encodeActions,
  encodeInstructions,
  formatActions,
  parseInstructions,
} from '../../../src/openflow/actions/index.ts';
import type { Subfield } from '../../../src/openflow/fields/mf-field.ts';
import { MF_FIELDS, mfByName } from '../../../src/openflow/fields/mf-fields.ts';
import { OfpError, type OfVersion } from '../../../src/openflow/ofp-errors.ts';
import type { HashFields, Ofpact, OfpactKind } from '../../../src/openflow/ofpact.ts';
import { fc } from '../../support/property.ts';

const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];
const hasOfctl = spawnSync('ovs-ofctl', ['--version']).status === 0;

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const port = fc.integer({ min: 1, max: 0xfeff });
const bytes = (n: number) => fc.uint8Array({ minLength: n, maxLength: n });
const ethType = fc.constantFrom(0x8100, 0x88a8);
const mplsType = fc.constantFrom(0x8847, 0x8848);
const hashFields = fc.constantFrom<HashFields>(
  'eth_src',
  'symmetric_l4',
  'symmetric_l3l4',
  'nw_src',
  'nw_dst',
  'symmetric_l3',
);
const register = fc.nat(15).map((n) => mfByName(`reg${n}`) as NonNullable<ReturnType<typeof mfByName>>);
/** `bits` bits of a register. */
const inRegister = (min: number, max = 32): fc.Arbitrary<Subfield> =>
  fc.tuple(register, fc.integer({ min, max }), u8).map(([field, bits, at]) => ({ field, bits, ofs: at % (33 - bits) }));
const SETTABLE = MF_FIELDS.filter(
  (f) =>
    f.isWritable && f.special === undefined && f.headers.length > 0 && f.prereq === 'none' && !f.name.startsWith('ct_'),
);

const setField = fc
  .tuple(fc.constantFrom(...SETTABLE), fc.infiniteStream(u8), fc.boolean())
  .map(([field, noise, isWhole]): Ofpact => {
    const cut = (b: number, i: number) => (i === 0 && field.bits % 8 !== 0 ? b & ((1 << (field.bits % 8)) - 1) : b);
    const fits = field.bits > 8 * (field.bytes - 1);
    const take = () => Uint8Array.from({ length: field.bytes }, (_, i) => (fits ? cut(noise.next().value ?? 0, i) : 0));
    const full = new Uint8Array(field.bytes).fill(0xff);
    const mask = isWhole || !field.isMaskable || field.bits % 8 !== 0 ? full : take();
    mask[field.bytes - 1] = 0xff;
    return { kind: 'set_field', field, value: take().map((b, i) => b & (mask[i] ?? 0)), mask, isLoad: false };
  });
const move = fc.tuple(register, register, fc.integer({ min: 1, max: 32 }), u8, u8).map(
  ([a, b, bits, x, y]): Ofpact => ({
    kind: 'move',
    src: { field: a, bits, ofs: x % (33 - bits) },
    dst: { field: b, bits, ofs: y % (33 - bits) },
  }),
);
const simple = fc.oneof(
  port.map((p): Ofpact => ({ kind: 'output', port: p, maxLen: 0 })),
  u32.map((queue): Ofpact => ({ kind: 'set_queue', queue })),
);
const nshProp = fc.oneof(
  fc.constantFrom(1, 2).map((t) => ({ propClass: 4, type: 1, value: Uint8Array.of(t) })),
  fc.tuple(bytes(3), fc.uint8Array({ maxLength: 60 })).map(([head, data]) => ({
    propClass: 4,
    type: 2,
    // Leading zeros are not printed, and an odd digit is dropped when it is read, as by the stock tool.
    value: Uint8Array.of(...head, data.length + 1, 0x10, ...data),
  })),
);

/** Generators, one a kind; none for what is never on the wire. */
const KINDS: Readonly<
  Record<Exclude<OfpactKind, 'unroll_xlate' | 'debug_recirc' | 'debug_slow'>, fc.Arbitrary<Ofpact>>
> = {
  output: port.map((p) => ({ kind: 'output', port: p, maxLen: 0 })),
  group: fc.nat(0xfffffeff).map((groupId) => ({ kind: 'group', groupId })),
  controller: fc
    .record({
      maxLen: u16,
      controllerId: u16,
      reason: fc.nat(2),
      pause: fc.boolean(),
      userdata: fc.uint8Array({ maxLength: 20 }),
      meterId: u32,
    })
    .map((r) => ({ kind: 'controller', ...r, compat: 'controller2' })),
  enqueue: fc.record({ port: fc.integer({ min: 1, max: 0xfeff }), queue: u32 }).map((r) => ({ kind: 'enqueue', ...r })),
  output_reg: fc.record({ src: inRegister(1), maxLen: fc.constant(0xffff) }).map((r) => ({ kind: 'output_reg', ...r })),
  output_trunc: fc
    .record({ port, maxLen: fc.integer({ min: 14, max: 0xffffffff }) })
    .map((r) => ({ kind: 'output_trunc', ...r })),
  bundle: fc
    .record({
      algorithm: fc.constantFrom('active_backup' as const, 'hrw' as const),
      fields: hashFields,
      basis: u16,
      members: fc.array(port, { maxLength: 9 }),
      dst: fc.option(inRegister(16), { nil: undefined }),
    })
    .map((r) => ({ kind: 'bundle', ...r })),
  set_field: setField,
  set_vlan_vid: fc.nat(0xfff).map((vid) => ({ kind: 'set_vlan_vid', vid, pushIfNone: true, flowHasVlan: false })),
  set_vlan_pcp: fc.nat(7).map((pcp) => ({ kind: 'set_vlan_pcp', pcp, pushIfNone: true, flowHasVlan: false })),
  strip_vlan: fc.constant({ kind: 'strip_vlan', isPop: false }),
  push_vlan: ethType.map((t) => ({ kind: 'push_vlan', ethType: t })),
  mod_dl_src: bytes(6).map((mac) => ({ kind: 'mod_dl_src', mac })),
  mod_dl_dst: bytes(6).map((mac) => ({ kind: 'mod_dl_dst', mac })),
  mod_nw_src: u32.map((ipv4) => ({ kind: 'mod_nw_src', ipv4 })),
  mod_nw_dst: u32.map((ipv4) => ({ kind: 'mod_nw_dst', ipv4 })),
  mod_nw_tos: fc.nat(63).map((n) => ({ kind: 'mod_nw_tos', value: 4 * n })),
  mod_nw_ecn: fc.nat(3).map((value) => ({ kind: 'mod_nw_ecn', value })),
  mod_nw_ttl: u8.map((value) => ({ kind: 'mod_nw_ttl', value })),
  mod_tp_src: u16.map((p) => ({ kind: 'mod_tp_src', port: p })),
  mod_tp_dst: u16.map((p) => ({ kind: 'mod_tp_dst', port: p })),
  move,
  push: inRegister(1).map((subfield) => ({ kind: 'push', subfield })),
  pop: inRegister(1).map((subfield) => ({ kind: 'pop', subfield })),
  dec_ttl: fc
    .array(u16, { minLength: 1, maxLength: 9 })
    .map((controllerIds) => ({ kind: 'dec_ttl', controllerIds, hasIds: true })),
  set_mpls_label: fc.nat(0xfffff).map((value) => ({ kind: 'set_mpls_label', value })),
  set_mpls_tc: fc.nat(7).map((value) => ({ kind: 'set_mpls_tc', value })),
  set_mpls_ttl: u8.map((value) => ({ kind: 'set_mpls_ttl', value })),
  push_mpls: mplsType.map((t) => ({ kind: 'push_mpls', ethType: t })),
  pop_mpls: u16.map((t) => ({ kind: 'pop_mpls', ethType: t })),
  dec_mpls_ttl: fc.constant({ kind: 'dec_mpls_ttl' }),
  dec_nsh_ttl: fc.constant({ kind: 'dec_nsh_ttl' }),
  pop_queue: fc.constant({ kind: 'pop_queue' }),
  exit: fc.constant({ kind: 'exit' }),
  ct_clear: fc.constant({ kind: 'ct_clear' }),
  clear_actions: fc.constant({ kind: 'clear_actions' }),
  delete_field: fc.nat(63).map((n) => ({
    kind: 'delete_field',
    field: mfByName(`tun_metadata${n}`) as NonNullable<ReturnType<typeof mfByName>>,
  })),
  encap: fc.oneof(
    fc
      .constantFrom(0, 0x18847, 0x18848)
      .map((packetType): Ofpact => ({ kind: 'encap', packetType, headerSize: 0, props: [] })),
    fc
      .array(nshProp, { maxLength: 4 })
      .map((props): Ofpact => ({ kind: 'encap', packetType: 0x1894f, headerSize: 0, props })),
  ),
  decap: fc
    .oneof(
      fc.constant(0xfffe),
      u16.map((t) => 0x10000 + t),
    )
    .map((newPacketType) => ({ kind: 'decap', newPacketType })),
  set_tunnel: u64.map((tunId) => ({ kind: 'set_tunnel', tunId, is64: true })),
  set_queue: u32.map((queue) => ({ kind: 'set_queue', queue })),
  fin_timeout: fc.record({ idle: u16, hard: u16 }).map((r) => ({ kind: 'fin_timeout', ...r })),
  resubmit: fc
    .record({ inPort: port, table: u8, withCtOrig: fc.boolean() })
    .map((r) => ({ kind: 'resubmit', ...r, compat: '' })),
  learn: fc
    .record({
      idleTimeout: u16,
      hardTimeout: u16,
      priority: u16,
      table: fc.nat(253),
      cookie: u64,
      finIdleTimeout: u16,
      finHardTimeout: u16,
      flags: fc.nat(3),
      limit: fc.constant(0),
      specs: fc.array(
        fc.tuple(move, fc.constantFrom('match' as const, 'load' as const)).map(([m, kind]) => {
          const { src, dst } = m as Extract<Ofpact, { kind: 'move' }>;
          return { src: { kind: 'field' as const, subfield: src }, dst: { kind, subfield: dst }, bits: src.bits };
        }),
        { maxLength: 4 },
      ),
    })
    .map((r) => ({ kind: 'learn', ...r, resultDst: undefined })),
  conjunction: fc
    .record({ id: u32, nClauses: fc.integer({ min: 2, max: 64 }), at: u8 })
    .map(({ id, nClauses, at }) => ({ kind: 'conjunction', id, clause: at % nClauses, nClauses })),
  multipath: fc
    .record({
      fields: hashFields,
      basis: u16,
      algorithm: fc.constantFrom('modulo_n' as const, 'hash_threshold' as const, 'hrw' as const, 'iter_hash' as const),
      maxLink: fc.nat(0xfffe),
      arg: u16,
      dst: inRegister(16),
    })
    .map((r) => ({ kind: 'multipath', ...r })),
  note: fc.uint8Array({ minLength: 6, maxLength: 6 }).map((data) => ({ kind: 'note', data })),
  sample: fc
    .record({
      probability: fc.integer({ min: 1, max: 0xffff }),
      collectorSetId: u32,
      obsDomainId: u32,
      obsPointId: u32,
      samplingPort: port,
    })
    .map((r) => ({ kind: 'sample', ...r, direction: 'egress', compat: 'sample3' })),
  ct: fc
    .record({
      flags: fc.constantFrom(0, 1, 3),
      zoneImm: u16,
      alg: fc.constantFrom(0, 21, 69),
      recircTable: fc.nat(254),
    })
    .map((r) => ({ kind: 'ct', ...r, zoneSrc: undefined, actions: [] })),
  nat: fc
    .record({ addrMin: bytes(4), portMin: fc.integer({ min: 1, max: 0xffff }) })
    .map(({ addrMin, portMin }): Ofpact => {
      const nat: Ofpact = { kind: 'nat', flags: 1, addrMin, addrMax: undefined, portMin, portMax: 0 };
      return { kind: 'ct', flags: 1, zoneSrc: undefined, zoneImm: 0, alg: 0, recircTable: 255, actions: [nat] };
    }),
  clone: fc.array(simple, { minLength: 1, maxLength: 3 }).map((actions) => ({ kind: 'clone', actions })),
  check_pkt_larger: fc.record({ length: u16, dst: inRegister(1, 1) }).map((r) => ({ kind: 'check_pkt_larger', ...r })),
  meter: fc.integer({ min: 1, max: 0xffff }).map((meterId) => ({ kind: 'meter', meterId })),
  write_actions: fc
    .array(simple, { minLength: 1, maxLength: 3 })
    .map((actions) => ({ kind: 'write_actions', actions })),
  write_metadata: fc.tuple(u64, u64).map(([v, mask]) => ({ kind: 'write_metadata', metadata: v & mask, mask })),
  goto_table: fc.nat(254).map((table) => ({ kind: 'goto_table', table })),
};

const INSTRUCTION_KINDS: readonly string[] = [
  'meter',
  'clear_actions',
  'write_actions',
  'write_metadata',
  'goto_table',
];
/** First version that has a code for the kind; all others are in 1.0 too, if only as extensions. */
const SINCE: Readonly<Record<string, OfVersion>> = { encap: 4, decap: 4, dec_nsh_ttl: 4 };
const kinds = Object.entries(KINDS);
const samples = (kind: string, gen: fc.Arbitrary<Ofpact>): Ofpact[] =>
  fc.sample(gen, { numRuns: 40, seed: kind.length });

describe('bytes and text', () => {
  test.each(kinds)('%s', (kind, gen) => {
    fc.assert(
      fc.property(gen, fc.constantFrom(...VERSIONS), (action, version) => {
        const wire = encodeInstructions([action], version);
        if (version < (SINCE[kind] ?? 1)) {
          expect(() => decodeInstructions(version, wire)).toThrow(OfpError);
          return;
        }
        const list = decodeInstructions(version, wire);
        expect(encodeInstructions(list, version)).toEqual(wire);
        const text = formatActions(list);
        expect(formatActions(parseInstructions(text).actions)).toBe(text);
      }),
    );
  });

  test.each(kinds)('%s is the same in some version', (_, gen) => {
    fc.assert(
      fc.property(gen, (action) => {
        const back = VERSIONS.map((v) => {
          try {
            return decodeInstructions(v, encodeInstructions([action], v));
          } catch (error) {
            if (error instanceof OfpError) return [];
            throw error;
          }
        });
        expect(back).toContainEqual([action]);
      }),
      { numRuns: 30 },
    );
  });

  test.skipIf(!hasOfctl).each(VERSIONS)('version %i: as stock ovs-ofctl (skipped without it) has them', (version) => {
    const inputs = kinds.flatMap(([kind, gen]) =>
      INSTRUCTION_KINDS.includes(kind) || version < (SINCE[kind] ?? 1)
        ? []
        : samples(kind, gen).map((a) => encodeActions([a], version)),
    );
    const wire = inputs.filter((b) => b.length > 0);
    const { stdout } = spawnSync('ovs-ofctl', ['parse-actions', `OpenFlow1${version - 1}`], {
      input: wire.map((b) => `${Buffer.from(b).toString('hex')}\n`).join(''),
      encoding: 'utf8',
    });
    // More lines of a block would tell of bytes that the stock tool writes otherwise.
    const blocks = stdout.trimEnd().split('\n\n');
    expect(blocks).toEqual(wire.map((b) => `actions=${formatActions(decodeActions(version, b))}`));
  });
});
