/** What callers of a dpif need to know of its errors, without knowing which provider made them. */
import { ERRNO } from '../util/errno.ts';

/**
 * The positive errno of an error that a dpif's method rejected with (a NetlinkError, or a system call's).  Anything else
 * is a bug or malformed bytes, and counts as EINVAL, as where stock code fails to parse a reply.
 */
export function errnoOf(error: unknown): number {
  const errno = error instanceof Error && 'errno' in error ? error.errno : undefined;
  return typeof errno === 'number' && errno !== 0 ? Math.abs(errno) : ERRNO.EINVAL;
}
