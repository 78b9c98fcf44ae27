/**
 * The revalidator: goes through all flows of the datapath again and again, credits their packets to the rules behind
 * them, ends those that are idle, too many or no longer right, and changes those whose actions changed.
 *
 * Here is when: rounds, begun by time or because something changed, paused and waited for, and how many flows there may be.
 * `flow-round.ts` is what a round does.
 * Source: ofproto/ofproto-dpif-upcall.c (udpif_revalidator).
 */
import { monotonicMs } from '../../util/clock.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { FlowRound } from './flow-round.ts';
import { MIN_FLOW_LIMIT, type UdpifState } from './udpif-state.ts';

const log = vlog('ofproto_dpif_upcall');
const dumpLimit = new RateLimit(60, 5);

/** While rounds are paused, it is seen to it that they still are. */
const MAX_PAUSE_MS = 1000;
/** Rounds do not begin closer together than this. */
const MIN_ROUND_MS = 5;
/** A dump that takes longer is worth a line of log, and many fewer flows. */
const SLOW_DUMP_MS = 2000;

export class Revalidator {
  private readonly state: UdpifState;
  private readonly flows: FlowRound;
  private running: Promise<void> | undefined;
  private isStopping = false;
  private wakeUp: (() => void) | undefined;
  /** The moment between two rounds, which only the end cuts short. */
  private isResting = false;
  /** Rounds begun, and who waits for one to end that began after they asked. */
  private rounds = 0;
  /** Is called after each round: what flows have counted is credited. */
  onDumped: (() => void) | undefined;
  private isPaused = false;
  /** What is done with the flows is done one after the other: rounds, and purges. */
  private turn: Promise<void> = Promise.resolve();
  private waiters: { readonly after: number; readonly resolve: () => void }[] = [];

  constructor(state: UdpifState) {
    this.state = state;
    this.flows = new FlowRound(state, () => this.isStopping);
  }

  /** Starts the rounds. */
  start(): void {
    if (this.running !== undefined) return;
    this.isStopping = false;
    this.running = this.run();
  }

  /** Ends the rounds; resolves when the one under way is over. */
  async stop(): Promise<void> {
    this.isStopping = true;
    this.wakeUp?.();
    await this.running;
    this.running = undefined;
    for (const w of this.waiters.splice(0)) w.resolve();
  }

  /** Has the next round begin now: something changed. */
  wake(): void {
    if (!this.isResting) this.wakeUp?.();
  }

  /** Resolves when a round that began after this call is done. */
  wholeRound(): Promise<void> {
    if (this.running === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiters.push({ after: this.rounds, resolve });
      this.wake();
    });
  }

  /** Has no round begin before `resume`; resolves when the one under way is over. */
  async pause(): Promise<void> {
    this.isPaused = true;
    await this.inTurn(async () => {});
  }

  /** Lets the rounds go on. */
  resume(): void {
    this.isPaused = false;
    this.wake();
  }

  /** Deletes all flows that are known here, and credits their packets. */
  purge(): Promise<void> {
    return this.inTurn(() => this.flows.purge());
  }

  private inTurn(what: () => Promise<void>): Promise<void> {
    const done = this.turn.then(what);
    this.turn = done.catch(() => {});
    return done;
  }

  private async run(): Promise<void> {
    while (!this.isStopping) {
      if (this.isPaused) {
        await this.sleep(MAX_PAUSE_MS);
        continue;
      }
      const startMs = monotonicMs();
      const seq = this.state.revalSeq;
      const nth = ++this.rounds;
      try {
        await this.inTurn(() => this.round(startMs));
      } catch (e) {
        log.warn(() => `revalidation failed: ${String(e)}`, dumpLimit);
      }
      for (const w of this.waiters.filter((x) => x.after < nth)) w.resolve();
      this.waiters = this.waiters.filter((x) => x.after >= nth);
      await this.untilDue(startMs, seq);
    }
  }

  /** Waits for the next round: until the time is up, or something changed, but not less than a moment. */
  private async untilDue(startMs: number, seq: number): Promise<void> {
    const { options } = this.state;
    const isDue = () => this.isStopping || this.isPaused || this.state.revalSeq !== seq || this.waiters.length > 0;
    const until = startMs + Math.min(options.maxIdleMs, options.maxRevalidatorMs);
    if (!isDue() && monotonicMs() < until) await this.sleep(until - monotonicMs());
    const least = startMs + MIN_ROUND_MS;
    if (!this.isStopping && monotonicMs() < least) {
      // Or else each of 10,000 flow_mods would have a round of its own.
      this.isResting = true;
      await this.sleep(least - monotonicMs());
      this.isResting = false;
    }
    await this.state.scheduler.yield();
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.wakeUp = undefined;
        cancel();
        cancelReal?.();
        resolve();
      };
      const { scheduler } = this.state;
      const cancel = scheduler.after(ms, wake);
      // Rounds go on while a clock stands still.
      const cancelReal = scheduler.afterReal?.(ms, wake);
      this.wakeUp = wake;
    });
  }

  private async round(startMs: number): Promise<void> {
    const { state } = this;
    await state.countFlows();
    const nFlows = state.nFlows;
    state.maxFlows = Math.max(state.maxFlows, nFlows);
    state.avgFlows = Math.floor((state.avgFlows + nFlows) / 2);
    // A controller that fills the tables before there is any traffic has rounds begin all the time.
    if (nFlows > 0 || state.ukeys.size > 0 || this.waiters.length > 0) await this.flows.run();
    if (this.isStopping) return;
    this.onDumped?.();
    this.adaptLimit(Math.max(1, monotonicMs() - startMs), nFlows);
  }

  /** Lets the flow limit follow what the datapath can be asked for in reasonable time. */
  private adaptLimit(durationMs: number, nFlows: number): void {
    const { state } = this;
    state.dumpDurationMs = durationMs;
    let limit = state.flowLimit;
    if (durationMs > SLOW_DUMP_MS) limit = Math.floor(limit / Math.floor(durationMs / 1000));
    else if (durationMs > 1300) limit = Math.floor((limit * 3) / 4);
    else if (durationMs < 1000 && limit < Math.floor((nFlows * 1000) / durationMs)) limit += 1000;
    state.flowLimit = Math.min(state.options.flowLimit, Math.max(limit, MIN_FLOW_LIMIT));
    if (durationMs > SLOW_DUMP_MS) log.info(`Spent an unreasonably long ${durationMs}ms dumping flows`);
  }
}
