/**
 * Decoded messages about the switch itself: ports, tables, groups, meters, queues, extensions.  One shape for all versions.
 * `flow-types.ts` has the rest, and the conventions; `of-message.ts` the union of all.
 * Source: include/openvswitch/ofp-port.h, ofp-table.h, ofp-group.h, ofp-meter.h, ofp-queue.h, ofp-switch.h, ofp-ipfix.h, ofp-ct.h.
 */
import type { MfField, MfValue } from '../../fields/mf-field.ts';
import type { Ofpact, OfpactKind } from '../../ofpact.ts';

/** OFPUTIL_C_*: OpenFlow's bits, but STP, which 1.0 has where later versions have GROUP_STATS. */
// biome-ignore format: table
export const CAPABILITY = {
  FLOW_STATS: 1 << 0, TABLE_STATS: 1 << 1, PORT_STATS: 1 << 2, GROUP_STATS: 1 << 3, IP_REASM: 1 << 5, QUEUE_STATS: 1 << 6,
  ARP_MATCH_IP: 1 << 7, PORT_BLOCKED: 1 << 8, BUNDLES: 1 << 9, FLOW_MONITORING: 1 << 10, STP: 1 << 30,
} as const;

export interface SwitchFeatures {
  readonly datapathId: bigint;
  readonly nBuffers: number;
  readonly nTables: number;
  readonly auxiliaryId: number;
  /** CAPABILITY.* */
  readonly capabilities: number;
  /** Of 1.0: kinds of actions that the switch has. */
  readonly actions: readonly OfpactKind[];
  /** undefined: the version tells them elsewhere (port_desc). */
  readonly ports: readonly PhyPort[] | undefined;
}
export interface SwitchConfig {
  /** OFPC_FRAG_*. */
  readonly frag: number;
  /** undefined: the version cannot say it. */
  readonly invalidTtlToController: boolean | undefined;
  readonly missSendLen: number;
}
export interface DescStats {
  readonly mfrDesc: string;
  readonly hwDesc: string;
  readonly swDesc: string;
  readonly serialNum: string;
  readonly dpDesc: string;
}

/** A port's description.  Features are bits of NETDEV_F_*, which are those of OpenFlow 1.1 (OFPPF_*). */
export interface PhyPort {
  readonly portNo: number;
  /** 6 bytes. */
  readonly hwAddr: Uint8Array;
  readonly name: string;
  /** OFPPC.* */
  readonly config: number;
  /** OFPPS_* of 1.1 (link down, blocked, live), and the STP bits of 1.0. */
  readonly state: number;
  readonly curr: number;
  readonly advertised: number;
  readonly supported: number;
  readonly peer: number;
  /** kbit/s. */
  readonly currSpeed: number;
  readonly maxSpeed: number;
}
export interface PortStatus {
  /** OFPPR_*: 0 added, 1 deleted, 2 modified. */
  readonly reason: number;
  readonly desc: PhyPort;
}
export interface PortMod {
  readonly portNo: number;
  readonly hwAddr: Uint8Array;
  readonly config: number;
  readonly mask: number;
  /** 0: leave as it is. */
  readonly advertise: number;
}
/** Counters as Open vSwitch names them; a counter that is missing is not known. */
// biome-ignore format: names, several on a line
export const PORT_COUNTERS = [
  'rxPackets', 'txPackets', 'rxBytes', 'txBytes', 'rxErrors', 'txErrors', 'rxDropped', 'txDropped', 'collisions',
  'rxLengthErrors', 'rxOverErrors', 'rxCrcErrors', 'rxFrameErrors', 'rxFifoErrors', 'rxMissedErrors',
  'rxBroadcastPackets', 'txBroadcastPackets', 'rxUndersizedErrors', 'rxOversizeErrors', 'rxFragmentedErrors', 'rxJabberErrors',
  'rx1To64Packets', 'rx65To127Packets', 'rx128To255Packets', 'rx256To511Packets', 'rx512To1023Packets', 'rx1024To1522Packets',
  'rx1523ToMaxPackets', 'tx1To64Packets', 'tx65To127Packets', 'tx128To255Packets', 'tx256To511Packets', 'tx512To1023Packets',
  'tx1024To1522Packets', 'tx1523ToMaxPackets', 'txMulticastPackets', 'multicast',
] as const;
export type PortCounter = (typeof PORT_COUNTERS)[number];
export interface PortStats {
  readonly portNo: number;
  readonly counters: Readonly<Partial<Record<PortCounter, bigint>>>;
  readonly custom: readonly { readonly name: string; readonly value: bigint }[];
  readonly durationSec: number;
  readonly durationNsec: number;
}

