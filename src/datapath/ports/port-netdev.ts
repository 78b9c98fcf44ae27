/**
 * A port on a device that exists already (one end of a veth, a network card): an AF_PACKET socket gets what the device
 * receives, and ingress-drop.ts keeps it from the host's own stack, as openvswitch.ko's rx_handler does.
 *
 * Neighbours: port-io.ts moves the frames; port-tap.ts is the port that brings its own device.
 * Source: packet(7), net/openvswitch/vport-netdev.c.
 */
import { native } from '../../native/index.ts';
import type { VportPolicing } from '../../netlink/families/ovs-vport.ts';
import type { Arena, Packet } from '../../packet/packet.ts';
import { IngressDrop } from './ingress-drop.ts';
import { policerOf } from './policer.ts';
import type { DeviceStats, PortBackend, PortEvents } from './port-backend.ts';
import { type DeviceInfo, PortIo } from './port-io.ts';
import { PriorityLanes } from './priority-lanes.ts';

/** Socket buffers, bytes: some 1,000 large frames, or 60 super-packets, on their way to or from the kernel. */
const SOCKET_BUFFER = 4 << 20;

/** Receive rings, bytes: at 1600 a place, 8 MB hold what comes in 12 ms at 400,000 frames/s. */
const [LARGE_RING, MEDIUM_RING, SMALL_RING] = [8 << 20, 2 << 20, 512 << 10];

/** The kernel pins rings in memory; so the many ports of a large switch have small ones. */
function ringSize(nOpen: number): number {
  return nOpen < 16 ? LARGE_RING : nOpen < 64 ? MEDIUM_RING : SMALL_RING;
}

export interface NetdevPortOptions {
  /** Told in words where packets cannot be kept from the host's stack: the port works, but the host answers too. */
  readonly warn?: (message: string) => void;
}

export class NetdevPort implements PortBackend {
  private static nOpen = 0;
  readonly ifindex: number;
  /** The kernel segments and completes in software what the device cannot take. */
  readonly takesOffloads = true;
  private readonly io: PortIo;
  private readonly drop: IngressDrop;
  private readonly devices: DeviceInfo;

  /**
   * Takes the device `ifindex` over, in promiscuous mode.  Throws an Error with `errno`: ENODEV or ENXIO if there is no
   * such device, EPERM without CAP_NET_RAW.
   */
  constructor(arena: Arena, ifindex: number, devices: DeviceInfo, options: NetdevPortOptions = {}) {
    const port = native().openPacket(arena, ifindex, true, SOCKET_BUFFER, ringSize(NetdevPort.nOpen));
    NetdevPort.nOpen++;
    this.ifindex = ifindex;
    this.devices = devices;
    const lanes = new PriorityLanes((priority) => native().openPacketSender(arena, ifindex, priority, SOCKET_BUFFER));
    this.io = new PortIo(port, arena, lanes);
    this.drop = new IngressDrop(ifindex, (reason) =>
      options.warn?.(`${this.name}: the host's stack also gets what this port receives: ${reason}`),
    );
  }

  get name(): string {
    return this.devices.name(this.ifindex);
  }
  get mtu(): number {
    return this.devices.mtu(this.ifindex);
  }

  police(policing: VportPolicing): void {
    this.io.police(policerOf(policing));
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
    const stats = this.devices.readStats(this.ifindex);
    stats.txDropped += BigInt(this.io.txDropped);
    stats.rxDropped += BigInt(this.io.rxDropped);
    return stats;
  }

  close(): void {
    if (!this.io.isClosed) NetdevPort.nOpen--;
    this.drop.close();
    this.io.close();
  }
}
