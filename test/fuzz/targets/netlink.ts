/**
 * Netlink messages, and frames between them, into a datapath.  A case's records: kind 0 a datagram of one client; 1 of another; 2 a
 * frame, behind the number of its port; 3 time that goes by (a byte, in 64 ms); 4 whether clients' queues are full (a byte).
 *
 * Every answer is well-formed; a request that is refused changes nothing; a frame is for a flow that a plain reading of its key
 * and mask says is for it, and for none only if there is none; nothing throws, and no slot is lost.
 */

import { UPCALL_SLOTS } from '../../../src/datapath/commands/upcall-writer.ts';
import { DatapathServer } from '../../../src/datapath/server.ts';
import { NLM_F } from '../../../src/netlink/constants.ts';
import { OVS_DP_ATTR, OVS_DP_CMD } from '../../../src/netlink/families/ovs-datapath.ts';
import { OVS_FLOW_ATTR, OVS_FLOW_CMD } from '../../../src/netlink/families/ovs-flow.ts';
import { Arena, Packet, SLOT_SIZE } from '../../../src/packet/packet.ts';
import { ERRNO } from '../../../src/util/errno.ts';
import type { Logger } from '../../../src/util/vlog.ts';
import { type FakePort, FakePorts } from '../../datapath/fake-ports.ts';
import { CLIENT, DirectTransport, dpNew, FAMILY, outputs, ovsRequest, vportNew } from '../../datapath/requests.ts';
import { type Case, check, type FuzzTarget, record } from '../case.ts';
import { frame } from '../frames.ts';
import { DPS, request } from '../netlink-grammar.ts';
import { describeState, isOldClient, isSingle, messagesOf } from '../oracles/netlink-answers.ts';
import { attrsIn, plainMatch } from '../oracles/plain-match.ts';
import { referenceKey } from '../oracles/reference-key.ts';
import type { Random } from '../random.ts';
import { listOf } from './actions.ts';

const KIND = { REQUEST: 0, OTHER: 1, FRAME: 2, TIME: 3, FULL: 4 } as const;
const N_KINDS = 5;
const [OVS_DP_F_UNALIGNED, OVS_DP_F_VPORT_PIDS] = [1, 2];
const MAX_FRAME = 3000;
const [DP] = DPS;
/** Records that are looked at, so that a case stays a short one. */
const MAX_RECORDS = 24;

// One piece of memory for all servers: what one has left behind does not matter to the next.
const memory = new ArrayBuffer(512 * SLOT_SIZE);

class Rig {
  nowMs = 1000;
  readonly arena = new Arena(memory);
  readonly ports: FakePorts;
  readonly transport = new DirectTransport();
  readonly server: DatapathServer;
  readonly problems: string[] = [];

  constructor() {
    let next = 10;
    this.ports = new FakePorts((name) => (name === 'dp0' ? DP : name === 'dp1' ? DPS[1] : next++));
    for (const name of ['v0', 'v1', 'v2']) this.ports.add(name);
    const quiet = () => {};
    const log: Logger = {
      ...{ name: 'fuzz', emer: quiet, warn: quiet, info: quiet, dbg: quiet, at: quiet, isEnabled: () => false },
      err: (text) => this.problems.push(typeof text === 'string' ? text : text()),
    };
    const { transport, ports: portFactory, arena } = this;
    this.server = new DatapathServer({
      ...{ transport, portFactory, arena, log, nCpus: 4, clock: () => this.nowMs, random: () => 0.5 },
    });
    this.server.start();
    const dpSet = ovsRequest({
      ...{ family: FAMILY.DATAPATH, cmd: OVS_DP_CMD.SET, version: 2, policy: OVS_DP_ATTR },
      attrs: { name: 'dp0', userFeatures: OVS_DP_F_UNALIGNED | OVS_DP_F_VPORT_PIDS },
    });
    for (const bytes of [dpNew('dp0'), dpSet, vportNew(DP, 'v0'), vportNew(DP, 'v1')]) transport.ask(bytes);
  }

  ask(bytes: Uint8Array, from: number, seen: string[]): void {
    const before = describeState(this.server);
    const answers = this.transport.ask(bytes, from);
    const messages = answers.flatMap(messagesOf);
    for (const { type, cmd, errno } of messages) {
      if (errno !== undefined) {
        check(errno >= 0 && errno <= 133, () => `netlink: errno ${errno}`);
        seen.push(`${bytes[4]} ${bytes[16]} errno ${errno}`);
      } else seen.push(`${bytes[4]} ${bytes[16]} ${type} ${cmd}`);
    }
    const isRefused = messages.some((m) => m.errno !== undefined && m.errno !== 0);
    if (isRefused && isSingle(bytes) && !isOldClient(bytes)) {
      check(describeState(this.server) === before, 'netlink: a request that was refused has changed something');
    }
  }

