/**
 * Options of tunnel ports, "remote_ip=10.0.0.1,dst_port=4790": checks them as ovs-dpctl does, and keeps what a datapath is
 * told.  The rest (remote end, key, TTL) concerns a switch and not its datapath, but must be right all the same.
 * Neighbours: open-netdevs.ts, dpif/tunnel-types.ts.
 * Source: lib/netdev-vport.c (set_tunnel_config(), get_tunnel_config(), set_patch_config()).
 */
import { initialTunnelPort, type TunnelConfig, type TunnelType } from '../dpif/tunnel-types.ts';
import { ERRNO } from '../util/errno.ts';
import { parseIpv4, parseIpv6 } from '../util/inet.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { atoi } from './atoi.ts';

const log = vlog('netdev_vport');
const addressLog = vlog('socket_util');
const addressLimit = new RateLimit(1, 5);

/** enum ovs_vxlan_ext: numbers of extensions. */
export const VXLAN_EXT = { GBP: 1, GPE: 8 } as const;
const BAREUDP_EXT_MULTIPROTO_MODE = 1;
const IP_DSCP_MASK = 0xfc;

/** What options make of a tunnel, or why they cannot: errno, and the text that ovs-dpctl has for it ("" if it has none). */
export type TunnelOptions =
  | { readonly errno: 0; readonly config: TunnelConfig }
  | { readonly errno: number; readonly why: string };

/** Ends the checks; what is to be said has been. */
class Refusal {
  readonly errno: number;
  constructor(errno: number) {
    this.errno = errno;
  }
}

/** What the checks of single options leave for those of all together. */
interface Seen {
  dstPort: number;
  extensions: number[];
  remote: Address | undefined;
  local: Address | undefined;
}
/** `unset`: an IPv6 address of zeros, which is as good as none. */
type Address = 'flow' | 'IPv4' | 'IPv6' | 'unset';

/** Checks the options of tunnel `name`, and logs what is wrong.  Some of that is only a warning, such as an unknown option. */
export function readTunnelOptions(name: string, type: TunnelType, options: ReadonlyMap<string, string>): TunnelOptions {
  const problems: string[] = [];
  const say = (text: string): void => {
    problems.push(`${name}: ${text}`);
  };
  const seen: Seen = {
    dstPort: type.defaultPort ?? 0,
    extensions: [],
    remote: undefined,
    local: undefined,
  };
  let errno = 0;
  try {
    for (const [key, value] of options) readOption(type, key, value, seen, say);
    checkPacketType(type, options.get('packet_type'), seen, say);
    checkAddresses(type, seen, say);
  } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    errno = e.errno;
  }
  const why = problems.join('\n');
  if (why !== '') log.warn(why);
  return errno === 0 ? { errno: 0, config: { dstPort: seen.dstPort, extensions: seen.extensions } } : { errno, why };
}

type Say = (text: string) => void;

function readOption(type: TunnelType, key: string, value: string, seen: Seen, say: Say): void {
  const kind = type.name;
  if (key === 'remote_ip') {
    seen.remote = readAddress(value, false, () => say(`multicast remote_ip=${value} not allowed`));
    if (seen.remote === undefined) say(`bad ${kind} 'remote_ip'`);
  } else if (key === 'local_ip') {
    seen.local = readAddress(value, true, () => {});
    if (seen.local === undefined) say(`bad ${kind} 'local_ip'`);
  } else if (key === 'tos') {
    if (value !== 'inherit' && !isTos(value)) say(`invalid TOS ${value}`);
  } else if (key === 'dst_port' && type.defaultPort !== undefined) {
    seen.dstPort = atoi(value) & 0xffff;
  } else if (key === 'exts' && kind === 'vxlan') {
    seen.extensions = readExtensions(value, say);
  } else if (key.startsWith('erspan_')) {
    readErspan(key, value, say, kind);
  } else if (key === 'payload_type') {
    if (value === 'mpls' || value === 'ip') seen.extensions.push(BAREUDP_EXT_MULTIPROTO_MODE);
    else if (!/^(0[xX][0-9a-fA-F]+|\d+)$/.test(value) || Number(value) > 0xffff) throw new Refusal(ERRNO.EINVAL);
  } else if (!isHarmless(key, kind)) {
    say(`unknown ${kind} argument '${key}'`);
  }
}

// biome-ignore format: table
const HARMLESS: ReadonlySet<string> = new Set([
  'ttl', 'df_default', 'key', 'in_key', 'out_key', 'packet_type', 'egress_pkt_mark', 'remote_cert', 'remote_name', 'psk',
]);

