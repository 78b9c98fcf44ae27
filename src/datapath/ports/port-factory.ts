/**
 * Where the devices behind ports come from.  The daemon makes TAPs and opens AF_PACKET sockets (`SystemPorts` below);
 * tests, and programs that embed the datapath, give devices in memory.
 * Source: net/openvswitch/vport-internal_dev.c, vport-netdev.c (ovs_netdev_link).
 */
import { NetlinkError } from '../../netlink/errors.ts';
import { ARPHRD, IFF } from '../../netlink/families/rt-link.ts';
import type { Arena } from '../../packet/packet.ts';
import { monotonicMs } from '../../util/clock.ts';
import { ERRNO } from '../../util/errno.ts';
import { TunnelDevices } from '../tunnel/tunnel-devices.ts';
import { readTunnelOptions, tunnelKind } from '../tunnel/tunnel-kinds.ts';
import { SystemTunnelSockets } from '../tunnel/tunnel-sockets.ts';
import { Tunnels } from '../tunnel/tunnels.ts';
import type { LinkTable } from './link-table.ts';
import { DEVICE_NAME_MAX, type PortBackend } from './port-backend.ts';
import { NetdevPort } from './port-netdev.ts';
import { TapPort } from './port-tap.ts';

/** Payload of an attribute. */
export interface AttrRange {
  readonly dv: DataView;
  readonly at: number;
  readonly size: number;
}

export interface PortFactory {
  /**
   * Makes a device called `name` for an internal port.  Throws NetlinkError: EEXIST if there is a device of that name,
   * EINVAL for a name that no device can have.
   */
  createInternal(name: string): PortBackend;
  /**
   * Opens device `name`.  Calls `check` with its ifindex before anything is done to it; what that throws goes up.  Throws
   * NetlinkError: ENODEV if there is none, EINVAL for a device that cannot be a port (loopback, not Ethernet), EOPNOTSUPP
   * for a tunnel whose packets carry metadata that only the kernel sees, EBUSY if another device is its master.
   */
  openNetdev(name: string, check: (ifindex: number) => void): PortBackend;
  /**
   * Makes a tunnel port of vport type `type`, with the options that it was asked for with; undefined for a type that there
   * is none of.  Throws NetlinkError: EINVAL without a UDP port where one is needed, EEXIST if there is a device of that
   * name, EEXIST or EBUSY if there is such a tunnel already, EADDRINUSE if another program has the UDP port.
   */
  createTunnel?(type: number, name: string, options: AttrRange | undefined): PortBackend | undefined;
  /** Brings what is known of devices up to date: called before each command about datapaths or ports. */
  sync?(): void;
}

/** Bytes that no device's name has: blanks (0xa0 is one to the kernel as well), "/" and ":". */
const UNFIT_BYTES = /[\s/:]/;

/**
 * Whether a device can be called `name`: 1 to 15 bytes of UTF-8, none of them a blank, slash or colon, and not "." or "..".
 * The kernel takes bytes that are no UTF-8 too, and makes a name of "tap%d"; here neither is wanted.
 * Source: net/core/dev.c (dev_valid_name).
 */
export function isDeviceName(name: string): boolean {
  const bytes = Buffer.from(name).toString('latin1');
  const isFit = bytes.length >= 1 && bytes.length <= DEVICE_NAME_MAX && !UNFIT_BYTES.test(bytes);
  return isFit && name !== '.' && name !== '..' && !/[%\0\ufffd]/.test(name);
}

/** Ports of this host's network namespace. */
export class SystemPorts implements PortFactory {
  private readonly arena: Arena;
  private readonly links: LinkTable;
  private readonly warn: (message: string) => void;
  private readonly tunnels: Tunnels;
  private readonly devices: TunnelDevices;

  /** `warn` is told what works only in part. */
  constructor(arena: Arena, links: LinkTable, warn: (message: string) => void) {
    this.arena = arena;
    this.links = links;
    this.warn = warn;
    this.devices = new TunnelDevices(arena, links);
    this.tunnels = new Tunnels({
      arena,
      sockets: new SystemTunnelSockets(arena),
      clock: monotonicMs,
      openDevice: (name) => attempt(name, () => this.devices.open(name)),
    });
  }

  sync(): void {
    this.links.sync();
  }

  createTunnel(type: number, name: string, options: AttrRange | undefined): PortBackend | undefined {
    const kind = tunnelKind(type);
    if (kind === undefined) return undefined;
    const { dv, at, size } = options ?? NO_OPTIONS;
    const wanted = readTunnelOptions(kind, name, dv, at, size);
    if (!isDeviceName(name)) throw new NetlinkError(ERRNO.EINVAL, `device name "${name}"`);
    if (this.devices.isTaken(name)) throw new NetlinkError(ERRNO.EEXIST, name);
    return this.tunnels.create(kind, name, wanted);
  }

  createInternal(name: string): PortBackend {
    if (!isDeviceName(name)) throw new NetlinkError(ERRNO.EINVAL, `device name "${name}"`);
    if (this.links.byName(name) !== undefined) throw new NetlinkError(ERRNO.EEXIST, name);
    const port = attempt(name, () => new TapPort(this.arena, name, this.links));
    this.links.refresh(port.ifindex);
    this.links.watchTap(port.ifindex, port.fd);
    return port;
  }

  openNetdev(name: string, check: (ifindex: number) => void): PortBackend {
    const found = this.links.byName(name);
    if (found === undefined) throw new NetlinkError(ERRNO.ENODEV, name);
    const [ifindex, link] = found;
    if ((link.flags & IFF.LOOPBACK) !== 0 || link.type !== ARPHRD.ETHER) {
      throw new NetlinkError(ERRNO.EINVAL, `${name} is not an Ethernet device`);
    }
    // The kernel's module takes it; stock clients, when refused, ask for a tunnel vport in its place.
    if (link.collectsMetadata) {
      throw new NetlinkError(
        ERRNO.EOPNOTSUPP,
        `${name} is a tunnel that takes its remote end from the kernel's metadata`,
      );
    }
    check(ifindex);
    if (link.master !== 0) throw new NetlinkError(ERRNO.EBUSY, `${name} has a master`);
    return attempt(name, () => new NetdevPort(this.arena, ifindex, this.links, { warn: this.warn }));
  }
}

const NO_OPTIONS: AttrRange = { dv: new DataView(new ArrayBuffer(0)), at: 0, size: -1 };

/** Turns the Error of a system call into an answer for a client. */
function attempt<T>(name: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    const errno = (error as { errno?: unknown }).errno;
    if (typeof errno !== 'number') throw error;
    // A TAP of that name which somebody else has open: to a client that is a device that exists.
    throw new NetlinkError(errno === ERRNO.EBUSY ? ERRNO.EEXIST : errno, `${name}: ${(error as Error).message}`);
  }
}
