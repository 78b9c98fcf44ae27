/**
 * Reads flow keys as `ovs-dpctl add-flow` takes them: the way back from `odp-format-key.ts`.
 *
 * A member that the text leaves out is zero in key and mask: `ipv4(src=1.2.3.4)` matches the source only, and `eth()`
 * any Ethernet frame.  A value without `/mask` is matched exactly.  Attributes are written in the order of the text; whether they make
 * sense together is for the datapath to say.  NSH matches are printed but, as by the stock tools, never read.
 * Source: lib/odp-util.c (odp_flow_from_string, parse_odp_key_mask_attr__).
 */
import { MessageWriter } from '../../netlink/message.ts';
import { OVS_KEY_ATTR as K, KEY_ROWS } from '../key/key-table.ts';
import { parseUfidPrefix, UFID_TEXT_SIZE } from '../odp-ufid.ts';
import { hostUintToBytes, uintToBytes } from './odp-attr-list.ts';
import { labelBytes } from './odp-ct-text.ts';
import { type KeySink, parseMembers } from './odp-key-sink.ts';
import { KEY_TEXT, type TextForm } from './odp-key-text.ts';
import { parseTunnel } from './odp-parse-tunnel.ts';
import { CT_STATE_NAMES, scanFlags, scanValue, TCP_FLAG_NAMES } from './odp-text-kinds.ts';
import { E2BIG, EINVAL, MAX_TEXT_DEPTH, NLA_MAX_PAYLOAD, OdpParseError, Scanner } from './odp-text-scan.ts';

export interface OdpParseOptions {
  /** Numbers of ports that are given by name. */
  readonly portNumbers?: ReadonlyMap<string, number> | undefined;
  /** The same the other way about, as formatting takes it. */
  readonly portNames?: ReadonlyMap<number, string> | undefined;
  /** False: the text has no masks, and `mask` is undefined (a packet's key). */
  readonly hasMasks?: boolean;
}

export interface OdpFlowText {
  /** OVS_KEY_ATTR_* nests, without the header of the nest. */
  readonly key: Uint8Array;
  /** Undefined if the text has no attributes (or no masks): an exact match. */
  readonly mask: Uint8Array | undefined;
  /** Of a text that begins with `ufid:`: the 16 bytes of the attribute. */
  readonly ufid: Uint8Array | undefined;
}

/** Names to numbers, from whichever of the two maps there is. */
export function portNumbersOf(options: OdpParseOptions): ReadonlyMap<string, number> | undefined {
  if (options.portNumbers || !options.portNames) return options.portNumbers;
  return new Map(Array.from(options.portNames, ([number, name]) => [name, number]));
}

/**
 * Reads a whole flow.  Throws OdpParseError: `syntax error at ...` for a key, `bad ufid` (what: "ufid") where that comes
 * first and is not one.
 */
export function parseOdpFlow(text: string, options: OdpParseOptions = {}): OdpFlowText {
  const s = new Scanner(text);
  const ufid = parseUfidPrefix(text);
  if (ufid === 'bad') throw new OdpParseError(`bad ufid at ${text}`, 'ufid');
  if (ufid) s.at = UFID_TEXT_SIZE;

  const sink: KeySink = {
    key: new MessageWriter(512),
    mask: options.hasMasks === false ? undefined : new MessageWriter(512),
    portNumbers: portNumbersOf(options),
  };
  const fail = (at: number, errno: number): never => {
    throw new OdpParseError(`syntax error at ${text.slice(at)}`, 'key', errno);
  };
  for (;;) {
    s.skipDelimiters();
    if (s.isAtEnd) break;
    const start = s.at;
    // A UFID may also stand in between; it says nothing there.
    const inner = parseUfidPrefix(s.rest);
    if (inner === 'bad') fail(start, EINVAL);
    if (inner) {
      s.at += UFID_TEXT_SIZE;
      s.lit(' ');
    }
    const from = s.at;
    const errno = parseKeyAttr(s, sink);
    if (errno !== 0) fail(from, errno);
    if (sink.key.size > NLA_MAX_PAYLOAD || (sink.mask?.size ?? 0) > NLA_MAX_PAYLOAD) fail(from, E2BIG);
  }
  const { key, mask } = sink;
  return {
    key: key.bytes.slice(0, key.size),
    mask: mask && mask.size > 0 ? mask.bytes.slice(0, mask.size) : undefined,
    ufid: ufid ? ufid : undefined,
  };
}

/** Attributes by the name before their bracket.  Longer names first where one begins another. */
const NAMES: readonly (readonly [opening: string, type: number])[] = KEY_TEXT.flatMap((form, type) =>
  form ? [[`${KEY_ROWS[type]?.text}(`, type] as const] : [],
);

