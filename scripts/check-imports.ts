/**
 * Checks that imports between the folders of src/ point the way that ARCHITECTURE.md says, and that no files import each
 * other in a circle.  Run by `npm run lint`; prints each broken rule with its reason and exits 1.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** Folder of src/ -> folders that it may import besides itself, and why not more. */
const RULES: Record<string, { may: string[]; why: string }> = {
  util: { may: [], why: 'util is below everything' },
  native: { may: ['util'], why: 'the addon knows no protocol' },
  packet: { may: ['util'], why: 'packets are bytes; keys are made of them in flow' },
  flow: { may: ['packet', 'util'], why: 'keys and masks know no wire but the packet' },
  netlink: { may: ['native', 'util'], why: 'the wire knows no flows' },
  odp: { may: ['netlink', 'flow', 'util'], why: 'keys and actions on the wire know no datapath' },
  datapath: {
    may: ['odp', 'netlink', 'flow', 'packet', 'native', 'util'],
    why: 'the datapath shares with its clients only the wire',
  },
  dpif: { may: ['odp', 'flow', 'util'], why: 'the interface knows no provider' },
  'dpif-netlink': {
    may: ['dpif', 'odp', 'netlink', 'util'],
    why: 'the client shares with the datapath only the wire, so that it runs on openvswitch.ko too',
  },
  openflow: { may: ['flow', 'packet', 'util'], why: 'the protocol knows no switch, and no datapath' },
  ofproto: {
    may: ['dpif', 'openflow', 'odp', 'flow', 'packet', 'util'],
    why: 'ofproto knows datapaths only through dpif, and configuration only through its caller',
  },
  ovsdb: { may: ['util'], why: 'the database client knows no switch' },
  daemon: { may: ['native', 'util'], why: 'how a program becomes a daemon does not depend on what it does' },
  unixctl: { may: ['util'], why: 'the control socket knows no switch' },
  vswitchd: {
    may: [
      'ofproto',
      'dpif-netlink',
      'dpif',
      'dpctl',
      'ovsdb',
      'unixctl',
      'daemon',
      'openflow',
      'odp',
      'netlink',
      'flow',
      'packet',
      'native',
      'util',
    ],
    why: 'vswitchd puts the userspace half together; it never reaches into the datapath',
  },
  dpctl: { may: ['dpif', 'odp', 'netlink', 'flow', 'util'], why: 'dpctl is written against dpif' },
  cli: {
    may: ['dpctl', 'dpif', 'dpif-netlink', 'openflow', 'odp', 'ovsdb', 'unixctl', 'netlink', 'native', 'util'],
    why: 'commands start the two halves through their main files only',
  },
};
/** The one exception: the files in which a process is put together. */
const ENTRY_POINTS = new Set(['src/vswitchd/main.ts', 'src/datapath/main.ts']);

/** Files that may import a folder more than the rest of theirs. */
const MORE: Record<string, { may: string[]; why: string }> = {
  'src/vswitchd/run.ts': {
    may: ['datapath'],
    why: 'with --enable-dummy the datapath is in the same process, where the two still speak netlink',
  },
  'src/datapath/main.ts': { may: ['daemon'], why: 'a process is a daemon, which knows no datapath' },
  'src/datapath/options.ts': { may: ['daemon'], why: 'every daemon has the same options' },
  'src/datapath/run.ts': {
    may: ['unixctl', 'daemon'],
    why: 'a process is a daemon and has a control socket, which know no datapath; the rest of the folder serves without them',
  },
};

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((f) => f.endsWith('.ts'))
  .map((f) => join('src', f));
const importsOf = new Map<string, string[]>();
for (const file of files) {
  const text = readFileSync(file, 'utf8');
  const found = [...text.matchAll(/^(?:import|export)\b[^;]*?from '(\.[^']+)'|import\('(\.[^']+)'\)/gm)];
  importsOf.set(
    file,
    found.map((m) => normalize(join(dirname(file), m[1] ?? m[2] ?? ''))),
  );
}

const problems: string[] = [];
const folderOf = (file: string) => file.split('/')[1] ?? '';
for (const [file, imports] of importsOf) {
  const folder = folderOf(file);
  const rule = RULES[folder];
  if (rule === undefined) {
    problems.push(`${file}: folder src/${folder} has no rule in scripts/check-imports.ts`);
    continue;
  }
  for (const target of imports) {
    const other = folderOf(target);
    if (other === folder || rule.may.includes(other) || MORE[file]?.may.includes(other)) continue;
    if (folder === 'cli' && ENTRY_POINTS.has(target)) continue;
    problems.push(`${file}: must not import ${target}: ${rule.why}`);
  }
}

/** Depth-first walk; a file met again while it is still open closes a circle. */
const state = new Map<string, 'open' | 'done'>();
function walk(file: string, path: string[]): void {
  if (state.get(file) === 'done') return;
  if (state.get(file) === 'open') {
    problems.push(`circle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
    return;
  }
  state.set(file, 'open');
  for (const target of importsOf.get(file) ?? []) walk(target, [...path, file]);
  state.set(file, 'done');
}
for (const file of files) walk(file, []);

for (const p of problems) console.error(p);
if (problems.length > 0) process.exit(1);
console.log(`imports: ${files.length} files follow the rules`);
