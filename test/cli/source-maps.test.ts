import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, describe, expect, test } from 'vitest';

const dir = mkdtempSync(join(tmpdir(), 'tapswitch-source-maps-'));
const program = join(dir, 'program.cjs');
const START = new URL('../../src/cli/source-maps.ts', import.meta.url).href;
afterAll(() => rmSync(dir, { recursive: true }));

/** What a program of one source, `thrower.ts`, says on standard error. */
async function run(source: string): Promise<string> {
  writeFileSync(join(dir, 'thrower.ts'), source);
  await build({ entryPoints: [join(dir, 'thrower.ts')], outfile: program, format: 'cjs', sourcemap: 'external' });
  const text = `
    import { mapStackTraces } from '${START}';
    import { createRequire } from 'node:module';
    mapStackTraces('${program}');
    createRequire('${program}')('${program}');`;
  return spawnSync('node', ['--import', 'tsx', '--input-type=module', '-e', text], { encoding: 'utf8' }).stderr;
}

describe('a stack trace', () => {
  test('names the lines of the sources', async () => {
    const stderr = await run(
      'interface A { a: string }\n\nfunction fail(): never {\n  throw new RangeError("no");\n}\nfail();\n',
    );
    expect(stderr).toContain(
      `RangeError: no\n    at fail (${dir}/thrower.ts:4:9)\n    at Object.<anonymous> (${dir}/thrower.ts:6:1)`,
    );
  });
  test('is there without a map', async () => {
    const bare = 'require("node:fs").rmSync(__filename + ".map");\nthrow new Error("no");';
    expect(await run(bare)).toContain(`Error: no\n    at Object.<anonymous> (${program}:`);
  });
});
