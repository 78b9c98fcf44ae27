/**
 * JSON-RPC 1.0 to a database server, over "unix:FILE" or "tcp:HOST:PORT", with a session that connects again when the
 * connection breaks: after 1 s, and twice as long each time up to 8 s.  A TCP peer that says nothing for a while is
 * sent an "echo", and dropped if it does not answer; a Unix socket needs no such probes, since it breaks by itself.
 * The log lines are those of Open vSwitch, module "reconnect".  idl.ts is the user of this.
 * Source: RFC 7047 section 4, lib/jsonrpc.c, lib/reconnect.c.
 */
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { errnoText } from '../util/errno.ts';
import { type Json, type JsonObject, JsonStream } from '../util/json-stream.ts';
import { vlog } from '../util/vlog.ts';
import { ovsdbError } from './ovsdb-types.ts';

const log = vlog('reconnect');
const jsonrpcLog = vlog('jsonrpc');

/** The connection broke before the answer came, or there was none. */
export class JsonRpcDisconnected extends Error {
  override readonly name = 'JsonRpcDisconnected';
  readonly code = 'ERR_JSONRPC_DISCONNECTED';
}

export interface SessionHandler {
  /** A connection is up: nothing that was asked for on the one before it holds any more. */
  connected(): void;
  /** The connection that `connected` told about is gone; its requests have been rejected. */
  disconnected(): void;
  /** A notification of the server, or a request other than "echo".  A throw breaks the connection. */
  notification(method: string, params: readonly Json[]): void;
}

export interface SessionOptions {
  readonly minBackoffMs?: number;
  readonly maxBackoffMs?: number;
  /** Silence after which to probe, and again after which to give up; 0 is never.  By default 5000 for tcp, 0 for unix. */
  readonly probeMs?: number;
  /** How long a connection attempt may take. */
  readonly connectMs?: number;
}

