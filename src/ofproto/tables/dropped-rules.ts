/**
 * Rules that are no more: their classifiers have them yet, but no look-up sees them.  Few are taken out at once, many in slices, after whoever
 * removed them has the answer.
 */
import { workMs } from '../../util/clock.ts';
import type { Rule } from './rule.ts';
import type { RuleChange } from './rule-change.ts';

/** How many are few, and are taken out before the clock is asked. */
const FEW = 64;
/** How long a slice may take. */
const SLICE_MS = 4;

export class DroppedRules {
  private readonly drop: (rule: Rule) => void;
  private readonly waiting: (readonly RuleChange[])[] = [];
  /** How far the first of `waiting` has come. */
  private nDone = 0;
  private isScheduled = false;
  private nPauses = 0;

  /** `drop` takes a rule out of its classifier. */
  constructor(drop: (rule: Rule) => void) {
    this.drop = drop;
  }

  /** Takes the rules out that `changes` removed or replaced. */
  add(changes: readonly RuleChange[]): void {
    if (changes.length <= FEW) {
      for (const c of changes) this.dropOld(c);
      return;
    }
    this.waiting.push(changes);
    this.schedule();
  }

  /** Lets rules stay in their classifiers until `resume`: somebody goes through them. */
  pause(): void {
    this.nPauses++;
  }
  resume(): void {
    this.nPauses--;
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled || this.nPauses > 0 || this.waiting.length === 0) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      if (this.nPauses === 0) this.run();
    });
  }

  private run(): void {
    const untilMs = workMs() + SLICE_MS;
    for (let changes = this.waiting[0]; changes !== undefined; changes = this.waiting[0]) {
      while (this.nDone < changes.length) {
        this.dropOld(changes[this.nDone++] as RuleChange);
        if (this.nDone % FEW !== 0 || workMs() < untilMs) continue;
        this.schedule();
        return;
      }
      this.waiting.shift();
      this.nDone = 0;
    }
  }

  private dropOld(c: RuleChange): void {
    if (c.kind === 'removed') this.drop(c.rule);
    else if (c.kind === 'replaced') this.drop(c.old);
  }
}
