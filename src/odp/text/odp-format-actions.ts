/**
 * Prints datapath actions as `ovs-dpctl dump-flows` does: `set(eth(dst=..)),push_vlan(vid=5,pcp=0),2`.
 *
 * Any bytes have a text; an empty list is `drop`.  The numbers above 22 mean different things in userspace and in kernels: by
 * default they are those of the stock tools (tnl_push, tnl_pop, drop, lb_output), as `kernel` numbers they are dec_ttl, drop
 * and psample.  `odp-parse-actions.ts` is the way back.
 * Source: lib/odp-util.c (format_odp_actions).
 */
import { fixed } from '../../util/fixed.ts';
import { formatMac } from '../../util/inet.ts';
import {
  OVS_ACTION_ATTR as A,
  OVS_CHECK_PKT_LEN_ATTR as CPL,
  OVS_DEC_TTL_ATTR,
  OVS_HASH_ALG,
  OVS_PSAMPLE_ATTR,
  OVS_SAMPLE_ATTR,
  OVS_USERSPACE_ACTION_ATTR as UA,
} from '../action-attrs.ts';
import { OVS_KEY_ATTR } from '../key/key-table.ts';
import {
  ANY_SIZE,
  beUint,
  exactly,
  hexBytes,
  hexNumber,
  hostUint,
  type RawAttr,
  readAttrs,
  readSet,
} from './odp-attr-list.ts';
import { formatCt } from './odp-ct-text.ts';
import { formatMplsLse, formatOdpKeyAttr, formatVlanTci } from './odp-format-key.ts';
import { formatPushNsh, formatSetNsh } from './odp-nsh-text.ts';
import { hex } from './odp-text-kinds.ts';
import { formatTnlPush } from './odp-tnl-push-text.ts';
import { formatUserspace } from './odp-userspace-text.ts';

export interface OdpActionsFormatOptions {
  /** Names to print in the place of port numbers. */
  readonly portNames?: ReadonlyMap<number, string> | undefined;
  /** Whose numbers actions 23 and up are; "userspace" unless given. */
  readonly numbering?: 'userspace' | 'kernel';
}

type Format = (data: Uint8Array, options: OdpActionsFormatOptions) => string;

/** How an action prints, and the payload size that it must have (undefined: any). */
interface Row {
  readonly size: number | undefined;
  readonly format: Format;
}

const u32 = (data: Uint8Array): number => hostUint(data, 0, 4);
const hex4 = (value: number) => `0x${value.toString(16).padStart(4, '0')}`;
const portText = (portNo: number, { portNames }: OdpActionsFormatOptions) => portNames?.get(portNo) ?? String(portNo);
const port: Format = (data, options) => portText(u32(data), options);
const portOf = (options: OdpActionsFormatOptions) => (portNo: number) => portText(portNo, options);
const constant =
  (text: string): Format =>
  () =>
    text;
const mplsAndType = (data: Uint8Array) =>
  `${formatMplsLse(beUint(data, 0, 4))},eth_type=0x${beUint(data, 4, 2).toString(16)}`;

/** Masked sets up to this size (struct ovs_key_ipv6) print value and mask. */
const MAX_MASKED_SET = 40;

