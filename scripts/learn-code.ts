/**
 * Runs the program as a process of one kind, and writes what V8 remembers of it (src/cli/code-cache.ts) when it ends or gets SIGUSR2.
 * usage: node learn-code.cjs CACHE PROGRAM WORD...
 */
import { renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compileProgram, runScript, sealCache } from '../src/cli/code-cache.ts';

const [node = '', , cache = '', program = '', ...words] = process.argv;
process.argv = [node, program, ...words];
const script = compileProgram(program, undefined);
let isWritten = false;
process.once('exit', () => {
  if (isWritten) return;
  isWritten = true;
  writeFileSync(`${cache}.new`, sealCache(script.createCachedData()));
  renameSync(`${cache}.new`, cache);
});
process.once('SIGUSR2', () => process.exit());
runScript(script, program, createRequire(program));
