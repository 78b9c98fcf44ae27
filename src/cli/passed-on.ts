/**
 * Subcommands that read their own command lines, which are those of the stock programs that they stand for.  main.ts hands them over before
 * anything else is loaded; program.ts lists them for --help.  Each is loaded only when asked for.
 */

/** A program that is a subcommand. */
interface PassedOn {
  readonly description: string;
  /** Loads it. */
  load(): Promise<{ main(argv: readonly string[]): Promise<number> }>;
}

export const PASSED_ON: ReadonlyMap<string, PassedOn> = new Map([
  [
    'datapath',
    {
      description: 'run a datapath process alone, until SIGINT or SIGTERM (see: tapswitch datapath --help)',
      load: () => import('../datapath/main.ts'),
    },
  ],
  [
    'vswitchd',
    {
      description: 'run vswitchd alone, with the options of ovs-vswitchd (see: tapswitch vswitchd --help)',
      load: () => import('../vswitchd/main.ts'),
    },
  ],
  [
    'dpctl',
    {
      description: 'show and change datapaths, as ovs-dpctl does (see: tapswitch dpctl --help)',
      load: () => import('./dpctl.ts'),
    },
  ],
]);
