/**
 * The log file: opened by name, and again after log rotation has renamed it.  vlog.ts writes to it.
 * Source: lib/vlog.c (vlog_set_log_file).
 */
import { closeSync, fchownSync, fstatSync, openSync, writeSync } from 'node:fs';

let file: { readonly path: string; readonly fd: number } | undefined;
/** Its name, also after it was closed. */
let lastPath: string | undefined;

export const isLogFileOpen = (): boolean => file !== undefined;
/** The name of the log file, or of the one that was closed last. */
export const logFilePath = (): string | undefined => lastPath;

/**
 * Makes `path` the log file.  Throws the Error of open(2).  Returns false if that is the file which is open already.  `closing` is called
 * before an earlier one is closed.
 */
export function switchLogFile(path: string, closing: () => void): boolean {
  const fd = openSync(path, 'a', 0o660);
  if (file !== undefined) {
    const [a, b] = [fstatSync(file.fd), fstatSync(fd)];
    if (a.dev === b.dev && a.ino === b.ino) {
      closeSync(fd);
      return false;
    }
    closing();
    closeSync(file.fd);
  }
  file = { path, fd };
  lastPath = path;
  return true;
}

export function closeFile(): void {
  if (file === undefined) return;
  closeSync(file.fd);
  file = undefined;
}

/** Gives the log file to another user, who is to open it again. */
export function chownLogFile(uid: number, gid: number): void {
  if (file !== undefined) fchownSync(file.fd, uid, gid);
}

export function writeLogFile(line: string): void {
  try {
    if (file !== undefined) writeSync(file.fd, line);
  } catch {
    // A full disk must not stop a switch, and there is nowhere left to say so.
  }
}
