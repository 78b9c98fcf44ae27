/**
 * The ports of a switch as requests read and change them: statistics, queues, port_mod.
 * Source: ofproto/ofproto.c (append_port_stat, update_port_config), ofproto/ofproto-dpif.c (port_get_stats).
 */
import type { DpifPortStats } from '../../dpif/dpif-types.ts';
import type { PortStats } from '../../openflow/messages/switch/switch-types.ts';
import { OFPP, OFPPC } from '../../openflow/ofp-port.ts';
import { monotonicMs } from '../../util/clock.ts';
import { vlog } from '../../util/vlog.ts';
import type { DeviceControl, DeviceCounters } from './device-control.ts';
import type { PortDevice } from './openflow-settings.ts';

const log = vlog('ofproto');

interface Port {
  readonly name: string;
  readonly ofport: number;
  /** OFPPC.*, but PORT_DOWN, which the device tells. */
  readonly config: number;
  /** Of a port without a device of its own, which counts by itself, and nothing but what it passed on. */
  readonly counts?: object | undefined;
  /** When it became one; 0: not known. */
  readonly createdMs?: number;
}

/** Whose ports they are. */
export interface PortOwner {
  /** By rising number. */
  readonly xports: Iterable<Port>;
  xport(ofport: number): Port | undefined;
  portStats?(name: string): Promise<DpifPortStats>;
  setPortConfig?(name: string, config: number): void;
  /** Says whether what is sent to the port goes anywhere. */
  setPortLive?(name: string, isLive: boolean): void;
}

/** A port, and the numbers of its queues. */
export interface PortQueues {
  readonly ofport: number;
  readonly queues: readonly number[];
  /** Undefined: there is none. */
  readonly device: DeviceControl | undefined;
}

const ownCounters = ({ rxPackets, txPackets, rxBytes, txBytes }: DpifPortStats): DeviceCounters['counters'] => ({
  rxPackets,
  txPackets,
  rxBytes,
  txBytes,
});

const NOTHING: DeviceCounters = { counters: {}, custom: [] };

export class PortControl {
  private readonly owner: PortOwner;
  private readonly devices: Map<string, PortDevice>;
  /** Tells connections of what changed. */
  private readonly changed: () => void;

  /** `devices` are by name. */
  constructor(owner: PortOwner, devices: Map<string, PortDevice>, changed: () => void) {
    this.owner = owner;
    this.devices = devices;
    this.changed = changed;
  }

  /** A port, or all of them (OFPP.NONE); none if there is no such port. */
  private select(ofport: number): Port[] {
    if (ofport === OFPP.NONE) return [...this.owner.xports];
    const port = this.owner.xport(ofport);
    return port === undefined ? [] : [port];
  }

  /** Statistics of a port, or of all (OFPP.NONE).  What cannot be read is left out. */
  stats(ofport: number): Promise<PortStats[]> {
    return Promise.all(this.select(ofport).map((port) => this.statsOf(port)));
  }

  private async statsOf(port: Port): Promise<PortStats> {
    const counted = await this.countersOf(port);
    const ageMs = Math.max(0, monotonicMs() - (port.createdMs ?? 0));
    const durationSec = Math.floor(ageMs / 1000);
    return { ...counted, portNo: port.ofport, durationSec, durationNsec: Math.floor((ageMs % 1000) * 1e6) };
  }

  private async countersOf({ name, counts }: Port): Promise<DeviceCounters> {
    try {
      const datapath = await this.owner.portStats?.(name);
      if (datapath !== undefined && counts !== undefined) return { counters: ownCounters(datapath), custom: [] };
      const control = this.devices.get(name)?.control;
      if (control !== undefined) return await control.counters(datapath);
      if (datapath === undefined) return NOTHING;
      const { upcallSuccess: _, upcallFail: __, ...counters } = datapath;
      return { counters, custom: [] };
    } catch (error) {
      log.dbg(() => `${name}: no statistics (${(error as Error).message})`);
      return NOTHING;
    }
  }

  /** The queues of a port, or of each (OFPP.NONE). */
  queues(ofport: number): PortQueues[] {
    return this.select(ofport).map((port) => {
      const device = this.devices.get(port.name)?.control;
      return { ofport: port.ofport, queues: device?.queues ?? [], device };
    });
  }

  /**
   * Makes those OFPPC bits of a port that `mask` has what they are in `config`.  A device that cannot be set up or down stays as it is.
   * `act` calls its argument, in which all changes are made, as part of the request.
   */
  async configure(ofport: number, config: number, mask: number, act: (apply: () => void) => void): Promise<void> {
    const name = this.owner.xport(ofport)?.name;
    if (name === undefined) return;
    const isUp = (config & OFPPC.PORT_DOWN) === 0;
    const device = this.devices.get(name);
    const isToggled = (mask & OFPPC.PORT_DOWN) !== 0 && device !== undefined && device.isUp !== isUp;
    const hasCarrier = isToggled ? await this.setUp(name, device, isUp) : undefined;
    act(() => {
      // It may be gone meanwhile, or be another.
      const port = this.owner.xport(ofport);
      const now = this.devices.get(name);
      if (port?.name !== name) return;
      if (hasCarrier !== undefined && now !== undefined) this.devices.set(name, { ...now, isUp });
      const others = mask & ~OFPPC.PORT_DOWN;
      this.owner.setPortConfig?.(name, (port.config & ~others) | (config & others));
      this.changed();
    });
    if (hasCarrier !== undefined) this.setCarrier(name, hasCarrier);
  }

  /** The link follows the device: nobody asked for that in so many words. */
  private setCarrier(name: string, hasCarrier: boolean): void {
    const device = this.devices.get(name);
    if (device === undefined) return;
    this.devices.set(name, { ...device, hasCarrier });
    this.owner.setPortLive?.(name, device.isUp && hasCarrier);
    this.changed();
  }

  /** Whether the link is up then; undefined: the device is as it was. */
  private async setUp(name: string, device: PortDevice, isUp: boolean): Promise<boolean | undefined> {
    try {
      return await device.control?.setUp(isUp);
    } catch (error) {
      log.warn(`${name}: cannot be set ${isUp ? 'up' : 'down'} (${(error as Error).message})`);
      return undefined;
    }
  }
}
