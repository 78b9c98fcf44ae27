/**
 * From OVS_KEY_ATTR_* nests to flow keys and masks: what a vswitchd makes of an upcall's key, and of a dumped flow's mask.
 *
 * A nest must say what its lower layers promise: an Ethertype of IPv4 demands an ipv4 attribute, protocol 6 a tcp one.  How
 * well it does is its fitness; a key that says too little cannot be translated exactly, one that says too much can, but a flow
 * made from it would match more than the datapath does.  `odp-key-build.ts` is the way back.
 *
 * This is the order of things, Ethernet and VLAN tags; `key/` has the parts: `key-nest.ts` the nest at hand, `load-metadata.ts` what
 * is no header, `load-layers.ts` what is above Ethernet.
 *
 * Hot path: `odpKeyToFlow` runs once an upcall.  Nothing is allocated.
 * Source: lib/odp-util.c (odp_flow_key_to_flow).
 */
import { ETH_TYPE_802_2, FIELD, VLAN_CFI } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField } from '../../flow/flow-key.ts';
import { ODP_FIT, type OdpFit, type OdpKeyReport } from './fitness.ts';
import { be16, expectAttr, fail, fitness, has, openNest, placeOf, putMac, scanNest, sizeOf } from './key-nest.ts';
import { OVS_KEY_ATTR as K } from './key-table.ts';
import { loadLayers } from './load-layers.ts';
import { loadMetadata, loadPacketType } from './load-metadata.ts';
import { exactMaskOf } from './odp-exact-mask.ts';
import { ETH_P, isVlan } from './odp-layers.ts';
import { vlanLimit } from './vlan-limit.ts';

// Fields by themselves: FIELD has so many that reading one from it is a hash look-up; this saves a third of the time here.
// biome-ignore format: table
const {
  cvlanTci: CVLAN_TCI, cvlanTpid: CVLAN_TPID, ethDst: ETH_DST, ethSrc: ETH_SRC, ethType: ETH_TYPE, packetType: PACKET_TYPE,
  vlanTci: VLAN_TCI, vlanTpid: VLAN_TPID,
} = FIELD;

const ETH_TYPE_MIN = 0x600;
const MAX_VLANS = 2;

/**
 * Translates the key `nest` to `flow`, which it overwrites.  `vlanLimit` is how many VLAN tags are looked into (1 or 2); where
 * there is one more, its TPID is the Ethertype, and the fitness TOO_MUCH.
 * After ERROR, and after TOO_LITTLE, `flow` is not to be used.  `why` gets the reason of an ERROR.
 */
export function odpKeyToFlow(nest: Uint8Array, flow: FlowKey, maxVlans = vlanLimit(), why?: OdpKeyReport): OdpFit {
  return translate(nest, flow, flow, maxVlans, why);
}

/**
 * Translates the mask `nest` to `mask`, which it overwrites; `flow` is the key it belongs to, translated.  An empty nest
 * stands for an exact match of everything in `flow`.
 */
export function odpMaskToFlow(
  nest: Uint8Array,
  mask: FlowMask,
  flow: FlowKey,
  maxVlans = vlanLimit(),
  why?: OdpKeyReport,
): OdpFit {
  if (nest.length > 0) return translate(nest, mask, flow, maxVlans, why);
  exactMaskOf(flow, mask);
  return ODP_FIT.PERFECT;
}

/** `out` is `src` when a key is translated; else it is a mask, and `src` its key. */
function translate(
  nest: Uint8Array,
  out: FlowKey,
  src: FlowKey,
  vlanLimit: number,
  why: OdpKeyReport | undefined,
): OdpFit {
  const isMask = out !== src;
  openNest(nest, why);
  out.fill(0);
  if (!scanNest(0, nest.length)) return ODP_FIT.ERROR;

  if (!loadMetadata(out, isMask)) return ODP_FIT.ERROR;
  loadPacketType(out, src, isMask);
  if (has(K.ETHERNET)) {
    const at = placeOf(K.ETHERNET);
    putMac(out, ETH_SRC, at);
    putMac(out, ETH_DST, at + 6);
    if (!isMask) setField(out, PACKET_TYPE, 0);
    expectAttr(K.ETHERNET);
  } else if (has(K.ETHERTYPE)) {
    if (!isMask) setField(out, PACKET_TYPE, be16(placeOf(K.ETHERTYPE)));
    expectAttr(K.ETHERTYPE);
  }
  if (loadEtherType(out, src, isMask) !== ODP_FIT.PERFECT) return ODP_FIT.ERROR;

  if (isMask ? (getField(src, VLAN_TCI) & VLAN_CFI) !== 0 : isVlan(getField(src, ETH_TYPE))) {
    return loadVlans(out, src, isMask, vlanLimit);
  }
  if (isMask) {
    // No mask of a tag: that there is none is matched.
    setField(out, VLAN_TPID, 0xffff);
    setField(out, VLAN_TCI, 0xffff);
    if (has(K.VLAN)) {
      setField(out, VLAN_TCI, be16(placeOf(K.VLAN)));
      expectAttr(K.VLAN);
    }
  }
  const layers = loadLayers(out, src, isMask);
  return layers === ODP_FIT.PERFECT ? fitness() : layers;
}

