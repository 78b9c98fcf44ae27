/**
 * How much a port may receive: two token buckets, one of bytes and one of packets, and a packet has to get what it needs from both.
 *
 * For openvswitch.ko that is done by the policer of traffic control, which sees what a device receives before the module does.  Ours
 * (port-netdev.ts) hears before traffic control, so it does it itself, when vswitchd says so; as there, a packet is measured
 * without its Ethernet header, and super-packets whole.
 * Source: net/sched/act_police.c, lib/netdev-linux.c (netdev_linux_set_policing).
 */
import type { VportPolicing } from '../../netlink/families/ovs-vport.ts';

const ETHERNET_HEADER = 14;

export class Policer {
  private readonly bytesPerMs: number;
  private readonly maxBytes: number;
  private readonly packetsPerMs: number;
  private readonly maxPackets: number;
  private bytes: number;
  private packets: number;
  private filledMs = 0;
  /** Packets that were too many. */
  nDropped = 0;

  constructor({ kbitsRate, kbitsBurst, kpktsRate, kpktsBurst }: VportPolicing) {
    // A rate of 0 is none.  What rates are told in is 1000 bits, and bursts 1024.
    this.bytesPerMs = kbitsRate === 0 ? 0 : kbitsRate / 8;
    this.maxBytes = kbitsRate === 0 ? Number.POSITIVE_INFINITY : (kbitsBurst * 1024) / 8;
    this.packetsPerMs = kpktsRate;
    this.maxPackets = kpktsRate === 0 ? Number.POSITIVE_INFINITY : kpktsBurst * 1000;
    this.bytes = this.maxBytes;
    this.packets = this.maxPackets;
  }

  /** Takes in what has come together until `nowMs`.  Hot path: once a batch. */
  refill(nowMs: number): void {
    const elapsed = nowMs - this.filledMs;
    this.filledMs = nowMs;
    this.bytes = Math.min(this.maxBytes, this.bytes + elapsed * this.bytesPerMs);
    this.packets = Math.min(this.maxPackets, this.packets + elapsed * this.packetsPerMs);
  }

  /** Whether a frame of `size` bytes may come in; takes its tokens if so, and else counts it.  Hot path. */
  admits(size: number): boolean {
    const bytes = this.bytes - (size - ETHERNET_HEADER);
    if (bytes < 0 || this.packets < 1) {
      this.nDropped++;
      return false;
    }
    this.bytes = bytes;
    this.packets--;
    return true;
  }
}

/** A policer, or undefined if nothing is limited. */
export const policerOf = (policing: VportPolicing): Policer | undefined =>
  policing.kbitsRate === 0 && policing.kpktsRate === 0 ? undefined : new Policer(policing);
