/**
 * Tunnel ports as `ofproto/list-tunnels` prints them, and as messages of the log name what they match.
 * Source: ofproto/tunnel.c (tnl_port_format, tnl_match_fmt).
 */
import type { Told } from '../../dpif/tunnel-settings.ts';
import { formatTunnelAddress } from '../../dpif/tunnel-settings-text.ts';
import type { TunnelEnd } from './tunnel-table.ts';

const hex = (key: bigint): string => (key === 0n ? '0' : `0x${key.toString(16)}`);

const addressText = (address: Uint8Array | undefined): string =>
  address === undefined ? '::' : formatTunnelAddress(address);

/** Which packets are the port's: "10.0.0.1->10.0.0.2, key=0x5, legacy_l2, dp port=1". */
export function formatTunnelMatch({ tunnel, odpPort }: TunnelEnd): string {
  const { local, remote, inKey, packetType } = tunnel;
  const from = local === 'flow' ? 'flow' : addressText(local);
  const to = remote === 'flow' ? 'flow' : addressText(remote);
  const key = inKey === 'flow' ? inKey : hex(inKey ?? 0n);
  return `${from}->${to}, key=${key}, ${packetType}, dp port=${odpPort}`;
}

function formatOutKey(key: Told<bigint>): string {
  if (key === undefined) return 'none';
  return key === 'flow' ? key : hex(key);
}

/** A line of `ofproto/list-tunnels`. */
export function formatTunnel(end: TunnelEnd): string {
  const { name, odpPort, tunnel } = end;
  const { type, inKey, outKey, ttl, tos, dontFragment, csum } = tunnel;
  let text = `port ${odpPort}: ${name} (${type}: ${formatTunnelMatch(end)}`;
  if (inKey !== outKey) text += `, out_key=${formatOutKey(outKey)}`;
  // An inherited TTL or type of service has no number.
  text += `, ttl=${ttl}`;
  if (tos !== 0) text += `, tos=${tos === 'inherit' ? tos : `0x${tos.toString(16)}`}`;
  if (!dontFragment) text += ', df=false';
  if (csum) text += ', csum=true';
  return `${text})\n`;
}
