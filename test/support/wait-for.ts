/** Waiting for what comes by itself, on machines that stall, too: vi.waitFor() gives up after a second if it is not told otherwise. */
import { vi } from 'vitest';

/** Resolves when `check` throws no more; rejects if it still does after a minute. */
export function waitFor<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 60_000, interval: 5 });
}
