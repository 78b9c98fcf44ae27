/**
 * Settings of tunnel ports, as Interface.options has them, "remote_ip=10.0.0.1,dst_port=4790": checked and read the way that Open vSwitch does.
 * A datapath is told the least part (TunnelConfig); the rest says which packets are the port's and how those that it sends are wrapped.
 * Neighbours: tunnel-types.ts, tunnel-settings-text.ts (the way back to text).
 * Source: lib/netdev-vport.c (set_tunnel_config(), parse_key()), ovs-vswitchd.conf.db(5) "Tunnel Options".
 */
import { ERRNO } from '../util/errno.ts';
import { parseIpv4, parseIpv6 } from '../util/inet.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import type { TunnelConfig, TunnelType } from './tunnel-types.ts';

const log = vlog('netdev_vport');
const addressLog = vlog('socket_util');
const addressLimit = new RateLimit(1, 5);

/** enum ovs_vxlan_ext: numbers of extensions. */
export const VXLAN_EXT = { GBP: 1, GPE: 8 } as const;
const BAREUDP_EXT_MULTIPROTO_MODE = 1;
const IP_DSCP_MASK = 0xfc;
const DEFAULT_TTL = 64;

/** 4 bytes of an IPv4 address or 16 of an IPv6 one. */
export type TunnelAddress = Uint8Array;

/** What an option says: a value; or that flows match, or set, the field; undefined if it says nothing. */
export type Told<T> = T | 'flow' | undefined;

/** Of ERSPAN headers; numbers that nothing was said of are 0. */
export interface ErspanSettings {
  readonly version: number | 'flow';
  readonly index: number | 'flow';
  readonly direction: number | 'flow';
  readonly hardwareId: number | 'flow';
}

/** What a tunnel carries: Ethernet frames, bare IP packets, or either, which its packet type tells. */
export type TunnelPacketType = 'legacy_l2' | 'legacy_l3' | 'ptap';

/** All about a tunnel port. */
export interface TunnelSettings extends TunnelConfig {
  /** "vxlan" ... */
  readonly type: string;
  readonly remote: TunnelAddress | 'flow';
  readonly local: Told<TunnelAddress>;
  /** Tunnel ids; undefined: packets have none. */
  readonly inKey: Told<bigint>;
  readonly outKey: Told<bigint>;
  readonly ttl: number | 'inherit';
  readonly tos: number | 'inherit';
  readonly dontFragment: boolean;
  readonly csum: boolean;
  readonly seq: boolean;
  readonly egressPktMark: number | undefined;
  readonly erspan: ErspanSettings;
  readonly packetType: TunnelPacketType;
}

/** What options make of a tunnel, or why they cannot: errno, and what was logged about it ("" if nothing was). */
export type TunnelOptions =
  | { readonly errno: 0; readonly settings: TunnelSettings }
  | { readonly errno: number; readonly why: string };

