/** Documents, and comments in sources, name files and folders; those must exist. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = new URL('../..', import.meta.url).pathname;
const DOCUMENTS = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(ROOT, 'docs')).map((name) => join('docs', name)),
];
const FOLDERS = /^(src|native|bin|scripts|test|test-netns|docs|bench)\//;

/** All files below src/ and the like: their whole paths, and what is left of those without the first folders, down to the name. */
const names = new Set(
  ['src', 'native', 'bin', 'scripts', 'test', 'test-netns', 'docs', 'bench'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).flatMap((path) => {
      const parts = [folder, ...path.split('/')];
      return parts.map((_, i) => parts.slice(i).join('/'));
    }),
  ),
);

test.each(DOCUMENTS)('%s', (document) => {
  const text = readFileSync(join(ROOT, document), 'utf8');
  const missing: string[] = [];
  for (const [, code = ''] of text.matchAll(/`([^`\n]+)`/g)) {
    for (const word of code.split(/[\s,;()]+/)) {
      const path = word.replace(/\*.*$/, '');
      if (FOLDERS.test(word) && !word.includes('...')) {
        const pattern =
          path === word ? existsSync(join(ROOT, path)) : existsSync(join(ROOT, path.replace(/[^/]*$/, '')));
        if (!pattern) missing.push(word);
      } else if (/^\w[\w./-]*\.(ts|cc|sh)$/.test(word) && !names.has(word)) {
        missing.push(word);
      }
    }
  }
  for (const [, link = ''] of text.matchAll(/\]\(([^)#]+)\)/g)) {
    if (!/^https?:/.test(link) && !existsSync(join(ROOT, document, '..', link))) missing.push(link);
  }
  expect(missing).toEqual([]);
});

test('comments in sources', () => {
  const missing: string[] = [];
  for (const file of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    for (const [comment] of readFileSync(join(ROOT, 'src', file), 'utf8').matchAll(/\/\*\*[\s\S]*?\*\/|^ *\/\/.*$/gm)) {
      for (const [path] of comment.matchAll(/\b\w[\w./-]*\.ts\b/g))
        if (!names.has(path)) missing.push(`${file}: ${path}`);
    }
  }
  expect(missing).toEqual([]);
});
