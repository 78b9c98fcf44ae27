/**
 * "KEY=VALUE,KEY(VALUE)..." as the OpenFlow tools write flows, tuples and limits, and the numbers in it.
 * Source: lib/ofp-parse.c (ofputil_parse_key_value()), lib/ofp-util.c (str_to_u8() ...).
 */

/** What is wrong with a command's argument, in the words of ovs-dpctl.  The command fails with EINVAL. */
export class ArgumentError extends RangeError {
  override readonly name = 'ArgumentError';
}

const SEPARATORS = ', \t\r\n';
/** What ends a key, and says where its value ends. */
const AFTER_KEY = `:=(${SEPARATORS}`;

/** Takes `text` apart.  The value is '' where a key has none. */
export function* keyValues(text: string): Generator<readonly [key: string, value: string]> {
  const isOneOf = (at: number, set: string) => set.includes(text[at] ?? '');
  let at = 0;
  for (;;) {
    while (at < text.length && isOneOf(at, SEPARATORS)) at++;
    if (at >= text.length) return;
    const keyAt = at;
    while (at < text.length && !isOneOf(at, AFTER_KEY)) at++;
    const key = text.slice(keyAt, at);
    const delimiter = text[at++] ?? '';
    let value = '';
    if (delimiter === '(' || delimiter === ':' || delimiter === '=') {
      const end = valueEnd(text, at, delimiter === '(' ? ')' : SEPARATORS);
      value = text.slice(at, end);
      at = end + 1;
    }
    yield [key, value];
  }
}

/** Where the value at `at` ends: before one of `delimiters`, or with the text.  What is in parentheses belongs to it. */
function valueEnd(text: string, at: number, delimiters: string): number {
  let level = 0;
  for (; at < text.length; at++) {
    const c = text[at] ?? '';
    if (level === 0 && delimiters.includes(c)) break;
    if (c === '(') level++;
    else if (c === ')' && level > 0) level--;
  }
  return at;
}

/** A whole number in decimal, hexadecimal (0x) or octal (0), 0 to `max`; throws an ArgumentError that names `key`. */
export function parseUint(key: string, text: string, max: number): number {
  const n = /^0[0-7]+$/.test(text) ? Number(`0o${text.slice(1)}`) : Number(text);
  if (!/^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.test(text) || n > max) {
    throw new ArgumentError(`failed to parse field ${key}`);
  }
  return n;
}

/** The number that `text` begins with, cut to `bits` bits as scanf does; undefined if there is none. */
export function scanUint(text: string, bits: number): number | undefined {
  const digits = /^[ \t\r\n]*([+-]?\d+)/.exec(text)?.[1];
  return digits === undefined ? undefined : Number(BigInt.asUintN(bits, BigInt(digits.replace('+', ''))));
}
