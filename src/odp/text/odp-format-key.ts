/**
 * Prints flow keys as `ovs-dpctl dump-flows` does: `in_port(1),eth(src=..),eth_type(0x0800),ipv4(...)`.
 *
 * Any bytes have a text: attributes of a wrong size and leftover bytes are shown as what they are.  The regular attributes go
 * by the table in `odp-key-text.ts`; `odp-parse-key.ts` is the way back.
 * Source: lib/odp-util.c (odp_flow_format).
 */

import { LITTLE_ENDIAN } from '../../netlink/constants.ts';
import { OVS_KEY_ATTR as K } from '../key/key-table.ts';
import {
  beUint,
  bytesToUint,
  findAttr,
  hexBytes,
  hexNumber,
  hostUint,
  isAllByte,
  type RawAttr,
  readAttrs,
} from './odp-attr-list.ts';
import { badLength } from './odp-bad-length.ts';
import { formatTunnel } from './odp-format-tunnel.ts';
import { isNestedKeyAttr, KEY_ATTR_MAX, KEY_TEXT, keyAttrName, type TextForm, textSizeOf } from './odp-key-text.ts';
import { formatNshKey } from './odp-nsh-text.ts';
import { CT_STATE_NAMES, formatFlags, formatMaskedFlags, formatMember, hex, TCP_FLAG_NAMES } from './odp-text-kinds.ts';

export interface OdpFormatOptions {
  /** Print what is wildcarded too (`dump-flows -m`). */
  readonly verbose?: boolean;
  /** Names to print in the place of port numbers. */
  readonly portNames?: ReadonlyMap<number, string> | undefined;
}

/** Bytes at the end of these payloads are padding, which masks need not cover. */
const UNPADDED: Readonly<Record<number, number>> = {
  [K.ARP]: 22,
  [K.CT_ORIG_TUPLE_IPV4]: 13,
  [K.CT_ORIG_TUPLE_IPV6]: 37,
};

/** True if `mask`, an attribute of number `type`, has all bits that count as those of `byte` (0 or 0xff). */
function isConstantMask(type: number, mask: Uint8Array, byte: 0 | 0xff): boolean {
  if (type === 0 || type === K.ENCAP || type >= KEY_ATTR_MAX) return false;
  if (type === K.TCP_FLAGS) return (beUint(mask, 0, 2) & 0xfff) === (byte && 0xfff);
  if (type === K.IPV6) {
    const label = beUint(mask, 32, 4) & 0xfffff;
    return label === (byte && 0xfffff) && isAllByte(mask, 0, 32, byte) && isAllByte(mask, 36, 4, byte);
  }
  return isAllByte(mask, 0, UNPADDED[type] ?? mask.length, byte);
}

/** The mask of an attribute that the mask nest lacks. */
const wildcardMask = (a: RawAttr): RawAttr => ({
  type: a.type,
  data: new Uint8Array(isNestedKeyAttr(a.type) ? 0 : a.data.length),
});

/**
 * The text of a key under a mask.  `key` and `mask` are OVS_KEY_ATTR_* nests without the header of the nest; `mask`
 * undefined: no mask is known, everything is matched.
 */
export function formatOdpFlow(key: Uint8Array, mask?: Uint8Array, options: OdpFormatOptions = {}): string {
  if (key.length === 0) return '<empty>';
  const { verbose = false, portNames } = options;
  const maskAttrs = mask && mask.length > 0 ? readAttrs(mask).attrs : undefined;
  const { attrs, leftover } = readAttrs(key);
  let text = '';
  let isFirst = true;
  let hasPacketType = false;
  let hasEthType = false;
  const add = (part: string) => {
    text += isFirst ? part : `,${part}`;
    isFirst = false;
  };

  for (const a of attrs) {
    const found = maskAttrs && findAttr(maskAttrs, a.type);
    const bad = badLength(a, found, textSizeOf(a.type), '');
    if (bad !== undefined) {
      text += bad; // It neither has a comma before it nor makes one for the next.
      continue;
    }
    if (a.type === K.PACKET_TYPE) hasPacketType = true;
    if (a.type === K.ETHERTYPE) hasEthType = true;
    const isWildcard = maskAttrs !== undefined && (found ? isConstantMask(a.type, found.data, 0) : true);
    if (verbose || !isWildcard || isNestedKeyAttr(a.type)) {
      add(formatAttr(a, found ?? (isWildcard ? wildcardMask(a) : undefined), verbose, portNames));
    } else if (a.type === K.ETHERNET && !hasPacketType) {
      // Its mere presence says that this is an Ethernet frame, not a bare L3 packet.  The stock tools do not count it as a
      // first field, so that no comma follows an `eth()` that begins the text.
      text += isFirst ? 'eth()' : ',eth()';
    } else if (a.type === K.PACKET_TYPE) {
      hasPacketType = false;
    }
  }

  if (leftover.length > 0) {
    if (leftover.length === key.length) text += '<empty>';
    text += `,***${leftover.length} leftover bytes*** (${hexBytes(leftover)})`;
  }
  const ethTypeMask = maskAttrs && findAttr(maskAttrs, K.ETHERTYPE);
  if (!hasEthType && ethTypeMask) text += `,eth_type(0/${hex4(beUint(ethTypeMask.data, 0, 2))})`;
  return text;
}

