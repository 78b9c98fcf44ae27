/** Messages from bytes, written again: what they mean must stay the same for us and for stock ovs-ofctl. */
import { expect } from 'vitest';
import { decodeMessage, encodeMessage, type OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import type { BodyOf, OfMessage } from '../../../src/openflow/messages/of-message.ts';
import type { OfKind } from '../../../src/openflow/ofp-msgs.ts';
import { fromHex, hasOfctl, stockPrint } from './oracle.ts';

/** What stock prints, but its log. */
const printed = (bytes: Uint8Array): string => stockPrint(bytes).replaceAll(/^\d{4}-.*\n/gm, '');

if (!hasOfctl) console.log('no ovs-ofctl: messages are not compared with what it prints');

/** Reads the message in `hex`, writes it, reads it again, and has stock print both.  Returns it. */
export function again(hex: string): OfMessage {
  const bytes = fromHex(hex);
  const first = decodeMessage(bytes);
  const out = encodeMessage({ ...first, version: first.version } as OfMessageOut);
  const second = decodeMessage(out);
  expect(second).toEqual(first);
  expect(encodeMessage(second as OfMessageOut)).toEqual(out);
  if (hasOfctl) expect(printed(out)).toBe(printed(bytes));
  return second;
}

/** As `again`, and the body is of `kind`. */
export function bodyAgain<K extends OfKind>(kind: K, hex: string): BodyOf[K] {
  const m = again(hex);
  expect(m.kind).toBe(kind);
  return m.body as BodyOf[K];
}
