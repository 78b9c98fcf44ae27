/**
 * What a codec of message bodies is: `codec.ts` finds the one for a message's kind, reads and writes the headers around it.
 * A codec handles all forms that its kind has on the wire, told apart by `raw` and `version`.
 */
import type { Match } from '../../match/match.ts';
import { OFPERR, OfpError, type OfVersion } from '../../ofp-errors.ts';
import type { OfpRaw } from '../../ofp-msgs.ts';
import type { OfpWriter } from '../../ofp-writer.ts';
import type { BodyOf } from '../of-message.ts';

/** What a connection has agreed on that changes how its messages are read. */
export interface MessageContext {
  /** OpenFlow 1.0: the upper byte of a flow_mod's command is a table (NXT_FLOW_MOD_TABLE_ID). */
  readonly hasFlowModTableId?: boolean;
  /** The match of a flow_mod is written here, in place of the one before; else it has memory of its own. */
  readonly flowModMatch?: Match;
}

/** A message whose headers are read. */
export interface BodyIn {
  readonly raw: OfpRaw;
  readonly version: OfVersion;
  /** The whole message. */
  readonly bytes: Uint8Array;
  readonly dv: DataView;
  /** Where the body begins; it has at least the form's `minBody` bytes. */
  readonly at: number;
  readonly context: MessageContext;
}

/** A message whose headers are written: the body goes at the end of `out`. */
export interface BodyOut {
  readonly raw: OfpRaw;
  readonly version: OfVersion;
  readonly out: OfpWriter;
  readonly context: MessageContext;
}

export interface BodyCodec<B> {
  /** Throws OfpError. */
  decode(m: BodyIn): B;
  encode(body: B, m: BodyOut): void;
  /** The form that a body is to have, where it is not the version's own. */
  rawFor?(body: B, version: OfVersion, context: MessageContext): OfpRaw | undefined;
}

/** Of multipart messages that are lists: each entry by itself, so that a reply can be cut anywhere between two. */
export interface ListCodec<E> extends BodyCodec<readonly E[]> {
  encodeEntry(entry: E, m: BodyOut): void;
  /** As `decode`, but `push` gets each entry at once: those before one that is wrong, too. */
  decodeEach(m: BodyIn, push: (entry: E) => void): void;
  /** Is called when an entry is left out, as it is too long for any message. */
  leftOut?(): void;
}

/** Codecs by kind. */
export type Codecs = { [K in keyof BodyOf]: BodyCodec<BodyOf[K]> };

/** A list whose entries follow each other to the end of the message; `decodeEntry` returns where the next one begins. */
export function listCodec<E>(
  decodeEntry: (m: BodyIn, at: number, push: (entry: E) => void) => number,
  encodeEntry: (entry: E, m: BodyOut) => void,
): ListCodec<E> {
  const decodeEach = (m: BodyIn, push: (entry: E) => void): void => {
    for (let at = m.at; at < m.bytes.length; ) at = decodeEntry(m, at, push);
  };
  return {
    decode(m) {
      const list: E[] = [];
      decodeEach(m, (entry) => {
        list.push(entry);
      });
      return list;
    },
    decodeEach,
    encode(list, m) {
      for (const entry of list) encodeEntry(entry, m);
    },
    encodeEntry,
  };
}

/** The codec of messages that are their header alone. */
export const NO_BODY: BodyCodec<undefined> = { decode: () => undefined, encode: () => {} };

/** Throws OfpError (OFPBRC_BAD_LEN) unless `size` bytes follow `at`. */
export function needBytes(m: BodyIn, at: number, size: number, what: string): void {
  const left = m.bytes.length - at;
  if (left < size) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `${what}: ${left} bytes at byte ${at}, want ${size}`);
}

/** Text in a field of fixed size, up to its first 0; one byte a character, so that any bytes come back. */
export function getString(bytes: Uint8Array, at: number, size: number): string {
  let text = '';
  for (let i = at; i < at + size && bytes[i] !== 0; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}

/** Appends a field of `size` bytes, cut so that it ends with a 0. */
export function putString(out: OfpWriter, text: string, size: number): void {
  const at = out.room(size);
  const n = Math.min(text.length, size - 1);
  for (let i = 0; i < n; i++) out.bytes[at + i] = text.charCodeAt(i);
}