export type TableMiss = 'default' | 'controller' | 'continue' | 'drop';
/** `vacancy*` are percents. */
export interface TableDesc {
  readonly tableId: number;
  /** undefined: not told. */
  readonly hasEviction: boolean | undefined;
  /** OFPTMPEF14_*; undefined: not told. */
  readonly evictionFlags: number | undefined;
  readonly hasVacancyEvents: boolean | undefined;
  readonly vacancyDown: number;
  readonly vacancyUp: number;
  readonly vacancy: number;
}
export interface TableMod extends TableDesc {
  readonly miss: TableMiss;
}
export interface TableStatus {
  /** OFPTR_*: 3 vacancy down, 4 vacancy up. */
  readonly reason: number;
  readonly desc: TableDesc;
}
export interface TableActionFeatures {
  readonly ofpacts: ReadonlySet<OfpactKind>;
  readonly setFields: ReadonlySet<MfField>;
}
export interface TableInstructionFeatures {
  readonly next: ReadonlySet<number>;
  /** Instructions as ofpacts name them. */
  readonly instructions: ReadonlySet<string>;
  readonly write: TableActionFeatures;
  readonly apply: TableActionFeatures;
}
export interface TableFeatures {
  /** OFPTFC15_*. */
  readonly command: number;
  readonly tableId: number;
  readonly name: string;
  readonly metadataMatch: bigint;
  readonly metadataWrite: bigint;
  readonly maxEntries: number;
  /** Whether the message had properties: a request without changes no table. */
  readonly hasProperties: boolean;
  readonly miss: TableMiss;
  readonly supportsEviction: boolean | undefined;
  readonly supportsVacancyEvents: boolean | undefined;
  readonly nonmissFeatures: TableInstructionFeatures;
  readonly missFeatures: TableInstructionFeatures;
  readonly match: ReadonlySet<MfField>;
  readonly mask: ReadonlySet<MfField>;
  readonly wildcard: ReadonlySet<MfField>;
}
export interface TableStats {
  readonly tableId: number;
  readonly activeCount: number;
  readonly lookupCount: bigint;
  readonly matchedCount: bigint;
  /** Of 1.0 to 1.2, whose reply tells features too. */
  readonly features: TableFeatures | undefined;
}

export const GROUP_TYPE = { ALL: 0, SELECT: 1, INDIRECT: 2, FF: 3 } as const;
/** OFPGC15_*; ADD_OR_MOD is Open vSwitch's own. */
export const GROUP_COMMAND = {
  ADD: 0,
  MODIFY: 1,
  DELETE: 2,
  INSERT_BUCKET: 3,
  REMOVE_BUCKET: 5,
  ADD_OR_MOD: 0x8000,
} as const;
/** OFPG15_BUCKET_*. */
export const GROUP_BUCKET = { MAX: 0xffffff00, FIRST: 0xfffffffd, LAST: 0xfffffffe, ALL: 0xffffffff } as const;
export interface Bucket {
  readonly weight: number;
  /** OFPP.NONE: none. */
  readonly watchPort: number;
  /** OFPG.ANY: none. */
  readonly watchGroup: number;
  readonly bucketId: number;
  readonly ofpacts: readonly Ofpact[];
}
export interface GroupProps {
  /** "", "hash", "dp_hash". */
  readonly selectionMethod: string;
  readonly selectionMethodParam: bigint;
  /** Fields to hash, with the bits of each that count. */
  readonly fields: readonly { readonly field: MfField; readonly value: MfValue }[];
}
export interface GroupDesc {
  readonly type: number;
  readonly groupId: number;
  readonly buckets: readonly Bucket[];
  readonly props: GroupProps;
}
export interface GroupMod extends GroupDesc {
  readonly command: number;
  readonly commandBucketId: number;
}
export interface GroupStats {
  readonly groupId: number;
  readonly refCount: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly buckets: readonly { readonly packetCount: bigint; readonly byteCount: bigint }[];
}
export interface GroupFeatures {
  readonly types: number;
  readonly capabilities: number;
  /** By type; so are the kinds of actions. */
  readonly maxGroups: readonly number[];
  readonly ofpacts: readonly ReadonlySet<OfpactKind>[];
}

