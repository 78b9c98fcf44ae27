/**
 * Where OpenFlow connections of a bridge come from: a socket that listens, or a controller that is connected to.
 * Source: ofproto/connmgr.c (struct ofservice).
 */
import type { Duplex } from 'node:stream';
import { ROLE } from '../../../openflow/messages/flow/flow-types.ts';
import { Vconn } from '../../../openflow/vconn.ts';
import { monotonicMs } from '../../../util/clock.ts';
import { vlog } from '../../../util/vlog.ts';
import { serve } from '../dispatch.ts';
import type { OfSwitch } from '../of-switch.ts';
import { OfConn, type OfConnKind } from '../ofconn.ts';
import type { ControllerSettings, ControllerStatus, OpenflowSettings } from '../openflow-settings.ts';
import { Listener } from './listener.ts';
import { MIN_PROBE_SEC, Rconn, reasonText } from './rconn.ts';
import { parseTarget, type Target } from './target.ts';

const log = vlog('connmgr');
const rconnLog = vlog('rconn');

/** Who may listen to one connection. */
const MAX_MONITORS = 8;
/** What waits for a listener that does not read; the rest it misses. */
const MAX_MONITOR_BACKLOG = 256 * 1024;

/** DSCP_DEFAULT: internet control. */
const DEFAULT_DSCP = 48;

