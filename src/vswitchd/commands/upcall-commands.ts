/**
 * Commands of `ovs-appctl` that meddle with the life of flows, for debugging: upcall/* and revalidator/*.
 * They act on the one datapath; what it is like without a datapath is remembered for the next.
 * Source: ofproto/ofproto-dpif-upcall.c.
 */
import { parseUfidPrefix, ufidOf } from '../../odp/odp-ufid.ts';
import type { OfprotoBacker } from '../../ofproto/ofproto-provider.ts';
import { flowModes } from '../../ofproto/udpif/udpif-state.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';

export function upcallCommands(target: { readonly backer: OfprotoBacker | undefined }): UnixctlCommand[] {
  const megaflows = async (isEnabled: boolean): Promise<string> => {
    flowModes.megaflows = isEnabled;
    await target.backer?.flows.flush();
    return `megaflows ${isEnabled ? 'enabled' : 'disabled'}`;
  };
  const ufid = (isEnabled: boolean): string => {
    flowModes.ufid = isEnabled;
    return `Datapath dumping tersely using UFID ${isEnabled ? 'enabled for supported datapaths' : 'disabled'}`;
  };
  // biome-ignore format: table
  return [
    { name: 'upcall/show',              usage: '', minArgs: 0, maxArgs: 0, run: () => target.backer?.showUpcall() ?? '' },
    { name: 'upcall/disable-megaflows', usage: '', minArgs: 0, maxArgs: 0, run: () => megaflows(false) },
    { name: 'upcall/enable-megaflows',  usage: '', minArgs: 0, maxArgs: 0, run: () => megaflows(true) },
    { name: 'upcall/disable-ufid',      usage: '', minArgs: 0, maxArgs: 0, run: () => ufid(false) },
    { name: 'upcall/enable-ufid',       usage: '', minArgs: 0, maxArgs: 0, run: () => ufid(true) },
    { name: 'upcall/set-flow-limit',    usage: 'flow-limit-number', minArgs: 1, maxArgs: 1, run: ([n]) => setFlowLimit(target.backer, n) },
    { name: 'ofproto/detrace',          usage: 'UFID [pmd=PMD-ID]', minArgs: 1, maxArgs: 2, run: (args) => detrace(target.backer, args) },
    { name: 'revalidator/wait',         usage: '', minArgs: 0, maxArgs: 0, run: async () => { await target.backer?.revalidated(); return ''; } },
    { name: 'revalidator/purge',        usage: '', minArgs: 0, maxArgs: 0, run: async () => { await target.backer?.flows.purge(); return ''; } },
    { name: 'revalidator/pause',        usage: undefined, minArgs: 0, maxArgs: 0, run: async () => { await target.backer?.flows.pause(); return ''; } },
    { name: 'revalidator/resume',       usage: undefined, minArgs: 0, maxArgs: 0, run: () => { target.backer?.flows.resume(); return ''; } },
  ];
}

function setFlowLimit(backer: OfprotoBacker | undefined, text: string | undefined): string {
  // As atoi() reads it; the limit is unsigned.
  const limit = (Number.parseInt(text ?? '', 10) || 0) >>> 0;
  backer?.flows.setFlowLimit(limit);
  return `set flow_limit to ${limit}\n`;
}

/** Only datapaths with PMD threads have several flows of a UFID: the second argument changes nothing. */
function detrace(backer: OfprotoBacker | undefined, [text = '', pmd]: readonly string[]): string {
  const ufid = parseUfidPrefix(text);
  if (ufid === undefined || ufid === 'bad') throw new UnixctlError('failed to parse ufid');
  if (pmd !== undefined && !/^pmd=\d+$/.test(pmd)) {
    throw new UnixctlError("Invalid pmd argument format. Expecting 'pmd=PMD-ID'");
  }
  return backer?.detrace(ufidOf(ufid)) ?? '';
}
