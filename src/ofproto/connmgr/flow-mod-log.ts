/**
 * Says in the log how many flow_mods a connection had carried out: once for all that come in a while, however many they are.
 * Source: ofproto/connmgr.c (ofconn_report_flow_mod, ofconn_log_flow_mods).
 */
import { OFPFC } from '../../openflow/messages/flow/flow-types.ts';
import { monotonicMs } from '../../util/clock.ts';
import { vlog } from '../../util/vlog.ts';

const log = vlog('connmgr');

/** From the first flow_mod to the report, and from one report to the next. */
const DELAY_MS = 10_000;
const PAUSE_MS = 60_000;

const seconds = (ms: number): number => Math.trunc(ms / 1000);

export class FlowModLog {
  /** The connection's. */
  private readonly name: string;
  private nAdd = 0;
  private nDelete = 0;
  private nModify = 0;
  private firstMs = 0;
  private lastMs = 0;
  /** When to report; undefined: there is nothing to report. */
  private dueMs: number | undefined;
  private notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(name: string) {
    this.name = name;
  }

  /** A flow_mod was carried out; `command` is OFPFC. */
  count(command: number, now = monotonicMs()): void {
    if (command === OFPFC.ADD) this.nAdd++;
    else if (command === OFPFC.MODIFY || command === OFPFC.MODIFY_STRICT) this.nModify++;
    else this.nDelete++;
    if (this.dueMs === undefined) {
      this.firstMs = now;
      this.dueMs = Math.max(now + DELAY_MS, this.notBeforeMs);
      this.notBeforeMs = this.dueMs + PAUSE_MS;
    }
    this.lastMs = now;
  }

  /** Reports, if it is time. */
  run(now: number): void {
    if (this.dueMs !== undefined && now >= this.dueMs) this.report(now);
  }

  /** Reports what was not reported yet. */
  report(now: number): void {
    const { nAdd, nDelete, nModify } = this;
    if (this.dueMs === undefined) return;
    this.dueMs = undefined;
    this.nAdd = this.nDelete = this.nModify = 0;
    const ago = seconds(now - this.firstMs);
    const interval = seconds(this.lastMs - this.firstMs);
    const when =
      interval === ago
        ? `in the last ${ago} s`
        : interval > 0
          ? `in the ${interval} s starting ${ago} s ago`
          : `${ago} s ago`;
    const kinds = [
      ...(nAdd > 0 ? [`${nAdd} adds`] : []),
      ...(nDelete > 0 ? [`${nDelete} deletes`] : []),
      ...(nModify > 0 ? [`${nModify} modifications`] : []),
    ];
    log.info(`${this.name}: ${nAdd + nDelete + nModify} flow_mods ${when} (${kinds.join(', ')})`);
  }
}