/** The file descriptor of a socket, of one under TLS, too: Node has no other word for it.  Undefined: it has none (yet). */
function fdOf(stream: Duplex): number | undefined {
  const { _handle: handle } = stream as { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}

const ROLE_NAMES: Readonly<Record<number, ControllerStatus['role']>> = {
  [ROLE.EQUAL]: 'other',
  [ROLE.PRIMARY]: 'master',
  [ROLE.SECONDARY]: 'slave',
};

/** Settings that a service is made with; if one of them changes, it is made anew. */
type Base = Pick<OpenflowSettings, 'versions' | 'tls' | 'runDir' | 'setDscp'>;
const keyOf = ({ versions, tls, runDir }: Base, { target, kind }: ControllerSettings): string =>
  JSON.stringify([versions, /^p?ssl:/.test(target) ? tls : undefined, runDir, kind]);

export interface ServiceOwner {
  readonly sw: OfSwitch;
  /** The connections of the whole bridge; this service's are added and removed. */
  readonly conns: Set<OfConn>;
  /** A connection came, went, or is on its way. */
  changed(): void;
}

export class Service {
  readonly kind: OfConnKind;
  private settings: ControllerSettings;
  private readonly base: Base;
  private readonly key: string;
  private readonly owner: ServiceOwner;
  /** Its own connections, those without a version, too. */
  private readonly own = new Map<Vconn, OfConn | undefined>();
  /** Connections that get a copy of what goes through that of the controller. */
  private readonly monitors = new Set<Vconn>();
  private listener: Listener | undefined;
  private rconn: Rconn | undefined;

  constructor(settings: ControllerSettings, base: Base, owner: ServiceOwner) {
    this.kind = settings.kind;
    this.settings = settings;
    this.base = base;
    this.key = keyOf(base, settings);
    this.owner = owner;
    try {
      const target = parseTarget(settings.target, base.runDir ?? '/');
      if (target.isPassive) this.listen(target);
      else this.connect(target);
    } catch (error) {
      log.err(`${owner.sw.name}: ${settings.target}: ${(error as Error).message}`);
    }
  }

  private listen(target: Target): void {
    const { name } = this.owner.sw;
    this.listener = new Listener({
      target,
      tls: this.base.tls,
      onConnection: (stream, peer) => this.accept(stream, peer),
      onError: (error) => log.err(`${name}: failed to listen on ${this.settings.target}: ${error.message}`),
    });
  }

  private connect(target: Target): void {
    const rconn = new Rconn({
      name: this.nameOf(this.settings.target),
      peer: this.settings.target,
      target,
      versions: this.base.versions,
      tls: this.base.tls,
      onOpen: (vconn) => {
        rconn.activity = this.open(vconn);
        vconn.onCopy = (bytes) => {
          for (const monitor of this.monitors) if (monitor.backlog < MAX_MONITOR_BACKLOG) monitor.send(bytes);
        };
      },
      onClose: () => this.forgetAll(),
      onChange: () => this.owner.changed(),
      onStream: (stream) => this.mark(stream),
    });
    this.rconn = rconn;
    this.apply();
    rconn.start();
  }

  private apply(): void {
    for (const conn of this.own.values()) {
      conn?.packetIns.configure(this.settings);
      conn?.enableAsync(this.settings.enableAsync);
    }
    if (this.rconn === undefined) return;
    this.rconn.maxBackoffMs = Math.max(1, this.settings.maxBackoffSec) * 1000;
    this.rconn.probeSec = this.probeSec;
  }

  /** Takes over settings; false if that takes a new service. */
  reconfigure(settings: ControllerSettings, base: Base): boolean {
    if (keyOf(base, settings) !== this.key) return false;
    this.settings = settings;
    this.apply();
    return true;
  }

  /** `peer`: "unix#3". */
  private accept(stream: Duplex, peer: string): void {
    this.mark(stream);
    const name = this.nameOf(peer);
    const vconn = new Vconn(stream, { name: peer, versions: this.base.versions });
    this.own.set(vconn, undefined);
    vconn.onOpen = () => this.open(vconn);
    vconn.onClose = (reason) => {
      if (reason === undefined) rconnLog.dbg(`${name}: connection closed by peer`);
      else rconnLog.warn(`${name}: connection dropped (${reasonText(reason)})`);
      this.forget(vconn);
    };
  }

  /** Gives what a connection sends the DSCP of the settings, once there is a socket; without, it goes all the same. */
  private mark(stream: Duplex): void {
    const { setDscp } = this.base;
    const mark = (): void => {
      const fd = fdOf(stream);
      if (fd === undefined) return;
      try {
        setDscp?.(fd, this.settings.dscp ?? DEFAULT_DSCP);
      } catch (error) {
        log.warn(`${this.settings.target}: ${(error as Error).message}`);
      }
    };
    if ((stream as { readonly connecting?: boolean }).connecting === true) stream.once('connect', mark);
    else mark();
  }

  /** "br0<->unix#3". */
  private nameOf(peer: string): string {
    return `${this.owner.sw.name}<->${peer}`;
  }

  private open(vconn: Vconn): OfConn {
    const { kind, settings } = this;
    const conn = new OfConn(vconn, {
      name: this.nameOf(vconn.name),
      kind,
      enableAsync: settings.enableAsync,
      limits: settings,
    });
    this.own.set(vconn, conn);
    this.owner.conns.add(conn);
    serve(conn, this.owner.sw);
    this.owner.changed();
    return conn;
  }

  private forget(vconn: Vconn): void {
    const conn = this.own.get(vconn);
    this.own.delete(vconn);
    if (conn === undefined) return;
    conn.packetIns.close();
    conn.flowMods.report(monotonicMs());
    this.owner.conns.delete(conn);
    this.owner.changed();
  }
  private forgetAll(): void {
    for (const vconn of [...this.own.keys()]) this.forget(vconn);
  }

  /** Whether it has a connection now. */
  get isConnected(): boolean {
    return this.rconn?.isConnected ?? this.own.size > 0;
  }
  /** Seconds without a controller that takes the switch; undefined: nobody is connected to. */
  failureSec(now: number): number | undefined {
    return this.kind === 'primary' ? this.rconn?.failureSec(now) : undefined;
  }
  isAdmitted(now: number): boolean {
    return this.rconn?.isAdmitted(now) ?? this.own.size > 0;
  }
  /** 0: never; nobody is probed more often than every five seconds. */
  get probeSec(): number {
    const { probeIntervalSec } = this.settings;
    return probeIntervalSec === 0 ? 0 : Math.max(probeIntervalSec, MIN_PROBE_SEC);
  }

  private get role(): number | undefined {
    const roles = [...this.own.values()].map((conn) => conn?.role);
    return [ROLE.PRIMARY, ROLE.EQUAL, ROLE.SECONDARY].find((role) => roles.includes(role));
  }

  /** How a controller is doing; undefined if this is none that is connected to. */
  status(): ControllerStatus | undefined {
    if (this.rconn === undefined) return undefined;
    const { role } = this;
    const packetIns = [...this.own.values()].flatMap((conn) => conn?.packetIns.pairs() ?? []);
    return {
      isConnected: this.rconn.isConnected,
      role: role === undefined ? undefined : ROLE_NAMES[role],
      pairs: new Map([...this.rconn.pairs(monotonicMs()), ...packetIns]),
    };
  }

  /** How much it is worth to listen to this one; undefined: not at all. */
  get snoopRank(): number | undefined {
    if (this.rconn === undefined) return undefined;
    const { role } = this;
    return role === undefined ? 0 : role === ROLE.PRIMARY ? 3 : role === ROLE.EQUAL ? 2 : 1;
  }

  /** Sends a copy of what goes through the controller's connection to `vconn`, which is closed with this. */
  addMonitor(vconn: Vconn): void {
    if (this.monitors.size >= MAX_MONITORS) {
      rconnLog.dbg(`too many monitor connections, discarding ${vconn.name}`);
      vconn.close();
      return;
    }
    rconnLog.info(`new monitor connection from ${vconn.name}`);
    this.monitors.add(vconn);
    vconn.onClose = () => this.monitors.delete(vconn);
    // What it says is of no interest.
    vconn.onMessage = () => {};
  }

  /** Once a second. */
  run(now: number): void {
    this.rconn?.run(now);
    if (this.rconn !== undefined) return;
    for (const [vconn, conn] of this.own) {
      if (conn !== undefined) this.probe(vconn, conn, now);
      else this.waitForHello(vconn, now);
    }
  }

  /** A connection whose peer does not even say hello ends when one that fell silent would. */
  private waitForHello(vconn: Vconn, now: number): void {
    const ms = 2 * this.probeSec * 1000;
    if (ms === 0 || now - vconn.createdMs < ms) return;
    rconnLog.err(`${this.nameOf(vconn.name)}: no hello after ${ms / 1000} seconds, disconnecting`);
    vconn.close();
    this.forget(vconn);
  }

  /** Asks a connection that came in whether its peer is still there, and ends it if no answer comes. */
  private probe(vconn: Vconn, conn: OfConn, now: number): void {
    const ms = this.probeSec * 1000;
    if (ms === 0 || now - conn.receivedMs < ms) return;
    if (conn.probedMs < conn.receivedMs) {
      conn.probedMs = now;
      vconn.sendEcho();
    } else if (now - conn.probedMs >= ms) {
      rconnLog.err(`${conn.name}: no response to inactivity probe after ${this.probeSec} seconds, disconnecting`);
      vconn.close();
      this.forget(vconn);
    }
  }

  /** Ends its connections; controllers are connected to again. */
  reconnect(): void {
    this.rconn?.reconnect();
    if (this.rconn !== undefined) return;
    for (const vconn of this.own.keys()) vconn.close();
    this.forgetAll();
  }

  close(): void {
    this.listener?.close();
    this.rconn?.close();
    for (const vconn of this.own.keys()) vconn.close();
    for (const monitor of this.monitors) monitor.close();
    this.forgetAll();
  }
}
