/**
 * The datapaths of this process and their ports, found as the kernel finds them: a datapath by the ifindex of its local
 * port (or of any internal port), a port by its number or by its device's name.  The *-commands.ts files work on this;
 * link events from link-table.ts end here too.
 *
 * A name is hashed when the port is made.  After a rename neither the old name (the device is called otherwise) nor the
 * new one (it is in the wrong place) finds the port: so it is in the kernel, and clients live with it.
 * Source: net/openvswitch/datapath.c (get_dp, lookup_vport), vport.c (ovs_vport_locate), dp_notify.c.
 */
import { NetlinkError } from '../netlink/errors.ts';
import { OVS_VPORT_TYPE, OVSP_LOCAL } from '../netlink/families/ovs-vport.ts';
import type { Arena } from '../packet/packet.ts';
import { ERRNO } from '../util/errno.ts';
import { Conntrack } from './conntrack/conntrack.ts';
import { Datapath } from './datapath.ts';
import { DEFAULT_KERNEL, USERSPACE_DATAPATH } from './kernel-compat.ts';
import type { PortBackend } from './ports/port-backend.ts';
import type { AttrRange, PortFactory } from './ports/port-factory.ts';
import type { PsampleWriter } from './psample.ts';
import type { UpcallSink } from './upcall.ts';
import type { Vport } from './vport.ts';

/** A port and the datapath that it is in. */
export interface PortRef {
  readonly dp: Datapath;
  readonly vport: Vport;
}

export interface DatapathsOptions {
  readonly arena: Arena;
  /** Monotonic time in ms. */
  readonly clock: () => number;
  readonly portFactory: PortFactory;
  readonly upcallSink: UpcallSink;
  readonly psample?: PsampleWriter;
  /** Which kernel's answers are given: see kernel-compat.ts. */
  readonly kernelCompat?: number;
  readonly random?: () => number;
}

/** Numbers for the local ports of datapaths in memory, which have no device. */
const FIRST_FAKE_IFINDEX = 0x100000;

export class Datapaths {
  private readonly options: DatapathsOptions;
  readonly kernelCompat: number;
  /** Connections of this network namespace: all datapaths share them. */
  readonly conntrack: Conntrack;
  /** By dp_ifindex, in the order in which they were made. */
  private readonly byIfindex = new Map<number, Datapath>();
  /** By the name that the device had when the port was made. */
  private readonly byName = new Map<string, PortRef>();
  private nextFakeIfindex = FIRST_FAKE_IFINDEX;

  constructor(options: DatapathsOptions) {
    this.options = options;
    this.kernelCompat = options.kernelCompat ?? DEFAULT_KERNEL;
    this.conntrack = new Conntrack(options.random === undefined ? {} : { random: options.random });
  }

  /** All datapaths, the oldest first. */
  all(): IterableIterator<Datapath> {
    return this.byIfindex.values();
  }
  get count(): number {
    return this.byIfindex.size;
  }

  /** The datapath that `dpIfindex` names: that of its local port, or of another internal port in it. */
  find(dpIfindex: number): Datapath | undefined {
    const dp = this.byIfindex.get(dpIfindex);
    if (dp !== undefined || dpIfindex === 0) return dp;
    for (const { dp: owner, vport } of this.byName.values()) {
      if (vport.type === OVS_VPORT_TYPE.INTERNAL && vport.backend.ifindex === dpIfindex) return owner;
    }
    return undefined;
  }

  /** The port whose device is, and was when the port was made, called `name`. */
  locate(name: string): PortRef | undefined {
    const ref = this.byName.get(name);
    return ref !== undefined && ref.vport.backend.name === name ? ref : undefined;
  }

  /** The port, of any datapath, that the device `ifindex` is behind. */
  portOf(ifindex: number): PortRef | undefined {
    for (const ref of this.byName.values()) if (ref.vport.backend.ifindex === ifindex) return ref;
    return undefined;
  }

