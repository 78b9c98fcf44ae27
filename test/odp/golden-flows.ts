/**
 * Reads the recordings of the real module that lie beside the checkout (`../shared/golden`): what `ovs-dpctl` was told, what
 * it printed, and the netlink messages behind it.  `available` is false, with a reason, where they are not.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { OVS_FLOW_ATTR } from '../../src/netlink/families/ovs-flow.ts';
import { OVS_VPORT_ATTR } from '../../src/netlink/families/ovs-vport.ts';
import { forEachMessage } from '../../src/netlink/message.ts';

const dir = resolve(import.meta.dirname, '../../../shared/golden');
export const available = existsSync(join(dir, 'netlink.jsonl.gz'));
if (!available) console.log(`skipped: no recordings of the real module in ${dir}`);

export interface Recorded {
  readonly scenario: string;
  readonly step: string;
  readonly direction: 'request' | 'reply' | 'upcall' | 'notification';
  readonly family: string;
  readonly cmd: string;
  readonly flags: number;
  readonly hex: string;
  readonly errno?: number;
}

export const recordings = (file: string): Recorded[] =>
  gunzipSync(readFileSync(join(dir, file)))
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Recorded);

export const scenarios = (): string[] =>
  readdirSync(join(dir, 'out'))
    .filter((f) => f.endsWith('.out'))
    .map((f) => basename(f, '.out'))
    .sort();

export interface Step {
  readonly command: string;
  readonly stdout: string[];
  readonly stderr: string[];
}

/** The steps of a scenario with what they printed. */
export function stepsOf(scenario: string): Step[] {
  const steps: Step[] = [];
  for (const line of readFileSync(join(dir, 'out', `${scenario}.out`), 'utf8').split('\n')) {
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), stdout: [], stderr: [] });
    else if (line.startsWith('> ')) steps.at(-1)?.stdout.push(line.slice(2));
    else if (line.startsWith('! ')) steps.at(-1)?.stderr.push(line.slice(2));
  }
  return steps;
}

export const upcallText = (): string[] => readFileSync(join(dir, 'upcalls.out'), 'utf8').split('\n');

/** Port ids that the kernel chose are not printed as they were. */
export const hidePids = (text: string): string => text.replace(/pid=[0-9]{6,}/g, 'pid=PID');

const viewOf = (hex: string): DataView => {
  const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
  return new DataView(bytes.buffer);
};

/** Attributes of a message of the flow family, if it has any. */
export function flowAttrs(m: Recorded) {
  const dv = viewOf(m.hex);
  let out: ReturnType<typeof OVS_FLOW_ATTR.read> | undefined;
  forEachMessage(dv, 0, dv.byteLength, (msg) => {
    if (msg.hasOvsHeader && msg.type >= 16) out = msg.readOvs(OVS_FLOW_ATTR);
  });
  return out;
}

/** Number and name of the port in a vport reply. */
export function portOf(m: Recorded): { portNo: number; name: string } | undefined {
  const dv = viewOf(m.hex);
  let out: { portNo: number; name: string } | undefined;
  forEachMessage(dv, 0, dv.byteLength, (msg) => {
    if (!msg.hasOvsHeader || msg.type < 16) return;
    const { portNo, name } = msg.readOvs(OVS_VPORT_ATTR);
    if (portNo !== undefined && name !== undefined) out = { portNo, name };
  });
  return out;
}

/**
 * The arguments of each `dpctl` that a scenario runs, by step: the case is run by a shell that has no commands but one that
 * prints its arguments.
 */
export function dpctlCalls(scenario: string): { step: string; args: string[] }[] {
  const script = `
    command_not_found_handle() { :; }
    dpctl() { printf '\\036%s' "$STEP"; printf '\\037%s' "$@"; }
    while IFS= read -r STEP || [ -n "$STEP" ]; do eval "$STEP"; done <"$CASE"`;
  const cwd = mkdtempSync(join(tmpdir(), 'odp-golden-'));
  try {
    const text = execFileSync('/bin/bash', ['--norc', '-c', script], {
      cwd,
      env: { PATH: '/nonexistent', CASE: join(dir, 'cases', `${scenario}.cmds`) },
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 1 << 26,
    }).toString();
    return text
      .split('\x1e')
      .slice(1)
      .map((call) => {
        const [step = '', ...args] = call.split('\x1f');
        return { step, args };
      });
  } finally {
    rmSync(cwd, { recursive: true });
  }
}
