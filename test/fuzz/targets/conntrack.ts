/**
 * Packets through CT actions.  A case's records are steps, carried out one after the other:
 *
 *     0  options: a byte for the most connections there may be, one for the limit of all zones
 *     1  a packet: a byte that chooses the action (ACTIONS), one for the zone, then an Ethernet frame
 *     2  time passes: seconds in two bytes
 *     3  a limit: zone, connections
 *     4  a timeout policy: which of the names, seconds
 *     5  all connections of a zone end
 *
 * After each case, and each passing of time, what the tracker holds must be consistent: see checkTracker().
 */
import { NONE } from '../../../src/datapath/conntrack/conn-table.ts';
import { IPS, PROTO } from '../../../src/datapath/conntrack/ct-constants.ts';
import { TUPLE_WORDS, zoneOf } from '../../../src/datapath/conntrack/tuple.ts';
import { FIELD } from '../../../src/flow/fields.ts';
import { extractHeaders, extractMetadata } from '../../../src/flow/flow-extract.ts';
import { getField, newFlowKey } from '../../../src/flow/flow-key.ts';
import { NetlinkError } from '../../../src/netlink/errors.ts';
import type { Packet } from '../../../src/packet/packet.ts';
import { argsOf, CtRig, ct, stateOf } from '../../datapath/conntrack/ct-rig.ts';
import { eth, ipv4, ipv4With, ipv6With } from '../../support/frames.ts';
import { placeFrame } from '../arena.ts';
import { type Case, check, type FuzzTarget, record } from '../case.ts';
import { frame, port, TCP_FLAGS, v4, v6 } from '../frames.ts';
import { checksumsOf, spoiled } from '../oracles/checksums.ts';
import { Random } from '../random.ts';

const STEP = { OPTIONS: 0, PACKET: 1, TIME: 2, LIMIT: 3, POLICY: 4, FLUSH: 5 } as const;
const N_STEPS = 6;
const POLICIES = ['short', 'long'];
const MAX_FRAME = 3000;
/** frag.ts counts what it holds; a case cannot make it hold more than a few of its packets. */
const MAX_STEPS = 60;

const natAddr = (isV6: boolean): string => (isV6 ? 'fd00::99' : '10.1.0.9');
const natAddrs = (isV6: boolean): number[] => (isV6 ? ct.ip('fd00::90', 'fd00::93') : ct.ip('10.1.0.8', '10.1.0.11'));
const LABELS = [Array.from({ length: 16 }, (_, i) => i), Array<number>(16).fill(0x0f)] as const;
type Lists = readonly number[][][];
/** What is done to a packet, by the first byte: each is a list of CT actions. */
// biome-ignore format: table
const ACTIONS: readonly ((zone: number[], isV6: boolean, proto: number) => Lists)[] = [
  (z) => [[z]],
  (z) => [[z, ct.commit()]],
  (z) => [[z, ct.force()]],
  (z) => [[z], [z, ct.commit(), ct.mark(5, 0xff)]],
  (z) => [[z, ct.commit(), ct.labels(...LABELS)]],
  (z, v6) => [[z, ct.nat()], [z, ct.commit(), ct.nat(ct.src(), ct.ip(natAddr(v6)))]],
  (z, v6) => [[z, ct.commit(), ct.nat(ct.src(), ct.ip(natAddr(v6)), ct.ports(5000, 5003))]],
  (z, v6) => [[z, ct.commit(), ct.nat(ct.src(), natAddrs(v6), ct.random())]],
  (z, v6) => [[z, ct.commit(), ct.nat(ct.dst(), natAddrs(v6), ct.persistent())]],
  (z, v6) => [[z, ct.commit(), ct.nat(ct.dst(), ct.ip(v6 ? 'fe80::2' : '10.0.0.2'), ct.ports(80))]],
  (z) => [[z, ct.commit(), ct.nat(ct.src())]],
  (z) => [[z, ct.nat()]],
  (z, _v6, proto) => [[z, ct.commit(), ct.helper(proto === PROTO.UDP ? 'tftp' : 'ftp')]],
  (z, v6, proto) => [[z, ct.commit(), ct.helper(proto === PROTO.UDP ? 'tftp' : 'ftp'), ct.nat(ct.src(), ct.ip(natAddr(v6)))]],
  (z) => [[z, ct.commit(), ct.timeout('short')]],
  (z) => [[z, ct.commit(), ct.timeout('long')], [ct.zone(7), ct.commit()]],
  (z, v6) => [[z, ct.force(), ct.nat(ct.dst(), ct.ip(natAddr(v6)))], [ct.zone(2), ct.commit(), ct.nat(ct.src(), natAddrs(v6))]],
];

