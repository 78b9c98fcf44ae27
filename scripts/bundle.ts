/**
 * Puts the compiled program together in a few files, dist/bundle/: Node takes half a second to load some hundred modules, and a tenth of that to
 * load the same code in one.  What is imported on demand stays in files of its own.  bin/tapswitch runs the result; stack traces name the sources.
 * Part of `npm run build:ts`.
 */
import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

/** As deep as the folders of dist/, so that what is found relative to a module is found from here. */
const OUT = 'dist/bundle';

const { metafile } = await build({
  entryPoints: ['src/cli/main.ts'],
  outdir: OUT,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.17',
  packages: 'external',
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
});
const made = new Set(Object.keys(metafile.outputs).map((file) => basename(file)));
for (const file of readdirSync(OUT)) if (!made.has(file)) rmSync(join(OUT, file));
