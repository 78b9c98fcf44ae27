/**
 * A tunnel port: frames go out as payload of UDP or GRE packets to wherever their metadata says, and come in with metadata
 * that says where from.  It has no peer of its own: `remote_ip=flow`, in the words of ovs-vsctl, is all that it knows.
 *
 *     output -> send(): tunnel header, UDP header -> TunnelTx -> raw socket
 *     socket -> TunnelReceiver -> receive(): decapsulate -> PortEvents.receive, with rxTunnel set
 *
 * Neighbours: tunnel-devices.ts makes the device that stands for the port; tunnels.ts makes ports; vxlan.ts, geneve.ts, gre.ts, erspan.ts know the headers.
 * Source: drivers/net/vxlan/vxlan_core.c, drivers/net/geneve.c, net/ipv4/ip_gre.c, net/ipv4/udp_tunnel_core.c.
 */
import { TUN_F } from '../../flow/fields.ts';
import { OVS_VPORT_TYPE } from '../../netlink/families/ovs-vport.ts';
import { foldSum, sumBytes } from '../../packet/checksum.ts';
import { ETH_HLEN, ETH_TYPE } from '../../packet/ethernet.ts';
import { IPPROTO, UDP } from '../../packet/ip.ts';
import type { Arena, Packet } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';
import type { DeviceStats, PortBackend, PortEvents } from '../ports/port-backend.ts';
import { decapEcn, encapEcn, inheritedTos } from './ecn.ts';
import { decapErspan, ERSPAN_PROTOCOL, encapErspan, erspanVersion } from './erspan.ts';
import { decapGeneve, encapGeneve } from './geneve.ts';
import { decapGre, encapGre, encapGreSequence, sumGre } from './gre.ts';
import { isInnerFrame, isNetworkWhole } from './inner-frame.ts';
import { findOffloads } from './offloads.ts';
import { TUNNEL_MTU, type TunnelDevice } from './tunnel-devices.ts';
import {
  addressSum,
  DECAP,
  newTunnelInfo,
  TUN,
  TUN_FAMILY,
  type TunnelInfo,
  tunFamily,
  tunFlags,
  tunTos,
  tunTtl,
} from './tunnel-info.ts';
import { type TunnelKind, type TunnelOptions, tunnelOptionsPayload } from './tunnel-kinds.ts';
import type { TunnelSink } from './tunnel-rx.ts';
import type { TunnelQueue, TunnelTx, TunnelTxOwner } from './tunnel-tx.ts';
import { decapVxlan, encapVxlan } from './vxlan.ts';

export const IPPROTO_GRE = 47;
const T = OVS_VPORT_TYPE;

export interface TunnelPortOptions extends TunnelOptions {
  readonly arena: Arena;
  readonly kind: TunnelKind;
  readonly device: TunnelDevice;
  readonly tx: TunnelTx;
  /** Ephemeral ports, the first and the last: what the source port of a VXLAN packet is chosen from. */
  readonly portRange: readonly [number, number];
  /** Monotonic time in ms since the epoch, for time stamps. */
  readonly wallClock: () => number;
  /** Called by close(). */
  readonly release: () => void;
}

export class TunnelPort implements PortBackend, TunnelSink, TunnelTxOwner {
  readonly kind: TunnelKind;
  readonly options: TunnelOptions;
  readonly mtu = TUNNEL_MTU;
  /** Super-packets are cut up, and checksums completed, before they are wrapped. */
  readonly takesOffloads = false;
  readonly ifindex: number;
  /** Metadata of the frame that is being delivered. */
  readonly rxTunnel: TunnelInfo = newTunnelInfo();

  private readonly arena: Arena;
  private readonly device: TunnelDevice;
  private readonly tx: TunnelTx;
  private readonly release: () => void;
  private readonly wallClock: () => number;
  private readonly firstPort: number;
  private readonly portCount: number;
  private events: PortEvents | undefined;
  private isClosed = false;
  private lingers = false;
  private sequence = 0;
  /** For a frame whose metadata lacks the source that a checksum covers. */
  private readonly txTunnel = newTunnelInfo();

  private rxPackets = 0;
  private rxBytes = 0;
  private rxErrors = 0;
  private txPackets = 0;
  private txBytes = 0;
  private txErrors = 0;
  private txDropped = 0;

  constructor(options: TunnelPortOptions) {
    this.kind = options.kind;
    this.options = { dstPort: options.dstPort, hasGbp: options.hasGbp };
    this.arena = options.arena;
    this.device = options.device;
    this.ifindex = options.device.ifindex;
    this.tx = options.tx;
    this.release = options.release;
    this.wallClock = options.wallClock;
    const [first, last] = options.kind.type === T.VXLAN ? options.portRange : [1, 0xffff];
    this.firstPort = first;
    this.portCount = last - first + 1;
  }

  get name(): string {
    return this.device.name;
  }

  start(events: PortEvents): void {
    this.events = events;
  }

