/** What is refused at installation, with which errno, and what a program looks like. */

import { describe, expect, test } from 'vitest';
import { SET_OP } from '../../src/datapath/actions/action-program.ts';
import { linuxVersion, USERSPACE_DATAPATH } from '../../src/datapath/kernel-compat.ts';
import { FIELD } from '../../src/flow/fields.ts';
import { extractHeaders } from '../../src/flow/flow-extract.ts';
import { newFlowKey, setField } from '../../src/flow/flow-key.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import { OVS_ACTION_ATTR as A, OVS_CHECK_PKT_LEN_ATTR, OVS_SAMPLE_ATTR } from '../../src/odp/action-attrs.ts';
import { OVS_KEY_ATTR as K } from '../../src/odp/key/key-table.ts';
import {
  addMpls,
  attr,
  be16,
  be32,
  checkPktLen,
  clone,
  decTtl,
  drop,
  hash,
  output,
  popEth,
  popMpls,
  popVlan,
  psample,
  pushEth,
  pushMpls,
  pushVlan,
  recirc,
  sample,
  set,
  setMasked,
  trunc,
  u16,
  u32,
  userspace,
} from '../support/action-bytes.ts';
import { compileList } from '../support/compile.ts';
import { bytes, eth, ip4, ip6, ipv4With, ipv6With } from '../support/frames.ts';
import { newArena, packetOf } from '../support/packets.ts';
import { fc } from '../support/property.ts';

const keyOf = (frame: readonly number[]) => {
  const key = newFlowKey();
  extractHeaders(packetOf(newArena(1), frame), key);
  return key;
};
const TCP4 = keyOf(eth(0x0800, ipv4With(6)));
const UDP6 = keyOf(eth(0x86dd, ipv6With(17)));
const TAGGED = keyOf(eth(0x0800, ipv4With(6), [[0x8100, 5]]));
const ARP = keyOf(eth(0x0806, []));
const MPLS2 = keyOf(eth(0x8847, bytes('00001040 00002140')));
const BARE = newFlowKey();
setField(BARE, FIELD.ethType, 0x0800);
setField(BARE, FIELD.packetType, 0x0800);

/** The errno's name, or "ok". */
function outcome(list: readonly number[][], key = TCP4, kernel?: number): string {
  try {
    compileList(list.flat(), key, kernel === undefined ? {} : { kernel });
    return 'ok';
  } catch (e) {
    if (e instanceof NetlinkError) return e.code;
    throw e;
  }
}

const mac = (n: number) => [2, 0, 0, 0, 0, n];
const ipv4 = (proto: number, frag = 0) => [...ip4('1.2.3.4'), ...ip4('5.6.7.8'), proto, 0x20, 9, frag];
const ipv6 = (proto: number, label = 0) => [...ip6('::1'), ...ip6('::2'), ...be32(label), proto, 0x20, 9, 0];
const zero = (n: number) => Array<number>(n).fill(0);
const ones = (n: number) => Array<number>(n).fill(255);
const nest = (n: number): number[] => (n === 0 ? output(1) : clone(nest(n - 1)));

