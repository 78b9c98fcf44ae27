/**
 * Files that go away with the process: sockets, pidfiles.
 *
 * Whoever makes a file says so here; the program's main removes all of them when the process ends.  A file that has been removed and made
 * again by another process is that one's, and stays.
 * Source: lib/fatal-signal.c.
 */
import { statSync, unlinkSync } from 'node:fs';

/** Inode by name. */
const files = new Map<string, number>();

/** Has the existing file `path` removed when this process ends, however that comes about (but for kill -9).  Throws if there is none. */
export function unlinkAtExit(path: string): void {
  files.set(path, statSync(path).ino);
}

/** Takes that back: the file is gone, or is to stay. */
export function keepAtExit(path: string): void {
  files.delete(path);
}

/** Removes them now. */
export function unlinkAll(): void {
  for (const [path, inode] of files) {
    try {
      if (statSync(path).ino === inode) unlinkSync(path);
    } catch {
      // It is gone already, or the disk is; nothing is left to be done about it.
    }
  }
  files.clear();
}
