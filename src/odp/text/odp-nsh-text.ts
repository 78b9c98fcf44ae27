/**
 * Text of NSH: as a match, as what a set action sets, and as the header that push_nsh pushes.
 * The stock tools print an NSH match and cannot read one; push_nsh goes both ways.
 * Source: lib/odp-util.c (format_nsh_key, format_odp_push_nsh_action, parse_odp_push_nsh_action), RFC 8300.
 */
import { MessageWriter } from '../../netlink/message.ts';
import { OVS_NSH_KEY_ATTR as N, OVS_KEY_ATTR } from '../key/key-table.ts';
import { beUint, findAttr, hexNumber, readAttrs } from './odp-attr-list.ts';
import { badLength } from './odp-bad-length.ts';
import type { Scanner } from './odp-text-scan.ts';

/** struct ovs_nsh_key_base is 8 bytes, struct ovs_nsh_key_md1 16; metadata of type 2 is of any size. */
const BASE_SIZE = 8;
const MD1_SIZE = 16;
const sizeOf = (type: number) =>
  type === N.BASE ? BASE_SIZE : type === N.MD1 ? MD1_SIZE : type === N.MD2 ? undefined : 0;
const MDTYPE_1 = 1;
const MDTYPE_2 = 2;
/** Metadata of type 2 that fits into a header (NSH_CTX_HDRS_MAX_LEN). */
const MD2_MAX = 244;
const DEFAULT_TTL = 63;

/** What a NSH attribute says: base (8 bytes) and the four contexts (16 bytes), one after the other. */
const newNsh = (fill: number): Uint8Array => new Uint8Array(BASE_SIZE + MD1_SIZE).fill(fill);

const plain = (nsh: Uint8Array): string[] => {
  const [flags = 0, ttl = 0, mdtype = 0, np = 0] = nsh;
  const spi = beUint(nsh, 4, 3).toString(16);
  const parts = [`flags=${flags}`, `ttl=${ttl}`, `mdtype=${mdtype}`, `np=${np}`, `spi=0x${spi}`, `si=${nsh[7] ?? 0}`];
  if (mdtype === MDTYPE_1) {
    for (let i = 0; i < 4; i++) parts.push(`c${i + 1}=0x${beUint(nsh, BASE_SIZE + 4 * i, 4).toString(16)}`);
  }
  return parts;
};

const hexPadded = (value: number, digits: number) => `0x${value.toString(16).padStart(digits, '0')}`;

function masked(nsh: Uint8Array, mask: Uint8Array): string[] {
  const parts: string[] = [];
  const byte = (name: string, at: number) => {
    const [value = 0, m = 0] = [nsh[at], mask[at]];
    if (m !== 0) parts.push(`${name}=${m === 0xff ? value : `${hexPadded(value, 2)}/${hexPadded(m, 2)}`}`);
  };
  const word = (name: string, at: number, size: number) => {
    const [value, m] = [beUint(nsh, at, size), beUint(mask, at, size)];
    if (m === 0) return;
    const isFull = m === 2 ** (8 * size) - 1;
    parts.push(`${name}=0x${value.toString(16)}${isFull ? '' : `/${hexPadded(m, 8)}`}`);
  };
  byte('flags', 0);
  byte('ttl', 1);
  byte('mdtype', 2);
  byte('np', 3);
  word('spi', 4, 3);
  byte('si', 7);
  for (let i = 0; i < 4; i++) word(`c${i + 1}`, BASE_SIZE + 4 * i, 4);
  return parts;
}

/** The inside of `nsh(...)` of a match. */
export function formatNshKey(nest: Uint8Array, mask: Uint8Array | undefined): string {
  const nsh = newNsh(0);
  const nshMask = newNsh(0xff);
  const maskAttrs = mask && readAttrs(mask).attrs;
  let reports = '';
  for (const a of readAttrs(nest).attrs) {
    const ma = maskAttrs && findAttr(maskAttrs, a.type);
    const bad = a.type > N.MD2 ? undefined : badLength(a, ma, sizeOf(a.type), `key${a.type}`);
    if (bad !== undefined) {
      reports += bad;
      continue;
    }
    if (a.type !== N.BASE && a.type !== N.MD1) continue;
    const at = a.type === N.BASE ? 0 : BASE_SIZE;
    nsh.set(a.data, at);
    if (ma) nshMask.set(ma.data, at);
  }
  return reports + (maskAttrs ? masked(nsh, nshMask) : plain(nsh)).join(',');
}

