/**
 * Userspace forwarding of one datapath: upcall handling and revalidation, started and stopped together.
 *
 * One handler, one thread: the provider hands over up to 64 upcalls at a time and waits until they are dealt with; the
 * revalidator works between.  Source: ofproto/ofproto-dpif-upcall.c.
 */
import type { Dpif } from '../../dpif/dpif.ts';
import type { BackerOptions, FlowControl } from '../ofproto-provider.ts';
import { Revalidator } from './revalidator.ts';
import type { Scheduler } from './scheduler.ts';
import { type BridgeLookup, UdpifState } from './udpif-state.ts';
import { UpcallHandling } from './upcall.ts';

export class Udpif implements FlowControl {
  readonly state: UdpifState;
  readonly upcalls: UpcallHandling;
  readonly revalidator: Revalidator;

  constructor(dpif: Dpif, bridges: BridgeLookup, scheduler: Scheduler, options: BackerOptions) {
    this.state = new UdpifState(dpif, bridges, scheduler, options);
    this.upcalls = new UpcallHandling(this.state);
    this.revalidator = new Revalidator(this.state);
  }

  /** Begins to take upcalls; flows that are there already stay unchecked until `settle`. */
  async start(): Promise<void> {
    this.upcalls.isSettled = false;
    await this.state.dpif.setUpcallHandler((batch) => this.upcalls.handle(batch));
  }

  /** The bridges are configured: from now on flows are checked against them. */
  settle(): void {
    this.upcalls.isSettled = true;
    this.revalidator.start();
  }

  get isSettled(): boolean {
    return this.upcalls.isSettled;
  }

  /** Something changed that may have any translation come out otherwise: all flows are checked soon. */
  revalidate(): void {
    this.state.revalSeq++;
    this.revalidator.wake();
  }

  /** Has all flows made anew, as after a change of what flows may be like. */
  async flush(): Promise<void> {
    const { state } = this;
    state.isFlushing = true;
    try {
      await this.revalidator.purge();
      await state.dpif.flowFlush();
    } finally {
      state.isFlushing = false;
    }
  }

  async purge(): Promise<void> {
    await this.revalidator.purge();
  }

  async pause(): Promise<void> {
    await this.revalidator.pause();
  }

  resume(): void {
    this.revalidator.resume();
  }

  setFlowLimit(flows: number): void {
    this.state.flowLimit = flows;
  }

  /** Rejects if the datapath cannot be told, but has stopped then too. */
  async stop(): Promise<void> {
    try {
      await this.state.dpif.setUpcallHandler(null);
    } finally {
      await this.revalidator.stop();
    }
  }
}
