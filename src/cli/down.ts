/**
 * `tapswitch down`: ends the switch that `tapswitch up` runs in the rundir, and cleans up after one that was killed.
 * Neighbours: up.ts, rundir.ts.
 */
import type { Command } from 'commander';
import { startTimeOf, stopProcess } from './processes.ts';
import { cleanLeftovers, dirsOf, holderOf, lockPath } from './rundir.ts';

/** `up` itself gives each of its processes five seconds. */
const DOWN_GRACE_MS = 20_000;

export function registerDown(program: Command): void {
  program
    .command('down')
    .description('end the switch that `tapswitch up` runs, wherever it was started')
    .addHelpText('after', '\nThe switch is the one of $OVS_RUNDIR or /var/run/openvswitch.')
    .action(async () => {
      const { run } = dirsOf(process.env);
      const pid = holderOf(lockPath(run));
      const startTime = pid === 0 ? undefined : startTimeOf(pid);
      if (startTime !== undefined) await stopProcess({ pid, startTime }, DOWN_GRACE_MS);
      const leftovers = await cleanLeftovers(run);
      for (const { role, pid: left } of leftovers) console.log(`tapswitch: ended ${role} (process ${left})`);
      if (startTime === undefined && leftovers.length === 0) console.log(`tapswitch: no switch runs in ${run}`);
    });
}
