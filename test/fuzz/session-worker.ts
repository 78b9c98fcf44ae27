/** The thread that main.ts watches: runs one session, and keeps the case at hand where the watcher can read it. */
import { parentPort, workerData } from 'node:worker_threads';
import { formatCase } from './case.ts';
import { runSession, type SessionOptions } from './session.ts';

/** Of the memory shared with the watcher: number of the case, and size of its text, which follows. */
export const SHARED = { NUMBER: 0, SIZE: 1, WORDS: 2, BYTES: 1 << 20 } as const;

if (parentPort !== null) {
  const { shared, options } = workerData as { shared: SharedArrayBuffer; options: SessionOptions };
  const words = new Int32Array(shared, 0, SHARED.WORDS);
  const text = new Uint8Array(shared, 4 * SHARED.WORDS);
  void runSession({
    ...options,
    begins: (records) => {
      // Raw, for speed: a size before each record.
      let at = 0;
      for (const r of records) {
        if (at + 2 + r.length > text.length) break;
        text[at] = r.length & 255;
        text[at + 1] = r.length >> 8;
        text.set(r, at + 2);
        at += 2 + r.length;
      }
      words[SHARED.SIZE] = at;
      Atomics.add(words, SHARED.NUMBER, 1);
    },
    progress: (now) => parentPort?.postMessage({ progress: now }),
  }).then((report) => parentPort?.postMessage({ report }));
}

/** The case that the worker is at, as text. */
export function currentCase(shared: SharedArrayBuffer): string {
  const words = new Int32Array(shared, 0, SHARED.WORDS);
  const text = new Uint8Array(shared, 4 * SHARED.WORDS).slice(0, words[SHARED.SIZE]);
  const records: Uint8Array[] = [];
  for (let at = 0; at + 2 <= text.length; ) {
    const size = text[at]! | (text[at + 1]! << 8);
    records.push(text.slice(at + 2, at + 2 + size));
    at += 2 + size;
  }
  return formatCase(records);
}
