/**
 * One OpenFlow connection over a byte stream: cuts the stream into messages, and agrees with the peer on a version.
 *
 *     const vconn = new Vconn(socket, { name, versions: ALL_VERSIONS });
 *     vconn.onMessage = (bytes) => ...;
 *     vconn.send(bytes);
 *
 * Messages go in and out as bytes; `messages/` decodes them.  A hello is sent at once; nothing else is sent or handed over
 * before the peer's came.  A stream that is no OpenFlow is closed; a message of another version than the one agreed on is answered
 * by an error, and the connection goes on.  With `vlog/set vconn:dbg` every message is logged as text.
 * Source: lib/vconn.c, lib/vconn-stream.c.
 */
import type { Duplex } from 'node:stream';
import { monotonicMs } from '../util/clock.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import type { OfVersion } from './ofp-errors.ts';
import { decodeHello, encodeHello, formatVersions, highestVersion, negotiate } from './ofp-version.ts';
import { formatMessage } from './print/ofp-print.ts';
import { hexDump } from './print/printer.ts';

const log = vlog('vconn');
/** Of messages that are logged as text, and of those that are wrong. */
const messageLimit = new RateLimit(600, 600);
const badLimit = new RateLimit(1, 5);
const limit = new RateLimit(600, 600);

const HEADER_SIZE = 8;
// biome-ignore format: table
const OFPT = { HELLO: 0, ERROR: 1, ECHO_REQUEST: 2, ECHO_REPLY: 3 } as const;
const OFPET = { HELLO_FAILED: 0, BAD_REQUEST: 1 } as const;
/** Codes of these types: OFPHFC_INCOMPATIBLE, OFPBRC_BAD_VERSION. */
const CODE = 0;
/** How much of a message that was wrong fits into an error. */
const MAX_ERROR_DATA = 0xffff - 12;

/** What errors about versions may wait to be sent before nothing more is read; other answers are up to who takes the messages. */
const MAX_BACKLOG = 256 * 1024;
/** What a peer may leave unread before it is given up. */
const MAX_UNREAD = 128 * 1024 * 1024;
/** How long the peer has to take what was sent before the end, and to end its side.  ms */
const LINGER_MS = 5000;

export interface VconnOptions {
  /** For logs: "unix#3". */
  readonly name: string;
  /** Set of versions that may be agreed on. */
  readonly versions: number;
  /** Bytes that may wait for the peer to read them; beyond them the connection ends. */
  readonly maxUnread?: number;
}

export type VconnState = 'hello' | 'connected' | 'closed';

export class Vconn {
  readonly name: string;
  /** monotonicMs() */
  readonly createdMs = monotonicMs();
  private readonly stream: Duplex;
  private readonly versions: number;
  private readonly maxUnread: number;
  private current: VconnState = 'hello';
  private agreed: OfVersion | undefined;
  private nextXid = 1;
  /** What came of a message that is not whole yet. */
  private pending: Uint8Array[] = [];
  private pendingSize = 0;
  /** Whole messages that nobody takes yet. */
  private readonly waiting: Uint8Array[] = [];
  private messageHandler: ((bytes: Uint8Array) => void) | undefined;
  private isPaused = false;

  /** The version is agreed on. */
  onOpen: ((version: OfVersion) => void) | undefined;
  /** The connection is gone; `reason` is a text, undefined if the peer just closed it. */
  onClose: ((reason: string | undefined) => void) | undefined;
  /** Gets a look at each message that is sent or received, but hellos. */
  onCopy: ((bytes: Uint8Array) => void) | undefined;

  constructor(stream: Duplex, options: VconnOptions) {
    this.name = options.name;
    this.versions = options.versions;
    this.maxUnread = options.maxUnread ?? MAX_UNREAD;
    this.stream = stream;
    stream.on('data', (chunk: Uint8Array) => this.receive(plain(chunk)));
    stream.on('error', (e: Error) => this.fail(e.message));
    stream.on('close', () => this.fail(undefined));
    stream.on('end', () => this.fail(undefined));
    const hello = (): void => this.write(encodeHello(this.versions, this.xid()));
    // What is not connected yet may never be.
    if ((stream as { readonly connecting?: boolean }).connecting === true) stream.once('connect', hello);
    else hello();
  }

