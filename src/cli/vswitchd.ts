/**
 * `tapswitch vswitchd`: the userspace half alone.  Its command line is that of ovs-vswitchd and is read by vswitchd/options.ts, so
 * it is passed on as it is; loaded only when asked for, because the other commands need none of it.
 */
import type { Command } from 'commander';

export function registerVswitchd(program: Command): void {
  program
    .command('vswitchd')
    .description('run vswitchd alone, with the options of ovs-vswitchd (see: tapswitch vswitchd --help)')
    .argument('[args...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (_args: string[], _options: unknown, command: Command) => {
      const { main } = await import('../vswitchd/main.ts');
      process.exit(await main(command.args));
    });
}
