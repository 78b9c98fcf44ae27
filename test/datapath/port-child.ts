/**
 * What port-native.test.ts runs inside a network namespace: `node --import tsx port-child.ts frames` passes frames through
 * ports and prints what came out as JSON; `... drop METHOD DEVICE` holds a device's packets back from the host until its
 * standard input ends; METHOD may be `any`.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { IngressDrop } from '../../src/datapath/ports/ingress-drop.ts';
import type { PortBackend } from '../../src/datapath/ports/port-backend.ts';
import type { DeviceInfo } from '../../src/datapath/ports/port-io.ts';
import { NetdevPort } from '../../src/datapath/ports/port-netdev.ts';
import { TapPort } from '../../src/datapath/ports/port-tap.ts';
import { type NativePort, native, RX_WORDS } from '../../src/native/index.ts';
import { Arena, HEADROOM, Packet, SLOT_SIZE, VNET_F, VNET_GSO, VNET_HDR_SIZE } from '../../src/packet/packet.ts';

const arena = new Arena(native().createArena(512 * SLOT_SIZE).buffer);
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'inherit' });
const net = (name: string, file: string) => readFileSync(`/sys/class/net/${name}/${file}`, 'utf8').trim();
// Not from /sys, which shows another namespace under plain `unshare`.
const ifindexOf = (name: string) => Number.parseInt(execFileSync('ip', ['-o', 'link', 'show', name]).toString(), 10);

const names = new Map<number, string>();
const devices: DeviceInfo = {
  name: (ifindex) => names.get(ifindex) ?? '',
  mtu: (ifindex) => Number(net(names.get(ifindex) ?? '', 'mtu')),
  elsewhere: () => undefined,
  localAddress: () => undefined,
  readStats: (ifindex) => {
    const name = names.get(ifindex) ?? '';
    const read = (counter: string) => BigInt(net(name, `statistics/${counter}`));
    return {
      rxPackets: read('rx_packets'),
      txPackets: read('tx_packets'),
      rxBytes: read('rx_bytes'),
      txBytes: read('tx_bytes'),
      rxErrors: read('rx_errors'),
      txErrors: read('tx_errors'),
      rxDropped: read('rx_dropped'),
      txDropped: read('tx_dropped'),
    };
  },
};

/** A frame with its offloads, as text: what is compared. */
interface Frame {
  hex: string;
  vlan?: string;
  offload: string;
}

/** The far end of a veth, or the host's side of a TAP: a bare socket on the device. */
class Peer {
  private readonly port: NativePort;
  private readonly slot = arena.takeRun(64);
  private readonly info = new Int32Array(64 * RX_WORDS);

  constructor(device: string) {
    this.port = native().openPacket(arena, ifindexOf(device), true, 4 << 20, 2 << 20);
  }

  send(frame: Buffer, header: Buffer): number {
    const at = arena.take() * SLOT_SIZE + HEADROOM - VNET_HDR_SIZE;
    arena.bytes.set(header, at);
    arena.bytes.set(frame, at + VNET_HDR_SIZE);
    const list = Int32Array.of(at, VNET_HDR_SIZE + frame.length);
    const sent = this.port.send(list, 1);
    arena.give((at - HEADROOM + VNET_HDR_SIZE) / SLOT_SIZE);
    return sent === 1 ? 0 : list[1]!;
  }

  /** Everything that is there by now from our own sender. */
  receive(): Frame[] {
    const base = this.slot * SLOT_SIZE + HEADROOM - VNET_HDR_SIZE;
    const n = this.port.receive(base, SLOT_SIZE, 64, this.info);
    const frames: Frame[] = [];
    for (let i = 0; i < n; i++) {
      const at = base + i * SLOT_SIZE;
      const size = this.info[i * RX_WORDS]!;
      const tci = this.info[i * RX_WORDS + 1]!;
      const hex = Buffer.from(arena.buffer, at + VNET_HDR_SIZE, size - VNET_HDR_SIZE).toString('hex');
      if (!hex.startsWith(OUR_MACS)) continue;
      const offload = describeHeader(Buffer.from(arena.buffer, at, VNET_HDR_SIZE));
      const tpid = this.info[i * RX_WORDS + 2]!.toString(16);
      frames.push({ hex, offload, ...(tci >= 0 ? { vlan: `${tpid}:${tci.toString(16)}` } : {}) });
    }
    return frames;
  }
}

const OUR_MACS = '020000000001020000000002';

/** struct virtio_net_hdr, without bits that differ with the path: whether a checksum was verified. */
function describeHeader(h: Buffer): string {
  const csum = (h[0]! & VNET_F.NEEDS_CSUM) !== 0 ? `csum=${h.readUInt16LE(6)}+${h.readUInt16LE(8)}` : 'csum=none';
  const gso = h[1] === VNET_GSO.NONE ? 'gso=none' : `gso=${h[1]}/${h.readUInt16LE(4)} hdr=${h.readUInt16LE(2)}`;
  return `${csum} ${gso}`;
}