  get state(): VconnState {
    return this.current;
  }
  /** undefined before it is agreed on. */
  get version(): OfVersion | undefined {
    return this.agreed;
  }
  /** A transaction id that this side has not used. */
  xid(): number {
    const xid = this.nextXid;
    this.nextXid = (this.nextXid + 1) >>> 0;
    return xid;
  }
  /** Bytes that wait to be sent. */
  get backlog(): number {
    return this.stream.writableLength;
  }

  /** Called with each message: a view of what was read at once, which nobody writes to.  To keep a small one for long is to keep all of that. */
  set onMessage(handler: (bytes: Uint8Array) => void) {
    this.messageHandler = handler;
    this.flush();
  }

  /** Sends a whole message, or several; what is sent after the end is lost. */
  send(bytes: Uint8Array): void {
    if (this.current !== 'connected') return;
    if (this.stream.writableLength > this.maxUnread) {
      log.warn(`${this.name}: the peer does not read what it is sent`, limit);
      this.fail('no room to send');
      return;
    }
    this.onCopy?.(bytes);
    this.write(bytes);
  }

  private write(bytes: Uint8Array): void {
    if (log.isEnabled('dbg')) {
      for (const one of messagesOf(bytes)) {
        log.dbg(() => `${this.name}: sent (Success): ${formatMessage(one)}`, messageLimit);
      }
    }
    this.stream.write(bytes);
  }

  /** Asks the peer whether it is still there. */
  sendEcho(): void {
    const bytes = new Uint8Array(HEADER_SIZE);
    bytes.set([this.agreed ?? 1, OFPT.ECHO_REQUEST, 0, HEADER_SIZE]);
    // Its xid is 0, as in stock: nobody waits for this answer in particular.
    this.send(bytes);
  }

  /** Calls `done` when what was sent is on its way: to stop making replies for a peer that does not read. */
  onceDrained(done: () => void): void {
    if (this.stream.writableLength === 0 || this.current === 'closed') done();
    else this.stream.once('drain', done);
  }

  /** Hands over no more messages, and reads none, until `resume`. */
  pause(): void {
    this.isPaused = true;
    this.stream.pause();
  }
  resume(): void {
    this.isPaused = false;
    this.flush();
    if (!this.isPaused) this.stream.resume();
  }

  /** Closes the connection after what was sent; `onClose` is not called. */
  close(): void {
    if (this.current !== 'closed') this.end();
  }

  /** A peer that neither reads nor ends is not waited for forever. */
  private end(): void {
    this.current = 'closed';
    this.waiting.length = 0;
    this.pending = [];
    const { stream } = this;
    const timer = setTimeout(() => stream.destroy(), LINGER_MS);
    timer.unref();
    stream.once('close', () => clearTimeout(timer));
    stream.end();
    // What it still says is read over.
    stream.resume();
  }

  private fail(reason: string | undefined): void {
    if (this.current === 'closed') return;
    this.current = 'closed';
    this.stream.destroy();
    this.onClose?.(reason);
  }

  private get isClosed(): boolean {
    return this.current === 'closed';
  }

  private receive(chunk: Uint8Array): void {
    if (this.isClosed) return;
    this.pending.push(chunk);
    this.pendingSize += chunk.length;
    // One message in many chunks is put together once.
    if (this.pendingSize < this.wanted()) return;
    const bytes = this.pending.length === 1 ? chunk : plain(Buffer.concat(this.pending));
    let at = 0;
    while (!this.isClosed && bytes.length - at >= HEADER_SIZE) {
      const size = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
      if (size < HEADER_SIZE) {
        log.err(`${this.name}: received too-short ofp_header (${size} bytes)`, limit);
        this.fail('protocol error');
        return;
      }
      if (bytes.length - at < size) break;
      this.take(bytes.subarray(at, at + size));
      at += size;
    }
    this.pending = at === bytes.length ? [] : [bytes.subarray(at)];
    this.pendingSize = bytes.length - at;
  }

