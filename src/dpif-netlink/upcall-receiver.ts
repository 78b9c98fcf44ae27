/**
 * The socket that upcalls come to: batches of datagrams in, batches of DpifUpcall out.
 *
 * While the handler is busy with a few batches nothing more is received: what comes meanwhile waits in the socket's buffer, and
 * what does not fit there is lost, which the datapath counts.
 * Source: lib/dpif-netlink.c (parse_odp_packet(), dpif_netlink_recv_cpu_dispatch(), report_loss()).
 */
import type { UpcallHandler } from '../dpif/dpif.ts';
import { DPIF_UC, type DpifUpcall } from '../dpif/dpif-types.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../netlink/constants.ts';
import { OVS_PACKET_ATTR, OVS_PACKET_CMD } from '../netlink/families/ovs-packet.ts';
import { forEachMessage, type MessageView } from '../netlink/message.ts';
import type { NetlinkTransport } from '../netlink/transport.ts';
import { coverage } from '../util/coverage.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import type { OvsFamilies } from './ovs-families.ts';

const log = vlog('dpif_netlink');
const lossLimit = new RateLimit(5, 5);
const errorLimit = new RateLimit(9999, 5);
const overflows = coverage('netlink_overflow');
const received = coverage('netlink_received');
const A = OVS_PACKET_ATTR.type;
/** The shortest frame: an Ethernet header. */
const ETH_HEADER_LEN = 14;
/** Batches whose handling may be under way: while the datapath works on one, the next is translated. */
const MAX_PENDING = 4;
/** Upcalls of so many bytes share a piece of memory. */
const CHUNK_SIZE = 64 << 10;
const EMPTY: Uint8Array = new Uint8Array(0);

/** Which datapath's upcalls are taken, and how it is called on the log. */
export interface UpcallSource {
  readonly fam: OvsFamilies;
  readonly dpIfindex: number;
  readonly fullName: string;
}

export class UpcallReceiver {
  private readonly source: UpcallSource;
  private readonly transport: NetlinkTransport;
  private readonly handler: UpcallHandler;
  private batch: DpifUpcall[] = [];
  private nPending = 0;
  private closed = false;
  /** Datagrams are copied to it, so that upcalls outlive the receive buffer: one allocation for many of them. */
  private chunk = new Uint8Array(0);
  private chunkView = new DataView(this.chunk.buffer);
  private chunkUsed = 0;

  constructor(source: UpcallSource, handler: UpcallHandler) {
    this.source = source;
    this.handler = handler;
    this.transport = source.fam.endpoint.open();
    this.resume();
  }

  /** Port id for the datapath to send to. */
  get portId(): number {
    return this.transport.portId;
  }

  close(): void {
    this.closed = true;
    this.transport.close();
  }

  private resume(): void {
    const { peer } = this.source.fam.endpoint;
    this.transport.receive({
      datagram: (bytes, _dv, offset, size, from) => {
        received.n++;
        if (from !== peer) return;
        const at = this.keep(bytes, offset, size);
        forEachMessage(this.chunkView, at, at + size, this.take);
      },
      batchEnd: () => this.deliver(),
      overflow: () => {
        overflows.n++;
        log.warn(`${this.source.fullName}: lost packet on handler 0`, lossLimit);
      },
    });
  }

  /** Copies a datagram; returns where it is in `chunk`. */
  private keep(bytes: Uint8Array, offset: number, size: number): number {
    if (this.chunkUsed + size > this.chunk.length) {
      this.chunk = new Uint8Array(Math.max(CHUNK_SIZE, size));
      this.chunkView = new DataView(this.chunk.buffer);
      this.chunkUsed = 0;
    }
    const at = this.chunkUsed;
    this.chunk.set(bytes.subarray(offset, offset + size), at);
    this.chunkUsed += nlaAlign(size);
    return at;
  }

  private readonly take = (msg: MessageView): void => {
    const { fam, dpIfindex, fullName } = this.source;
    if (msg.type !== fam.packet || !msg.hasOvsHeader || msg.dpIfindex !== dpIfindex) return;
    const upcall = decodeUpcall(msg);
    if (upcall !== undefined) this.batch.push(upcall);
    else log.warn(`${fullName}: ignoring a malformed upcall`, errorLimit);
  };

  private deliver(): void {
    if (this.batch.length === 0 || this.closed) return;
    const upcalls = this.batch;
    this.batch = [];
    let done: void | Promise<void>;
    try {
      done = this.handler(upcalls);
    } catch (e) {
      this.failed(e);
      return;
    }
    if (done === undefined) return;
    if (++this.nPending === MAX_PENDING) this.transport.receive(null);
    const ended = (): void => {
      if (this.nPending-- === MAX_PENDING && !this.closed) this.resume();
    };
    done.then(ended, (e: unknown) => {
      this.failed(e);
      ended();
    });
  }

  /** A handler's bug costs one batch, not the switch. */
  private failed(e: unknown): void {
    log.err(`${this.source.fullName}: upcall handler failed: ${e instanceof Error ? e.stack : String(e)}`, errorLimit);
  }
}

/**
 * Reads an OVS_PACKET_CMD_MISS or _ACTION; undefined if it is neither, or does not hold together.  The arrays are views of
 * the message.
 */
export function decodeUpcall(msg: MessageView): DpifUpcall | undefined {
  const { dv, end, cmd } = msg;
  if (cmd !== OVS_PACKET_CMD.MISS && cmd !== OVS_PACKET_CMD.ACTION) return undefined;
  let packet = EMPTY;
  let key: Uint8Array | undefined;
  let userdata: Uint8Array | undefined;
  let egressTunKey: Uint8Array | undefined;
  let actions: Uint8Array | undefined;
  let mru = 0;
  let hash: bigint | undefined;
  for (let at = msg.ovsAttrs; at < end; ) {
    const room = end - at;
    const length = room < NLA_HDRLEN ? 0 : dv.getUint16(at, LITTLE_ENDIAN);
    if (length < NLA_HDRLEN || length > room) return undefined;
    const data = at + NLA_HDRLEN;
    const size = length - NLA_HDRLEN;
    switch (dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK) {
      case A.packet:
        packet = new Uint8Array(dv.buffer, dv.byteOffset + data, size);
        break;
      case A.key:
        key = new Uint8Array(dv.buffer, dv.byteOffset + data, size);
        break;
      case A.userdata:
        userdata = new Uint8Array(dv.buffer, dv.byteOffset + data, size);
        break;
      case A.egressTunKey:
        egressTunKey = new Uint8Array(dv.buffer, dv.byteOffset + data, size);
        break;
      case A.actions:
        actions = new Uint8Array(dv.buffer, dv.byteOffset + data, size);
        break;
      case A.mru:
        if (size !== 2) return undefined;
        mru = dv.getUint16(data, LITTLE_ENDIAN);
        break;
      case A.hash:
        if (size !== 8) return undefined;
        hash = dv.getBigUint64(data, LITTLE_ENDIAN);
        break;
    }
    at += nlaAlign(length);
  }
  if (key === undefined || packet.length < ETH_HEADER_LEN) return undefined;
  const type = cmd === OVS_PACKET_CMD.MISS ? DPIF_UC.MISS : DPIF_UC.ACTION;
  return { type, packet, key, userdata, egressTunKey, actions, mru, hash };
}
