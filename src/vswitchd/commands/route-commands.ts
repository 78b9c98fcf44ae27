/**
 * Commands about the way of tunnels that are built in userspace: ovs/route/* and tnl/*.  The datapaths here build tunnels themselves, by
 * the host's routes and neighbours, so that nothing listens in userspace (tnl/ports/show).
 * Source: lib/ovs-router.c, lib/tnl-neigh-cache.c, lib/tnl-ports.c, lib/netdev-native-tnl.c.
 */
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import { formatMac, parseMac } from '../../util/inet.ts';
import { formatIp, type IpPrefix, isV4, parseIp, parsePrefix } from '../router/ip-prefix.ts';
import { NeighCache } from '../router/neigh-cache.ts';
import { formatRoute, RouteTable } from '../router/route-table.ts';
import { readSystemRouting, type SystemRouting } from '../router/system-routes.ts';

/** `--disable-system-route` leaves the kernel's routes out; addresses of devices are known all the same. */
export function routeCommands(
  hasSystemRoutes = true,
  read = readSystemRouting,
  neighbours = new NeighCache(),
): UnixctlCommand[] {
  const readSome = async (): Promise<SystemRouting> => ({ ...(await read()), routes: [] });
  const table = new RouteTable(hasSystemRoutes ? read : readSome);
  // biome-ignore format: table
  const neighbourCommands = ['tnl/arp', 'tnl/neigh'].flatMap((group): UnixctlCommand[] => [
    { name: `${group}/show`,  usage: '',              minArgs: 0, maxArgs: 0, run: () => neighbours.show() },
    { name: `${group}/set`,   usage: 'BRIDGE IP MAC', minArgs: 3, maxArgs: 3, run: (args) => setNeighbour(neighbours, args) },
    { name: `${group}/flush`, usage: '',              minArgs: 0, maxArgs: 0, run: () => { neighbours.flush(); return 'OK'; } },
    { name: `${group}/aging`, usage: '[SECS]',        minArgs: 0, maxArgs: 1, run: ([s]) => (s === undefined ? `${neighbours.agingS}` : setAging(neighbours, s)) },
  ]);
  // biome-ignore format: table
  return [
    { name: 'ovs/route/add',    usage: 'ip_addr/prefix_len out_br_name [gw] [pkt_mark=mark]', minArgs: 2, maxArgs: 4, run: (args) => add(table, args) },
    { name: 'ovs/route/show',   usage: '',                                      minArgs: 0, maxArgs: 0, run: () => show(table) },
    { name: 'ovs/route/del',    usage: 'ip_addr/prefix_len [pkt_mark=mark]',    minArgs: 1, maxArgs: 2, run: (args) => del(table, args) },
    { name: 'ovs/route/lookup', usage: 'ip_addr [pkt_mark=mark]',               minArgs: 1, maxArgs: 2, run: (args) => lookup(table, args) },
    ...neighbourCommands,
    { name: 'tnl/ports/show',   usage: '-v',                                    minArgs: 0, maxArgs: 1, run: () => 'Listening ports:\n' },
    egressPortRange(),
  ];
}

function prefixOf(text: string | undefined): IpPrefix {
  const prefix = parsePrefix(text ?? '');
  if (prefix === undefined) throw new UnixctlError('Invalid parameters');
  return prefix;
}

/** Undefined if it is no "pkt_mark=N". */
function scanMark(text: string): number | undefined {
  const digits = /^pkt_mark=([+-]?(?:0x[0-9a-f]+|[0-9]+))/i.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits) >>> 0;
}

function markOf(text: string | undefined): number {
  const mark = text === undefined ? 0 : scanMark(text);
  if (mark === undefined) throw new UnixctlError('Invalid pkt_mark');
  return mark;
}

async function add(table: RouteTable, [to, device = '', third, fourth]: readonly string[]): Promise<string> {
  const destination = prefixOf(to);
  let mark = third === undefined ? undefined : scanMark(third);
  let gateway: bigint | undefined;
  if (third !== undefined && mark === undefined) {
    gateway = parseIp(third);
    if (gateway === undefined || isV4(gateway) !== isV4(destination.address)) {
      throw new UnixctlError(`Invalid pkt_mark or ${isV4(destination.address) ? '' : 'IPv6 '}gateway`);
    }
  }
  if (fourth !== undefined) mark = markOf(fourth);
  if (await table.add(destination, device, gateway, mark ?? 0)) return 'OK';
  throw new UnixctlError('Error while inserting route.');
}

function del(table: RouteTable, [from, mark]: readonly string[]): string {
  if (table.remove(prefixOf(from), markOf(mark))) return 'OK';
  throw new UnixctlError('Not found');
}

async function show(table: RouteTable): Promise<string> {
  return `Route Table:\n${(await table.routes()).map(formatRoute).join('')}`;
}

async function lookup(table: RouteTable, [to, mark]: readonly string[]): Promise<string> {
  const { address, length } = prefixOf(to);
  if (length !== 128) throw new UnixctlError('Invalid parameters');
  const route = await table.lookup(address, markOf(mark));
  if (route === undefined) throw new UnixctlError('Not found');
  return `src ${formatIp(route.source)}\ngateway ${formatIp(route.gateway ?? 0n)}\ndev ${route.device}\n`;
}

function setNeighbour(neighbours: NeighCache, [bridge = '', ip, macText]: readonly string[]): string {
  const address = parseIp(ip ?? '');
  if (address === undefined) throw new UnixctlError('bad IP address');
  const mac = parseMac(macText ?? '');
  if (mac === undefined) throw new UnixctlError('bad MAC address');
  neighbours.set(bridge, address, formatMac(mac));
  return 'OK';
}

function setAging(neighbours: NeighCache, text: string): string {
  if (neighbours.setAging(Number.parseInt(text, 10))) return 'OK';
  throw new UnixctlError('bad aging value');
}

/** The source ports that tunnels built in userspace would choose from. */
function egressPortRange(): UnixctlCommand {
  let [min, max] = [32768, 61000];
  const run = (args: readonly string[]): string => {
    if (args.length < 2) return `Tunnel UDP source port range: ${min}-${max}\n`;
    const [a = 0, b = 0] = args.map((text) => Number.parseInt(text, 10) || 0);
    if (a <= 0 || a > 0xffff) return 'Invalid min.';
    if (b <= 0 || b > 0xffff) return 'Invalid max.';
    [min, max] = [Math.min(a, b), Math.max(a, b)];
    return 'OK';
  };
  return { name: 'tnl/egress_port_range', usage: 'min max', minArgs: 0, maxArgs: 2, run };
}
