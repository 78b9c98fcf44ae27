/**
 * `tapswitch ofctl`: those commands of ovs-ofctl that need no switch.  Everything else is for stock ovs-ofctl, which talks to our bridges.
 *
 * Source: utilities/ovs-ofctl.c (ofctl_ofp_print).
 */
import type { Command } from 'commander';
import { scanHex } from '../openflow/ofp-text.ts';
import { formatMessage } from '../openflow/print/ofp-print.ts';

const DEFAULT_VERBOSITY = 2;

/** The text of the message in hexadecimal digits `hex`; RangeError if it is none. */
export function ofpPrint(hex: string, verbosity: string | undefined): string {
  const { bytes, rest } = scanHex(hex);
  if (rest !== '') throw new RangeError(`trailing garbage following hex bytes: ${rest}`);
  return formatMessage(bytes, {
    verbosity: verbosity === undefined ? DEFAULT_VERBOSITY : Number.parseInt(verbosity, 10),
  });
}

export function registerOfctl(program: Command): void {
  const ofctl = program.command('ofctl').description('commands of ovs-ofctl that need no switch');
  ofctl
    .command('ofp-print')
    .description('print an OpenFlow message, given in hexadecimal digits')
    .argument('<hex>', 'the whole message, as 0414000800000001')
    .argument('[verbosity]', 'how much to print, 0 to 5', String(DEFAULT_VERBOSITY))
    .action((hex: string, verbosity: string) => {
      try {
        process.stdout.write(ofpPrint(hex, verbosity));
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        console.error(`tapswitch: ofctl: ${error.message}`);
        process.exitCode = 1;
      }
    });
}