/** Reads one attribute, e.g. `tcp(src=1)`; returns 0 or an errno. */
export function parseKeyAttr(s: Scanner, sink: KeySink): number {
  if (s.depth + 1 >= MAX_TEXT_DEPTH) return EINVAL;
  s.depth++;
  const errno = parseKeyAttrInside(s, sink);
  s.depth--;
  return errno;
}

function parseKeyAttrInside(s: Scanner, sink: KeySink): number {
  const found = NAMES.find(([opening]) => s.startsWith(opening));
  if (!found) return EINVAL;
  const [opening, type] = found;
  s.at += opening.length;
  if (type === K.ENCAP) return parseEncap(s, sink);
  if (type === K.TUNNEL) return parseTunnel(s, sink);
  const form = KEY_TEXT[type];
  if (form?.form === 'struct') return parseStruct(s, sink, type, form) ? 0 : EINVAL;
  const isRead = form?.form === 'single' ? parseSingle(s, sink, type, form) : parseSpecial(s, sink, type);
  return isRead ? 0 : EINVAL;
}

function put(sink: KeySink, type: number, key: Uint8Array, mask: Uint8Array): true {
  sink.key.attrBytes(type, key);
  sink.mask?.attrBytes(type, mask);
  return true;
}

function parseStruct(s: Scanner, sink: KeySink, type: number, form: TextForm & { form: 'struct' }): boolean {
  const size = KEY_ROWS[type]?.size ?? 0;
  const key = new Uint8Array(size);
  const mask = new Uint8Array(size);
  const isRead = parseMembers(s, () => {
    const member = form.members.find((m) => s.lit(`${m.scanName ?? m.name}=`));
    if (!member) return false;
    const found = scanValue(member.kind, s, sink.mask !== undefined);
    if (!found) return 'bad';
    uintToBytes(found.value, key, member.at, member.kind.size);
    uintToBytes(found.mask, mask, member.at, member.kind.size);
    return true;
  });
  return isRead && put(sink, type, key, mask);
}

function parseSingle(s: Scanner, sink: KeySink, type: number, form: TextForm & { form: 'single' }): boolean {
  const found = scanValue(form.kind, s, !form.exactOnly);
  if (!found || !s.lit(')')) return false;
  const store = form.order === 'host' ? hostUintToBytes : uintToBytes;
  const { size } = form.kind;
  const key = new Uint8Array(size);
  const mask = new Uint8Array(size);
  store(found.value, key, 0, size);
  store(found.mask, mask, 0, size);
  return put(sink, type, key, mask);
}

/** Writes a value that stands alone, in host or network order. */
function putSingle(sink: KeySink, type: number, size: number, order: 'be' | 'host', value: bigint, mask: bigint): true {
  const store = order === 'host' ? hostUintToBytes : uintToBytes;
  const keyBytes = new Uint8Array(size);
  const maskBytes = new Uint8Array(size);
  store(value, keyBytes, 0, size);
  store(mask, maskBytes, 0, size);
  return put(sink, type, keyBytes, maskBytes);
}

function parseSpecial(s: Scanner, sink: KeySink, type: number): boolean {
  switch (type) {
    case K.IN_PORT: {
      const port = scanPort(s, sink.portNumbers);
      return port !== undefined && s.lit(')') && putSingle(sink, type, 4, 'host', port.value, port.mask);
    }
    case K.ETHERTYPE: {
      const value = scanMasked(s, 16);
      return value !== undefined && s.lit(')') && putSingle(sink, type, 2, 'be', value.value, value.mask);
    }
    case K.CT_STATE: {
      const found = scanFlagsOrNothing(s, CT_STATE_NAMES, 0xff);
      if (!found || !s.lit(')')) return false;
      return putSingle(sink, type, 4, 'host', BigInt(found.flags), BigInt(found.mask));
    }
    case K.TCP_FLAGS: {
      const found = scanFlagsOrNothing(s, TCP_FLAG_NAMES, 0xfff);
      if (!found || !s.lit(')')) return false;
      return putSingle(sink, type, 2, 'be', BigInt(found.flags), BigInt(found.mask & 0xffff));
    }
    case K.CT_LABELS: {
      const value = s.wideInt(16);
      if (value === undefined) return false;
      const mask = s.lit('/') ? s.wideInt(16) : (1n << 128n) - 1n;
      return mask !== undefined && s.lit(')') && put(sink, type, labelBytes(value), labelBytes(mask));
    }
    case K.VLAN:
      return parseVlan(s, sink);
    case K.MPLS:
      return parseMpls(s, sink);
    default:
      return false; // NSH
  }
}

