/**
 * Text of link-layer and internet addresses: `00:11:22:aa:bb:cc`, `10.0.0.1`, `fe80::1`.
 *
 * Addresses are bytes in network order, inside a larger array (`at` is where they begin), because that is how keys,
 * packets and netlink payloads hold them.  What is printed is what the C library's inet_ntop() prints, and what is
 * accepted is what inet_pton() accepts: neither is what general address packages do (they take `1.2`, `::1%eth0`, octal),
 * and the datapath's text must agree with the stock tools to the byte.
 * Sources: RFC 4291 2.2, RFC 5952 4, inet_ntop(3), inet_pton(3).
 */

export const MAC_SIZE = 6;
export const IPV4_SIZE = 4;
export const IPV6_SIZE = 16;

const HEX2: readonly string[] = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

/** The 6 bytes at `at` as `xx:xx:xx:xx:xx:xx`. */
export function formatMac(bytes: Uint8Array, at = 0): string {
  let text = HEX2[bytes[at] ?? 0] ?? '';
  for (let i = 1; i < MAC_SIZE; i++) text += `:${HEX2[bytes[at + i] ?? 0]}`;
  return text;
}

/** Bytes of `xx:xx:xx:xx:xx:xx` (one or two hexadecimal digits each); undefined if `text` is anything else. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

/** The 4 bytes at `at` as dotted decimal. */
export function formatIpv4(bytes: Uint8Array, at = 0): string {
  return `${bytes[at] ?? 0}.${bytes[at + 1] ?? 0}.${bytes[at + 2] ?? 0}.${bytes[at + 3] ?? 0}`;
}

/** Bytes of a dotted quad without leading zeros; undefined if `text` is anything else. */
export function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== IPV4_SIZE) return undefined;
  const out = new Uint8Array(IPV4_SIZE);
  for (const [i, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return undefined;
    out[i] = Number(part);
  }
  return out;
}

/** The 16 bytes at `at`: the longest run of two or more zero groups (the first of equals) becomes `::`. */
export function formatIpv6(bytes: Uint8Array, at = 0): string {
  const group = (i: number) => ((bytes[at + 2 * i] ?? 0) << 8) | (bytes[at + 2 * i + 1] ?? 0);
  let runStart = -1;
  let runLength = 1;
  for (let i = 0; i < 8; ) {
    let end = i;
    while (end < 8 && group(end) === 0) end++;
    if (end - i > runLength) {
      runStart = i;
      runLength = end - i;
    }
    i = end + 1;
  }
  // IPv4-compatible and IPv4-mapped addresses end in a dotted quad.
  const dotted = runStart === 0 && (runLength === 6 || (runLength === 5 && group(5) === 0xffff));
  const tail = dotted ? 6 : 8;

  const groups = (from: number, to: number) =>
    Array.from({ length: Math.max(0, to - from) }, (_, i) => group(from + i).toString(16));
  const quad = dotted ? [formatIpv4(bytes, at + 12)] : [];
  if (runStart < 0) return [...groups(0, tail), ...quad].join(':');
  return `${groups(0, runStart).join(':')}::${[...groups(runStart + runLength, tail), ...quad].join(':')}`;
}

/** Bytes of an IPv6 address as inet_pton() takes it (no zone); undefined if `text` is anything else. */
export function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? '', halves.length === 1);
  const rest = halves.length === 2 ? groupsOf(halves[1] ?? '', true) : [];
  if (head === undefined || rest === undefined) return undefined;
  const missing = 8 - head.length - rest.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;

  const out = new Uint8Array(IPV6_SIZE);
  for (const [i, value] of [...head, ...new Array<number>(missing).fill(0), ...rest].entries()) {
    out[2 * i] = value >>> 8;
    out[2 * i + 1] = value & 0xff;
  }
  return out;
}

/** The 16-bit groups of one side of `::`; only the last may be a dotted quad, and only at the address's end. */
function groupsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const out: number[] = [];
  for (const [i, part] of parts.entries()) {
    const quad = isEnd && i === parts.length - 1 && part.includes('.') ? parseIpv4(part) : undefined;
    if (quad !== undefined) out.push(((quad[0] ?? 0) << 8) | (quad[1] ?? 0), ((quad[2] ?? 0) << 8) | (quad[3] ?? 0));
    else if (/^[0-9a-f]{1,4}$/i.test(part)) out.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return out;
}
