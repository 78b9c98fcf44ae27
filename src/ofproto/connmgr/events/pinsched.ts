/**
 * Limits how many packet_ins a connection gets: so many a second, and so many at once.  What is too many waits, in a queue for each input
 * port, so that one that is flooded does not drown the others; when all queues are full, the longest loses one.
 * Source: ofproto/pinsched.c.
 */
import { monotonicMs } from '../../../util/clock.ts';

const DEFAULT_RATE = 1000;

export class Pinsched {
  /** Packet_ins sent without waiting, after waiting, never. */
  nNormal = 0;
  nLimited = 0;
  nDropped = 0;
  private readonly send: (message: Uint8Array) => void;
  private readonly rate: number;
  private readonly burst: number;
  private tokens: number;
  private filledMs: number;
  /** By input port; the next one to send comes first. */
  private readonly queues = new Map<number, Uint8Array[]>();
  private timer: NodeJS.Timeout | undefined;

  /** `rate` a second, `burst` at once; 0 or less: 1000, and a quarter of the rate. */
  constructor(rate: number, burst: number, send: (message: Uint8Array) => void) {
    this.send = send;
    this.rate = rate > 0 ? rate : DEFAULT_RATE;
    this.burst = Math.max(1, burst > 0 ? burst : Math.floor(this.rate / 4));
    this.tokens = this.burst;
    this.filledMs = monotonicMs();
  }

  /** How many wait. */
  get nQueued(): number {
    let n = 0;
    for (const queue of this.queues.values()) n += queue.length;
    return n;
  }

  private takeToken(): boolean {
    const now = monotonicMs();
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.filledMs) * this.rate) / 1000);
    this.filledMs = now;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }

  /** Sends a message about a packet of `port`, now or later. */
  add(port: number, message: Uint8Array): void {
    if (this.queues.size === 0 && this.takeToken()) {
      this.nNormal++;
      this.send(message);
      return;
    }
    if (this.nQueued >= this.burst) this.dropOne();
    const queue = this.queues.get(port);
    if (queue === undefined) this.queues.set(port, [message]);
    else queue.push(message);
    this.nLimited++;
    this.wait();
  }

  private dropOne(): void {
    this.nDropped++;
    let longest: [number, Uint8Array[]] | undefined;
    for (const entry of this.queues) if (longest === undefined || entry[1].length > longest[1].length) longest = entry;
    if (longest === undefined) return;
    longest[1].shift();
    if (longest[1].length === 0) this.queues.delete(longest[0]);
  }

  private wait(): void {
    this.timer ??= setTimeout(
      () => {
        this.timer = undefined;
        this.run();
      },
      Math.ceil(1000 / this.rate),
    ).unref();
  }

  /** Sends what may be sent by now, of each port in turn. */
  run(): void {
    while (this.queues.size > 0 && this.takeToken()) {
      const [port, queue] = this.queues.entries().next().value as [number, Uint8Array[]];
      this.queues.delete(port);
      this.send(queue.shift() as Uint8Array);
      // Behind the others.
      if (queue.length > 0) this.queues.set(port, queue);
    }
    if (this.queues.size > 0) this.wait();
  }

  close(): void {
    clearTimeout(this.timer);
    this.queues.clear();
  }
}
