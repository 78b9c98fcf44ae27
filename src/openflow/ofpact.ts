/**
 * OpenFlow actions and instructions as this switch has them inside, whatever the version on the wire: "ofpacts".
 *
 * `actions/` decodes, encodes, parses, prints and checks them, one table row a kind; translation (`ofproto/xlate*`) carries them out.
 * An array of ofpacts also holds the instructions of OpenFlow 1.1 and later, in the order in which they are carried out: meter, the actions of
 * apply_actions, clear_actions, write_actions, write_metadata, goto_table.
 * Source: include/openvswitch/ofp-actions.h, ovs-actions(7).
 */
import type { MfField, MfValue, Subfield } from './fields/mf-field.ts';

/** What each wire form was, where one kind has several: text and encoding follow it. */
export type OfpactCompat = string;

/** NX_HASH_FIELDS_*: which fields a hash is of. */
export type HashFields =
  | 'eth_src'
  | 'symmetric_l4'
  | 'symmetric_l3l4'
  | 'symmetric_l3l4+udp'
  | 'nw_src'
  | 'nw_dst'
  | 'symmetric_l3';

export interface OfpactOutput {
  readonly kind: 'output';
  readonly port: number /** Bytes for CONTROLLER; 0xffff all. */;
  readonly maxLen: number;
}
export interface OfpactGroup {
  readonly kind: 'group';
  readonly groupId: number;
}
export interface OfpactController {
  readonly kind: 'controller';
  readonly maxLen: number;
  readonly controllerId: number;
  /** OFPR_*. */
  readonly reason: number;
  /** Text, and later messages, continue from here. */
  readonly pause: boolean;
  readonly userdata: Uint8Array;
  /** 0: none of its own. */
  readonly meterId: number;
  /** 'controller2': it came as NXAST_CONTROLLER2 and goes out so. */
  readonly compat?: OfpactCompat;
}
export interface OfpactEnqueue {
  readonly kind: 'enqueue';
  readonly port: number;
  readonly queue: number;
}
export interface OfpactOutputReg {
  readonly kind: 'output_reg';
  readonly src: Subfield;
  readonly maxLen: number;
  /** 'output_reg2': it came as NXAST_OUTPUT_REG2 and goes out so. */
  readonly compat?: OfpactCompat;
}
export interface OfpactOutputTrunc {
  readonly kind: 'output_trunc';
  readonly port: number;
  readonly maxLen: number;
}
export interface OfpactBundle {
  readonly kind: 'bundle';
  readonly algorithm: 'active_backup' | 'hrw';
  readonly fields: HashFields;
  readonly basis: number;
  readonly members: readonly number[];
  /** bundle_load: where the number of the port goes. */
  readonly dst: Subfield | undefined;
}
/** Value and mask are as long as the field; bits outside of the mask are 0.  `isLoad`: it came as reg_load (the text says load:). */
export interface OfpactSetField {
  readonly kind: 'set_field';
  readonly field: MfField;
  readonly value: MfValue;
  readonly mask: MfValue;
  readonly isLoad: boolean;
  /** Whether the packet has a tag for sure, noted by a check: OpenFlow 1.1 need not push one. */
  readonly flowHasVlan?: boolean;
  /** 'reg_load2': it came as NXAST_REG_LOAD2 and goes out so. */
  readonly compat?: OfpactCompat;
  /** Bytes of the value in the message, of a tun_metadata that is not bound to a field yet. */
  readonly wireSize?: number;
}
export interface OfpactSetVlanVid {
  readonly kind: 'set_vlan_vid';
  readonly vid: number /** Push a tag if there is none (OpenFlow 1.0). */;
  readonly pushIfNone: boolean;
  readonly flowHasVlan: boolean;
}
export interface OfpactSetVlanPcp {
  readonly kind: 'set_vlan_pcp';
  readonly pcp: number;
  readonly pushIfNone: boolean;
  readonly flowHasVlan: boolean;
}
export interface OfpactStripVlan {
  readonly kind: 'strip_vlan' /** It came as OpenFlow 1.1's pop_vlan. */;
  readonly isPop: boolean;
}
export interface OfpactPushVlan {
  readonly kind: 'push_vlan';
  readonly ethType: number;
}
export interface OfpactSetEth {
  readonly kind: 'mod_dl_src' | 'mod_dl_dst' /** 6 bytes. */;
  readonly mac: Uint8Array;
}
export interface OfpactSetIpv4 {
  readonly kind: 'mod_nw_src' | 'mod_nw_dst';
  readonly ipv4: number;
}
/** `value` of mod_nw_tos has DSCP in its upper 6 bits. */
export interface OfpactSetIpByte {
  readonly kind: 'mod_nw_tos' | 'mod_nw_ecn' | 'mod_nw_ttl';
  readonly value: number;
}
export interface OfpactSetL4Port {
  readonly kind: 'mod_tp_src' | 'mod_tp_dst';
  readonly port: number;
  /** Protocol that the flow matches, noted by a check: later versions name the field by it. */
  readonly ipProto?: number;
}
export interface OfpactRegMove {
  readonly kind: 'move';
  readonly src: Subfield;
  readonly dst: Subfield;
  /** 'copy_field': it came as the standard action, or ONF's for OpenFlow 1.3, and goes out so. */
  readonly compat?: OfpactCompat;
}
export interface OfpactStack {
  readonly kind: 'push' | 'pop';
  readonly subfield: Subfield;
}
export interface OfpactDecTtl {
  readonly kind: 'dec_ttl' /** Controllers to be told of a TTL of 0 or 1. */;
  readonly controllerIds: readonly number[] /** It came as dec_ttl_cnt_ids. */;
  readonly hasIds: boolean;
}
export interface OfpactSetMpls {
  readonly kind: 'set_mpls_label' | 'set_mpls_tc' | 'set_mpls_ttl';
  readonly value: number;
}
export interface OfpactPushMpls {
  readonly kind: 'push_mpls';
  readonly ethType: number;
}
export interface OfpactPopMpls {
  readonly kind: 'pop_mpls';
  readonly ethType: number;
}
export interface OfpactPlain {
  readonly kind:
    | 'dec_mpls_ttl'
    | 'dec_nsh_ttl'
    | 'pop_queue'
    | 'exit'
    | 'ct_clear'
    | 'debug_recirc'
    | 'debug_slow'
    | 'clear_actions';
}
export interface OfpactDeleteField {
  readonly kind: 'delete_field';
  readonly field: MfField;
}
export interface EncapProp {
  readonly propClass: number;
  readonly type: number;
  readonly value: Uint8Array;
}
/** `packetType`: ns << 16 | type. */
export interface OfpactEncap {
  readonly kind: 'encap';
  readonly packetType: number;
  readonly headerSize: number;
  readonly props: readonly EncapProp[];
}
export interface OfpactDecap {
  readonly kind: 'decap';
  readonly newPacketType: number;
}
export interface OfpactSetTunnel {
  readonly kind: 'set_tunnel';
  readonly tunId: bigint /** It came as set_tunnel64. */;
  readonly is64: boolean;
}
export interface OfpactSetQueue {
  readonly kind: 'set_queue';
  readonly queue: number;
}
export interface OfpactFinTimeout {
  readonly kind: 'fin_timeout';
  readonly idle: number;
  readonly hard: number;
}
export interface OfpactResubmit {
  readonly kind: 'resubmit';
  readonly inPort: number;
  /** 255: the current table. */
  readonly table: number;
  /** resubmit(,,ct): look up with source and destination as the connection's original direction has them. */
  readonly withCtOrig: boolean;
  readonly compat: OfpactCompat;
}
export interface LearnSpec {
  /** `immediate`: bits as long as nBits, right-aligned bytes. */
  readonly src:
    | { readonly kind: 'field'; readonly subfield: Subfield }
    | { readonly kind: 'immediate'; readonly value: Uint8Array };
  readonly dst: { readonly kind: 'match' | 'load'; readonly subfield: Subfield } | { readonly kind: 'output' };
  readonly bits: number;
}
export interface OfpactLearn {
  readonly kind: 'learn';
  readonly idleTimeout: number;
  readonly hardTimeout: number;
  readonly priority: number;
  readonly table: number;
  readonly cookie: bigint;
  readonly finIdleTimeout: number;
  readonly finHardTimeout: number;
  /** NX_LEARN_F_*: 1 send_flow_rem, 2 delete_learned, 4 write_result. */
  readonly flags: number;
  /** 0: none. */
  readonly limit: number;
  readonly resultDst: Subfield | undefined;
  readonly specs: readonly LearnSpec[];
  /** 'learn2': it came as NXAST_LEARN2 and goes out so. */
  readonly compat?: OfpactCompat;
}
export interface OfpactConjunction {
  readonly kind: 'conjunction';
  readonly id: number /** From 0. */;
  readonly clause: number;
  readonly nClauses: number;
}
export interface OfpactMultipath {
  readonly kind: 'multipath';
  readonly fields: HashFields;
  readonly basis: number;
  readonly algorithm: 'modulo_n' | 'hash_threshold' | 'hrw' | 'iter_hash';
  readonly maxLink: number;
  readonly arg: number;
  readonly dst: Subfield;
}
export interface OfpactNote {
  readonly kind: 'note';
  readonly data: Uint8Array;
}
export interface OfpactSample {
  readonly kind: 'sample';
  readonly probability: number;
  readonly collectorSetId: number;
  readonly obsDomainId: number;
  readonly obsPointId: number;
  readonly samplingPort: number;
  readonly direction: 'default' | 'ingress' | 'egress';
  readonly compat: OfpactCompat;
}
/** Not on the wire: a frozen translation goes back to this table and cookie. */
export interface OfpactUnrollXlate {
  readonly kind: 'unroll_xlate';
  readonly ruleTable: number;
  readonly ruleCookie: bigint;
}
export interface OfpactCt {
  readonly kind: 'ct';
  /** NX_CT_F_*: 1 commit, 2 force. */
  readonly flags: number;
  readonly zoneSrc: Subfield | undefined;
  readonly zoneImm: number;
  readonly alg: number;
  /** 255: none. */
  readonly recircTable: number;
  /** set_field of ct_mark and ct_label, and nat. */
  readonly actions: readonly Ofpact[];
}
export interface OfpactNat {
  readonly kind: 'nat';
  /** NX_NAT_F_*: 1 src, 2 dst, 4 persistent, 8 protocol hash, 16 protocol random. */
  readonly flags: number;
  /** Big-endian bytes, 4 or 16; undefined: none. */
  readonly addrMin: Uint8Array | undefined;
  readonly addrMax: Uint8Array | undefined;
  /** 0: none. */
  readonly portMin: number;
  readonly portMax: number;
}
export interface OfpactClone {
  readonly kind: 'clone';
  readonly actions: readonly Ofpact[];
}
export interface OfpactCheckPktLarger {
  readonly kind: 'check_pkt_larger';
  readonly length: number;
  readonly dst: Subfield;
}
export interface OfpactMeter {
  readonly kind: 'meter';
  readonly meterId: number;
}
export interface OfpactWriteActions {
  readonly kind: 'write_actions';
  readonly actions: readonly Ofpact[];
}
export interface OfpactWriteMetadata {
  readonly kind: 'write_metadata';
  readonly metadata: bigint;
  readonly mask: bigint;
}
export interface OfpactGotoTable {
  readonly kind: 'goto_table';
  readonly table: number;
}

// biome-ignore format: names, several on a line
export type Ofpact =
  | OfpactOutput | OfpactGroup | OfpactController | OfpactEnqueue | OfpactOutputReg | OfpactOutputTrunc | OfpactBundle | OfpactSetField
  | OfpactSetVlanVid | OfpactSetVlanPcp | OfpactStripVlan | OfpactPushVlan | OfpactSetEth | OfpactSetIpv4 | OfpactSetIpByte | OfpactSetL4Port
  | OfpactRegMove | OfpactStack | OfpactDecTtl | OfpactSetMpls | OfpactPushMpls | OfpactPopMpls | OfpactPlain | OfpactDeleteField
  | OfpactEncap | OfpactDecap | OfpactSetTunnel | OfpactSetQueue | OfpactFinTimeout | OfpactResubmit | OfpactLearn | OfpactConjunction
  | OfpactMultipath | OfpactNote | OfpactSample | OfpactUnrollXlate | OfpactCt | OfpactNat | OfpactClone | OfpactCheckPktLarger | OfpactMeter
  | OfpactWriteActions | OfpactWriteMetadata | OfpactGotoTable;

export type OfpactKind = Ofpact['kind'];
