/**
 * What the text of matches, actions, groups and meters shares: numbers as the C library reads them, lists of keys and values, the error.
 *
 * Numbers are read exactly as the stock tools do, odd cases included: `010` is octal where any base may be used, `-1` is all ones
 * where a C program uses strtoul().  Functions that read say in the error what the stock tool says.
 * Sources: lib/ofp-parse.c, lib/util.c (parse_int_string), strtoul(3).
 */

/** A text is not what it should be.  The message is the stock tool's. */
export class OfpTextError extends Error {
  override readonly name = 'OfpTextError';
  readonly code = 'ERR_OFP_TEXT';
}

const U64_ONES = (1n << 64n) - 1n;
const NUMBERS = {
  0: /^[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))/,
  10: /^[ \t\n\v\f\r]*([+-]?)(?:()()([0-9]+))/,
} as const;

/** The number that `text` begins with, and what is left of it; undefined if it begins with none. */
export function scanNumber(text: string, base: 0 | 10): { readonly value: bigint; readonly rest: string } | undefined {
  const m = NUMBERS[base].exec(text);
  if (m === null) return undefined;
  const [all, sign, hex, octal, decimal] = m;
  const magnitude = hex ? BigInt(`0x${hex}`) : octal ? BigInt(`0o${octal}`) : BigInt(decimal ?? '0');
  return { value: sign === '-' ? -magnitude : magnitude, rest: text.slice(all.length) };
}

/** As C's atoi() reads it: 0 for what is no number.  Cut to `bits` bits, unsigned. */
export function atoi(text: string, bits: number): number {
  return Number(BigInt.asUintN(bits, scanNumber(text, 10)?.value ?? 0n));
}

function wholeInt(text: string, max: number): number | undefined {
  const n = scanNumber(text, 0);
  if (n === undefined || n.rest !== '' || n.value < 0n || n.value > BigInt(max)) return undefined;
  return Number(n.value);
}

/** `what`: what the number is, for the error: `invalid VLAN VID "x"`. */
export function parseU8(text: string, what: string): number {
  const n = wholeInt(text, 0xff);
  if (n === undefined) throw new OfpTextError(`invalid ${what} "${text}"`);
  return n;
}

/** As parseU8. */
export function parseU16(text: string, what: string): number {
  const n = wholeInt(text, 0xffff);
  if (n === undefined) throw new OfpTextError(`invalid ${what} "${text}"`);
  return n;
}

/** As strtoul() reads it: negative numbers wrap around. */
export function parseU64(text: string): bigint {
  if (text === '') throw new OfpTextError('missing required numeric argument');
  const n = scanNumber(text, 0);
  if (n === undefined || n.rest !== '' || n.value > U64_ONES || n.value < -U64_ONES) {
    throw new OfpTextError(`invalid numeric format ${text}`);
  }
  return BigInt.asUintN(64, n.value);
}

/** As parseU64, cut to 32 bits. */
export const parseU32 = (text: string): number => Number(BigInt.asUintN(32, parseU64(text)));

/**
 * Reads an integer of up to `out.length` bytes into `out`, big-endian: any number of hexadecimal digits after 0x (blanks between them are
 * allowed), or a number as strtoull() takes it.  Returns what follows it; undefined if there is none, or it does not fit.
 */
export function scanIntString(text: string, out: Uint8Array): string | undefined {
  const bits = 8 * out.length;
  let value: bigint;
  let rest: string;
  if (/^0[xX]/.test(text)) {
    const digits = /^(?:[ \t\r\n]*[0-9a-fA-F])*/.exec(text.slice(2))?.[0] ?? '';
    rest = text.slice(2 + digits.length).replace(/^[ \t\r\n]+/, '');
    value = BigInt(`0x0${digits.replace(/[ \t\r\n]/g, '')}`);
  } else {
    const n = scanNumber(text, 0);
    if (n === undefined || n.value > U64_ONES || n.value < -U64_ONES) return undefined;
    ({ rest } = n);
    value = BigInt.asUintN(64, n.value);
  }
  if (value >> BigInt(bits) !== 0n) return undefined;
  for (let i = out.length - 1; i >= 0; i--) {
    out[i] = Number(value & 0xffn);
    value >>= 8n;
  }
  return rest;
}

/** Hexadecimal digits in pairs, with blanks and dots between pairs, as far as they go; and what follows them. */
export function scanHex(text: string): { readonly bytes: Uint8Array; readonly rest: string } {
  const pairs = /^(?:[ .\t\r\n]*[0-9a-fA-F]{2})*/.exec(text)?.[0] ?? '';
  const digits = pairs.replace(/[ .\t\r\n]/g, '');
  const bytes = Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
  return { bytes, rest: text.slice(pairs.length).replace(/^[ .\t\r\n]+/, '') };
}

/** Bytes as one number: `0x102ff`, `0` if all are 0. */
export function formatHexNumber(bytes: Uint8Array): string {
  let text = '';
  for (const b of bytes) {
    if (text !== '') text += b.toString(16).padStart(2, '0');
    else if (b !== 0) text = `0x${b.toString(16)}`;
  }
  return text === '' ? '0' : text;
}

/** As printf's %#x: `0x1f`, but `0` for 0. */
export const formatHex = (n: number | bigint): string => (BigInt(n) === 0n ? '0' : `0x${n.toString(16)}`);

const BLANKS = ', \t\r\n';
const KEY_END = ':=(, \t\r\n';

/** Where `text` from `at` has the first character of `ends` outside of parentheses, else its end. */
function endOfValue(text: string, at: number, ends: string): number {
  let i = at;
  while (i < text.length && !ends.includes(text[i] as string)) {
    if (text[i] !== '(') {
      i++;
      continue;
    }
    let level = 0;
    do {
      if (i >= text.length) return i;
      if (text[i] === '(') level++;
      else if (text[i] === ')') level--;
      i++;
    } while (level > 0);
  }
  return i;
}

/**
 * A list such as `output:1,set_field:2->reg0 learn(table=1,x=y)`: keys, each alone or with a value after `:` or `=` (up to a blank or
 * comma) or in parentheses.
 */
export class KeyValues {
  private readonly text: string;
  private at = 0;
  key = '';
  /** "" if there is none. */
  value = '';

  constructor(text: string) {
    this.text = text;
  }

  /** Goes on to the next key; false at the end. */
  next(): boolean {
    const { text } = this;
    while (this.at < text.length && BLANKS.includes(text[this.at] as string)) this.at++;
    if (this.at >= text.length) return false;

    let end = this.at;
    while (end < text.length && !KEY_END.includes(text[end] as string)) end++;
    this.key = text.slice(this.at, end);
    this.value = '';
    const delimiter = text[end];
    this.at = Math.min(end + 1, text.length);
    if (delimiter !== ':' && delimiter !== '=' && delimiter !== '(') return true;

    let stop = endOfValue(text, this.at, delimiter === '(' ? ')' : BLANKS);
    // "name(x)->y": the value is "x)->y".
    if (delimiter === '(' && text.startsWith(')->', stop)) stop = endOfValue(text, stop, BLANKS);
    this.value = text.slice(this.at, stop);
    this.at = Math.min(stop + 1, text.length);
    return true;
  }
}

/** What strtok() gives: the parts of `text` between runs of characters of `separators`. */
export function tokens(text: string, separators: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (const c of text) {
    if (!separators.includes(c)) part += c;
    else if (part !== '') {
      parts.push(part);
      part = '';
    }
  }
  if (part !== '') parts.push(part);
  return parts;
}
