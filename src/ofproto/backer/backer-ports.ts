/**
 * Which port of the datapath is which switch's: ports are put there and taken away for switches, those that vanish are noticed, and
 * those that nobody of us put there.  Neighbours: backer.ts has it; stray-watch.ts says when to look for strangers.
 * Source: ofproto/ofproto-dpif.c (odp_port_to_ofport, process_dpif_port_change, port_run).
 */
import type { Dpif } from '../../dpif/dpif.ts';
import { errnoOf } from '../../dpif/dpif-error.ts';
import { dpifFullName } from '../../dpif/dpif-name.ts';
import type { PortEvent } from '../../dpif/dpif-types.ts';
import { ERRNO } from '../../util/errno.ts';
import { vlog } from '../../util/vlog.ts';
import type { OfprotoSwitch } from '../ofproto.ts';
import { ODPP_NONE } from '../ports/bundle.ts';
import { PATCH } from '../ports/switch-port.ts';
import { tunnelDeviceName } from '../tunnel/tunnel-devices.ts';
import type { Tunnels } from '../tunnel/tunnels.ts';
import type { Scheduler } from '../udpif/scheduler.ts';
import { StrayWatch } from './stray-watch.ts';

const log = vlog('ofproto_dpif');

/** The datapath's own port, which no bridge has. */
const DP_LOCAL_PORT = 0;

/** Whose port it is, and what number it has there. */
export interface PortOwner {
  readonly bridge: OfprotoSwitch;
  readonly ofport: number;
}

/** Who is told of ports that come and go without us. */
export interface PortListener {
  vanished(bridge: string, port: string): void;
  /** There are ports that are nobody's. */
  strays(): void;
}

export class BackerPorts {
  private readonly dpif: Dpif;
  private readonly tunnels: Tunnels;
  private readonly switches: ReadonlyMap<string, OfprotoSwitch>;
  private readonly listener: PortListener;
  private readonly owners = new Map<number, PortOwner>();
  private readonly strayWatch: StrayWatch;
  private isClosed = false;
  /** One look at the datapath's ports at a time. */
  private resync: Promise<void> | undefined;

  /** `switches`, by name, may change at any time. */
  constructor(
    dpif: Dpif,
    tunnels: Tunnels,
    switches: ReadonlyMap<string, OfprotoSwitch>,
    scheduler: Scheduler,
    listener: PortListener,
  ) {
    this.dpif = dpif;
    this.tunnels = tunnels;
    this.switches = switches;
    this.listener = listener;
    const isPort = (name: string): boolean => [...switches.values()].some((s) => s.ports.has(name));
    this.strayWatch = new StrayWatch(scheduler, isPort, () => void this.findStrays());
  }

  /** Whose port `odpPort` is.  Hot path: once an upcall. */
  ownerOf(odpPort: number): PortOwner | undefined {
    return this.owners.get(odpPort);
  }

  /** The ports of a switch changed; `isGone`: the switch has none any more. */
  changed(ofproto: OfprotoSwitch, isGone: boolean): void {
    for (const [odpPort, owner] of this.owners) if (owner.bridge === ofproto) this.owners.delete(odpPort);
    if (isGone) return;
    for (const { odpPort, ofport, tunnel } of ofproto.xports) {
      if (odpPort !== ODPP_NONE && tunnel === undefined) this.owners.set(odpPort, { bridge: ofproto, ofport });
    }
  }

  /** Puts device `name` into the datapath, or finds it there; resolves to its number.  RangeError if a switch has it. */
  async attach(name: string, type: string): Promise<number> {
    const dpType = type === 'internal' ? 'internal' : 'system';
    const there = await this.dpif.portQuery(name);
    if (there !== undefined && there.type === dpType && there.portNo !== DP_LOCAL_PORT) {
      const owner = this.owners.get(there.portNo);
      if (owner === undefined) return there.portNo;
      throw new RangeError(`${name}: already a port of bridge ${owner.bridge.name}`);
    }
    if (there !== undefined && there.portNo !== DP_LOCAL_PORT) await this.dpif.portDel(there.portNo);
    return this.dpif.portAdd(name, dpType, undefined);
  }

  /** Takes a port out of the datapath, unless other tunnels go on with it. */
  async detach(odpPort: number): Promise<void> {
    if (!this.tunnels.devices.release(odpPort)) return;
    try {
      await this.dpif.portDel(odpPort, true);
    } catch (e) {
      // It went by itself: then it is where we want it.
      const errno = errnoOf(e);
      if (errno !== ERRNO.ENODEV && errno !== ERRNO.ENOENT) throw e;
    }
  }

  /** Ports of the datapath that are nobody's. */
  async strays(): Promise<{ name: string; portNo: number }[]> {
    const ports = await this.dpif.portDump();
    return ports
      .filter((p) => p.portNo !== DP_LOCAL_PORT && !this.owners.has(p.portNo))
      .filter((p) => this.tunnels.devices.nameOf(p.portNo) === undefined)
      .map(({ name, portNo }) => ({ name, portNo }));
  }

  /** The datapath has or had a port: what Dpif.portPoll says. */
  event(event: PortEvent): void {
    if (this.isClosed) return;
    if (event.kind === 'resync') this.strayWatch.added(undefined);
    else if (!event.deleted) {
      this.strayWatch.added(event.name);
      return;
    }
    // One look at all ports serves any number of events; those during a look ask for another.
    const look = async () => {
      try {
        await this.findVanished();
      } catch (e) {
        log.warn(() => `${dpifFullName(this.dpif)}: cannot list ports: ${String(e)}`);
      }
    };
    const next: Promise<void> = (this.resync ?? Promise.resolve()).then(look);
    this.resync = next;
    void next.then(() => {
      if (this.resync === next) this.resync = undefined;
    });
  }

  /** Forgets ports whose devices are no longer in the datapath; those that came back with another number have that. */
  private async findVanished(): Promise<void> {
    const ports = (s: OfprotoSwitch) => new Map(Array.from(s.ports.values(), (p) => [p, { ...p }]));
    const before = new Map([...this.switches].map(([name, s]) => [name, ports(s)]));
    const dumped = await this.dpif.portDump();
    const there = new Map(dumped.map((p) => [p.portNo, p.name]));
    const numbers = new Map(dumped.map((p) => [p.name, p.portNo]));
    for (const s of this.switches.values()) {
      for (const port of [...s.ports.values()]) {
        // A port that was added, or became another one of the datapath, while we asked is not missing.
        const device = port.tunnel === undefined ? port.name : tunnelDeviceName(port.tunnel);
        const was = before.get(s.name)?.get(port);
        if (port.type === PATCH || was?.odpPort !== port.odpPort || was.tunnel !== port.tunnel) continue;
        if (there.get(port.odpPort) === device) continue;
        const number = numbers.get(device);
        if (port.tunnel === undefined && number !== undefined && !this.owners.has(number)) {
          s.portRenumbered(port.name, number);
          continue;
        }
        if (port.tunnel !== undefined) this.tunnels.devices.forget(port.odpPort);
        s.portVanished(port.name);
        this.listener.vanished(s.name, port.name);
      }
    }
  }

  private async findStrays(): Promise<void> {
    try {
      if (!this.isClosed && (await this.strays()).length > 0) this.listener.strays();
    } catch (e) {
      log.dbg(() => `${dpifFullName(this.dpif)}: cannot list ports: ${String(e)}`);
    }
  }

  /** Nothing is looked for any more. */
  close(): void {
    this.isClosed = true;
    this.strayWatch.close();
  }
}