// biome-ignore format: table
const COMMON: readonly (readonly [type: number, row: Row])[] = [
  [A.OUTPUT,        { size: 4,  format: port }],
  [A.USERSPACE,     { size: undefined, format: (d, o) => formatUserspace(d, portOf(o)) }],
  [A.SET,           { size: undefined, format: (d) => formatSet(d) }],
  [A.PUSH_VLAN,     { size: 4,  format: (d) => formatPushVlan(d) }],
  [A.POP_VLAN,      { size: 0,  format: constant('pop_vlan') }],
  [A.SAMPLE,        { size: undefined, format: (d, o) => formatSample(d, o) }],
  [A.RECIRC,        { size: 4,  format: (d) => `recirc(${hex(u32(d))})` }],
  [A.HASH,          { size: 8,  format: (d) => formatHash(d) }],
  [A.PUSH_MPLS,     { size: 8,  format: (d) => `push_mpls(${mplsAndType(d)})` }],
  [A.POP_MPLS,      { size: 2,  format: (d) => `pop_mpls(eth_type=0x${beUint(d, 0, 2).toString(16)})` }],
  [A.SET_MASKED,    { size: undefined, format: (d) => formatSetMasked(d) }],
  [A.CT,            { size: undefined, format: (d) => formatCt(d) }],
  [A.TRUNC,         { size: 4,  format: (d) => `trunc(${u32(d)})` }],
  [A.PUSH_ETH,      { size: 12, format: (d) => `push_eth(src=${formatMac(d, 0)},dst=${formatMac(d, 6)})` }],
  [A.POP_ETH,       { size: 0,  format: constant('pop_eth') }],
  [A.CT_CLEAR,      { size: 0,  format: constant('ct_clear') }],
  [A.PUSH_NSH,      { size: undefined, format: (d) => formatPushNsh(d) }],
  [A.POP_NSH,       { size: 0,  format: constant('pop_nsh()') }],
  [A.METER,         { size: 4,  format: (d) => `meter(${u32(d)})` }],
  [A.CLONE,         { size: undefined, format: (d, o) => `clone(${formatOdpActions(d, o)})` }],
  [A.CHECK_PKT_LEN, { size: undefined, format: (d, o) => formatCheckPktLen(d, o) }],
  [A.ADD_MPLS,      { size: 8,  format: (d) => `add_mpls(${mplsAndType(d)})` }],
];
// biome-ignore format: table
const USERSPACE: readonly (readonly [type: number, row: Row])[] = [
  [UA.TUNNEL_PUSH,  { size: undefined, format: (d, o) => formatTnlPush(d, portOf(o)) }],
  [UA.TUNNEL_POP,   { size: 4,  format: (d, o) => `tnl_pop(${port(d, o)})` }],
  [UA.DROP,         { size: 4,  format: constant('drop') }],
  [UA.LB_OUTPUT,    { size: 4,  format: (d) => `lb_output(${u32(d)})` }],
];
// biome-ignore format: table
const KERNEL: readonly (readonly [type: number, row: Row])[] = [
  [A.DEC_TTL,       { size: undefined, format: (d, o) => formatDecTtl(d, o) }],
  [A.DROP,          { size: 4,  format: (d) => (u32(d) === 0 ? 'drop' : `drop(${u32(d)})`) }],
  [A.PSAMPLE,       { size: undefined, format: (d) => formatPsample(d) }],
];
const ROWS = { userspace: new Map([...COMMON, ...USERSPACE]), kernel: new Map([...COMMON, ...KERNEL]) } as const;

/** The text of an action list: an OVS_ACTION_ATTR_* nest, without the header of the nest. */
export function formatOdpActions(actions: Uint8Array, options: OdpActionsFormatOptions = {}): string {
  if (actions.length === 0) return 'drop';
  const { attrs, leftover } = readAttrs(actions);
  const text = attrs.map((a) => formatAction(a, options)).join(',');
  if (leftover.length === 0) return text;
  const empty = attrs.length === 0 ? '<empty>' : '';
  return `${text}${empty},***${leftover.length} leftover bytes*** (${hexBytes(leftover)})`;
}

function formatAction({ type, data }: RawAttr, options: OdpActionsFormatOptions): string {
  const row = ROWS[options.numbering ?? 'userspace'].get(type);
  if (row && (row.size === undefined || row.size === data.length)) return row.format(data, options);
  const raw = data.length > 0 ? `(${hexBytes(data, ' ')})` : '';
  return `bad length ${data.length}, expected ${row?.size ?? -1} for: action${type}${raw}`;
}

/** The attribute that a set action sets; a payload without one prints as `<empty>`. */
const attrOfSet = (nest: Uint8Array): RawAttr | undefined => readAttrs(nest).attrs[0];

function formatSet(nest: Uint8Array): string {
  const a = attrOfSet(nest);
  return `set(${a ? formatOdpKeyAttr(a, undefined, true) : '<empty>'})`;
}

