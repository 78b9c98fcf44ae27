/**
 * Kinds whose qdisc has classes, one for each queue: HTB and HFSC.
 *
 *     1:        the qdisc; what has no class goes to class 1:1, queue 0
 *     1:fffe    limits all of them: QoS.other_config
 *     1:n+1     queue n: Queue.other_config; the priority of its packets is this number (skb_priority)
 *
 * What the two do alike is here; how their classes are computed and written is in htb.ts and hfsc.ts.
 * Source: lib/netdev-linux.c, vswitchd/vswitch.xml (QoS, Queue), tc-htb(8), tc-hfsc(8).
 */
import { NetlinkError } from '../../netlink/errors.ts';
import { TC_H, tcHandle } from '../../netlink/families/tc.ts';
import { monotonicMs } from '../../util/clock.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { Smap } from '../config/row-source.ts';
import type { Discipline, QosKind, Queue, QueueCounters, TcContext, TcDevice } from './qos-kind.ts';
import type { TcObject } from './tc-client.ts';
import type { TcTicks } from './tc-ticks.ts';

const log = vlog('netdev_linux');
const limit = new RateLimit(5, 20);

const N_QUEUES = 0xf000;
const QDISC = tcHandle(1, 0);
const ROOT_CLASS = tcHandle(1, 0xfffe);
const classOf = (queue: number): number => tcHandle(1, queue + 1);

/** Rates in bytes per second. */
export interface Rates {
  readonly minRate: number;
  readonly maxRate: number;
}

/** How a kind's classes are computed, written and shown.  `C` is one class. */
export interface ClassRow<C extends Rates> {
  readonly linuxName: string;
  readonly qdiscOptions: Uint8Array;
  /** The class that limits all, from the rate that they may have together. */
  rootClass(maxRate: number): C;
  /** A queue's class, where all may have `total` together. */
  queueClass(config: Smap, total: number, device: TcDevice): C;
  encode(c: C, device: TcDevice, ticks: TcTicks): Uint8Array;
  /** undefined: not one that `encode` would make. */
  decode(options: Uint8Array, ticks: TcTicks): C | undefined;
  /** By the names of Queue.other_config. */
  details(c: C): Iterable<readonly [string, number]>;
}

class ClassfulQdisc<C extends Rates> implements Discipline {
  readonly kind: QosKind;
  readonly queues = new Map<number, Queue>();
  private readonly row: ClassRow<C>;
  private readonly context: TcContext;
  private readonly ifindex: number;
  private maxRate: number;

  constructor(kind: QosKind, row: ClassRow<C>, context: TcContext, ifindex: number, maxRate: number) {
    this.kind = kind;
    this.row = row;
    this.context = context;
    this.ifindex = ifindex;
    this.maxRate = maxRate;
  }

  get details(): Smap {
    return new Map([['max-rate', String(8 * this.maxRate)]]);
  }

  configure(config: Smap, device: TcDevice): void {
    const maxRate = totalRate(config, device);
    this.setClass(ROOT_CLASS, QDISC, this.row.rootClass(maxRate), device);
    this.maxRate = maxRate;
  }

  setQueue(id: number, config: Smap, device: TcDevice): void {
    const c = this.row.queueClass(config, this.maxRate, device);
    this.setClass(classOf(id), ROOT_CLASS, c, device);
    this.note(id, c);
  }

  deleteQueue(id: number): void {
    this.context.tc.deleteClass({ ifindex: this.ifindex, handle: classOf(id) });
    this.queues.delete(id);
  }

  counters(only?: number): ReadonlyMap<number, QueueCounters> {
    const { tc } = this.context;
    if (only === undefined) return countersOf(tc.classes(this.ifindex));
    const found = tc.getClass({ ifindex: this.ifindex, handle: classOf(only), parent: ROOT_CLASS });
    return countersOf(found === undefined ? [] : [found]);
  }

  /** Takes over the classes that are there. */
  loadQueues(classes: readonly TcObject[]): void {
    for (const { handle, options } of classes) {
      const id = queueOf(handle);
      const c = options === undefined ? undefined : this.row.decode(options, this.context.ticks);
      if (id !== undefined && c !== undefined) this.note(id, c);
    }
  }

  private note(id: number, c: C): void {
    const details = new Map([...this.row.details(c)].map(([key, value]) => [key, String(value)]));
    this.queues.set(id, { createdMs: this.queues.get(id)?.createdMs ?? monotonicMs(), details });
  }

  private setClass(handle: number, parent: number, c: C, device: TcDevice): void {
    const { tc, ticks } = this.context;
    const kind = this.row.linuxName;
    try {
      tc.setClass({ ifindex: device.ifindex, handle, parent, kind, options: this.row.encode(c, device, ticks) });
    } catch (error) {
      if (error instanceof NetlinkError) {
        const rates = `min_rate=${c.minRate} max_rate=${c.maxRate}`;
        log.warn(`failed to replace ${device.name} class 1:${handle & 0xffff}, ${rates} (${error.text})`, limit);
      }
      throw error;
    }
  }
}

/** The queue whose class this is; undefined: none's. */
function queueOf(handle: number): number | undefined {
  const minor = handle & 0xffff;
  return handle >>> 16 === 1 && minor > 0 && minor <= N_QUEUES ? minor - 1 : undefined;
}

function countersOf(classes: readonly TcObject[]): Map<number, QueueCounters> {
  const found = new Map<number, QueueCounters>();
  for (const { handle, stats2 } of classes) {
    const id = queueOf(handle);
    if (id === undefined) continue;
    const { bytes = 0n, packets = 0 } = stats2?.basic ?? {};
    found.set(id, { txBytes: bytes, txPackets: BigInt(packets), txErrors: BigInt(stats2?.queue?.drops ?? 0) });
  }
  return found;
}

/** Bytes per second that all queues may send together. */
function totalRate(config: Smap, device: TcDevice): number {
  return bytesPerSecond(config, 'max-rate') || Math.floor(device.linkBps / 8);
}

/** A rate of a map, which has bits per second; 0 if it has none. */
export function bytesPerSecond(config: Smap, key: string): number {
  const text = config.get(key)?.trim() ?? '';
  return /^\+?\d+$/.test(text) ? Math.floor(Number(text) / 8) : 0;
}

export function classfulKind<C extends Rates>(row: ClassRow<C>): QosKind {
  const kind: QosKind = {
    name: `linux-${row.linuxName}`,
    linuxName: row.linuxName,
    nQueues: N_QUEUES,
    install(context, device, config) {
      const { ifindex } = device;
      const { linuxName, qdiscOptions: options } = row;
      context.tc.addQdisc({ ifindex, handle: QDISC, parent: TC_H.ROOT, kind: linuxName, options });
      const qdisc = new ClassfulQdisc(kind, row, context, ifindex, 0);
      qdisc.configure(config, device);
      return qdisc;
    },
    load(context, { ifindex }) {
      const classes = context.tc.classes(ifindex);
      const root = classes.find(({ handle }) => handle === ROOT_CLASS)?.options;
      const total = root === undefined ? undefined : row.decode(root, context.ticks);
      const qdisc = new ClassfulQdisc(kind, row, context, ifindex, total?.maxRate ?? 0);
      qdisc.loadQueues(classes);
      return qdisc;
    },
  };
  return kind;
}
