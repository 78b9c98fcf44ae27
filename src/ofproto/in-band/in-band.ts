/**
 * In-band control: a switch whose controllers are reached through itself keeps the way to them open by hidden flows (`in-band-rules.ts`),
 * which need the address of the local port, and of the next hop on the way to each controller.
 * Source: ofproto/in-band.c.
 */
import { newFlowMod } from '../../openflow/messages/flow/new-flow-mod.ts';
import type { PhyPort } from '../../openflow/messages/switch/switch-types.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { formatIpv4, formatMac } from '../../util/inet.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { FlowTables } from '../tables/flow-tables.ts';
import { type InBandRule, inBandRules, matchOf, type Remote } from './in-band-rules.ts';

const log = vlog('in_band');
const limit = new RateLimit(60, 60);

/** How often the next hop is looked for: while its address is not known, and then. */
const REFRESH_UNKNOWN_MS = 1000;
const REFRESH_KNOWN_MS = 10_000;

/** Finds the Ethernet address of the next hop on the way to an address; undefined: not known now.  An Error: there is no way. */
export type FindNextHop = (ip: Uint8Array) => Promise<Uint8Array | undefined>;

export interface InBandSwitch {
  readonly name: string;
  readonly tables: FlowTables;
  phyPort(ofport: number): PhyPort | undefined;
}

interface WatchedRemote extends Remote {
  mac: Uint8Array | undefined;
  /** When its next hop is looked for again. */
  refreshMs: number;
}

const isSameBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a.every((byte, i) => byte === b[i]));

const keyOf = (rule: InBandRule): string => `${rule.priority} ${rule.match}`;

export class InBand {
  private readonly sw: InBandSwitch;
  private remotes: readonly WatchedRemote[] = [];
  private queue: number | undefined;
  private findNextHop: FindNextHop | undefined;
  /** The rules that are in the tables. */
  private readonly installed = new Map<string, InBandRule>();

  constructor(sw: InBandSwitch) {
    this.sw = sw;
  }

  /** Whether there is anybody to talk to, or were, and rules are left. */
  get isActive(): boolean {
    return this.remotes.length > 0 || this.installed.size > 0;
  }

  /**
   * `queue`: of what the rules send; undefined: the port's usual one.  Without `findNextHop` there are no routes to look at, as with dummy
   * devices.
   */
  configure(remotes: readonly Remote[], queue: number | undefined, findNextHop: FindNextHop | undefined): void {
    this.findNextHop = findNextHop;
    const isSame =
      remotes.length === this.remotes.length &&
      remotes.every((r, i) => {
        const old = this.remotes[i] as Remote;
        return old.port === r.port && isSameBytes(old.ip, r.ip);
      });
    if (!isSame) {
      this.remotes = remotes.map((r) => ({ ...r, mac: undefined, refreshMs: Number.NEGATIVE_INFINITY }));
    }
    if (queue !== this.queue) {
      this.queue = queue;
      this.removeAll();
    }
    this.update();
  }

  /** Once a second. */
  run(nowMs: number): void {
    if (!this.isActive) return;
    for (const remote of this.remotes) if (nowMs >= remote.refreshMs) void this.refresh(remote, nowMs);
    this.update();
  }

  /** Somebody has emptied the tables. */
  flushed(): void {
    this.installed.clear();
    this.update();
  }

  private async refresh(remote: WatchedRemote, nowMs: number): Promise<void> {
    remote.refreshMs = nowMs + REFRESH_UNKNOWN_MS;
    const { name } = this.sw;
    let mac: Uint8Array | undefined;
    try {
      mac = await this.findNextHop?.(remote.ip);
    } catch (error) {
      const why = (error as Error).message;
      log.warn(`${name}: cannot find route for controller (${formatIpv4(remote.ip)}): ${why}`, limit);
    }
    if (mac !== undefined) remote.refreshMs = nowMs + REFRESH_KNOWN_MS;
    // The settings may have changed meanwhile.
    if (!this.remotes.includes(remote) || isSameBytes(mac, remote.mac)) return;
    if (mac !== undefined) {
      const to = formatMac(mac);
      log.dbg(() => `${name}: remote MAC address changed from ${formatMac(remote.mac ?? new Uint8Array(6))} to ${to}`);
    }
    remote.mac = mac;
    this.update();
  }

  private get localMac(): Uint8Array | undefined {
    const mac = this.sw.phyPort(OFPP.LOCAL)?.hwAddr;
    return mac?.some((b) => b !== 0) === true ? mac : undefined;
  }

  private get actions(): Ofpact[] {
    const normal: Ofpact = { kind: 'output', port: OFPP.NORMAL, maxLen: 0 };
    return this.queue === undefined ? [normal] : [{ kind: 'set_queue', queue: this.queue }, normal];
  }

  /** Makes the rules in the tables those that there are to be. */
  private update(): void {
    const wanted = new Map(inBandRules(this.localMac, this.remotes).map((rule) => [keyOf(rule), rule]));
    for (const [key, rule] of this.installed) if (!wanted.has(key)) this.remove(key, rule);
    for (const [key, rule] of wanted) {
      if (this.installed.has(key)) continue;
      this.installed.set(key, rule);
      this.apply('ADD', rule);
    }
  }

  private removeAll(): void {
    for (const [key, rule] of this.installed) this.remove(key, rule);
  }

  private remove(key: string, rule: InBandRule): void {
    this.installed.delete(key);
    this.apply('DELETE_STRICT', rule);
  }

  private apply(command: 'ADD' | 'DELETE_STRICT', rule: InBandRule): void {
    const { tables } = this.sw;
    const ofpacts = command === 'ADD' ? this.actions : [];
    const fm = newFlowMod(command, { match: matchOf(rule), priority: rule.priority, tableId: 0, ofpacts });
    tables.whenIdle(() => tables.apply(fm, true));
  }
}