function formatSetMasked(nest: Uint8Array): string {
  const a = attrOfSet(nest);
  if (!a) return 'set(<empty>)';
  const { type, data } = a;
  if (type === OVS_KEY_ATTR.NSH) return formatSetNsh(data);
  const half = data.length >> 1;
  // Tunnels are bigger, and are not split.
  if (half > MAX_MASKED_SET) return `set(${formatOdpKeyAttr(a, undefined, false)})`;
  const mask = { type, data: data.subarray(half, 2 * half) };
  return `set(${formatOdpKeyAttr({ type, data: data.subarray(0, half) }, mask, false)})`;
}

function formatPushVlan(data: Uint8Array): string {
  const tpid = beUint(data, 0, 2);
  return `push_vlan(${tpid === 0x8100 ? '' : `tpid=${hex4(tpid)},`}${formatVlanTci(beUint(data, 2, 2), 0xffff, false)})`;
}

function formatHash(data: Uint8Array): string {
  const algorithm = u32(data);
  const basis = hostUint(data, 4, 4);
  if (algorithm === OVS_HASH_ALG.L4) return `hash(l4(${basis}))`;
  if (algorithm === OVS_HASH_ALG.SYM_L4) return `hash(sym_l4(${basis}))`;
  return `hash(Unknown hash algorithm(${algorithm}))`;
}

const SAMPLE_RULES = {
  [OVS_SAMPLE_ATTR.PROBABILITY]: { ...exactly(4), required: true },
  [OVS_SAMPLE_ATTR.ACTIONS]: { ...ANY_SIZE, required: true },
} as const;

function formatSample(nest: Uint8Array, options: OdpActionsFormatOptions): string {
  const set = readSet(nest, SAMPLE_RULES);
  const probability = set?.get(OVS_SAMPLE_ATTR.PROBABILITY);
  const actions = set?.get(OVS_SAMPLE_ATTR.ACTIONS);
  if (!probability || !actions) return 'sample(error)';
  const percent = fixed((100 * u32(probability)) / 0xffffffff, 1);
  return `sample(sample=${percent}%,actions(${formatOdpActions(actions, options)}))`;
}

const CHECK_PKT_LEN_RULES = {
  [CPL.PKT_LEN]: { ...exactly(2), required: true },
  [CPL.ACTIONS_IF_GREATER]: { ...ANY_SIZE, required: true },
  [CPL.ACTIONS_IF_LESS_EQUAL]: { ...ANY_SIZE, required: true },
} as const;

function formatCheckPktLen(nest: Uint8Array, options: OdpActionsFormatOptions): string {
  const set = readSet(nest, CHECK_PKT_LEN_RULES);
  const [size, gt, le] = [CPL.PKT_LEN, CPL.ACTIONS_IF_GREATER, CPL.ACTIONS_IF_LESS_EQUAL].map((type) => set?.get(type));
  if (!size || !gt || !le) return 'check_pkt_len(error)';
  const lists = `gt(${formatOdpActions(gt, options)}),le(${formatOdpActions(le, options)})`;
  return `check_pkt_len(size=${hostUint(size, 0, 2)},${lists})`;
}

function formatDecTtl(nest: Uint8Array, options: OdpActionsFormatOptions): string {
  const actions = readSet(nest, { [OVS_DEC_TTL_ATTR.ACTION]: ANY_SIZE })?.get(OVS_DEC_TTL_ATTR.ACTION);
  return actions ? `dec_ttl(le_1(${formatOdpActions(actions, options)}))` : 'dec_ttl(error)';
}

const PSAMPLE_RULES = {
  [OVS_PSAMPLE_ATTR.GROUP]: { ...exactly(4), required: true },
  [OVS_PSAMPLE_ATTR.COOKIE]: ANY_SIZE,
} as const;

function formatPsample(nest: Uint8Array): string {
  const set = readSet(nest, PSAMPLE_RULES);
  const group = set?.get(OVS_PSAMPLE_ATTR.GROUP);
  if (!group) return 'psample(error)';
  const cookie = set?.get(OVS_PSAMPLE_ATTR.COOKIE);
  return `psample(group=${u32(group)}${cookie ? `,cookie=${hexNumber(cookie)}` : ''})`;
}
