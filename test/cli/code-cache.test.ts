/** A memory of compiled code that is of no use must never keep the program from starting. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cacheFile, cacheKind, readCache, sealCache } from '../../src/cli/code-cache.ts';

const dir = mkdtempSync(join(tmpdir(), 'tapswitch-code-cache-'));
const program = join(dir, 'program-1.cjs');
const cache = cacheFile(program, 'vswitchd');
const SOURCE =
  '(function (require, __filename) {const twice = (n) => 2 * n; console.log(twice(21), __filename, typeof require);})';
const MODULE = new URL('../../src/cli/code-cache.ts', import.meta.url).href;

/** Runs the program in a process of its own, with its cache: V8 remembers within a process, too.  What it printed, and whether the cache was used. */
function run(before = ''): string {
  const text = `
    import { compileProgram, readCache, runScript, sealCache } from '${MODULE}';
    import { createRequire } from 'node:module';
    import { writeFileSync } from 'node:fs';
    const [file, cache] = ['${program}', '${cache}'];
    const script = compileProgram(file, readCache(cache));
    runScript(script, file, createRequire(file));
    process.stdout.write(script.cachedDataRejected === false ? 'used' : 'not used');
    ${before}`;
  return execFileSync('node', ['--import', 'tsx', '--input-type=module', '-e', text], { encoding: 'utf8' });
}
const OUTPUT = `42 ${program} function\n`;

beforeAll(() => {
  writeFileSync(program, SOURCE);
  run('writeFileSync(cache, sealCache(script.createCachedData()));');
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('the program runs', () => {
  test('with what V8 remembers of it', () => expect(run()).toBe(`${OUTPUT}used`));

  test.each<[string, (good: Buffer) => Buffer | undefined]>([
    ['nothing', () => undefined],
    ['an empty file', () => Buffer.alloc(0)],
    ['half of it', (good) => good.subarray(0, good.length / 2)],
    ['a byte that is wrong', (good) => good.fill(good[100]! ^ 0xff, 100, 101)],
    ['what no V8 made', () => sealCache(Buffer.alloc(1000, 7))],
    ['what another V8 made', (good) => sealCache(good.subarray(20).fill(good[24]! ^ 0xff, 4, 5))],
  ])('with %s', (_name, damage) => {
    const good = readFileSync(cache);
    const damaged = damage(Buffer.from(good));
    rmSync(cache);
    if (damaged !== undefined) writeFileSync(cache, damaged);
    try {
      expect(run()).toBe(`${OUTPUT}not used`);
    } finally {
      writeFileSync(cache, good);
    }
  });
});

test('what is damaged is not read', () => {
  const made = Buffer.from('made');
  writeFileSync(join(dir, 'sealed'), sealCache(made));
  expect(readCache(join(dir, 'sealed'))).toEqual(made);
  writeFileSync(join(dir, 'sealed'), Buffer.concat([sealCache(made), made]));
  expect(readCache(join(dir, 'sealed'))).toBeUndefined();
});

test.each([
  [[], undefined, 'cli'],
  [['up', '--detach'], undefined, 'cli'],
  [['dpctl', 'show'], undefined, 'dpctl'],
  [['vswitchd'], undefined, 'vswitchd'],
  [['vswitchd', '--detach'], undefined, 'launcher'],
  [['vswitchd', '--detach'], 'monitor', 'launcher'],
  [['vswitchd', '--detach'], 'daemon', 'vswitchd'],
  [['datapath', '--monitor'], undefined, 'launcher'],
  [['datapath', '--monitor'], 'daemon', 'datapath'],
] as const)('%j as %s is a %s', (argv, role, kind) => expect(cacheKind(argv, role)).toBe(kind));
