/**
 * Sends packets on ports: the checks of the kernel's ovs_vport_send(), and in software what a device cannot do.  Frames
 * are queued on the port's backend until flush().  Hot path.
 */
import { ETH_HLEN, hasVlan, sizeWithoutVlan, VLAN_HLEN } from '../../packet/ethernet.ts';
import type { Packet } from '../../packet/packet.ts';
import { Refragmenter } from '../conntrack/frag/refragment.ts';
import { DROP } from '../drop-reasons.ts';
import type { SlotPool } from '../slot-pool.ts';
import type { Vport } from '../vport.ts';
import { completeChecksum, hasOffloads, Segmenter } from './segment.ts';

export class PortSender {
  private readonly slots: SlotPool;
  private readonly segmenter = new Segmenter();
  private readonly segment: Packet;
  private readonly refragmenter: Refragmenter;
  /** Ports with something queued: `dirty[0, nDirty)`. */
  private readonly dirty: Vport[] = [];
  private nDirty = 0;

  /** `random`: numbers in [0, 1), for fragment ids. */
  constructor(slots: SlotPool, random: () => number = Math.random) {
    this.slots = slots;
    this.refragmenter = new Refragmenter(random);
    this.segment = slots.newPacket();
  }

  /** Queues `pkt`, whose bytes must then stay as they are.  Returns a DROP reason, or -1 if it was taken. */
  send(pkt: Packet, vport: Vport): number {
    const { backend } = vport;
    const size = sizeWithoutVlan(pkt) - ETH_HLEN;
    // What stood behind a label or NSH was said to be a frame, and is not.
    if (size < 0) return DROP.L2_TYPE;
    if (pkt.mru !== 0 && size > pkt.mru) return pkt.mru > backend.mtu ? DROP.FRAGMENT : this.sendFragments(pkt, vport);
    if (size > backend.mtu && pkt.gsoType === 0) {
      vport.txErrors++;
      return DROP.OVER_MTU;
    }
    if (backend.takesOffloads || !hasOffloads(pkt)) {
      this.queue(pkt, vport);
      return -1;
    }
    return this.sendInSoftware(pkt, vport);
  }

  flush(): void {
    for (let i = 0; i < this.nDirty; i++) {
      const vport = this.dirty[i]!;
      vport.isDirty = false;
      vport.backend.flush();
    }
    this.nDirty = 0;
  }

  /** Makes a packet that has its bytes to itself one without offloads, a super-packet as if it had been small. */
  private finish(pkt: Packet): boolean {
    if (!completeChecksum(pkt)) return false;
    pkt.vnetFlags = pkt.gsoType = pkt.gsoSize = pkt.hdrLen = pkt.csumStart = pkt.csumOffset = 0;
    return true;
  }

  /** Cuts a packet to its cutLen, without counting its outermost VLAN tag.  False if there is no memory. */
  cut(pkt: Packet): boolean {
    // What a device would do with the part that is gone makes no sense any more.
    if (hasOffloads(pkt) && !(this.slots.moveToOwnSlot(pkt) && this.finish(pkt))) return false;
    pkt.end = pkt.start + Math.max(pkt.cutLen, ETH_HLEN) + (hasVlan(pkt) ? VLAN_HLEN : 0);
    return true;
  }

  private queue(pkt: Packet, vport: Vport): void {
    vport.backend.send(pkt);
    if (vport.isDirty) return;
    vport.isDirty = true;
    this.dirty[this.nDirty++] = vport;
  }

  /** What conntrack put together goes out as it came in. */
  private sendFragments(pkt: Packet, vport: Vport): number {
    const { segment, refragmenter, slots } = this;
    const n = refragmenter.begin(pkt);
    let reason: number = n < 0 ? DROP.FRAGMENT : -1;
    for (let i = 0; i < n; i++) {
      const slot = slots.take();
      if (slot < 0) {
        reason = DROP.NO_MEMORY;
        break;
      }
      segment.reset(slot);
      refragmenter.write(i, segment, n);
      this.queue(segment, vport);
    }
    segment.slot = -1;
    return reason;
  }

  /** In slots of its own: the packet's bytes may be queued elsewhere with the offloads that they have. */
  private sendInSoftware(pkt: Packet, vport: Vport): number {
    const { segment, segmenter, slots } = this;
    let reason = -1;
    if (pkt.gsoType === 0) {
      segment.cloneFrom(pkt);
      if (!slots.moveToOwnSlot(segment)) reason = DROP.NO_MEMORY;
      else if (!this.finish(segment)) reason = DROP.OFFLOAD;
      else this.queue(segment, vport);
    } else {
      const n = segmenter.begin(pkt);
      if (n < 0) reason = DROP.OFFLOAD;
      for (let i = 0; i < n; i++) {
        const slot = slots.take();
        if (slot < 0) {
          reason = DROP.NO_MEMORY;
          break;
        }
        segment.reset(slot);
        segmenter.write(i, segment);
        segment.txTunnel = pkt.txTunnel;
        segment.hash = pkt.hash;
        this.queue(segment, vport);
      }
    }
    segment.slot = -1;
    return reason;
  }
}
