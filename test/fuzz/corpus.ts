/**
 * Kept cases, in test/fuzz/corpus/<input>/: `found.txt` has one case a line, each of which did something that none before it
 * did; `regressions.txt` those that found a bug, each below a line that says which.  Lines that begin with # are comments.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Case, formatCase, parseCase } from './case.ts';

const DIR = join(import.meta.dirname, 'corpus');
const path = (name: string, file: string): string => join(DIR, name, file);

function read(file: string): Case[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'latin1').split('\n');
  return lines.filter((line) => line.trim() !== '' && !line.startsWith('#')).map(parseCase);
}

/** What was kept for an input: what found bugs first. */
export const readCorpus = (name: string): Case[] => [
  ...read(path(name, 'regressions.txt')),
  ...read(path(name, 'found.txt')),
];
export const readRegressions = (name: string): Case[] => read(path(name, 'regressions.txt'));

/** Replaces what was found. */
export function writeFound(name: string, cases: readonly Case[]): void {
  mkdirSync(join(DIR, name), { recursive: true });
  writeFileSync(path(name, 'found.txt'), cases.map((c) => `${formatCase(c)}\n`).join(''));
}

/** Keeps a case that shows a bug. */
export function appendRegression(name: string, what: string, records: Case): void {
  mkdirSync(join(DIR, name), { recursive: true });
  appendFileSync(path(name, 'regressions.txt'), `# ${what.replaceAll('\n', ' ')}\n${formatCase(records)}\n`);
}
