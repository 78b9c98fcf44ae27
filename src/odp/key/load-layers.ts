/**
 * The layers above Ethernet of the nest that `odp-key.ts` translates: MPLS labels, L3 headers, L4 headers, neighbour discovery.
 *
 * Of a mask, `out` is the mask and `src` the key that it belongs to; of a key both are the key.
 * Hot path: once an upcall.  Source: lib/odp-util.c (parse_l2_5_onward).
 */
import { FIELD, OVS_FRAG_TYPE } from '../../flow/fields.ts';
import { type FlowKey, getField, setField } from '../../flow/flow-key.ts';
import { ODP_FIT, type OdpFit } from './fitness.ts';
import {
  be16,
  be32,
  expectAttr,
  fail,
  has,
  isZero,
  nestBytes,
  placeOf,
  put128,
  putMac,
  sizeOf,
  u8,
} from './key-nest.ts';
import { OVS_KEY_ATTR as K } from './key-table.ts';
import { loadNsh } from './odp-key-nests.ts';
import { ETH_P, isMpls, isNd, l3Attr, l4Attr } from './odp-layers.ts';

// Fields by themselves: FIELD has so many that reading one from it is a hash look-up.
// biome-ignore format: table
const {
  arpSha: ARP_SHA, arpTha: ARP_THA, ethType: ETH_TYPE, ipv6Dst: IPV6_DST, ipv6Label: IPV6_LABEL, ipv6Src: IPV6_SRC,
  mplsLse0: MPLS_LSE0, mplsLse1: MPLS_LSE1, mplsLse2: MPLS_LSE2, ndOptionsType: ND_OPTIONS_TYPE, ndReserved: ND_RESERVED,
  ndTarget: ND_TARGET, nwDst: NW_DST, nwFrag: NW_FRAG, nwProto: NW_PROTO, nwSrc: NW_SRC, nwTos: NW_TOS, nwTtl: NW_TTL,
  tcpFlags: TCP_FLAGS, tpDst: TP_DST, tpSrc: TP_SRC,
} = FIELD;

const MAX_MPLS = 3;
const MPLS_BOS = 0x100;

/** L3 and L4, by what `src` says of its layers.  Returns PERFECT if nothing is wrong; the caller asks for the fitness. */
export function loadLayers(out: FlowKey, src: FlowKey, isMask: boolean): OdpFit {
  const ethType = getField(src, ETH_TYPE);
  if (isMpls(ethType)) return loadMpls(out, isMask);
  const type = l3Attr(ethType);
  if (type === 0) return ODP_FIT.PERFECT;
  if (!isMask) expectAttr(type);
  if (has(type)) {
    const problem = loadL3(out, type, isMask);
    if (problem !== ODP_FIT.PERFECT) return problem;
    if (isMask) {
      if (!isZero(type) && getField(out, ETH_TYPE) !== 0xffff) {
        const [t, m] = [ethType.toString(16), getField(out, ETH_TYPE).toString(16)];
        return fail(`unexpected L3 matching with masked Ethertype 0x${t}/0x${m}`);
      }
      expectAttr(type);
    }
  }
  return ethType === ETH_P.IP || ethType === ETH_P.IPV6 ? loadL4(out, src, isMask, ethType) : ODP_FIT.PERFECT;
}

/** Fragments are an enumeration, which a mask has wholly or not. */
function loadFrag(out: FlowKey, frag: number, isMask: boolean, name: string): OdpFit {
  if (!isMask && frag > OVS_FRAG_TYPE.LATER) return fail(`OVS_KEY_ATTR_${name} has invalid nw_frag 0xff`);
  setField(out, NW_FRAG, isMask && frag !== 0 ? 0xff : frag);
  return ODP_FIT.PERFECT;
}

function loadL3(out: FlowKey, type: number, isMask: boolean): OdpFit {
  const at = placeOf(type);
  switch (type) {
    case K.IPV4:
      setField(out, NW_SRC, be32(at));
      setField(out, NW_DST, be32(at + 4));
      setField(out, NW_PROTO, u8(at + 8));
      setField(out, NW_TOS, u8(at + 9));
      setField(out, NW_TTL, u8(at + 10));
      return loadFrag(out, u8(at + 11), isMask, 'IPV4');
    case K.IPV6:
      put128(out, IPV6_SRC, at);
      put128(out, IPV6_DST, at + 16);
      setField(out, IPV6_LABEL, be32(at + 32));
      setField(out, NW_PROTO, u8(at + 36));
      setField(out, NW_TOS, u8(at + 37));
      setField(out, NW_TTL, u8(at + 38));
      return loadFrag(out, u8(at + 39), isMask, 'IPV6');
    case K.ARP: {
      const op = be16(at + 8);
      if (!isMask && op > 0xff) return fail(`unsupported ARP opcode ${op} in flow key`);
      setField(out, NW_SRC, be32(at));
      setField(out, NW_DST, be32(at + 4));
      setField(out, NW_PROTO, op & 0xff);
      putMac(out, ARP_SHA, at + 10);
      putMac(out, ARP_THA, at + 16);
      return ODP_FIT.PERFECT;
    }
    default: {
      const problem = loadNsh(out, nestBytes(), at, sizeOf(type), isMask);
      return problem === undefined ? ODP_FIT.PERFECT : fail(problem);
    }
  }
}