/** The Ethertype, or what stands for it.  Returns PERFECT or ERROR. */
function loadEtherType(out: FlowKey, src: FlowKey, isMask: boolean): OdpFit {
  const srcType = getField(src, ETH_TYPE);
  if (has(K.ETHERTYPE)) {
    const type = be16(placeOf(K.ETHERTYPE));
    if (!isMask && type < ETH_TYPE_MIN) return fail(`invalid Ethertype ${type} in flow key`);
    if (isMask && srcType < ETH_TYPE_MIN && type !== 0xffff) {
      const mask = type.toString(16);
      return fail(`can't bitwise match non-Ethernet II "Ethertype" (with mask 0x${mask})`);
    }
    setField(out, ETH_TYPE, type);
    expectAttr(K.ETHERTYPE);
    return ODP_FIT.PERFECT;
  }
  if (!isMask) {
    // Well-known L3 headers say their Ethertype; none is an 802.3 frame.
    const none = getField(src, PACKET_TYPE) === 0 ? ETH_TYPE_802_2 : 0;
    setField(out, ETH_TYPE, has(K.IPV4) ? ETH_P.IP : has(K.IPV6) ? ETH_P.IPV6 : has(K.MPLS) ? ETH_P.MPLS : none);
  } else if (getField(src, PACKET_TYPE) !== 0) {
    setField(out, ETH_TYPE, 0xffff);
  } else if (srcType < ETH_TYPE_MIN) {
    return fail('mask expected for non-Ethernet II frame');
  }
  return ODP_FIT.PERFECT;
}

const TAGS = [
  { tpid: VLAN_TPID, tci: VLAN_TCI },
  { tpid: CVLAN_TPID, tci: CVLAN_TCI },
] as const;

/** Tags, each with an ENCAP nest of what is inside, and then the layers inside. */
function loadVlans(out: FlowKey, src: FlowKey, isMask: boolean, vlanLimit: number): OdpFit {
  for (let i = 0; i < MAX_VLANS && i < vlanLimit; i++) {
    const tag = TAGS[i]!;
    if (isMask ? (getField(src, tag.tci) & VLAN_CFI) === 0 : !isVlan(getField(out, ETH_TYPE))) break;
    if (!isMask || has(K.VLAN)) expectAttr(K.VLAN);
    if (!isMask || has(K.ENCAP)) expectAttr(K.ENCAP);
    const outer = fitness();
    setField(out, tag.tpid, getField(out, ETH_TYPE));
    setField(out, ETH_TYPE, 0);
    const tci = has(K.VLAN) ? be16(placeOf(K.VLAN)) : 0;
    setField(out, tag.tci, tci);
    if (!isMask) {
      if (!has(K.VLAN) || !has(K.ENCAP)) return ODP_FIT.TOO_LITTLE;
      if (tci === 0) {
        // A frame that ends after the tag's TPID.
        return outer === ODP_FIT.PERFECT && sizeOf(K.ENCAP) > 0 ? ODP_FIT.TOO_MUCH : outer;
      }
      if ((tci & VLAN_CFI) === 0) {
        return fail(`OVS_KEY_ATTR_VLAN 0x${tci.toString(16).padStart(4, '0')} is nonzero but CFI bit is not set`);
      }
    } else if (!has(K.ENCAP)) return outer;

    if (!scanNest(placeOf(K.ENCAP), placeOf(K.ENCAP) + sizeOf(K.ENCAP))) return ODP_FIT.ERROR;
    if (loadEtherType(out, src, isMask) !== ODP_FIT.PERFECT) return ODP_FIT.ERROR;
    const layers = loadLayers(out, src, isMask);
    if (layers !== ODP_FIT.PERFECT) return layers;
  }
  return fitness();
}