type Seen = Set<string>;

/** What must hold of a tracker whenever no packet is under way. */
function checkTracker({ tracker, conntrack }: CtRig, max: number): void {
  const { table } = tracker;
  const counted = new Map<number, number>();
  const tuples = new Set<string>();
  let count = 0;
  for (let conn = 0; conn < table.capacity; conn++) {
    if ((table.status[conn]! & (IPS.CONFIRMED | IPS.DYING)) !== IPS.CONFIRMED) continue;
    count++;
    for (const entry of [2 * conn, 2 * conn + 1]) {
      const at = table.tupleAt(entry);
      check(table.find(table.tuples, at) >> 1 === conn, () => `conntrack: entry ${entry} is not found by its tuple`);
      tuples.add(table.tuples.subarray(at, at + TUPLE_WORDS).join());
    }
    const zone = zoneOf(table.tuples[table.tupleAt(2 * conn) + TUPLE_WORDS - 1]!);
    check(zone === zoneOf(table.tuples[table.tupleAt(2 * conn + 1) + TUPLE_WORDS - 1]!), 'conntrack: two zones');
    if (table.counted[conn] !== 0) counted.set(zone, (counted.get(zone) ?? 0) + 1);
    const master = table.master[conn]!;
    check(master === NONE || (table.status[master]! & IPS.CONFIRMED) !== 0, 'conntrack: the master is gone');
  }
  check(count === tracker.count, () => `conntrack: counts ${tracker.count} of ${count} connections`);
  // A connection to oneself has one tuple; any other two, and none of them twice.
  check(
    tuples.size <= 2 * count && tuples.size >= count,
    () => `conntrack: ${tuples.size} tuples of ${count} connections`,
  );
  check(count <= max, () => `conntrack: ${count} connections, of ${max} there may be`);
  for (let zone = 0; zone < 10; zone++) {
    const [has, says] = [counted.get(zone) ?? 0, tracker.limits.countOf(zone)];
    check(has === says, () => `conntrack: zone ${zone} is said to have ${says} connections, and has ${has}`);
  }
  const exps = tracker.expectations.all();
  check(exps.length === tracker.expectations.count, 'conntrack: expectations are miscounted');
  for (const exp of exps) check(tracker.isConfirmed(exp.master), 'conntrack: an expectation without its master');
  const { defragmenter } = conntrack;
  check(
    defragmenter.bytes >= 0 && defragmenter.waiting > 0 === defragmenter.bytes > 0,
    'conntrack: fragments are miscounted',
  );
  check(defragmenter.bytes < 4 << 20, () => `conntrack: ${defragmenter.bytes} bytes of fragments`);
}

/** After `tracker.advance`: nothing is there whose time is over.  The wheel turns once a second. */
function checkExpired({ tracker, now }: CtRig): void {
  const { table } = tracker;
  for (let conn = 0; conn < table.capacity; conn++) {
    if ((table.status[conn]! & (IPS.CONFIRMED | IPS.DYING)) !== IPS.CONFIRMED) continue;
    check(table.timeout[conn]! > now - 2000, () => `conntrack: over since ${now - table.timeout[conn]!} ms`);
  }
  for (const exp of tracker.expectations.all()) check(exp.expires > now, 'conntrack: an expectation that is over');
}

