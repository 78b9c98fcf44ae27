/**
 * Whether a flow's key and mask, read by match.ts, have the attributes that they must have.
 *
 * The kernel demands that a key has the attributes which its ethertype and protocol imply ("keys are demanded by
 * protocol"), and that a mask has none for headers whose presence it does not match exactly.
 * Source: net/openvswitch/flow_netlink.c (match_validate).
 */
import { FIELD, OVS_FRAG_TYPE } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField } from '../../flow/flow-key.ts';
import { OVS_KEY_ATTR as K } from '../../odp/key/key-table.ts';
import { l3Attr, l4Attr } from '../../odp/key/odp-layers.ts';
import { ETH_TYPE, isMplsType } from '../../packet/ethernet.ts';
import { ND } from '../../packet/ip.ts';
import { attrBit, invalid } from './key-attrs.ts';

const ALL_ONES_16 = 0xffff;

/** Attributes that a mask may have only if the key's protocol has them and the mask demands that protocol. */
const CONDITIONAL = [
  ...[K.IPV4, K.CT_ORIG_TUPLE_IPV4, K.IPV6, K.CT_ORIG_TUPLE_IPV6, K.TCP, K.TCP_FLAGS, K.UDP, K.SCTP],
  ...[K.ICMP, K.ICMPV6, K.ARP, K.ND, K.MPLS, K.NSH],
].reduce((set, type) => set | attrBit(type), 0);
const ALWAYS_ALLOWED = attrBit(K.TUNNEL) | attrBit(K.IN_PORT) | attrBit(K.ETHERTYPE);

/**
 * Throws NetlinkError EINVAL unless the attributes are there that the protocols demand, and in the mask only those that they allow.
 * `inKey` and `inMask`: the attributes that were sent, by `attrBit`; `mask` is null where only a key was.
 */
export function validate(key: FlowKey, mask: FlowMask | null, inKey: number, inMask: number): void {
  const type = getField(key, FIELD.ethType);
  const isTypeExact = mask !== null && getField(mask, FIELD.ethType) === ALL_ONES_16;
  let expected = 0;
  let allowed = (inKey & ~CONDITIONAL) | ALWAYS_ALLOWED;

  const l3 = isMplsType(type) ? K.MPLS : l3Attr(type);
  if (l3 !== 0) {
    expected |= attrBit(l3);
    if (isTypeExact) allowed |= attrBit(l3);
  }
  if (type === ETH_TYPE.IP || type === ETH_TYPE.IPV6) {
    const tuple = type === ETH_TYPE.IP ? K.CT_ORIG_TUPLE_IPV4 : K.CT_ORIG_TUPLE_IPV6;
    if (isTypeExact) allowed |= attrBit(tuple);
    if (getField(key, FIELD.nwFrag) !== OVS_FRAG_TYPE.LATER) {
      const l4 = l4Attrs(getField(key, FIELD.nwProto), type);
      expected |= l4;
      if (mask !== null && getField(mask, FIELD.nwProto) === 0xff) allowed |= l4;
      if (l4 === attrBit(K.ICMPV6) && isNeighbourDiscovery(key)) {
        expected |= attrBit(K.ND);
        // In the kernel's key both are in one place, so that they exclude each other.
        allowed &= ~attrBit(tuple);
        if (mask !== null && getField(mask, FIELD.tpSrc) === 0xff) allowed |= attrBit(K.ND);
      }
    }
  }
  if ((inKey & expected) !== expected) throw invalid(`missing key (keys=${hex(inKey)}, expected=${hex(expected)})`);
  if ((inMask & ~allowed) !== 0) throw invalid(`unexpected mask (mask=${hex(inMask)}, allowed=${hex(allowed)})`);
}

/** A set of attributes with the bits where the kernel's log has them. */
const hex = (set: number): string => (BigInt(set >>> 0) << 1n).toString(16);

/** The attributes of a transport layer. */
function l4Attrs(proto: number, ethType: number): number {
  const type = l4Attr(proto, ethType);
  if (type === 0) return 0;
  return type === K.TCP ? attrBit(K.TCP) | attrBit(K.TCP_FLAGS) : attrBit(type);
}

function isNeighbourDiscovery(key: FlowKey): boolean {
  const icmpType = getField(key, FIELD.tpSrc);
  return icmpType === ND.SOLICIT || icmpType === ND.ADVERT;
}