  /** Hot path. */
  receive(pkt: Packet, tun: TunnelInfo, hasChecksum: boolean): void {
    if (this.events === undefined) return;
    const { view } = this.arena;
    if (hasChecksum) tun[TUN.TOS] = tun[TUN.TOS]! | TUN_F.CSUM;
    const inner = this.decap(view, pkt.start, pkt.end, tun);
    if (inner < 0) {
      // What this port does not carry is not its error.
      if (inner !== DECAP.FOREIGN) this.rxErrors++;
      return;
    }
    if (!isInnerFrame(view, inner, pkt.end) || !decapEcn(tunTos(tun), view, inner, pkt.end)) {
      this.rxErrors++;
      return;
    }
    pkt.start = inner;
    findOffloads(pkt);
    this.rxPackets++;
    this.rxBytes += pkt.end - inner - (this.kind.countsEthernet ? 0 : ETH_HLEN);
    this.rxTunnel.set(tun);
    this.events.receive(pkt);
  }

  private decap(view: DataView, at: number, end: number, tun: TunnelInfo): number {
    switch (this.kind.type) {
      case T.VXLAN:
        return decapVxlan(view, at, end, tun, this.options.hasGbp);
      case T.GENEVE:
        return decapGeneve(view, at, end, tun);
      case T.GRE:
      case T.IP6GRE:
        return decapGre(view, at, end, tun);
      default: {
        const inner = decapGre(view, at, end, tun);
        return inner < 0 ? inner : decapErspan(view, inner, end, tun);
      }
    }
  }

  batchEnd(): void {
    this.events?.batchEnd();
  }

  /** Hot path. */
  send(pkt: Packet): void {
    const tun = pkt.txTunnel;
    const family = tun === null ? TUN_FAMILY.NONE : tunFamily(tun);
    const isIpv6 = family === TUN_FAMILY.IPV6;
    if (tun === null || family === TUN_FAMILY.NONE || !(isIpv6 ? this.kind.ipv6 : this.kind.ipv4)) {
      this.txDropped++;
      return;
    }
    const protocol = this.kind.carrier === 'udp' ? IPPROTO.UDP : IPPROTO_GRE;
    const queue = this.tx.queue(protocol, isIpv6, (tunFlags(tun) & TUN_F.DF) !== 0);
    if (queue === null) {
      this.txErrors++;
      return;
    }
    const { view } = this.arena;
    // VXLAN does not look at what it carries.
    if (this.kind.type !== T.VXLAN && !isNetworkWhole(view, pkt.start, pkt.end)) {
      this.txErrors++;
      return;
    }
    const sent = this.kind.carrier === 'udp' ? this.wrapUdp(queue, pkt, tun) : this.wrapGre(queue, pkt, tun);
    if (sent === null) return;
    this.txPackets++;
    this.txBytes += pkt.end - pkt.start - ETH_HLEN;
    const own = tunTos(tun);
    const asked = protocol === IPPROTO_GRE && !isIpv6 ? inheritedTos(own, view, pkt.start, pkt.end) : own;
    const tos = encapEcn(asked, view, pkt.start, pkt.end);
    queue.push(this, this.headSize, pkt.start, this.cutEnd, tos, tunTtl(tun), sent);
  }

  /** Of the packet that is being wrapped: bytes of its headers, and where the arena's bytes of it end. */
  private headSize = 0;
  private cutEnd = 0;

  /** Writes UDP and tunnel header.  Returns the metadata with the addresses to use, or null for a packet that is dropped. */
  private wrapUdp(queue: TunnelQueue, pkt: Packet, tun: TunnelInfo): TunnelInfo | null {
    const { view } = this.arena;
    const udp = queue.headerAt;
    const isVxlan = this.kind.type === T.VXLAN;
    const size = isVxlan
      ? encapVxlan(view, udp + UDP.HLEN, tun, this.options.hasGbp)
      : encapGeneve(view, udp + UDP.HLEN, tun);
    if (size < 0) {
      this.txDropped++;
      return null;
    }
    const body = pkt.end - pkt.start;
    const total = UDP.HLEN + size + body;
    if (total > 0xffff) {
      this.txErrors++;
      return null;
    }
    view.setUint16(udp + UDP.SRC, this.sourcePort(pkt));
    view.setUint16(udp + UDP.DST, this.destinationPort(tun));
    view.setUint16(udp + UDP.LEN, total);
    view.setUint16(udp + UDP.CHECK, 0);
    this.headSize = UDP.HLEN + size;
    this.cutEnd = pkt.end;
    if ((tunFlags(tun) & TUN_F.CSUM) === 0) return tun;

    const from = this.withSource(queue.isIpv6, tun);
    if (from === null) return null;
    let sum = total + IPPROTO.UDP + addressSum(queue.isIpv6, from);
    sum += foldSum(sumBytes(view, udp, this.headSize, 0)) + foldSum(sumBytes(view, pkt.start, body, 0));
    const checksum = ~foldSum(sum) & 0xffff;
    view.setUint16(udp + UDP.CHECK, checksum === 0 ? 0xffff : checksum);
    return from;
  }

