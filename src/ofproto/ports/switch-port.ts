/**
 * A port of a switch.  One of type "patch" has no device: what is sent out of it comes in by its peer, a patch port of a switch on the same
 * datapath that names it as its own peer.  A tunnel shares its datapath port with others of its type.  Both count by themselves.
 * Source: ofproto/ofproto-dpif.c (struct ofport_dpif, ofport_update_peer), lib/netdev-vport.c.
 */
import type { DpifPortStats } from '../../dpif/dpif-types.ts';
import type { TunnelSettings } from '../../dpif/tunnel-settings.ts';
import { monotonicMs } from '../../util/clock.ts';
import { type Bundle, ODPP_NONE, type PatchCounts, type XPort } from './bundle.ts';

/** Interface type of ports without device. */
export const PATCH = 'patch';

export class SwitchPort implements XPort {
  readonly name: string;
  readonly type: string;
  readonly ofport: number;
  readonly createdMs = monotonicMs();
  odpPort: number;
  config = 0;
  isUp = true;
  queueDscps: ReadonlyMap<number, number> | undefined;
  bundle: Bundle | undefined;
  /** Of a patch port: the name of the other one. */
  peer: string | undefined;
  readonly counts: PatchCounts | undefined;
  /** Of a tunnel port. */
  tunnel: TunnelSettings | undefined;

  /** A patch port has no `odpPort`. */
  constructor(name: string, type: string, ofport: number, odpPort: number = ODPP_NONE, tunnel?: TunnelSettings) {
    this.name = name;
    this.type = type;
    this.ofport = ofport;
    this.odpPort = odpPort;
    this.tunnel = tunnel;
    const countsItself = type === PATCH || tunnel !== undefined;
    this.counts = countsItself ? { rxPackets: 0n, rxBytes: 0n, txPackets: 0n, txBytes: 0n } : undefined;
  }

  /** What a port that counts by itself has counted; undefined for other ports. */
  get ownStats(): DpifPortStats | undefined {
    if (this.counts === undefined) return undefined;
    return {
      ...this.counts,
      rxErrors: 0n,
      txErrors: 0n,
      rxDropped: 0n,
      txDropped: 0n,
      upcallSuccess: undefined,
      upcallFail: undefined,
    };
  }
}
