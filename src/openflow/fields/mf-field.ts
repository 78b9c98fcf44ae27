/**
 * What a match field ("meta-flow field") is: the type; `mf-fields.ts` has the table of all of them.
 *
 * Most fields are a run of bits of a flow (`flow/fields.ts`), so that reading, writing and moving one is copying bits; the few that are
 * not say so by `special`.
 * Source: include/openvswitch/meta-flow.h.
 */

/** Field formats that a match is printed and parsed in. */
export type MfFormat =
  | 'decimal'
  | 'hexadecimal'
  | 'ethernet'
  | 'ipv4'
  | 'ipv6'
  | 'ofp-port'
  | 'ofp-port-oxm'
  | 'frag'
  | 'tnl-flags'
  | 'tcp-flags'
  | 'ct-state'
  | 'packet-type';

/** What a packet must be for a field to make sense. */
export type MfPrereq =
  | 'none'
  | 'ethernet'
  | 'arp'
  | 'vlan-vid'
  | 'ipv4'
  | 'ipv6'
  | 'ip-any'
  | 'nsh'
  | 'mpls'
  | 'ct-valid'
  | 'tcp'
  | 'udp'
  | 'sctp'
  | 'icmpv4'
  | 'icmpv6'
  | 'nd'
  | 'nd-solicit'
  | 'nd-advert';

/** Fields whose value is not simply the bits at `at`. */
export type MfSpecial =
  | 'in-port'
  | 'in-port-oxm'
  | 'packet-type'
  | 'vlan-vid'
  | 'vlan-tci'
  | 'vlan-pcp'
  | 'dl-vlan'
  | 'tun-flags'
  | 'tun-metadata'
  | 'actset-output'
  | 'ip-frag'
  | 'ip-dscp'
  | 'ip-dscp-shifted'
  | 'dl-type'
  | 'icmp'
  | 'arp-op'
  | 'ct-state';

/** A code point of a field on the wire. */
export interface MfHeader {
  /** The 64-bit header with its length byte: vendor (or 0) << 32 | class << 16 | field << 9 | hasMask << 8 | length. */
  readonly header: bigint;
  /** First OpenFlow version that has it (wire number, 1 for 1.0); an NXM may be used with every version. */
  readonly since: number;
  /** "NXM_OF_ETH_SRC". */
  readonly name: string;
}

/** Protocols (OFPUTIL_P_*, `ofp-protocol.ts`) in which a field can be matched. */
export interface MfUsable {
  readonly exact: number;
  readonly cidr: number;
  readonly bitwise: number;
}

export interface MfField {
  /** Its place in the table. */
  readonly id: number;
  /** "eth_src". */
  readonly name: string;
  /** "dl_src", where it has a second name. */
  readonly extraName: string | undefined;
  readonly bits: number;
  /** Bytes of a value on the wire, the highest bits 0 if `bits` is less. */
  readonly bytes: number;
  readonly format: MfFormat;
  readonly prereq: MfPrereq;
  /** Whether single bits can be matched. */
  readonly isMaskable: boolean;
  /** Whether set_field, move and load may write it. */
  readonly isWritable: boolean;
  /** Whether a value may be shorter than `bytes` on the wire (tun_metadata). */
  readonly isVariable: boolean;
  readonly usable: MfUsable;
  /** First bit in a flow, the most significant of the field; -1 for a tun_metadata field, whose place its table tells. */
  readonly at: number;
  readonly special: MfSpecial | undefined;
  /** Newest first; `mfHeader()` of mf-fields.ts tells which one an encoder writes. */
  readonly headers: readonly MfHeader[];
  /** Bit n of it: register (tun_metadata) number n; -1 for fields of no such family. */
  readonly index: number;
  /**
   * Of a tun_metadata as a TLV table has it (`TlvTable.fieldOf`): numbers of the words of tunMeta with the value, in its order; the last bytes of
   * the value if these are fewer (`wideFieldOf`).
   */
  readonly words?: readonly number[];
}

/** Some bits of a field: `bits` of them from bit `ofs`, counted from the least significant.  "NXM_NX_REG0[4..11]". */
export interface Subfield {
  readonly field: MfField;
  readonly ofs: number;
  readonly bits: number;
}

/** Big-endian bytes, as long as the field's `bytes`. */
export type MfValue = Uint8Array;
