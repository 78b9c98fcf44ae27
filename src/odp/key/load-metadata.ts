/**
 * What the nest that `odp-key.ts` translates says of a packet beside its headers: port, marks, connection, tunnel, packet type.
 *
 * Hot path: once an upcall.  Source: lib/odp-util.c (odp_flow_key_to_flow__).
 */
import { FIELD, type Field } from '../../flow/fields.ts';
import { type FlowKey, getField, setField } from '../../flow/flow-key.ts';
import {
  be16,
  be32,
  expectAttr,
  fail,
  has,
  host16,
  host32,
  nestBytes,
  placeOf,
  put128,
  sizeOf,
  u8,
} from './key-nest.ts';
import { OVS_KEY_ATTR as K } from './key-table.ts';
import { loadTunnel } from './odp-key-nests.ts';
import { loadFlowLabels } from './odp-labels.ts';

// Fields by themselves: FIELD has so many that reading one from it is a hash look-up.
// biome-ignore format: table
const {
  ctIpv6Dst: CT_IPV6_DST, ctIpv6Src: CT_IPV6_SRC, ctMark: CT_MARK, ctNwDst: CT_NW_DST, ctNwProto: CT_NW_PROTO, ctNwSrc: CT_NW_SRC,
  ctState: CT_STATE, ctTpDst: CT_TP_DST, ctTpSrc: CT_TP_SRC, ctZone: CT_ZONE, dpHash: DP_HASH, ethType: ETH_TYPE, inPort: IN_PORT,
  packetType: PACKET_TYPE, recircId: RECIRC_ID, skbMark: SKB_MARK, skbPriority: SKB_PRIORITY,
} = FIELD;

function loadWord(out: FlowKey, type: number, f: Field): boolean {
  if (!has(type)) return false;
  setField(out, f, host32(placeOf(type)));
  expectAttr(type);
  return true;
}

/** Loads everything but the packet type.  False if the nest is no key; `fail` was told why. */
export function loadMetadata(out: FlowKey, isMask: boolean): boolean {
  // A recirculation id is always matched, also by a mask that does not say so.
  if (!loadWord(out, K.RECIRC_ID, RECIRC_ID) && isMask) setField(out, RECIRC_ID, -1);
  loadWord(out, K.DP_HASH, DP_HASH);
  loadWord(out, K.PRIORITY, SKB_PRIORITY);
  loadWord(out, K.SKB_MARK, SKB_MARK);
  loadWord(out, K.CT_STATE, CT_STATE);
  loadWord(out, K.CT_MARK, CT_MARK);
  if (has(K.CT_ZONE)) {
    setField(out, CT_ZONE, host16(placeOf(K.CT_ZONE)));
    expectAttr(K.CT_ZONE);
  }
  if (has(K.CT_LABELS)) {
    loadFlowLabels(out, nestBytes(), placeOf(K.CT_LABELS));
    expectAttr(K.CT_LABELS);
  }
  if (has(K.CT_ORIG_TUPLE_IPV4)) {
    const at = placeOf(K.CT_ORIG_TUPLE_IPV4);
    setField(out, CT_NW_SRC, be32(at));
    setField(out, CT_NW_DST, be32(at + 4));
    loadCtPorts(out, at + 8);
    expectAttr(K.CT_ORIG_TUPLE_IPV4);
  }
  if (has(K.CT_ORIG_TUPLE_IPV6)) {
    const at = placeOf(K.CT_ORIG_TUPLE_IPV6);
    put128(out, CT_IPV6_SRC, at);
    put128(out, CT_IPV6_DST, at + 16);
    loadCtPorts(out, at + 32);
    expectAttr(K.CT_ORIG_TUPLE_IPV6);
  }
  if (has(K.TUNNEL)) {
    const problem = loadTunnel(out, nestBytes(), placeOf(K.TUNNEL), sizeOf(K.TUNNEL), isMask);
    if (problem === undefined) expectAttr(K.TUNNEL);
    else if (problem !== 'unknown') {
      fail(problem);
      return false;
    }
  }
  // No port: ODPP_NONE.
  if (!loadWord(out, K.IN_PORT, IN_PORT) && !isMask) setField(out, IN_PORT, -1);
  return true;
}

function loadCtPorts(out: FlowKey, at: number): void {
  setField(out, CT_TP_SRC, be16(at));
  setField(out, CT_TP_DST, be16(at + 2));
  setField(out, CT_NW_PROTO, u8(at + 4));
}

/** OVS_KEY_ATTR_PACKET_TYPE is be16 name space (0 OpenFlow, 1 Ethertypes) and be16 type. */
export function loadPacketType(out: FlowKey, src: FlowKey, isMask: boolean): void {
  if (!has(K.PACKET_TYPE)) return;
  const at = placeOf(K.PACKET_TYPE);
  const type = be16(at + 2);
  if (isMask || be16(at) === 1) setField(out, PACKET_TYPE, type);
  if (getField(src, PACKET_TYPE) !== 0) setField(out, ETH_TYPE, type);
  expectAttr(K.PACKET_TYPE);
}
