/**
 * The fields of a flow key, and where each stands in its Int32Array.
 *
 * A flow key, and a mask, is an Int32Array of FLOW_WORDS words.  A field is a run of bits inside it: those of up to 32
 * bits never straddle a word; wider ones (MAC and IPv6 addresses, labels) start at any bit and run on, most significant
 * first.  Values are numbers, not wire bytes: the IPv4 address 10.0.0.1 is the word 0x0a000001.  Words are int32; apply
 * `>>> 0` to print one.
 *
 * The order puts what nearly every flow matches first, so that a mask touches few words: metadata, L2, L3, L4, then
 * conntrack, MPLS, ND and NSH, then the tunnel.  The datapath's key ends after tunOpts (FLOW_WORDS); what only a vswitchd knows
 * (registers ...) follows, up to OF_FLOW_WORDS: the flow of an OpenFlow switch is an array of that many words.
 *
 * How a key follows the kernel's: as struct flow of Open Vswitch, ARP uses nwSrc, nwDst and nwProto (the opcode's low
 * byte), ICMP its type and code in tpSrc and tpDst, ND its link-layer addresses in arpSha and arpTha.
 * Sources: include/uapi/linux/openvswitch.h, net/openvswitch/flow.h, include/openvswitch/flow.h.
 */

/** One field: `bits` wide, its most significant bit at bit `31 - at % 32` of word `at / 32`. */
export interface Field {
  readonly name: string;
  readonly bits: number;
  /** Bits before it from the start of the key. */
  readonly at: number;
  /** First word, and, for a field inside one word, the shift of its least significant bit. */
  readonly word: number;
  readonly shift: number;
}

// biome-ignore format: table
const ROWS = [
  // Metadata.
  ['recircId', 32], ['inPort', 32], ['skbPriority', 32], ['skbMark', 32], ['dpHash', 32],
  // L2.  A packet without Ethernet header has its ethertype in packetType too.
  ['ethDst', 48], ['ethSrc', 48],
  ['ethType', 16], ['packetType', 16], // packetType: 0 is Ethernet, else that of a bare L3 packet, as in ethType.
  ['vlanTpid', 16], ['vlanTci', 16],   // Outer tag; vlanTci has VLAN_CFI (0x1000) set if there is one.
  ['cvlanTpid', 16], ['cvlanTci', 16], // Inner tag.
  // L3.
  ['nwProto', 8], ['nwTos', 8], ['nwTtl', 8], ['nwFrag', 8], // nwFrag: OVS_FRAG_TYPE_*
  ['nwSrc', 32], ['nwDst', 32],
  ['ipv6Src', 128], ['ipv6Dst', 128], ['ipv6Label', 32],
  // L4.
  ['tpSrc', 16], ['tpDst', 16],
  ['tcpFlags', 16], ['ipv6Exthdrs', 16], // OVS_KEY_ATTR_IPV6_EXTHDRS
  ['arpSha', 48], ['arpTha', 48],
  ['ndTarget', 128],
  // Connection tracking.
  ['ctState', 16], ['ctZone', 16], ['ctMark', 32], ['ctLabels', 128],
  ['ctNwProto', 8], ['ctPad', 24],
  ['ctNwSrc', 32], ['ctNwDst', 32], ['ctIpv6Src', 128], ['ctIpv6Dst', 128],
  ['ctTpSrc', 16], ['ctTpDst', 16],
  ['mplsLse0', 32], ['mplsLse1', 32], ['mplsLse2', 32],
  ['nshFlags', 8], ['nshTtl', 8], ['nshMdtype', 8], ['nshNp', 8], ['nshPathHdr', 32],
  ['nshC1', 32], ['nshC2', 32], ['nshC3', 32], ['nshC4', 32],
  ['ndReserved', 32], // OVS_KEY_ATTR_ND_EXTENSIONS, userspace only
  // mplsLabels, of the datapath alone: a bit for each label stack entry that key or mask has, the lowest for the outermost.
  ['ndOptionsType', 8], ['mplsLabels', 8], ['ndPad', 16],
  // Tunnel metadata.  tunFlags are TUN_F_* below; tunPresent tells a tunnel with all-zero metadata from none.
  ['tunId', 64], ['tunSrc', 32], ['tunDst', 32], ['tunIpv6Src', 128], ['tunIpv6Dst', 128],
  ['tunTos', 8], ['tunTtl', 8], ['tunFlags', 16], ['tunTpSrc', 16], ['tunTpDst', 16],
  ['tunGbpId', 16], ['tunGbpFlags', 8], ['tunPresent', 8], // tunPresent: 0 none, 4 IPv4, 6 IPv6
  ['tunErspanIndex', 32], ['tunErspanVer', 8], ['tunErspanDir', 8], ['tunErspanHwid', 8], ['tunOptsSize', 8],
  // Geneve options as bytes, zero-filled; tunOptsSize of them count.
  ['tunOpts', 2048],
] as const;

