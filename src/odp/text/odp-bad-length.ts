/**
 * How attributes print that are not what they should be: of a wrong size, or of a number that nobody knows.
 * Source: lib/odp-util.c (check_attr_len, format_generic_odp_key, format_unknown_key).
 */
import { hexBytes, isAllByte, type RawAttr } from './odp-attr-list.ts';

/**
 * The report of an attribute, or of its mask, whose payload is not `expected` bytes; undefined if both are right, or if any
 * size will do (`expected` undefined).  `name` goes before it.
 */
export function badLength(
  a: RawAttr,
  mask: RawAttr | undefined,
  expected: number | undefined,
  name: string,
): string | undefined {
  if (expected === undefined) return undefined;
  const isKeyBad = a.data.length !== expected;
  const isMaskBad = mask !== undefined && mask.data.length !== expected;
  if (!isKeyBad && !isMaskBad) return undefined;
  const key = isKeyBad ? `(bad key length ${a.data.length}, expected ${expected})(` : '';
  let text = `${name}${key}${hexBytes(a.data, ' ')}`;
  if (mask) {
    const report = isMaskBad ? `(bad mask length ${mask.data.length}, expected ${expected})(` : '';
    text += `/${report}${hexBytes(mask.data, ' ')}`;
  }
  return `${text})`;
}

/** `key9(01 02/ff ff)`, of the attributes inside a tunnel. */
export function formatUnknown(a: RawAttr, mask: Uint8Array | undefined): string {
  const text = `key${a.type}(${hexBytes(a.data, ' ')}`;
  const isTunnelFlagMask = mask && a.type >= 2 && a.type <= 30 && isAllByte(mask, 0, mask.length, 0xff);
  return mask && !isTunnelFlagMask ? `${text}/${hexBytes(mask, ' ')})` : `${text})`;
}