/** Flags in brackets; none at all (`tcp_flags()`) is not a set of flags. */
function scanFlagsOrNothing(s: Scanner, names: typeof TCP_FLAG_NAMES, allowed: number) {
  return s.peek === ')' ? undefined : scanFlags(names, s, allowed, true);
}

function scanMasked(s: Scanner, bits: number): { value: bigint; mask: bigint } | undefined {
  const value = s.int(bits);
  if (value === undefined) return undefined;
  const mask = s.match(`/{i${bits}}`)?.[0] ?? (1n << BigInt(bits)) - 1n;
  return { value, mask };
}

function scanPort(s: Scanner, names: ReadonlyMap<string, number> | undefined) {
  const number = scanMasked(s, 32);
  if (number || !names) return number;
  const port = names.get(s.until(')'));
  return port === undefined ? undefined : { value: BigInt(port), mask: 0xffffffffn };
}

/** Bits of a word that have a name. */
interface BitField {
  readonly name: string;
  readonly bits: number;
  readonly shift: number;
}
const VLAN_FIELDS: readonly BitField[] = [
  { name: 'vid=', bits: 12, shift: 0 },
  { name: 'pcp=', bits: 3, shift: 13 },
  { name: 'cfi=', bits: 1, shift: 12 },
];
const MPLS_FIELDS: readonly BitField[] = [
  { name: 'label=', bits: 20, shift: 12 },
  { name: 'tc=', bits: 3, shift: 9 },
  { name: 'ttl=', bits: 8, shift: 0 },
  { name: 'bos=', bits: 1, shift: 8 },
];
const VLAN_CFI = 0x1000n;
const MAX_MPLS_LABELS = 3;

interface Word {
  key: bigint;
  mask: bigint;
}

/** Reads `value[/mask]` into the bits of `field` of `word`; `bits` is the word's width.  False if a value is too wide. */
function scanBits(s: Scanner, field: BitField, word: Word, bits: number, withMask: boolean): boolean {
  const value = s.int(bits);
  const ones = (1n << BigInt(field.bits)) - 1n;
  const mask = withMask ? s.match(`/{i${bits}}`)?.[0] : undefined;
  if (value === undefined || value > ones || (mask ?? 0n) > ones) return false;
  const shift = BigInt(field.shift);
  const keep = ~(ones << shift);
  word.key = (word.key & keep) | (value << shift);
  word.mask = mask === undefined ? word.mask | (ones << shift) : (word.mask & keep) | (mask << shift);
  return true;
}

function parseVlan(s: Scanner, sink: KeySink): boolean {
  // There is a tag, and that is matched, unless the text says `cfi=0`.
  const tci: Word = { key: VLAN_CFI, mask: VLAN_CFI };
  const isRead = parseMembers(s, () => {
    const field = VLAN_FIELDS.find((f) => s.lit(f.name));
    if (!field) return false;
    return scanBits(s, field, tci, 16, sink.mask !== undefined) || 'bad';
  });
  return isRead && putSingle(sink, K.VLAN, 2, 'be', tci.key, tci.mask);
}

function parseMpls(s: Scanner, sink: KeySink): boolean {
  const words: Word[] = [{ key: 0n, mask: 0n }];
  let seen = new Set<string>();
  const isRead = parseMembers(s, () => {
    const field = MPLS_FIELDS.find((f) => s.startsWith(f.name));
    if (!field) return false;
    if (seen.has(field.name)) {
      // A name again begins the next label.
      seen = new Set();
      if (words.length === MAX_MPLS_LABELS) return 'bad';
      words.push({ key: 0n, mask: 0n });
    }
    seen.add(field.name);
    s.at += field.name.length;
    const word = words.at(-1);
    return (word !== undefined && scanBits(s, field, word, 32, sink.mask !== undefined)) || 'bad';
  });
  if (!isRead) return false;
  const key = new Uint8Array(4 * words.length);
  const mask = new Uint8Array(4 * words.length);
  for (const [i, word] of words.entries()) {
    uintToBytes(word.key, key, 4 * i, 4);
    uintToBytes(word.mask, mask, 4 * i, 4);
  }
  return put(sink, K.MPLS, key, mask);
}

function parseEncap(s: Scanner, sink: KeySink): number {
  const keyNest = sink.key.nest(K.ENCAP);
  const maskNest = sink.mask?.nest(K.ENCAP) ?? 0;
  for (;;) {
    s.skipDelimiters();
    if (s.isAtEnd) return EINVAL;
    if (s.lit(')')) break;
    const errno = parseKeyAttr(s, sink);
    if (errno !== 0) return errno;
    if (sink.key.size - keyNest - 4 > NLA_MAX_PAYLOAD) return E2BIG;
  }
  sink.key.endNest(keyNest);
  sink.mask?.endNest(maskNest);
  return 0;
}
