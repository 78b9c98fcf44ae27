/**
 * Messages from bytes and to bytes: headers here, bodies by the codec of the message's kind in the files beside.
 * Source: lib/ofp-msgs.c (ofptype_decode, ofpmp_*), OpenFlow 1.5.1 7.
 */
import { OFPERR, type OfpErr, OfpError, type OfVersion } from '../ofp-errors.ts';
import { checkBodySize, decodeHeaderPartial, OFP_HEADER_SIZE, OFPMPF_MORE, type OfpHeader } from '../ofp-header.ts';
import { type OfKind, type OfpRaw, rawFor } from '../ofp-msgs.ts';
import { MultipartWriter, OfpWriter } from '../ofp-writer.ts';
import { FLOW_MOD_CODECS } from './flow/flow-mod.ts';
import { FLOW_MONITOR_CODECS } from './flow/flow-monitor.ts';
import { FLOW_REMOVED_CODECS } from './flow/flow-removed.ts';
import { FLOW_STATS_CODECS } from './flow/flow-stats.ts';
import { GROUP_CODECS } from './group/group.ts';
import { METER_CODECS } from './group/meter.ts';
import type { BodyOf, OfMessage } from './of-message.ts';
import { PACKET_IN_CODECS } from './packet/packet-in.ts';
import { PACKET_OUT_CODECS } from './packet/packet-out.ts';
import { PHY_PORT_CODECS } from './port/phy-port.ts';
import { PORT_MOD_CODECS } from './port/port-mod.ts';
import { PORT_STATS_CODECS } from './port/port-stats.ts';
import { QUEUE_CODECS } from './port/queue.ts';
import { ASYNC_CODECS } from './session/async.ts';
import { CONNECTION_CODECS } from './session/connection.ts';
import { EXTENSION_CODECS } from './session/extensions.ts';
import { nestedCodecs } from './session/nested.ts';
import { CT_FLUSH_CODECS } from './switch/ct-flush.ts';
import { IPFIX_CODECS } from './switch/ipfix.ts';
import { SWITCH_CODECS } from './switch/switch.ts';
import { TLV_CODECS } from './switch/tlv.ts';
import { TABLE_CONFIG_CODECS } from './table/table-config.ts';
import { TABLE_FEATURES_CODECS } from './table/table-features.ts';
import { TABLE_STATS_CODECS } from './table/table-stats.ts';
import type { BodyCodec, BodyIn, Codecs, ListCodec, MessageContext } from './wire/body.ts';

const CODECS: Partial<Codecs> = {
  ...CONNECTION_CODECS,
  ...SWITCH_CODECS,
  ...PHY_PORT_CODECS,
  ...FLOW_MOD_CODECS,
  ...FLOW_STATS_CODECS,
  ...PACKET_OUT_CODECS,
  ...PACKET_IN_CODECS,
  ...FLOW_REMOVED_CODECS,
  ...FLOW_MONITOR_CODECS,
  ...TABLE_CONFIG_CODECS,
  ...TABLE_FEATURES_CODECS,
  ...TABLE_STATS_CODECS,
  ...ASYNC_CODECS,
  ...EXTENSION_CODECS,
  ...GROUP_CODECS,
  ...METER_CODECS,
  ...PORT_MOD_CODECS,
  ...PORT_STATS_CODECS,
  ...QUEUE_CODECS,
  ...TLV_CODECS,
  ...CT_FLUSH_CODECS,
  ...IPFIX_CODECS,
};

Object.assign(
  CODECS,
  nestedCodecs({
    decode: (bytes) => decodeMessage(bytes),
    encode: (r, version) =>
      r.reason === 'group_mod'
        ? encodeMessage({ kind: r.reason, version, xid: r.xid, body: r.groupMod })
        : encodeMessage({ kind: r.reason, version, xid: r.xid, body: r.meterMod }),
  }),
);

const codecOf = (kind: OfKind): BodyCodec<unknown> | undefined => CODECS[kind] as BodyCodec<unknown> | undefined;

/** Kinds whose bodies are read and written. */
export const supportedKinds = (): readonly OfKind[] => Object.keys(CODECS) as OfKind[];

/**
 * The message that fills `bytes`.  Bytes of its body that are kept (data, packets) are copies.
 * Throws OfpError, and no other error, whatever the bytes; a kind that is not supported is OFPBRC_BAD_TYPE.
 */
export const decodeMessage = (bytes: Uint8Array, context: MessageContext = {}): OfMessage =>
  decodeBody(bytes, decodeHeaders(bytes), context);

/** The headers of the message that fills `bytes`: its kind.  The body may be of any length.  Throws OfpError. */
export function decodeHeaders(bytes: Uint8Array): OfpHeader {
  const dv = viewOf(bytes);
  if (bytes.length >= OFP_HEADER_SIZE && dv.getUint16(2) !== bytes.length) {
    throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `message of ${bytes.length} bytes says that it has ${dv.getUint16(2)}`);
  }
  return decodeHeaderPartial(dv);
}

/** `decodeMessage` in two steps: the message that has these headers. */
export function decodeBody(bytes: Uint8Array, header: OfpHeader, context: MessageContext = {}): OfMessage {
  const found = headed(bytes, header, context);
  return messageOf(found, found.codec.decode(found.body));
}

/** The message that was looked at last: its body is read right after its headers. */
let latest: Uint8Array = new Uint8Array(0);
let latestView = new DataView(latest.buffer);

