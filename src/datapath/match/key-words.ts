/**
 * Moves the fixed-size OVS_KEY_ATTR_* attributes between their payloads and the words of a flow key, a word at a time.
 * Same meaning as odp/key/key-codec.ts, whose tables are for the cold path; here it is upcalls, flow installation and dumps.
 * match.ts reads keys with it, key-put.ts writes them.
 *
 * It works because fields that stand next to each other in an attribute do so in a key (flow/fields.ts), which is checked
 * below when the module is loaded.
 * Source: include/uapi/linux/openvswitch.h (struct ovs_key_*).
 */
import { FIELD, type Field } from '../../flow/fields.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN } from '../../netlink/constants.ts';
import { OVS_KEY_ATTR as K } from '../../odp/key/key-table.ts';

// Words of the key, by the field that begins each.
const RECIRC_ID = FIELD.recircId.word;
const IN_PORT = FIELD.inPort.word;
const PRIORITY = FIELD.skbPriority.word;
const SKB_MARK = FIELD.skbMark.word;
const DP_HASH = FIELD.dpHash.word;
const MACS = FIELD.ethDst.word;
const ETH_TYPE = FIELD.ethType.word;
const NW_PROTO = FIELD.nwProto.word;
const NW_SRC = FIELD.nwSrc.word;
const NW_DST = FIELD.nwDst.word;
const IPV6_SRC = FIELD.ipv6Src.word;
const IPV6_DST = FIELD.ipv6Dst.word;
const IPV6_LABEL = FIELD.ipv6Label.word;
const PORTS = FIELD.tpSrc.word;
const TCP_FLAGS = FIELD.tcpFlags.word;
const ARP_MACS = FIELD.arpSha.word;
const ND_TARGET = FIELD.ndTarget.word;
const CT_STATE = FIELD.ctState.word;
const CT_MARK = FIELD.ctMark.word;
const CT_LABELS = FIELD.ctLabels.word;
const CT_PROTO = FIELD.ctNwProto.word;
const CT_NW_SRC = FIELD.ctNwSrc.word;
const CT_NW_DST = FIELD.ctNwDst.word;
const CT_IPV6_SRC = FIELD.ctIpv6Src.word;
const CT_IPV6_DST = FIELD.ctIpv6Dst.word;
const CT_PORTS = FIELD.ctTpSrc.word;

/** Reads 16 bytes into four words. */
function load128(key: FlowKey, word: number, dv: DataView, at: number): void {
  key[word] = dv.getInt32(at);
  key[word + 1] = dv.getInt32(at + 4);
  key[word + 2] = dv.getInt32(at + 8);
  key[word + 3] = dv.getInt32(at + 12);
}
/** Writes four words as 16 bytes. */
function store128(key: FlowKey, word: number, dv: DataView, at: number): void {
  dv.setInt32(at, key[word]!);
  dv.setInt32(at + 4, key[word + 1]!);
  dv.setInt32(at + 8, key[word + 2]!);
  dv.setInt32(at + 12, key[word + 3]!);
}
const setHigh = (key: FlowKey, word: number, value: number): void => {
  key[word] = (key[word]! & 0xffff) | (value << 16);
};
const setLow = (key: FlowKey, word: number, value: number): void => {
  key[word] = (key[word]! & ~0xffff) | (value & 0xffff);
};
const setTopByte = (key: FlowKey, word: number, value: number): void => {
  key[word] = (key[word]! & 0xffffff) | (value << 24);
};

