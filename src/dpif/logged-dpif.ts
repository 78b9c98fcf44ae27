/**
 * A dpif that logs what is done through it, in the words of stock Open vSwitch and under its module name "dpif": failures as
 * warnings, successes at level dbg, both rate-limited.  Providers hand out their datapaths wrapped in it; behaviour is the
 * wrapped one's.  Source: lib/dpif.c (log_operation(), log_flow_message() ...).
 */

import { formatUfid } from '../odp/odp-ufid.ts';
import { formatOdpActions } from '../odp/text/odp-format-actions.ts';
import { formatOdpFlow } from '../odp/text/odp-format-key.ts';
import { coverage } from '../util/coverage.ts';
import { ERRNO, errnoText } from '../util/errno.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { DPIF_PER_CPU_PID, type Dpif, type UpcallHandler } from './dpif.ts';
import type { DpifCt } from './dpif-ct.ts';
import { errnoOf } from './dpif-error.ts';
import type { DpifMeterConfig, DpifMeterFeatures, DpifMeterStats, DpifMeters } from './dpif-meters.ts';
import { dpifFullName } from './dpif-name.ts';
import {
  DPIF_FP,
  type DpifDpStats,
  type DpifExecute,
  type DpifFlow,
  type DpifFlowDel,
  type DpifFlowGet,
  type DpifFlowPut,
  type DpifFlowStats,
  type DpifOp,
  type DpifPort,
  type DpifPortPolicing,
  type DpifPortStats,
  type Nest,
  type PortEvent,
  type Ufid,
} from './dpif-types.ts';
import { formatFlowStats } from './flow-stats.ts';
import type { TunnelConfig } from './tunnel-types.ts';

const log = vlog('dpif');
/** Successes, and failures. */
const dbgLimit = new RateLimit(600, 600);
const errorLimit = new RateLimit(60, 5);

const counters = {
  destroy: coverage('dpif_destroy'),
  portAdd: coverage('dpif_port_add'),
  portDel: coverage('dpif_port_del'),
  flowFlush: coverage('dpif_flow_flush'),
  put: coverage('dpif_flow_put'),
  del: coverage('dpif_flow_del'),
  get: coverage('dpif_flow_get'),
  execute: coverage('dpif_execute'),
  meterSet: coverage('dpif_meter_set'),
  meterGet: coverage('dpif_meter_get'),
  meterDel: coverage('dpif_meter_del'),
};

const NO_STATS: DpifFlowStats = { nPackets: 0, nBytes: 0, used: 0, tcpFlags: 0 };

class NoSuchCacheError extends Error {
  override readonly name = 'NoSuchCacheError';
  readonly errno = ERRNO.EOPNOTSUPP;
  readonly code = 'EOPNOTSUPP';
}

/** What a line about a flow may show. */
interface FlowLine {
  readonly ufid: Ufid | undefined;
  readonly key: Nest | undefined;
  readonly mask?: Nest | undefined;
  readonly stats?: DpifFlowStats | undefined;
  readonly actions?: Nest | undefined;
}

export class LoggedDpif implements Dpif {
  readonly type: string;
  readonly name: string;
  readonly ct: DpifCt | undefined;
  readonly meters: DpifMeters | undefined;
  private readonly inner: Dpif;
  private readonly fullName: string;

  constructor(inner: Dpif) {
    this.inner = inner;
    this.type = inner.type;
    this.name = inner.name;
    this.ct = inner.ct;
    this.fullName = dpifFullName(inner);
    this.meters = inner.meters && new LoggedMeters(inner.meters, this.fullName);
  }

  /** What this stands before. */
  get unlogged(): Dpif {
    return this.inner;
  }

  destroy(): Promise<void> {
    counters.destroy.n++;
    return this.operation('delete', this.inner.destroy());
  }
  close(): void {
    this.inner.close();
  }
  stats(): Promise<DpifDpStats> {
    return this.operation('get_stats', this.inner.stats());
  }
  setMasksCacheSize(entries: number): Promise<number> {
    return this.inner.setMasksCacheSize?.(entries) ?? Promise.reject(new NoSuchCacheError());
  }

