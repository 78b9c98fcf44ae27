/**
 * Commands of `ovs-appctl` on what the datapath can do: dpif/show-dp-features and dpif/set-dp-features.
 * Source: ofproto/ofproto-dpif.c (ofproto_unixctl_dpif_show_dp_features ...).
 */
import { formatDpSupport, setDpFeature } from '../../ofproto/backer/dp-support.ts';
import type { OfprotoBacker } from '../../ofproto/ofproto-provider.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';

export function featureCommands(target: { readonly backer: OfprotoBacker | undefined }): UnixctlCommand[] {
  const backerOf = (bridge: string | undefined): OfprotoBacker => {
    const { backer } = target;
    if (backer?.ofprotos.has(bridge ?? '') !== true) throw new UnixctlError('no such bridge');
    return backer;
  };
  // biome-ignore format: table
  return [
    { name: 'dpif/show-dp-features', usage: 'bridge', minArgs: 1, maxArgs: 1, run: ([bridge]) => formatDpSupport(backerOf(bridge).probedSupport) },
    { name: 'dpif/set-dp-features',  usage: '[--force] bridge [feature [value]]', minArgs: 1, maxArgs: 4, run: (args) => set(args, backerOf) },
  ];
}

async function set(args: readonly string[], backerOf: (bridge: string | undefined) => OfprotoBacker): Promise<string> {
  const isForced = args[0] === '--force';
  const [bridge, name, value] = isForced ? args.slice(1) : args;
  const backer = backerOf(bridge);
  const { support, text } = setDpFeature(backer.support, backer.probedSupport, name, value, isForced);
  if (support !== undefined) await backer.setSupport(support);
  return text;
}