/** Ends the checks; what is to be said has been. */
class Refusal {
  readonly errno: number;
  constructor(errno: number) {
    this.errno = errno;
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What the options have said so far. */
interface Draft extends Mutable<Omit<TunnelSettings, 'remote' | 'packetType' | 'erspan'>> {
  remote: Told<TunnelAddress>;
  erspan: Mutable<ErspanSettings>;
}

type Say = (text: string) => void;

/** Checks the options of tunnel `name`, and logs what is wrong.  Some of that is only a warning, such as an unknown option. */
export function readTunnelSettings(
  name: string,
  type: TunnelType,
  options: ReadonlyMap<string, string>,
): TunnelOptions {
  const problems: string[] = [];
  const say = (text: string): void => {
    problems.push(`${name}: ${text}`);
  };
  const draft = newDraft(type);
  let result: TunnelOptions;
  try {
    for (const [key, value] of options) readOption(type, key, value, draft, say);
    const packetType = readPacketType(type, options.get('packet_type'), draft.extensions, say);
    const remote = checkAddresses(type, draft, say);
    const [inKey, outKey] = ['in_key', 'out_key'].map((key) => readKey(options.get(key) ?? options.get('key')));
    result = { errno: 0, settings: { ...draft, remote, packetType, inKey, outKey, ttl: draft.ttl || DEFAULT_TTL } };
  } catch (e) {
    if (!(e instanceof Refusal)) throw e;
    result = { errno: e.errno, why: problems.join('\n') };
  }
  if (problems.length > 0) log.warn(problems.join('\n'));
  return result;
}

const newDraft = (type: TunnelType): Draft => ({
  type: type.name,
  dstPort: type.defaultPort ?? 0,
  extensions: [],
  remote: undefined,
  local: undefined,
  inKey: undefined,
  outKey: undefined,
  ttl: 0,
  tos: 0,
  dontFragment: true,
  csum: false,
  seq: false,
  egressPktMark: undefined,
  erspan: { version: 0, index: 0, direction: 0, hardwareId: 0 },
});

/** The C library's strtol(): as much of a number as the text begins with, 0 if that is nothing. */
function toNumber(text: string, base: 10 | 16): number {
  return Number.parseInt(text, base) || 0;
}

function readOption(type: TunnelType, key: string, value: string, draft: Draft, say: Say): void {
  const kind = type.name;
  switch (key) {
    case 'remote_ip':
      draft.remote = readAddress(value, false, () => say(`multicast remote_ip=${value} not allowed`));
      if (draft.remote === undefined) say(`bad ${kind} 'remote_ip'`);
      return;
    case 'local_ip':
      draft.local = readAddress(value, true, () => {});
      if (draft.local === undefined) say(`bad ${kind} 'local_ip'`);
      return;
    case 'tos':
      readTos(value, draft, say);
      return;
    case 'ttl':
      draft.ttl = value === 'inherit' ? 'inherit' : toNumber(value, 10) & 0xff;
      return;
    case 'df_default':
      draft.dontFragment = value !== 'false';
      return;
    case 'egress_pkt_mark':
      draft.egressPktMark = toNumber(value, 10) >>> 0;
      return;
    case 'payload_type':
      if (value === 'mpls' || value === 'ip') draft.extensions = [...draft.extensions, BAREUDP_EXT_MULTIPROTO_MODE];
      else if (!/^(0[xX][0-9a-fA-F]+|\d+)$/.test(value) || Number(value) > 0xffff) throw new Refusal(ERRNO.EINVAL);
      return;
    default:
      if (!readOptionOfSome(type, key, value, draft, say) && !ELSEWHERE.has(key)) {
        say(`unknown ${kind} argument '${key}'`);
      }
  }
}

/** Read after all others, or by other programs (ovs-monitor-ipsec). */
// biome-ignore format: table
const ELSEWHERE: ReadonlySet<string> = new Set([
  'key', 'in_key', 'out_key', 'packet_type', 'remote_cert', 'remote_name', 'psk',
]);

/** Options that not all types have; false if this one has no such option. */
function readOptionOfSome(type: TunnelType, key: string, value: string, draft: Draft, say: Say): boolean {
  const kind = type.name;
  if (key === 'dst_port' && type.defaultPort !== undefined) draft.dstPort = toNumber(value, 10) & 0xffff;
  else if (key === 'exts' && kind === 'vxlan') draft.extensions = readExtensions(value, say);
  else if (key === 'csum' && /gre|geneve|stt|vxlan/.test(kind)) draft.csum = value === 'true';
  else if (key === 'seq' && kind.includes('gre')) draft.seq = value === 'true';
  else if (Object.hasOwn(ERSPAN_ROWS, key)) readErspan(key as keyof typeof ERSPAN_ROWS, value, draft.erspan, say);
  else return false;
  return true;
}

/** `onMulticast` is called before a multicast address is refused; undefined is no address. */
function readAddress(value: string, allowMulticast: boolean, onMulticast: () => void): Told<TunnelAddress> {
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
  return bytes;
}

function readTos(value: string, draft: Draft, say: Say): void {
  const tos = /^0[0-7]+$/.test(value) ? Number.parseInt(value, 8) : Number(value);
  if (value === 'inherit') draft.tos = 'inherit';
  else if (Number.isInteger(tos) && (tos & IP_DSCP_MASK) === tos) draft.tos = tos;
  else say(`invalid TOS ${value}`);
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
const ERSPAN_ROWS = {
  erspan_idx:  { field: 'index',      what: 'index',       base: 16, min: 0, max: 0xfffff },
  erspan_ver:  { field: 'version',    what: 'version',     base: 10, min: 1, max: 2 },
  erspan_dir:  { field: 'direction',  what: 'direction',   base: 10, min: 0, max: 1 },
  erspan_hwid: { field: 'hardwareId', what: 'hardware ID', base: 16, min: 0, max: 0x3f },
} as const;

function readErspan(key: keyof typeof ERSPAN_ROWS, value: string, erspan: Draft['erspan'], say: Say): void {
  const { field, what, base, min, max } = ERSPAN_ROWS[key];
  if (value === 'flow') {
    // Which fields there are depends on the version.
    if (field === 'version') for (const f of ['index', 'direction', 'hardwareId'] as const) erspan[f] = 'flow';
    erspan[field] = 'flow';
    return;
  }
  const n = toNumber(value, base);
  if (n < min || n > max) {
    say(`invalid erspan ${what}: ${value}`);
    throw new Refusal(ERRNO.EINVAL);
  }
  erspan[field] = n;
}

const CARRIES_L3_ONLY: ReadonlySet<string> = new Set(['lisp', 'gtpu', 'bareudp']);

/** What the tunnel carries unless `packet_type` says otherwise. */
export const defaultPacketType = (type: string): TunnelPacketType =>
  CARRIES_L3_ONLY.has(type) ? 'legacy_l3' : 'legacy_l2';

function readPacketType(
  { name }: TunnelType,
  packetType: string | undefined,
  extensions: readonly number[],
  say: Say,
): TunnelPacketType {
  const isGpe = name === 'vxlan' && extensions.includes(VXLAN_EXT.GPE);
  const carriesL3 = CARRIES_L3_ONLY.has(name) || isGpe || name === 'gre';
  const fullName = name === 'vxlan' ? (isGpe ? 'VXLAN-GPE' : 'VXLAN (without GPE)') : name;
  if (packetType === undefined) return defaultPacketType(name);
  if (packetType === 'ptap') return 'ptap';
  if (packetType === 'legacy_l2' && !CARRIES_L3_ONLY.has(name)) return packetType;
  if (packetType === 'legacy_l3' && carriesL3) return packetType;
  const layer = /^legacy_l([23])$/.exec(packetType)?.[1];
  if (layer === undefined) say(`unknown packet_type '${packetType}'`);
  else say(`legacy_l${layer} configured on ${fullName} tunnel that cannot carry L${layer} traffic`);
  throw new Refusal(ERRNO.EINVAL);
}

const isSet = (address: TunnelAddress): boolean => address.length === 4 || address.some((b) => b !== 0);

/** Gives the remote end.  An IPv6 address of zeros is as good as none. */
function checkAddresses({ name }: TunnelType, draft: Draft, say: Say): TunnelAddress | 'flow' {
  const { remote, local } = draft;
  const refuse = (text: string): never => {
    say(text);
    throw new Refusal(ERRNO.EINVAL);
  };
  if (remote === undefined || (remote !== 'flow' && !isSet(remote))) {
    return refuse(`${name} type requires valid 'remote_ip' argument`);
  }
  if (local === 'flow') {
    if (remote !== 'flow') refuse(`${name} type requires 'remote_ip=flow' with 'local_ip=flow'`);
  } else if (local !== undefined) {
    if (remote !== 'flow' && local.length !== remote.length) {
      refuse("'remote_ip' and 'local_ip' has to be of the same address family");
    }
    if (!isSet(local)) draft.local = undefined;
  }
  return remote;
}

/** As strtoull(): decimal, 0x for hexadecimal, 0 for octal; what is no number is 0. */
function readKey(text: string | undefined): Told<bigint> {
  if (text === undefined || text === 'flow') return text;
  const m = /^\s*(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)/.exec(text);
  if (m === null) return 0n;
  const digits = m[2] ?? '0';
  const value = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
  const max = 2n ** 64n - 1n;
  if (value > max) return max;
  return BigInt.asUintN(64, m[1] === '-' ? -value : value);
}