  /** Bytes that the first pending message has, as far as is known. */
  private wanted(): number {
    const first = this.pending[0];
    if (first === undefined || first.length < 4) return HEADER_SIZE;
    return Math.max(HEADER_SIZE, ((first[2] as number) << 8) | (first[3] as number));
  }

  private take(message: Uint8Array): void {
    if (log.isEnabled('dbg')) log.dbg(() => `${this.name}: received: ${formatMessage(message)}`, messageLimit);
    if (this.current === 'hello') {
      this.takeHello(message);
      return;
    }
    const version = message[0] as number;
    const type = message[1] as number;
    if (version !== this.agreed && type > OFPT.ECHO_REPLY) {
      log.err(
        () => `${this.name}: received OpenFlow version 0x${hex2(version)} != expected ${hex2(this.agreed ?? 0)}`,
        limit,
      );
      this.write(errorMessage(version, message, OFPET.BAD_REQUEST, message.subarray(0, MAX_ERROR_DATA)));
      if (this.backlog >= MAX_BACKLOG && !this.isPaused) {
        this.pause();
        this.onceDrained(() => this.resume());
      }
      return;
    }
    this.onCopy?.(message);
    if (this.messageHandler === undefined || this.isPaused) this.waiting.push(message);
    else this.messageHandler(message);
  }

  private takeHello(message: Uint8Array): void {
    if (message[1] !== OFPT.HELLO) {
      log.warn(() => `${this.name}: received message while expecting hello: ${formatMessage(message)}`, badLimit);
      this.fail('protocol error');
      return;
    }
    const { versions, isClean } = decodeHello(message);
    if (!isClean) log.warn(() => `${this.name}: unknown data in hello:\n${hexDump(message)}`, badLimit);
    const ours = formatVersions(this.versions);
    const theirs = formatVersions(versions);
    this.agreed = negotiate(this.versions, versions);
    if (this.agreed !== undefined) {
      this.current = 'connected';
      log.dbg(
        () =>
          `${this.name}: negotiated OpenFlow version 0x${hex2(this.agreed ?? 0)} (we support ${ours}, peer supports ${theirs})`,
      );
      this.onOpen?.(this.agreed);
      return;
    }
    log.warn(`${this.name}: version negotiation failed (we support ${ours}, peer supports ${theirs})`, badLimit);
    const text = `We support ${ours}, you support ${theirs}, no common versions.`;
    this.write(errorMessage(highestVersion(versions), message, OFPET.HELLO_FAILED, Buffer.from(text)));
    this.end();
    this.onClose?.('no common OpenFlow version');
  }

  private flush(): void {
    while (this.messageHandler !== undefined && !this.isPaused && this.waiting.length > 0) {
      this.messageHandler(this.waiting.shift() as Uint8Array);
    }
  }
}

/** The messages that follow each other in `bytes`, which are whole. */
function* messagesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at + HEADER_SIZE <= bytes.length; ) {
    const size = Math.max(HEADER_SIZE, ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number));
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const plain = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const hex2 = (n: number): string => n.toString(16).padStart(2, '0');

/** An error about `about`: type and code of the standard, which these two have in every version.  One that is not known gets 1.0. */
function errorMessage(version: number, about: Uint8Array, type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + 4 + data.length);
  const dv = new DataView(bytes.buffer);
  bytes[0] = version >= 1 && version <= 6 ? version : 1;
  bytes[1] = OFPT.ERROR;
  dv.setUint16(2, bytes.length);
  bytes.set(about.subarray(4, 8), 4);
  dv.setUint16(8, type);
  dv.setUint16(10, CODE);
  bytes.set(data, 12);
  return bytes;
}
