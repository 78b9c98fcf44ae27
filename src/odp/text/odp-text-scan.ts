/**
 * Reading the text of datapath flows and actions: a cursor over a string, and its integers and addresses.
 *
 * The grammar is the one that the C tools read with a scanf() of their own, and its looseness is part of the format:
 * blanks before a number are skipped, `0x` and a leading `0` choose the base, a sign is taken, and a number that is too
 * wide keeps its low bits.  Every integer is a bigint of a given width, addresses too, so that one kind of value serves
 * all fields.  Methods return undefined, and leave the cursor where it was, when what they look for is not there.
 * Source: lib/util.c (ovs_scan, parse_int_string), lib/odp-util.c.
 */
import { parseIpv6 } from '../../util/inet.ts';
import { bytesToUint } from './odp-attr-list.ts';

/** Text that is no datapath flow or action list.  `errno` is what the tools put in brackets after their message. */
export class OdpParseError extends Error {
  override readonly name = 'OdpParseError';
  readonly code = 'ERR_ODP_PARSE';
  /** EINVAL (22), or E2BIG (7) where the text is well-formed and too much for a netlink attribute. */
  readonly errno: number;
  /** What was being read: a "ufid", a flow "key" or "actions". */
  readonly what: 'ufid' | 'key' | 'actions';

  constructor(message: string, what: 'ufid' | 'key' | 'actions', errno = EINVAL) {
    super(message);
    this.what = what;
    this.errno = errno;
  }
}

export const EINVAL = 22;
export const E2BIG = 7;

/** Payload bytes that a netlink attribute can hold: nla_len is 16 bits and counts its own header. */
export const NLA_MAX_PAYLOAD = 0xffff - 4;

/** Nesting that is still read; one more level is a syntax error. */
export const MAX_TEXT_DEPTH = 32;

const DELIMITERS = ', \t\r\n';
const SPACES = ' \t\n\v\f\r';
const NUL = '';

const digitOf = (c: string): number => {
  const d = c === NUL ? Number.NaN : Number.parseInt(c, 16);
  return Number.isNaN(d) ? 99 : d;
};

export class Scanner {
  readonly text: string;
  at = 0;
  /** Present nesting, against MAX_TEXT_DEPTH. */
  depth = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** The next character, or '' at the end. */
  get peek(): string {
    return this.text[this.at] ?? NUL;
  }
  get rest(): string {
    return this.text.slice(this.at);
  }
  get isAtEnd(): boolean {
    return this.at >= this.text.length;
  }
  /** True at a delimiter or at the end: where an action may stop. */
  get isAtDelimiter(): boolean {
    return this.isAtEnd || DELIMITERS.includes(this.peek);
  }

  startsWith(literal: string): boolean {
    return this.text.startsWith(literal, this.at);
  }

  /** Steps over `literal` if it comes next. */
  lit(literal: string): boolean {
    if (!this.startsWith(literal)) return false;
    this.at += literal.length;
    return true;
  }

  skipDelimiters(): void {
    while (!this.isAtEnd && DELIMITERS.includes(this.peek)) this.at++;
  }

  /** The longest run of characters, possibly empty, that are not in `stops`. */
  until(stops: string): string {
    let end = this.at;
    while (end < this.text.length && !stops.includes(this.text[end] ?? NUL)) end++;
    const word = this.text.slice(this.at, end);
    this.at = end;
    return word;
  }

  /** The word up to a delimiter, or up to one or a closing bracket. */
  word(untilBracket = false): string {
    return this.until(untilBracket ? `${DELIMITERS})` : DELIMITERS);
  }

