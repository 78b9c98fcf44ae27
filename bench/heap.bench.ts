/**
 * What 5,000,000 packets leave behind on the heap: `node --expose-gc --import tsx bench/heap.bench.ts`.
 *
 * It is the whole way of a packet through the process, with the receive batches and send queues of PortIo; only the system
 * calls are replaced, by a device that always has a full batch.  Exit status 1 if more than a byte a packet was allocated.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { Datapath } from '../src/datapath/datapath.ts';
import type { DeviceStats, PortBackend, PortEvents } from '../src/datapath/ports/port-backend.ts';
import { BATCH, PortIo } from '../src/datapath/ports/port-io.ts';
import { FIELD } from '../src/flow/fields.ts';
import { extractHeaders } from '../src/flow/flow-extract.ts';
import { newFlowKey, setField, setFieldOnes } from '../src/flow/flow-key.ts';
import { type NativePort, RX_WORDS } from '../src/native/index.ts';
import { type Arena, type Packet, VNET_HDR_SIZE } from '../src/packet/packet.ts';
import { monotonicMs } from '../src/util/clock.ts';
import { output } from '../test/support/action-bytes.ts';
import { compileList } from '../test/support/compile.ts';
import { eth, ipv4With } from '../test/support/frames.ts';
import { newArena, packetOf } from '../test/support/packets.ts';

const PACKETS = 5_000_000;
const WARM_UP = 500_000;
const MAX_BYTES_PER_PACKET = 1;

/** An Ethernet frame of 60 bytes with UDP in it. */
const FRAME = eth(0x0800, ipv4With(17, { payload: Array<number>(18).fill(0) }));
/** Where its UDP source port is: each packet has another one, so that hashes differ. */
const SRC_PORT = 34;

/** Frames without end. */
class BusyDevice implements NativePort {
  readonly fd = -1;
  readonly name = '';
  readonly ifindex = 1;
  wakeUp: () => void = () => {};
  sent = 0;
  private readonly bytes: Uint8Array;
  private readonly frame = Uint8Array.from(FRAME);
  private count = 0;

  constructor(arena: Arena) {
    this.bytes = arena.bytes;
  }
  receive(base: number, stride: number, max: number, info: Int32Array): number {
    for (let i = 0; i < max; i++) {
      const at = base + i * stride;
      for (let j = 0; j < VNET_HDR_SIZE; j++) this.bytes[at + j] = 0;
      this.bytes.set(this.frame, at + VNET_HDR_SIZE);
      this.bytes[at + VNET_HDR_SIZE + SRC_PORT] = this.count++ & 0xff;
      info[i * RX_WORDS] = VNET_HDR_SIZE + this.frame.length;
      info[i * RX_WORDS + 1] = -1;
    }
    return max;
  }
  send(_list: Int32Array, n: number): number {
    this.sent += n;
    return n;
  }
  awaitFrame(): number {
    return 0;
  }
  lost(): number {
    return 0;
  }
  poll(onReadable: (() => void) | null): void {
    this.wakeUp = onReadable ?? (() => {});
  }
  close(): void {}
}

/** What port-netdev.ts is, without a device. */
class BusyPort implements PortBackend {
  readonly name = 'busy';
  readonly ifindex = 1;
  readonly mtu = 1500;
  readonly takesOffloads = true;
  private readonly io: PortIo;

  constructor(device: NativePort, arena: Arena) {
    this.io = new PortIo(device, arena);
  }
  start(events: PortEvents): void {
    this.io.start(events);
  }
  send(pkt: Packet): void {
    this.io.send(pkt);
  }
  flush(): void {
    this.io.flush();
  }
  stats(): DeviceStats {
    throw new Error('not counted');
  }
  close(): void {
    this.io.close();
  }
}

const { gc } = globalThis;
if (gc === undefined) throw new Error('run it with --expose-gc');
const arena = newArena(256);
const devices = [new BusyDevice(arena), new BusyDevice(arena)] as const;
const ports = devices.map((device) => new BusyPort(device, arena));
const dp = new Datapath({
  name: 'dp',
  arena,
  clock: monotonicMs,
  upcallSink: { upcall: () => 0, queue: () => 0, flush: () => {} },
});
for (const [i, backend] of ports.entries()) dp.addVport({ portNo: i + 1, type: 1, name: `port${i + 1}`, backend });

// What a megaflow of a learning switch matches.
const key = newFlowKey();
extractHeaders(packetOf(arena, FRAME), key);
setField(key, FIELD.inPort, 1);
const mask = newFlowKey();
for (const f of ['recircId', 'inPort', 'packetType', 'ethSrc', 'ethDst', 'ethType', 'vlanTci', 'nwFrag'] as const) {
  setFieldOnes(mask, FIELD[f]);
}
dp.table.insert({ key, mask, program: compileList(output(2), key) });

function forward(packets: number): void {
  const until = devices[1].sent + packets;
  while (devices[1].sent < until) devices[0].wakeUp();
}

// Collections that nobody asked for: there are none if nothing is allocated.
let collections = 0;
const observer = new PerformanceObserver((list) => {
  collections += list.getEntries().length;
});
forward(WARM_UP);
gc();
const before = process.memoryUsage().heapUsed;
observer.observe({ entryTypes: ['gc'] });
const start = process.hrtime.bigint();
forward(PACKETS);
const ns = Number(process.hrtime.bigint() - start) / PACKETS;
const grown = process.memoryUsage().heapUsed - before;
// What the observer has seen is told in a later turn of the event loop.
await new Promise((resolve) => setTimeout(resolve, 50));
observer.disconnect();

const perPacket = grown / PACKETS;
console.log(`${PACKETS} packets of ${FRAME.length} bytes, batches of ${BATCH}: ${ns.toFixed(0)} ns a packet`);
console.log(`heap grew by ${grown} bytes, ${perPacket.toFixed(4)} bytes a packet; ${collections} collections`);
if (dp.nHit < PACKETS) throw new Error('not every packet matched');
// A collection would hide what was allocated before it: then the figure above says nothing.
if (perPacket > MAX_BYTES_PER_PACKET || collections > 2) process.exitCode = 1;
