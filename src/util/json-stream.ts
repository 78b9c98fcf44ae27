/**
 * Splits a byte stream into JSON texts.  JSON-RPC 1.0, as OVSDB and the control sockets speak it, has no framing: one
 * object follows the other, with or without white space between them, and a read may end anywhere, in the middle of a
 * character too.  This finds where each object ends, by counting brackets outside of strings; JSON.parse does the rest.
 * Used by ovsdb/jsonrpc.ts, unixctl/unixctl-server.ts and unixctl/unixctl-client.ts.
 * Source: RFC 7047 section 4, RFC 8259.
 */

/** Any value that JSON can express. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

export const isJsonObject = (json: Json | undefined): json is JsonObject =>
  typeof json === 'object' && json !== null && !Array.isArray(json);

/** What came is not a stream of JSON objects.  The stream cannot be used any further. */
export class JsonStreamError extends Error {
  override readonly name = 'JsonStreamError';
  readonly code = 'ERR_JSON_STREAM';
  /** Byte offset from the beginning of the stream. */
  readonly offset: number;

  constructor(reason: string, offset: number, options?: ErrorOptions) {
    super(`JSON stream: ${reason} (at byte ${offset})`, options);
    this.offset = offset;
  }
}

/** Deeper nesting is refused: nothing that we speak has more than ten levels. */
export const MAX_DEPTH = 1000;
const DEFAULT_MAX_BYTES = 256 << 20;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export class JsonStream {
  private readonly maxBytes: number;
  private readonly chunks: Uint8Array[] = [];
  /** Bytes in `chunks`, all of them part of an object that has not ended. */
  private pending = 0;
  /** Bytes of the stream before the chunk that is being looked at. */
  private base = 0;
  private depth = 0;
  private inString = false;
  private escaped = false;
  private failed: JsonStreamError | undefined;

  /** `maxBytes` bounds the size of one object. */
  constructor(maxBytes = DEFAULT_MAX_BYTES) {
    this.maxBytes = maxBytes;
  }

  /** Whether an object has begun and not ended. */
  get isPartial(): boolean {
    return this.pending > 0;
  }

  /**
   * Takes what was read, and calls `onObject` for each object that is complete now.  Throws a JsonStreamError, this time
   * and ever after, when the stream holds anything but objects.
   */
  push(chunk: Uint8Array, onObject: (object: JsonObject) => void): void {
    if (this.failed !== undefined) throw this.failed;
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const c = chunk[i] ?? 0;
      if (this.depth === 0) {
        if (c === 0x20 || c === 0x09 || c === 0x0a || c === 0x0d) continue;
        if (c !== OPEN_BRACE) throw this.fail(`unexpected byte 0x${c.toString(16)}, want an object`, i);
        start = i;
        this.depth = 1;
      } else if (this.escaped) {
        this.escaped = false;
      } else if (this.inString) {
        if (c === QUOTE) this.inString = false;
        else if (c === BACKSLASH) this.escaped = true;
      } else if (c === QUOTE) {
        this.inString = true;
      } else if (c === OPEN_BRACE || c === OPEN_BRACKET) {
        if (++this.depth > MAX_DEPTH) throw this.fail(`nested more than ${MAX_DEPTH} levels deep`, i);
      } else if (c === CLOSE_BRACE || c === CLOSE_BRACKET) {
        if (--this.depth === 0) {
          this.chunks.push(chunk.subarray(start, i + 1));
          const object = this.parse(i);
          start = i + 1;
          onObject(object);
        }
      }
    }
    if (this.depth > 0) {
      // A copy, because the caller's buffer may be used again before the object ends (and Buffer.slice is none).
      this.chunks.push(new Uint8Array(chunk.subarray(start)));
      this.pending += chunk.length - start;
      if (this.pending > this.maxBytes) throw this.fail(`object of more than ${this.maxBytes} bytes`, chunk.length);
    }
    this.base += chunk.length;
  }

  private parse(at: number): JsonObject {
    const text = Buffer.concat(this.chunks).toString('utf8');
    this.chunks.length = 0;
    this.pending = 0;
    try {
      return JSON.parse(text) as JsonObject;
    } catch (cause) {
      throw this.fail(`bad JSON: ${(cause as Error).message}`, at, { cause });
    }
  }

  private fail(reason: string, at: number, options?: ErrorOptions): JsonStreamError {
    this.failed = new JsonStreamError(reason, this.base + at, options);
    this.chunks.length = 0;
    this.pending = 0;
    return this.failed;
  }
}
