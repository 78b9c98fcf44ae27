/**
 * Where Node begins: runs the program, which scripts/bundle.ts has put together in one file, with what V8 remembers of it (code-cache.ts).
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cacheFile, cacheKind, compileProgram, readCache, runScript } from './code-cache.ts';
import { mapStackTraces } from './source-maps.ts';

/** Its file's name, from scripts/bundle.ts. */
declare const PROGRAM: string;

const file = join(import.meta.dirname, PROGRAM);
const kind = cacheKind(process.argv.slice(2), process.env['TAPSWITCH_DAEMON_ROLE']);
mapStackTraces(file);
runScript(compileProgram(file, readCache(cacheFile(file, kind))), file, createRequire(file));
