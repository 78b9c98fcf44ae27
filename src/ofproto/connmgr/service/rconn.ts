/**
 * A connection to a controller that is made again whenever it ends, at growing intervals, and that is probed when the controller says
 * nothing for a while.
 *
 *     BACKOFF --deadline--> CONNECTING --hello--> ACTIVE --silence: echo--> IDLE --silence--> BACKOFF
 *                               |                    ^--------message-------+ |
 *                               +--refused: BACKOFF, twice as long            +--closed: BACKOFF
 *
 * Time is that of `run`, which is called once a second.
 * Source: lib/rconn.c.
 */
import { connect as connectTcp } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { Vconn } from '../../../openflow/vconn.ts';
import { monotonicMs } from '../../../util/clock.ts';
import { ERRNO, errnoText } from '../../../util/errno.ts';
import { bootstrapCa, type TlsFiles, tlsOptions, wantsBootstrap } from '../../../util/tls-files.ts';
import { vlog } from '../../../util/vlog.ts';
import type { Target } from './target.ts';

const log = vlog('rconn');

export type RconnState = 'VOID' | 'BACKOFF' | 'CONNECTING' | 'ACTIVE' | 'IDLE';

const MIN_BACKOFF_MS = 1000;
/** Probes do not come faster than this. */
export const MIN_PROBE_SEC = 5;
/** After this long a controller counts as one that has admitted the switch, whatever it said. */
const ADMITTED_MS = 30_000;

export interface RconnOptions {
  /** "br0<->tcp:127.0.0.1:6653". */
  readonly name: string;
  /** "tcp:127.0.0.1:6653". */
  readonly peer: string;
  readonly target: Target;
  readonly versions: number;
  readonly tls: TlsFiles | undefined;
  /** A new connection has agreed on a version. */
  onOpen(vconn: Vconn): void;
  /** The one that was open is gone. */
  onClose(): void;
  /** What `pairs` tells has changed. */
  onChange(): void;
  /** Gets each stream as soon as it is made, most likely before it is connected. */
  onStream?(stream: Duplex): void;
  /** Makes the stream to the target; throws if that is out of the question.  A socket if left out. */
  openStream?(target: Target): Duplex;
}

/** When a connection's peer was last heard of. */
export interface Activity {
  readonly receivedMs: number;
  /** When it last said what only a controller that takes the switch says; -Infinity: never. */
  readonly admittedMs: number;
}

/** What an error of a socket is called. */
export function reasonText(reason: string): string {
  if (/^(protocol error|no common)/.test(reason)) return errnoText(ERRNO.EPROTO);
  const name = /\b(E[A-Z]+)\b/.exec(reason)?.[1];
  const errno = name === undefined ? undefined : (ERRNO as Readonly<Record<string, number>>)[name];
  return errno === undefined ? reason : errnoText(errno);
}

/** Whether a target is on this machine, so that an attempt to connect succeeds or fails at once. */
const isNear = (target: Target): boolean =>
  target.kind === 'unix' || /^(127\.|::1$|localhost$)/.test(target.host ?? '');

export class Rconn {
  maxBackoffMs = 8000;
  /** 0: never. */
  probeSec = 5;
  /** Of the connection that is open. */
  activity: Activity | undefined;
  private readonly options: RconnOptions;
  private current: RconnState = 'VOID';
  private enteredMs = 0;
  private backoffMs = 0;
  private deadlineMs = Number.NEGATIVE_INFINITY;
  private vconn: Vconn | undefined;
  private lastConnected: number | undefined;
  private lastDisconnected: number | undefined;
  private lastAdmitted = monotonicMs();
  private lastError: string | undefined;
  private isClosed = false;

  constructor(options: RconnOptions) {
    this.options = options;
  }

  get state(): RconnState {
    return this.current;
  }
  get isConnected(): boolean {
    return this.current === 'ACTIVE' || this.current === 'IDLE';
  }

  /** state, last_error, sec_since_connect, sec_since_disconnect: as Controller.status has them. */
  pairs(nowMs: number): ReadonlyMap<string, string> {
    const pairs = new Map<string, string>();
    if (this.lastError !== undefined) pairs.set('last_error', this.lastError);
    const age = (ms: number): string => String(Math.floor((nowMs - ms) / 1000));
    if (this.lastConnected !== undefined) pairs.set('sec_since_connect', age(this.lastConnected));
    if (this.lastDisconnected !== undefined) pairs.set('sec_since_disconnect', age(this.lastDisconnected));
    return pairs.set('state', this.current);
  }

  /** Seconds without a controller that takes the switch; 0 with one. */
  failureSec(nowMs: number): number {
    return this.isAdmitted(nowMs) ? 0 : Math.floor((nowMs - this.lastAdmitted) / 1000);
  }

  isAdmitted(nowMs: number): boolean {
    const { activity } = this;
    if (!this.isConnected || activity === undefined) return false;
    const isLong = nowMs - (this.lastConnected ?? nowMs) >= ADMITTED_MS;
    if (!isLong && activity.admittedMs === Number.NEGATIVE_INFINITY) return false;
    this.lastAdmitted = Math.max(this.lastAdmitted, isLong ? nowMs : activity.admittedMs);
    return true;
  }

  /** Begins to connect. */
  start(): void {
    this.connect(monotonicMs());
  }

  /** Ends the connection, and makes it again at once. */
  reconnect(): void {
    if (!this.isConnected && this.current !== 'CONNECTING') return;
    log.info(`${this.options.name}: disconnecting`);
    this.disconnect(undefined);
  }

