/**
 * Fail-open: when no controller has been reached for three times the longest probe interval, the switch forwards by itself, as if it had
 * none, until one takes it again.
 * Source: ofproto/fail-open.c.
 */
import { newFlowMod } from '../../openflow/messages/new-flow-mod.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import { vlog } from '../../util/vlog.ts';
import type { FlowTables } from '../tables/flow-tables.ts';

const log = vlog('fail_open');

/** FAIL_OPEN_PRIORITY: higher than any that a controller can give. */
const PRIORITY = 0xf0f0f0;
/** How often it is said that nothing has changed. */
const REMINDER_SEC = 60;

/** How controllers are doing. */
export interface ControllerHealth {
  /** For how long all of them have been away; 0: at least one is there. */
  readonly failureSec: number;
  readonly maxProbeSec: number;
  readonly isAnyAdmitted: boolean;
}

export class FailOpen {
  /** 0: it is not active. */
  private sinceSec = 0;

  get isActive(): boolean {
    return this.sinceSec !== 0;
  }

  /** `flush` empties the tables, and calls `flushed` then. */
  run({ failureSec, maxProbeSec, isAnyAdmitted }: ControllerHealth, tables: FlowTables, flush: () => void): void {
    if (this.isActive && isAnyAdmitted) {
      this.end(tables);
      return;
    }
    if (failureSec === 0 || failureSec < 3 * maxProbeSec) return;
    if (!this.isActive) {
      log.warn(
        "Could not connect to controller (or switch failed controller's post-connection admission control policy) " +
          `for ${failureSec} seconds, failing open`,
      );
      this.sinceSec = failureSec;
      flush();
    } else if (failureSec > this.sinceSec + REMINDER_SEC) {
      log.info(`Still in fail-open mode after ${failureSec} seconds disconnected from controller`);
      this.sinceSec = failureSec;
    }
  }

  /** The tables have been emptied. */
  flushed(tables: FlowTables): void {
    if (this.isActive) tables.apply(rule('ADD'), true);
  }

  end(tables: FlowTables): void {
    if (!this.isActive) return;
    log.warn('No longer in fail-open mode');
    this.sinceSec = 0;
    tables.apply(rule('DELETE_STRICT'), true);
  }
}

const rule = (command: 'ADD' | 'DELETE_STRICT') =>
  newFlowMod(command, { priority: PRIORITY, tableId: 0, ofpacts: [{ kind: 'output', port: OFPP.NORMAL, maxLen: 0 }] });
