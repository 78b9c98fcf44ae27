/**
 * Changes of the tables that take too long for one turn of the event loop.  Packets get their turn in between, and echoes; other requests
 * wait.  Whoever else wants to change or to show the tables meanwhile has the change carried to its end first.
 */
import { workMs } from '../../util/clock.ts';

/** Goes on until workMs() says `untilMs`; false: it is to be called again. */
export type Piecewise = (untilMs: number) => boolean;

/** How long a piece may take. */
const SLICE_MS = 8;

/** The tables, as far as this file needs them: `FlowTables`. */
export interface TakesTurns {
  mayTakeTurns(finish: () => void): void;
}

/**
 * Runs `run`, whose transaction has begun, to its end, the first piece at once.  Undefined if that was all; else resolves at the end, and
 * rejects with what `run` throws; the first piece just throws.  `wrap` calls the later pieces.
 */
export function inTurns(
  tables: TakesTurns,
  run: Piecewise,
  wrap: (piece: () => boolean) => boolean = (piece) => piece(),
): Promise<void> | undefined {
  if (run(workMs() + SLICE_MS)) return undefined;
  return rest(tables, (untilMs) => wrap(() => run(untilMs)));
}

async function rest(tables: TakesTurns, run: Piecewise): Promise<void> {
  let failure: unknown;
  let isOver = false;
  tables.mayTakeTurns(() => {
    isOver = true;
    try {
      run(Number.POSITIVE_INFINITY);
    } catch (error) {
      failure = error;
    }
  });
  while (!isOver) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (!isOver) isOver = run(workMs() + SLICE_MS);
  }
  if (failure !== undefined) throw failure;
}
