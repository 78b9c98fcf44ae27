/**
 * In which order actions and instructions may stand, and which may stand inside of which.
 * Source: lib/ofp-actions.c (ofpacts_verify), OpenFlow 1.5.1 5.6.
 */
import type { OfpErrName } from '../ofp-errors.ts';
import type { Ofpact, OfpactKind } from '../ofpact.ts';
import { INSTRUCTIONS, type Instruction, instructionOf } from './instructions.ts';

export interface OrderError {
  readonly err: OfpErrName;
  /** As the stock tool says it. */
  readonly message: string;
}

function verifyNesting(a: Ofpact, outer: OfpactKind | undefined): OrderError | undefined {
  const field = a.kind === 'set_field' ? a.field : a.kind === 'move' ? a.dst.field : undefined;
  const isCtField = field?.name === 'ct_mark' || field?.name === 'ct_label';
  if (isCtField && outer !== 'ct') {
    return { err: 'OFPBAC_BAD_SET_ARGUMENT', message: 'cannot set CT fields outside of ct action' };
  }
  if (a.kind === 'nat') {
    if (outer === 'ct') return undefined;
    return { err: 'OFPBAC_BAD_SET_ARGUMENT', message: 'Cannot have NAT action outside of "ct" action' };
  }
  const cannotNest = {
    err: 'OFPBAC_BAD_ARGUMENT',
    message: `${outer} action doesn't support nested action ${a.kind}`,
  } as const;
  if (outer === 'ct') {
    if (field === undefined) return cannotNest;
    if (!isCtField) {
      return { err: 'OFPBAC_BAD_ARGUMENT', message: `ct action doesn't support nested modification of ${field.name}` };
    }
  }
  return outer !== undefined && a.kind === 'meter' ? cannotNest : undefined;
}

/** The first thing that is wrong with the order; undefined if nothing is.  `outer`: the action that holds these. */
export function verifyOrder(
  actions: readonly Ofpact[],
  version: number,
  allowed: readonly Instruction[],
  outer?: OfpactKind,
): OrderError | undefined {
  let before: Instruction = 'meter';
  for (const [i, a] of actions.entries()) {
    if (a.kind === 'conjunction') {
      const other = actions.find((x) => x.kind !== 'conjunction' && x.kind !== 'note');
      if (other === undefined) return undefined;
      return {
        err: 'NXBAC_BAD_CONJUNCTION',
        message: `"conjunction" actions may be used along with "note" but not any other kind of action (such as the "${other.kind}" action used here)`,
      };
    }
    const e = verifyNesting(a, outer);
    if (e !== undefined) return e;

    const now = instructionOf(a.kind, version);
    const step = INSTRUCTIONS.indexOf(now) - INSTRUCTIONS.indexOf(before);
    if (i > 0 && (before === 'apply_actions' ? step < 0 : step <= 0)) {
      const why = 'for OpenFlow 1.1+ compatibility';
      return {
        err: 'OFPBAC_UNSUPPORTED_ORDER',
        message:
          step === 0
            ? `duplicate ${before} instruction not allowed, ${why}`
            : `invalid instruction ordering: ${now} must appear before ${before}, ${why}`,
      };
    }
    if (!allowed.includes(now)) {
      return { err: 'OFPBIC_UNSUP_INST', message: `${now} instruction not allowed here` };
    }
    before = now;
  }
  return undefined;
}
