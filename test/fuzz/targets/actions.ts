/**
 * Action lists: compiled for a frame's flow, and run.  A case's records: kind 0 a frame; 1 a list of actions in netlink
 * attributes, for the frame; 2 one for when it was recirculated; 3 how the datapath is (spare slots, a byte).
 *
 * A list that is refused is refused with an errno and changes nothing.  One that is taken means the same when it is read
 * back.  Running it throws nothing, loses no slot, and spoils no checksum.
 */
import type { ActionProgram } from '../../../src/datapath/actions/action-program.ts';
import { linuxVersion } from '../../../src/datapath/kernel-compat.ts';
import { FIELD, FLOW_WORDS } from '../../../src/flow/fields.ts';
import { extractHeaders, extractMetadata } from '../../../src/flow/flow-extract.ts';
import { newFlowKey, setFieldOnes } from '../../../src/flow/flow-key.ts';
import { NetlinkError } from '../../../src/netlink/errors.ts';
import { OVS_ACTION_ATTR as A } from '../../../src/odp/action-attrs.ts';
import { OVS_KEY_ATTR as K } from '../../../src/odp/key/key-table.ts';
import { IPPROTO } from '../../../src/packet/ip.ts';
import { ct } from '../../datapath/conntrack/ct-rig.ts';
import * as action from '../../support/action-bytes.ts';
import { compileList } from '../../support/compile.ts';
import { Lab } from '../../support/lab.ts';
import { placeFrame } from '../arena.ts';
import { type Case, check, type FuzzTarget, record } from '../case.ts';
import { frame } from '../frames.ts';
import { checksumsOf, spoiled } from '../oracles/checksums.ts';
import type { Random } from '../random.ts';

const KIND = { FRAME: 0, FIRST: 1, SECOND: 2, SPARE: 3 } as const;
const N_KINDS = 4;
const MAX_FRAME = 3000;
const MAX_ERRNO = 133;
const kernel = linuxVersion(6, 12);
const lab = new Lab();
const ports = [lab.port(1), lab.port(2, { takesOffloads: false }), lab.port(3, { mtu: 60 })];

/** Compiles; an errno for a list that is refused. */
function compile(list: readonly number[], key: Int32Array): ActionProgram | number {
  const keyBefore = key.slice();
  try {
    return compileList(list, key, { kernel });
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    check(error.errno > 0 && error.errno <= MAX_ERRNO, () => `actions: refused with errno ${error.errno}`);
    return error.errno;
  } finally {
    check(
      key.every((word, i) => word === keyBefore[i]),
      'actions: compiling changes the key',
    );
  }
}

/** Numbers of a list's actions, at any depth that looks like lists. */
function kindsIn(list: readonly number[]): Set<number> {
  const kinds = new Set<number>();
  for (let at = 0; at + 4 <= list.length; ) {
    const len = list[at]! | (list[at + 1]! << 8);
    if (len < 4) break;
    kinds.add((list[at + 2]! | (list[at + 3]! << 8)) & 0x3fff);
    at += (len + 3) & ~3;
  }
  return kinds;
}

