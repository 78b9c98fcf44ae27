/**
 * Interfaces of type "patch": ports without a device, in pairs.
 * Source: lib/netdev-vport.c (set_patch_config, netdev_vport_construct), vswitchd/vswitch.xml (Interface, type patch).
 */
import { createHash } from 'node:crypto';
import { MAC_SIZE } from '../../util/inet.ts';

export const PATCH = 'patch';

/** Why a patch port cannot have these Interface.options; undefined if it can. */
export function patchError(name: string, options: ReadonlyMap<string, string>): string | undefined {
  const peer = options.get('peer') ?? '';
  if (peer === '') return `${name}: patch type requires valid 'peer' argument`;
  if (options.size > 1) return `${name}: patch type takes only a 'peer' argument`;
  return peer === name ? `${name}: patch peer must not be self` : undefined;
}

/** An Ethernet address for a port that has none: the same each time, local and of one station. */
export function patchMac(bridge: string, name: string): Uint8Array {
  const mac = createHash('sha256').update(`${bridge}/${name}`).digest().subarray(0, MAC_SIZE);
  mac[0] = ((mac[0] as number) & ~1) | 2;
  return mac;
}
