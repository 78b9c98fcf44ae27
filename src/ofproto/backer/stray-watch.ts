/**
 * Notices ports that somebody else put into a datapath of ours: no bridge knows what to do with them, and they are to be removed.
 *
 * A port of our own is added before the bridge that wants it knows its number, so each is looked at a little later.
 * Neighbours: backer.ts.  Source: ofproto/ofproto-dpif.c (process_dpif_port_change).
 */
import type { Scheduler } from '../udpif/scheduler.ts';

/** Soon enough for those who look, and long after a port of ours has its place. */
const DELAY_MS = 500;

export class StrayWatch {
  private readonly scheduler: Scheduler;
  private readonly look: () => void;
  private readonly isKnown: (name: string) => boolean;
  private readonly names = new Set<string>();
  private cancel: (() => void) | undefined;

  /** `look` is called when there may be such ports; `isKnown`: a bridge has a port of that name. */
  constructor(scheduler: Scheduler, isKnown: (name: string) => boolean, look: () => void) {
    this.scheduler = scheduler;
    this.isKnown = isKnown;
    this.look = look;
  }

  /** The datapath has a new port; undefined: perhaps any number of them. */
  added(name: string | undefined): void {
    this.names.add(name ?? '');
    if (this.cancel !== undefined) return;
    this.cancel = this.scheduler.after(DELAY_MS, () => {
      this.cancel = undefined;
      const isAnyUnknown = [...this.names].some((n) => !this.isKnown(n));
      this.names.clear();
      if (isAnyUnknown) this.look();
    });
  }

  close(): void {
    this.cancel?.();
    this.cancel = undefined;
  }
}