  private get isLogging(): boolean {
    return this.backoffMs < this.maxBackoffMs;
  }

  private enter(state: RconnState): void {
    log.dbg(() => `${this.options.name}: entering ${state}`);
    this.current = state;
    this.enteredMs = monotonicMs();
    this.options.onChange();
  }

  private connect(now: number): void {
    const { name, target, versions } = this.options;
    if (this.isLogging) log.info(`${name}: connecting...`);
    let stream: Duplex;
    try {
      stream = this.options.openStream?.(target) ?? this.open(target);
    } catch (error) {
      this.fail((error as Error).message);
      return;
    }
    this.options.onStream?.(stream);
    this.deadlineMs = Math.max(this.deadlineMs, now + this.backoffMs);
    this.enter('CONNECTING');
    const vconn = new Vconn(stream, { name: this.options.peer, versions });
    this.vconn = vconn;
    vconn.onOpen = () => {
      log.info(`${name}: connected`);
      this.lastConnected = monotonicMs();
      this.enter('ACTIVE');
      this.options.onOpen(vconn);
    };
    vconn.onClose = (reason) => {
      if (this.vconn !== vconn) return;
      const text = reason === undefined ? undefined : reasonText(reason);
      if (this.current === 'CONNECTING' && isNear(target) && reason?.startsWith('connect ') === true) {
        // There is no way that could be slow: nobody is there.
        this.current = 'BACKOFF';
        this.fail(text ?? 'Connection reset by peer');
        return;
      }
      if (this.current === 'CONNECTING') {
        if (this.isLogging) log.info(`${name}: connection failed (${text ?? 'Connection reset by peer'})`);
      } else if (text === undefined) log.info(`${name}: connection closed by peer`);
      else log.warn(`${name}: connection dropped (${text})`);
      this.disconnect(text ?? 'End of file');
    };
  }

  /** An attempt that could not even begin. */
  private fail(reason: string): void {
    log.warn(`${this.options.name}: connection failed (${reason})`);
    // The next one is not to come soon because this took no time.
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.disconnect(reason);
  }

  private open(target: Target): Duplex {
    if (target.kind === 'unix') return connectTcp({ path: target.path });
    const where = { host: target.host ?? '127.0.0.1', port: target.port };
    if (target.kind === 'tcp') return connectTcp({ ...where, noDelay: true });
    const { tls } = this.options;
    const isBootstrap = wantsBootstrap(tls);
    const socket: TLSSocket = connectTls({ ...where, ...tlsOptions(tls) }, () => {
      if (tls === undefined || !isBootstrap) return;
      bootstrapCa(tls, socket);
      socket.destroy();
    });
    return socket;
  }

  private disconnect(error: string | undefined): void {
    const { name } = this.options;
    this.lastError = error;
    const { vconn } = this;
    this.vconn = undefined;
    this.activity = undefined;
    vconn?.close();
    const now = monotonicMs();
    if (this.isConnected || this.current === 'CONNECTING') this.lastDisconnected = now;
    if (this.isConnected) this.options.onClose();
    if (now >= this.deadlineMs) this.backoffMs = MIN_BACKOFF_MS;
    else if (this.backoffMs < this.maxBackoffMs / 2) {
      this.backoffMs = Math.max(MIN_BACKOFF_MS, 2 * this.backoffMs);
      log.info(`${name}: waiting ${this.backoffMs / 1000} seconds before reconnect`);
    } else {
      if (this.isLogging) {
        log.info(`${name}: continuing to retry connections in the background but suppressing further logging`);
      }
      this.backoffMs = this.maxBackoffMs;
    }
    this.deadlineMs = now + this.backoffMs;
    this.enter('BACKOFF');
  }

  /** Once a second: what time brings. */
  run(now: number): void {
    if (this.isClosed) return;
    const { name } = this.options;
    switch (this.current) {
      case 'BACKOFF':
        if (now >= this.deadlineMs) this.connect(now);
        break;
      case 'CONNECTING':
        if (now - this.enteredMs < Math.max(MIN_BACKOFF_MS, this.backoffMs)) break;
        if (this.isLogging) log.info(`${name}: connection timed out`);
        this.deadlineMs = Number.POSITIVE_INFINITY;
        this.disconnect(errnoText(ERRNO.ETIMEDOUT));
        break;
      case 'ACTIVE':
      case 'IDLE':
        this.probe(now);
        break;
      default:
        break;
    }
  }

  private probe(now: number): void {
    const { name } = this.options;
    this.isAdmitted(now);
    if (this.probeSec === 0) return;
    const ms = Math.max(this.probeSec, MIN_PROBE_SEC) * 1000;
    const heard = this.activity?.receivedMs ?? this.enteredMs;
    if (this.current === 'IDLE' && heard > this.enteredMs) this.enter('ACTIVE');
    if (this.current === 'ACTIVE' && now - Math.max(heard, this.enteredMs) >= ms) {
      log.dbg(`${name}: idle ${Math.floor((now - heard) / 1000)} seconds, sending inactivity probe`);
      this.enter('IDLE');
      this.vconn?.sendEcho();
    } else if (this.current === 'IDLE' && now - this.enteredMs >= ms) {
      const sec = Math.floor((now - this.enteredMs) / 1000);
      log.err(`${name}: no response to inactivity probe after ${sec} seconds, disconnecting`);
      this.disconnect(errnoText(ERRNO.ETIMEDOUT));
    }
  }

  close(): void {
    this.isClosed = true;
    const { vconn } = this;
    this.vconn = undefined;
    vconn?.close();
    if (this.isConnected) this.options.onClose();
    this.current = 'VOID';
  }
}
