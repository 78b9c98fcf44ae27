/**
 * The quality of service of the host's devices: what is installed on each, and making it what the database wants.
 *
 * A device's qdisc is asked for when it is first needed; from then on we take it for what we made it.  A new device of the same name
 * is another device.  bridge-qos.ts configures; device-control.ts and commands/qos-commands.ts ask.
 * Source: lib/netdev-linux.c (netdev_linux_set_qos and others), vswitchd/bridge.c (iface_configure_qos).
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { NetlinkError } from '../../netlink/errors.ts';
import { TC_H } from '../../netlink/families/tc.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { Smap } from '../config/row-source.ts';
import { policeDevice } from './policing.ts';
import type { PolicingConfig, QosConfig } from './qos-config.ts';
import type { Discipline, Queue, QueueCounters, TcContext, TcDevice } from './qos-kind.ts';
import { DEFAULT_KIND, kindOfQdisc, NOOP_KIND, qosKind } from './qos-kinds.ts';
import { TcClient } from './tc-client.ts';
import { TcTicks } from './tc-ticks.ts';

const log = vlog('netdev_linux');
const limit = new RateLimit(5, 20);
const NO_CONFIG: Smap = new Map();
/** Queues that are set up before others get their turn: there may be tens of thousands. */
const QUEUES_A_TURN = 64;

/** What is in force on a device. */
export interface QosShown {
  /** QoS.type; "" if there is none. */
  readonly type: string;
  readonly details: Smap;
  readonly queues: ReadonlyMap<number, Queue>;
}

interface Entry {
  readonly device: TcDevice;
  /** undefined: not asked for yet. */
  current: Discipline | undefined;
  /** The configuration that is in force, as text; undefined: not all of it could be applied. */
  applied: string | undefined;
}

export class DeviceQos {
  private readonly context: TcContext;
  private readonly entries = new Map<string, Entry>();

  constructor(context: TcContext = { tc: new TcClient(), ticks: TcTicks.ofKernel() }) {
    this.context = context;
  }

  /** Makes a device what the database wants; what cannot be done is logged.  Whether all went well; if not, another call tries again. */
  async configure(device: TcDevice, qos: QosConfig | undefined): Promise<boolean> {
    const entry = this.entry(device);
    const wanted = JSON.stringify([device, qos], (_, value) => (value instanceof Map ? [...value].sort() : value));
    if (entry.applied === wanted) return true;
    entry.applied = undefined;
    let isDone = this.attempt(() => this.install(entry, qos));
    if (qos !== undefined) isDone = (await this.configureQueues(entry, qos)) && isDone;
    if (isDone) entry.applied = wanted;
    return isDone;
  }

  /** Has the kernel limit what a device receives.  Whether it does; why not is logged. */
  police(device: TcDevice, policing: PolicingConfig): boolean {
    return this.attempt(() => policeDevice(this.context, device, policing));
  }

  /** The interface is not ours any more; its device keeps what it has. */
  forget(name: string): void {
    this.entries.delete(name);
  }

  /** What is in force on an interface's device; undefined: none of ours.  Throws a NetlinkError if the kernel does not tell. */
  show(name: string): QosShown | undefined {
    const entry = this.entries.get(name);
    if (entry === undefined) return undefined;
    const { kind, details, queues } = this.discipline(entry);
    return { type: kind.name, details, queues };
  }

  /** What queues have sent: all, or that of number `only`.  Throws a NetlinkError. */
  counters(name: string, only?: number): ReadonlyMap<number, QueueCounters> {
    const entry = this.entries.get(name);
    return entry === undefined ? new Map() : this.discipline(entry).counters(only);
  }

  close(): void {
    this.entries.clear();
    this.context.tc.close();
  }

  private entry(device: TcDevice): Entry {
    const known = this.entries.get(device.name);
    const isSame = known?.device.ifindex === device.ifindex;
    const entry: Entry = { current: undefined, applied: undefined, ...(isSame && known), device };
    this.entries.set(device.name, entry);
    return entry;
  }

  private discipline(entry: Entry): Discipline {
    const { device } = entry;
    if (entry.current === undefined) {
      const qdisc = this.context.tc.rootQdisc(device.ifindex);
      // The kernel gives no handle to those that it puts there by itself.
      const isDefault = qdisc === undefined || qdisc.handle === 0;
      const kind = isDefault ? DEFAULT_KIND : kindOfQdisc(qdisc.kind);
      entry.current = kind.load(this.context, device, qdisc);
    }
    return entry.current;
  }

  private install(entry: Entry, qos: QosConfig | undefined): void {
    const { context } = this;
    const { device } = entry;
    const kind = qosKind(qos?.type ?? '');
    const config = qos?.config ?? NO_CONFIG;
    if (kind?.install === undefined) {
      log.info(`${device.name}: QoS type "${qos?.type}" is not supported`);
      return;
    }
    if (kind === NOOP_KIND) {
      entry.current = kind.install(context, device, config);
      return;
    }
    const current = this.discipline(entry);
    if (current.kind === kind) {
      current.configure(config, device);
      return;
    }
    entry.current = undefined;
    try {
      context.tc.deleteQdisc({ ifindex: device.ifindex, parent: TC_H.ROOT });
      entry.current = kind.install(context, device, config);
    } catch (error) {
      if (error instanceof NetlinkError) log.warn(`${device.name}: Failed to install new qdisc: ${error.text}`, limit);
      throw error;
    }
  }

  /** Whether all went well. */
  private async configureQueues(entry: Entry, qos: QosConfig): Promise<boolean> {
    const { device } = entry;
    let isDone = true;
    const attempt = (what: () => void): void => {
      isDone = this.attempt(what) && isDone;
    };
    let discipline: Discipline | undefined;
    attempt(() => {
      discipline = this.discipline(entry);
    });
    if (discipline === undefined) return false;
    const { queues, kind } = discipline;
    const wanted = new Map(qos.queues.map((queue) => [queue.id, queue.config]));
    let n = 0;
    for (const id of [...queues.keys()]) {
      if (wanted.has(id)) continue;
      attempt(() => discipline?.deleteQueue(id));
      if (++n % QUEUES_A_TURN === 0) await nextTurn();
    }
    // What no flow sends to a queue goes to this one.
    if (!wanted.has(0)) wanted.set(0, NO_CONFIG);
    for (const [id, config] of wanted) {
      if (id >= kind.nQueues) continue;
      attempt(() => discipline?.setQueue(id, config, device));
      if (++n % QUEUES_A_TURN === 0) await nextTurn();
    }
    return isDone;
  }

  private attempt(what: () => void): boolean {
    try {
      what();
      return true;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      log.dbg(`QoS: ${error.message}`);
      return false;
    }
  }
}
