/**
 * Options of ports in `dpctl add-if` and `show`: those of tunnels as far as a datapath is told them, and those of patch ports.
 * What tunnels' options mean is in dpif/tunnel-settings.ts.  Neighbour: open-netdevs.ts.
 * Source: lib/netdev-vport.c (get_tunnel_config(), set_patch_config()).
 */
import { readTunnelSettings } from '../dpif/tunnel-settings.ts';
import { initialTunnelPort, type TunnelConfig, type TunnelType } from '../dpif/tunnel-types.ts';
import { ERRNO } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';

const log = vlog('netdev_vport');

/** What options make of a tunnel, or why they cannot: errno, and the text that ovs-dpctl has for it ("" if it has none). */
export type TunnelOptions =
  | { readonly errno: 0; readonly config: TunnelConfig }
  | { readonly errno: number; readonly why: string };

/** Checks the options of tunnel `name`, and logs what is wrong.  Some of that is only a warning, such as an unknown option. */
export function readTunnelOptions(name: string, type: TunnelType, options: ReadonlyMap<string, string>): TunnelOptions {
  const read = readTunnelSettings(name, type, options);
  if (!('settings' in read)) return read;
  const { dstPort, extensions } = read.settings;
  return { errno: 0, config: { dstPort, extensions } };
}

/** The options of patch port `name`: errno, and what is wrong. */
export function checkPatchOptions(name: string, options: ReadonlyMap<string, string>): { errno: number; why: string } {
  const peer = options.get('peer');
  let why = '';
  if (peer === undefined) why = `${name}: patch type requires valid 'peer' argument`;
  else if (options.size > 1) why = `${name}: patch type takes only a 'peer' argument`;
  else if (peer === name) why = `${name}: patch peer must not be self`;
  if (why === '') return { errno: 0, why };
  log.err(why);
  return { errno: ERRNO.EINVAL, why };
}

/** The options of a datapath's device as far as its name tells them, sorted, as `show` prints them. */
export function optionsOfDevice(type: TunnelType, name: string): ReadonlyMap<string, string> {
  const port = initialTunnelPort(type, name);
  const options: [string, string][] = [];
  if (type.defaultPort !== undefined && port !== type.defaultPort) options.push(['dst_port', `${port}`]);
  if (type.name.endsWith('erspan')) options.push(['erspan_ver', '0']);
  options.push(['packet_type', 'ptap']);
  return new Map(options);
}
