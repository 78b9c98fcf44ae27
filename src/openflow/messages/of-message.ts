/**
 * Any OpenFlow message, decoded: a union told apart by `kind`, with a `body` that each kind gives its own type.
 *
 * Multipart messages have the entries of one part as their body, and say by `more` whether others follow.
 * Source: include/openvswitch/ofp-msgs.h (enum ofptype).
 */
import type { OfKind, OfpRaw } from '../ofp-msgs.ts';
import type * as F from './flow/flow-types.ts';
import type * as S from './switch/switch-types.ts';

/** A message that is its header alone. */
export type NoBody = undefined;

/** What the body of each kind is. */
export interface BodyOf {
  hello: F.HelloMsg;
  error: F.ErrorMsg;
  echo_request: F.EchoMsg;
  echo_reply: F.EchoMsg;
  features_request: NoBody;
  features_reply: S.SwitchFeatures;
  get_config_request: NoBody;
  get_config_reply: S.SwitchConfig;
  set_config: S.SwitchConfig;
  packet_in: F.PacketIn;
  flow_removed: F.FlowRemoved;
  port_status: S.PortStatus;
  packet_out: F.PacketOut;
  flow_mod: F.FlowMod;
  group_mod: S.GroupMod;
  port_mod: S.PortMod;
  table_mod: S.TableMod;
  barrier_request: NoBody;
  barrier_reply: NoBody;
  queue_get_config_request: S.QueueRequest;
  queue_get_config_reply: S.QueueConfigReply;
  role_request: F.RoleMsg;
  role_reply: F.RoleMsg;
  get_async_request: NoBody;
  get_async_reply: F.AsyncConfig;
  set_async_config: F.AsyncConfig;
  meter_mod: S.MeterMod;
  role_status: F.RoleStatus;
  requestforward: S.RequestForward;
  table_status: S.TableStatus;
  bundle_control: F.BundleControl;
  bundle_add_message: F.BundleAdd;
  desc_stats_request: NoBody;
  desc_stats_reply: S.DescStats;
  flow_stats_request: F.FlowStatsRequest;
  flow_stats_reply: readonly F.FlowStats[];
  aggregate_stats_request: F.FlowStatsRequest;
  aggregate_stats_reply: F.AggregateStats;
  table_stats_request: NoBody;
  table_stats_reply: readonly S.TableStats[];
  /** Port number; OFPP.NONE: all. */
  port_stats_request: number;
  port_stats_reply: readonly S.PortStats[];
  queue_stats_request: S.QueueRequest;
  queue_stats_reply: readonly S.QueueStats[];
  /** Group id; OFPG.ALL: all. */
  group_stats_request: number;
  group_stats_reply: readonly S.GroupStats[];
  group_desc_stats_request: number;
  group_desc_stats_reply: readonly S.GroupDesc[];
  group_features_stats_request: NoBody;
  group_features_stats_reply: S.GroupFeatures;
  /** Meter id; METER.ALL: all. */
  meter_stats_request: number;
  meter_stats_reply: readonly S.MeterStats[];
  meter_config_stats_request: number;
  meter_config_stats_reply: readonly S.MeterConfig[];
  meter_features_stats_request: NoBody;
  meter_features_stats_reply: S.MeterFeatures;
  table_features_stats_request: readonly S.TableFeatures[];
  table_features_stats_reply: readonly S.TableFeatures[];
  table_desc_request: NoBody;
  table_desc_reply: readonly S.TableDesc[];
  /** Port number; OFPP.NONE: all. */
  port_desc_stats_request: number;
  port_desc_stats_reply: readonly S.PhyPort[];
  flow_monitor_stats_request: readonly F.FlowMonitorRequest[];
  flow_monitor_stats_reply: readonly F.FlowUpdate[];
  /** NXFF_*: 0 of 1.0, 2 NXM. */
  set_flow_format: number;
  flow_mod_table_id: boolean;
  /** NXPIF_*: 0 standard, 1 NXT, 2 NXT2. */
  set_packet_in_format: number;
  flow_age: NoBody;
  set_controller_id: number;
  nxt_tlv_table_mod: S.TlvTableMod;
  nxt_tlv_table_request: NoBody;
  nxt_tlv_table_reply: S.TlvTableReply;
  nxt_resume: F.Resume;
  ipfix_bridge_stats_request: NoBody;
  ipfix_bridge_stats_reply: S.IpfixStats;
  ipfix_flow_stats_request: NoBody;
  ipfix_flow_stats_reply: readonly S.IpfixStats[];
  /** Zone. */
  ct_flush_zone: number;
  ct_flush: S.CtFlush;
  /** Id of the monitor. */
  flow_monitor_cancel: number;
  flow_monitor_paused: NoBody;
  flow_monitor_resumed: NoBody;
}

/** Compiles only if every kind of the table has a body, and nothing else has. */
type Exactly<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
export const everyKindHasABody: Exactly<keyof BodyOf, OfKind> = true;

export interface OfMessageOf<K extends OfKind> {
  readonly kind: K;
  /** The form that it came in, or is to have. */
  readonly raw: OfpRaw;
  /** Wire number. */
  readonly version: number;
  readonly xid: number;
  /** Multipart: other parts follow. */
  readonly more: boolean;
  readonly body: BodyOf[K];
}

/** Any message: `switch (msg.kind)` tells the type of `msg.body`. */
export type OfMessage = { [K in OfKind]: OfMessageOf<K> }[OfKind];
