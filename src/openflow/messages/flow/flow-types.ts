/**
 * Decoded messages about flows, packets and connections: one shape for all versions.
 *
 * Port numbers are those of OpenFlow 1.0 (`ofp-port.ts`), unknown 64-bit counters all ones, times as the names say.
 * Source: include/openvswitch/ofp-flow.h, ofp-packet.h, ofp-monitor.h, ofp-connection.h, ofp-bundle.h.
 */
import type { Match } from '../../match/match.ts';
import type { OfpErr } from '../../ofp-errors.ts';
import type { Ofpact } from '../../ofpact.ts';

export type { Match };

/** "Not told" of a 64-bit counter or a cookie, and of a buffer, a group and 32-bit times. */
export const UNKNOWN64 = 0xffff_ffff_ffff_ffffn;
export const UNKNOWN32 = 0xffff_ffff;
/** OFPG_ANY, OFPG_ALL: no group asked for; all groups. */
export const OFPG = { MAX: 0xffffff00, ALL: 0xfffffffc, ANY: 0xffffffff } as const;
/** OFPTT_ALL: every table. */
export const OFPTT_ALL = 0xff;
export const OFPFC = { ADD: 0, MODIFY: 1, MODIFY_STRICT: 2, DELETE: 3, DELETE_STRICT: 4 } as const;

/** Flags of a flow, whatever the version (OFPUTIL_FF_*). */
// biome-ignore format: table
export const FLOW_FLAG = {
  SEND_FLOW_REM: 1 << 0,
  NO_PKT_COUNTS: 1 << 1,
  NO_BYT_COUNTS: 1 << 2,
  CHECK_OVERLAP: 1 << 3, // means something in flow_mods only
  RESET_COUNTS:  1 << 4, // so does this
  EMERG:         1 << 5, // OpenFlow 1.0; refused
} as const;

export interface HelloMsg {
  /** A bit for each version that the peer speaks: 1 << wire number. */
  readonly versions: number;
}
export interface ErrorMsg {
  /** undefined: no error that is known. */
  readonly err: OfpErr | undefined;
  /** The beginning of the message that was wrong, or a text (hello failed). */
  readonly data: Uint8Array;
}
export interface EchoMsg {
  readonly data: Uint8Array;
}

export interface FlowMod {
  readonly match: Match;
  readonly priority: number;
  /** Flows with another cookie (under the mask) are left alone. */
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  /** For flows added; UNKNOWN64: none given. */
  readonly newCookie: bigint;
  /** Whether flows that are modified get `newCookie`. */
  readonly modifyCookie: boolean;
  /** OFPTT_ALL: any, or the switch chooses. */
  readonly tableId: number;
  /** OFPFC.* */
  readonly command: number;
  /** Seconds; 0: none. */
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  /** UNKNOWN32: none. */
  readonly bufferId: number;
  /** Only flows that output there; OFPP.NONE and OFPG.ANY: any. */
  readonly outPort: number;
  readonly outGroup: number;
  /** FLOW_FLAG.* */
  readonly flags: number;
  readonly importance: number;
  readonly ofpacts: readonly Ofpact[];
}

/** Of flow_stats_request and aggregate_stats_request. */
export interface FlowStatsRequest {
  readonly match: Match;
  readonly cookie: bigint;
  readonly cookieMask: bigint;
  readonly outPort: number;
  readonly outGroup: number;
  readonly tableId: number;
}
export interface FlowStats {
  readonly match: Match;
  readonly cookie: bigint;
  readonly tableId: number;
  readonly priority: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly durationSec: number;
  readonly durationNsec: number;
  /** Seconds since the last packet, and since the flow was modified; -1: not told. */
  readonly idleAge: number;
  readonly hardAge: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly flags: number;
  readonly importance: number;
  readonly ofpacts: readonly Ofpact[];
}
export interface AggregateStats {
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly flowCount: number;
}
export interface FlowRemoved {
  readonly match: Match;
  readonly cookie: bigint;
  readonly priority: number;
  /** OFPRR_*. */
  readonly reason: number;
  /** 255: not told. */
  readonly tableId: number;
  /** UNKNOWN32: not told. */
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
}