  async portAdd(name: string, type: string, portNo: number | undefined, tunnel?: TunnelConfig): Promise<number> {
    counters.portAdd.n++;
    try {
      const added = await this.inner.portAdd(name, type, portNo, tunnel);
      log.dbg(() => `${this.fullName}: added ${name} as port ${added}`, dbgLimit);
      return added;
    } catch (e) {
      log.warn(`${this.fullName}: failed to add ${name} as port: ${errnoText(errnoOf(e))}`, errorLimit);
      throw e;
    }
  }

  portDel(portNo: number, mayBeGone = false): Promise<void> {
    counters.portDel.n++;
    return this.operation('port_del', this.inner.portDel(portNo), mayBeGone ? ERRNO.ENODEV : 0);
  }

  async portQuery(which: string | number): Promise<DpifPort | undefined> {
    const failed = (errno: number) => `${this.fullName}: failed to query port ${which}: ${errnoText(errno)}`;
    try {
      const port = await this.inner.portQuery(which);
      if (port !== undefined) {
        const { name, portNo } = port;
        const text =
          typeof which === 'number' ? `port ${portNo} is device ${name}` : `device ${name} is on port ${portNo}`;
        log.dbg(() => `${this.fullName}: ${text}`, dbgLimit);
      } else {
        // Whoever asks for a name wants to know whether it is there; a number should be.
        log.at(typeof which === 'number' ? 'warn' : 'dbg', () => failed(ERRNO.ENODEV), errorLimit);
      }
      return port;
    } catch (e) {
      log.warn(failed(errnoOf(e)), errorLimit);
      throw e;
    }
  }

  portStats(portNo: number): Promise<DpifPortStats> {
    return this.inner.portStats(portNo);
  }
  async portStatsDump(): Promise<ReadonlyMap<number, DpifPortStats>> {
    return (await this.inner.portStatsDump?.()) ?? new Map();
  }
  async portPolice(portNo: number, policing: DpifPortPolicing): Promise<boolean> {
    return (await this.inner.portPolice?.(portNo, policing)) ?? false;
  }
  portDump(): Promise<DpifPort[]> {
    return this.operation('port_dump', this.inner.portDump());
  }
  portPoll(onEvent: (event: PortEvent) => void): () => void {
    return this.inner.portPoll(onEvent);
  }

  flowFlush(): Promise<void> {
    counters.flowFlush.n++;
    return this.operation('flow_flush', this.inner.flowFlush());
  }
  flowDump(terse: boolean, visit: (flows: readonly DpifFlow[]) => void | Promise<void>): Promise<void> {
    const logged = (flows: readonly DpifFlow[]): void | Promise<void> => {
      for (const flow of flows) this.logFlow('flow_dump', 0, flow);
      return visit(flows);
    };
    return this.operation('flow_dump_destroy', this.inner.flowDump(terse, log.isEnabled('dbg') ? logged : visit));
  }

  async operate(ops: readonly DpifOp[]): Promise<void> {
    await this.inner.operate(ops);
    for (const op of ops) {
      counters[op.type].n++;
      const errno = op.result ?? 0;
      if (errno === 0 && !log.isEnabled('dbg')) continue;
      if (op.type === 'put') this.logPut(op, errno);
      else if (op.type === 'del') this.logDel(op, errno);
      else if (op.type === 'get') this.logGet(op, errno);
      else this.logExecute(op, errno);
    }
  }

  setUpcallHandler(handler: UpcallHandler | null): Promise<void> {
    return this.operation('recv_set', this.inner.setUpcallHandler(handler));
  }
  get queuePriority(): ((queue: number) => number | undefined) | undefined {
    return this.inner.queuePriority;
  }
  upcallPid(portNo: number | undefined): number {
    return this.inner.upcallPid?.(portNo) ?? DPIF_PER_CPU_PID;
  }

  /** `expected`: an errno that no warning is due for. */
  private async operation<T>(what: string, done: Promise<T>, expected = 0): Promise<T> {
    try {
      const result = await done;
      log.dbg(() => `${this.fullName}: ${what} success`, dbgLimit);
      return result;
    } catch (e) {
      const errno = errnoOf(e);
      const level = errno !== 0 && errno === expected ? 'dbg' : 'warn';
      log.at(level, () => `${this.fullName}: ${what} failed (${errnoText(errno)})`, errorLimit);
      throw e;
    }
  }

