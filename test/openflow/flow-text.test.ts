/** Flows as text: random ones against stock ovs-ofctl, text and bytes; fixed points; errors with its words. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import {
  formatDuration,
  formatFlowMod,
  formatFlowStats,
  parseFlow,
  parseFlowStatsRequest,
} from '../../src/openflow/flow-text.ts';
import { decodeMatch, encodeMatch, encodePaddedNxMatch } from '../../src/openflow/match/match-codec.ts';
import { parseMatch } from '../../src/openflow/match/match-parse.ts';
import { formatMatch } from '../../src/openflow/match/match-text.ts';
import { OFPUTIL_P } from '../../src/openflow/ofp-protocol.ts';
import { fc } from '../support/property.ts';

const hasOfctl = spawnSync('ovs-ofctl', ['--version']).status === 0;

/** Values and masks of fields, as text. */
const uint = (bits: number, isMaskable = true) =>
  fc
    .tuple(
      fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }),
      fc.bigInt({ min: 1n, max: (1n << BigInt(bits)) - 1n }),
      fc.boolean(),
    )
    .map(([v, m, hasMask]) =>
      hasMask && isMaskable
        ? `0x${(v & m).toString(16)}/0x${m.toString(16)}`
        : bits > 64
          ? `0x${v.toString(16)}`
          : `${v}`,
    );
const exact = (bits: number) => uint(bits, false);
const byte = fc.integer({ min: 0, max: 255 });
const ip = fc.tuple(byte, byte, byte, byte, fc.constantFrom('', '/8', '/31', '/255.0.255.0', '/32')).map(([a, b, c, d, m]) => `${a}.${b}.${c}.${d}${m}`); // biome-ignore format: short
const mac = fc.constantFrom('01:02:03:04:05:06', 'ff:ff:ff:ff:ff:ff', '01:00:00:00:00:00/01:00:00:00:00:00', 'aa:bb:cc:00:00:00/ff:ff:ff:00:00:00'); // biome-ignore format: short
const ip6 = fc.constantFrom(
  'fe80::1',
  '2001:db8::/32',
  '::1',
  '::ffff:1.2.3.4',
  '1:2:3:4:5:6:7:8/ffff:0:ffff::',
  '::/0',
);
const named = (name: string, value: fc.Arbitrary<string>) => value.map((v) => `${name}=${v}`);
const of = (table: Readonly<Record<string, fc.Arbitrary<string>>>) =>
  Object.entries(table).map(([n, v]) => named(n, v));

const ANY = of({
  in_port: fc.constantFrom('1', 'LOCAL', '65279', 'controller'),
  in_port_oxm: fc.constantFrom('2', 'LOCAL', '0xffff0003'.slice(0, 1)),
  reg0: uint(32), reg15: uint(32), xreg1: uint(64), xxreg1: uint(128), metadata: uint(64), tun_id: uint(64), pkt_mark: uint(32),
  tun_src: ip, tun_dst: ip, tun_ipv6_src: ip6, tun_ipv6_dst: ip6, tun_flags: fc.constantFrom('oam', '+oam', '-oam', '0'),
  // Not ERSPAN and GTP-U: the stock tool masks them by their own value, so that its match of a 1 is of a 3, too.
  tun_gbp_id: uint(16), tun_gbp_flags: exact(8),
  ct_state: fc.constantFrom('+trk', '+trk-new', 'trk|est', '0x21/0x23', '0', '-trk+inv+snat'), ct_zone: exact(16), ct_mark: uint(32),
  ct_label: uint(128), dp_hash: uint(32), conj_id: exact(32), actset_output: fc.constantFrom('3', 'LOCAL', 'UNSET'), recirc_id: exact(32),
}); // biome-ignore format: table
const L2 = of({
  dl_src: mac, dl_dst: mac, dl_vlan: exact(12), dl_vlan_pcp: exact(3), vlan_tci: fc.constantFrom('0', '0x1003', '0x1000/0x1000', '0x1005/0x1fff', '0x3000/0xf000', '0xffff', '0x0005/0x0007'), vlan_vid: fc.constantFrom('0', '0x1005', '0x1000/0x1000'),
}); // biome-ignore format: table
const IP = of({ nw_tos: exact(6).map((v) => `${Number(v) * 4}`), ip_dscp: exact(6), nw_ecn: exact(2), nw_ttl: exact(8), nw_frag: fc.constantFrom('no', 'yes', 'first', 'not_later') }); // biome-ignore format: short
const IP4 = of({ nw_src: ip, nw_dst: ip });
const IP6 = of({ ipv6_src: ip6, ipv6_dst: ip6, ipv6_label: uint(20) });
const PORTS = of({ tp_src: uint(16), tp_dst: uint(16) });
const ICMP = of({ icmp_type: exact(8), icmp_code: exact(8) });