export const METER = { MAX: 0xffff0000, SLOWPATH: 0xfffffffd, CONTROLLER: 0xfffffffe, ALL: 0xffffffff } as const;
export interface MeterBand {
  /** OFPMBT13_*: 1 drop, 2 DSCP remark. */
  readonly type: number;
  readonly precLevel: number;
  /** kbit/s or packets/s. */
  readonly rate: number;
  readonly burstSize: number;
}
export interface MeterConfig {
  readonly meterId: number;
  /** OFPMF13_*: 1 kbps, 2 pktps, 4 burst, 8 stats. */
  readonly flags: number;
  readonly bands: readonly MeterBand[];
}
export interface MeterMod extends MeterConfig {
  /** OFPMC13_*: 0 add, 1 modify, 2 delete. */
  readonly command: number;
}
export interface MeterStats {
  readonly meterId: number;
  readonly flowCount: number;
  readonly packetInCount: bigint;
  readonly byteInCount: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
  readonly bands: readonly { readonly packetCount: bigint; readonly byteCount: bigint }[];
}
export interface MeterFeatures {
  readonly maxMeters: number;
  /** 1 << OFPMBT13_*. */
  readonly bandTypes: number;
  readonly capabilities: number;
  readonly maxBands: number;
  readonly maxColor: number;
}
export type RequestForward =
  | { readonly reason: 'group_mod'; readonly xid: number; readonly groupMod: GroupMod }
  | { readonly reason: 'meter_mod'; readonly xid: number; readonly meterMod: MeterMod };

/** OFPQ_ALL. */
export const OFPQ_ALL = 0xffffffff;
export interface QueueRequest {
  /** OFPP.NONE: all. */
  readonly port: number;
  /** OFPQ_ALL: all. */
  readonly queue: number;
}
export interface QueueConfig {
  readonly port: number;
  readonly queue: number;
  /** Tenths of a percent; undefined: not told. */
  readonly minRate: number | undefined;
  readonly maxRate: number | undefined;
}
export interface QueueConfigReply {
  /** Before 1.4, that of all `queues`; then OFPP.NONE: each queue tells its own. */
  readonly port: number;
  readonly queues: readonly QueueConfig[];
}
export interface QueueStats extends QueueRequest {
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  readonly durationSec: number;
  readonly durationNsec: number;
}

export interface TlvMap {
  readonly optionClass: number;
  readonly optionType: number;
  /** Bytes of the option. */
  readonly optionLen: number;
  /** n of tun_metadataN. */
  readonly index: number;
}
export interface TlvTableMod {
  /** NXTTMC_*: 0 add, 1 delete, 2 clear. */
  readonly command: number;
  readonly mappings: readonly TlvMap[];
}
export interface TlvTableReply {
  readonly maxOptionSpace: number;
  readonly maxFields: number;
  readonly mappings: readonly TlvMap[];
}

/** Parts of a conntrack tuple; undefined: any.  Addresses have 4 or 16 bytes. */
export interface CtTuple {
  readonly src: Uint8Array | undefined;
  readonly dst: Uint8Array | undefined;
  /** Ports; of ICMP, id, type and code. */
  readonly srcPort: number | undefined;
  readonly dstPort: number | undefined;
  readonly icmpId: number | undefined;
  readonly icmpType: number | undefined;
  readonly icmpCode: number | undefined;
}
export interface CtFlush {
  /** undefined: all. */
  readonly zone: number | undefined;
  /** 0: any. */
  readonly ipProto: number;
  readonly orig: CtTuple | undefined;
  readonly reply: CtTuple | undefined;
}

export interface IpfixStats {
  readonly collectorSetId: number;
  readonly totalFlows: bigint;
  readonly currentFlows: bigint;
  readonly pkts: bigint;
  readonly ipv4Pkts: bigint;
  readonly ipv6Pkts: bigint;
  readonly errorPkts: bigint;
  readonly ipv4ErrorPkts: bigint;
  readonly ipv6ErrorPkts: bigint;
  readonly txPkts: bigint;
  readonly txErrors: bigint;
}
