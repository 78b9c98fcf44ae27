/**
 * `tapswitch datapath`: the datapath process alone.  Its command line is read by datapath/options.ts, so it is passed on as it is; loaded only
 * when asked for, because the other commands need none of it.
 */
import type { Command } from 'commander';

export function registerDatapath(program: Command): void {
  program
    .command('datapath')
    .description('run a datapath process alone, until SIGINT or SIGTERM (see: tapswitch datapath --help)')
    .argument('[args...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (_args: string[], _options: unknown, command: Command) => {
      const { main } = await import('../datapath/main.ts');
      process.exit(await main(command.args));
    });
}

/** Collects the specs of repeated -v options; one without a spec means that everything is logged. */
export const collectLevels = (spec: string | true, specs: string[]): string[] => [
  ...specs,
  spec === true ? 'any:any:dbg' : spec,
];
