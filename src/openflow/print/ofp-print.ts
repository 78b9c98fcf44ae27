/**
 * OpenFlow messages as text, as `ovs-ofctl ofp-print`, `snoop` and the log of connections show them:
 *
 *     OFPT_FLOW_MOD (OF1.3) (xid=0x2): ADD table:0 in_port=1 actions=output:2
 *
 * Bytes are printed whatever they are: what is no message, or is wrong, with the error's name and in hexadecimal digits.
 * Source: lib/ofp-print.c (ofp_to_string).
 */
import { decodePartly } from '../messages/codec.ts';
import { type OfpErr, OfpError, type OfVersion } from '../ofp-errors.ts';
import { decodeHeader, decodeHeaderPartial, OFP_HEADER_SIZE, OFPMPF_MORE, type OfpHeader } from '../ofp-header.ts';
import type { OfpNames } from '../ofp-names.ts';
import { CONNECTION_PRINTERS } from './print-connection.ts';
import { EXTENSION_PRINTERS } from './print-extension.ts';
import { FLOW_PRINTERS } from './print-flow.ts';
import { GROUP_PRINTERS } from './print-group.ts';
import { PACKET_PRINTERS } from './print-packet.ts';
import { PORT_PRINTERS } from './print-port.ts';
import { QUEUE_PRINTERS } from './print-queue.ts';
import { SWITCH_PRINTERS } from './print-switch.ts';
import { TABLE_PRINTERS } from './print-table.ts';
import { TABLE_FEATURES_PRINTERS } from './print-table-features.ts';
import { hexDump, type Printer, type Printers } from './printer.ts';

const PRINTERS: Printers = {
  ...CONNECTION_PRINTERS,
  ...SWITCH_PRINTERS,
  ...PORT_PRINTERS,
  ...TABLE_PRINTERS,
  ...TABLE_FEATURES_PRINTERS,
  ...FLOW_PRINTERS,
  ...PACKET_PRINTERS,
  ...GROUP_PRINTERS,
  ...QUEUE_PRINTERS,
  ...EXTENSION_PRINTERS,
};

export interface PrintOptions {
  readonly names?: OfpNames;
  /** As of `ovs-ofctl -m`; see `PrintCtx`. */
  readonly verbosity?: number;
}

function formatHeader({ raw, version, xid }: OfpHeader): string {
  const name =
    version === 1 ? '' : version <= 6 ? ` (OF1.${version - 1})` : ` (OF 0x${version.toString(16).padStart(2, '0')})`;
  return `${raw.text}${name} (xid=0x${xid.toString(16)}):`;
}

function formatFlags({ raw, version, flags }: OfpHeader): string {
  if (raw.multipart === undefined || flags === 0) return '';
  // Requests have parts from 1.3 on.
  const hasMore = (flags & OFPMPF_MORE) !== 0 && (raw.multipart === 'reply' || version >= 4);
  const rest = hasMore ? flags & ~OFPMPF_MORE : flags;
  const unknown = rest === 0 ? '' : `[***unknown flags 0x${rest.toString(16).padStart(4, '0')}***]`;
  return ` flags=${hasMore ? '[more]' : ''}${unknown}`;
}

const endLine = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);
const chomp = (text: string): string => (text.endsWith(' ') ? text.slice(0, -1) : text);
const formatError = (err: OfpErr): string => `***decode error: ${err.name}***\n`;

/** Runs `step`; the error that it ends in, if it is one of OpenFlow. */
function attempt<T>(step: () => T): { readonly value: T } | { readonly value: undefined; readonly err: OfpErr } {
  try {
    return { value: step() };
  } catch (error) {
    if (!(error instanceof OfpError)) throw error;
    return { value: undefined, err: error.err };
  }
}

/** What follows the header, and the error that decoding ended in: before it may be text of what was right. */
function formatBody(bytes: Uint8Array, header: OfpHeader, o: PrintOptions): { text: string; err: OfpErr | undefined } {
  const { names = {}, verbosity = 1 } = o;
  const { raw } = header;
  const flags = formatFlags(header);
  const { message, err } = decodePartly(bytes, { hasFlowModTableId: true });
  const printer = PRINTERS[raw.kind] as Printer<unknown> | undefined;
  if (message === undefined || printer === undefined) return { text: flags, err };
  const nested = (inner: Uint8Array, v: number): string => formatMessage(inner, { names, verbosity: v });
  const done = attempt(() =>
    printer(message.body, { raw, version: header.version as OfVersion, bytes, names, verbosity, nested }),
  );
  return done.value === undefined ? { text: flags, err: done.err } : { text: flags + done.value, err };
}

function formatWhole(bytes: Uint8Array, o: PrintOptions): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = attempt(() => decodeHeader(view));
  if (found.value === undefined) return formatError(found.err) + hexDump(bytes);
  const head = formatHeader(found.value);
  const { text, err } = formatBody(bytes, found.value, o);
  if (err !== undefined) {
    const before = text === '' ? `${head} ` : endLine(chomp(head + text));
    return before + formatError(err) + hexDump(bytes);
  }
  const whole = chomp(head + text);
  return endLine((o.verbosity ?? 1) >= 5 ? endLine(whole) + hexDump(bytes) : whole);
}

/** The text of a message, with its end of line.  `bytes` may be anything, also a message that is cut short. */
export function formatMessage(bytes: Uint8Array, o: PrintOptions = {}): string {
  if (bytes.length === 0) return 'OpenFlow message is empty\n';
  if (bytes.length < OFP_HEADER_SIZE) {
    return `OpenFlow packet too short (only ${bytes.length} bytes):\n${hexDump(bytes)}`;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint16(2);
  if (size === bytes.length) return formatWhole(bytes, o);
  if (size < bytes.length) return `(***only uses ${size} bytes out of ${bytes.length}***)\n${hexDump(bytes)}`;
  const header = attempt(() => decodeHeaderPartial(view));
  const head = header.value === undefined ? '' : `${formatHeader(header.value)}\n`;
  return `${head}(***truncated to ${bytes.length} bytes from ${size}***)\n${hexDump(bytes)}`;
}
