/** bin/tapswitch, in a checkout of empty files and with a `node` that only says how it was called. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

let root: string;
const put = (path: string, text: string, mode = 0o644): void => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text);
  chmodSync(join(root, path), mode);
};
const run = (command: string, args: readonly string[], cwd = root): string => {
  const path = `${root}/fake:${root}/bin:${process.env['PATH']}`;
  const env = { PATH: path, NODE_EXTRA_CA_CERTS: '/certificates' };
  // The dynamic linker complains of an empty library to preload.
  return execFileSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
};

beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'tapswitch-launcher-')));
  for (const file of ['libtapswitch-preload.so', 'tapswitch.node']) put(`build/Release/${file}`, '');
  put('dist/bundle/main.cjs', '');
  put('fake/node', '#!/bin/sh\necho "$*"\nprintenv NODE_EXTRA_CA_CERTS || echo unset\n', 0o755);
  put('bin/tapswitch', '');
  copyFileSync(new URL('../../bin/tapswitch', import.meta.url), join(root, 'bin/tapswitch'));
  chmodSync(join(root, 'bin/tapswitch'), 0o755);
  symlinkSync('../bin/tapswitch', join(root, 'fake/link'));
  symlinkSync('link', join(root, 'fake/second'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test.each([
  ['its path', () => run(join(root, 'bin/tapswitch'), ['preload-path'])],
  ['a relative path', () => run('./tapswitch', ['preload-path'], join(root, 'bin'))],
  ['a search of PATH', () => run('tapswitch', ['preload-path'])],
  ['links', () => run('second', ['preload-path'])],
  ['a name without a folder', () => run('sh', ['tapswitch', 'preload-path'], join(root, 'bin'))],
])('finds its checkout when called by %s', (_name, call) => {
  expect(call()).toBe(`${root}/build/Release/libtapswitch-preload.so\n`);
});

test('runs the program without the certificates that Node would read', () => {
  expect(run('tapswitch', ['dpctl', 'show'])).toBe(`${root}/dist/bundle/main.cjs dpctl show\nunset\n`);
});

test('exec leaves the environment of the command alone', () => {
  const [, ours] = run('tapswitch', ['exec', '--', 'node', 'x'], root).split('\n');
  expect(ours).toBe('/certificates');
});
