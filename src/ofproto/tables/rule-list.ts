/**
 * Rules in the order in which they were added, linked through fields of their own: each may be in one such list.  100,000 rules of one cookie
 * as a Set would be hashed again whenever it grows, in one piece.
 */
import type { Rule } from './rule.ts';

export class RuleList implements Iterable<Rule> {
  private first: Rule | undefined;
  private last: Rule | undefined;

  get isEmpty(): boolean {
    return this.first === undefined;
  }

  /** Appends a rule that is in no list. */
  add(rule: Rule): void {
    const { last } = this;
    rule.prevInList = last;
    rule.nextInList = undefined;
    if (last === undefined) this.first = rule;
    else last.nextInList = rule;
    this.last = rule;
  }

  /** Takes out a rule that is in this list. */
  remove(rule: Rule): void {
    const { prevInList: prev, nextInList: next } = rule;
    if (prev === undefined) this.first = next;
    else prev.nextInList = next;
    if (next === undefined) this.last = prev;
    else next.prevInList = prev;
    rule.prevInList = rule.nextInList = undefined;
  }

  /** The list is not to be changed meanwhile. */
  *[Symbol.iterator](): Iterator<Rule> {
    for (let rule = this.first; rule !== undefined; rule = rule.nextInList) yield rule;
  }
}