  /**
   * Makes a datapath with its local port.  Nothing is left behind if it throws: NetlinkError EEXIST if a device has that
   * name, or what the device's creation says.  `prepare` sets up the datapath before it has a port.
   */
  create(name: string, upcallPids: readonly number[], prepare: (dp: Datapath) => void): Datapath {
    const { arena, clock, upcallSink, psample, portFactory, random } = this.options;
    const dp = new Datapath({
      ...{ name, arena, clock, upcallSink, conntrack: this.conntrack },
      isUserspace: this.kernelCompat === USERSPACE_DATAPATH,
      ...(psample && { psample }),
      ...(random && { random }),
    });
    try {
      prepare(dp);
      const backend = this.hashable(portFactory.createInternal(name));
      dp.ifindex = backend.ifindex !== 0 ? backend.ifindex : this.nextFakeIfindex++;
      this.attach(dp, OVSP_LOCAL, OVS_VPORT_TYPE.INTERNAL, backend, upcallPids);
    } catch (error) {
      dp.close();
      throw error;
    }
    this.byIfindex.set(dp.ifindex, dp);
    return dp;
  }

  /** Removes a datapath with its ports, the local one last, and its flows. */
  destroy(dp: Datapath): void {
    for (const vport of dp.vports().reverse()) this.removePort(dp, vport);
    this.byIfindex.delete(dp.ifindex);
    dp.close();
  }

  /**
   * Makes port `portNo`, which is free.  Throws NetlinkError: EAFNOSUPPORT for a type that there is none of, EEXIST,
   * EBUSY, EINVAL or ENODEV as the device allows.  `options`: the payload of OVS_VPORT_ATTR_OPTIONS.
   */
  addPort(
    dp: Datapath,
    portNo: number,
    type: number,
    name: string,
    upcallPids: readonly number[],
    options?: AttrRange,
  ): Vport {
    return this.attach(dp, portNo, type, this.hashable(this.open(dp, type, name, options)), upcallPids);
  }

  private open(dp: Datapath, type: number, name: string, options: AttrRange | undefined): PortBackend {
    const { portFactory } = this.options;
    switch (type) {
      case OVS_VPORT_TYPE.INTERNAL:
        return portFactory.createInternal(name);
      case OVS_VPORT_TYPE.NETDEV:
        return portFactory.openNetdev(name, (ifindex) => {
          const ref = this.portOf(ifindex);
          if (ref === undefined) return;
          if (ref.vport.type === OVS_VPORT_TYPE.INTERNAL) throw new NetlinkError(ERRNO.EINVAL, `${name} is internal`);
          // The local port's device is the master of all the others: the same again exists, another one is in the way.
          throw new NetlinkError(ref.dp === dp ? ERRNO.EEXIST : ERRNO.EBUSY, `${name} is a port already`);
        });
      default: {
        const port = portFactory.createTunnel?.(type, name, options);
        if (port === undefined) throw new NetlinkError(ERRNO.EAFNOSUPPORT, `vport type ${type}`);
        return port;
      }
    }
  }

  /** Refuses a device whose name would hide another port. */
  private hashable(backend: PortBackend): PortBackend {
    const old = this.byName.get(backend.name);
    if (old === undefined) return backend;
    if (old.vport.backend.name === backend.name) {
      backend.close();
      throw new NetlinkError(ERRNO.EEXIST, backend.name);
    }
    // Its device was renamed since, so that nothing finds it by this name anyway.
    this.byName.delete(backend.name);
    this.byName.set(`${backend.name}\0${old.vport.backend.ifindex}`, old);
    return backend;
  }

  private attach(
    dp: Datapath,
    portNo: number,
    type: number,
    backend: PortBackend,
    upcallPids: readonly number[],
  ): Vport {
    let vport: Vport;
    try {
      vport = dp.addVport({ portNo, type, name: backend.name, backend, upcallPids });
    } catch (error) {
      backend.close();
      throw error;
    }
    this.byName.set(vport.name, { dp, vport });
    return vport;
  }

  /** Removes a port and closes its device. */
  removePort(dp: Datapath, vport: Vport): void {
    for (const [name, ref] of this.byName) if (ref.vport === vport) this.byName.delete(name);
    dp.removeVport(vport);
  }

  /** Takes in what happened to devices. */
  sync(): void {
    this.options.portFactory.sync?.();
  }

  /** Sends what the ports of all datapaths have queued. */
  flush(): void {
    for (const dp of this.byIfindex.values()) dp.flush();
  }

  /** Removes everything. */
  close(): void {
    for (const dp of [...this.byIfindex.values()]) this.destroy(dp);
  }
}
