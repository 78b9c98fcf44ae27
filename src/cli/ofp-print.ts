/**
 * `tapswitch ofctl ofp-print`: an OpenFlow message as text.  Source: utilities/ovs-ofctl.c (ofctl_ofp_print).
 */
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
