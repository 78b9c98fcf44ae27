/**
 * A datapath in memory that remembers what it was asked, a scheduler whose time the test moves, and packets' keys.
 */
import type { Dpif, DpifProvider, UpcallHandler } from '../../src/dpif/dpif.ts';
import {
  DPIF_FP,
  DPIF_UC,
  type DpifDpStats,
  type DpifFlow,
  type DpifFlowStats,
  type DpifOp,
  type DpifPort,
  type DpifPortStats,
  type DpifUpcall,
  type PortEvent,
  type Ufid,
} from '../../src/dpif/dpif-types.ts';
import { FIELD, type FieldName, VLAN_CFI } from '../../src/flow/fields.ts';
import { composeFlow } from '../../src/flow/flow-compose.ts';
import { type FlowKey, newFlowKey, setField, setFieldBytes } from '../../src/flow/flow-key.ts';
import type { Scheduler } from '../../src/ofproto/udpif/scheduler.ts';
import { FakeClock, setClock } from '../../src/util/clock.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { keyNest } from './nests.ts';

setConsole(() => {});

class FakeError extends Error {
  readonly errno: number;
  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

export interface FakeFlow {
  key: Uint8Array;
  mask: Uint8Array | undefined;
  actions: Uint8Array;
  ufid: Ufid | undefined;
  stats: { nPackets: number; nBytes: number; used: number; tcpFlags: number };
}

const hex = (b: Uint8Array): string => Buffer.from(b).toString('hex');

export class FakeDpif implements Dpif {
  readonly type = 'system';
  readonly name = 'ovs-system';
  readonly ports = new Map<number, DpifPort>();
  readonly flows = new Map<string, FakeFlow>();
  /** Every `operate`, with copies of its operations. */
  readonly operated: DpifOp[][] = [];
  /** Answers of puts: errno by flags, if set. */
  failPut: (op: DpifOp & { type: 'put' }) => number = () => 0;
  /** Virtual milliseconds that a dump takes. */
  dumpTakesMs = 0;
  countOverride: number | undefined;
  nMasks = 1;
  isDestroyed = false;
  private handler: UpcallHandler | null = null;
  private pollers = new Set<(event: PortEvent) => void>();
  private readonly clock: FakeClock;

  constructor(clock: FakeClock) {
    this.clock = clock;
    this.ports.set(0, { name: this.name, type: 'internal', portNo: 0, ifindex: 100 });
  }

  async destroy(): Promise<void> {
    this.isDestroyed = true;
  }
  close(): void {}
  async stats(): Promise<DpifDpStats> {
    return {
      nHit: 7n,
      nMissed: 3n,
      nLost: 0n,
      nFlows: BigInt(this.countOverride ?? this.flows.size),
      nMaskHit: 0n,
      nMasks: this.nMasks,
      nCacheHit: 0n,
      masksCacheSize: 256,
    };
  }
  async portAdd(name: string, type: string, portNo: number | undefined): Promise<number> {
    if ([...this.ports.values()].some((p) => p.name === name)) throw new FakeError(ERRNO.EEXIST);
    let n = portNo ?? 1;
    while (portNo === undefined && this.ports.has(n)) n++;
    this.ports.set(n, { name, type, portNo: n, ifindex: 100 + n });
    return n;
  }
  async portDel(portNo: number): Promise<void> {
    if (!this.ports.delete(portNo)) throw new FakeError(ERRNO.ENODEV);
  }
  async portQuery(which: string | number): Promise<DpifPort | undefined> {
    return [...this.ports.values()].find((p) => p.name === which || p.portNo === which);
  }
  async portStats(): Promise<DpifPortStats> {
    const zero = 0n;
    return {
      rxPackets: 5n,
      txPackets: zero,
      rxBytes: zero,
      txBytes: zero,
      rxErrors: zero,
      txErrors: zero,
      rxDropped: zero,
      txDropped: zero,
      upcallSuccess: undefined,
      upcallFail: undefined,
    };
  }
  async portDump(): Promise<DpifPort[]> {
    return [...this.ports.values()].sort((a, b) => a.portNo - b.portNo);
  }
  portPoll(onEvent: (event: PortEvent) => void): () => void {
    this.pollers.add(onEvent);
    return () => this.pollers.delete(onEvent);
  }
  async flowFlush(): Promise<void> {
    this.flows.clear();
  }
  async flowDump(terse: boolean, visit: (flows: readonly DpifFlow[]) => void | Promise<void>): Promise<void> {
    const all = [...this.flows.values()].map(
      (f): DpifFlow => ({
        ufid: f.ufid,
        key: terse && f.ufid !== undefined ? undefined : f.key,
        mask: terse && f.ufid !== undefined ? undefined : f.mask,
        actions: terse && f.ufid !== undefined ? undefined : f.actions,
        stats: { ...f.stats },
      }),
    );
    this.clock.advance(this.dumpTakesMs);
    // Batches of another size than the revalidator's own.
    for (let i = 0; i < all.length; i += 120) await visit(all.slice(i, i + 120));
  }
  async operate(ops: readonly DpifOp[]): Promise<void> {
    this.operated.push(ops.map((op) => ({ ...op })));
    await Promise.resolve();
    for (const op of ops) this.one(op);
  }
  async setUpcallHandler(handler: UpcallHandler | null): Promise<void> {
    this.handler = handler;
  }