// biome-ignore format: table
const CASES: [string, number[][], ReturnType<typeof newFlowKey>, string][] = [
  ['nothing', [], TCP4, 'ok'],
  ['the highest port', [output(65534)], TCP4, 'ok'],
  ['a port too high', [output(65535)], TCP4, 'EINVAL'],
  ['an output of 2 bytes', [attr(A.OUTPUT, u16(1))], TCP4, 'EINVAL'],
  ['an output of 8 bytes', [attr(A.OUTPUT, zero(8))], TCP4, 'EINVAL'],
  ['action 0', [attr(0)], TCP4, 'EINVAL'],
  ['an action that nobody knows', [attr(99)], TCP4, 'EINVAL'],
  ['three bytes behind the last action', [output(1), [1, 2, 3]], TCP4, 'EINVAL'],
  ['an attribute longer than the list', [[12, 0, 1, 0, 0, 0, 0, 0]], TCP4, 'EINVAL'],
  ['an attribute of length 3', [[3, 0, 1, 0]], TCP4, 'EINVAL'],
  ['conntrack', [attr(A.CT)], TCP4, 'ok'],
  ['conntrack of what is not IP', [attr(A.CT)], ARP, 'EINVAL'],
  ['a meter', [attr(A.METER, u32(1))], TCP4, 'ok'],
  ['truncation to 14 bytes', [trunc(14)], TCP4, 'ok'],
  ['truncation to 13 bytes', [trunc(13)], TCP4, 'EINVAL'],
  ['hash', [hash(7), recirc(1)], TCP4, 'ok'],
  ['another hash', [hash(7, 1)], TCP4, 'EINVAL'],
  ['push_vlan', [pushVlan(0x8100, 0x1005), pushVlan(0x88a8, 0x1006), popVlan(), popVlan(), popVlan()], TCP4, 'ok'],
  ['push_vlan without the CFI bit', [pushVlan(0x8100, 5)], TCP4, 'EINVAL'],
  ['push_vlan of another TPID', [pushVlan(0x9100, 0x1005)], TCP4, 'EINVAL'],
  ['push_vlan without Ethernet', [pushVlan(0x8100, 0x1005)], BARE, 'EINVAL'],
  ['pop_vlan without Ethernet', [popVlan()], BARE, 'EINVAL'],
  ['pop_eth', [popEth(), pushEth(mac(1), mac(2)), popEth()], TCP4, 'ok'],
  ['pop_eth twice', [popEth(), popEth()], TCP4, 'EINVAL'],
  ['pop_eth of a tagged frame', [popEth()], TAGGED, 'EINVAL'],
  ['pop_eth behind pop_vlan', [popVlan(), popEth()], TAGGED, 'ok'],
  ['push_eth on Ethernet', [pushEth(mac(1), mac(2))], TCP4, 'EINVAL'],
  ['push_eth', [pushEth(mac(1), mac(2))], BARE, 'ok'],
  ['push_mpls', [pushMpls(0x140), pushMpls(0x240, 0x8848)], TCP4, 'ok'],
  ['push_mpls of another ethertype', [pushMpls(0x140, 0x800)], TCP4, 'EINVAL'],
  ['push_mpls on a tagged frame', [pushMpls(0x140)], TAGGED, 'EINVAL'],
  ['push_mpls on a frame of an unknown kind', [pushMpls(0x140)], keyOf(eth(0x1234, [])), 'EINVAL'],
  ['pop_mpls of IP', [popMpls(0x0800)], TCP4, 'EINVAL'],
  ['pop_mpls of two labels', [popMpls(0x8847), popMpls(0x0800)], MPLS2, 'ok'],
  ['pop_mpls of one label too many', [popMpls(0x8847), popMpls(0x8847), popMpls(0x0800)], MPLS2, 'EINVAL'],
  ['set_mpls behind the last pop', [popMpls(0x0800), set(K.MPLS, be32(0x140))], MPLS2, 'EINVAL'],
  ['pop_mpls to Ethernet behind Ethernet', [popMpls(0x6558)], MPLS2, 'EINVAL'],
  ['add_mpls before Ethernet', [addMpls(0x140, 0x8847, 0), popMpls(0x6558)], TCP4, 'ok'],
  ['add_mpls behind Ethernet', [addMpls(0x140, 0x8847, 1), popMpls(0x0800)], TCP4, 'ok'],
  ['add_mpls behind Ethernet on a tagged frame', [addMpls(0x140, 0x8847, 1)], TAGGED, 'EINVAL'],
  ['userspace', [userspace(1, [1, 2, 3], true)], TCP4, 'ok'],
  ['userspace with port id 0', [userspace(0)], TCP4, 'EINVAL'],
  ['userspace without port id', [attr(A.USERSPACE)], TCP4, 'EINVAL'],
  ['userspace with a short port id', [attr(A.USERSPACE, attr(1, [1, 2]))], TCP4, 'ERANGE'],
  ['sample', [sample(1, output(1), output(2))], TCP4, 'ok'],
  ['sample of nothing', [sample(1)], TCP4, 'ok'],
  ['sample without probability', [attr(A.SAMPLE, attr(2))], TCP4, 'EINVAL'],
  ['sample without actions', [attr(A.SAMPLE, attr(1, u32(1)))], TCP4, 'EINVAL'],
  ['sample with two lists', [attr(A.SAMPLE, [...attr(1, u32(1)), ...attr(2), ...attr(2)])], TCP4, 'EINVAL'],
  ['sample with another attribute', [attr(A.SAMPLE, [...attr(1, u32(1)), ...attr(2), ...attr(3)])], TCP4, 'EINVAL'],
  ['a bad list in a sample', [sample(1, output(70000))], TCP4, 'EINVAL'],
  ['16 nested clones', [nest(16)], TCP4, 'ok'],
  ['17 nested clones', [nest(17)], TCP4, 'EOVERFLOW'],
  ['clone of an empty list', [clone()], TCP4, 'ok'],
  ['clone of 2 bytes', [[6, 0, A.CLONE, 0, 0, 0, 0, 0]], TCP4, 'EINVAL'],
  ['what a clone pops is there after it', [clone(popEth()), popEth()], TCP4, 'ok'],
  ['a list of 8190 outputs', [Array.from({ length: 8190 }, () => output(1)).flat()], TCP4, 'ok'],
  ['a clone that grows too long', [clone(...Array.from({ length: 8191 }, () => output(1)))], TCP4, 'EMSGSIZE'],
  ['check_pkt_len', [checkPktLen(100, output(1), output(2))], TCP4, 'ok'],
  ['check_pkt_len of 0', [checkPktLen(0, output(1), output(2))], TCP4, 'EINVAL'],
  ['check_pkt_len with one list', [attr(A.CHECK_PKT_LEN, [...attr(1, u16(9)), ...attr(2)])], TCP4, 'EINVAL'],
  ['check_pkt_len with a short length', [attr(A.CHECK_PKT_LEN, [...attr(1, [9]), ...attr(2), ...attr(3)])], TCP4, 'ERANGE'],
  ['check_pkt_len with another attribute', [attr(A.CHECK_PKT_LEN, attr(4))], TCP4, 'EINVAL'],
  ['dec_ttl', [decTtl(output(1)), output(2)], TCP4, 'ok'],
  ['dec_ttl without list', [attr(A.DEC_TTL)], TCP4, 'EINVAL'],
  ['set priority and mark', [set(K.PRIORITY, u32(1)), setMasked(K.SKB_MARK, u32(1), u32(3))], TCP4, 'ok'],
  ['set with a value outside the mask', [setMasked(K.SKB_MARK, u32(4), u32(3))], TCP4, 'EINVAL'],
  ['set of an empty attribute', [attr(A.SET)], TCP4, 'EINVAL'],
  ['set of two keys', [attr(A.SET, [...attr(K.PRIORITY, u32(1)), ...attr(K.SKB_MARK, u32(1))])], TCP4, 'EINVAL'],
  ['set of a wrong size', [set(K.PRIORITY, be16(1))], TCP4, 'EINVAL'],
  ['set in_port', [set(K.IN_PORT, u32(1))], TCP4, 'EINVAL'],
  ['set eth', [set(K.ETHERNET, [...mac(1), ...mac(2)])], TCP4, 'ok'],
  ['set eth without Ethernet', [set(K.ETHERNET, [...mac(1), ...mac(2)])], BARE, 'EINVAL'],
  ['set ipv4', [set(K.IPV4, ipv4(6))], TCP4, 'ok'],
  ['set ipv4 on IPv6', [set(K.IPV4, ipv4(17))], UDP6, 'EINVAL'],
  ['set ipv4 with another protocol', [set(K.IPV4, ipv4(17))], TCP4, 'EINVAL'],
  ['set ipv4 with another fragment type', [set(K.IPV4, ipv4(6, 1))], TCP4, 'EINVAL'],
  ['set_masked ipv4', [setMasked(K.IPV4, zero(12), [...ones(8), 0, 255, 255, 0])], TCP4, 'ok'],
  ['set_masked ipv4 of the protocol', [setMasked(K.IPV4, zero(12), [...zero(8), 255, 0, 0, 0])], TCP4, 'EINVAL'],
  ['set_masked ipv4 of the fragment type', [setMasked(K.IPV4, zero(12), [...zero(8), 0, 0, 0, 255])], TCP4, 'EINVAL'],
  ['set ipv6', [set(K.IPV6, ipv6(17, 0xfffff))], UDP6, 'ok'],
  ['set ipv6 with a label too large', [set(K.IPV6, ipv6(17, 0x100000))], UDP6, 'EINVAL'],
  ['set_masked ipv6 with a label mask too large', [setMasked(K.IPV6, zero(40), [...zero(32), ...ones(4), ...zero(4)])], UDP6, 'EINVAL'],
  ['set tcp', [set(K.TCP, zero(4))], TCP4, 'ok'],
  ['set udp on TCP', [set(K.UDP, zero(4))], TCP4, 'EINVAL'],
  ['set udp', [set(K.UDP, zero(4))], UDP6, 'ok'],
  ['set sctp on TCP', [set(K.SCTP, zero(4))], TCP4, 'EINVAL'],
  ['set icmp', [set(K.ICMP, zero(2))], TCP4, 'EINVAL'],
  ['set arp', [set(K.ARP, zero(24))], ARP, 'EINVAL'],
  ['set nd', [set(K.ND, zero(28))], UDP6, 'EINVAL'],
  ['set mpls', [set(K.MPLS, be32(0x140))], MPLS2, 'ok'],
  ['set ct_mark', [set(K.CT_MARK, u32(1)), setMasked(K.CT_MARK, u32(1), u32(1))], TCP4, 'ok'],
  ['set ct_labels', [set(K.CT_LABELS, zero(16)), setMasked(K.CT_LABELS, zero(16), zero(16))], TCP4, 'ok'],
  ['set ct_labels of 12 bytes', [set(K.CT_LABELS, zero(12))], TCP4, 'EINVAL'],
  ['set ct_state', [set(K.CT_STATE, u32(1))], TCP4, 'EINVAL'],
  ['set of two labels', [set(K.MPLS, zero(8))], MPLS2, 'EINVAL'],
  ['set mpls on IP', [set(K.MPLS, be32(0x140))], TCP4, 'EINVAL'],
  ['drop', [drop(0)], TCP4, 'EINVAL'],
];

