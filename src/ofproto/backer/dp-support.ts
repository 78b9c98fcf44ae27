/**
 * What a datapath can do: which actions it knows, and what it can match.  `dp-probe.ts` finds out when the datapath is opened, translation
 * makes only actions that it knows, and `dpif/set-dp-features` takes a feature away, for tests of what happens without.
 * Source: ofproto/ofproto-dpif.h (DPIF_SUPPORT_FIELDS), lib/odp-util.h (ODP_SUPPORT_FIELDS), ofproto/ofproto-dpif.c (dpif_set_support).
 */
import { KERNEL_SUPPORT } from '../../odp/key/odp-key-build.ts';

interface Feature<K extends 'flag' | 'count'> {
  readonly kind: K;
  /** In commands and in the database. */
  readonly name: string;
  readonly title: string;
}
const flag = (name: string, title: string): Feature<'flag'> => ({ kind: 'flag', name, title });
const count = (name: string, title: string): Feature<'count'> => ({ kind: 'count', name, title });

/** All features: actions, then fields. */
// biome-ignore format: table
export const DP_FEATURES = {
  maskedSetAction:    flag('masked_set_action',     'Masked set action'),
  tnlPushPop:         flag('tnl_push_pop',          'Tunnel push pop'),
  ufid:               flag('ufid',                  'Ufid'),
  trunc:              flag('trunc',                 'Truncate action'),
  clone:              flag('clone',                 'Clone action'),
  sampleNesting:      count('sample_nesting',       'Sample nesting'),
  ctEventmask:        flag('ct_eventmask',          'Conntrack eventmask'),
  ctClear:            flag('ct_clear',              'Conntrack clear'),
  maxHashAlg:         count('max_hash_alg',         'Max dp_hash algorithm'),
  checkPktLen:        flag('check_pkt_len',         'Check pkt length action'),
  ctTimeout:          flag('ct_timeout',            'Conntrack timeout policy'),
  explicitDropAction: flag('explicit_drop_action',  'Explicit Drop action'),
  lbOutputAction:     flag('lb_output_action',      'Optimized Balance TCP mode'),
  ctZeroSnat:         flag('ct_zero_snat',          'Conntrack all-zero IP SNAT'),
  addMpls:            flag('add_mpls',              'MPLS Label add'),
  maxVlanHeaders:     count('max_vlan_headers',     'Max VLAN headers'),
  maxMplsDepth:       count('max_mpls_depth',       'Max MPLS depth'),
  recirc:             flag('recirc',                'Recirc'),
  ctState:            flag('ct_state',              'CT state'),
  ctZone:             flag('ct_zone',               'CT zone'),
  ctMark:             flag('ct_mark',               'CT mark'),
  ctLabel:            flag('ct_label',              'CT label'),
  ctStateNat:         flag('ct_state_nat',          'CT state NAT'),
  ctOrigTuple:        flag('ct_orig_tuple',         'CT orig tuple'),
  ctOrigTuple6:       flag('ct_orig_tuple6',        'CT orig tuple for IPv6'),
  ndExt:              flag('nd_ext',                'IPv6 ND Extension'),
} as const;

type Features = typeof DP_FEATURES;
type FeatureKey = keyof Features;
/** A value for each feature: whether, or how many. */
export type DpSupport = {
  readonly [K in FeatureKey]: Features[K] extends Feature<'flag'> ? boolean : number;
};

const KEYS = Object.keys(DP_FEATURES) as FeatureKey[];

/** What openvswitch.ko of Linux 6.1 can, and our datapath. */
export const KERNEL_DP_SUPPORT: DpSupport = {
  ...KERNEL_SUPPORT,
  maxVlanHeaders: 2,
  maskedSetAction: true,
  tnlPushPop: false,
  ufid: true,
  trunc: true,
  clone: true,
  sampleNesting: 10,
  ctEventmask: true,
  ctClear: true,
  maxHashAlg: 0,
  checkPktLen: true,
  ctTimeout: true,
  explicitDropAction: false,
  lbOutputAction: false,
  ctZeroSnat: true,
  addMpls: true,
  ctStateNat: true,
};

/** Text of `dpif/show-dp-features`. */
export function formatDpSupport(support: DpSupport): string {
  return KEYS.map((key) => {
    const value = support[key];
    const text = typeof value === 'number' ? String(value) : value ? 'Yes' : 'No';
    return `${DP_FEATURES[key].title}: ${text}\n`;
  }).join('');
}

/** The column "capabilities" of the datapath's row. */
export function dpCapabilities(support: DpSupport): Map<string, string> {
  const caps = new Map(KEYS.map((key) => [DP_FEATURES[key].name, String(support[key])]));
  // Here the database says only whether.
  caps.set('sample_nesting', String(support.sampleNesting > 0));
  // Connections are told from others and deleted one by one here, whatever the datapath.
  return caps.set('ct_flush', 'true');
}

const describe = (key: FeatureKey, now: DpSupport, probed: DpSupport): string =>
  `${DP_FEATURES[key].name} (${DP_FEATURES[key].title}) : [run time]:${now[key]}, [boot time]:${probed[key]}\n`;

/** What came of `dpif/set-dp-features`. */
export interface FeatureChange {
  /** Undefined: nothing changed. */
  readonly support?: DpSupport;
  readonly text: string;
}

/**
 * Sets feature `name` to `value`, as text, or shows one or all where these are left out.  What the datapath cannot do (`probed`) is refused unless
 * `isForced`.
 */
export function setDpFeature(
  now: DpSupport,
  probed: DpSupport,
  name: string | undefined,
  value: string | undefined,
  isForced: boolean,
): FeatureChange {
  if (name === undefined) return { text: KEYS.map((key) => describe(key, now, probed)).join('') };
  const key = KEYS.find((k) => DP_FEATURES[k].name === name);
  if (key === undefined) return { text: 'Unexpected support field' };
  if (value === undefined) return { text: describe(key, now, probed) };
  if (DP_FEATURES[key].kind === 'flag') {
    const isOn = /^true$/i.test(value);
    if (!isOn && !/^false$/i.test(value)) return { text: 'Boolean value expected' };
    if (isOn && !probed[key] && !isForced) {
      return { text: 'Can not enable features not supported by the datapth' };
    }
    return { support: { ...now, [key]: isOn }, text: '' };
  }
  if (!/^[+-]?\d{1,9}$/.test(value)) return { text: 'Integer number expected' };
  const n = Number(value);
  if (n < 0) return { text: 'Negative number not expected' };
  if (n > Number(probed[key]) && !isForced) return { text: 'Can not set value beyond the datapath capability' };
  return { support: { ...now, [key]: n }, text: '' };
}
