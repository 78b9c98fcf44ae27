/**
 * The devices that stand for tunnel ports.  Nothing goes through them: they have the name, so that nobody else takes it, they
 * show in `ip link`, and whoever deletes one deletes the port.  They are TAPs.
 *
 * That of a Geneve port has another name (../../netlink/tunnel-stand-in.ts says why).
 *
 * Stock userspace deletes a tunnel's device itself after it has deleted the port, and takes it for an error if there is no
 * such device.  So after a port was deleted by request, its device stays for a moment; native/preload_tunnel.c knows the other name.
 * Source: lib/dpif-netlink-rtnl.c (dpif_netlink_rtnl_probe_oot_tunnels), dpif-netlink.c (dpif_netlink_port_del__).
 */
import { type NativePort, native } from '../../native/index.ts';
import { tunnelStandIn } from '../../netlink/tunnel-stand-in.ts';
import type { Arena } from '../../packet/packet.ts';
import type { DeviceInfo } from '../ports/port-io.ts';

/** MTU of the device: what userspace gives to those that it makes. */
export const TUNNEL_MTU = 65000;
/** How long a device outlives its port, for userspace to delete it. */
const LINGER_MS = 1000;

/** The device that stands for a tunnel port. */
export interface TunnelDevice {
  /** The port's current name: the device's, if that has been given another; '' if it is gone. */
  readonly name: string;
  readonly ifindex: number;
  /** Gives it up.  If it `lingers`, userspace is about to delete it. */
  close(lingers: boolean): void;
}

/** The table of the host's devices: class LinkTable. */
interface Devices extends DeviceInfo {
  /** Takes in what is to be known of a device that has just been made. */
  refresh(ifindex: number): boolean;
  /** The device of that name; undefined if there is none. */
  byName(name: string): unknown;
}

export class TunnelDevices {
  private readonly arena: Arena;
  private readonly devices: Devices;
  /** Devices whose port is gone, by the port's name. */
  private readonly lingering = new Map<string, { tap: NativePort; timer: NodeJS.Timeout }>();

  constructor(arena: Arena, devices: Devices) {
    this.arena = arena;
    this.devices = devices;
  }

  /** Whether there is a device in the place of port `name` which somebody needs. */
  isTaken(name: string): boolean {
    if (this.lingering.has(name)) return false;
    return [name, tunnelStandIn(name)].some((device) => this.devices.byName(device) !== undefined);
  }

  /** Makes the device for port `name`.  Throws an Error with `errno`. */
  open(name: string): TunnelDevice {
    this.end(name);
    const { devices } = this;
    const own = tunnelStandIn(name);
    const tap = native().openTap(this.arena, own);
    try {
      native().setDeviceUp(own, TUNNEL_MTU);
    } catch (error) {
      tap.close();
      throw error;
    }
    devices.refresh(tap.ifindex);
    return {
      ifindex: tap.ifindex,
      get name() {
        const now = devices.name(tap.ifindex);
        return now === own ? name : now;
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
