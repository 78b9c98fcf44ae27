/**
 * Mutations of valid requests, of our own making and, where the recordings of the real module lie beside the checkout, of
 * stock ovs-dpctl.  Whatever comes of a mutation: no exception leaves the server, each answer is well-formed, a request
 * that is answered with an errno has changed nothing, and memory stays flat.
 *
 * TAPSWITCH_FUZZ_N sets how many (default 20,000), TAPSWITCH_FUZZ_SEED which.
 */
import { expect, test } from 'vitest';
import { UPCALL_SLOTS } from '../../src/datapath/commands/upcall-writer.ts';
import { DatapathServer } from '../../src/datapath/server.ts';
import { NLM_F } from '../../src/netlink/constants.ts';
import { OVS_DP_ATTR, OVS_DP_CMD } from '../../src/netlink/families/ovs-datapath.ts';
import { OVS_FLOW_ATTR, OVS_FLOW_CMD } from '../../src/netlink/families/ovs-flow.ts';
import { type MeterAttrs, OVS_METER_ATTR, OVS_METER_CMD } from '../../src/netlink/families/ovs-meter.ts';
import { OVS_VPORT_ATTR, OVS_VPORT_CMD, OVS_VPORT_TYPE } from '../../src/netlink/families/ovs-vport.ts';
import { OVS_ACTION_ATTR, OVS_USERSPACE_ATTR } from '../../src/odp/action-attrs.ts';
import { Arena, SLOT_SIZE } from '../../src/packet/packet.ts';
import type { Logger } from '../../src/util/vlog.ts';
import { describeState, errnosOf, isOldClient, isSingle } from '../fuzz/oracles/netlink-answers.ts';
import * as action from '../support/action-bytes.ts';
import { FakePorts } from './fake-ports.ts';
import { hasGolden, readGolden } from './golden.ts';
import {
  CLIENT,
  DirectTransport,
  dpCommand,
  dpNew,
  execute,
  FAMILY,
  flowPut,
  getFamily,
  nested,
  outputs,
  ovsRequest,
  udpKey,
  vportNew,
} from './requests.ts';

const { TAPSWITCH_FUZZ_N, TAPSWITCH_FUZZ_SEED } = process.env;
const N = Number(TAPSWITCH_FUZZ_N ?? 20_000);
const SEED = Number(TAPSWITCH_FUZZ_SEED ?? 1);
/** Mutations that one server sees, before it is taken down and a fresh one made. */
const PER_SERVER = 2_000;
/** ifindex of the local port of the datapath that is there from the start. */
const DP = 3;