/** What a packet is, and what may be asked of it. */
const SHAPES: readonly (readonly [string, readonly fc.Arbitrary<string>[]])[] = [
  ['', []], ['dl_type=0x1234', []], ['dl_type=0x05ff', []], ['eth', []],
  ['ip', [...IP, ...IP4, ...of({ nw_proto: exact(8) })]], ['tcp', [...IP, ...IP4, ...PORTS, ...of({ tcp_flags: fc.constantFrom('+syn-ack', 'syn|ack', '0x800/0x8ff', '0') })]],
  ['udp', [...IP4, ...PORTS]], ['sctp', [...IP, ...PORTS]], ['icmp', [...IP4, ...ICMP]],
  ['ipv6', [...IP, ...IP6]], ['tcp6', [...IP, ...IP6, ...PORTS]], ['udp6', [...IP6, ...PORTS]], ['icmp6', [...IP6, ...of({ icmpv6_type: exact(7) })]],
  ['icmp6,icmpv6_type=135,icmpv6_code=0', of({ nd_target: ip6, nd_sll: mac, nd_reserved: exact(32), nd_options_type: exact(8) })],
  ['icmp6,icmpv6_type=136,icmpv6_code=0', of({ nd_target: ip6, nd_tll: mac })],
  ['arp', of({ arp_op: exact(8), arp_spa: ip, arp_tpa: ip, arp_sha: mac, arp_tha: mac })], ['rarp', of({ arp_op: exact(8), arp_spa: ip })],
  ['mpls', of({ mpls_label: exact(20), mpls_tc: exact(3), mpls_bos: exact(1), mpls_ttl: exact(8) })], ['mplsm', of({ mpls_label: exact(20) })],
  ['dl_type=0x894f,nsh_mdtype=1', of({ nsh_flags: uint(8), nsh_np: exact(8), nsh_spi: exact(24), nsh_si: exact(8), nsh_c1: uint(32), nsh_c4: uint(32), nsh_ttl: exact(6) })],
  ['ct_state=+trk+est,ip', of({ ct_nw_src: ip, ct_nw_dst: ip, ct_nw_proto: fc.constantFrom('6', '17'), ct_tp_src: uint(16), ct_tp_dst: uint(16) })],
  ['ct_state=+trk-inv,ipv6', of({ ct_ipv6_src: ip6, ct_ipv6_dst: ip6, ct_nw_proto: fc.constantFrom('6', '17'), ct_tp_src: uint(16) })],
]; // biome-ignore format: table

const some = (parts: readonly fc.Arbitrary<string>[], max: number) =>
  parts.length === 0
    ? fc.constant<string[]>([])
    : fc.uniqueArray(fc.oneof(...parts), {
        maxLength: max,
        selector: (p) => p.split('=')[0]?.replace(/^xx?reg1$/, 'xreg'),
      });
const matchText = fc
  .constantFrom(...SHAPES)
  .chain(([shape, parts]) => fc.tuple(fc.constant(shape), some(parts, 4), some(L2, 1), some(ANY, 3)))
  .map(([shape, own, l2, any]) => [shape, ...own, ...l2, ...(shape.startsWith('ct_state') ? any.filter((p) => !p.startsWith('ct_state')) : any)].filter((p) => p !== '').join(',')); // biome-ignore format: short
const flowText = fc
  .tuple(matchText, some([...of({ priority: exact(16), cookie: exact(64), table: exact(7), idle_timeout: exact(16), hard_timeout: exact(16) }), fc.constantFrom('send_flow_rem', 'check_overlap')], 3), fc.constantFrom('drop', 'output:1', 'LOCAL,2')) // biome-ignore format: short
  .map(([match, other, actions]) => [...other, match, `actions=${actions}`].filter((p) => p !== '').join(','));
const lines = [...new Set(fc.sample(flowText, { numRuns: 600, seed: 7 }))];