function packetStep(rig: CtRig, r: Uint8Array, pkt: Packet, seen: Seen): void {
  const bytes = [...r.subarray(3, 3 + MAX_FRAME)];
  const key = newFlowKey();
  extractMetadata(pkt, key);
  if (!extractHeaders(pkt, key)) return;
  const type = getField(key, FIELD.ethType);
  const proto = getField(key, FIELD.nwProto);
  const before = checksumsOf(bytes);
  const wasFragment = getField(key, FIELD.nwFrag) !== 0;
  const which = r[1]! % ACTIONS.length;
  let status = 0;
  for (const list of ACTIONS[which]!(ct.zone(r[2]! % 4), type === 0x86dd, proto)) {
    let args: ReturnType<typeof argsOf>;
    try {
      args = argsOf(list, key);
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      return;
    }
    status = rig.executor.execute(pkt, key, args);
    if (status !== 0) break;
  }
  const state = stateOf(key);
  seen.add(`${type} ${proto} ${state}`);
  seen.add(`${which} ${type === 0x86dd} ${status} ${state}`);
  if (status !== 0) return;
  check(pkt.start + pkt.l3 <= pkt.end, 'conntrack: the packet ends before its header');
  // What is in the key must be what is in the packet: of a whole one, for what IP says is behind its end was cut off.
  if (before.l4 !== true) return;
  const again = newFlowKey();
  extractMetadata(pkt, again);
  check(extractHeaders(pkt, again), 'conntrack: the packet is none any more');
  for (const name of ['nwSrc', 'nwDst', 'nwProto', 'tpSrc', 'tpDst', 'nwTtl'] as const) {
    check(
      getField(key, FIELD[name]) === getField(again, FIELD[name]),
      () => `conntrack: ${name} of the key is not the packet's`,
    );
  }
  if (wasFragment) return;
  const wrong = spoiled(before, checksumsOf([...pkt.arena.bytes.subarray(pkt.start, pkt.end)]));
  check(wrong === undefined, () => `conntrack: spoils the ${wrong}`);
}

function run(records: Case): string[] {
  const options = records.find((r) => r[0]! % N_STEPS === STEP.OPTIONS);
  const max = options === undefined ? 64 : 1 + (options[1] ?? 63);
  const random = new Random(max);
  const rig = new CtRig(max, () => random.u32() / 0x100000000);
  const { tracker } = rig;
  if ((options?.[2] ?? 0) !== 0) tracker.limits.setDefault(options![2]!);
  const seen: Seen = new Set();
  for (const r of records.slice(0, MAX_STEPS)) {
    const [kind, a = 0, b = 0] = r;
    switch (kind! % N_STEPS) {
      case STEP.PACKET: {
        if (r.length < 3) break;
        packetStep(rig, r, placeFrame(rig.arena, 0, r.subarray(3, 3 + MAX_FRAME), 0xee), seen);
        break;
      }
      case STEP.TIME:
        rig.now += 1000 * (a * 256 + b);
        tracker.advance(rig.now);
        checkExpired(rig);
        checkTracker(rig, max);
        break;
      case STEP.LIMIT:
        tracker.limits.set(a % 4, b);
        break;
      case STEP.POLICY:
        try {
          tracker.policies.set(POLICIES[a & 1]!, 2, (a & 2) !== 0 ? PROTO.TCP : PROTO.UDP, [1000 * b, 2000 * b, b]);
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
        }
        break;
      case STEP.FLUSH:
        seen.add(
          `flushed ${Math.min(
            3,
            tracker.flush((conn) => zoneOf(tracker.table.tuples[tracker.table.tupleAt(2 * conn) + 9]!) === a % 4),
          )}`,
        );
        break;
      default:
    }
  }
  checkTracker(rig, max);
  for (const [name, n] of Object.entries(tracker.stats)) if (n > 0) seen.add(`${name} ${Math.min(n, 3)}`);
  for (const [name, n] of Object.entries(rig.conntrack.defragmenter.stats)) if (n > 0) seen.add(name);
  seen.add(
    `expects ${Math.min(tracker.expectations.count, 9)} waiting ${Math.min(rig.conntrack.defragmenter.waiting, 3)}`,
  );
  // A month later nothing is left: neither connections, nor counts, nor fragments.
  rig.now += 31 * 86_400_000;
  tracker.advance(rig.now);
  rig.now += 1000;
  tracker.advance(rig.now);
  checkExpired(rig);
  checkTracker(rig, max);
  return [...seen];
}

