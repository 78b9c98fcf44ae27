/**
 * What translation needs of a bridge, and what it is told of packets: the interface between `xlate*.ts` and `ofproto.ts`.
 */
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import type { TlvTable } from '../../openflow/fields/tlv-table.ts';
import type { FlowMod, PacketIn, PacketInPrivate } from '../../openflow/messages/flow/flow-types.ts';
import type { DpSupport } from '../backer/dp-support.ts';
import type { Group } from '../groups/group.ts';
import type { MacTable } from '../mac-learning.ts';
import type { McastSnooping } from '../mcast/mcast-snooping.ts';
import type { MirrorTable } from '../mirror/mirror-table.ts';
import type { Bundle, XPort } from '../ports/bundle.ts';
import type { Rule } from '../tables/rule.ts';

/** A bridge as translation sees it. */
export interface XBridge {
  readonly name: string;
  /** 16 bytes; stands in the cookies of userspace actions. */
  readonly uuid: Uint8Array;
  readonly macs: MacTable<Bundle>;
  /** In the order in which they were made. */
  readonly bundles: Iterable<Bundle>;
  /** undefined: none. */
  readonly mirrors?: MirrorTable;
  /** Whether NORMAL forwards frames to reserved addresses. */
  readonly forwardsBpdu?: boolean;
  /** undefined: multicast packets are flooded. */
  readonly mcast?: McastSnooping<Bundle> | undefined;
  /** Soon after this, changes of `mcast` have flows revalidated. */
  mcastChanged?(): void;
  /** By rising OpenFlow number. */
  readonly xports: Iterable<XPort>;
  xport(ofport: number): XPort | undefined;
  /** The other end of a patch port, and its bridge: such ports have no number in the datapath.  Undefined for other ports. */
  peerOf?(port: XPort): { readonly bridge: XBridge; readonly port: XPort } | undefined;
  /** The rule of flow table `table` for a packet. */
  lookupRule(table: number, flow: FlowKey, wc: FlowMask, how?: LookupHow): Rule;
  /** OpenFlow group `id`. */
  group?(id: number): Group | undefined;
  /** Number in the datapath of OpenFlow meter `id`, METER.CONTROLLER and SLOWPATH too. */
  meter?(id: number): number | undefined;
  /** Which options of tunnels are fields of tun_metadata; undefined: none. */
  readonly tlvTable?: TlvTable;
  /** Whether a controller is connected. */
  isControlled?(): boolean;
  /** Whether controllers are reached through the switch itself: its local port gets DHCP whatever rules say. */
  isInBand?(): boolean;
  /** What the datapath can do; what openvswitch.ko of Linux 6.1 can, if undefined. */
  readonly support?: DpSupport;
  /** What a flow asks for to have the timeouts of a zone of the connection tracker; undefined: the usual ones. */
  ctPolicyName?(zone: number, isIpv4: boolean, proto: number): string | undefined;
  /** Netlink port that packets of port `ofport` are sent up to. */
  upcallPid(ofport: number): number;
  /** The skb_priority of a queue, where it is not that of the kernel's traffic classes; undefined if it has none. */
  readonly queuePriority?: ((queue: number) => number | undefined) | undefined;
  /** Whether an exporter takes the samples of `sample` actions. */
  readonly samplesFlows?: boolean;
  /** A flow as the action learn makes it; `limit` as in the action. */
  learnFlow?(flowMod: FlowMod, limit: number): LearnedFlow;
  /** Lowers the timeouts of a rule, 0 leaving one as it is. */
  lowerTimeouts?(rule: Rule, idle: number, hard: number): void;
  /** Takes a packet that the tables send to a controller. */
  packetIn?(event: PacketInEvent): void;
  /** Notes that a frame from `mac` in `vlan` came in on `bundle`; `isGarp`: ARP that announces it. */
  learn(mac: number, vlan: number, bundle: Bundle, isGarp: boolean): void;
}

/** How a table is looked up, and what came of it. */
export interface LookupHow {
  /** Whether a packet that no rule matches may go to a controller; else it is dropped. */
  readonly mayPacketIn: boolean;
  /** Whether the table's own configuration says what a packet meets that no rule matches: another table may come next. */
  readonly honorsMiss: boolean;
  /** The port that the packet came in by, whatever port the look-up pretends. */
  readonly inPort: number;
  /** Is set to the table in which the look-up ended. */
  table: number;
  /** Is told of each table. */
  lookedUp(table: TableCounts, isMatch: boolean): void;
}
/** Packets that were looked up in a table. */
export interface TableCounts {
  nMatched: bigint;
  nMissed: bigint;
}

/** A flow that was learned, or is about to be. */
export interface LearnedFlow {
  readonly flowMod: FlowMod;
  /** Whether a flow of this match is in the table. */
  readonly isThere: boolean;
  /** Whether it may be added if `nMore` others like it come first. */
  fits(nMore: number): boolean;
  /** Adds it, or notes that it was learned again; not before a transaction that is under way has ended. */
  learn(): void;
}

/** A packet that the tables send to a controller. */
export interface PacketInEvent {
  /** The whole packet; no continuation, which each connection encodes by itself. */
  readonly packetIn: PacketIn;
  readonly controllerId: number;
  /** Bytes of the packet that the action asks for; 0xffff: all. */
  readonly maxLen: number;
  /** undefined: nothing was paused. */
  readonly private: PacketInPrivate | undefined;
}

/** Packets to credit to what a translation passes. */
export interface PushStats {
  readonly nPackets: bigint;
  readonly nBytes: bigint;
  readonly usedMs: number;
  /** Of all these packets together; 0 unless they are of TCP. */
  readonly tcpFlags?: number;
}