  private wrapGre(queue: TunnelQueue, pkt: Packet, tun: TunnelInfo): TunnelInfo | null {
    const { view } = this.arena;
    const gre = queue.headerAt;
    this.cutEnd = pkt.end;
    if (this.kind.type === T.GRE || this.kind.type === T.IP6GRE) {
      this.headSize = encapGre(view, gre, tun, ETH_TYPE.TEB);
      if ((tunFlags(tun) & TUN_F.CSUM) !== 0) sumGre(view, gre, this.headSize, pkt.start, pkt.end - pkt.start);
      return tun;
    }
    const version = erspanVersion(tun);
    if (version === 0) {
      this.txDropped++;
      return null;
    }
    // A mirrored frame that is too large is cut, and says so.
    const isCut = pkt.end - pkt.start > TUNNEL_MTU + ETH_HLEN;
    if (isCut) this.cutEnd = pkt.start + TUNNEL_MTU + ETH_HLEN;
    const protocol = version === 1 ? ERSPAN_PROTOCOL.V1 : ERSPAN_PROTOCOL.V2;
    const size = encapGreSequence(view, gre, protocol, this.sequence++ | 0);
    const ticks = version === 2 ? Math.floor(this.wallClock() * 10) % 0x100000000 : 0;
    this.headSize = size + encapErspan(view, gre + size, tun, pkt.start, this.cutEnd, isCut, ticks | 0);
    return tun;
  }

  /** From the hash of the frame's flow, so that its packets take one way through the network, and flows spread over all. */
  private sourcePort(pkt: Packet): number {
    let hash = pkt.hash;
    if (hash === 0) hash = this.arena.view.getInt32(pkt.start + 2) ^ this.arena.view.getInt32(pkt.start + 8);
    hash ^= hash << 16;
    return this.firstPort + Math.floor(((hash >>> 0) / 0x100000000) * this.portCount);
  }

  /** VXLAN packets may go to another port than the one that is heard. */
  private destinationPort(tun: TunnelInfo): number {
    const asked = this.kind.type === T.VXLAN ? tun[TUN.PORTS]! & 0xffff : 0;
    return asked !== 0 ? asked : this.options.dstPort;
  }

  /** Metadata with a source address, or null if there is no route. */
  private withSource(isIpv6: boolean, tun: TunnelInfo): TunnelInfo | null {
    const at = isIpv6 ? TUN.IPV6_SRC : TUN.SRC;
    let isSet = tun[at] !== 0;
    for (let i = 1; isIpv6 && i < 4; i++) if (tun[at + i] !== 0) isSet = true;
    if (isSet) return tun;
    const source = this.tx.source(isIpv6, tun);
    if (source === undefined) {
      this.txErrors++;
      return null;
    }
    const copy = this.txTunnel;
    copy.set(tun);
    for (let i = 0; i < (isIpv6 ? 4 : 1); i++) copy[at + i] = source[i]!;
    return copy;
  }

  /**
   * Metadata as a packet with `pkt.txTunnel` would leave with, its source address and ports filled in, into `out`: what
   * OVS_PACKET_ATTR_EGRESS_TUN_KEY tells.  False if it would not leave.
   */
  egressTunnel(pkt: Packet, out: TunnelInfo): boolean {
    const tun = pkt.txTunnel;
    if (tun === null || tunFamily(tun) === TUN_FAMILY.NONE) return false;
    const isIpv6 = tunFamily(tun) === TUN_FAMILY.IPV6;
    if (!(isIpv6 ? this.kind.ipv6 : this.kind.ipv4)) return false;
    const source = this.tx.source(isIpv6, tun);
    if (source === undefined) return false;
    out.set(tun);
    const at = isIpv6 ? TUN.IPV6_SRC : TUN.SRC;
    for (let i = 0; i < (isIpv6 ? 4 : 1); i++) out[at + i] = source[i]!;
    if (this.kind.carrier === 'udp') out[TUN.PORTS] = (this.sourcePort(pkt) << 16) | this.destinationPort(tun);
    return true;
  }

  sendFailed(errno: number, bytes: number): void {
    this.txPackets--;
    this.txBytes -= bytes - ETH_HLEN;
    // A full queue is the host's fault, anything else (no route, too large to go in one piece) the packet's.
    if (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS) this.txDropped++;
    else this.txErrors++;
  }

  flush(): void {
    this.tx.flush();
  }

  tunnelOptions(): Uint8Array | undefined {
    return tunnelOptionsPayload(this.kind, this.options);
  }

  stats(): DeviceStats {
    return {
      rxPackets: BigInt(this.rxPackets),
      txPackets: BigInt(this.txPackets),
      rxBytes: BigInt(this.rxBytes),
      txBytes: BigInt(this.txBytes),
      rxErrors: BigInt(this.rxErrors),
      txErrors: BigInt(this.txErrors),
      rxDropped: 0n,
      txDropped: BigInt(this.txDropped),
    };
  }

  expectDeletion(): void {
    this.lingers = true;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.events = undefined;
    this.tx.flush();
    this.release();
    this.device.close(this.lingers);
  }
}