function run(records: Case): string[] {
  const of = (kind: number): readonly number[] | undefined => {
    const r = records.find((one) => one[0]! % N_KINDS === kind);
    return r === undefined ? undefined : [...r.subarray(1)];
  };
  const bytes = (of(KIND.FRAME) ?? []).slice(0, MAX_FRAME);
  const [first, second] = [of(KIND.FIRST) ?? [], of(KIND.SECOND)];
  const spare = of(KIND.SPARE)?.[0] ?? 255;
  const key = newFlowKey();
  const pkt = placeFrame(lab.arena, 0, bytes, 0);
  pkt.inPort = 1;
  extractMetadata(pkt, key);
  if (!extractHeaders(pkt, key)) return ['no frame'];
  const program = compile(first, key);
  const seen: string[] = [];
  const kinds = [...kindsIn(first)].filter((kind) => kind <= A.PSAMPLE);
  if (typeof program === 'number') return kinds.map((kind) => `refused ${kind} ${program}`);
  // As a client reads it back, it must be taken again, and be the same.
  const kept = [...program.bytes];
  const again = compile(kept, key);
  // But for a psample, which is shown without the flag that it must be sent with.
  const isPsample = (byte: number, i: number): boolean => byte === A.PSAMPLE && i % 4 === 2 && kept[i + 1] === 0;
  if (!kept.some(isPsample)) {
    check(typeof again !== 'number', () => `actions: refuses its own list with errno ${String(again)}`);
    check(
      kept.length === again.bytes.length && kept.every((byte, i) => byte === again.bytes[i]),
      'actions: a list changes when it is read back',
    );
  }

  const full = newFlowKey();
  full.fill(-1, 0, FLOW_WORDS);
  lab.dp.table.insert({ key: key.slice(), mask: full, program });
  if (second !== undefined) {
    // Whatever the first list made of the frame: what validation looks at is as it was.
    const mask = newFlowKey();
    for (const name of [
      'recircId',
      'inPort',
      'ethType',
      'packetType',
      'nwProto',
      'nwFrag',
      'vlanTci',
      'mplsLse0',
      'mplsLse1',
      'mplsLse2',
      'nshNp',
    ] as const) {
      setFieldOnes(mask, FIELD[name]);
    }
    const recirculated = key.slice();
    recirculated[FIELD.recircId.word] = 1;
    const masked = recirculated.map((word, i) => word & mask[i]!);
    const next = compile(second, masked);
    if (typeof next !== 'number') lab.dp.table.insert({ key: masked, mask, program: next });
  }
  try {
    const taken: number[] = [];
    while (lab.arena.available > 2 + spare) taken.push(lab.arena.take());
    const before = lab.arena.available;
    if (before >= 1) ports[0]!.inject([bytes]);
    check(lab.arena.available === before, () => `actions: ${before - lab.arena.available} slots were lost`);
    for (const slot of taken) lab.arena.give(slot);
    const sums = checksumsOf(bytes);
    ports.forEach((port, i) => {
      if (port.sent.length > 0) seen.push(`sent ${i} ${Math.min(port.sent.length, 3)}`);
      for (const { bytes: sent } of port.sent.splice(0)) {
        check(sent.length >= 14, () => `actions: a frame of ${sent.length} bytes is sent`);
        const now = checksumsOf([...sent]);
        // The kernel, and so the datapath, counts a frame's padding to what SCTP's checksum covers when ports are set.
        const wrong = sums.proto === IPPROTO.SCTP && sums.isPadded ? undefined : spoiled(sums, now);
        check(wrong === undefined, () => `actions: spoils the ${wrong}`);
        for (const kind of kinds) seen.push(`${kind} ${now.l4} ${now.proto === sums.proto}`);
      }
    });
    for (const u of lab.upcalls.splice(0)) {
      check(u.packet.length <= u.fullSize, 'actions: an upcall with more than the packet');
      seen.push(`upcall ${u.cmd} ${u.userdata !== undefined} ${u.actions !== undefined}`);
    }
    for (const kind of kinds) seen.push(`ran ${kind} ${kinds.length}`);
  } finally {
    lab.dp.table.flush();
    // The next case finds neither connections nor fragments.
    lab.conntrack.tracker.flush();
    lab.nowMs += 100_000;
  }
  return seen;
}

// Making lists.

const MAC = [2, 0, 0, 0, 0, 1];
const fill = (n: number, byte: number): number[] => Array<number>(n).fill(byte);

function setAction(random: Random): number[] {
  // biome-ignore format: table
  const [type, size] = random.pick([
    [K.PRIORITY, 4], [K.SKB_MARK, 4], [K.ETHERNET, 12], [K.IPV4, 12], [K.IPV6, 40], [K.TCP, 4], [K.UDP, 4], [K.SCTP, 4], [K.MPLS, 4],
    [K.CT_MARK, 4], [K.ARP, 24], [K.ICMP, 2], [K.ND, 28],
  ] as const);
  const value = random.bytes(size);
  if (random.oneIn(3)) return action.set(type, value);
  const mask = random.oneIn(2) ? fill(size, 0xff) : random.bytes(size);
  // What a header's length, protocol and fragment type are, no list may set.
  if (type === K.IPV4) mask.splice(8, 1, 0);
  if (type === K.IPV4) mask.splice(11, 1, 0);
  if (type === K.IPV6) mask.splice(36, 1, 0);
  if (type === K.IPV6) mask.splice(39, 1, 0);
  if (type === K.IPV6) mask.splice(32, 2, 0, 0);
  return action.setMasked(
    type,
    value.map((byte, i) => byte & mask[i]!),
    mask,
  );
}

