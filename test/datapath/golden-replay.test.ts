/**
 * Replays what stock ovs-dpctl asked of the real module, and holds each answer against the module's, byte for byte.
 * Devices are made as the scenario's shell commands made them, with the ifindexes that the recording shows.
 */
import { describe, expect, test } from 'vitest';
import { DatapathServer } from '../../src/datapath/server.ts';
import { MemoryNetlink, type NetlinkTransport } from '../../src/netlink/transport.ts';
import { Arena, SLOT_SIZE } from '../../src/packet/packet.ts';
import { vlog } from '../../src/util/vlog.ts';
import { FakePorts } from './fake-ports.ts';
import { type GoldenMessage, hasGolden, readCommands, readGolden } from './golden.ts';

const SERVER_PORT_ID = 7;
/** Port id of the listener for notifications; clients of the recording have small ones and ones above 2^31. */
const LISTENER_PORT_ID = 0x70000000;
/** Groups of the recording. */
const GROUPS = [9, 10, 11, 12, 13];

/**
 * What is not replayed: tunnel devices (025-027) and tunnel actions (079), which are not done yet; a TAP that ovs-dpctl
 * makes and drops itself (029); and real traffic (from 100 on).
 */
const LEFT_OUT = /^(025|026|027|029|079|1\d\d)-/;

const all = hasGolden ? readGolden() : [];
const scenarios = [...new Set(all.map((m) => m.scenario))].filter((s) => !LEFT_OUT.test(s));

const bytesOf = (m: GoldenMessage) => Buffer.from(m.hex, 'hex');
const portIdOf = (m: GoldenMessage) => bytesOf(m).readUInt32LE(12);
/** nlmsg_type DONE or the families that this server serves. */
const isOurs = (m: GoldenMessage) => m.family === 'genl' || m.family === 'nlctrl' || m.family.startsWith('ovs_');

/** Attributes [number, offset of payload, size] of an ovs message. */
function attrsOf(bytes: Buffer): [number, number, number][] {
  const list: [number, number, number][] = [];
  for (let at = 24; at + 4 <= bytes.length; at += (bytes.readUInt16LE(at) + 3) & ~3) {
    if (bytes.readUInt16LE(at) < 4) break;
    list.push([bytes.readUInt16LE(at + 2), at + 4, bytes.readUInt16LE(at) - 4]);
  }
  return list;
}

/** Every device that some answer names, with its ifindexes in order of their first appearance. */
function ifindexesIn(messages: readonly GoldenMessage[]): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const m of messages) {
    if (m.direction === 'request') continue;
    const bytes = bytesOf(m);
    const isVport = m.family === 'ovs_vport';
    if (!isVport && m.family !== 'ovs_datapath') continue;
    const attrs = attrsOf(bytes);
    const attr = (type: number) => attrs.find(([t]) => t === type);
    const name = attr(isVport ? 3 : 1);
    const index = isVport ? attr(8) : undefined;
    if (name === undefined) continue;
    const text = bytes.toString('latin1', name[1], name[1] + name[2] - 1);
    const ifindex = index === undefined ? bytes.readInt32LE(20) : bytes.readInt32LE(index[1]);
    const list = found.get(text) ?? [];
    if (!list.includes(ifindex)) list.push(ifindex);
    found.set(text, list);
  }
  return found;
}

/**
 * Blanks what may differ: counters of devices depend on what else ran on that machine, and the module counts masks with
 * the same bits twice if they were made of different attributes.
 */
function withoutStats(hex: string, family: string): string {
  const bytes = Buffer.from(hex, 'hex');
  for (const [type, at, size] of attrsOf(bytes)) {
    if (family === 'ovs_vport' && type === 6) bytes.fill(0, at, at + size);
    if (family === 'ovs_datapath' && type === 4) bytes.fill(0, at + 8, at + 12);
  }
  return bytes.toString('hex');
}

class Replay {
  readonly ports: FakePorts;
  readonly server: DatapathServer;
  private readonly net = new MemoryNetlink();
  private readonly clients = new Map<number, { transport: NetlinkTransport; got: string[] }>();
  private readonly heard: string[] = [];
  private nextFree = 1000;

  constructor(messages: readonly GoldenMessage[]) {
    const known = ifindexesIn(messages);
    this.ports = new FakePorts((name) => known.get(name)?.shift() ?? this.nextFree++);
    this.server = new DatapathServer({
      transport: this.net.open(SERVER_PORT_ID),
      portFactory: this.ports,
      arena: new Arena(new ArrayBuffer(256 * SLOT_SIZE)),
      log: vlog('replay'),
      clock: () => 1_000_000,
      usedGroups: new Set(Array.from({ length: 32 }, (_, i) => i + 1).filter((g) => !GROUPS.includes(g))),
      nCpus: 4,
      random: () => 0.5,
    });
    this.server.start();
    const listener = this.net.open(LISTENER_PORT_ID);
    for (const group of GROUPS) listener.join(group);
    listener.receive({
      datagram: (b, _dv, at, size) => this.heard.push(Buffer.from(b.subarray(at, at + size)).toString('hex')),
    });
  }

