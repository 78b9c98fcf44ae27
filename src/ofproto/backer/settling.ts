/**
 * When the flows of an earlier run are checked: when the bridges are what they will be.  Until then a flow of a port that no bridge has
 * yet would be deleted.
 *
 * The end of it is said (`end()`, after the first configuration), or comes after a while without changes.  It does not come while flows
 * are being restored (`isWaiting`: other_config:flow-restore-wait).  Neighbours: backer.ts.
 * Source: ofproto/ofproto-dpif.c (type_run), vswitchd/bridge.c (flow-restore-wait).
 */
import type { Scheduler } from '../udpif/scheduler.ts';

/** How long without a change, and how long at all.  Long, for slow machines. */
const QUIET_MS = 10_000;
const MAX_MS = 60_000;

export class Settling {
  /** Resolves when it is over, or given up. */
  readonly whenOver: Promise<void>;
  isWaiting: boolean;
  private isOver = false;
  private readonly scheduler: Scheduler;
  private readonly settle: () => void;
  private tellOver: () => void = () => {};
  private cancelQuiet: () => void = () => {};
  private cancelMax: () => void = () => {};

  /** `settle` is called once, at the end. */
  constructor(scheduler: Scheduler, isWaiting: boolean, settle: () => void) {
    this.scheduler = scheduler;
    this.isWaiting = isWaiting;
    this.settle = settle;
    this.whenOver = new Promise((resolve) => {
      this.tellOver = resolve;
    });
  }

  /** There may be flows of an earlier run. */
  begin(): void {
    this.cancelMax = this.scheduler.after(MAX_MS, () => this.end());
  }

  /** The bridges have changed. */
  touch(): void {
    if (this.isOver) return;
    this.cancelQuiet();
    this.cancelQuiet = this.scheduler.after(QUIET_MS, () => this.end());
  }

  /** The bridges are configured. */
  end(): void {
    if (this.isOver || this.isWaiting) return;
    this.close();
    this.settle();
  }

  /** Gives it up: nothing is settled any more. */
  close(): void {
    this.isOver = true;
    this.cancelQuiet();
    this.cancelMax();
    this.tellOver();
  }
}
