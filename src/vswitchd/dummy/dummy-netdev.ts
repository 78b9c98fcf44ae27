/**
 * Dummy network devices, which exist in this process only: what arrives at one is put there by `ovs-appctl
 * netdev-dummy/receive`, or comes through its stream; what is sent goes into its stream and its capture files, and is
 * counted.  Their MAC addresses count up from aa:55:aa:55:00:00.
 * Source: lib/netdev-dummy.c, Documentation/topics/testing.rst.
 */
import { NetlinkError } from '../../netlink/errors.ts';
import type { DeviceCounters } from '../../ofproto/connmgr/device-control.ts';
import { ETH_HLEN, ETH_TYPE, VLAN_HLEN } from '../../packet/ethernet.ts';
import { countRx, countTx, type DeviceStats, newDeviceStats } from '../../util/device-stats.ts';
import { ERRNO } from '../../util/errno.ts';
import { vlog } from '../../util/vlog.ts';
import type { Netdev } from '../devices/netdev.ts';
import type { IpPrefix } from '../router/ip-prefix.ts';
import { arpReply } from './arp-reply.ts';
import { DummyStream } from './dummy-stream.ts';
import { PcapFile } from './pcap-file.ts';

const log = vlog('netdev_dummy');

/** Frames that wait at a receive queue. */
const MAX_QUEUE = 100;
const MIN_MTU = 68;
const MAX_MTU = 65535;
const MAX_QUEUES = 1024;

export const DUMMY_TYPES = ['dummy', 'dummy-internal', 'dummy-pmd'] as const;
export type DummyType = (typeof DUMMY_TYPES)[number];

export class DummyNetdev {
  readonly name: string;
  readonly type: string;
  /** Receive queues; more than one only with options:n_rxq of a dummy-pmd. */
  nRxq = 1;
  private nTxq = 1;
  ifindex = 0;
  private hasIfindex = false;
  mac: string;
  mtu = 1500;
  isUp = true;
  linkResets = 0;
  /** By which ARP requests are answered. */
  ip4: Uint8Array | undefined;
  /** Its networks, with the device's addresses: the one of `ip4`, and one of IPv6. */
  network4: IpPrefix | undefined;
  network6: IpPrefix | undefined;
  /** Those that nothing counts stay 0. */
  readonly counters = newDeviceStats();
  private readonly changed: (name: string) => void;
  private receiver: ((frame: Uint8Array) => void) | null = null;
  private readonly queue: Uint8Array[] = [];
  private isDelivering = false;
  private rxPcap: PcapFile | undefined;
  private txPcap: PcapFile | undefined;
  private stream: DummyStream | undefined;
  private applied = '';

  /** `changed` is told when one of the device's settings is another. */
  constructor(name: string, type: string, mac: string, changed: (name: string) => void) {
    this.name = name;
    this.type = type;
    this.mac = mac;
    this.changed = changed;
  }

  /** The device as others see it. */
  get netdev(): Netdev {
    const { name, ifindex, mac, mtu, isUp, linkResets } = this;
    return { name, ifindex, mac, mtu, isUp, hasCarrier: isUp, linkResets, kind: undefined };
  }

  /** Applies Interface.options.  What cannot be opened is logged, and done without. */
  configure(options: ReadonlyMap<string, string>): void {
    const text = JSON.stringify([...options].sort());
    if (text === this.applied) return;
    this.applied = text;
    this.hasIfindex = options.has('ifindex');
    this.ifindex = Math.max(0, Number.parseInt(options.get('ifindex') ?? '0', 10) || 0);
    if (this.type === 'dummy-pmd') {
      this.nRxq = queueCount(options.get('n_rxq'));
      this.nTxq = queueCount(options.get('n_txq'));
    }
    this.stream = DummyStream.reconfigure(this.stream, options, (frame) => this.receive(frame));
    this.closePcaps();
    const both = options.get('pcap');
    this.rxPcap = openPcap(both ?? options.get('rxq_pcap'));
    this.txPcap = both === undefined ? openPcap(options.get('tx_pcap')) : this.rxPcap;
  }

  attach(receiver: ((frame: Uint8Array) => void) | null): void {
    this.receiver = receiver;
    if (receiver === null) this.queue.length = 0;
  }

  /** A frame arrives.  It is handed over soon; not at all if nobody has opened the device, or too many wait. */
  receive(frame: Uint8Array): void {
    this.rxPcap?.write(frame);
    if (this.receiver === null || this.queue.length >= MAX_QUEUE) return;
    this.queue.push(frame);
    if (this.isDelivering) return;
    this.isDelivering = true;
    // Later, because a frame may be the answer to one that is just being sent.
    queueMicrotask(() => this.deliver());
  }

