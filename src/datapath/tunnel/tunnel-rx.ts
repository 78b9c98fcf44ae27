/**
 * Receives the packets of one tunnel socket in batches, into the slots that all ports of an arena receive into.
 *
 * Of an IPv4 raw socket a packet begins with its IP header, which is skipped here.
 */
import { type NativeTunnelSocket, TUNNEL_RX_WORDS } from '../../native/index.ts';
import { type Arena, HEADROOM, Packet, SLOT_SIZE } from '../../packet/packet.ts';
import { BATCH, receiveRun } from '../ports/port-io.ts';
import { clearTunnel, newTunnelInfo, TUN, TUN_FAMILY, type TunnelInfo } from './tunnel-info.ts';

/** Batches received before the event loop gets its turn. */
const BATCHES_PER_POLL = 4;

/** Takes the packets of a socket. */
export interface TunnelSink {
  /**
   * A packet whose bytes from `pkt.start` on are what follows the UDP or IP header.  `tun` has what the outer headers say,
   * and neither id nor options.  Both are the receiver's again afterwards.
   */
  receive(pkt: Packet, tun: TunnelInfo, hasChecksum: boolean): void;
  batchEnd(): void;
}

export interface TunnelReceiverOptions {
  readonly arena: Arena;
  readonly socket: NativeTunnelSocket;
  readonly sink: TunnelSink;
  readonly isIpv6: boolean;
  /** The socket hears packets with a UDP checksum. */
  readonly hasChecksum?: boolean;
  /** Packets begin with their IPv4 header. */
  readonly hasIpHeader?: boolean;
  /** UDP port that it hears, 0 for other protocols. */
  readonly dstPort?: number;
}

export class TunnelReceiver {
  private readonly options: TunnelReceiverOptions;
  private readonly firstSlot: number;
  private readonly packet: Packet;
  private readonly info = new Int32Array(BATCH * TUNNEL_RX_WORDS);
  private readonly tun = newTunnelInfo();
  private isClosed = false;

  constructor(options: TunnelReceiverOptions) {
    this.options = options;
    this.firstSlot = receiveRun(options.arena).firstSlot;
    this.packet = new Packet(options.arena);
    options.socket.poll(() => this.poll());
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.options.socket.close();
  }

  private poll(): void {
    const { socket, sink } = this.options;
    for (let i = 0; i < BATCHES_PER_POLL && !this.isClosed; i++) {
      const n = socket.receive(this.firstSlot * SLOT_SIZE + HEADROOM, SLOT_SIZE, BATCH, this.info);
      // An error is one that an ICMP message left on the socket, and is gone when it was told.
      if (n <= 0) return;
      for (let k = 0; k < n; k++) this.deliver(k);
      sink.batchEnd();
      if (n < BATCH) return;
    }
  }

  /** Hot path. */
  private deliver(k: number): void {
    const { info, packet: pkt, tun } = this;
    const { isIpv6, hasIpHeader, hasChecksum, dstPort, sink } = this.options;
    const at = k * TUNNEL_RX_WORDS;
    const size = info[at]!;
    if (size === 0 || size > SLOT_SIZE - HEADROOM) return;
    pkt.reset(this.firstSlot + k);
    pkt.end = pkt.start + size;
    if (hasIpHeader === true) {
      const hlen = (pkt.arena.view.getUint8(pkt.start) & 15) << 2;
      if (hlen > size) return;
      pkt.start += hlen;
    }
    clearTunnel(tun);
    if (isIpv6) {
      for (let i = 0; i < 4; i++) {
        tun[TUN.IPV6_SRC + i] = info[at + 1 + i]!;
        tun[TUN.IPV6_DST + i] = info[at + 5 + i]!;
      }
    } else {
      tun[TUN.SRC] = info[at + 1]!;
      tun[TUN.DST] = info[at + 5]!;
    }
    tun[TUN.FAMILY] = isIpv6 ? TUN_FAMILY.IPV6 : TUN_FAMILY.IPV4;
    tun[TUN.TOS] = info[at + 10]! << 16;
    if (dstPort !== undefined) tun[TUN.PORTS] = (info[at + 9]! << 16) | dstPort;
    sink.receive(pkt, tun, hasChecksum === true);
  }
}