/** A small random number generator (mulberry32): the same numbers for the same seed, everywhere. */
function generator(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

const userspace = nested((w) => {
  const nest = w.nest(OVS_ACTION_ATTR.USERSPACE);
  w.attrU32(OVS_USERSPACE_ATTR.PID, CLIENT);
  w.attrBytes(OVS_USERSPACE_ATTR.USERDATA, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  w.endNest(nest);
  w.attrU32(OVS_ACTION_ATTR.RECIRC, 7);
});
/** Actions that have parts or headers in them. */
const parts = Uint8Array.from(
  [
    action.clone(action.meter(1), action.checkPktLen(60, action.output(1), action.output(2))),
    action.sample(0x80000000, action.decTtl(action.output(1))),
    action.pushNsh([0, 63, 1, 3, 0, 0, 0, 1], action.md1(7)),
    action.pushEth([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]),
    action.output(2),
  ].flat(),
);
const ufid = (n: number) => new Uint8Array(16).fill(n);

/** Requests that are valid in some state of the server. */
function corpus(): Uint8Array[] {
  const vport = (cmd: number, attrs: object, flags: number = NLM_F.ECHO) =>
    ovsRequest({ family: FAMILY.VPORT, cmd, dpIfindex: DP, flags, policy: OVS_VPORT_ATTR, attrs });
  const flow = (cmd: number, attrs: object, flags: number = NLM_F.ECHO) =>
    ovsRequest({ family: FAMILY.FLOW, cmd, dpIfindex: DP, flags, policy: OVS_FLOW_ATTR, attrs });
  const meter = (cmd: number, attrs: MeterAttrs) =>
    ovsRequest({ family: FAMILY.METER, cmd, dpIfindex: DP, flags: NLM_F.ECHO, policy: OVS_METER_ATTR, attrs });
  const dump = NLM_F.DUMP;
  const own = [
    getFamily('ovs_datapath'),
    getFamily('ovs_packet'),
    dpNew('dp0'),
    dpNew('dp1'),
    dpCommand(OVS_DP_CMD.GET, 'dp0'),
    dpCommand(OVS_DP_CMD.DEL, 'dp1'),
    ovsRequest({
      ...{ family: FAMILY.DATAPATH, cmd: OVS_DP_CMD.SET, version: 2, flags: NLM_F.ECHO, policy: OVS_DP_ATTR },
      attrs: { name: 'dp0', userFeatures: 9, masksCacheSize: 64, perCpuPids: [CLIENT, CLIENT] },
    }),
    dpCommand(OVS_DP_CMD.GET, 'dp0', dump),
    vportNew(DP, 'v1'),
    vportNew(DP, 'i1', OVS_VPORT_TYPE.INTERNAL),
    vport(OVS_VPORT_CMD.GET, { portNo: 1 }),
    vport(OVS_VPORT_CMD.SET, { portNo: 1, upcallPid: [1, 2] }),
    vport(OVS_VPORT_CMD.DEL, { portNo: 2 }),
    vport(OVS_VPORT_CMD.GET, {}, dump),
    flowPut({ dpIfindex: DP, dst: 80 }),
    flowPut({ dpIfindex: DP, dst: 81, ufid: ufid(1), flags: NLM_F.CREATE | NLM_F.ECHO }),
    flowPut({ dpIfindex: DP, dst: 82, actions: userspace }),
    flowPut({ dpIfindex: DP, dst: 81, ufid: ufid(1), cmd: OVS_FLOW_CMD.SET, flags: NLM_F.ECHO }),
    flow(OVS_FLOW_CMD.GET, { ufid: ufid(1) }),
    flow(OVS_FLOW_CMD.GET, { key: udpKey(1, 80) }),
    flow(OVS_FLOW_CMD.DEL, { ufid: ufid(1) }),
    flow(OVS_FLOW_CMD.DEL, {}, 0),
    flow(OVS_FLOW_CMD.GET, { ufidFlags: 7 }, dump),
    execute(DP, outputs(1, 2)),
    execute(DP, userspace),
    execute(DP, parts),
    execute(DP, Uint8Array.from(action.psample(5, [1, 2]))),
    flowPut({ dpIfindex: DP, dst: 83, actions: parts }),
    meter(OVS_METER_CMD.FEATURES, {}),
    meter(OVS_METER_CMD.SET, { id: 1, kbps: true, bands: [{ type: 1, rate: 8, burst: 1 }] }),
    meter(OVS_METER_CMD.GET, { id: 1 }),
    meter(OVS_METER_CMD.DEL, { id: 1 }),
  ];
  if (!hasGolden) return own;
  const requests = readGolden().filter((m) => m.direction === 'request' && /^(ovs_|nlctrl)/.test(m.family));
  const distinct = new Map(requests.map((m) => [m.hex.slice(0, 16) + m.hex.slice(32), m.hex]));
  return [...own, ...own, ...[...distinct.values()].map((hex) => aimed(Uint8Array.from(Buffer.from(hex, 'hex'))))];
}

/** A recorded request about a datapath's ports or flows, changed to be about the one that is there. */
function aimed(bytes: Uint8Array): Uint8Array {
  const dv = new DataView(bytes.buffer);
  const family = dv.getUint16(4, true);
  if (family >= FAMILY.VPORT && family <= FAMILY.PACKET && dv.getUint32(20, true) !== 0) dv.setUint32(20, DP, true);
  return bytes;
}

/** Offsets of attributes' headers in a message, at any depth that looks like nests. */
function headersIn(bytes: Uint8Array): number[] {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: number[] = [];
  const walk = (at: number, end: number, depth: number) => {
    while (end - at >= 4) {
      const len = dv.getUint16(at, true);
      if (len < 4 || len > end - at) return;
      found.push(at);
      if (depth < 3 && len > 8) walk(at + 4, at + len, depth + 1);
      at += (len + 3) & ~3;
    }
  };
  walk(24, bytes.length, 0);
  return found;
}

type Rnd = () => number;
const pick = <T>(rnd: Rnd, list: readonly T[]): T => list[rnd() % list.length]!;
const setLen = (bytes: Uint8Array) => new DataView(bytes.buffer).setUint32(0, bytes.length, true);

const MUTATIONS: readonly ((bytes: Uint8Array, rnd: Rnd, all: readonly Uint8Array[]) => Uint8Array)[] = [
  // A bit, a byte, or a word that tends to be special.
  (b, rnd) => {
    b[rnd() % b.length]! ^= 1 << (rnd() & 7);
    return b;
  },
  (b, rnd) => {
    b[rnd() % b.length] = rnd();
    return b;
  },
  (b, rnd) => {
    const at = rnd() % (b.length - 3);
    new DataView(b.buffer).setUint32(
      at & ~3,
      pick(rnd, [0, 1, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, rnd()]),
      true,
    );
    return b;
  },
  // The length of the message, of an attribute; an attribute's number.
  (b, rnd) => {
    new DataView(b.buffer).setUint32(
      0,
      pick(rnd, [0, 15, 16, 19, 20, 23, b.length - 1, b.length + 1, 0xffffffff]),
      true,
    );
    return b;
  },
  (b, rnd) => {
    const headers = headersIn(b);
    if (headers.length === 0) return b;
    new DataView(b.buffer).setUint16(pick(rnd, headers), pick(rnd, [0, 3, 4, 5, 8, 12, 0xffff, rnd() & 63]), true);
    return b;
  },
  (b, rnd) => {
    const headers = headersIn(b);
    if (headers.length === 0) return b;
    new DataView(b.buffer).setUint16(pick(rnd, headers) + 2, pick(rnd, [rnd() & 31, rnd() & 63, rnd() & 0xffff]), true);
    return b;
  },
  // Cut, lengthened, attribute left out, attribute twice.
  (b, rnd) => {
    const cut = b.slice(0, 16 + (rnd() % Math.max(1, b.length - 16)));
    setLen(cut);
    return cut;
  },
  (b, rnd) => {
    const longer = new Uint8Array(b.length + 1 + (rnd() % 40));
    longer.set(b);
    for (let i = b.length; i < longer.length; i++) longer[i] = rnd();
    setLen(longer);
    return longer;
  },
  (b, rnd) => {
    const headers = headersIn(b);
    if (headers.length === 0) return b;
    const at = pick(rnd, headers);
    const size = (new DataView(b.buffer).getUint16(at, true) + 3) & ~3;
    const shorter = Uint8Array.from([...b.subarray(0, at), ...b.subarray(at + size)]);
    setLen(shorter);
    return shorter;
  },
  (b, rnd) => {
    const headers = headersIn(b);
    if (headers.length === 0) return b;
    const at = pick(rnd, headers);
    const attr = b.subarray(at, at + ((new DataView(b.buffer).getUint16(at, true) + 3) & ~3));
    const doubled = Uint8Array.from([...b, ...attr]);
    setLen(doubled);
    return doubled;
  },
  // Another command, other flags, another datapath.
  (b, rnd) => {
    b[16] = rnd() % 12;
    return b;
  },
  (b, rnd) => {
    b[6] = rnd();
    b[7] = rnd() & 7;
    b[6]! |= NLM_F.REQUEST;
    return b;
  },
  (b, rnd) => {
    if (b.length >= 24) new DataView(b.buffer).setUint32(20, pick(rnd, [0, 1, 2, 4, DP, 0xffffffff]), true);
    return b;
  },
  // Two messages in one datagram; none at all; unchanged.
  (b, rnd, all) => Uint8Array.from([...b, ...new Uint8Array(-b.length & 3), ...pick(rnd, all)]),
  (_b, rnd) => Uint8Array.from({ length: rnd() % 64 }, () => rnd()),
  (b) => b,
];

/** A server with one datapath of one port, and a few devices besides. */
function startServer(arena: Arena, log: Logger, clock: () => number) {
  let next = 10;
  const ports = new FakePorts((name) => (name === 'dp0' ? DP : next++));
  for (const name of ['v0', 'v1', 'v2']) ports.add(name);
  const transport = new DirectTransport();
  const server = new DatapathServer({ transport, portFactory: ports, arena, log, nCpus: 4, clock });
  server.start();
  for (const request of [dpNew('dp0'), vportNew(DP, 'v1')]) transport.ask(request);
  return { server, transport };
}

test(`${N} mutations of valid requests, seed ${SEED}`, { timeout: 60_000 + N }, async () => {
  const rnd = generator(SEED);
  const all = corpus();
  const problems: string[] = [];
  const quiet = () => {};
  const log: Logger = {
    ...{ name: 'fuzz', emer: quiet, warn: quiet, info: quiet, dbg: quiet, at: quiet, isEnabled: () => false },
    err: (text) => problems.push(typeof text === 'string' ? text : text()),
  };
  // One piece of memory for all servers: what one has left behind does not matter to the next.
  const memory = new ArrayBuffer(512 * SLOT_SIZE);
  let arena = new Arena(memory);
  let server = startServer(arena, log, () => 1);
  const heap: number[] = [];
  let nLeaked = 0;
  let nErrors = 0;
  let nChanges = 0;

  for (let i = 0; i < N; i++) {
    if (i % PER_SERVER === 0) {
      server.server.close();
      await new Promise((resolve) => setImmediate(resolve));
      nLeaked = Math.max(nLeaked, arena.slots - UPCALL_SLOTS - arena.available);
      arena = new Arena(memory);
      server = startServer(arena, log, () => i + 1);
      heap.push(process.memoryUsage().heapUsed);
    }
    let bytes: Uint8Array = Uint8Array.from(pick(rnd, all));
    for (let n = 1 + (rnd() % 3); n > 0 && bytes.length >= 20; n--) bytes = pick(rnd, MUTATIONS)(bytes, rnd, all);

    const before = describeState(server.server);
    const answers = server.transport.ask(bytes);
    const errnos = answers.flatMap(errnosOf);
    const hasFailed = errnos.some((e) => e !== 0);
    if (errnos.some((e) => e < 0 || e > 133)) problems.push(`errno ${errnos.join()}`);
    const after = describeState(server.server);
    if (hasFailed) nErrors++;
    if (after !== before) nChanges++;
    if (hasFailed && isSingle(bytes) && after !== before && !isOldClient(bytes)) {
      problems.push(`changed by a request that failed: ${Buffer.from(bytes).toString('hex')}\n${before}\n${after}`);
    }
    if (problems.length > 0) throw new Error(`mutation ${i}: ${Buffer.from(bytes).toString('hex')}\n${problems[0]}`);
  }
  server.server.close();

  expect(nLeaked, 'slots of packet memory that were not given back').toBe(0);
  // The mutations reach both kinds of outcome, and not only the outermost checks.
  expect(nErrors).toBeGreaterThan(N / 10);
  expect(nChanges).toBeGreaterThan(N / 100);
  const late = heap.slice(Math.floor(heap.length / 2));
  expect(Math.min(...late) - Math.min(...heap.slice(0, Math.ceil(heap.length / 2)))).toBeLessThan(32 << 20);
  console.log(`fuzz: ${N} mutations, ${nErrors} answered with an errno, ${nChanges} changed something`);
});