  /** What the shell does to devices. */
  shell(command: string): void {
    const words = command.split(/\s+/);
    const [what = '', name = ''] = words;
    if (what === 'veth') {
      this.ports.add(name);
      this.ports.add(`p${name}`);
    } else if (what === 'dummy') {
      this.ports.add(name);
    } else if (command.startsWith('ip link add')) {
      this.ports.add(words[3] === 'link' ? words[6]! : words[3]!);
    } else if (command.startsWith('ip link del') && this.ports.devices.has(words[3]!)) {
      this.server.deviceGone(this.ports.remove(words[3]!));
    } else if (words[4] === 'name') {
      this.ports.rename(words[3]!, words[5]!);
    } else if (words[4] === 'master') {
      this.ports.devices.get(words[3]!)!.master = 1;
    }
  }

  /** ovs-dpctl makes the devices of tunnel ports itself, over rtnetlink; here they come into being. */
  tunnelDevice(request: GoldenMessage): void {
    const bytes = bytesOf(request);
    const name = attrsOf(bytes).find(([type]) => type === 3);
    const text = name === undefined ? '' : bytes.toString('latin1', name[1], name[1] + name[2] - 1);
    if (/_sys_\d+$/.test(text) && !this.ports.devices.has(text)) this.ports.add(text);
  }

  /** Sends one request; returns what came back. */
  async ask(m: GoldenMessage): Promise<string[]> {
    const portId = portIdOf(m);
    let client = this.clients.get(portId);
    if (client === undefined) {
      client = { transport: this.net.open(portId), got: [] };
      const { got } = client;
      client.transport.receive({
        datagram: (b, dv, at, size) => {
          for (let end = at + size; at < end; at += (dv.getUint32(at, true) + 3) & ~3) {
            got.push(Buffer.from(b.subarray(at, at + dv.getUint32(at, true))).toString('hex'));
          }
        },
      });
      this.clients.set(portId, client);
    }
    const bytes = new Uint8Array(bytesOf(m));
    client.transport.send(bytes, 0, bytes.length, SERVER_PORT_ID);
    await settle();
    return client.got.splice(0);
  }

  notifications(): string[] {
    return this.heard.splice(0);
  }
}

/** Lets the in-memory sockets deliver what they have. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe.skipIf(!hasGolden)('the real module, replayed (skipped where ../shared/golden is absent)', () => {
  test.each(scenarios)('%s', async (scenario) => {
    const messages = all.filter((m) => m.scenario === scenario);
    const replay = new Replay(messages);
    let at = 0;
    for (const command of readCommands(scenario)) {
      replay.shell(command);
      await settle();
      const expectedNotices: string[] = [];
      let process = 0;
      for (; at < messages.length && messages[at]!.step === command; at++) {
        const m = messages[at]!;
        // The same command again is another process.
        if (isProcess(portIdOf(m))) {
          if (process !== 0 && portIdOf(m) !== process) break;
          process = portIdOf(m);
        }
        if (m.direction === 'notification') expectedNotices.push(withoutStats(m.hex, m.family));
        if (m.direction !== 'request' || !isOurs(m)) continue;
        if (m.family === 'ovs_vport' && m.cmd === 'NEW') replay.tunnelDevice(m);
        const answers = messages.slice(at + 1).filter((r, i, rest) => isAnswerTo(m, r, rest.slice(0, i)));
        const want = answers.map((r) => withoutStats(r.hex, r.family)).sort();
        const got = (await replay.ask(m)).map((hex) => withoutStats(hex, m.family)).sort();
        expect(got, `${command}: ${m.family} ${m.cmd} ${m.hex}`).toEqual(want);
      }
      const got = replay.notifications().map((hex) => withoutStats(hex, familyOf(hex)));
      expect(got.sort(), `notifications of: ${command}`).toEqual(expectedNotices.sort());
    }
    expect(at, 'messages replayed').toBe(messages.length);
    replay.server.close();
  });
});

/** Whether a netlink port id is that of a process's first socket. */
const isProcess = (portId: number) => portId !== 0 && portId < 1 << 22;
const familyOf = (hex: string) =>
  hex.startsWith('2100', 8) ? 'ovs_vport' : hex.startsWith('2000', 8) ? 'ovs_datapath' : '';

/** Whether `r` answers `request`: same client and sequence number, and no other request with those in between. */
function isAnswerTo(request: GoldenMessage, r: GoldenMessage, between: readonly GoldenMessage[]): boolean {
  if (r.direction !== 'reply' || portIdOf(r) !== portIdOf(request)) return false;
  if (bytesOf(r).readUInt32LE(8) !== bytesOf(request).readUInt32LE(8)) return false;
  return !between.some(
    (b) =>
      b.direction === 'request' &&
      portIdOf(b) === portIdOf(request) &&
      b.hex.slice(16, 24) === request.hex.slice(16, 24),
  );
}