  /** An integer of `bits` bits.  Base 0 lets its prefix choose, 16 allows `0x`. */
  int(bits: number, base = 0): bigint | undefined {
    let at = this.at;
    const char = (i: number) => this.text[i] ?? NUL;
    const isBlank = (c: string) => c !== NUL && SPACES.includes(c);
    while (isBlank(char(at))) at++;
    const isNegative = char(at) === '-';
    if (isNegative || char(at) === '+') at++;
    if ((base === 0 || base === 16) && char(at) === '0' && /^x$/i.test(char(at + 1))) {
      base = 16;
      at += 2;
    } else if (base === 0) base = char(at) === '0' ? 8 : 10;
    const start = at;
    while (digitOf(char(at)) < base) at++;
    if (at === start) return undefined;
    const digits = this.text.slice(start, at);
    const value = BigInt(base === 16 ? `0x${digits}` : base === 8 ? `0o${digits}` : digits);
    this.at = at;
    return BigInt.asUintN(bits, BigInt.asUintN(64, isNegative ? -value : value));
  }

  /** A number of `size` bytes: hexadecimal of any length with blanks between digits, else at most 64 bits. */
  wideInt(size: number): bigint | undefined {
    const hex = /^0[xX]([0-9a-fA-F \t\r\n]*)/.exec(this.rest);
    const plain = hex ? null : /^[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/.exec(this.rest);
    const found = hex ?? plain;
    if (!found) return undefined;
    let value: bigint;
    if (hex) value = BigInt(`0x0${(hex[1] ?? '').replace(/[ \t\r\n]/g, '')}`);
    else {
      const digits = plain?.[2] ?? '0';
      value = BigInt(/^0[0-7]*$/.test(digits) ? `0o0${digits.slice(1)}` : digits);
      if (value >> 64n) return undefined;
      if (plain?.[1] === '-') value = BigInt.asUintN(64, -value);
    }
    if (value >> BigInt(8 * size)) return undefined;
    this.at += found[0].length;
    return value;
  }

  /** `a.b.c.d` as a 32-bit value. */
  ipv4(): bigint | undefined {
    return this.joined(4, '.', 10);
  }
  /** `a:b:c:d:e:f`, hexadecimal, as a 48-bit value. */
  mac(): bigint | undefined {
    return this.joined(6, ':', 16);
  }
  /** An IPv6 address as a 128-bit value. */
  ipv6(): bigint | undefined {
    const found = /^[0-9a-fA-F:.]{1,46}/.exec(this.rest);
    const bytes = found && parseIpv6(found[0]);
    if (!found || !bytes) return undefined;
    this.at += found[0].length;
    return bytesToUint(bytes, 0, 16);
  }

  /**
   * Reads a whole pattern, or nothing: text stands for itself, `{i8} {i16} {i32} {i64}` are integers with a prefix, `{u..}`
   * decimal, `{x..}` hexadecimal ones, `{mac} {ip} {ip6}` addresses.  Returns the values in order.
   */
  match(pattern: string): bigint[] | undefined {
    const start = this.at;
    const values: bigint[] = [];
    for (const [i, part] of pattern.split(/\{(\w+)\}/).entries()) {
      if (i % 2 === 0) {
        if (this.lit(part)) continue;
      } else {
        const value = this.conversion(part);
        if (value !== undefined) {
          values.push(value);
          continue;
        }
      }
      this.at = start;
      return undefined;
    }
    return values;
  }

  private conversion(name: string): bigint | undefined {
    if (name === 'mac') return this.mac();
    if (name === 'ip') return this.ipv4();
    if (name === 'ip6') return this.ipv6();
    const base = name.startsWith('u') ? 10 : name.startsWith('x') ? 16 : 0;
    return this.int(Number(name.slice(1)), base);
  }

  private joined(count: number, separator: string, base: number): bigint | undefined {
    const start = this.at;
    let value = 0n;
    for (let i = 0; i < count; i++) {
      const byte = i > 0 && !this.lit(separator) ? undefined : this.int(8, base);
      if (byte === undefined) {
        this.at = start;
        return undefined;
      }
      value = (value << 8n) | byte;
    }
    return value;
  }
}
