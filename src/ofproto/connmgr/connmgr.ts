/**
 * The connection manager of a bridge: which OpenFlow connections there are, what is sent to which of them, and what becomes of the switch's
 * flows without a controller.
 *
 * A service is where connections come from: a socket that listens, or a controller that is connected to.  Services follow the settings,
 * connections their services.
 * Source: ofproto/connmgr.c.
 */
import { join } from 'node:path';
import { type AsyncType, FLOW_FLAG, ROLE } from '../../openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../openflow/messages/flow/new-flow-mod.ts';
import type { BodyOf } from '../../openflow/messages/of-message.ts';
import { OFPERR } from '../../openflow/ofp-errors.ts';
import type { OfKind } from '../../openflow/ofp-msgs.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import { Vconn } from '../../openflow/vconn.ts';
import { monotonicMs } from '../../util/clock.ts';
import { vlog } from '../../util/vlog.ts';
import { InBand } from '../in-band/in-band.ts';
import { inBandRemotes } from '../in-band/in-band-remotes.ts';
import { OFPRR, type RuleChange } from '../tables/rule-change.ts';
import type { PacketInEvent } from '../xlate/xbridge.ts';
import { BUNDLE_IDLE_MS } from './bundles.ts';
import { happeningsOf } from './events/flow-monitors.ts';
import { flowRemovedOf } from './events/flow-removed.ts';
import { reportVacancy } from './events/table-events.ts';
import type { Acting, Connections, OfSwitch } from './of-switch.ts';
import type { OfConn } from './ofconn.ts';
import type { ControllerSettings, ControllerStatus, FailMode, OpenflowSettings } from './openflow-settings.ts';
import { FailOpen } from './service/fail-open.ts';
import { Listener } from './service/listener.ts';
import { Service, type ServiceOwner } from './service/service.ts';

const log = vlog('connmgr');

/** OFPCRR_MASTER_REQUEST: another connection asked to be the primary. */
const ROLE_REASON_PRIMARY = 0;
/** Seconds of silence after which tools are asked whether they are still there. */
const MGMT_PROBE_SEC = 60;
const DEFAULT_MAX_QUEUE = 100;

/** The service of tools: every bridge has it. */
const mgmtOf = (bridge: string, runDir: string): ControllerSettings => ({
  target: `punix:${join(runDir, bridge)}.mgmt`,
  kind: 'service',
  maxBackoffSec: 0,
  probeIntervalSec: MGMT_PROBE_SEC,
  enableAsync: true,
  rateLimit: 0,
  burstLimit: 0,
  maxQueue: DEFAULT_MAX_QUEUE,
});

export class ConnMgr implements Connections, ServiceOwner {
  readonly sw: OfSwitch;
  readonly conns = new Set<OfConn>();
  /** A controller was reached, or lost, or something else of its status changed. */
  onStatus: (() => void) | undefined;
  /** Packets that match no flow interest a controller now, or none any more: what the datapath does with them has to change. */
  onMissesWanted: (() => void) | undefined;
  private areMissesWanted = false;
  private readonly failOpen = new FailOpen();
  private readonly inBand: InBand;
  private snoop: Listener | undefined;
  private snoopPath: string | undefined;
  private readonly services = new Map<string, Service>();
  private failMode: FailMode = 'standalone';
  private bundleIdleMs = BUNDLE_IDLE_MS;
  private current: Acting | undefined;
  private generation: bigint | undefined;
  /** The switch empties its tables: nobody is told of the flows. */
  private isFlushing = false;

  constructor(sw: OfSwitch) {
    this.sw = sw;
    this.inBand = new InBand(sw);
  }

  [Symbol.iterator](): Iterator<OfConn> {
    return this.conns.values();
  }

  get acting(): Acting | undefined {
    return this.current;
  }
  act<R>(conn: OfConn, xid: number, fn: () => R): R {
    this.current = { conn, xid };
    try {
      return fn();
    } finally {
      this.current = undefined;
    }
  }

  get generationId(): bigint | undefined {
    return this.generation;
  }
  takeGeneration(id: bigint): boolean {
    // They may wrap around.
    if (this.generation !== undefined && BigInt.asIntN(64, id - this.generation) < 0n) return false;
    this.generation = id;
    return true;
  }

  makePrimary(conn: OfConn): void {
    for (const other of this.conns) {
      if (other === conn || other.role !== ROLE.PRIMARY) continue;
      other.role = ROLE.SECONDARY;
      const generationId = this.generation ?? 0xffff_ffff_ffff_ffffn;
      other.send('role_status', { role: ROLE.SECONDARY, reason: ROLE_REASON_PRIMARY, generationId });
    }
  }

