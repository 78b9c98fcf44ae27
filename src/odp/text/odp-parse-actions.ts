/**
 * Reads datapath actions as `ovs-dpctl add-flow` takes them: the way back from `odp-format-actions.ts`, as far as the stock
 * tools go it.  They print and do not read hash, push_mpls, pop_mpls, push_eth, pop_eth and a set of NSH, and read a
 * recirculation id in decimal only; a text of those is an error here too.
 * Source: lib/odp-util.c (odp_actions_from_string, parse_odp_action__).
 */
import { NLA_HDRLEN } from '../../netlink/constants.ts';
import { MessageWriter } from '../../netlink/message.ts';
import {
  OVS_ACTION_ATTR as A,
  OVS_CHECK_PKT_LEN_ATTR as CPL,
  OVS_SAMPLE_ATTR,
  OVS_USERSPACE_ACTION_ATTR as UA,
} from '../action-attrs.ts';
import { isAllByte, readAttrs, uintToBytes } from './odp-attr-list.ts';
import { parseCt } from './odp-ct-text.ts';
import { parsePushNsh } from './odp-nsh-text.ts';
import { type OdpParseOptions, parseKeyAttr, portNumbersOf } from './odp-parse-key.ts';
import { E2BIG, EINVAL, MAX_TEXT_DEPTH, NLA_MAX_PAYLOAD, OdpParseError, Scanner } from './odp-text-scan.ts';
import { parseTnlPush } from './odp-tnl-push-text.ts';
import { parseUserspace } from './odp-userspace-text.ts';

/** Names of output ports that the text may use; the tools give none for `add-flow`. */
export type OdpActionsParseOptions = Pick<OdpParseOptions, 'portNumbers' | 'portNames'>;

interface Context {
  readonly s: Scanner;
  readonly out: MessageWriter;
  readonly portNumbers: ReadonlyMap<string, number> | undefined;
}

/**
 * The OVS_ACTION_ATTR_* nest (without its own header) of a text.  An empty text is an empty list, which drops; `drop`
 * is userspace's drop action, which kernels refuse.  Throws OdpParseError.
 */
export function parseOdpActions(text: string, options: OdpActionsParseOptions = {}): Uint8Array {
  const out = new MessageWriter(512);
  if (text.toLowerCase() === 'drop') {
    out.attrU32(UA.DROP, 0);
    return out.bytes.slice(0, out.size);
  }
  const s = new Scanner(text);
  const context: Context = { s, out, portNumbers: portNumbersOf(options) };
  for (;;) {
    s.skipDelimiters();
    if (s.isAtEnd) return out.bytes.slice(0, out.size);
    const start = s.at;
    let errno = parseAction(context);
    if (errno === 0 && out.size > NLA_MAX_PAYLOAD) errno = E2BIG;
    if (errno === 0 && !s.isAtDelimiter) errno = EINVAL;
    if (errno !== 0) throw new OdpParseError(`syntax error at ${text.slice(start)}`, 'actions', errno);
  }
}

/** A list in brackets, up to the closing one, which stays.  Returns 0 or an errno. */
function parseList(context: Context): number {
  const { s, out } = context;
  for (;;) {
    s.skipDelimiters();
    if (s.peek === ')') return 0;
    const errno = parseAction(context);
    if (errno !== 0) return errno;
    if (out.size > NLA_MAX_PAYLOAD) return E2BIG;
  }
}

function parseAction(context: Context): number {
  const { s } = context;
  if (s.depth + 1 >= MAX_TEXT_DEPTH) return EINVAL;
  s.depth++;
  const errno = parseActionInside(context);
  s.depth--;
  return errno;
}

/** Actions without an argument. */
// biome-ignore format: table
const FLAGS: readonly (readonly [text: string, type: number])[] = [
  ['pop_vlan', A.POP_VLAN], ['pop_nsh()', A.POP_NSH], ['ct_clear', A.CT_CLEAR],
];
/** Actions whose payload is one u32. */
// biome-ignore format: table
const WORDS: readonly (readonly [pattern: string, type: number])[] = [
  ['{i32}', A.OUTPUT], ['lb_output({u32})', UA.LB_OUTPUT], ['trunc({i32})', A.TRUNC], ['recirc({u32})', A.RECIRC],
  ['meter({i64})', A.METER], ['tnl_pop({i32})', UA.TUNNEL_POP],
];

function parseActionInside(context: Context): number {
  const { s, out, portNumbers } = context;
  for (const [pattern, type] of WORDS) {
    const value = s.match(pattern)?.[0];
    if (value === undefined) continue;
    out.attrU32(type, Number(value & 0xffffffffn));
    return 0;
  }
  if (portNumbers) {
    const start = s.at;
    const port = portNumbers.get(s.word());
    if (port !== undefined) {
      out.attrU32(A.OUTPUT, port);
      return 0;
    }
    s.at = start;
  }
  for (const [text, type] of FLAGS) {
    if (!s.lit(text)) continue;
    out.attrFlag(type);
    return 0;
  }
  if (s.startsWith('userspace(')) return parseUserspace(s, out) ? 0 : EINVAL;
  if (s.lit('set(')) return parseSet(context);
  if (s.startsWith('push_vlan(')) return parsePushVlan(s, out);
  if (s.startsWith('sample(')) return parseSample(context);
  if (s.lit('clone(')) return parseNestedList(context, A.CLONE) || closing(s);
  if (s.startsWith('push_nsh(')) return putBytes(out, A.PUSH_NSH, parsePushNsh(s));
  if (s.startsWith('check_pkt_len(')) return parseCheckPktLen(context);
  if (s.startsWith('ct')) return parseCt(s, out) ? 0 : EINVAL;
  if (s.startsWith('add_mpls(')) return parseAddMpls(s, out);
  return putBytes(out, UA.TUNNEL_PUSH, parseTnlPush(s));
}

