/**
 * Makes tunnel ports, and owns what they share: the sockets that send, and those that hear GRE, of which a host can have one
 * a kind.
 * tunnel-devices.ts makes the devices that stand for ports.
 * Source: net/openvswitch/vport-{vxlan,geneve,gre}.c.
 */
import { readFileSync } from 'node:fs';
import { NetlinkError } from '../../netlink/errors.ts';
import { OVS_VPORT_TYPE } from '../../netlink/families/ovs-vport.ts';
import { ETH_TYPE } from '../../packet/ethernet.ts';
import type { Arena, Packet } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';
import { ERSPAN_PROTOCOL } from './erspan.ts';
import { greProtocol } from './gre.ts';
import type { TunnelDevice } from './tunnel-devices.ts';
import type { TunnelInfo } from './tunnel-info.ts';
import type { TunnelKind, TunnelOptions } from './tunnel-kinds.ts';
import { IPPROTO_GRE, TunnelPort } from './tunnel-port.ts';
import { TunnelReceiver, type TunnelSink } from './tunnel-rx.ts';
import type { TunnelSockets } from './tunnel-sockets.ts';
import { TunnelTx } from './tunnel-tx.ts';

const T = OVS_VPORT_TYPE;

export interface TunnelsOptions {
  readonly arena: Arena;
  readonly sockets: TunnelSockets;
  /** Monotonic ms. */
  readonly clock: () => number;
  readonly openDevice: (name: string) => TunnelDevice;
  /** First and last ephemeral port. */
  readonly portRange?: readonly [number, number];
}

export class Tunnels {
  private readonly options: TunnelsOptions;
  private readonly tx: TunnelTx;
  private readonly ports = new Set<TunnelPort>();
  private readonly gre: Record<'ipv4' | 'ipv6', GreReceiver | undefined> = { ipv4: undefined, ipv6: undefined };

  constructor(options: TunnelsOptions) {
    this.options = options;
    this.tx = new TunnelTx(options.sockets, options.arena, options.clock);
  }

  /**
   * Makes a port.  Throws NetlinkError: EEXIST or EBUSY if there is one of that kind on that UDP port, EADDRINUSE if another
   * program has it, what openDevice() throws.
   */
  create(kind: TunnelKind, name: string, options: TunnelOptions): TunnelPort {
    for (const other of this.ports) {
      const isSame = other.kind.type === kind.type && other.options.dstPort === options.dstPort;
      if (isSame) throw new NetlinkError(kind.clashErrno, `${other.name} is such a ${kind.name} port already`);
    }
    const { arena, openDevice } = this.options;
    const device = openDevice(name);
    const held: { close(): void }[] = [];
    const port = new TunnelPort({
      ...options,
      arena,
      kind,
      device,
      tx: this.tx,
      portRange: this.options.portRange ?? ephemeralPorts(),
      wallClock: Date.now,
      release: () => {
        this.ports.delete(port);
        for (const one of held) one.close();
        this.leaveGre(port);
      },
    });
    try {
      this.listen(port, held);
    } catch (error) {
      port.close();
      throw toNetlinkError(error, name);
    }
    this.ports.add(port);
    return port;
  }

  /** Opens the sockets of `port`. */
  private listen(port: TunnelPort, held: { close(): void }[]): void {
    const { kind } = port;
    for (const isIpv6 of [false, true]) {
      if (!(isIpv6 ? kind.ipv6 : kind.ipv4)) continue;
      if (kind.carrier === 'gre') {
        this.joinGre(port, isIpv6);
        continue;
      }
      const { dstPort } = port.options;
      const pair = this.options.sockets.openUdp(isIpv6, dstPort);
      if (pair === undefined) continue;
      pair.forEach((socket, i) => {
        held.push(
          new TunnelReceiver({ arena: this.options.arena, socket, sink: port, isIpv6, hasChecksum: i === 1, dstPort }),
        );
      });
    }
  }

  private joinGre(port: TunnelPort, isIpv6: boolean): void {
    const family = isIpv6 ? 'ipv6' : 'ipv4';
    let receiver = this.gre[family];
    if (receiver === undefined) {
      const socket = this.options.sockets.openRaw(isIpv6, IPPROTO_GRE, true, false);
      if (socket === undefined) throw new NetlinkError(ERRNO.EAFNOSUPPORT, `${port.kind.name} without IPv6`);
      const sink = new GreSink(this.options.arena);
      const hasIpHeader = !isIpv6;
      receiver = {
        sink,
        socket: new TunnelReceiver({ arena: this.options.arena, socket, sink, isIpv6, hasIpHeader }),
      };
      this.gre[family] = receiver;
    }
    receiver.sink.add(port);
  }

  private leaveGre(port: TunnelPort): void {
    for (const family of ['ipv4', 'ipv6'] as const) {
      const receiver = this.gre[family];
      if (receiver === undefined || !receiver.sink.remove(port)) continue;
      receiver.socket.close();
      this.gre[family] = undefined;
    }
  }

  /** Closes what is shared; ports must be closed before. */
  close(): void {
    this.tx.close();
  }
}

interface GreReceiver {
  readonly sink: GreSink;
  readonly socket: TunnelReceiver;
}

/** Tells the packets of a GRE socket apart: Ethernet frames, and ERSPAN's two versions. */
class GreSink implements TunnelSink {
  private readonly arena: Arena;
  private teb: TunnelPort | undefined;
  private erspan: TunnelPort | undefined;

  constructor(arena: Arena) {
    this.arena = arena;
  }

  add(port: TunnelPort): void {
    if (isErspan(port.kind)) this.erspan = port;
    else this.teb = port;
  }
  /** Returns whether nobody is left. */
  remove(port: TunnelPort): boolean {
    if (this.teb === port) this.teb = undefined;
    if (this.erspan === port) this.erspan = undefined;
    return this.teb === undefined && this.erspan === undefined;
  }

  /** Hot path. */
  receive(pkt: Packet, tun: TunnelInfo): void {
    switch (greProtocol(this.arena.view, pkt.start, pkt.end)) {
      case ETH_TYPE.TEB:
        this.teb?.receive(pkt, tun, false);
        break;
      case ERSPAN_PROTOCOL.V1:
      case ERSPAN_PROTOCOL.V2:
        this.erspan?.receive(pkt, tun, false);
        break;
      default: // IP in GRE is for others.
    }
  }

  batchEnd(): void {
    this.teb?.batchEnd();
    this.erspan?.batchEnd();
  }
}

const isErspan = (kind: TunnelKind): boolean => kind.type === T.ERSPAN || kind.type === T.IP6ERSPAN;

function toNetlinkError(error: unknown, name: string): unknown {
  const errno = (error as { errno?: unknown }).errno;
  if (error instanceof NetlinkError || typeof errno !== 'number') return error;
  return new NetlinkError(errno, `${name}: ${(error as Error).message}`);
}

/** The range that the host takes ephemeral ports from. */
function ephemeralPorts(): readonly [number, number] {
  const text = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1');
  const [first = 32768, last = 60999] = text.trim().split(/\s+/).map(Number);
  return [first, last];
}