/** What only an OpenFlow switch knows of a packet.  Source: include/openvswitch/flow.h (struct flow), FLOW_N_REGS. */
// biome-ignore format: table
const OPENFLOW_ROWS = [
  ['reg0', 32], ['reg1', 32], ['reg2', 32], ['reg3', 32], ['reg4', 32], ['reg5', 32], ['reg6', 32], ['reg7', 32],
  ['reg8', 32], ['reg9', 32], ['reg10', 32], ['reg11', 32], ['reg12', 32], ['reg13', 32], ['reg14', 32], ['reg15', 32],
  ['metadata', 64],
  // actsetOutput: OpenFlow port of the action set's output.  conjId: number of a conjunction.
  ['actsetOutput', 32], ['conjId', 32],
  // GTP-U, a tunnel that the datapath has no key for.
  ['tunGtpuFlags', 8], ['tunGtpuMsgtype', 8], ['ofPad', 16],
  // tun_metadata0..63 as the bridge's TLV table lays them out: a bit of tunMetaPresent for each that the packet has, number 0
  // the lowest; the values stand in tunMeta at the places that the table gives.
  ['tunMetaPresent', 64], ['tunMeta', 2048],
] as const;

type Name = (typeof ROWS)[number][0] | (typeof OPENFLOW_ROWS)[number][0];

function layOut(): { fields: Record<Name, Field>; bits: number } {
  const fields = {} as Record<Name, Field>;
  let at = 0;
  for (const [name, bits] of [...ROWS, ...OPENFLOW_ROWS]) {
    const word = at >>> 5;
    if (bits <= 32 && (at + bits - 1) >>> 5 !== word) throw new Error(`${name} straddles a word`);
    fields[name] = Object.freeze({ name, bits, at, word, shift: bits <= 32 ? 32 - (at & 31) - bits : 0 });
    at += bits;
  }
  return { fields, bits: at };
}

const layout = layOut();

/**
 * Every field by name: `FIELD.nwSrc.word`.  A copy made in one go: an object that grew by so many properties is a hash table in V8, and reading
 * one of them a look-up.
 */
export const FIELD: Readonly<Record<Name, Field>> = { ...layout.fields };
export type FieldName = Name;
/** Words of a datapath's flow key. */
export const FLOW_WORDS = FIELD.reg0.word;
/** Words of an OpenFlow switch's flow. */
export const OF_FLOW_WORDS = layout.bits >>> 5;
/** Words of a flow key before the Geneve options: what is cleared for each packet. */
export const FLOW_WORDS_BASE = FIELD.tunOpts.word;

/**
 * Bits of `tunFlags`: the flag attributes of OVS_TUNNEL_KEY_ATTR, that there is a tunnel id, and which kind of options
 * there are.
 */
// biome-ignore format: table
export const TUN_F = {
  KEY: 1, DF: 2, CSUM: 4, OAM: 8, CRIT: 16, GENEVE_OPTS: 32, VXLAN_OPTS: 64, ERSPAN_OPTS: 128,
} as const;

/** VLAN_CFI_MASK / VLAN_TAG_PRESENT: set in every TCI of a key that has that tag. */
export const VLAN_CFI = 0x1000;

/**
 * ETH_P_802_2: the ethType of a key whose frame has a length in the place of the type, and no SNAP header.  On netlink
 * that is a key without ETHERTYPE.  Source: include/uapi/linux/if_ether.h, net/openvswitch/flow.c.
 */
export const ETH_TYPE_802_2 = 0x0004;

/** enum ovs_frag_type. */
export const OVS_FRAG_TYPE = { NONE: 0, FIRST: 1, LATER: 2 } as const;
