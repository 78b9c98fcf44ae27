/**
 * What all kinds of quality of service have in common: the interface between the kinds (classless-kinds.ts, classful-kinds.ts,
 * qos-kinds.ts) and the state of a device (device-qos.ts).  Source: lib/netdev-linux.c (struct tc_ops), vswitchd/vswitch.xml (QoS, Queue).
 */
import type { Smap } from '../config/row-source.ts';
import type { TcClient, TcObject } from './tc-client.ts';
import type { TcTicks } from './tc-ticks.ts';

/** A device, as far as kinds need it. */
export interface TcDevice {
  readonly name: string;
  readonly ifindex: number;
  readonly mtu: number;
  /** Speed of its link, bits per second: what is not limited otherwise is limited to that. */
  readonly linkBps: number;
}

/** How kinds reach the kernel. */
export interface TcContext {
  readonly tc: TcClient;
  readonly ticks: TcTicks;
}

/** What a queue has sent. */
export interface QueueCounters {
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
}

export interface Queue {
  /** Of the monotonic clock: when it was made, or first seen. */
  readonly createdMs: number;
  /** Queue.other_config as it is in force, by the names of that column. */
  readonly details: Smap;
}

/** A kind as it is installed on a device.  Methods that reach the kernel throw a NetlinkError. */
export interface Discipline {
  readonly kind: QosKind;
  /** QoS.other_config as it is in force. */
  readonly details: Smap;
  /** By number. */
  readonly queues: ReadonlyMap<number, Queue>;
  /** Makes it what QoS.other_config says. */
  configure(config: Smap, device: TcDevice): void;
  /** Adds queue `id`, or changes it to what Queue.other_config says. */
  setQueue(id: number, config: Smap, device: TcDevice): void;
  deleteQueue(id: number): void;
  /** What its queues, or the one of number `only`, have sent. */
  counters(only?: number): ReadonlyMap<number, QueueCounters>;
}

export interface QosKind {
  /** QoS.type. */
  readonly name: string;
  /** TCA_KIND of its qdisc; undefined: it has none of its own. */
  readonly linuxName: string | undefined;
  /** Queues have numbers below this; 0: it has none. */
  readonly nQueues: number;
  /** Puts it on a device on which only the kernel's own qdisc is; undefined: it cannot be asked for. */
  readonly install: ((context: TcContext, device: TcDevice, config: Smap) => Discipline) | undefined;
  /** Takes over what is on a device already. */
  load(context: TcContext, device: TcDevice, qdisc: TcObject | undefined): Discipline;
}

/** A whole number of a map, 0 or more; `otherwise` if it is none. */
export function smapUint(smap: Smap, key: string, otherwise = 0): number {
  const text = smap.get(key)?.trim() ?? '';
  return /^\+?\d+$/.test(text) ? Number(text) : otherwise;
}

const NO_QUEUES: ReadonlyMap<number, never> = new Map<number, never>();

/** A kind that has nothing to configure. */
export const inert = (kind: QosKind): Discipline => ({
  kind,
  details: new Map(),
  queues: NO_QUEUES,
  configure: () => undefined,
  setQueue: () => undefined,
  deleteQueue: () => undefined,
  counters: () => NO_QUEUES,
});