export interface PacketOut {
  /** Empty if `bufferId` is not UNKNOWN32. */
  readonly packet: Uint8Array;
  readonly bufferId: number;
  /** The input port, and from 1.5 on other metadata. */
  readonly flowMetadata: Match;
  readonly ofpacts: readonly Ofpact[];
}
export interface PacketIn {
  /** The packet, or its beginning. */
  readonly packet: Uint8Array;
  /** Bytes of the whole packet. */
  readonly totalLen: number;
  readonly bufferId: number;
  readonly flowMetadata: Match;
  /** OFPR_*. */
  readonly reason: number;
  readonly tableId: number;
  /** UNKNOWN64: no flow. */
  readonly cookie: bigint;
  readonly userdata: Uint8Array;
  /** The continuation of a paused packet, opaque to controllers (NXPINT_CONTINUATION); undefined: it was not paused. */
  readonly continuation: Uint8Array | undefined;
}
/** What a continuation holds. */
export interface PacketInPrivate {
  /** Of the bridge: 16 bytes. */
  readonly bridge: Uint8Array;
  /** The lowest first. */
  readonly stack: readonly Uint8Array[];
  readonly mirrors: number;
  readonly isConntracked: boolean;
  /** What is left to do: an `unroll_xlate` tells the rule of those that follow it. */
  readonly actions: readonly Ofpact[];
  readonly actionSet: readonly Ofpact[];
  /** Datapath port number; 0: not told. */
  readonly odpPort: number;
}
/** Of nxt_resume. */
export interface Resume {
  readonly packetIn: PacketIn;
  readonly private: PacketInPrivate;
}

export const ROLE = { NOCHANGE: 0, EQUAL: 1, PRIMARY: 2, SECONDARY: 3 } as const;
export interface RoleMsg {
  /** ROLE.* */
  readonly role: number;
  /** undefined: none given. */
  readonly generationId: bigint | undefined;
}
export interface RoleStatus {
  readonly role: number;
  /** OFPCRR_*. */
  readonly reason: number;
  readonly generationId: bigint;
}
export const ASYNC_TYPES = [
  'packetIn',
  'portStatus',
  'flowRemoved',
  'roleStatus',
  'tableStatus',
  'requestForward',
] as const;
export type AsyncType = (typeof ASYNC_TYPES)[number];
/** A bit for each reason, 1 << reason; a type that is missing was not mentioned. */
export type AsyncMasks = Readonly<Partial<Record<AsyncType, number>>>;
export interface AsyncConfig {
  /** For primary and equal controllers. */
  readonly primary: AsyncMasks;
  readonly secondary: AsyncMasks;
}

/** OFPBCT_*. */
// biome-ignore format: table
export const BUNDLE_CTRL = {
  OPEN_REQUEST: 0, OPEN_REPLY: 1, CLOSE_REQUEST: 2, CLOSE_REPLY: 3, COMMIT_REQUEST: 4, COMMIT_REPLY: 5, DISCARD_REQUEST: 6,
  DISCARD_REPLY: 7,
} as const;
export const BUNDLE_FLAG = { ATOMIC: 1, ORDERED: 2 } as const;
export interface BundleControl {
  readonly bundleId: number;
  readonly type: number;
  readonly flags: number;
}
export interface BundleAdd {
  readonly bundleId: number;
  readonly flags: number;
  /** The whole inner message; its xid and version are the outer's. */
  readonly message: Uint8Array;
}

/** OFPFMF14_*. */
// biome-ignore format: table
export const MONITOR_FLAG = {
  INITIAL: 1, ADD: 2, DELETED: 4, MODIFY: 8, INSTRUCTIONS: 16, NO_ABBREV: 32, ONLY_OWN: 64,
} as const;
export const MONITOR_COMMAND = { ADD: 0, MODIFY: 1, DELETE: 2 } as const;
export interface FlowMonitorRequest {
  readonly id: number;
  readonly command: number;
  readonly flags: number;
  readonly outPort: number;
  readonly outGroup: number;
  readonly tableId: number;
  readonly match: Match;
}
export type FlowUpdate =
  | {
      readonly event: 'added' | 'deleted' | 'modified' | 'initial';
      /** OFPRR_*, of `deleted`. */
      readonly reason: number;
      readonly idleTimeout: number;
      readonly hardTimeout: number;
      readonly tableId: number;
      readonly priority: number;
      readonly cookie: bigint;
      readonly match: Match;
      readonly ofpacts: readonly Ofpact[];
    }
  | { readonly event: 'abbrev'; readonly xid: number }
  | { readonly event: 'paused' | 'resumed' };
