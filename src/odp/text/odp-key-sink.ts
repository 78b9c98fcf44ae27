/**
 * Where the readers of flow keys write to, and how they read a list of members: shared by `odp-parse-key.ts` and
 * `odp-parse-tunnel.ts`.
 */
import type { MessageWriter } from '../../netlink/message.ts';
import type { Scanner } from './odp-text-scan.ts';

export interface KeySink {
  readonly key: MessageWriter;
  /** Undefined where the text has no masks. */
  readonly mask: MessageWriter | undefined;
  readonly portNumbers: ReadonlyMap<string, number> | undefined;
}

/**
 * Reads members up to the closing bracket, in any order; `member` reads one, and says whether it did: true, false (none
 * of its names comes next) or "bad".  A comma may precede the bracket.
 */
export function parseMembers(s: Scanner, member: () => boolean | 'bad'): boolean {
  for (;;) {
    const isRead = member();
    if (isRead === 'bad') return false;
    if (s.lit(')')) return true;
    if (!isRead || !s.lit(',')) return false;
  }
}