const closing = (s: Scanner): number => (s.lit(')') ? 0 : EINVAL);

function putBytes(out: MessageWriter, type: number, payload: Uint8Array | undefined): number {
  if (!payload) return EINVAL;
  out.attrBytes(type, payload);
  return 0;
}

function parseNestedList(context: Context, type: number): number {
  const nest = context.out.nest(type);
  const errno = parseList(context);
  if (errno === 0) context.out.endNest(nest);
  return errno;
}

/** `set(...)`: a masked set if the mask is as large as the key and not all ones. */
function parseSet({ s, out, portNumbers }: Context): number {
  const key = new MessageWriter(256);
  const mask = new MessageWriter(256);
  const errno = parseKeyAttr(s, { key, mask, portNumbers });
  if (errno !== 0) return errno;
  if (!s.lit(')')) return EINVAL;
  const keyBytes = key.bytes.subarray(0, key.size);
  const attr = readAttrs(keyBytes).attrs[0];
  const maskAttr = readAttrs(mask.bytes.subarray(0, mask.size)).attrs[0];
  if (!attr || !maskAttr) return EINVAL;
  const { data } = attr;
  if (maskAttr.data.length !== data.length || isAllByte(maskAttr.data, 0, data.length, 0xff)) {
    out.attrBytes(A.SET, keyBytes);
    return 0;
  }
  const both = new MessageWriter(512);
  const at = both.attrHeader(attr.type, 2 * data.length);
  both.bytes.set(data, at);
  both.bytes.set(maskAttr.data, at + data.length);
  if (both.size - NLA_HDRLEN > NLA_MAX_PAYLOAD) return E2BIG;
  out.attrBytes(A.SET_MASKED, both.bytes.subarray(0, both.size));
  return 0;
}

const PUSH_VLAN_PATTERNS = ['', 'tpid={i32},'].flatMap((tpid) =>
  ['', ',cfi={i32}'].map((cfi) => `push_vlan(${tpid}vid={i32},pcp={i32}${cfi})`),
);

function parsePushVlan(s: Scanner, out: MessageWriter): number {
  const start = s.at;
  for (const pattern of PUSH_VLAN_PATTERNS) {
    const values = s.match(pattern);
    if (!values) continue;
    const hasTpid = s.text.startsWith('push_vlan(tpid', start);
    const [tpid = 0n, vid = 0n, pcp = 0n, cfi = 1n] = hasTpid ? values : [0x8100n, ...values];
    if (vid > 0xfffn || pcp > 7n) return EINVAL;
    const payload = new Uint8Array(4);
    uintToBytes(tpid, payload, 0, 2);
    uintToBytes(vid | (pcp << 13n) | (cfi === 0n ? 0n : 0x1000n), payload, 2, 2);
    return putBytes(out, A.PUSH_VLAN, payload);
  }
  return EINVAL;
}

function parseSample(context: Context): number {
  const { s, out } = context;
  const head = /^sample\(sample=[ \t\n\v\f\r]*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)%,actions\(/.exec(s.rest);
  const percentage = Number(head?.[1]);
  if (!head || !(percentage >= 0 && percentage <= 100)) return EINVAL;
  s.at += head[0].length;
  const nest = out.nest(A.SAMPLE);
  out.attrU32(OVS_SAMPLE_ATTR.PROBABILITY, Math.min(0xffffffff, Math.floor(0xffffffff * (percentage / 100) + 0.5)));
  const errno = parseNestedList(context, OVS_SAMPLE_ATTR.ACTIONS);
  if (errno !== 0) return errno;
  out.endNest(nest);
  return s.lit('))') ? 0 : EINVAL;
}

function parseCheckPktLen(context: Context): number {
  const { s, out } = context;
  const size = s.match('check_pkt_len(size={i16},gt(')?.[0];
  if (size === undefined) return EINVAL;
  const list = (type: number): number => {
    if (!/^drop/i.test(s.rest)) return parseNestedList(context, type);
    s.at += 'drop'.length;
    out.endNest(out.nest(type));
    return 0;
  };
  const nest = out.nest(A.CHECK_PKT_LEN);
  out.attrU16(CPL.PKT_LEN, Number(size));
  const greater = list(CPL.ACTIONS_IF_GREATER);
  if (greater !== 0) return greater;
  if (!s.lit('),le(')) return EINVAL;
  const lessEqual = list(CPL.ACTIONS_IF_LESS_EQUAL);
  if (lessEqual !== 0) return lessEqual;
  out.endNest(nest);
  // Whatever stands where the list's bracket should, the tools only look at the one after it.
  s.at++;
  return closing(s);
}

function parseAddMpls(s: Scanner, out: MessageWriter): number {
  const values = s.match('add_mpls(label={i32},tc={u8},ttl={u8},bos={u8},eth_type=0x{x16})');
  if (!values) return EINVAL;
  const [label = 0n, tc = 0n, ttl = 0n, bos = 0n, ethType = 0n] = values;
  const payload = new Uint8Array(8);
  uintToBytes((label << 12n) | (tc << 9n) | ttl | (bos << 8n), payload, 0, 4);
  uintToBytes(ethType, payload, 4, 2);
  return putBytes(out, A.ADD_MPLS, payload);
}
