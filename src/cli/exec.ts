/**
 * `tapswitch exec` and `tapswitch preload-path`: stock tools against a datapath process of ours.  The launcher, bin/tapswitch,
 * answers both before Node is started, so that COMMAND takes the launcher's place; here they are described for --help,
 * and handed to the launcher where this file was started in another way.
 *
 * Neighbours: native/preload.c, the library.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Command } from 'commander';

const LAUNCHER = new URL('../../bin/tapswitch', import.meta.url).pathname;

export function registerExec(program: Command): void {
  program
    .command('exec')
    .description('run a program that talks to the datapath, such as ovs-dpctl, against a datapath process of ours')
    .argument('<command...>', 'the program and its arguments, after --')
    .passThroughOptions()
    .addHelpText('after', '\nExample: tapswitch exec -- ovs-dpctl show\nIts exit status is that of the command.')
    .action((command: string[]) => launch(['exec', '--', ...command]));
  program
    .command('preload-path')
    .description('print the library that `tapswitch exec` preloads, for LD_PRELOAD')
    .action(() => launch(['preload-path']));
}

function launch(args: string[]): void {
  const child = spawn(LAUNCHER, args, { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`tapswitch: exec: ${error.message}`);
    process.exit(127);
  });
  child.on('exit', (status, signal) => process.exit(signal === null ? (status ?? 1) : 128 + constants.signals[signal]));
}
