/** Types of the datapath interface (dpif.ts): what providers take and give.  Source: lib/dpif.h. */
import type { Ufid } from '../odp/odp-ufid.ts';

export type { Ufid };

/** An OVS_KEY_ATTR_* or OVS_ACTION_ATTR_* nest, without the header of the nest itself. */
export type Nest = Uint8Array;

/** A datapath port.  `type` is the userspace's name: "system", "internal", "vxlan" ... */
export interface DpifPort {
  readonly name: string;
  readonly type: string;
  readonly portNo: number;
  readonly ifindex: number | undefined;
  /** Of a port whose device is in another network namespace, where `ifindex` counts: the number that that one has in ours. */
  readonly netnsid?: number;
}

/** How much a port may receive: kbit and 1000 packets per second, and at once.  Rates of 0 do not limit. */
export interface DpifPortPolicing {
  readonly kbitsRate: number;
  readonly kbitsBurst: number;
  readonly kpktsRate: number;
  readonly kpktsBurst: number;
}

export interface DpifPortStats {
  readonly rxPackets: bigint;
  readonly txPackets: bigint;
  readonly rxBytes: bigint;
  readonly txBytes: bigint;
  readonly rxErrors: bigint;
  readonly txErrors: bigint;
  readonly rxDropped: bigint;
  readonly txDropped: bigint;
  /** OVS_VPORT_ATTR_UPCALL_STATS, where the datapath has them. */
  readonly upcallSuccess: bigint | undefined;
  readonly upcallFail: bigint | undefined;
}

/** struct dpif_dp_stats: since the datapath was made.  Undefined: that datapath does not count it. */
export interface DpifDpStats {
  readonly nHit: bigint;
  readonly nMissed: bigint;
  readonly nLost: bigint;
  readonly nFlows: bigint;
  readonly nMaskHit: bigint | undefined;
  readonly nMasks: number | undefined;
  readonly nCacheHit: bigint | undefined;
  /** Entries of the masks cache. */
  readonly masksCacheSize: number | undefined;
}

/** Counters are plain numbers, exact to 2^53: dumps of 100,000 flows, again and again, would make as many bigints. */
export interface DpifFlowStats {
  readonly nPackets: number;
  readonly nBytes: number;
  /** Monotonic ms (as clock.monotonicMs()) of the last packet; 0 if there was none. */
  readonly used: number;
  /** Bitwise OR of the TCP flags seen. */
  readonly tcpFlags: number;
}

/** A flow as a dump or a get gives it.  A terse dump leaves out key, mask and actions. */
export interface DpifFlow {
  readonly ufid: Ufid | undefined;
  readonly key: Nest | undefined;
  readonly mask: Nest | undefined;
  readonly actions: Nest | undefined;
  readonly stats: DpifFlowStats;
  /** Whether the datapath has threads of its own and this flow is its main one's; kernels have none. */
  readonly isOfMainThread?: boolean;
}

export const DPIF_FP = { CREATE: 1, MODIFY: 2, ZERO_STATS: 4, PROBE: 8 } as const;

/** One operation of `operate`.  `result` is set by it: 0 or a positive errno. */
export type DpifOp = DpifFlowPut | DpifFlowDel | DpifFlowGet | DpifExecute;

export interface DpifFlowPut {
  readonly type: 'put';
  /** DPIF_FP_* bits. */
  readonly flags: number;
  readonly key: Nest;
  /** Undefined: exact match. */
  readonly mask: Nest | undefined;
  readonly ufid: Ufid | undefined;
  readonly actions: Nest;
  /** Whether to ask for the statistics from before the change. */
  readonly wantStats?: boolean;
  stats?: DpifFlowStats;
  result?: number;
}

export interface DpifFlowDel {
  readonly type: 'del';
  readonly key: Nest | undefined;
  readonly ufid: Ufid | undefined;
  /** Whether to ask for the final statistics. */
  readonly wantStats?: boolean;
  stats?: DpifFlowStats;
  result?: number;
}

export interface DpifFlowGet {
  readonly type: 'get';
  readonly key: Nest | undefined;
  readonly ufid: Ufid | undefined;
  flow?: DpifFlow;
  result?: number;
}

export interface DpifExecute {
  readonly type: 'execute';
  /** Metadata (in_port, tunnel ...); headers are parsed from the packet. */
  readonly key: Nest;
  readonly actions: Nest;
  readonly packet: Uint8Array;
  readonly mru?: number;
  /** OVS_PACKET_ATTR_HASH to keep, from the upcall. */
  readonly hash?: bigint | undefined;
  readonly probe?: boolean;
  result?: number;
}

/** Why a packet came up. */
export const DPIF_UC = { MISS: 0, ACTION: 1 } as const;

/**
 * A packet that the datapath sent up.  The arrays are the handler's, but several upcalls may share one piece of memory, which lives as long as
 * any of them is held: copy what is to stay.
 */
export interface DpifUpcall {
  readonly type: (typeof DPIF_UC)[keyof typeof DPIF_UC];
  readonly packet: Uint8Array;
  readonly key: Nest;
  /** Of DPIF_UC.ACTION. */
  readonly userdata: Uint8Array | undefined;
  readonly egressTunKey: Uint8Array | undefined;
  readonly actions: Nest | undefined;
  readonly mru: number;
  readonly hash: bigint | undefined;
}

export type PortEvent =
  | { readonly kind: 'changed'; readonly name: string; readonly deleted: boolean }
  /** Notifications were lost: look at all ports again. */
  | { readonly kind: 'resync' };
