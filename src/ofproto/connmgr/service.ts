/**
 * Where OpenFlow connections of a bridge come from: a socket that listens.
 * Source: ofproto/connmgr.c (struct ofservice).
 */
import type { Duplex } from 'node:stream';
import { ROLE } from '../../openflow/messages/flow-types.ts';
import { Vconn } from '../../openflow/vconn.ts';
import { vlog } from '../../util/vlog.ts';
import { serve } from './dispatch.ts';
import { Listener } from './listener.ts';
import type { OfSwitch } from './of-switch.ts';
import { OfConn, type OfConnKind } from './ofconn.ts';
import type { ControllerSettings, ControllerStatus, OpenflowSettings } from './openflow-settings.ts';
import { parseTarget } from './target.ts';

const log = vlog('connmgr');

const ROLE_NAMES: Readonly<Record<number, ControllerStatus['role']>> = {
  [ROLE.EQUAL]: 'other',
  [ROLE.PRIMARY]: 'master',
  [ROLE.SECONDARY]: 'slave',
};

/** Settings that a service is made with; if one of them changes, it is made anew. */
type Base = Pick<OpenflowSettings, 'versions' | 'tls' | 'runDir'>;
const keyOf = ({ versions, tls, runDir }: Base, { kind, enableAsync }: ControllerSettings): string =>
  JSON.stringify([versions, tls, runDir, kind, enableAsync]);

export class Service {
  readonly kind: OfConnKind;
  private settings: ControllerSettings;
  private readonly base: Base;
  private readonly key: string;
  private readonly sw: OfSwitch;
  /** Of the whole bridge; this service's are added and removed. */
  private readonly conns: Set<OfConn>;
  private readonly vconns = new Set<Vconn>();
  private listener: Listener | undefined;

  constructor(settings: ControllerSettings, base: Base, sw: OfSwitch, conns: Set<OfConn>) {
    this.kind = settings.kind;
    this.settings = settings;
    this.base = base;
    this.key = keyOf(base, settings);
    this.sw = sw;
    this.conns = conns;
    try {
      this.open();
    } catch (error) {
      log.err(`${sw.name}: ${settings.target}: ${(error as Error).message}`);
    }
  }

  private open(): void {
    const target = parseTarget(this.settings.target, this.base.runDir ?? '/');
    if (!target.isPassive) return;
    this.listener = new Listener({
      target,
      tls: this.base.tls,
      onConnection: (stream, name) => this.accept(stream, name),
      onError: (error) => log.err(`${this.sw.name}: failed to listen on ${this.settings.target}: ${error.message}`),
    });
  }

  /** Takes over settings; false if that takes a new service. */
  reconfigure(settings: ControllerSettings, base: Base): boolean {
    if (keyOf(base, settings) !== this.key) return false;
    this.settings = settings;
    return true;
  }

  private accept(stream: Duplex, peer: string): void {
    const name = `${this.sw.name}<->${peer}`;
    const vconn = new Vconn(stream, { name, versions: this.base.versions });
    this.vconns.add(vconn);
    let conn: OfConn | undefined;
    vconn.onOpen = () => {
      conn = new OfConn(vconn, { name, kind: this.kind, enableAsync: this.settings.enableAsync });
      this.conns.add(conn);
      serve(conn, this.sw);
    };
    vconn.onClose = (reason) => {
      if (reason !== undefined) log.info(`${name}: connection closed (${reason})`);
      this.vconns.delete(vconn);
      if (conn !== undefined) this.conns.delete(conn);
    };
  }

  private get own(): OfConn[] {
    return [...this.conns].filter((conn) => this.vconns.has(conn.vconn));
  }

  status(): ControllerStatus | undefined {
    const roles = this.own.map((conn) => conn.role);
    const role = [ROLE.PRIMARY, ROLE.EQUAL, ROLE.SECONDARY].find((r) => roles.includes(r));
    return {
      isConnected: roles.length > 0,
      role: role === undefined ? undefined : ROLE_NAMES[role],
      pairs: new Map(),
    };
  }

  reconnect(): void {
    for (const vconn of this.vconns) vconn.close();
    this.forgetClosed();
  }

  close(): void {
    this.listener?.close();
    this.reconnect();
  }

  private forgetClosed(): void {
    this.vconns.clear();
    for (const conn of this.conns) if (!conn.isOpen) this.conns.delete(conn);
  }
}
