/** Stock ovs-ofctl reads our messages. */
import { spawnSync } from 'node:child_process';
import { expect } from 'vitest';
import { decodeMessage, encodeMessage, type OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import { formatMessage } from '../../../src/openflow/print/ofp-print.ts';

/** That of `ovs-ofctl ofp-print` unless told otherwise. */
const OFP_PRINT_VERBOSITY = 2;

export const hasOfctl = spawnSync('ovs-ofctl', ['--version']).status === 0;
export const toHex = (b: Uint8Array): string => Buffer.from(b).toString('hex');
export const fromHex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

/** What `ovs-ofctl ofp-print` prints of a message, its errors among it: we must print the same. */
export function stockPrint(message: Uint8Array): string {
  const { stdout, stderr } = spawnSync('ovs-ofctl', ['ofp-print', toHex(message)], { encoding: 'utf8' });
  expect(formatMessage(message, { verbosity: OFP_PRINT_VERBOSITY })).toBe(stdout);
  return stdout + stderr;
}

/** The message, and its body as it comes back from bytes, which must be what went in. */
export function roundTrip(m: OfMessageOut): Uint8Array {
  const bytes = encodeMessage(m);
  const back = decodeMessage(bytes);
  expect({ kind: back.kind, version: back.version, xid: back.xid, body: back.body }).toEqual({
    kind: m.kind,
    version: m.version,
    xid: m.xid,
    body: m.body,
  });
  return bytes;
}

/** The name of the error that decoding ends in; undefined: none.  Anything but OfpError goes through. */
export function decodeError(message: Uint8Array): string | undefined {
  try {
    decodeMessage(message);
    return undefined;
  } catch (e) {
    if (!(e instanceof OfpError)) throw e;
    return e.code;
  }
}
