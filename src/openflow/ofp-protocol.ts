/**
 * Protocols that flows can be told in: versions of OpenFlow, 1.0 with its own matches (STD) or NXM, with table ids (TID) or without.
 * A parser of text knows by them which can say what was written ("usable protocols").
 * Source: include/openvswitch/ofp-protocol.h.
 */

// biome-ignore format: table
const BIT = {
  OF10_STD: 1 << 0, OF10_STD_TID: 1 << 1, OF10_NXM: 1 << 2, OF10_NXM_TID: 1 << 3,
  OF11_STD: 1 << 4, OF12_OXM: 1 << 5, OF13_OXM: 1 << 6, OF14_OXM: 1 << 7, OF15_OXM: 1 << 8,
} as const;

const OF10_STD_ANY = BIT.OF10_STD | BIT.OF10_STD_TID;
const OF10_NXM_ANY = BIT.OF10_NXM | BIT.OF10_NXM_TID;
const OF14_UP = BIT.OF14_OXM | BIT.OF15_OXM;
const OF13_UP = BIT.OF13_OXM | OF14_UP;
const OF12_UP = BIT.OF12_OXM | OF13_UP;
const OF11_UP = BIT.OF11_STD | OF12_UP;

/** OFPUTIL_P_*: sets of protocols, as bits. */
// biome-ignore format: table
export const OFPUTIL_P = {
  ...BIT, OF10_STD_ANY, OF10_NXM_ANY, OF10_ANY: OF10_STD_ANY | OF10_NXM_ANY,
  OF11_UP, OF12_UP, OF13_UP, OF14_UP, OF15_UP: BIT.OF15_OXM,
  NXM_OF11_UP: OF10_NXM_ANY | OF11_UP, NXM_OXM_ANY: OF10_NXM_ANY | OF12_UP,
  NONE: 0, ANY: (1 << 9) - 1,
} as const;
