/**
 * Puts the compiled program together in one file, dist/bundle/program-HASH.cjs, where Node would take half a second to load some hundred modules;
 * dist/bundle/main.cjs runs it.  What is imported on demand is run on demand.  CommonJS, because V8 remembers having compiled that
 * (src/cli/code-cache.ts).  Part of `npm run build:ts`.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { CACHE_KINDS, cacheFile } from '../src/cli/code-cache.ts';

/** As deep as the folders of dist/, so that what is found relative to a module is found from here. */
const OUT = 'dist/bundle';

/**
 * The package `netlink` has `node-gyp-build` look through folders for its addon, at every start.  Here it is looked for once, and again only if
 * it is not there any more.
 */
const netlinkAddon: Plugin = {
  name: 'netlink-addon',
  setup({ onLoad }) {
    const require = createRequire(import.meta.url);
    const home = join(require.resolve('netlink/package.json'), '..');
    const addon = join('netlink', relative(home, require('node-gyp-build').path(home)));
    const search = "require('node-gyp-build')";
    const load = `(() => { try { return require('${addon}'); } catch { return ${search}(require.resolve('netlink/package.json') + '/..'); } })()`;
    onLoad({ filter: /node_modules\/netlink\/dist\/raw\.js$/ }, ({ path }) => {
      const [before, after, ...more] = readFileSync(path, 'utf8').split(`${search}(__dirname + '/..')`);
      if (after === undefined || more.length > 0) throw new Error(`${path}: no place where it loads its addon`);
      return { contents: `${before}${load}${after}` };
    });
  },
};

const OPTIONS: BuildOptions = {
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20.17',
  define: { 'import.meta.url': '__moduleUrl', 'import.meta.dirname': '__dirname' },
  logLevel: 'warning',
};

/** How long the program may take to be learned of. */
const LEARN_MS = 2 * 60 * 1000;
/** Another build that is at work may have made what is younger. */
const OLD_MS = 10 * 60 * 1000;

/** Builds `entry`; gives what its files are to contain, by the ends of their names. */
async function bundle(
  entry: string,
  options: BuildOptions,
): Promise<{ code: Uint8Array; map: Uint8Array | undefined }> {
  const outfile = join(OUT, 'out.cjs');
  const { outputFiles } = await build({ ...OPTIONS, ...options, entryPoints: [entry], outfile, write: false });
  const contents = (end: string) => outputFiles.find(({ path }) => path.endsWith(end))?.contents;
  return { code: contents('.cjs') ?? new Uint8Array(), map: contents('.map') };
}

/** Writes all of it at once, for whoever reads it meanwhile. */
function write(file: string, contents: Uint8Array): void {
  writeFileSync(`${file}.${process.pid}`, contents);
  renameSync(`${file}.${process.pid}`, file);
}

mkdirSync(OUT, { recursive: true });
const { code, map } = await bundle('src/cli/main.ts', {
  // What src/cli/code-cache.ts expects.
  banner: {
    js: "(function (require, __filename) {const __moduleUrl = require('node:url').pathToFileURL(__filename).href;",
  },
  footer: { js: '})' },
  external: ['node-gyp-build', 'netlink/package.json', 'netlink/*.node'],
  plugins: [netlinkAddon],
  // Three tenths less to read at each start.  Names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  // vm.Script has none.
  supported: { 'dynamic-import': false },
  sourcemap: 'external',
  sourcesContent: false,
});
const name = `program-${createHash('sha256').update(code).digest('hex').slice(0, 16)}.cjs`;
const program = join(OUT, name);
const caches = CACHE_KINDS.map((kind) => cacheFile(program, kind));
if (!existsSync(program)) write(program, code);
if (map !== undefined) write(`${program}.map`, map);
if (!caches.every((file) => existsSync(file))) {
  const learn = join(OUT, `learn-code.${process.pid}.cjs`);
  write(learn, (await bundle('scripts/learn-code.ts', {})).code);
  spawnSync(
    'scripts/learn-code.sh',
    [learn, program].map((file) => resolve(file)),
    { stdio: ['ignore', 'ignore', 'inherit'], timeout: LEARN_MS },
  );
  rmSync(learn);
}
for (const file of caches) if (!existsSync(file)) console.warn(`no ${file}: processes of that kind start slower`);
const start = await bundle('src/cli/start.ts', { define: { ...OPTIONS.define, PROGRAM: JSON.stringify(name) } });
// Last: until now who starts the program gets the old one.
write(join(OUT, 'main.cjs'), start.code);
const made = new Set([join(OUT, 'main.cjs'), program, `${program}.map`, ...caches]);
for (const file of readdirSync(OUT).map((entry) => join(OUT, entry))) {
  if (!made.has(file) && Date.now() - statSync(file).mtimeMs > OLD_MS) rmSync(file, { force: true });
}
