/**
 * What a classifier has to know of a rule, and the lists in which a subtable keeps rules: of one match by falling priority.
 * Source: lib/classifier.h (struct cls_rule), lib/versions.h.
 */
import type { Minimatch } from '../../flow/minimatch.ts';

/** Until a rule is removed, its `removedIn`. */
export const FOREVER = Number.POSITIVE_INFINITY;

/** A clause of a conjunction that a rule is a member of. */
export interface ConjunctionClause {
  readonly id: number;
  /** From 0. */
  readonly clause: number;
  readonly nClauses: number;
}

export interface ClassifierRule {
  readonly match: Minimatch;
  readonly priority: number;
  /** Not empty: the rule has no actions of its own, but is part of these. */
  readonly conjunctions: readonly ConjunctionClause[] | undefined;
  /** Versions of the tables from which, and up to but not including which, look-ups see the rule. */
  addedIn: number;
  removedIn: number;
}

/** A rule in its place, with what a look-up has to know of it. */
export interface Node<R> {
  readonly rule: R;
  readonly values: readonly number[];
  readonly priority: number;
  /** Same match, next lower priority. */
  lower: Node<R> | undefined;
  /** Another match with the same hash; of the head of a list only. */
  chain: Node<R> | undefined;
}

export const isVisible = (rule: ClassifierRule, version: number): boolean =>
  rule.addedIn <= version && version < rule.removedIn;

/** The first visible rule of a list. */
export function visibleFrom<R extends ClassifierRule>(node: Node<R> | undefined, version: number): Node<R> | undefined {
  let n = node;
  while (n !== undefined && !isVisible(n.rule, version)) n = n.lower;
  return n;
}
