/**
 * Settings of a tunnel port as text: the options that are not what they would be anyway, as `dpif/show` prints them.
 * Source: lib/netdev-vport.c (get_tunnel_config()).
 */
import { formatIpv4, formatIpv6 } from '../util/inet.ts';
import { defaultPacketType, type Told, type TunnelAddress, type TunnelSettings } from './tunnel-settings.ts';
import { tunnelType } from './tunnel-types.ts';

const DEFAULT_TTL = 64;

/** "10.0.0.1" or "fd00::1". */
export const formatTunnelAddress = (address: TunnelAddress): string =>
  address.length === 4 ? formatIpv4(address) : formatIpv6(address);

const addressOf = (told: Told<TunnelAddress>): string | undefined =>
  told === undefined || told === 'flow' ? told : formatTunnelAddress(told);

/** Options by name, sorted. */
export function tunnelSettingsToOptions(s: TunnelSettings): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  const put = (key: string, value: string | undefined): void => {
    if (value !== undefined) options.set(key, value);
  };
  put('remote_ip', addressOf(s.remote));
  put('local_ip', addressOf(s.local));
  if (s.inKey === s.outKey) put('key', s.inKey?.toString());
  else {
    put('in_key', s.inKey?.toString());
    put('out_key', s.outKey?.toString());
  }
  if (s.ttl !== DEFAULT_TTL) put('ttl', `${s.ttl}`);
  if (s.tos === 'inherit') put('tos', s.tos);
  else if (s.tos !== 0) put('tos', `0x${s.tos.toString(16)}`);
  if (s.dstPort !== 0 && s.dstPort !== tunnelType(s.type)?.defaultPort) put('dst_port', `${s.dstPort}`);
  if (s.csum) put('csum', 'true');
  if (s.seq) put('seq', 'true');
  if (s.packetType !== defaultPacketType(s.type)) put('packet_type', s.packetType);
  if (!s.dontFragment) put('df_default', 'false');
  if (s.egressPktMark !== undefined) put('egress_pkt_mark', `${s.egressPktMark}`);
  if (s.type.endsWith('erspan')) putErspan(s, put);
  return new Map([...options].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const hex = (n: number | 'flow'): string => (n === 'flow' ? n : `0x${n.toString(16)}`);

function putErspan({ erspan }: TunnelSettings, put: (key: string, value: string) => void): void {
  const { version, index, direction, hardwareId } = erspan;
  put('erspan_ver', `${version}`);
  if (version === 1 || version === 'flow') put('erspan_idx', version === 'flow' ? version : hex(index));
  if (version === 2 || version === 'flow') {
    put('erspan_dir', version === 'flow' ? version : `${direction}`);
    put('erspan_hwid', version === 'flow' ? version : hex(hardwareId));
  }
}