/** Reads the payload of attribute `type` at `at` into `key`.  Hot path; its size was checked. */
export function loadKeyWords(type: number, dv: DataView, at: number, key: FlowKey): void {
  switch (type) {
    case K.RECIRC_ID:
      key[RECIRC_ID] = dv.getInt32(at, LITTLE_ENDIAN);
      break;
    case K.DP_HASH:
      key[DP_HASH] = dv.getInt32(at, LITTLE_ENDIAN);
      break;
    case K.PRIORITY:
      key[PRIORITY] = dv.getInt32(at, LITTLE_ENDIAN);
      break;
    case K.IN_PORT:
      key[IN_PORT] = dv.getInt32(at, LITTLE_ENDIAN);
      break;
    case K.SKB_MARK:
      key[SKB_MARK] = dv.getInt32(at, LITTLE_ENDIAN);
      break;
    case K.CT_STATE:
      setHigh(key, CT_STATE, dv.getUint32(at, LITTLE_ENDIAN));
      break;
    case K.CT_ZONE:
      setLow(key, CT_STATE, dv.getUint16(at, LITTLE_ENDIAN));
      break;
    case K.CT_MARK:
      key[CT_MARK] = dv.getInt32(at, LITTLE_ENDIAN);
      break;
    case K.CT_LABELS:
      load128(key, CT_LABELS, dv, at);
      break;
    case K.CT_ORIG_TUPLE_IPV4:
      key[CT_NW_SRC] = dv.getInt32(at);
      key[CT_NW_DST] = dv.getInt32(at + 4);
      key[CT_PORTS] = dv.getInt32(at + 8);
      setTopByte(key, CT_PROTO, dv.getUint8(at + 12));
      break;
    case K.CT_ORIG_TUPLE_IPV6:
      load128(key, CT_IPV6_SRC, dv, at);
      load128(key, CT_IPV6_DST, dv, at + 16);
      key[CT_PORTS] = dv.getInt32(at + 32);
      setTopByte(key, CT_PROTO, dv.getUint8(at + 36));
      break;
    case K.ETHERNET:
      // On the wire the source comes first, in a key the destination, as in a frame.
      key[MACS] = dv.getInt32(at + 6);
      key[MACS + 1] = (dv.getUint16(at + 10) << 16) | dv.getUint16(at);
      key[MACS + 2] = dv.getInt32(at + 2);
      break;
    case K.ETHERTYPE:
      setHigh(key, ETH_TYPE, dv.getUint16(at));
      break;
    case K.IPV4:
      key[NW_SRC] = dv.getInt32(at);
      key[NW_DST] = dv.getInt32(at + 4);
      key[NW_PROTO] = dv.getInt32(at + 8);
      break;
    case K.IPV6:
      load128(key, IPV6_SRC, dv, at);
      load128(key, IPV6_DST, dv, at + 16);
      key[IPV6_LABEL] = dv.getInt32(at + 32);
      key[NW_PROTO] = dv.getInt32(at + 36);
      break;
    case K.IPV6_EXTHDRS:
      setLow(key, TCP_FLAGS, dv.getUint16(at, LITTLE_ENDIAN));
      break;
    case K.ARP:
      key[NW_SRC] = dv.getInt32(at);
      key[NW_DST] = dv.getInt32(at + 4);
      setTopByte(key, NW_PROTO, dv.getUint16(at + 8));
      loadTwoMacs(key, dv, at + 10);
      break;
    case K.TCP:
    case K.UDP:
    case K.SCTP:
      key[PORTS] = dv.getInt32(at);
      break;
    case K.TCP_FLAGS:
      setHigh(key, TCP_FLAGS, dv.getUint16(at));
      break;
    case K.ICMP:
    case K.ICMPV6:
      key[PORTS] = (dv.getUint8(at) << 16) | dv.getUint8(at + 1);
      break;
    case K.ND:
      load128(key, ND_TARGET, dv, at);
      loadTwoMacs(key, dv, at + 16);
      break;
    default:
      throw new RangeError(`key attribute ${type} is not of fixed size`);
  }
}

function loadTwoMacs(key: FlowKey, dv: DataView, at: number): void {
  key[ARP_MACS] = dv.getInt32(at);
  key[ARP_MACS + 1] = dv.getInt32(at + 4);
  key[ARP_MACS + 2] = dv.getInt32(at + 8);
}
function storeTwoMacs(key: FlowKey, dv: DataView, at: number): void {
  dv.setInt32(at, key[ARP_MACS]!);
  dv.setInt32(at + 4, key[ARP_MACS + 1]!);
  dv.setInt32(at + 8, key[ARP_MACS + 2]!);
}