function header(fields: { csumStart?: number; gso?: number; gsoSize?: number; hdrLen?: number } = {}): Buffer {
  const h = Buffer.alloc(VNET_HDR_SIZE);
  if (fields.csumStart !== undefined) {
    h[0] = VNET_F.NEEDS_CSUM;
    h.writeUInt16LE(fields.csumStart, 6);
    h.writeUInt16LE(16, 8);
  }
  h[1] = fields.gso ?? VNET_GSO.NONE;
  h.writeUInt16LE(fields.hdrLen ?? 0, 2);
  h.writeUInt16LE(fields.gsoSize ?? 0, 4);
  return h;
}

/** Ethernet, perhaps 802.1Q, a type that nobody knows, and a pattern. */
function plain(size: number, vlan = false): Buffer {
  const frame = Buffer.alloc(size, 0xa5);
  Buffer.from(`${OUR_MACS}${vlan ? '8100a123' : ''}88b5`, 'hex').copy(frame);
  frame.writeUInt16BE(size, 20);
  return frame;
}

/** A TCP segment of `payload` bytes whose checksum is only begun, over IPv4. */
function tcp(payload: number, vlan = false): Buffer {
  const l2 = vlan ? 18 : 14;
  const frame = Buffer.alloc(l2 + 40 + payload, 0x5a);
  Buffer.from(`${OUR_MACS}${vlan ? '8100a123' : ''}0800`, 'hex').copy(frame);
  const size = (40 + payload).toString(16).padStart(4, '0');
  Buffer.from(`4500${size}00004000400600000a0000010a000002`, 'hex').copy(frame, l2);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += frame.readUInt16BE(l2 + i);
  frame.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, l2 + 10);
  Buffer.from('1389138a00000001000000015010ffff00000000', 'hex').copy(frame, l2 + 20);
  return frame;
}

/** Sends what either port receives out of the other one, as a datapath with two flows does. */
function join(a: PortBackend, b: PortBackend): { received: Frame[] } {
  const seen: { received: Frame[] } = { received: [] };
  const between = (to: PortBackend) => ({
    receive: (pkt: Packet) => {
      const hex = Buffer.from(arena.buffer, pkt.start, pkt.end - pkt.start).toString('hex');
      if (!hex.startsWith(OUR_MACS)) return;
      to.send(pkt);
      const at = pkt.start - VNET_HDR_SIZE;
      seen.received.push({ hex, offload: describeHeader(Buffer.from(arena.buffer, at, VNET_HDR_SIZE)) });
    },
    batchEnd: () => to.flush(),
  });
  a.start(between(b));
  b.start(between(a));
  return seen;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for `is`; what does not come in half a minute does not come, and shows in what is printed. */
async function until(is: () => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !is() && Date.now() < end; ) await pause(2);
}

