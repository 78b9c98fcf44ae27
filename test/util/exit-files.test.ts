/** Files that go away with the process. */
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { keepAtExit, unlinkAll, unlinkAtExit } from '../../src/util/exit-files.ts';

test('what was named goes, unless it was taken back, or is somebody else’s by now', () => {
  const dir = mkdtempSync(join(tmpdir(), 'exit-files-'));
  const [mine, kept, theirs, gone] = ['mine', 'kept', 'theirs', 'gone'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
    string,
  ];
  try {
    for (const path of [mine, kept, theirs, gone]) {
      writeFileSync(path, '');
      unlinkAtExit(path);
    }
    keepAtExit(kept);
    writeFileSync(`${theirs}.new`, '');
    renameSync(`${theirs}.new`, theirs);
    rmSync(gone);
    unlinkAll();
    expect([mine, kept, theirs].map((path) => existsSync(path))).toEqual([false, true, true]);
    expect(() => unlinkAtExit(gone)).toThrow(/ENOENT/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