function ctAction(random: Random): number[] {
  const parts = [ct.zone(random.below(3))];
  if (random.oneIn(2)) parts.push(ct.commit());
  if (random.oneIn(3)) parts.push(ct.mark(random.below(9), random.pick([0xff, 0xffffffff])));
  if (random.oneIn(3)) parts.push(ct.nat(...(random.oneIn(2) ? [ct.src(), ct.ip('10.1.0.9')] : [])));
  if (random.oneIn(6)) parts.push(ct.helper(random.pick(['ftp', 'tftp', 'sip'])));
  return action.attr(A.CT, parts.flat());
}

function oneAction(random: Random, depth: number): number[] {
  const nested = (): number[][] => (depth > 2 ? [] : random.list(3, () => oneAction(random, depth + 1)));
  switch (random.below(24)) {
    case 0:
      return action.trunc(random.pick([14, 40, 100, 13, 2000]));
    case 1:
      return action.userspace(
        random.pick([5, 0]),
        random.oneIn(2) ? random.bytes(random.below(9)) : undefined,
        random.oneIn(2),
      );
    case 2:
      return action.recirc(random.pick([1, 1, 0]));
    case 3:
      return action.hash(random.byte(), random.pick([0, 0, 1, 2]));
    case 4:
      return action.pushVlan(random.pick([0x8100, 0x88a8, 0x0800]), random.pick([0x1001, 0x1fff, 1]));
    case 5:
      return action.popVlan();
    case 6:
      return action.pushEth(MAC, MAC);
    case 7:
      return action.popEth();
    case 8:
      return action.pushMpls(random.pick([0x140, 0x40]), random.pick([0x8847, 0x8848, 0x0800]));
    case 9:
      return action.addMpls(0x140, random.pick([0x8847, 0x8848]), random.below(3));
    case 10:
      return action.popMpls(random.pick([0x0800, 0x86dd, 0x8847, 0x6558]));
    case 11:
      return action.pushNsh(
        [0, 3, random.pick([1, 2]), 3, 0, 0, 0, 1],
        random.oneIn(2) ? action.md1(5) : action.md2(...fill(random.pick([4, 240, 248]), 6)),
      );
    case 12:
      return action.popNsh();
    case 13:
      return action.meter(random.below(3));
    case 14:
      return action.psample(random.byte(), random.oneIn(2) ? random.bytes(random.below(18)) : undefined);
    case 15:
      return random.oneIn(8) ? action.drop(random.below(3)) : action.attr(A.CT_CLEAR);
    case 16:
      return action.clone(...nested());
    case 17:
      return action.sample(random.pick([0, 0x90000000, 0xffffffff]), ...nested());
    case 18:
      return action.decTtl(...nested());
    case 19:
      return action.checkPktLen(random.pick([60, 100, 0xffff]), nested().flat(), nested().flat());
    case 20:
      return ctAction(random);
    case 21:
    case 22:
      return setAction(random);
    default:
      return action.output(random.pick([1, 2, 3, 9]));
  }
}

export const listOf = (random: Random): number[] => {
  const all = [...random.list(5, () => oneAction(random, 0)), action.output(1 + random.below(3))].flat();
  return all.length > 2500 ? action.output(2) : all;
};

export const actionsTarget: FuzzTarget = {
  name: 'actions',

  generate(random: Random): Case {
    return [
      record(KIND.FRAME, frame(random)),
      record(KIND.FIRST, listOf(random)),
      ...(random.oneIn(3) ? [record(KIND.SECOND, listOf(random))] : []),
      ...(random.oneIn(4) ? [record(KIND.SPARE, [random.below(12)])] : []),
    ];
  },

  attrsAt: (r) => (r[0]! % N_KINDS === KIND.FIRST || r[0]! % N_KINDS === KIND.SECOND ? 1 : -1),

  run,
};