async function frames(): Promise<void> {
  execFileSync('sysctl', ['-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1']);
  ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
  ip('link', 'add', 'w0', 'type', 'veth', 'peer', 'name', 'w1');
  for (const device of ['v0', 'v1', 'w0', 'w1']) ip('link', 'set', device, 'up');
  const open = (device: string) => {
    const port = new NetdevPort(arena, ifindexOf(device), devices, { warn: (text) => console.error(text) });
    names.set(port.ifindex, device);
    return port;
  };
  const left = new Peer('v0');
  const right = new Peer('w0');
  const v1 = open('v1');
  const w1 = open('w1');
  const tap = new TapPort(arena, 'tap0', devices);
  names.set(tap.ifindex, 'tap0');
  ip('link', 'set', 'tap0', 'up');
  const host = new Peer('tap0');

  const gso = (l2: number) => ({ csumStart: l2 + 20, gso: VNET_GSO.TCPV4, gsoSize: 1448, hdrLen: l2 + 40 });
  const cases: Record<string, [Buffer, Buffer]> = {
    smallest: [plain(60), header()],
    'odd size': [plain(333), header()],
    largest: [plain(1514), header()],
    vlan: [plain(200, true), header()],
    'largest vlan': [plain(1518, true), header()],
    'partial checksum': [tcp(500), header({ csumStart: 34 })],
    'vlan, partial checksum': [tcp(500, true), header({ csumStart: 38 })],
    'super-packet': [tcp(65_000), header(gso(14))],
    'vlan, super-packet': [tcp(65_000, true), header(gso(18))],
  };
  const out: Record<string, unknown> = {};
  for (const [path, a, from, b, to] of [
    ['veth to veth', v1, left, w1, right],
    ['veth to tap', v1, left, tap, host],
    ['tap to veth', tap, host, v1, left],
  ] as const) {
    const seen = join(a, b);
    for (const [name, [frame, h]] of Object.entries(cases)) {
      const error = from.send(frame, h);
      const sent: Frame[] = [];
      await until(() => {
        sent.push(...to.receive());
        return seen.received.length > 0 && sent.length > 0;
      });
      const want = { hex: frame.toString('hex'), offload: describeHeader(h) };
      const verdict = (got: Frame[]) => (got.length === 1 ? sameFrame(untag(got[0]!), want) : `${got.length} frames`);
      out[`${path}: ${name}`] = { error, received: verdict(seen.received.splice(0)), sent: verdict(sent) };
      from.receive();
    }
  }

  // 1,000 frames in one go: more than a batch, a queue, or a poll's budget.  Four times: more than a receive ring.
  const seen = join(v1, w1);
  const sizes: number[] = [];
  const arrived: number[] = [];
  for (let burst = 0; burst < 4; burst++) {
    for (let i = 0; i < 1000; i++) {
      // Frames that lie in the ring, and now and then one that is too large for a place in it.
      const frame = i % 50 === 49 ? tcp(2000 + i) : plain(60 + i);
      left.send(frame, i % 50 === 49 ? header(gso(14)) : header());
      sizes.push(frame.length);
    }
    await until(() => {
      for (let got = right.receive(); got.length > 0; got = right.receive()) {
        arrived.push(...got.map(({ hex }) => hex.length / 2));
      }
      return arrived.length >= sizes.length;
    });
  }
  const inOrder = (got: number[]) => got.length === sizes.length && got.every((size, i) => size === sizes[i]);
  out['big bursts'] = [inOrder(seen.received.map(({ hex }) => hex.length / 2)), inOrder(arrived)];
  out['its stats'] = { drops: Number(v1.stats().txDropped), sentAtLeast1000: v1.stats().rxPackets >= 1000n };

  // Down and up again: the port goes on.
  ip('link', 'set', 'v1', 'down');
  await pause(60);
  ip('link', 'set', 'v1', 'up');
  seen.received.length = 0;
  // The kernel may lose frames until it has noticed that there is a link.
  await until(() => {
    left.send(plain(64), header());
    return seen.received.length > 0;
  });
  out['down and up'] = seen.received.length > 0;

  // Deleted under its ports: they stop.
  ip('link', 'del', 'v0');
  ip('link', 'del', 'tap0');
  let isBusy = true;
  for (let i = 0; i < 10 && isBusy; i++) {
    const cpu = process.cpuUsage();
    await pause(200);
    isBusy = process.cpuUsage(cpu).user > 100_000;
  }
  out['deleted, busy'] = isBusy;
  for (const port of [v1, tap]) {
    const pkt = new Packet(arena);
    pkt.reset(arena.take());
    pkt.end = pkt.start + 60;
    port.send(pkt);
    port.flush();
    port.close();
    port.close();
  }
  w1.close();
  console.log(JSON.stringify(out));
  process.exit(0);
}

/** A tag that the last socket reports beside the frame, put back in. */
function untag(frame: Frame): Frame {
  if (frame.vlan === undefined) return frame;
  const [tpid, tci] = frame.vlan.split(':');
  const hex = `${frame.hex.slice(0, 24)}${tpid?.padStart(4, '0')}${tci?.padStart(4, '0')}${frame.hex.slice(24)}`;
  const move = (s: string) =>
    s.replace(/csum=(\d+)/, (_, n) => `csum=${Number(n) + 4}`).replace(/hdr=(\d+)/, (_, n) => `hdr=${Number(n) + 4}`);
  return { hex, offload: move(frame.offload) };
}

/** 'ok', or what differs. */
function sameFrame(got: Frame, want: Frame): string {
  if (got.offload !== want.offload) return `offload ${got.offload}, want ${want.offload}`;
  if (got.hex === want.hex) return 'ok';
  let i = 0;
  while (got.hex[i] === want.hex[i]) i++;
  return `${got.hex.length / 2} bytes, want ${want.hex.length / 2}; differs at byte ${i >> 1}`;
}

function drop(method: string, device: string): void {
  const methods = method === 'any' ? undefined : [method as 'tcx' | 'bpf' | 'matchall'];
  const d = new IngressDrop(ifindexOf(device), (why) => console.error(why), methods);
  console.log(`ready ${d.method}`);
  process.stdin.on('data', () => {});
  process.stdin.on('end', () => d.close());
}

const [command, ...args] = process.argv.slice(2);
if (command === 'frames') await frames();
else drop(args[0] ?? '', args[1] ?? '');
