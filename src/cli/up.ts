/**
 * `tapswitch up`: runs the whole switch until Ctrl-C, SIGTERM or `tapswitch down`, in the foreground or, with --detach, in
 * the background.  Neighbours: switch-service.ts (what runs), rundir.ts (where, and that it is the only one), down.ts.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { hasDatapathFamily } from '../netlink/genl-family.ts';
import { openSocketTransport } from '../netlink/socket.ts';
import { cleanLeftovers, type Dirs, dirsOf, lockPath, takeRundir } from './rundir.ts';
import { SwitchService } from './switch-service.ts';

interface UpOptions {
  detach?: true;
  db?: string;
  datapath: 'auto' | 'kernel' | 'emulated';
  logDir?: string;
  verbose: string[];
}

const LAUNCHER = new URL('../../bin/tapswitch', import.meta.url).pathname;

/** Collects the specs of repeated -v options; one without a spec means that everything is logged. */
const collectLevels = (spec: string | true, specs: string[]): string[] => [
  ...specs,
  spec === true ? 'any:any:dbg' : spec,
];

/** What the background process tells the one that started it. */
interface Report {
  readonly text: string;
  readonly failed: boolean;
}

export function registerUp(program: Command): void {
  program
    .command('up')
    .description('run the whole switch, until Ctrl-C or `tapswitch down`')
    .option('--detach', 'run in the background; returns when the switch is ready')
    .option('--db <database>', 'use this OVSDB server, e.g. unix:/run/db.sock, instead of starting one')
    .addOption(
      new Option('--datapath <which>', 'who forwards packets: the kernel module, or a process of ours')
        .choices(['auto', 'kernel', 'emulated'])
        .default('auto'),
    )
    .option('--log-dir <directory>', 'where log files go (default: $OVS_LOGDIR or /var/log/openvswitch)')
    .option('-v, --verbose [spec]', 'log levels, as in -vdbg or -vdpif:file:dbg; may be repeated', collectLevels, [])
    .addHelpText(
      'after',
      `
Files: sockets and pidfiles in $OVS_RUNDIR or /var/run/openvswitch; the database in $OVS_DBDIR or /etc/openvswitch.
Then ovs-vsctl, ovs-ofctl and ovs-appctl work as they do with Open vSwitch.  Programs that talk to the datapath itself, such
as ovs-dpctl, run under \`tapswitch exec -- PROGRAM\` where the datapath is a process of ours.`,
    )
    .action(async (options: UpOptions) => {
      try {
        await (options.detach ? upDetached(options) : up(options));
      } catch (error) {
        tell({ text: `tapswitch: up: ${(error as Error).message}`, failed: true });
        process.exit(1);
      }
    });
}

/** To the process that started us in the background, or to the terminal. */
function tell(report: Report): void {
  if (report.failed) console.error(report.text);
  else console.log(report.text);
  if (process.send !== undefined) process.send(report);
}

function dirs(options: UpOptions): Dirs {
  return dirsOf(options.logDir === undefined ? process.env : { ...process.env, OVS_LOGDIR: options.logDir });
}

async function up(options: UpOptions): Promise<void> {
  const where = dirs(options);
  const say = (text: string) => console.log(`${new Date().toISOString()} tapswitch: ${text}`);
  const stop = stopSignal();
  // What cannot be said, because a disk is full or a terminal has gone, ends no switch.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  takeRundir(where.run, options.db === undefined);
  for (const { role, pid } of await cleanLeftovers(where.run))
    say(`ended ${role} (process ${pid}), left by a switch that was killed`);

  const hasKernel =
    options.datapath !== 'emulated' && (await hasDatapathFamily({ open: openSocketTransport, peer: 0 }));
  if (options.datapath === 'kernel' && !hasKernel) {
    throw new Error('--datapath kernel: this kernel has no openvswitch module, or it cannot be loaded');
  }
  const service = new SwitchService({
    dirs: where,
    database: options.db,
    emulated: !hasKernel,
    verbose: options.verbose,
    echo: process.send === undefined,
    launcher: LAUNCHER,
    say,
  });
  const starting = service.start();
  const first = await Promise.race([starting.then(() => 'ready' as const), stop]);
  if (first === 'ready') {
    const kind = hasKernel ? 'the kernel module' : 'a process of ours';
    tell({
      text: `tapswitch: the switch is ready in ${where.run}; datapath: ${kind}; processes: ${service}`,
      failed: false,
    });
    process.disconnect?.();
    say(`ending: ${await stop}`);
  }
  await service.stop();
  await starting.catch(() => {});
  rmSync(lockPath(where.run), { force: true });
  process.exit(0);
}

/** Resolves to the name of the first signal that asks us to end. */
function stopSignal(): Promise<string> {
  return new Promise((done) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => done(signal));
  });
}

/** Starts `up` again in a session of its own, and waits for its report. */
async function upDetached(options: UpOptions): Promise<void> {
  const where = dirs(options);
  mkdirSync(where.log, { recursive: true });
  const log = openSync(join(where.log, 'tapswitch.log'), 'a');
  const args = [
    'up',
    '--datapath',
    options.datapath,
    '--log-dir',
    where.log,
    ...options.verbose.map((spec) => `-v${spec}`),
  ];
  if (options.db !== undefined) args.push('--db', options.db);
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...args], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const report = await new Promise<Report>((done) => {
    child.on('message', (message) => done(message as Report));
    child.on('exit', (status, signal) => {
      done({
        text: `tapswitch: up: ended with ${signal ?? `exit status ${status}`}; see ${where.log}/tapswitch.log`,
        failed: true,
      });
    });
  });
  (report.failed ? console.error : console.log)(report.text);
  process.exit(report.failed ? 1 : 0);
}