/**
 * One attribute with its name: what a set action sets.  A payload of a wrong size is reported instead.
 */
export function formatOdpKeyAttr(a: RawAttr, mask: RawAttr | undefined, verbose: boolean): string {
  return badLength(a, mask, textSizeOf(a.type), '') ?? formatAttr(a, mask, verbose, undefined);
}

const hex4 = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`;

function formatAttr(
  a: RawAttr,
  ma: RawAttr | undefined,
  verbose: boolean,
  portNames: ReadonlyMap<number, string> | undefined,
): string {
  const name = keyAttrName(a.type);
  const mask = ma?.data;
  const isExact = mask === undefined || isConstantMask(a.type, mask, 0xff);

  if (a.type === K.MPLS) {
    const problem = mplsProblem(a.data, isExact ? undefined : mask);
    // The stock tools leave this bracket open.
    if (problem !== undefined) return `${name}(${problem}`;
  }
  const inside = formatInside(a, mask, isExact, verbose, portNames);
  return `${name}(${inside})`;
}

function formatInside(
  { type, data }: RawAttr,
  mask: Uint8Array | undefined,
  isExact: boolean,
  verbose: boolean,
  portNames: ReadonlyMap<number, string> | undefined,
): string {
  const form = KEY_TEXT[type];
  if (form?.form === 'single') return formatSingle(type, form, data, mask, isExact, verbose);
  if (form?.form === 'struct') return formatStruct(type, form, data, mask, verbose);
  const shownMask = isExact ? undefined : mask;
  switch (type) {
    case K.ENCAP:
      if (data.length === 0) return '';
      return formatOdpFlow(data, mask && mask.length > 0 ? mask : undefined, { verbose });
    case K.TUNNEL:
      return formatTunnel(data, mask, verbose);
    case K.NSH:
      return formatNshKey(data, mask);
    case K.IN_PORT: {
      const port = hostUint(data, 0, 4);
      if (isExact) return portNames?.get(port) ?? String(port);
      return `${port}/${hex(hostUint(mask ?? data, 0, 4))}`;
    }
    case K.ETHERTYPE:
      return hex4(beUint(data, 0, 2)) + (shownMask ? `/${hex4(beUint(shownMask, 0, 2))}` : '');
    case K.VLAN:
      return formatVlanTci(beUint(data, 0, 2), mask ? beUint(mask, 0, 2) : 0xffff, verbose);
    case K.MPLS:
      return formatMplsList(data, shownMask);
    case K.TCP_FLAGS: {
      const flags = beUint(data, 0, 2);
      if (!shownMask) return formatFlags(TCP_FLAG_NAMES, flags, '|');
      return formatMaskedFlags(TCP_FLAG_NAMES, flags, beUint(shownMask, 0, 2) & 0xfff, 0xfff);
    }
    case K.CT_STATE: {
      const state = hostUint(data, 0, 4);
      if (verbose) return hex(state) + (shownMask ? `/${hex(hostUint(shownMask, 0, 4))}` : '');
      if (!shownMask) return formatFlags(CT_STATE_NAMES, state, '|');
      return formatMaskedFlags(CT_STATE_NAMES, state, hostUint(shownMask, 0, 4), 0xffffffff);
    }
    case K.CT_LABELS:
      return formatLabels(data, mask, verbose);
    default:
      return hexBytes(data, ' ') + (shownMask ? `/${hexBytes(shownMask, ' ')}` : '');
  }
}

function formatSingle(
  type: number,
  form: TextForm & { form: 'single' },
  data: Uint8Array,
  mask: Uint8Array | undefined,
  isExact: boolean,
  verbose: boolean,
): string {
  const read = (b: Uint8Array) => BigInt((form.order === 'host' ? hostUint : beUint)(b, 0, form.kind.size));
  // Mark and zone are left empty when nothing of them is matched, also when no mask is known.
  const isOptional = type === K.CT_MARK || type === K.CT_ZONE;
  if (isOptional && !verbose && (!mask || isAllByte(mask, 0, mask.length, 0))) return '';
  return form.kind.print(read(data)) + (isExact || !mask ? '' : `/${form.kind.printMask(read(mask))}`);
}

function formatStruct(
  type: number,
  form: TextForm & { form: 'struct' },
  data: Uint8Array,
  mask: Uint8Array | undefined,
  verbose: boolean,
): string {
  const parts: string[] = [];
  for (const { name, at, kind } of form.members) {
    const value = bytesToUint(data, at, kind.size);
    // The reserved field of ND is always printed whole, and zero is `0x0` there.
    if (type === K.ND_EXTENSIONS && at === 0) parts.push(`${name}=0x${value.toString(16)}`);
    else {
      const ones = type === K.PACKET_TYPE && !mask ? kind.ones : undefined;
      const m = mask ? bytesToUint(mask, at, kind.size) : ones;
      const text = formatMember(kind, name, value, m, verbose);
      if (text !== undefined) parts.push(text);
    }
  }
  return parts.join(',');
}

/** `vid=5,pcp=0`, `vid=5/0xfff`: members without bits in value and mask are left out, a missing tag is `cfi=0`. */
export function formatVlanTci(tci: number, mask: number, verbose: boolean): string {
  const parts: string[] = [];
  const vid = tci & 0xfff;
  const vidMask = mask & 0xfff;
  const pcp = tci >>> 13;
  const pcpMask = mask >>> 13;
  if (verbose || vid || vidMask) parts.push(`vid=${vid}${vidMask === 0xfff ? '' : `/0x${vidMask.toString(16)}`}`);
  if (verbose || pcp || pcpMask) parts.push(`pcp=${pcp}${pcpMask === 7 ? '' : `/0x${pcpMask.toString(16)}`}`);
  if (!(tci & 0x1000)) parts.push('cfi=0');
  return parts.join(',');
}

/** Members of a label stack entry: label 20 bits, traffic class 3, bottom of stack 1, TTL 8. */
const lse = (word: number) => ({ label: word >>> 12, tc: (word >>> 9) & 7, bos: (word >>> 8) & 1, ttl: word & 0xff });

export function formatMplsLse(word: number): string {
  const { label, tc, ttl, bos } = lse(word);
  return `label=${label},tc=${tc},ttl=${ttl},bos=${bos}`;
}

function mplsProblem(data: Uint8Array, mask: Uint8Array | undefined): string | undefined {
  if (data.length === 0 || data.length % 4 !== 0) return `(bad key length ${data.length})`;
  if (mask && mask.length !== data.length) return `(key length ${data.length} != mask length ${mask.length})`;
  return undefined;
}

function formatMplsList(data: Uint8Array, mask: Uint8Array | undefined): string {
  const parts: string[] = [];
  for (let at = 0; at < data.length; at += 4) {
    const word = beUint(data, at, 4);
    if (!mask) parts.push(formatMplsLse(word));
    else {
      const v = lse(word);
      const m = lse(beUint(mask, at, 4));
      const x = (n: number) => n.toString(16);
      parts.push(
        `label=${v.label}/0x${x(m.label)},tc=${v.tc}/${x(m.tc)},ttl=${v.ttl}/0x${x(m.ttl)},bos=${v.bos}/${x(m.bos)}`,
      );
    }
  }
  return parts.join(',');
}

/**
 * Connection labels as one 128-bit number: the kernel's 16 bytes are host-order words, so that on little-endian machines
 * the number's most significant byte is the last.  A label that is not matched is left out.
 */
export function formatLabels(data: Uint8Array, mask: Uint8Array | undefined, verbose: boolean): string {
  if (!verbose && (!mask || isAllByte(mask, 0, 16, 0))) return '';
  const number = (b: Uint8Array) => hexNumber(LITTLE_ENDIAN ? Uint8Array.from(b.subarray(0, 16)).reverse() : b);
  return number(data) + (mask && !isAllByte(mask, 0, 16, 0xff) ? `/${number(mask)}` : '');
}
