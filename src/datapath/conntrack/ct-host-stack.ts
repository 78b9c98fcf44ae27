/**
 * The host's own stack, which in the kernel shares the connection table: its packets come and go tracked in zone 0.  This does for packets
 * of internal ports what the stack would have done.  Neighbours: tracker.ts has the connections; datapath.ts brings the packets.
 * Source: net/netfilter/nf_conntrack_core.c (nf_conntrack_in, nf_conntrack_confirm), net/openvswitch/vport-internal_dev.c.
 */
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { ETH_HLEN, ETH_TYPE } from '../../packet/ethernet.ts';
import { IP, IP_MF, IP_OFFSET, IPPROTO, IPV6 } from '../../packet/ip.ts';
import type { Packet } from '../../packet/packet.ts';
import { NONE } from './conn-table.ts';
import type { Conntrack } from './conntrack.ts';
import { VERDICT } from './ct-constants.ts';
import { writeConnection } from './ct-key.ts';
import { IpView } from './ip-view.ts';
import type { Tracker } from './tracker.ts';

const W_TYPE = FIELD.ethType.word;
const W_FRAG = FIELD.nwFrag.word;

/** Connections of the host begin so: in zone 0, without a helper, with default timeouts. */
const HOST_TEMPLATE = { zone: 0, helper: 0, policy: 0 };

/** Whether the host's stack, at whose port of that MAC address the frame arrives, takes it in rather than leave it to those who listen. */
export function isForHost(pkt: Packet, address: Uint8Array): boolean {
  if (pkt.end - pkt.start < ETH_HLEN) return false;
  const { bytes } = pkt.arena;
  if ((bytes[pkt.start]! & 1) !== 0) return true;
  for (let i = 0; i < 6; i++) if (bytes[pkt.start + i] !== address[i]) return false;
  return true;
}

export class HostStack {
  private readonly tracker: Tracker;
  private readonly now: () => number;
  private readonly ip = new IpView();

  /** `now`: monotonic ms. */
  constructor({ tracker }: Conntrack, now: () => number) {
    this.tracker = tracker;
    this.now = now;
  }

  /** A packet that the host sent through an internal port: does what its stack would have done, and tells the key. */
  fromHost(pkt: Packet, key: FlowKey): void {
    const type = key[W_TYPE]! >>> 16;
    if ((type !== ETH_TYPE.IP && type !== ETH_TYPE.IPV6) || (key[W_FRAG]! & 0xff) !== 0) return;
    this.trackForHost(pkt, type);
    // What is not tracked, be it invalid, has no state until an action looks.
    if (this.tracker.connOf(pkt) !== NONE) writeConnection(key, this.tracker, pkt, 0);
  }

  /** A packet for the host, whose stack tracks it anew.  What the packet itself knows stays as it is. */
  toHost(pkt: Packet): void {
    const { view } = pkt.arena;
    const type = pkt.l3 === ETH_HLEN ? view.getUint16(pkt.start + ETH_HLEN - 2) : 0;
    if (type !== ETH_TYPE.IP && type !== ETH_TYPE.IPV6) return;
    // A fragment is tracked with its datagram; that it is the host who puts together.
    const l3 = pkt.start + ETH_HLEN;
    if (pkt.end - l3 < (type === ETH_TYPE.IP ? IP.HLEN : IPV6.HLEN)) return;
    if (type === ETH_TYPE.IP && (view.getUint16(l3 + IP.FRAG) & (IP_MF | IP_OFFSET)) !== 0) return;
    if (type === ETH_TYPE.IPV6 && view.getUint8(l3 + IPV6.NEXT) === IPPROTO.FRAGMENT) return;
    const { nfct, nfctGen, nfctInfo } = pkt;
    this.trackForHost(pkt, type);
    pkt.nfct = nfct;
    pkt.nfctGen = nfctGen;
    pkt.nfctInfo = nfctInfo;
  }

  private trackForHost(pkt: Packet, type: number): void {
    const { tracker, ip } = this;
    tracker.advance(this.now());
    pkt.nfct = 0;
    if (!ip.parse(pkt, type)) return;
    if (tracker.track(pkt, ip, HOST_TEMPLATE) === VERDICT.ACCEPT) tracker.confirm(pkt);
    else pkt.nfct = 0;
  }
}