/** Whether any value of the option will do. */
const isHarmless = (key: string, kind: string): boolean =>
  HARMLESS.has(key) || (key === 'csum' && /gre|geneve|stt|vxlan/.test(kind)) || (key === 'seq' && kind.includes('gre'));

/** `onMulticast` is called before a multicast address is refused; undefined is no address. */
function readAddress(value: string, allowMulticast: boolean, onMulticast: () => void): Address | undefined {
  if (value === 'flow') return 'flow';
  const isV6 = value.includes(':');
  const bytes = isV6 ? parseIpv6(value) : parseIpv4(value);
  if (bytes === undefined) {
    addressLog.err(`"${value}" is not a valid ${isV6 ? 'IPv6' : 'IP'} address`, addressLimit);
    return undefined;
  }
  const first = bytes[0] ?? 0;
  if (!allowMulticast && (isV6 ? first === 0xff : first >>> 4 === 0xe)) {
    onMulticast();
    throw new Refusal(ERRNO.EINVAL);
  }
  if (!isV6) return 'IPv4';
  return bytes.some((b) => b !== 0) ? 'IPv6' : 'unset';
}

function isTos(text: string): boolean {
  const tos = /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
  return Number.isInteger(tos) && (tos & IP_DSCP_MASK) === tos;
}

function readExtensions(value: string, say: Say): number[] {
  const found = new Set<number>();
  for (const word of value.split(',').filter(Boolean)) {
    if (word === 'gbp') found.add(VXLAN_EXT.GBP);
    else if (word === 'gpe') found.add(VXLAN_EXT.GPE);
    else say(`unknown extension '${word}'`);
  }
  return [...found].sort();
}

// biome-ignore format: table
const ERSPAN_RANGES: Readonly<Record<string, readonly [what: string, base: 10 | 16, min: number, max: number]>> = {
  erspan_idx:  ['index',       16, 0, 0xfffff],
  erspan_ver:  ['version',     10, 1, 2],
  erspan_dir:  ['direction',   10, 0, 1],
  erspan_hwid: ['hardware ID', 16, 0, 0x3f],
};

function readErspan(key: string, value: string, say: Say, kind: string): void {
  const range = Object.hasOwn(ERSPAN_RANGES, key) ? ERSPAN_RANGES[key] : undefined;
  if (range === undefined) {
    say(`unknown ${kind} argument '${key}'`);
    return;
  }
  const [what, base, min, max] = range;
  if (value === 'flow') return;
  const n = Number.parseInt(value, base) || 0;
  if (n >= min && n <= max) return;
  say(`invalid erspan ${what}: ${value}`);
  throw new Refusal(ERRNO.EINVAL);
}

function checkPacketType(type: TunnelType, packetType: string | undefined, { extensions }: Seen, say: Say): void {
  const isGpe = type.name === 'vxlan' && extensions.includes(VXLAN_EXT.GPE);
  const isL3Only = ['lisp', 'gtpu', 'bareudp'].includes(type.name);
  const carriesL3 = isL3Only || isGpe || type.name === 'gre';
  const fullName = type.name === 'vxlan' ? (isGpe ? 'VXLAN-GPE' : 'VXLAN (without GPE)') : type.name;
  if (packetType === undefined || packetType === 'ptap') return;
  if (packetType === 'legacy_l2' && !isL3Only) return;
  if (packetType === 'legacy_l3' && carriesL3) return;
  const layer = /^legacy_l([23])$/.exec(packetType)?.[1];
  if (layer === undefined) say(`unknown packet_type '${packetType}'`);
  else say(`legacy_l${layer} configured on ${fullName} tunnel that cannot carry L${layer} traffic`);
  throw new Refusal(ERRNO.EINVAL);
}

function checkAddresses(type: TunnelType, { remote, local }: Seen, say: Say): void {
  const refuse = (text: string): never => {
    say(text);
    throw new Refusal(ERRNO.EINVAL);
  };
  if (remote === undefined || remote === 'unset') refuse(`${type.name} type requires valid 'remote_ip' argument`);
  if (local === 'flow' && remote !== 'flow') refuse(`${type.name} type requires 'remote_ip=flow' with 'local_ip=flow'`);
  const family = (a: Address | undefined) => (a === 'unset' ? 'IPv6' : a);
  if (local !== undefined && local !== 'flow' && remote !== 'flow' && family(local) !== family(remote)) {
    refuse("'remote_ip' and 'local_ip' has to be of the same address family");
  }
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