/** The whole `set(nsh(...))` of a masked set; '' if an attribute of it has a wrong size. */
export function formatSetNsh(nest: Uint8Array): string {
  const nsh = newNsh(0);
  const mask = newNsh(0xff);
  for (const { type, data } of readAttrs(nest).attrs) {
    const size = sizeOf(type);
    // Metadata of type 2 is not something that can be set.
    if (type >= N.MD2 || (size !== undefined && data.length !== 2 * size)) return '';
    if (type !== N.BASE && type !== N.MD1) continue;
    const at = type === N.BASE ? 0 : BASE_SIZE;
    nsh.set(data.subarray(0, data.length / 2), at);
    mask.set(data.subarray(data.length / 2), at);
  }
  return `set(nsh(${masked(nsh, mask).join(',')}))`;
}

/** `push_nsh(...)`; `nest` is the payload of OVS_ACTION_ATTR_PUSH_NSH: one NSH attribute. */
export function formatPushNsh(nest: Uint8Array): string {
  const outer = readAttrs(nest).attrs[0];
  const nsh = newNsh(0);
  nsh[1] = DEFAULT_TTL;
  let md: { type: number; data: Uint8Array } | undefined;
  let isSound = outer !== undefined;
  for (const { type, data } of outer ? readAttrs(outer.data).attrs : []) {
    const size = sizeOf(type);
    if ((type <= N.MD2 && size !== undefined && data.length !== size) || data.length > MD2_MAX) {
      isSound = false;
      break;
    }
    if (type === N.BASE) nsh.set(data);
    else if (type === N.MD1) nsh.set(data, BASE_SIZE);
    if (type === N.MD1 || type === N.MD2) md = { type, data };
    else if (type !== N.BASE) isSound = false;
  }
  const mdtype = nsh[2] ?? 0;
  // A header has 2 bits of flags and 6 of TTL; of attributes that do not go together it has neither, nor a length.
  if (md && md.type - N.MD1 !== mdtype - MDTYPE_1) isSound = false;
  nsh[0] = isSound ? (nsh[0] ?? 0) & 3 : 0;
  nsh[1] = isSound ? (nsh[1] ?? 0) & 0x3f : 0;
  const parts = plain(nsh);
  if (mdtype === MDTYPE_2) parts.push(`md2=${hexNumber(isSound && md ? md.data : new Uint8Array(0))}`);
  else if (mdtype !== MDTYPE_1) parts.push('<error: unknown mdtype>');
  return `push_nsh(${parts.join(',')})`;
}

/** Reads `push_nsh(...)` and returns the payload of its action; undefined if it is not well-formed. */
export function parsePushNsh(s: Scanner): Uint8Array | undefined {
  if (!s.lit('push_nsh(')) return undefined;
  const start = s.at - 'push_nsh('.length;
  // A header of type 1 that carries Ethernet, with the largest TTL and index, unless the text says otherwise.
  const base = Uint8Array.of(0, DEFAULT_TTL, MDTYPE_1, 3, 0, 0, 0, 255);
  const context = new Uint8Array(MD1_SIZE);
  let md2 = new Uint8Array(0);
  const bytes = { 'flags=': 0, 'ttl=': 1, 'mdtype=': 2, 'np=': 3, 'si=': 7 } as const;

  const member = (): boolean => {
    for (const [name, at] of Object.entries(bytes)) {
      const value = s.match(`${name}{i8}`)?.[0];
      if (value === undefined) continue;
      base[at] = Number(value);
      return at !== 2 || value === 1n || value === 2n;
    }
    const spi = s.match('spi=0x{x32}')?.[0];
    if (spi !== undefined) {
      new DataView(base.buffer).setUint32(4, ((Number(spi) & 0xffffff) << 8) | (base[7] ?? 0));
      return true;
    }
    if (base[2] === MDTYPE_1) {
      for (let i = 0; i < 4; i++) {
        const value = s.match(`c${i + 1}=0x{x32}`)?.[0];
        if (value === undefined) continue;
        new DataView(context.buffer).setUint32(4 * i, Number(value));
        return true;
      }
      return false;
    }
    const digits = /^md2=0x([0-9a-fA-F]{1,511})/.exec(s.rest);
    if (!digits) return false;
    s.at += digits[0].length;
    if ((s.at - start) >> 1 > MD2_MAX) return false;
    const hex = digits[1] ?? '';
    md2 = new Uint8Array(((hex.length >> 1) + 3) & ~3);
    md2.set(Buffer.from(hex, 'hex'));
    return true;
  };

  for (;;) {
    s.skipDelimiters();
    if (s.lit(')')) break;
    if (!member()) return undefined;
  }
  const w = new MessageWriter(256);
  const nest = w.nest(OVS_KEY_ATTR.NSH);
  w.attrBytes(N.BASE, base);
  if (base[2] === MDTYPE_1) w.attrBytes(N.MD1, context);
  else if (md2.length > 0) w.attrBytes(N.MD2, md2);
  w.endNest(nest);
  return w.bytes.slice(0, w.size);
}