  private deliver(): void {
    for (let frame = this.queue.shift(); frame !== undefined; frame = this.queue.shift()) {
      countRx(this.counters, frame.length);
      this.receiver?.(frame);
    }
    this.isDelivering = false;
  }

  transmit(frame: Uint8Array): void {
    if (frame.length < ETH_HLEN || frame.length > this.mtu + ETH_HLEN + vlanRoom(frame)) return;
    countTx(this.counters, frame.length);
    this.stream?.send(frame);
    const reply = this.ip4 === undefined ? undefined : arpReply(frame, this.ip4, this.mac);
    if (reply !== undefined) this.receive(reply);
    this.txPcap?.write(frame);
  }

  stats(): DeviceStats {
    return { ...this.counters };
  }

  /** What OpenFlow is told: frames and bytes, and those of each queue.  Whatever comes in or goes out is queue 0's. */
  ownCounters(): DeviceCounters {
    const { rxPackets, txPackets, rxBytes, txBytes } = this.counters;
    const custom = [
      { name: 'rx_custom_packets_1', value: rxPackets },
      { name: 'rx_custom_packets_2', value: rxPackets },
    ];
    for (let q = 0; q < this.nRxq; q++) {
      custom.push({ name: `rx_q${q}_bytes`, value: q === 0 ? rxBytes : 0n });
      custom.push({ name: `rx_q${q}_packets`, value: q === 0 ? rxPackets : 0n });
    }
    custom.push({ name: 'tx_q0_bytes', value: txBytes }, { name: 'tx_q0_packets', value: txPackets });
    return { counters: { rxPackets, txPackets, rxBytes, txBytes }, custom };
  }

  /** For `dpif/show`: its number and its stream if it was given them, and the queues of a dummy-pmd. */
  settings(): Map<string, string> {
    const settings: Record<string, string> = {};
    if (this.hasIfindex) settings['ifindex'] = String(this.ifindex);
    if (this.stream !== undefined) settings[this.stream.isPassive ? 'pstream' : 'stream'] = this.stream.name;
    if (this.type === 'dummy-pmd') {
      // The queues that were asked for are there at once.
      for (const what of ['configured', 'requested']) {
        settings[`${what}_rx_queues`] = String(this.nRxq);
        settings[`${what}_tx_queues`] = String(this.nTxq);
      }
    }
    return new Map(Object.entries(settings).sort(([x], [y]) => (x < y ? -1 : 1)));
  }

  setAdminState(isUp: boolean): void {
    if (this.isUp === isUp) return;
    this.isUp = isUp;
    this.linkResets++;
    this.changed(this.name);
  }

  setMac(mac: string): void {
    if (this.mac === mac) return;
    this.mac = mac;
    this.changed(this.name);
  }

  /** Throws a NetlinkError EINVAL for an MTU that is none. */
  setMtu(mtu: number): void {
    if (mtu < MIN_MTU || mtu > MAX_MTU) throw new NetlinkError(ERRNO.EINVAL, `${this.name}: MTU ${mtu}`);
    if (this.mtu === mtu) return;
    this.mtu = mtu;
    this.changed(this.name);
  }

  /** Whether the stream that the device was told to open is connected; undefined if it was told none. */
  get isConnected(): boolean | undefined {
    return this.stream?.isConnected;
  }

  close(): void {
    this.attach(null);
    this.closePcaps();
    this.stream?.close();
    this.stream = undefined;
  }

  private closePcaps(): void {
    this.rxPcap?.close();
    if (this.txPcap !== this.rxPcap) this.txPcap?.close();
    this.rxPcap = undefined;
    this.txPcap = undefined;
  }
}

const queueCount = (option: string | undefined): number =>
  Math.min(MAX_QUEUES, Math.max(1, Number.parseInt(option ?? '1', 10) || 1));

/** A tag does not count against the MTU. */
const vlanRoom = (frame: Uint8Array): number =>
  (((frame[12] ?? 0) << 8) | (frame[13] ?? 0)) === ETH_TYPE.VLAN_8021Q ? VLAN_HLEN : 0;

function openPcap(path: string | undefined): PcapFile | undefined {
  if (path === undefined) return undefined;
  try {
    return new PcapFile(path);
  } catch (error) {
    log.warn(`${path}: failed to open pcap file for writing (${(error as Error).message})`);
    return undefined;
  }
}