const LSES = [MPLS_LSE0, MPLS_LSE1, MPLS_LSE2] as const;

function loadMpls(out: FlowKey, isMask: boolean): OdpFit {
  if (!isMask || has(K.MPLS)) expectAttr(K.MPLS);
  if (!has(K.MPLS)) return ODP_FIT.PERFECT;
  const at = placeOf(K.MPLS);
  const size = sizeOf(K.MPLS);
  if (size === 0 || size % 4 !== 0) return fail(`MPLS LSEs have invalid length ${size}`);
  const n = size / 4;
  for (let i = 0; i < n && i < MAX_MPLS; i++) setField(out, LSES[i]!, be32(at + 4 * i));
  if (n > MAX_MPLS) return ODP_FIT.TOO_MUCH;
  if (isMask) return ODP_FIT.PERFECT;
  // The bottom of the stack is in the last label, and, where the stack fits, there.
  for (let i = 0; i < n - 1; i++) {
    if (be32(at + 4 * i) & MPLS_BOS) return fail('MPLS BOS set in non-innermost label');
  }
  return n < MAX_MPLS && !(be32(at + size - 4) & MPLS_BOS) ? ODP_FIT.TOO_LITTLE : ODP_FIT.PERFECT;
}

function loadL4(out: FlowKey, src: FlowKey, isMask: boolean, ethType: number): OdpFit {
  if (getField(src, NW_FRAG) === OVS_FRAG_TYPE.LATER) return ODP_FIT.PERFECT;
  const type = l4Attr(getField(src, NW_PROTO), ethType);
  if (type === 0) return ODP_FIT.PERFECT;
  if (!isMask) expectAttr(type);
  let isRead = false;
  if (has(type)) {
    isRead = true;
    const at = placeOf(type);
    const isIcmp = type === K.ICMP || type === K.ICMPV6;
    setField(out, TP_SRC, isIcmp ? u8(at) : be16(at));
    setField(out, TP_DST, isIcmp ? u8(at + 1) : be16(at + 2));
  }
  if (type === K.TCP && has(K.TCP_FLAGS)) {
    expectAttr(K.TCP_FLAGS);
    setField(out, TCP_FLAGS, be16(placeOf(K.TCP_FLAGS)));
  }
  if (type === K.ICMPV6 && isRead && isNd(src)) {
    const problem = loadNd(out, isMask);
    if (problem !== ODP_FIT.PERFECT) return problem;
  }
  if (isMask && isRead) {
    if ((getField(out, TP_SRC) || getField(out, TP_DST)) && getField(out, NW_PROTO) !== 0xff) {
      return fail('flow matches on L4 ports but does not define an L4 protocol');
    }
    expectAttr(type);
  }
  return ODP_FIT.PERFECT;
}

function loadNd(out: FlowKey, isMask: boolean): OdpFit {
  const isTypeMatched = () => getField(out, TP_SRC) === 0xff && getField(out, TP_DST) === 0xff;
  if (!isMask) expectAttr(K.ND);
  if (has(K.ND)) {
    const at = placeOf(K.ND);
    put128(out, ND_TARGET, at);
    putMac(out, ARP_SHA, at + 16);
    putMac(out, ARP_THA, at + 22);
    if (isMask) {
      if (!isZero(K.ND) && !isTypeMatched()) {
        const [src, dst] = [getField(out, TP_SRC).toString(16), getField(out, TP_DST).toString(16)];
        return fail(`ICMP (src,dst) masks should be (0xff,0xff) but are actually (0x${src},0x${dst})`);
      }
      expectAttr(K.ND);
    }
  }
  if (has(K.ND_EXTENSIONS)) {
    const at = placeOf(K.ND_EXTENSIONS);
    setField(out, ND_RESERVED, be32(at));
    setField(out, ND_OPTIONS_TYPE, u8(at + 4));
    if (isMask && !isZero(K.ND_EXTENSIONS) && !isTypeMatched()) return fail('ICMP masks should be (0xff,0xff)');
    expectAttr(K.ND_EXTENSIONS);
  }
  return ODP_FIT.PERFECT;
}