function viewOf(bytes: Uint8Array): DataView {
  if (bytes !== latest) {
    latest = bytes;
    latestView = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  return latestView;
}

/** A message without its body: the codec of its kind, and what that reads. */
interface Headed {
  readonly codec: BodyCodec<unknown>;
  readonly body: BodyIn;
  readonly xid: number;
  readonly more: boolean;
}

const messageOf = ({ body: { raw, version }, xid, more }: Headed, body: unknown): OfMessage =>
  ({ kind: raw.kind, raw, version, xid, more, body }) as OfMessage;

function headed(bytes: Uint8Array, header: OfpHeader, context: MessageContext): Headed {
  const { raw, version, xid, bodyAt, flags } = header;
  checkBodySize(raw, bytes.length - bodyAt);
  const codec = codecOf(raw.kind);
  if (codec === undefined) throw new OfpError(OFPERR.OFPBRC_BAD_TYPE, `${raw.text} is not supported`);
  const body: BodyIn = { raw, version: version as OfVersion, bytes, dv: viewOf(bytes), at: bodyAt, context };
  return { codec, body, xid, more: (flags & OFPMPF_MORE) !== 0 };
}

/**
 * As `decodeMessage`, for who shows messages whatever they are: of a list the entries before the one that is wrong, and the error, which is not
 * thrown.  Of another message that is wrong there is the error alone.
 */
export function decodePartly(
  bytes: Uint8Array,
  context: MessageContext = {},
): { readonly message: OfMessage | undefined; readonly err: OfpErr | undefined } {
  let err: OfpErr | undefined;
  const caught = (error: unknown): void => {
    if (!(error instanceof OfpError)) throw error;
    err = error.err;
  };
  try {
    const found = headed(bytes, decodeHeaders(bytes), context);
    const { codec, body } = found;
    if (!('decodeEach' in codec)) return { message: messageOf(found, codec.decode(body)), err };
    const list: unknown[] = [];
    try {
      (codec as ListCodec<unknown>).decodeEach(body, (entry) => {
        list.push(entry);
      });
    } catch (error) {
      caught(error);
    }
    return { message: messageOf(found, list), err };
  } catch (error) {
    caught(error);
    return { message: undefined, err };
  }
}

/** A message to be written: `raw` if it is to have a form that is not the first choice, such as that of a request it answers. */
export interface OfMessageOut<K extends OfKind = OfKind> {
  readonly kind: K;
  readonly version: OfVersion;
  readonly xid: number;
  readonly body: BodyOf[K];
  readonly raw?: OfpRaw;
  readonly more?: boolean;
}

interface Chosen {
  readonly codec: BodyCodec<unknown>;
  readonly raw: OfpRaw;
}

function choose<K extends OfKind>(m: OfMessageOut<K>, context: MessageContext): Chosen {
  const codec = codecOf(m.kind);
  if (codec === undefined) throw new RangeError(`${m.kind}: not supported`);
  const raw = m.raw ?? codec.rawFor?.(m.body, m.version, context) ?? rawFor(m.kind, m.version);
  if (raw === undefined || raw.kind !== m.kind || m.version < raw.minVersion || m.version > raw.maxVersion) {
    throw new RangeError(`${raw?.name ?? m.kind}: OpenFlow version ${m.version} has no such message`);
  }
  return { codec, raw };
}

/**
 * The bytes of a message.  What its version cannot say of the body is left out.
 * Throws RangeError if the version has no such message, or if it is too long: multipart replies are for `encodeReplies`.
 */
export function encodeMessage<K extends OfKind>(m: OfMessageOut<K>, context: MessageContext = {}): Uint8Array {
  const { codec, raw } = choose(m, context);
  // A message may have another one in it: that one gets a writer of its own.
  const out = spare ?? new OfpWriter();
  spare = undefined;
  out.begin(raw, m.version, m.xid);
  codec.encode(m.body, { raw, version: m.version, out, context });
  if (m.more === true && raw.multipart !== undefined) out.dv.setUint16(10, OFPMPF_MORE);
  const bytes = out.finish();
  spare = out;
  return bytes;
}

/** Most messages are small and follow each other: one buffer serves them. */
let spare: OfpWriter | undefined;

/** As `encodeMessage`, for a list: `send` gets as many parts as it takes, at least one.  An entry too long for any message is left out. */
export function encodeReplies<K extends OfKind>(
  m: OfMessageOut<K>,
  send: (part: Uint8Array) => void,
  context: MessageContext = {},
): void {
  if (!Array.isArray(m.body)) throw new RangeError(`${m.kind}: not a list`);
  const replies = beginReplies(m, send, context);
  for (const entry of m.body as readonly unknown[]) replies.put(entry as never);
  replies.end();
}

/** A list that is written bit by bit. */
export interface Replies<E> {
  put(entry: E): void;
  end(): void;
}

/** As `encodeReplies`, but for the entries, which are put one after the other; the body does not count. */
export function beginReplies<K extends OfKind>(
  m: OfMessageOut<K>,
  send: (part: Uint8Array) => void,
  context: MessageContext = {},
): Replies<BodyOf[K] extends readonly (infer E)[] ? E : never> {
  const { codec, raw } = choose(m, context);
  if (!('encodeEntry' in codec)) throw new RangeError(`${m.kind}: not a list`);
  const list = codec as ListCodec<unknown>;
  const writer = new MultipartWriter(send);
  writer.begin(raw, m.version, m.xid);
  const to = { raw, version: m.version, out: writer.out, context };
  return {
    put(entry) {
      list.encodeEntry(entry, to);
      if (!writer.endEntry()) list.leftOut?.();
    },
    end: () => writer.end(),
  };
}