/** Writes attribute `type` of `key` as the payload at `at`, all of its bytes.  Hot path. */
export function storeKeyWords(type: number, key: FlowKey, dv: DataView, at: number): void {
  switch (type) {
    case K.RECIRC_ID:
      dv.setInt32(at, key[RECIRC_ID]!, LITTLE_ENDIAN);
      break;
    case K.DP_HASH:
      dv.setInt32(at, key[DP_HASH]!, LITTLE_ENDIAN);
      break;
    case K.PRIORITY:
      dv.setInt32(at, key[PRIORITY]!, LITTLE_ENDIAN);
      break;
    case K.IN_PORT:
      dv.setInt32(at, key[IN_PORT]!, LITTLE_ENDIAN);
      break;
    case K.SKB_MARK:
      dv.setInt32(at, key[SKB_MARK]!, LITTLE_ENDIAN);
      break;
    case K.CT_STATE:
      dv.setUint32(at, key[CT_STATE]! >>> 16, LITTLE_ENDIAN);
      break;
    case K.CT_ZONE:
      dv.setUint16(at, key[CT_STATE]!, LITTLE_ENDIAN);
      break;
    case K.CT_MARK:
      dv.setInt32(at, key[CT_MARK]!, LITTLE_ENDIAN);
      break;
    case K.CT_LABELS:
      store128(key, CT_LABELS, dv, at);
      break;
    case K.CT_ORIG_TUPLE_IPV4:
      dv.setInt32(at, key[CT_NW_SRC]!);
      dv.setInt32(at + 4, key[CT_NW_DST]!);
      dv.setInt32(at + 8, key[CT_PORTS]!);
      // The protocol, and padding.
      dv.setInt32(at + 12, key[CT_PROTO]! & (0xff << 24));
      break;
    case K.CT_ORIG_TUPLE_IPV6:
      store128(key, CT_IPV6_SRC, dv, at);
      store128(key, CT_IPV6_DST, dv, at + 16);
      dv.setInt32(at + 32, key[CT_PORTS]!);
      dv.setInt32(at + 36, key[CT_PROTO]! & (0xff << 24));
      break;
    case K.ETHERNET:
      dv.setUint16(at, key[MACS + 1]!);
      dv.setInt32(at + 2, key[MACS + 2]!);
      dv.setInt32(at + 6, key[MACS]!);
      dv.setUint16(at + 10, key[MACS + 1]! >>> 16);
      break;
    case K.ETHERTYPE:
      dv.setUint16(at, key[ETH_TYPE]! >>> 16);
      break;
    case K.IPV4:
      dv.setInt32(at, key[NW_SRC]!);
      dv.setInt32(at + 4, key[NW_DST]!);
      dv.setInt32(at + 8, key[NW_PROTO]!);
      break;
    case K.IPV6:
      store128(key, IPV6_SRC, dv, at);
      store128(key, IPV6_DST, dv, at + 16);
      dv.setInt32(at + 32, key[IPV6_LABEL]!);
      dv.setInt32(at + 36, key[NW_PROTO]!);
      break;
    case K.IPV6_EXTHDRS:
      dv.setUint16(at, key[TCP_FLAGS]!, LITTLE_ENDIAN);
      break;
    case K.ARP:
      dv.setInt32(at, key[NW_SRC]!);
      dv.setInt32(at + 4, key[NW_DST]!);
      dv.setUint16(at + 8, key[NW_PROTO]! >>> 24);
      storeTwoMacs(key, dv, at + 10);
      dv.setUint16(at + 22, 0);
      break;
    case K.TCP:
    case K.UDP:
    case K.SCTP:
      dv.setInt32(at, key[PORTS]!);
      break;
    case K.TCP_FLAGS:
      dv.setUint16(at, key[TCP_FLAGS]! >>> 16);
      break;
    case K.ICMP:
    case K.ICMPV6:
      dv.setUint8(at, key[PORTS]! >>> 16);
      dv.setUint8(at + 1, key[PORTS]!);
      break;
    case K.ND:
      store128(key, ND_TARGET, dv, at);
      storeTwoMacs(key, dv, at + 16);
      break;
    default:
      throw new RangeError(`key attribute ${type} is not of fixed size`);
  }
}

/** Throws unless each field begins where the one before it ends, the first one at the start of a word. */
function assertAdjacent(...fields: Field[]): void {
  let at = (fields[0]?.word ?? 0) * 32;
  for (const f of fields) {
    if (f.at !== at) throw new Error(`${f.name} is not where key-words.ts needs it`);
    at += f.bits;
  }
}
assertAdjacent(FIELD.ethDst, FIELD.ethSrc);
assertAdjacent(FIELD.ethType);
assertAdjacent(FIELD.nwProto, FIELD.nwTos, FIELD.nwTtl, FIELD.nwFrag);
assertAdjacent(FIELD.tpSrc, FIELD.tpDst);
assertAdjacent(FIELD.tcpFlags, FIELD.ipv6Exthdrs);
assertAdjacent(FIELD.arpSha, FIELD.arpTha);
assertAdjacent(FIELD.ctState, FIELD.ctZone);
assertAdjacent(FIELD.ctNwProto);
assertAdjacent(FIELD.ctTpSrc, FIELD.ctTpDst);
for (const f of ['ipv6Src', 'ipv6Dst', 'ndTarget', 'ctLabels', 'ctIpv6Src', 'ctIpv6Dst'] as const) {
  assertAdjacent(FIELD[f]);
}
