/**
 * The devices that stand for tunnel ports.  Nothing goes through them: they have the name, so that nobody else takes it, they
 * show in `ip link`, and whoever deletes one deletes the port.  They are TAPs.
 *
 * (Stock userspace wants to see no TAP in the place of a Geneve device, so native/preload_tunnel.c hides it from that.)
 *
 * Stock userspace deletes a tunnel's device itself after it has deleted the port, and takes it for an error if there is no
 * such device.  So after a port was deleted by request, its device stays for a moment.
 * Source: lib/dpif-netlink-rtnl.c (dpif_netlink_rtnl_probe_oot_tunnels), dpif-netlink.c (dpif_netlink_port_del__).
 */
import { type NativePort, native } from '../../native/index.ts';
import type { Arena } from '../../packet/packet.ts';
import type { DeviceInfo } from '../ports/port-io.ts';

/** MTU of the device: what userspace gives to those that it makes. */
export const TUNNEL_MTU = 65000;
/** How long a device outlives its port, for userspace to delete it. */
const LINGER_MS = 1000;

/** The device that stands for a tunnel port. */
export interface TunnelDevice {
  /** Its current name; '' if it is gone. */
  readonly name: string;
  readonly ifindex: number;
  /** Gives it up.  If it `lingers`, userspace is about to delete it. */
  close(lingers: boolean): void;
}

/** The table of the host's devices: class LinkTable. */
interface Devices extends DeviceInfo {
  /** Takes in what is to be known of a device that has just been made. */
  refresh(ifindex: number): boolean;
}

export class TunnelDevices {
  private readonly arena: Arena;
  private readonly devices: Devices;
  /** Devices whose port is gone, by name. */
  private readonly lingering = new Map<string, { tap: NativePort; timer: NodeJS.Timeout }>();

  constructor(arena: Arena, devices: Devices) {
    this.arena = arena;
    this.devices = devices;
  }

  /** Whether `name` is that of a device which nobody needs any more. */
  isLingering(name: string): boolean {
    return this.lingering.has(name);
  }

  /** Makes the device `name` for a port.  Throws an Error with `errno`. */
  open(name: string): TunnelDevice {
    this.end(name);
    const { devices } = this;
    const tap = native().openTap(this.arena, name);
    try {
      native().setDeviceUp(name, TUNNEL_MTU);
    } catch (error) {
      tap.close();
      throw error;
    }
    devices.refresh(tap.ifindex);
    return {
      ifindex: tap.ifindex,
      get name() {
        return devices.name(tap.ifindex);
      },
      close: (lingers) => {
        if (lingers && devices.name(tap.ifindex) !== '') this.linger(name, tap);
        else tap.close();
      },
    };
  }

  private linger(name: string, tap: NativePort): void {
    const timer = setTimeout(() => this.end(name), LINGER_MS);
    timer.unref();
    this.lingering.set(name, { tap, timer });
  }

  private end(name: string): void {
    const one = this.lingering.get(name);
    if (one === undefined) return;
    this.lingering.delete(name);
    clearTimeout(one.timer);
    one.tap.close();
  }
}
