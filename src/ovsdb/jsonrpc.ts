/**
 * JSON-RPC 1.0 to a database server (remote.ts), with a session that connects again when the connection breaks: after 1 s,
 * and twice as long each time up to 8 s.  Of several servers that have the same database the next one is tried, in random
 * order, each once before there is any wait.  A peer over TCP or TLS that says nothing for a while is sent an
 * "echo", and dropped if it does not answer; a Unix socket needs no such probes, since it breaks by itself.
 * The log lines are those of Open vSwitch, module "reconnect".  idl.ts is the user of this.
 * Source: RFC 7047 section 4, lib/jsonrpc.c, lib/reconnect.c.
 */
import type { Socket } from 'node:net';
import { errnoText } from '../util/errno.ts';
import { type Json, type JsonObject, JsonStream } from '../util/json-stream.ts';
import { vlog } from '../util/vlog.ts';
import { ovsdbError } from './ovsdb-types.ts';
import { connectRemote, parseRemotes, type Remote, type TlsSource } from './remote.ts';

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
  /** Silence after which to probe, and again after which to give up; 0 is never.  By default 5000, but 0 for unix. */
  readonly probeMs?: number;
  /** How long a connection attempt may take. */
  readonly connectMs?: number;
  /** For "ssl:" servers. */
  readonly tls?: TlsSource;
  /** Whether the order of several servers is random; it is by default. */
  readonly shuffle?: boolean;
}

export interface Reply {
  resolve(result: Json): void;
  reject(error: Error): void;
}

const DEFAULT_PROBE_MS = 5000;

/** The same elements in random order. */
function shuffled<T>(list: readonly T[]): readonly T[] {
  return list
    .map((element) => ({ element, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ element }) => element);
}

export class JsonRpcSession {
  /** Id of the cluster that the remotes' names ask for. */
  readonly cid: string | undefined;
  private readonly handler: SessionHandler;
  private readonly remotes: readonly Remote[];
  private readonly options: Required<Omit<SessionOptions, 'probeMs' | 'shuffle'>> & { probeMs: number | undefined };
  private current = 0;
  private socket: Socket | undefined;
  private isUp = false;
  private closed = false;
  private backoffMs = 0;
  /** Attempts that are made at once: there are other servers. */
  private freeTries: number;
  private connectedAt = 0;
  private lastReceived = 0;
  private timer: NodeJS.Timeout | undefined;
  private nextId = 1;
  private readonly pending = new Map<number, Reply>();

  /** Begins to connect.  Throws a RangeError if `remote`, one or several separated by commas, is none. */
  constructor(remote: string, handler: SessionHandler, options: SessionOptions = {}) {
    const { remotes, cid } = parseRemotes(remote);
    this.remotes = options.shuffle === false ? remotes : shuffled(remotes);
    this.cid = cid;
    this.handler = handler;
    this.freeTries = remotes.length;
    const minBackoffMs = options.minBackoffMs ?? 1000;
    this.options = {
      minBackoffMs,
      maxBackoffMs: options.maxBackoffMs ?? Math.max(8000, minBackoffMs),
      probeMs: options.probeMs,
      connectMs: options.connectMs ?? 5000,
      tls: options.tls ?? (() => undefined),
    };
    this.open();
  }

  /** The name of the server that it is connected to, or tries. */
  get remote(): string {
    return this.target.name;
  }
  private get target(): Remote {
    return this.remotes[this.current] as Remote;
  }
  private get probeMs(): number {
    return this.options.probeMs ?? (this.target.kind === 'unix' ? 0 : DEFAULT_PROBE_MS);
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

  /** All is well with this server: should it go, the others are tried at once. */
  resetBackoff(): void {
    this.freeTries = this.remotes.length > 1 ? this.remotes.length + 1 : 1;
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
    const isQuiet = this.backoffMs >= this.options.maxBackoffMs;
    const { remote } = this;
    log.at(isQuiet ? 'dbg' : 'info', `${remote}: connecting...`);
    const stream = new JsonStream();
    let socket: Socket;
    try {
      socket = connectRemote(this.target, this.options.tls, () => {
        if (this.socket !== socket) return;
        clearTimeout(this.timer);
        log.info(`${remote}: connected`);
        this.isUp = true;
        this.connectedAt = this.lastReceived = performance.now();
        this.scheduleProbe(false);
        this.handler.connected();
      });
    } catch (error) {
      this.failed(`connection attempt failed (${(error as Error).message})`);
      return;
    }
    this.socket = socket;
    this.timer = setTimeout(() => this.drop(socket, 'attempt timed out'), this.options.connectMs);
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
      // TLS has errors of its own.
      const text = error.errno === undefined ? error.message : errnoText(-error.errno);
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
    const { probeMs } = this;
    if (probeMs === 0) return;
    const socket = this.socket;
    const waitFor = isProbing ? performance.now() : this.lastReceived;
    const judge = (): void => {
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
    };
    // What came while this process stood still is read before it is judged.
    this.timer = setTimeout(
      () => setImmediate(judge),
      Math.max(1, isProbing ? probeMs : this.lastReceived + probeMs - performance.now()),
    );
  }

  private drop(socket: Socket, why: string): void {
    if (socket !== this.socket || this.closed) return;
    this.socket = undefined;
    clearTimeout(this.timer);
    socket.destroy();
    this.failed(why);
  }

  /** There is no connection (any more): the next attempt comes after a while. */
  private failed(why: string): void {
    const { minBackoffMs, maxBackoffMs } = this.options;
    const wasUp = this.isUp;
    const isQuiet = !wasUp && this.backoffMs >= maxBackoffMs;
    log.at(isQuiet ? 'dbg' : 'info', `${this.remote}: ${why}`);
    let waitMs = 0;
    if (this.freeTries > 1) {
      this.freeTries--;
      this.backoffMs = 0;
    } else {
      if (wasUp && performance.now() - this.connectedAt >= this.backoffMs) this.backoffMs = minBackoffMs;
      else this.backoffMs = Math.min(maxBackoffMs, Math.max(minBackoffMs, this.backoffMs * 2));
      waitMs = this.backoffMs;
    }
    if (this.backoffMs >= maxBackoffMs && !isQuiet) {
      log.info(`${this.remote}: continuing to reconnect in the background but suppressing further logging`);
    } else if (this.backoffMs > minBackoffMs && !isQuiet) {
      log.info(`${this.remote}: waiting ${this.backoffMs / 1000} seconds before reconnect`);
    }
    this.current = (this.current + 1) % this.remotes.length;
    this.timer = setTimeout(() => this.open(), waitMs);
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
