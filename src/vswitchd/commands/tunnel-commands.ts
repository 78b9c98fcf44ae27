/**
 * Commands about neighbours and ports of tunnels that are built in userspace: tnl/*.  The datapaths here build tunnels themselves, by the
 * host's routes and neighbours, so that nothing listens in userspace (tnl/ports/show).
 * Source: lib/tnl-neigh-cache.c, lib/tnl-ports.c, lib/netdev-native-tnl.c.
 */
import { atoi, scanNumber } from '../../openflow/ofp-text.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import { formatMac } from '../../util/inet.ts';
import { parseIp } from '../router/ip-prefix.ts';
import { MAX_AGING_S, type NeighCache } from '../router/neigh-cache.ts';

/** Names of devices are not longer (IFNAMSIZ). */
const IFNAME_MAX = 15;

export function tunnelCommands(neighbours: NeighCache): UnixctlCommand[] {
  // biome-ignore format: table
  const neighbourCommands = ['tnl/arp', 'tnl/neigh'].flatMap((group): UnixctlCommand[] => [
    { name: `${group}/show`,  usage: '',              minArgs: 0, maxArgs: 0, run: () => neighbours.show() },
    { name: `${group}/set`,   usage: 'BRIDGE IP MAC', minArgs: 3, maxArgs: 3, run: (args) => setNeighbour(neighbours, args) },
    { name: `${group}/flush`, usage: '',              minArgs: 0, maxArgs: 0, run: () => { neighbours.flush(); return 'OK'; } },
    { name: `${group}/aging`, usage: '[SECS]',        minArgs: 0, maxArgs: 1, run: ([s]) => (s === undefined ? `${neighbours.agingS}` : setAging(neighbours, s)) },
  ]);
  // biome-ignore format: table
  return [
    ...neighbourCommands,
    { name: 'tnl/neigh/retrans_time', usage: '[MSECS]', minArgs: 0, maxArgs: 1, run: ([ms]) => (ms === undefined ? `${neighbours.retransMs}` : setRetrans(neighbours, ms)) },
    { name: 'tnl/ports/show', usage: '-v', minArgs: 0, maxArgs: 1, run: () => 'Listening ports:\n' },
    egressPortRange(),
  ];
}

/** As scanf("%u") reads it. */
function scanUnsigned(text: string): number | undefined {
  const number = scanNumber(text, 10);
  return number && Number(BigInt.asUintN(32, number.value));
}

/** As scanf("%x:%x:...") reads it, all of `text`: of each number the low 8 bits. */
function scanMac(text: string): Uint8Array | undefined {
  const parts = text.split(':').map((part) => /^\s*([+-]?)(?:0x)?([0-9a-f]+)$/i.exec(part) ?? []);
  if (parts.length !== 6 || parts.some(({ length }) => length === 0)) return undefined;
  const byteOf = ([, sign, digits = '']: readonly string[]): number =>
    Number.parseInt(digits.slice(-2), 16) * (sign === '-' ? -1 : 1);
  return Uint8Array.from(parts, byteOf);
}

function setNeighbour(neighbours: NeighCache, [bridge = '', ip, macText]: readonly string[]): string {
  const address = parseIp(ip ?? '');
  if (address === undefined) throw new UnixctlError('bad IP address');
  const mac = scanMac(macText ?? '');
  if (mac === undefined) throw new UnixctlError('bad MAC address');
  neighbours.set(bridge.slice(0, IFNAME_MAX), address, formatMac(mac));
  return 'OK';
}

function setAging(neighbours: NeighCache, text: string): string {
  const seconds = scanUnsigned(text);
  if (seconds === undefined || seconds < 1 || seconds > MAX_AGING_S) throw new UnixctlError('bad aging value');
  if (neighbours.setAging(seconds)) return 'OK';
  throw new UnixctlError('aging value cannot be less than retrans_time');
}

/** Of Open vSwitch 4.0. */
function setRetrans(neighbours: NeighCache, text: string): string {
  const ms = scanUnsigned(text);
  if (ms === undefined) throw new UnixctlError('bad retrans_time value');
  if (neighbours.setRetrans(ms)) return 'OK';
  throw new UnixctlError('retrans_time value cannot be greater than aging');
}

/** The source ports that tunnels built in userspace would choose from. */
function egressPortRange(): UnixctlCommand {
  let [min, max] = [32768, 61000];
  const run = (args: readonly string[]): string => {
    if (args.length < 2) return `Tunnel UDP source port range: ${min}-${max}\n`;
    const [a = 0, b = 0] = args.map((text) => atoi(text, 32) | 0);
    if (a <= 0 || a > 0xffff) return 'Invalid min.';
    if (b <= 0 || b > 0xffff) return 'Invalid max.';
    [min, max] = [Math.min(a, b), Math.max(a, b)];
    return 'OK';
  };
  return { name: 'tnl/egress_port_range', usage: 'min max', minArgs: 0, maxArgs: 2, run };
}
