/**
 * Waiting for the next packet without sleeping, where it pays.
 *
 * Request and answer, one in flight, find a switch asleep each time: waking it takes longer (some 30 us, more where the
 * processor sleeps too) than all that it does with the packet.  So after packets it looks at the ports concerned for a
 * little while before the event loop goes to sleep.  That is time of a processor, which the hosts may want, so it is done only
 * while it succeeds: what came in time earns credit, a wait in vain costs more of it, and without credit it is tried again
 * only now and then.
 */
import type { NativePort } from '../../native/index.ts';

/** How long to wait.  us */
const WAIT_US = 25;
/** Waits in a row, after which the event loop gets its turn. */
const MAX_IN_A_ROW = 16;
/** Packets at a time that are no answers to each other any more. */
const BUSY = 16;
/** Wake-ups between attempts, without credit. */
const TRY_EVERY = 32;
const MAX_CREDIT = 16;
const COST = 4;

/** A port that can be waited for. */
export interface Spinnable {
  readonly port: NativePort;
  /** Hands over what has come; returns how many packets there were, or that many of the last batch. */
  receive(): number;
}

export class Spinner {
  private credit = 0;
  private nSkipped = 0;
  private isSpinning = false;
  /** To which packets went last: where an answer may come from. */
  private lastSent: Spinnable | undefined;

  /** Hot path. */
  sent(port: Spinnable): void {
    this.lastSent = port;
  }

  forget(port: Spinnable): void {
    if (this.lastSent === port) this.lastSent = undefined;
  }

  /** Takes that the event loop found packets on `port`, which have been handled. */
  received(port: Spinnable): void {
    if (this.isSpinning) return;
    if (this.credit <= 0 && ++this.nSkipped < TRY_EVERY) return;
    this.nSkipped = 0;
    this.isSpinning = true;
    this.spin(port);
    this.isSpinning = false;
  }

  private spin(first: Spinnable): void {
    let here = first;
    for (let i = 0; i < MAX_IN_A_ROW; i++) {
      const { lastSent } = this;
      const there = lastSent === here ? undefined : lastSent;
      const found = here.port.awaitFrame(WAIT_US, there?.port);
      if (found === 0) {
        this.credit = Math.max(0, this.credit - COST);
        return;
      }
      if (this.credit < MAX_CREDIT) this.credit++;
      if (found === 2) here = there!;
      // Under load there is no need to wait for anything.
      const n = here.receive();
      if (n === 0 || n >= BUSY) return;
    }
  }
}
