/** A switch on fakes, br0 with ports 1 to 3 and ten meters in its datapath, and connections to it whose other end is a list of bytes. */
import { Duplex } from 'node:stream';
import type { DpifMeterConfig, DpifMeterStats } from '../../src/dpif/dpif-meters.ts';
import { type DpifBacker, openBackerWith } from '../../src/ofproto/backer/backer.ts';
import { serve } from '../../src/ofproto/connmgr/dispatch.ts';
import { OfConn } from '../../src/ofproto/connmgr/ofconn.ts';
import type { OfprotoSwitch } from '../../src/ofproto/ofproto.ts';
import { ALL_VERSIONS, encodeHello } from '../../src/openflow/ofp-version.ts';
import { Vconn } from '../../src/openflow/vconn.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { FakeDpif, FakeProvider, FakeScheduler } from '../ofproto/fakes.ts';

const OPTIONS = { maxIdleMs: 10_000, flowLimit: 200_000, maxRevalidatorMs: 500, minRevalidatePps: 5 };
const N_METERS = 10;

class FakeMeters {
  readonly byId = new Map<number, DpifMeterConfig>();
  async features() {
    return { maxMeters: N_METERS, maxBands: 2, hasDrop: true };
  }
  async set(id: number, config: DpifMeterConfig): Promise<void> {
    await Promise.resolve();
    this.byId.set(id, config);
  }
  async get(id: number): Promise<DpifMeterStats> {
    const config = this.byId.get(id);
    if (config === undefined) throw Object.assign(new Error('no such meter'), { errno: ERRNO.ENOENT });
    return { nPackets: 0n, nBytes: 0n, bands: config.bands.map(() => ({ nPackets: 0n, nBytes: 0n })) };
  }
  async del(id: number): Promise<void> {
    await Promise.resolve();
    this.byId.delete(id);
  }
}

class MeteredDpif extends FakeDpif {
  readonly meters = new FakeMeters();
}

/** A stream whose peer is us. */
export class PeerStream extends Duplex {
  /** What was written and read by the peer. */
  readonly taken: Buffer[] = [];
  private held: (() => void) | undefined;
  private isReading = true;
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.taken.push(Buffer.from(chunk));
    if (this.isReading) done();
    else this.held = done;
  }
  /** The peer reads no more, or reads on. */
  reads(isReading: boolean): void {
    this.isReading = isReading;
    if (!isReading) return;
    const { held } = this;
    this.held = undefined;
    held?.();
  }
  /** The messages that were taken since the last call; what is no whole message is an Error. */
  messages(): Uint8Array[] {
    const all = Buffer.concat(this.taken.splice(0));
    const messages: Uint8Array[] = [];
    for (let at = 0; at < all.length; ) {
      const size = at + 8 <= all.length ? all.readUInt16BE(at + 2) : 0;
      if (size < 8 || at + size > all.length) throw new Error(`no message at ${at} of ${all.length} bytes`);
      messages.push(Uint8Array.from(all.subarray(at, at + size)));
      at += size;
    }
    return messages;
  }
}

export interface RigConnection {
  readonly stream: PeerStream;
  readonly vconn: Vconn;
  /** undefined before the hello. */
  conn(): OfConn | undefined;
}

export class OfRig {
  readonly scheduler = new FakeScheduler();
  private backer!: DpifBacker;
  br!: OfprotoSwitch;
  readonly dpif = new MeteredDpif(this.scheduler.clock);

  async open(): Promise<void> {
    this.backer = await openBackerWith(new FakeProvider(this.dpif, false), 'ovs-system', OPTIONS, this.scheduler);
    this.br = this.backer.createOfproto('br0');
    for (const name of ['br0', 'v1', 'v2', 'v3']) {
      const isLocal = name === 'br0';
      await this.br.portAdd({ name, type: isLocal ? 'internal' : 'system', ofport: undefined, isLocal });
      const trunk = { vlanMode: 'trunk', tag: undefined, trunks: [], isProtected: false } as const;
      this.br.bundleSet({ name, members: [name], ...trunk });
    }
  }

  get conns() {
    return this.br.control.conns;
  }

  /** A connection as a service makes one; a hello for `versions` (a set) is sent, if there are any. */
  connect(versions = ALL_VERSIONS, kind: 'primary' | 'service' = 'primary', maxUnread?: number): RigConnection {
    const stream = new PeerStream();
    const name = `br0<->peer${this.conns.conns.size}`;
    const vconn = new Vconn(stream, { name, versions: ALL_VERSIONS, ...(maxUnread !== undefined && { maxUnread }) });
    let conn: OfConn | undefined;
    vconn.onOpen = () => {
      conn = new OfConn(vconn, { name, kind });
      this.conns.conns.add(conn);
      serve(conn, this.br.control);
    };
    vconn.onClose = () => {
      if (conn === undefined) return;
      conn.packetIns.close();
      this.conns.conns.delete(conn);
    };
    if (versions !== 0) stream.push(encodeHello(versions, 1));
    return { stream, vconn, conn: () => conn };
  }

  /** Has streams, promises and what waits for immediates come to rest. */
  async settle(): Promise<void> {
    for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Seconds pass. */
  async pass(ms: number): Promise<void> {
    this.scheduler.clock.advance(ms);
    this.conns.run(this.scheduler.clock.monotonicMs());
    await this.settle();
  }

  async close(): Promise<void> {
    const closing = this.backer.close(false);
    await this.scheduler.advance(1000);
    await closing;
  }
}
