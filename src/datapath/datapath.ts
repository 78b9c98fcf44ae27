import type { FlowKey } from '../flow/flow-key.ts';
import type { Arena } from '../packet/packet.ts';
import type { ActionProgram } from './action-program.ts';
import type { FlowTable } from './flow-table.ts';
import type { UpcallSink } from './upcall.ts';
import type { Vport, VportSpec } from './vport.ts';

export interface DatapathOptions {
  readonly name: string;
  readonly arena: Arena;
  /** Monotonic time in ms. */
  readonly clock: () => number;
  readonly upcallSink: UpcallSink;
  /** Numbers in [0, 1), for SAMPLE and hash seeds. */
  readonly random?: () => number;
}

export interface ExecuteOptions {
  /** OVS_PACKET_ATTR_MRU, HASH (low 32 bits, 0: none), UPCALL_PID (0: none). */
  readonly mru?: number;
  readonly hash?: number;
  readonly upcallPid?: number;
  /** Leave the ports unflushed: the caller calls flush() after a batch of executions. */
  readonly isBatched?: boolean;
}

/** Signatures; see the commits that follow for the bodies. */
export declare class Datapath {
  readonly name: string;
  /** dp_ifindex: that of the local port's device; the netlink side sets it. */
  ifindex: number;
  readonly arena: Arena;
  readonly clock: () => number;
  readonly table: FlowTable;
  /** OVS_DP_STATS; nMaskHit and nCacheHit are in `table`. */
  nHit: number;
  nMissed: number;
  nLost: number;
  /** OVS_DP_F bits. */
  userFeatures: number;
  /** OVS_DP_ATTR_PER_CPU_PIDS; empty if not set. */
  perCpuPids: Uint32Array;
  /** Number of ports. */
  readonly nPorts: number;
  constructor(options: DatapathOptions);
  /** Makes a vport and starts receiving on it.  The caller has checked that the number is free and below 65535. */
  addVport(spec: VportSpec): Vport;
  /** Stops it, closes its backend. */
  removeVport(vport: Vport): void;
  vport(portNo: number): Vport | undefined;
  /** In order of their numbers. */
  vports(): Vport[];
  /**
   * OVS_PACKET_CMD_EXECUTE: runs `program` on a copy of `packet[0, size)`.  `key` holds the metadata that the request's
   * key gave (in_port, priority, mark, recirc_id, hash, ct, tunnel) and is completed from the packet (changed).
   * Returns 0 or -errno.
   */
  extractForExecute(packet: Uint8Array, offset: number, size: number, key: FlowKey): number;
  execute(key: FlowKey, program: ActionProgram, options?: ExecuteOptions): number;
  /** Sends what is queued on all ports. */
  flush(): void;
  /** Removes all vports and flows. */
  close(): void;
}
