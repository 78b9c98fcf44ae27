/**
 * A port that is a TAP device of its own: what an internal port (`br0`, `type=internal`) is here.  What the host sends
 * through the device arrives as a frame; what the port sends, the host receives.  The device goes away with the process.
 *
 * Neighbours: port-io.ts moves the frames; port-netdev.ts is the port on a device that exists already.
 * Source: Documentation/networking/tuntap.rst.
 */
import { native } from '../../native/index.ts';
import { ETH_HLEN } from '../../packet/ethernet.ts';
import type { Arena, Packet } from '../../packet/packet.ts';
import type { DevicePlace, DeviceStats, PortBackend, PortEvents } from './port-backend.ts';
import { type DeviceInfo, PortIo } from './port-io.ts';

export class TapPort implements PortBackend {
  readonly ifindex: number;
  readonly fd: number;
  /** The kernel takes super-packets and completes checksums: IFF_VNET_HDR. */
  readonly takesOffloads = true;
  private readonly io: PortIo;
  private readonly devices: DeviceInfo;

  /**
   * Creates the device `name`, down and without addresses.  Throws an Error with `errno`: EBUSY if there is such a TAP,
   * EINVAL for another device of that name, EPERM without CAP_NET_ADMIN, ENOENT where there is no /dev/net/tun.
   */
  constructor(arena: Arena, name: string, devices: DeviceInfo) {
    const port = native().openTap(arena, name);
    this.ifindex = port.ifindex;
    this.fd = port.fd;
    this.devices = devices;
    this.io = new PortIo(port, arena);
  }

  get name(): string {
    return this.devices.name(this.ifindex);
  }
  get mtu(): number {
    return this.devices.mtu(this.ifindex);
  }

  get elsewhere(): DevicePlace | undefined {
    return this.devices.elsewhere(this.ifindex);
  }

  hostAddress(): Uint8Array | undefined {
    return this.devices.localAddress(this.ifindex);
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
    // An internal port of openvswitch.ko counts what the host receives without its Ethernet header, and does not count
    // what is sent to it while it is down, which a TAP counts as dropped.
    const counted = stats.rxPackets * BigInt(ETH_HLEN);
    stats.rxBytes = stats.rxBytes > counted ? stats.rxBytes - counted : 0n;
    const refused = BigInt(this.io.txDropped);
    stats.rxDropped = stats.rxDropped > refused ? stats.rxDropped - refused : 0n;
    // What we failed to receive is what the host failed to send.
    stats.txDropped += BigInt(this.io.rxDropped);
    return stats;
  }

  close(): void {
    this.io.close();
  }
}