  /** Sends to those who want to know, but for those of whom `except` is true. */
  broadcast<K extends OfKind>(
    type: AsyncType,
    reason: number,
    kind: K,
    body: BodyOf[K],
    except?: (conn: OfConn) => boolean,
  ): void {
    for (const conn of this.conns) {
      if (conn.wants(type, reason) && except?.(conn) !== true) conn.send(kind, body);
    }
  }

  /** Begins with the flows that a switch has when nobody controls it. */
  start(): void {
    this.flush();
  }

  /** Makes services and flows what the settings say. */
  configure(settings: OpenflowSettings): void {
    const had = this.hasControllers;
    const wanted = new Map<string, ControllerSettings>();
    if (settings.runDir !== undefined) {
      for (const c of [mgmtOf(this.sw.name, settings.runDir), ...settings.controllers]) wanted.set(c.target, c);
    }
    for (const [target, c] of wanted) if (!this.services.has(target)) this.addService(c, settings);
    for (const [target, service] of this.services) {
      const c = wanted.get(target);
      if (c?.kind === service.kind && service.reconfigure(c, settings)) continue;
      const { name } = this.sw;
      if (c === undefined) log.info(`${name}: removed ${service.kind} controller "${target}"`);
      else log.info(`${name}: Changes to controller "${target}" expects re-initialization: Re-initializing now.`);
      service.close();
      this.services.delete(target);
      if (c !== undefined) this.addService(c, settings);
    }
    this.listenForSnoopers(settings);
    this.bundleIdleMs = settings.bundleIdleMs ?? BUNDLE_IDLE_MS;
    const modeChanged = this.failMode !== settings.failMode;
    this.failMode = settings.failMode;
    if (!this.hasControllers || this.failMode === 'secure') this.failOpen.end(this.sw.tables);
    if (had !== this.hasControllers || (modeChanged && !this.hasControllers)) this.flush();
    this.inBand.configure(inBandRemotes(settings), settings.inBand?.queue, settings.findNextHop);
  }

  private addService(c: ControllerSettings, settings: OpenflowSettings): void {
    log.info(`${this.sw.name}: added ${c.kind} controller "${c.target}"`);
    this.services.set(c.target, new Service(c, settings, this));
  }

  changed(): void {
    this.onStatus?.();
    this.missesMayBeWanted();
  }

  missesMayBeWanted(): void {
    // Tools come and go, and want none until they ask for them.
    const areWanted = [...this.conns].some((conn) => conn.kind === 'primary' && conn.wantsMisses);
    if (areWanted === this.areMissesWanted) return;
    this.areMissesWanted = areWanted;
    this.onMissesWanted?.();
  }

  /** Whoever connects to <bridge>.snoop hears what the most important controller's connection carries. */
  private listenForSnoopers({ runDir, versions }: OpenflowSettings): void {
    const path = runDir === undefined ? undefined : join(runDir, `${this.sw.name}.snoop`);
    if (path === this.snoopPath) return;
    this.snoop?.close();
    this.snoopPath = path;
    if (path === undefined) return;
    this.snoop = new Listener({
      target: { isPassive: true, kind: 'unix', path },
      tls: undefined,
      onConnection: (stream, name) => this.addSnooper(new Vconn(stream, { name, versions })),
      onError: (error) => log.err(`failed to listen on punix:${path}: ${error.message}`),
    });
  }

  private addSnooper(vconn: Vconn): void {
    let best: Service | undefined;
    for (const service of this.services.values()) {
      if (service.snoopRank !== undefined && service.snoopRank > (best?.snoopRank ?? -1)) best = service;
    }
    if (best !== undefined) best.addMonitor(vconn);
    else {
      log.info('no controller connection to snoop');
      vconn.close();
    }
  }

  /** Whether somebody is to decide about flows. */
  get hasControllers(): boolean {
    return [...this.services.values()].some((s) => s.kind === 'primary');
  }