  private one(op: DpifOp): void {
    op.result = 0;
    if (op.type === 'execute') return;
    const id = op.ufid?.toString() ?? hex(op.key ?? new Uint8Array(0));
    const flow = this.flows.get(id);
    if (op.type === 'put') {
      op.result = this.failPut(op);
      if (op.result !== 0) return;
      if (flow !== undefined && (op.flags & DPIF_FP.MODIFY) === 0) op.result = ERRNO.EEXIST;
      else if (flow === undefined && (op.flags & DPIF_FP.CREATE) === 0) op.result = ERRNO.ENOENT;
      else if (flow !== undefined) flow.actions = op.actions;
      else {
        const stats = { nPackets: 0, nBytes: 0, used: 0, tcpFlags: 0 };
        this.flows.set(id, { key: op.key, mask: op.mask, actions: op.actions, ufid: op.ufid, stats });
      }
      return;
    }
    if (flow === undefined) {
      op.result = ERRNO.ENOENT;
      return;
    }
    if (op.type === 'get') {
      op.flow = { ufid: flow.ufid, key: flow.key, mask: flow.mask, actions: flow.actions, stats: flow.stats };
      return;
    }
    this.flows.delete(id);
    const stats: DpifFlowStats = { ...flow.stats };
    op.stats = stats;
  }