describe('actions that only the userspace datapath takes', () => {
  const cases: [string, number[][], typeof TCP4][] = [
    ['labels behind a tag', [pushMpls(0x140)], TAGGED],
    ['labels behind a tag that was pushed', [pushVlan(0x8100, 0x1005), pushMpls(0x140), popMpls(0x800)], TCP4],
    ['labels before any protocol', [pushMpls(0x140)], keyOf(eth(0x1234, []))],
    ['the symmetric hash', [hash(0, 1)], TCP4],
  ];
  test.each(cases)('%s', (_name, list, key) => {
    expect(outcome(list, key)).toBe('EINVAL');
    expect(outcome(list, key, USERSPACE_DATAPATH)).toBe('ok');
  });
});

describe('compileActions', () => {
  test.each(CASES)('%s', (_, list, key, want) => {
    expect(outcome(list, key)).toBe(want);
  });

  test('drop is known to later kernels, as the last action', () => {
    const kernel = linuxVersion(6, 7);
    expect(outcome([drop(0)], TCP4, kernel)).toBe('ok');
    expect(outcome([drop(0), output(1)], TCP4, kernel)).toBe('EINVAL');
    expect(outcome([drop(0)], TCP4, linuxVersion(6, 6))).toBe('EINVAL');
  });

  test('psample is known to later kernels still', () => {
    const kernel = linuxVersion(6, 11);
    const bare = (...attrs: number[][]) => attr(A.PSAMPLE | 0x8000, attrs.flat());
    expect(outcome([psample(1)], TCP4, linuxVersion(6, 10))).toBe('EINVAL');
    expect(outcome([psample(1), psample(2, bytes('00112233445566778899aabbccddeeff')), output(1)], TCP4, kernel)).toBe(
      'ok',
    );
    expect(outcome([psample(1, zero(17))], TCP4, kernel)).toBe('ERANGE');
    expect(outcome([bare(attr(2, [1]))], TCP4, kernel)).toBe('EINVAL');
    expect(outcome([bare(attr(1, [1, 2]))], TCP4, kernel)).toBe('EINVAL');
    expect(outcome([bare(attr(1, zero(8)))], TCP4, kernel)).toBe('EINVAL');
    expect(outcome([bare(attr(1, u32(1)), attr(3))], TCP4, kernel)).toBe('EINVAL');
    expect(outcome([attr(A.PSAMPLE, attr(1, u32(1)))], TCP4, kernel)).toBe('EINVAL');
    expect(outcome([bare(attr(1, u32(1)), [1, 2, 3, 4])], TCP4, kernel)).toBe('EINVAL');
  });

  test('a program, and the bytes as they were sent', () => {
    const list = [output(3), setMasked(K.TCP, be32(0x00500051), be32(-1)), pushVlan(0x88a8, 0x1fff)].flat();
    const program = compileList(list, TCP4);
    expect([...program.code]).toEqual([
      ...[A.OUTPUT, 1, 3, SET_OP.TCP, 2, 0x00500051, -1, A.PUSH_VLAN, 1, 0x88a81fff | 0],
      // Nothing has used the packet up.
      ...[SET_OP.END, 0],
    ]);
    expect([...program.bytes]).toEqual(list);
  });

  test('nested lists stand inside their action; in place where the key is kept or nothing follows', () => {
    const list = [sample(9, output(1)), clone(popVlan()), clone(popVlan())].flat();
    expect([...compileList(list, TAGGED).code]).toEqual([
      ...[A.SAMPLE, 5, 9, 1, A.OUTPUT, 1, 1],
      ...[A.CLONE, 5, 0, A.POP_VLAN, 0, SET_OP.END, 0],
      ...[A.CLONE, 5, 1, A.POP_VLAN, 0, SET_OP.END, 0],
    ]);
    expect([...compileList(checkPktLen(70, output(1), [...popVlan(), ...output(2)]), TAGGED).code]).toEqual([
      A.CHECK_PKT_LEN,
      12,
      70,
      1,
      1,
      5,
      A.POP_VLAN,
      0,
      A.OUTPUT,
      1,
      2,
      A.OUTPUT,
      1,
      1,
    ]);
  });

  test('a list is kept as the kernel shows it', () => {
    const kept = (list: readonly number[][]) => [...compileList(list.flat(), TCP4).bytes];
    const [P, S, C] = [OVS_CHECK_PKT_LEN_ATTR, OVS_SAMPLE_ATTR, A.CHECK_PKT_LEN];
    // The lists of check_pkt_len change places, also inside others; a length of 4 bytes is cut.
    const less = [...attr(P.PKT_LEN, u16(100)), ...attr(P.ACTIONS_IF_LESS_EQUAL, output(2))];
    const inKernel = attr(C, [...less, ...attr(P.ACTIONS_IF_GREATER, output(1))]);
    expect(kept([clone(checkPktLen(100, output(1), output(2)))])).toEqual(clone(inKernel));
    expect(kept([clone(inKernel)])).toEqual(clone(inKernel));
    const long = attr(C, [...attr(P.PKT_LEN, u32(100)), ...less.slice(8), ...attr(P.ACTIONS_IF_GREATER, output(1))]);
    expect(kept([long])).toEqual(inKernel);
    const swapped = attr(A.SAMPLE, [...attr(S.ACTIONS, output(1)), ...attr(S.PROBABILITY, u32(9))]);
    expect(kept([swapped, output(3)])).toEqual([...sample(9, output(1)), ...output(3)]);
    const flagged = attr(A.CLONE | 0x8000, attr(A.SET | 0x8000, attr(K.ETHERNET | 0x8000, [...mac(1), ...mac(2)])));
    expect(kept([flagged])).toEqual(clone(set(K.ETHERNET, [...mac(1), ...mac(2)])));
    expect(kept([attr(A.DEC_TTL, [...attr(7, u32(1)), ...attr(1, output(1))])])).toEqual(decTtl(output(1)));
  });

  test('places of userdata are those in the kept list', () => {
    const { code, bytes: kept } = compileList(checkPktLen(100, userspace(1, [1, 2]), userspace(2, [3, 4])), TCP4);
    const at = (pid: number) => code.findIndex((word, i) => word === pid && code[i - 2] === A.USERSPACE) + 1;
    expect([...kept.subarray(code[at(1)]!, code[at(1)]! + 2)]).toEqual([1, 2]);
    expect([...kept.subarray(code[at(2)]!, code[at(2)]! + 2)]).toEqual([3, 4]);
  });

  test('userdata and actions of an upcall are ranges of the bytes', () => {
    const program = compileList([...output(1), ...clone(userspace(7, [9, 8, 7], true))], TCP4);
    const [, , , , , , , , pid, at, size, port, listAt, listSize] = program.code;
    expect([pid, port]).toEqual([7, -1]);
    expect([...program.bytes.subarray(at, at! + size!)]).toEqual([9, 8, 7]);
    expect([...program.bytes.subarray(listAt, listAt! + listSize!)]).toEqual(userspace(7, [9, 8, 7], true));
  });

  test('random bytes give a program or a NetlinkError', () => {
    const good = fc.constantFrom(...CASES.map(([, list]) => list.flat()).filter((l) => l.length < 2000));
    const key = fc.constantFrom(TCP4, UDP6, TAGGED, ARP, MPLS2, BARE);
    fc.assert(
      fc.property(
        good,
        fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }),
        fc.nat(200),
        key,
        (list, edits, cut, k) => {
          const all = [...list];
          for (const [at, value] of edits) if (at < all.length) all[at] = value;
          outcome([all.slice(0, cut)], k);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