  /** Removes all flows but those of the switch's own table, and lets the switch forward as it does without a controller, unless it must not. */
  private flush(): void {
    this.isFlushing = true;
    try {
      const { tables } = this.sw;
      const own = [...tables.rules()].filter((rule) => !tables.table(rule.table).isHidden);
      tables.removeAll(own, OFPRR.DELETE);
      this.sw.groups.deleteAll();
      // Those that a controller makes from now on come after.
      void this.sw.meters.deleteAll();
    } finally {
      this.isFlushing = false;
    }
    this.failOpen.flushed(this.sw.tables);
    this.inBand.flushed();
    if (this.hasControllers || this.failMode === 'secure') return;
    this.sw.tables.apply(
      newFlowMod('ADD', { priority: 0, ofpacts: [{ kind: 'output', port: OFPP.NORMAL, maxLen: 0 }] }),
    );
  }

  /** Tells of what happened to flows. */
  flowsChanged(changes: readonly RuleChange[]): void {
    if (this.isFlushing) return;
    reportVacancy(this.sw.tables, this, changes);
    this.reportToMonitors(changes);
    for (const change of changes) {
      if (change.kind !== 'removed') continue;
      const { rule, reason } = change;
      if (rule.isHidden || (rule.flags & FLOW_FLAG.SEND_FLOW_REM) === 0) continue;
      this.broadcast(
        'flowRemoved',
        reason,
        'flow_removed',
        flowRemovedOf(rule, reason, monotonicMs(), this.sw.tlvTable),
      );
    }
  }

  private reportToMonitors(changes: readonly RuleChange[]): void {
    let watching: OfConn[] | undefined;
    for (const conn of this.conns) {
      if (conn.monitors.size === 0) continue;
      watching ??= [];
      watching.push(conn);
    }
    if (watching === undefined) return;
    const happenings = happeningsOf(changes);
    for (const conn of watching) {
      const { current } = this;
      conn.monitors.tlvTable = this.sw.tlvTable;
      conn.monitors.report(conn, happenings, current?.conn === conn ? current.xid : undefined);
    }
  }

  /** Once a second: gives up what has waited for too long. */
  run(nowMs: number): void {
    for (const service of this.services.values()) service.run(nowMs);
    this.inBand.run(nowMs);
    if (this.hasControllers && this.failMode === 'standalone') this.watchControllers(nowMs);
    for (const conn of this.conns) {
      conn.flowMods.run(nowMs);
      conn.bundles.expire(nowMs, this.bundleIdleMs, (opening) => conn.error(OFPERR.OFPBFC_TIMEOUT, opening));
      conn.multipart.expire(nowMs, (last) => conn.error(OFPERR.OFPBRC_MULTIPART_REQUEST_TIMEOUT, last));
    }
  }

  private watchControllers(nowMs: number): void {
    const primaries = [...this.services.values()].filter((s) => s.kind === 'primary');
    const failures = primaries.flatMap((s) => s.failureSec(nowMs) ?? []);
    const health = {
      failureSec: failures.length === 0 ? 0 : Math.min(...failures),
      maxProbeSec: Math.max(...primaries.map((s) => s.probeSec)),
      isAnyAdmitted: primaries.some((s) => s.isAdmitted(nowMs)),
    };
    this.failOpen.run(health, this.sw.tables, () => this.flush());
    this.failOpen.tempt(
      primaries.some((s) => s.isConnected),
      nowMs,
      (event) => this.packetIn(event),
    );
  }

  /** Whether controllers are reached through the switch itself. */
  get isInBand(): boolean {
    return this.inBand.isActive;
  }

  /** Whether a controller is connected. */
  get isControlled(): boolean {
    for (const service of this.services.values()) if (service.kind === 'primary' && service.isConnected) return true;
    return false;
  }

  /** Whether a packet that matches no flow interests somebody. */
  get wantsMisses(): boolean {
    for (const conn of this.conns) if (conn.wantsMisses) return true;
    return false;
  }

  /** Sends a packet to those who want it. */
  packetIn(event: PacketInEvent): void {
    for (const conn of this.conns) {
      if (conn.controllerId !== event.controllerId || !conn.wants('packetIn', event.packetIn.reason)) continue;
      conn.packetIns.send(event, conn.version, conn.packetInFormat);
    }
  }

  /** How the controllers of the settings are doing, by target. */
  status(): ReadonlyMap<string, ControllerStatus> {
    const map = new Map<string, ControllerStatus>();
    for (const [target, service] of this.services) {
      const status = service.status();
      if (status !== undefined) map.set(target, status);
    }
    return map;
  }

  /** Has all connections made anew. */
  reconnect(): void {
    for (const service of this.services.values()) service.reconnect();
  }

  /** Ends all services and connections. */
  close(): void {
    for (const service of this.services.values()) service.close();
    this.services.clear();
    this.snoop?.close();
    this.snoopPath = undefined;
  }
}