  /** Sends upcalls up, as a receive batch, and resolves when they are handled. */
  async upcall(...upcalls: DpifUpcall[]): Promise<void> {
    // As a provider does: views of one buffer, which is not the handler's alone.
    const buffer = Buffer.alloc(upcalls.reduce((n, u) => n + u.packet.length + u.key.length, 0));
    let end = 0;
    const view = (bytes: Uint8Array): Uint8Array => {
      buffer.set(bytes, end);
      end += bytes.length;
      return new Uint8Array(buffer.buffer, buffer.byteOffset + end - bytes.length, bytes.length);
    };
    await this.handler?.(upcalls.map((u) => ({ ...u, packet: view(u.packet), key: view(u.key) })));
  }
  notify(event: PortEvent): void {
    for (const p of this.pollers) p(event);
  }
  /** Flow `f` gets packets now. */
  hit(f: FakeFlow, nPackets = 1, bytes = 100): void {
    f.stats.nPackets += nPackets;
    f.stats.nBytes += nPackets * bytes;
    f.stats.used = this.clock.monotonicMs();
  }
  /** The operations of the last `operate`. */
  get last(): DpifOp[] {
    return this.operated.at(-1) ?? [];
  }
  get only(): FakeFlow {
    const [flow, ...rest] = this.flows.values();
    if (flow === undefined || rest.length > 0) throw new Error(`want one flow, there are ${this.flows.size}`);
    return flow;
  }
}

export class FakeProvider implements DpifProvider {
  readonly type = 'system';
  readonly dpif: FakeDpif;
  private exists: boolean;
  constructor(dpif: FakeDpif, exists: boolean) {
    this.dpif = dpif;
    this.exists = exists;
  }
  async enumerate(): Promise<string[]> {
    return this.exists ? [this.dpif.name] : [];
  }
  async open(_name: string, create: boolean): Promise<Dpif> {
    if (create === this.exists) throw new FakeError(create ? ERRNO.EEXIST : ERRNO.ENODEV);
    this.exists = true;
    return this.dpif;
  }
  close(): void {}
}

/** Lets promises and immediates that are due run. */
export async function flush(): Promise<void> {
  for (let i = 0; i < 12; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Timers that go off when the test moves the clock. */
export class FakeScheduler implements Scheduler {
  readonly clock = new FakeClock();
  private timers: { at: number; fn: () => void }[] = [];

  constructor() {
    setClock(this.clock);
  }
  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.clock.monotonicMs() + ms, fn };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((t) => t !== timer);
    };
  }
  yield(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
  /** Lets `ms` pass, timer by timer. */
  async advance(ms: number): Promise<void> {
    const end = this.clock.monotonicMs() + ms;
    await flush();
    for (;;) {
      const [next] = this.timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.timers = this.timers.filter((t) => t !== next);
      if (next.at > this.clock.monotonicMs()) this.clock.advance(next.at - this.clock.monotonicMs());
      next.fn();
      await flush();
    }
    if (end > this.clock.monotonicMs()) this.clock.advance(end - this.clock.monotonicMs());
    await flush();
  }
}

type Fields = Partial<Record<FieldName, number | string>>;

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text.split(':').map((b) => Number.parseInt(b, 16)));

/** A key from fields; MAC addresses as text. */
export function keyOf(fields: Fields): FlowKey {
  const key = newFlowKey();
  for (const [name, value] of Object.entries(fields)) {
    const field = FIELD[name as FieldName];
    if (typeof value === 'number') setField(key, field, value);
    else setFieldBytes(key, field, bytesOf(value), 0);
  }
  return key;
}

export const MAC_A = '02:00:00:00:00:0a';
export const MAC_B = '02:00:00:00:00:0b';
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

/** A UDP packet over IPv4. */
export const udp = (inPort: number, src: string, dst: string, more: Fields = {}): FlowKey =>
  keyOf({
    inPort,
    ethSrc: src,
    ethDst: dst,
    ethType: 0x0800,
    nwProto: 17,
    nwTtl: 64,
    nwSrc: 0x0a000001,
    nwDst: 0x0a000002,
    tpSrc: 1000,
    tpDst: 2000,
    ...more,
  });

/** A VLAN header: TPID 0x8100. */
export const tag = (vid: number, pcp = 0): Fields => ({ vlanTpid: 0x8100, vlanTci: VLAN_CFI | (pcp << 13) | vid });

export const arpRequest = (inPort: number, src: string, nwSrc: number, nwDst: number): FlowKey =>
  keyOf({ inPort, ethSrc: src, ethDst: BROADCAST, ethType: 0x0806, nwProto: 1, nwSrc, nwDst, arpSha: src });

/** Of `size` bytes, or of as many as its headers take. */
const frameOf = (key: FlowKey, size: number): Uint8Array =>
  composeFlow(key, { size }) ?? (composeFlow(key, {}) as Uint8Array);

/** A packet that missed. */
export const missOf = (key: FlowKey, size = 60): DpifUpcall => ({
  type: DPIF_UC.MISS,
  packet: frameOf(key, size),
  key: keyNest(key),
  userdata: undefined,
  egressTunKey: undefined,
  actions: undefined,
  mru: 0,
  hash: 5n,
});