  private logPut(put: DpifFlowPut, errno: number): void {
    if (put.flags & DPIF_FP.PROBE) return;
    const how =
      (put.flags & DPIF_FP.CREATE ? '[create]' : '') +
      (put.flags & DPIF_FP.MODIFY ? '[modify]' : '') +
      (put.flags & DPIF_FP.ZERO_STATS ? '[zero]' : '');
    const stats = put.wantStats ? (put.stats ?? NO_STATS) : undefined;
    this.logFlow(`put${how}`, errno, { ...put, stats });
  }

  private logDel(del: DpifFlowDel, errno: number): void {
    this.logFlow('flow_del', errno, { ufid: del.ufid, key: del.key, stats: errno === 0 ? del.stats : undefined });
  }

  private logGet(get: DpifFlowGet, errno: number): void {
    const { mask, stats = NO_STATS, actions } = get.flow ?? {};
    this.logFlow('flow_get', errno, { ufid: get.ufid, key: get.key, mask, stats, actions });
  }

  private logFlow(what: string, errno: number, flow: FlowLine): void {
    // Flows of one batch may overlap when they are wildcarded; the datapath then refuses the later ones, and rightly so.
    const level = errno !== 0 && errno !== ERRNO.EEXIST ? 'warn' : 'dbg';
    const text = () =>
      `${this.fullName}: ${errno === 0 ? '' : 'failed to '}${what} ${errno === 0 ? '' : `(${errnoText(errno)}) `}` +
      (flow.ufid === undefined ? '' : `${formatUfid(flow.ufid)} `) +
      formatOdpFlow(flow.key ?? new Uint8Array(), flow.mask, { verbose: true }) +
      (flow.stats === undefined ? '' : `, ${formatFlowStats(flow.stats)}`) +
      (flow.actions === undefined ? '' : `, actions:${formatOdpActions(flow.actions)}`);
    log.at(level, text, errno === 0 ? dbgLimit : errorLimit);
  }

  private logExecute(op: DpifExecute, errno: number): void {
    if (op.probe) return;
    const text = () =>
      `${this.fullName}: execute ${formatOdpActions(op.actions)}` +
      (errno === 0 ? '' : ` failed (${errnoText(errno)})`) +
      ` on packet ${Buffer.from(op.packet.subarray(0, 64)).toString('hex')}` +
      ` with metadata ${formatOdpFlow(op.key, undefined, { verbose: true })} mtu ${op.mru ?? 0}`;
    log.at(errno === 0 ? 'dbg' : 'warn', text, errno === 0 ? dbgLimit : errorLimit);
  }
}

/** Meters, likewise. */
class LoggedMeters implements DpifMeters {
  private readonly inner: DpifMeters;
  private readonly fullName: string;

  constructor(inner: DpifMeters, fullName: string) {
    this.inner = inner;
    this.fullName = fullName;
  }

  features(): Promise<DpifMeterFeatures> {
    return this.inner.features();
  }
  set(id: number, config: DpifMeterConfig): Promise<void> {
    counters.meterSet.n++;
    return this.logged(`DPIF meter ${id} set`, `set DPIF meter ${id}`, this.inner.set(id, config));
  }
  get(id: number): Promise<DpifMeterStats> {
    counters.meterGet.n++;
    return this.logged(`DPIF meter ${id} get stats`, `get DPIF meter ${id} stats`, this.inner.get(id));
  }
  del(id: number): Promise<void> {
    counters.meterDel.n++;
    return this.logged(`DPIF meter ${id} deleted`, `delete DPIF meter ${id}`, this.inner.del(id));
  }

  private async logged<T>(success: string, failure: string, done: Promise<T>): Promise<T> {
    try {
      const result = await done;
      log.dbg(() => `${this.fullName}: ${success}`, dbgLimit);
      return result;
    } catch (e) {
      log.warn(`${this.fullName}: failed to ${failure}: ${errnoText(errnoOf(e))}`, errorLimit);
      throw e;
    }
  }
}