  /** The flows of the first datapath for packets that have just come in: of each what it is for, and how many it has had. */
  flows() {
    const dump = ovsRequest({
      ...{ family: FAMILY.FLOW, cmd: OVS_FLOW_CMD.GET, dpIfindex: DP, flags: NLM_F.DUMP, policy: OVS_FLOW_ATTR },
      attrs: { ufidFlags: 0 },
    });
    const found: { key: Uint8Array; mask: Uint8Array; packets: bigint }[] = [];
    for (const answer of this.transport.ask(dump)) {
      for (const { type, at, end } of messagesOf(answer)) {
        if (type !== FAMILY.FLOW) continue;
        const attrs = attrsIn(answer.bytes.subarray(at, end));
        const [key, mask, stats] = [attrs.get(1), attrs.get(7), attrs.get(3)];
        check(key !== undefined && mask !== undefined, 'netlink: a flow is dumped without key or mask');
        const packets = stats === undefined ? 0n : new DataView(stats.buffer, stats.byteOffset).getBigUint64(0, true);
        const recircId = attrsIn(key).get(20);
        const recircMask = attrsIn(mask).get(20);
        // Packets go on to flows for recirculated ones: how often, is not for here to say.
        const isFirst = recircId?.every((b) => b === 0) !== false || recircMask === undefined;
        if (isFirst) found.push({ key, mask, packets });
      }
    }
    return found;
  }

  /** A frame comes in at the port of that number. */
  inject(portNo: number, bytes: Uint8Array, seen: string[]): void {
    const dp = this.server.datapaths.all().next().value;
    const port = [...this.ports.open].find((p) => dp?.vport(portNo)?.backend === p);
    if (port?.events === undefined || dp?.name !== 'dp0') return;
    const before = this.transport.failure === 0 ? this.flows() : undefined;
    this.deliver(port, bytes);
    const upcalls = this.transport.answers.splice(0).flatMap(messagesOf);
    if (before === undefined) return;
    const ref = referenceKey([...bytes], 0, false);
    const after = this.flows();
    if (after.length !== before.length) return;
    const hits = after.filter((f, i) => f.packets > before[i]!.packets);
    const isFor = (f: { key: Uint8Array; mask: Uint8Array }) => ref !== null && plainMatch(f.key, f.mask, ref, portNo);
    for (const f of hits)
      check(isFor(f), () => `netlink: a flow takes a frame that it is not for: ${hex(f.key)} ${hex(f.mask)}`);
    const missed = hits.length > 0 ? undefined : before.find(isFor);
    check(missed === undefined, () => `netlink: a flow misses a frame: ${hex(missed!.key)} ${hex(missed!.mask)}`);
    seen.push(`frame ${Math.min(hits.length, 2)} of ${Math.min(before.length, 4)}, ${Math.min(upcalls.length, 2)} up`);
  }

  private deliver(port: FakePort, bytes: Uint8Array): void {
    const slot = this.arena.take();
    if (slot < 0) return;
    const pkt = new Packet(this.arena);
    pkt.reset(slot);
    pkt.end = pkt.start + bytes.length;
    this.arena.bytes.set(bytes, pkt.start);
    port.events?.receive(pkt);
    port.events?.batchEnd();
    this.arena.give(slot);
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

async function run(records: Case): Promise<string[]> {
  const rig = new Rig();
  const seen: string[] = [];
  try {
    for (const r of records.slice(0, MAX_RECORDS)) {
      const rest = r.subarray(1);
      switch (r[0]! % N_KINDS) {
        case KIND.REQUEST:
        case KIND.OTHER:
          rig.ask(rest, CLIENT + (r[0]! % N_KINDS), seen);
          break;
        case KIND.FRAME:
          rig.inject((rest[0] ?? 0) % 3, rest.subarray(1, MAX_FRAME), seen);
          break;
        case KIND.TIME:
          rig.nowMs += 64 * (rest[0] ?? 0);
          break;
        default:
          rig.transport.failure = (rest[0] ?? 0) % 2 === 1 ? -ERRNO.EAGAIN : 0;
      }
      check(rig.problems.length === 0, () => `netlink: ${rig.problems[0]}`);
    }
  } finally {
    rig.server.close();
    // What fragments and dumps wait for.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { slots, available } = rig.arena;
  check(available >= slots - UPCALL_SLOTS, () => `netlink: ${slots - UPCALL_SLOTS - available} slots were lost`);
  return seen;
}

export const netlinkTarget: FuzzTarget = {
  name: 'netlink',

  generate(random: Random): Case {
    const frames = [frame(random), frame(random), frame(random)];
    const actions = () =>
      random.oneIn(3) ? Uint8Array.from(listOf(random)) : outputs(...random.list(2, () => random.below(4)));
    const subject = { frames, actions };
    const one = (): Uint8Array => {
      switch (random.below(8)) {
        case 0:
          return record(KIND.OTHER, request(random, subject));
        case 1:
        case 2:
          return record(KIND.FRAME, [random.below(3), ...random.pick(frames)]);
        case 3:
          return random.oneIn(2) ? record(KIND.TIME, [random.byte()]) : record(KIND.FULL, [random.below(3)]);
        default:
          return record(KIND.REQUEST, request(random, subject));
      }
    };
    return [one(), ...random.list(10, one)];
  },

  attrsAt: (r) => (r[0]! % N_KINDS <= KIND.OTHER ? 1 + 24 : -1),

  run,
};
