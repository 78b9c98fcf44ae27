/**
 * Which blocks of the sources have run, as V8 counts them: what the inspector of this very process tells.  A look costs
 * milliseconds, so that it is taken after many cases at once.
 */
import { Session } from 'node:inspector';

interface Range {
  startOffset: number;
  endOffset: number;
  count: number;
}
interface Script {
  url: string;
  functions: { ranges: Range[] }[];
}

export class BlockCoverage {
  private readonly session = new Session();
  /** For each script, a byte for each character: 1 once it has run. */
  private readonly seen = new Map<string, Uint8Array>();
  private scratch = new Uint8Array(0);
  /** Characters of sources that have run. */
  size = 0;
  private pending: Script[] = [];

  constructor() {
    this.session.connect();
    this.session.post('Profiler.enable');
    this.session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Whether something new has run since the last call; it is new from then on no more. */
  take(): boolean {
    const before = this.size;
    this.note(this.poll(), true);
    return this.size > before;
  }

  /** The same, but it stays new until take() or settle(). */
  hasNews(): boolean {
    this.pending = this.poll();
    return this.note(this.pending, false);
  }
  settle(): void {
    this.note(this.pending, true);
    this.pending = [];
  }

  close(): void {
    this.session.disconnect();
  }

  private poll(): Script[] {
    let scripts: Script[] = [];
    this.session.post('Profiler.takePreciseCoverage', (error, result) => {
      if (error !== null) throw error;
      scripts = result.result.filter((script) => script.url.includes('/src/'));
    });
    return scripts;
  }

  /** Whether there is news; `keeps`: note it. */
  private note(scripts: readonly Script[], keeps: boolean): boolean {
    let isNew = false;
    for (const { url, functions } of scripts) {
      for (const { ranges } of functions) {
        const [whole] = ranges;
        if (whole === undefined || whole.count === 0) continue;
        const seen = this.seenOf(url, whole.endOffset);
        const { startOffset: base } = whole;
        const size = whole.endOffset - base;
        if (this.scratch.length < size) this.scratch = new Uint8Array(2 * size);
        const flags = this.scratch;
        // Ranges come from the outside in.
        for (const { startOffset, endOffset, count } of ranges) {
          flags.fill(count > 0 ? 1 : 0, startOffset - base, endOffset - base);
        }
        for (let i = 0; i < size; i++) {
          if (flags[i] === 0 || seen[base + i] !== 0) continue;
          isNew = true;
          if (!keeps) return true;
          seen[base + i] = 1;
          this.size++;
        }
      }
    }
    return isNew;
  }

  private seenOf(url: string, size: number): Uint8Array {
    let seen = this.seen.get(url);
    if (seen === undefined || seen.length < size) {
      const larger = new Uint8Array(2 * size);
      if (seen !== undefined) larger.set(seen);
      this.seen.set(url, larger);
      seen = larger;
    }
    return seen;
  }
}
