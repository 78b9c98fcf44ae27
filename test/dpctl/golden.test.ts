/**
 * The recorded cases of the real module, run in memory: our dpctl, our client, our datapath, devices that do not exist.
 * What is printed must be what stock ovs-dpctl printed, line for line.  The recordings lie beside the checkout.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { getopt } from '../../src/cli/getopt.ts';
import type { DpctlOptions } from '../../src/dpctl/dpctl-context.ts';
import { RateLimit } from '../../src/util/vlog.ts';
import { MemoryHost } from '../support/memory-host.ts';
import { dpctl } from './dpctl-harness.ts';

const GOLDEN = new URL('../../../shared/golden/', import.meta.url).pathname;
// biome-ignore format: table
const CASES = [
  '001', '002', '003', '004', '007', '008', '009', '020', '021', '023', '024', '040', '041', '042', '044', '045',
  '050', '052', '053', '055', '056', '057', '059', '062', '070', '072', '073', '076',
];
const hasGolden = existsSync(join(GOLDEN, 'cases'));
if (!hasGolden) console.log(`skipped: no recordings in ${GOLDEN}`);

/** Commands that work on what these tests do not have. */
const LEFT_OUT = /^dpctl cache-set-size dp0 masks-cache -1|^ip -o link/;

/**
 * The words of each `dpctl` line of a case, as bash sees them; other lines that make devices are returned as they are, and
 * those that make files are run.
 */
function readCase(path: string, dir: string): { line: string; words: string[] | undefined }[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  const script = `
    dpctl() { printf '%s\\0' "$@" >"words.$n"; cat flows >"flows.$n" 2>/dev/null; :; }
    veth() { :; }; dummy() { :; }; ip() { :; }
    n=0
    while IFS= read -r line; do
      n=$((n + 1))
      case $line in ''|'#'*) continue ;; esac
      eval "$line" >/dev/null
    done <"$1"
    :`;
  execFileSync('bash', ['-c', script, 'bash', path], { cwd: dir });
  return lines.flatMap((line, i) => {
    if (line === '' || line.startsWith('#')) return [];
    const words = join(dir, `words.${i + 1}`);
    return [{ line, words: existsSync(words) ? readFileSync(words, 'utf8').split('\0').slice(0, -1) : undefined }];
  });
}

function parse(words: readonly string[]): { args: string[]; options: Partial<DpctlOptions> } {
  const args: string[] = [];
  const options: Partial<DpctlOptions> = { verbosity: 0 };
  const flag = (name: string, short?: string) => ({ name, argument: 'none' as const, ...(short && { short }) });
  const known = [
    flag('statistics', 's'),
    flag('more', 'm'),
    flag('clear'),
    flag('may-create'),
    flag('names'),
    flag('no-names'),
  ];
  let names: boolean | undefined;
  for (const given of getopt(words, known, args)) {
    if (given.error !== undefined) throw new Error(given.error);
    if (given.name === 'statistics') options.statistics = true;
    else if (given.name === 'clear') options.zeroStatistics = true;
    else if (given.name === 'may-create') options.mayCreate = true;
    else if (given.name === 'more') options.verbosity = (options.verbosity ?? 0) + 1;
    else names = given.name === 'names';
  }
  options.names = names ?? (options.verbosity ?? 0) > 0;
  return { args, options };
}

/** What `golden/run` records of one line. */
function block(line: string, out: string, err: string, status: number): string[] {
  const quote = (mark: string, text: string) =>
    text
      .split('\n')
      .slice(0, -1)
      .map((l) => `${mark} ${l}`);
  return [`$ ${line}`, ...quote('>', out), ...quote('!', err), `= ${status}`];
}

function emulateDevices(host: MemoryHost, line: string): void {
  const words = line.split(' ');
  const name = words[1] ?? '';
  if (words[0] === 'veth') for (const n of [name, `p${name}`]) host.addDevice(n);
  else if (words[0] === 'dummy') host.addDevice(name);
  else if (/^ip link add/.test(line)) host.addDevice(words[3] ?? '');
  else if (/^ip link del/.test(line)) host.removeDevice(words[3] ?? '');
  else if (/^ip link set \w+ master/.test(line)) host.device(words[3] ?? '').master = 1;
  else if (/^ip link set \w+ name/.test(line)) host.renameDevice(words[3] ?? '', words[5] ?? '');
}

const sorted = (text: string) => `${text.split('\n').slice(0, -1).sort().join('\n')}${text === '' ? '' : '\n'}`;

describe.skipIf(!hasGolden)('golden', () => {
  const files = hasGolden ? readdirSync(join(GOLDEN, 'cases')).filter((f) => CASES.includes(f.slice(0, 3))) : [];

  test('every case is there', () => {
    expect(files.map((f) => f.slice(0, 3)).sort()).toEqual(CASES);
  });

  test.each(files)('%s', async (file) => {
    const dir = mkdtempSync(join(tmpdir(), 'golden-'));
    const host = new MemoryHost();
    host.addDevice('lo');
    // Each command is a process of its own, whose rate limits begin anew.
    const take = RateLimit.prototype.take;
    RateLimit.prototype.take = () => true;
    try {
      const got: string[] = [];
      const left = new Set<string>();
      for (const { line, words } of readCase(join(GOLDEN, 'cases', file), dir)) {
        if (LEFT_OUT.test(line)) {
          left.add(line);
          continue;
        }
        if (words === undefined) {
          emulateDevices(host, line);
          got.push(`$ ${line}`, '= 0');
          continue;
        }
        const { args, options } = parse(words);
        const flows = join(dir, 'flows');
        const contents = existsSync(flows) ? flowsAt(dir, line, file) : {};
        const { out, err, status } = await dpctl(host, args, options, contents);
        const text = /dump-flows|\| sort$/.test(line) ? sorted(out) : out;
        got.push(...block(line, text, err.replace(/used:[0-9.]+m?s/g, 'used:TIME'), status));
      }
      const want: string[] = [];
      let isLeftOut = false;
      for (const l of readFileSync(join(GOLDEN, 'out', file.replace(/cmds$/, 'out')), 'utf8').split('\n')) {
        if (l.startsWith('$ ')) isLeftOut = left.has(l.slice(2));
        if (l !== '' && !l.startsWith('#') && !isLeftOut) want.push(l);
      }
      expect(got.join('\n')).toBe(want.join('\n'));
    } finally {
      RateLimit.prototype.take = take;
      host.close();
      rmSync(dir, { recursive: true });
    }
  });

  /** The file "flows" as it was when the line ran. */
  function flowsAt(dir: string, line: string, file: string): Record<string, string> {
    const n =
      readFileSync(join(GOLDEN, 'cases', file), 'utf8')
        .split('\n')
        .indexOf(line, lastLine) + 1;
    lastLine = n;
    const path = join(dir, `flows.${n}`);
    return existsSync(path) ? { flows: readFileSync(path, 'utf8') } : {};
  }
  let lastLine = 0;
});
