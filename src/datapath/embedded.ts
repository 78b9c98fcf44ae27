/**
 * The datapath inside another program: the server of server.ts on a transport and devices that its owner gives, without a
 * socket, a privilege or a device of the host.  vswitchd with --enable-dummy runs one over MemoryNetlink.
 */
import { NetlinkError } from '../netlink/errors.ts';
import type { NetlinkTransport } from '../netlink/transport.ts';
import { Arena, SLOT_SIZE } from '../packet/packet.ts';
import { ERRNO } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';
import { USERSPACE_DATAPATH } from './kernel-compat.ts';
import type { PortBackend } from './ports/port-backend.ts';
import type { PortFactory } from './ports/port-factory.ts';
import { type FrameDevice, FramePort } from './ports/port-frames.ts';
import { DatapathServer } from './server.ts';

// As Open vSwitch calls its datapath in a process: tests set the module's level.
const log = vlog('dpif_netdev');

/** Packets in memory at a time; pages cost nothing until used. */
const ARENA_SLOTS = 256;

/** Where devices come from. */
export interface FrameDevices {
  /** Makes a device of that name, or gives the one that was made for it. */
  openInternal(name: string): FrameDevice;
  /** Undefined if there is none. */
  open(name: string): FrameDevice | undefined;
}

export interface EmbeddedDatapathOptions {
  /** Bound to the port id that clients know. */
  readonly transport: NetlinkTransport;
  /** Where conntrack is asked; nowhere if left out. */
  readonly netfilter?: NetlinkTransport;
  readonly devices: FrameDevices;
}

class FramePorts implements PortFactory {
  private readonly arena: Arena;
  private readonly devices: FrameDevices;

  constructor(arena: Arena, devices: FrameDevices) {
    this.arena = arena;
    this.devices = devices;
  }

  createInternal(name: string): PortBackend {
    return new FramePort(this.arena, this.devices.openInternal(name), name);
  }

  openNetdev(name: string): PortBackend {
    const device = this.devices.open(name);
    if (device === undefined) throw new NetlinkError(ERRNO.ENODEV, name);
    return new FramePort(this.arena, device, name);
  }
}

/** Starts serving.  The caller closes the server, and then the transports. */
export function startEmbedded({ transport, netfilter, devices }: EmbeddedDatapathOptions): DatapathServer {
  const arena = new Arena(new ArrayBuffer(ARENA_SLOTS * SLOT_SIZE));
  const server = new DatapathServer({
    ...{ transport, arena, log, nCpus: 1, kernelCompat: USERSPACE_DATAPATH },
    ...(netfilter && { netfilter }),
    portFactory: new FramePorts(arena, devices),
  });
  server.start();
  return server;
}
