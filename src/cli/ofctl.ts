/**
 * `tapswitch ofctl`: those commands of ovs-ofctl that need no switch.  Everything else is for stock ovs-ofctl, which talks to our bridges.
 * What they do is loaded when it is asked for.
 */
import type { Command } from 'commander';
export function registerOfctl(program: Command): void {
  const ofctl = program.command('ofctl').description('commands of ovs-ofctl that need no switch');
  ofctl
    .command('ofp-print')
    .description('print an OpenFlow message, given in hexadecimal digits')
    .argument('<hex>', 'the whole message, as 0414000800000001')
    .argument('[verbosity]', 'how much to print, 0 to 5', '2')
    .action(async (hex: string, verbosity: string) => {
      const { ofpPrint } = await import('./ofp-print.ts');
      try {
        process.stdout.write(ofpPrint(hex, verbosity));
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        console.error(`tapswitch: ofctl: ${error.message}`);
        process.exitCode = 1;
      }
    });
}