// Making cases.

const FTP = [
  'PORT 10,0,0,1,7,208\r\n',
  '227 Entering Passive Mode (10,0,0,2,7,209)\r\n',
  'EPRT |1|10.0.0.1|2000|\r\n',
  'EPRT |2|fe80::1|2001|\r\n',
  '229 Extended Passive Mode (|||2001|)\r\n',
  'PORT 10,0,0,1,0,0\r\n',
  'PORT 999,0,0,1,7',
];

/** Packets of one connection, there and back. */
function conversation(random: Random): number[][] {
  const isV6 = random.oneIn(4);
  const [a, b] = isV6 ? [v6(random), v6(random)] : [v4(random), v4(random)];
  const proto = random.oneIn(3) ? 17 : 6;
  const [aPort, bPort] = [port(random), random.pick([21, 21, 69, 80, 53])];
  const made = (isBack: boolean, flags: number, seq: number, payload: number[]): number[] => {
    const t = { srcPort: isBack ? bPort : aPort, dstPort: isBack ? aPort : bPort, flags, seq, payload };
    const f = isBack ? { src: b, dst: a } : { src: a, dst: b };
    return isV6 ? eth(0x86dd, ipv6With(proto, t, f)) : eth(0x0800, ipv4With(proto, t, f));
  };
  const seq = random.pick([1, 1000, 0xfffffff0]);
  const talk = random.list(4, () => {
    const text = random.oneIn(2)
      ? [...Buffer.from(random.pick(FTP))]
      : proto === 17
        ? [0, 1, 0x61, 0, 0]
        : random.bytes(5);
    return made(
      random.oneIn(2),
      random.oneIn(5) ? random.pick(TCP_FLAGS) : 0x18,
      seq + 1 + (random.oneIn(3) ? 20 : 0),
      text,
    );
  });
  return [made(false, 0x02, seq, []), made(true, 0x12, seq, []), made(false, 0x10, seq + 1, []), ...talk];
}

/** A datagram in fragments, in some order, some of them twice or not at all. */
function fragments(random: Random): number[][] {
  const whole = ipv4With(17, { srcPort: port(random), dstPort: port(random), payload: random.bytes(60) }).slice(20);
  const id = random.below(3);
  const cut = 8 * (1 + random.below(7));
  const parts = [
    ipv4(17, whole.slice(0, cut), { id, frag: 0x2000 }),
    ipv4(17, whole.slice(cut), { id, frag: cut >> 3 }),
  ];
  if (random.oneIn(4)) parts.push(random.pick(parts));
  if (random.oneIn(6)) parts.splice(random.below(parts.length), 1);
  if (random.oneIn(2)) parts.reverse();
  return parts.map((p) => eth(0x0800, p));
}

function steps(random: Random): Uint8Array[] {
  const packets = random.oneIn(2) ? conversation(random) : random.oneIn(3) ? fragments(random) : [frame(random)];
  const action = random.below(ACTIONS.length);
  const zone = random.below(3);
  const all = packets.map((p) =>
    record(STEP.PACKET, [random.oneIn(4) ? random.below(ACTIONS.length) : action, zone, ...p]),
  );
  switch (random.below(8)) {
    case 0:
      all.splice(
        random.below(all.length + 1),
        0,
        record(
          STEP.TIME,
          random.pick([
            [0, 1],
            [0, 31],
            [0, 200],
            [7, 0],
            [255, 255],
          ]),
        ),
      );
      break;
    case 1:
      all.unshift(record(STEP.LIMIT, [zone, random.below(3)]));
      break;
    case 2:
      all.unshift(record(STEP.POLICY, [random.below(4), random.below(30)]));
      break;
    case 3:
      all.push(record(STEP.FLUSH, [zone]));
      break;
    default:
  }
  return all;
}

export const conntrackTarget: FuzzTarget = {
  name: 'conntrack',

  generate(random: Random): Case {
    const options = record(STEP.OPTIONS, [random.pick([63, 63, 2, 7]), random.pick([0, 0, 0, 1, 3])]);
    return [options, ...random.list(4, () => steps(random)).flat(), ...steps(random)];
  },

  run,
};
