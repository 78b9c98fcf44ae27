/**
 * A port of a datapath: a number, a device behind it (PortBackend), and whom its upcalls go to.
 * Source: net/openvswitch/vport.c.
 */
import type { DeviceStats, PortBackend } from './ports/port-backend.ts';

export interface VportSpec {
  /** 0 to 65534; 0 is the local port. */
  readonly portNo: number;
  /** OVS_VPORT_TYPE. */
  readonly type: number;
  readonly name: string;
  readonly backend: PortBackend;
  /** Netlink port ids for upcalls; an empty list or [0] means none. */
  readonly upcallPids?: readonly number[];
}

export class Vport {
  readonly portNo: number;
  readonly type: number;
  /** The device's name when the port was made: what look-ups by name find. */
  readonly name: string;
  readonly backend: PortBackend;
  /** Its backend's, beside it so that the hot path finds it in one place. */
  readonly rxTunnel: Int32Array | undefined;
  /** At least one; 0 for nobody. */
  upcallPids = new Uint32Array(1);
  /** OVS_VPORT_ATTR_UPCALL_STATS. */
  upcallSuccess = 0;
  upcallFail = 0;
  /** Frames that were larger than the device's MTU. */
  txErrors = 0;
  /** Has something queued since the last flush. */
  isDirty = false;

  constructor(spec: VportSpec) {
    this.portNo = spec.portNo;
    this.type = spec.type;
    this.name = spec.name;
    this.backend = spec.backend;
    this.rxTunnel = spec.backend.rxTunnel;
    this.setUpcallPids(spec.upcallPids ?? []);
  }

  /** Sets whom upcalls go to; an empty list for nobody. */
  setUpcallPids(pids: readonly number[]): void {
    this.upcallPids = Uint32Array.from(pids.length === 0 ? [0] : pids);
  }

  /** The device's counters, with what was dropped before it got there. */
  stats(): DeviceStats {
    const stats = this.backend.stats();
    stats.txErrors += BigInt(this.txErrors);
    return stats;
  }
}