/** Parses "unix:FILE", "tcp:HOST:PORT", "tcp:[IPV6]:PORT".  Throws a RangeError that says what is wrong. */
export function parseRemote(remote: string): NetConnectOpts & { readonly isLocal: boolean } {
  if (remote.startsWith('unix:') && remote.length > 5) return { path: remote.slice(5), isLocal: true };
  const tcp = /^tcp:(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(remote);
  const host = tcp?.[1] ?? tcp?.[2];
  const port = Number(tcp?.[3] ?? 6640);
  if (host === undefined || port > 65535) {
    throw new RangeError(`database "${remote}": want unix:FILE or tcp:HOST:PORT`);
  }
  return { host, port, isLocal: false };
}

export interface Reply {
  resolve(result: Json): void;
  reject(error: Error): void;
}

export class JsonRpcSession {
  readonly remote: string;
  private readonly handler: SessionHandler;
  private readonly target: ReturnType<typeof parseRemote>;
  private readonly options: Required<SessionOptions>;
  private socket: Socket | undefined;
  private isUp = false;
  private closed = false;
  private backoffMs = 0;
  private connectedAt = 0;
  private lastReceived = 0;
  private timer: NodeJS.Timeout | undefined;
  private nextId = 1;
  private readonly pending = new Map<number, Reply>();

  /** Begins to connect.  Throws a RangeError if `remote` is none. */
  constructor(remote: string, handler: SessionHandler, options: SessionOptions = {}) {
    this.remote = remote;
    this.handler = handler;
    this.target = parseRemote(remote);
    const minBackoffMs = options.minBackoffMs ?? 1000;
    this.options = {
      minBackoffMs,
      maxBackoffMs: options.maxBackoffMs ?? Math.max(8000, minBackoffMs),
      probeMs: options.probeMs ?? (this.target.isLocal ? 0 : 5000),
      connectMs: options.connectMs ?? 5000,
    };
    this.open();
  }

  get isConnected(): boolean {
    return this.isUp;
  }

  /** Sends a request; rejects with an OvsdbError if the server says no, with JsonRpcDisconnected if it cannot answer. */
  request(method: string, params: readonly Json[]): Promise<Json> {
    return new Promise((resolve, reject) => this.call(method, params, { resolve, reject }));
  }

  /** The same with functions, one of which is called before the message after the reply is looked at. */
  call(method: string, params: readonly Json[], reply: Reply): void {
    if (!this.isUp) {
      reply.reject(new JsonRpcDisconnected(`${this.remote}: not connected`));
      return;
    }
    const id = this.nextId++;
    this.pending.set(id, reply);
    this.send({ method, params, id });
  }

  /** Breaks the connection and makes another one, at once if the last one was good for a while. */
  reconnect(why: string): void {
    if (this.socket !== undefined) this.drop(this.socket, why);
  }

  /** Ends the session for good. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = undefined;
    const wasUp = this.isUp;
    this.isUp = false;
    socket?.destroy();
    if (wasUp) this.failPending();
  }

  private open(): void {
    const stream = new JsonStream();
    const socket = connect(this.target);
    this.socket = socket;
    const isQuiet = this.backoffMs >= this.options.maxBackoffMs;
    log.at(isQuiet ? 'dbg' : 'info', `${this.remote}: connecting...`);
    this.timer = setTimeout(() => this.drop(socket, 'attempt timed out'), this.options.connectMs);
    socket.once('connect', () => {
      clearTimeout(this.timer);
      log.info(`${this.remote}: connected`);
      this.isUp = true;
      this.connectedAt = this.lastReceived = performance.now();
      this.scheduleProbe(false);
      this.handler.connected();
    });
    socket.on('data', (chunk) => {
      this.lastReceived = performance.now();
      try {
        stream.push(chunk, (message) => {
          if (this.socket === socket) this.receive(message);
        });
      } catch (error) {
        jsonrpcLog.warn(`${this.remote}: ${(error as Error).message}`);
        this.drop(socket, 'connection dropped (Protocol error)');
      }
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const text = errnoText(-(error.errno ?? 0));
      this.drop(socket, this.isUp ? `connection dropped (${text})` : `connection attempt failed (${text})`);
    });
    socket.once('close', () => this.drop(socket, 'connection closed by peer'));
  }

  private send(message: JsonObject): void {
    this.socket?.write(JSON.stringify(message));
  }

  private receive(message: JsonObject): void {
    const { method, params, id } = message;
    if (typeof method === 'string') {
      if (!Array.isArray(params)) throw new Error(`"${method}" without params`);
      if (method === 'echo' && id !== null && id !== undefined) this.send({ result: params, error: null, id });
      else this.handler.notification(method, params);
      return;
    }
    // An echo of ours has a text for its id; nobody waits for it but the probe timer.
    if (typeof id !== 'number') return;
    const pending = this.pending.get(id);
    if (pending === undefined) throw new Error(`reply with unknown id ${id}`);
    this.pending.delete(id);
    const error = message['error'];
    if (error !== null && error !== undefined) pending.reject(ovsdbError(error));
    else pending.resolve(message['result'] ?? null);
  }

  private scheduleProbe(isProbing: boolean): void {
    const { probeMs } = this.options;
    if (probeMs === 0) return;
    const socket = this.socket;
    const waitFor = isProbing ? performance.now() : this.lastReceived;
    this.timer = setTimeout(
      () => {
        if (socket === undefined || socket !== this.socket) return;
        if (this.lastReceived > waitFor || performance.now() - this.lastReceived < probeMs) {
          this.scheduleProbe(false);
        } else if (isProbing) {
          log.err(`${this.remote}: no response to inactivity probe after ${probeMs / 1000} seconds, disconnecting`);
          this.drop(socket, 'connection dropped');
        } else {
          log.dbg(`${this.remote}: sending inactivity probe`);
          this.send({ method: 'echo', params: [], id: 'echo' });
          this.scheduleProbe(true);
        }
      },
      Math.max(1, isProbing ? probeMs : this.lastReceived + probeMs - performance.now()),
    );
  }

  private drop(socket: Socket, why: string): void {
    if (socket !== this.socket || this.closed) return;
    const { minBackoffMs, maxBackoffMs } = this.options;
    this.socket = undefined;
    clearTimeout(this.timer);
    socket.destroy();
    const wasUp = this.isUp;
    const isQuiet = !wasUp && this.backoffMs >= maxBackoffMs;
    log.at(isQuiet ? 'dbg' : 'info', `${this.remote}: ${why}`);
    if (wasUp && performance.now() - this.connectedAt >= this.backoffMs) this.backoffMs = minBackoffMs;
    else this.backoffMs = Math.min(maxBackoffMs, Math.max(minBackoffMs, this.backoffMs * 2));
    if (this.backoffMs >= maxBackoffMs && !isQuiet) {
      log.info(`${this.remote}: continuing to reconnect in the background but suppressing further logging`);
    } else if (this.backoffMs > minBackoffMs && !isQuiet) {
      log.info(`${this.remote}: waiting ${this.backoffMs / 1000} seconds before reconnect`);
    }
    this.timer = setTimeout(() => this.open(), this.backoffMs);
    this.isUp = false;
    if (wasUp) {
      this.failPending();
      this.handler.disconnected();
    }
  }

  private failPending(): void {
    const all = [...this.pending.values()];
    this.pending.clear();
    for (const p of all) p.reject(new JsonRpcDisconnected(`${this.remote}: connection dropped`));
  }
}
