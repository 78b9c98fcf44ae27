/**
 * What printers of messages are, and what they share: names of bits, hexadecimal dumps.  `ofp-print.ts` finds the one for a message's kind.
 * Source: lib/ofp-print.c, lib/dynamic-string.c (ds_put_hex_dump, ds_put_printable).
 */
import type { BodyOf } from '../messages/of-message.ts';
import type { OfVersion } from '../ofp-errors.ts';
import type { OfpRaw } from '../ofp-msgs.ts';
import type { OfpNames } from '../ofp-names.ts';

/** The message around a body, and how much is to be said of it. */
export interface PrintCtx {
  readonly raw: OfpRaw;
  readonly version: OfVersion;
  /** The whole message. */
  readonly bytes: Uint8Array;
  readonly names: OfpNames;
  /** As of `ovs-ofctl -m`: 0 the least, 1 packets too, 2 payloads of echoes, 3 packets in hexadecimal digits, 5 all messages so. */
  readonly verbosity: number;
  /** A message in a message; it may be cut short. */
  nested(bytes: Uint8Array, verbosity: number): string;
}

/** What is printed of a body, directly after "OFPT_HELLO (xid=0x1):"; a blank at its end is left out. */
export type Printer<B> = (body: B, c: PrintCtx) => string;

/** Printers by kind; a kind without one is its header alone. */
export type Printers = { readonly [K in keyof BodyOf]?: Printer<BodyOf[K]> };

/** Names of bits, the lowest first. */
export type BitNames = readonly (readonly [bit: number, name: string])[];

/** "PORT_DOWN NO_FLOOD 0x100": names, and the bits that have none as a number; "0" for none. */
export function formatBits(bits: number, names: BitNames, separator = ' '): string {
  if (bits === 0) return '0';
  let rest = bits;
  const parts: string[] = [];
  for (const [bit, name] of names) {
    if ((bits & bit) === 0) continue;
    parts.push(name);
    rest &= ~bit;
  }
  if (rest !== 0) parts.push(`0x${(rest >>> 0).toString(16)}`);
  return parts.join(separator);
}

const PER_LINE = 16;
const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');

/** Lines of 16 bytes: offset, hexadecimal digits, and unless `isBare` characters. */
export function hexDump(bytes: Uint8Array, isBare = false): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += PER_LINE) {
    const line = bytes.subarray(at, at + PER_LINE);
    text += `${hex(at, 8)}  `;
    line.forEach((b, i) => {
      text += hex(b, 2) + (i === PER_LINE / 2 - 1 ? '-' : ' ');
    });
    if (isBare) text = text.trimEnd();
    else {
      const shown = Array.from(line, (b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '.')).join('');
      text += `${'   '.repeat(PER_LINE - line.length)}|${shown}${' '.repeat(PER_LINE - line.length)}|`;
    }
    text += '\n';
  }
  return text;
}

/** Characters, those that cannot be shown as `\ooo`. */
export function formatPrintable(bytes: Uint8Array): string {
  return Array.from(bytes, (b) =>
    b < 0x20 || b > 0x7e || b === 0x5c || b === 0x22 ? `\\${b.toString(8).padStart(3, '0')}` : String.fromCharCode(b),
  ).join('');
}

/** A 64-bit counter, "?" if it is not known. */
export const formatCount = (n: bigint | undefined): string =>
  n === undefined || n === 0xffff_ffff_ffff_ffffn ? '?' : String(n);
