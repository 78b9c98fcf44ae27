import { describe, expect, test } from 'vitest';
import { ofpPrint } from '../../src/cli/ofp-print.ts';

describe('ofctl ofp-print', () => {
  test('prints a message, blanks between digits or not', () => {
    const text = 'OFPT_ECHO_REQUEST (OF1.3) (xid=0x3): 1 bytes of payload\n';
    expect(ofpPrint('0402000900000003 41', '1')).toBe(text);
    expect(ofpPrint('04 02 00 09 00 00 00 03 41', undefined)).toMatch(/^OFPT_ECHO_REQUEST.*\n0{8} {2}41 /);
  });
  test('what is no hexadecimal digit is an error', () => {
    expect(() => ofpPrint('04x', undefined)).toThrow(RangeError);
  });
});
