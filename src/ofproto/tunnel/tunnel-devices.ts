/**
 * The datapath's ports for tunnels: one for all tunnels of a type and UDP port ("vxlan_sys_4789"), made for the first and removed with the
 * last of them.  One that an earlier run left is taken over, so that its flows go on.
 * Source: ofproto/ofproto-dpif.c (port_add, port_del, struct dpif_backer: tnl_backers).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import { type TunnelConfig, tunnelDevice, tunnelType } from '../../dpif/tunnel-types.ts';

type Ports = Pick<Dpif, 'portAdd' | 'portQuery'>;

interface Device {
  readonly name: string;
  readonly odpPort: number;
  /** Numbers of extensions that it was made with. */
  readonly extensions: string;
  users: number;
}

/** What of a tunnel's settings its device depends on. */
export interface DeviceSettings extends TunnelConfig {
  readonly type: string;
}

/** The name of the datapath's device for such tunnels.  Throws a RangeError for a type that is none. */
export function tunnelDeviceName(settings: DeviceSettings): string {
  const type = tunnelType(settings.type);
  if (type === undefined) throw new RangeError(`"${settings.type}" is not a type of tunnels`);
  return tunnelDevice(type, settings);
}

export class TunnelDevices {
  private readonly dpif: Ports;
  private readonly byName = new Map<string, Device>();

  constructor(dpif: Ports) {
    this.dpif = dpif;
  }

  /** The name of the device that is datapath port `odpPort`; undefined if that is no tunnel's. */
  nameOf(odpPort: number): string | undefined {
    for (const { name, odpPort: number } of this.byName.values()) if (number === odpPort) return name;
    return undefined;
  }

  /**
   * The datapath's port for such a tunnel, held once more.  Rejects with the datapath's NetlinkError.  One that others use stays as it was
   * made, with the extensions of then.
   */
  async attach(settings: DeviceSettings): Promise<number> {
    const name = tunnelDeviceName(settings);
    const known = this.byName.get(name);
    if (known !== undefined) {
      known.users++;
      return known.odpPort;
    }
    const { type, dstPort, extensions } = settings;
    // A device does not tell its extensions: one that is to have some is made anew.
    const there = extensions.length === 0 ? await this.dpif.portQuery(name) : undefined;
    const odpPort =
      there?.type === type ? there.portNo : await this.dpif.portAdd(name, type, undefined, { dstPort, extensions });
    this.byName.set(name, { name, odpPort, extensions: extensions.join(), users: 1 });
    return odpPort;
  }

  /** Lets go of what `attach` gave.  True if nobody holds it any more, and the port is to be deleted. */
  release(odpPort: number): boolean {
    const device = [...this.byName.values()].find((d) => d.odpPort === odpPort);
    if (device === undefined) return true;
    if (--device.users > 0) return false;
    this.byName.delete(device.name);
    return true;
  }

  /** Whether the device of a tunnel, if only that one uses it, does for other settings. */
  fits(odpPort: number, settings: DeviceSettings): boolean {
    const device = this.byName.get(tunnelDeviceName(settings));
    if (device?.odpPort !== odpPort) return false;
    return device.users > 1 || device.extensions === settings.extensions.join();
  }

  /** The datapath lost the port: it is made again when it is next asked for. */
  forget(odpPort: number): void {
    const name = this.nameOf(odpPort);
    if (name !== undefined) this.byName.delete(name);
  }
}
