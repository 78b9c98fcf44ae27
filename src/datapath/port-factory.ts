/**
 * Where the devices behind ports come from.  The daemon makes TAPs and opens AF_PACKET sockets (`SystemPorts` below);
 * tests, and programs that embed the datapath, give devices in memory.
 * Source: net/openvswitch/vport-internal_dev.c, vport-netdev.c (ovs_netdev_link).
 */
import type { PortBackend } from './port-backend.ts';

export interface PortFactory {
  /**
   * Makes a device called `name` for an internal port.  Throws NetlinkError: EEXIST if there is a device of that name,
   * EINVAL for a name that no device can have.
   */
  createInternal(name: string): PortBackend;
  /**
   * Opens device `name`.  Calls `check` with its ifindex before anything is done to it; what that throws goes up.  Throws
   * NetlinkError: ENODEV if there is none, EINVAL for a device that cannot be a port (loopback, not Ethernet), EBUSY if
   * another device is its master.
   */
  openNetdev(name: string, check: (ifindex: number) => void): PortBackend;
}

/**
 * Whether a device can be called `name`: 1 to 15 bytes, no blank, slash or colon, and not "." or "..".  The kernel takes
 * other bytes than ASCII too, and makes a name of "tap%d"; here neither is wanted.
 */
export function isDeviceName(name: string): boolean {
  return name !== '.' && name !== '..' && /^[!-~]{1,15}$/.test(name) && !/[/:%]/.test(name);
}