interface StockFlow {
  readonly text: string;
  readonly bytes: Uint8Array;
}
/** What ovs-ofctl makes of flows, sent in the form that the arguments choose. */
function stock(flows: readonly string[], ...args: string[]): StockFlow[] {
  const dir = mkdtempSync(join(tmpdir(), 'flows-'));
  try {
    writeFileSync(join(dir, 'flows'), flows.map((l) => `${l}\n`).join(''));
    const verbose = ['-m', '-m', '-m', '-m', '-m'];
    const r = spawnSync('ovs-ofctl', [...args, ...verbose.slice(0, 5), 'parse-flows', join(dir, 'flows')], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    if (r.status !== 0) throw new Error(r.stderr);
    const found: { text: string; hex: string }[] = [];
    for (const line of r.stdout.split('\n').slice(2)) {
      const dump = /^[0-9a-f]{8} {2}([0-9a-f -]{48})/.exec(line);
      if (dump !== null) (found.at(-1) as { hex: string }).hex += dump[1]?.replaceAll(/[ -]/g, '');
      else if (line !== '') found.push({ text: line.replace(/^\S+( \(OF1.\d\))? \(xid=0x[0-9a-f]+\):/, ''), hex: '' });
    }
    return found.map(({ text, hex }) => ({ text, bytes: Uint8Array.from(Buffer.from(hex, 'hex')) }));
  } finally {
    rmSync(dir, { recursive: true });
  }
}
const hex = (b: Uint8Array) => Buffer.from(b).toString('hex');

describe.skipIf(!hasOfctl)('as stock ovs-ofctl has it (skipped without it)', () => {
  // biome-ignore format: table
  test.each([
    ['1.2', 3, ['-O', 'OpenFlow12'], OFPUTIL_P.OF12_OXM], ['1.3', 4, ['-O', 'OpenFlow13'], OFPUTIL_P.OF13_OXM],
    ['1.4', 5, ['-O', 'OpenFlow14'], OFPUTIL_P.OF14_OXM], ['1.5', 6, ['-O', 'OpenFlow15'], OFPUTIL_P.OF15_OXM],
  ] as const)('OpenFlow %s: the text that it reads back, and the bytes', (_, version, args, protocol) => {
    const flows = lines.map((l) => [l, parseFlow(l, 0)] as const).filter(([, p]) => (p.usableProtocols & protocol) !== 0);
    const theirs = stock(flows.map(([l]) => l), ...args);
    const found = flows.map(([line, { flow }], i) => {
      const bytes = theirs[i]?.bytes ?? new Uint8Array();
      const { match, size } = decodeMatch(version, bytes, 48);
      return { line, text: formatFlowMod({ ...flow, match, tableId: flow.tableId === 255 ? 0 : flow.tableId }, version), match: hex(encodeMatch(version, flow.match)), size };
    });
    const wanted = flows.map(([line], i) => {
      const { text = '', bytes = new Uint8Array() } = theirs[i] ?? {};
      const size = (new DataView(bytes.buffer).getUint16(50) + 7) & ~7;
      return { line, text, match: hex(bytes.subarray(48, 48 + size)), size };
    });
    expect(found).toEqual(wanted);
  });

  it('NXM: the bytes', () => {
    const flows = lines
      .filter((l) => !/^table=|,table=/.test(l))
      .map((l) => [l, parseFlow(l, 0)] as const)
      .filter(([, p]) => (p.usableProtocols & OFPUTIL_P.OF10_NXM) !== 0);
    const theirs = stock(
      flows.map(([l]) => l),
      '-F',
      'NXM',
    );
    for (const [i, [line, { flow }]] of flows.entries()) {
      const bytes = theirs[i]?.bytes as Uint8Array;
      const length = new DataView(bytes.buffer).getUint16(40);
      const ours = encodePaddedNxMatch(flow.match);
      expect([line, ours.length, hex(ours.bytes)]).toEqual([
        line,
        length,
        hex(bytes.subarray(48, 48 + ((length + 7) & ~7))),
      ]);
    }
  });
});

describe('flows as text', () => {
  it('matches are the same when they are read again as they were printed', () => {
    for (const line of lines) {
      const { match, priority } = parseFlow(line, 0).flow;
      const text = formatMatch(match);
      expect([line, formatMatch(parseMatch(text).match)]).toEqual([line, text]);
      expect(formatMatch(match, priority)).toBe(
        priority === 0x8000 ? text : [`priority=${priority}`, text].filter((t) => t !== '').join(','),
      );
    }
  });

  // biome-ignore format: names, several on a line
  const bad = [
    'actions=drop,1', 'in_port=1', 'nope=1,actions=drop', 'nope,actions=drop', 'in_port=nope,actions=drop', 'nw_src=1.2.3,actions=drop',
    'ip,nw_src=1.2.3.4/33,actions=drop', 'ipv6,ipv6_src=1::g,actions=drop', 'ipv6,ipv6_src=1::/129,actions=drop', 'dl_src=1:2,actions=drop',
    'reg0=0x100000000,actions=drop', 'reg0=1/x,actions=drop', 'reg0=x,actions=drop', 'dl_type=1/2,actions=drop', 'table=256,actions=drop',
    'priority=65536,actions=drop', 'cookie=1/1,actions=drop', 'cookie=x,actions=drop', 'ct_state=+foo,actions=drop', 'ct_state=+trk+trk,actions=drop',
    'ct_state=+trkfoo,actions=drop', 'tcp,tcp_flags=syn|foo,actions=drop', 'ip,nw_frag=maybe,actions=drop', 'reg0[0..3]=16,actions=drop', 'reg0[0..32]=1,actions=drop',
    'reg0[0..3]=x,actions=drop', 'packet_type=1,actions=drop', 'packet_type=(x,1),actions=drop', 'out_port=1,actions=drop', 'priority=,actions=drop',
  ];
  test.skipIf(!hasOfctl).each(bad)('%s is refused in the words of stock ovs-ofctl (skipped without it)', (line) => {
    const { stderr } = spawnSync('ovs-ofctl', ['parse-flow', line], { encoding: 'utf8' });
    let message = 'none';
    try {
      parseFlow(line, 0);
    } catch (e) {
      message = (e as Error).message;
    }
    expect(`ovs-ofctl: ${message}\n`).toBe(stderr.replace(/^.*\|WARN\|.*\n/, ''));
  });

  const few = lines.slice(0, 40);
  test.skipIf(!hasOfctl).each(few)('%s: usable protocols are those of stock ovs-ofctl (skipped without it)', (line) => {
    const { stdout } = spawnSync('ovs-ofctl', ['parse-flow', line], { encoding: 'utf8' });
    const theirs = /usable protocols: (.*)/.exec(stdout)?.[1] ?? '';
    const usable = parseFlow(line, 0).usableProtocols;
    const has = (p: keyof typeof OFPUTIL_P) => (usable & OFPUTIL_P[p]) !== 0;
    expect(has('OF11_STD')).toBe(/any|OpenFlow11/.test(theirs));
    expect(has('OF12_OXM')).toBe(/any|OXM/.test(theirs));
    expect(has('OF10_NXM_TID')).toBe(/any|NXM/.test(theirs));
    expect(has('OF10_STD_TID')).toBe(/any|OpenFlow10/.test(theirs));
  });

  it('commands may stand before flows, and deletions have no actions', () => {
    expect(parseFlow('delete in_port=1,out_port=2').flow).toMatchObject({ command: 3, outPort: 2, ofpacts: [] });
    expect(parseFlow('modify_strict tcp,actions=2').flow).toMatchObject({ command: 2, newCookie: 0n });
    expect(parseFlow('in_port=1,actions=2').flow).toMatchObject({ command: 0, outPort: 0xffff });
    expect(parseFlow('cookie=1/-1,table=3', 3).flow).toMatchObject({ cookieMask: (1n << 64n) - 1n, tableId: 3 });
    expect(parseFlowStatsRequest('table=3,ip').request).toMatchObject({ tableId: 3, outPort: 0xffff, cookieMask: 0n });
  });

  it('lines of dump-flows', () => {
    const { match } = parseMatch('tcp,in_port=1');
    // biome-ignore format: names, several on a line
    const fs = {
      match, cookie: 5n, tableId: 1, priority: 10, idleTimeout: 60, hardTimeout: 0, durationSec: 3, durationNsec: 250_000_000, idleAge: 2,
      hardAge: -1, packetCount: 7n, byteCount: (1n << 64n) - 1n, flags: 1, importance: 4, ofpacts: [],
    };
    expect(formatFlowStats(fs)).toBe(
      'cookie=0x5, duration=3.250s, table=1, n_packets=7, n_bytes=?, idle_timeout=60, send_flow_rem importance=4, idle_age=2, priority=10,tcp,in_port=1 actions=drop',
    );
    expect(formatFlowStats({ ...fs, cookie: 0n, tableId: 0, flags: 0, importance: 0 }, {}, false)).toBe(
      'idle_timeout=60, priority=10,tcp,in_port=1 actions=drop',
    );
    expect([formatDuration(3, 0), formatDuration(3, 1), formatDuration(0, 1_500_000)]).toEqual([
      '3s',
      '3.000000001s',
      '0.0015s',
    ]);
  });
});
