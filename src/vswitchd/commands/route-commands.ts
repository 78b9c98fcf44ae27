/**
 * Commands about the routes of tunnels that are built in userspace: ovs/route/*.  The rules that choose among tables are in rule-commands.ts.
 * The arguments src= and table= are of Open vSwitch 3.2 and 3.6, and so is what is said of them; all else is as in 3.1.
 * Source: lib/ovs-router.c.
 */
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import { parseIpv4, parseIpv6 } from '../../util/inet.ts';
import type { Json } from '../../util/json-stream.ts';
import { formatIp, ipOfBytes } from '../router/ip-prefix.ts';
import { formatRoute, inOrder, isStandard, type Route, routeJson, TABLE } from '../router/route-table.ts';
import { Router } from '../router/router.ts';
import { readSystemRouting, type SystemRouting } from '../router/system-routes.ts';
import { isV6Text, orNone, prefixOf, scanField, scanMark, scanSource, scanTable } from './route-args.ts';
import { ruleCommands } from './rule-commands.ts';

/** The number that means all tables. */
const ALL_TABLES = 0xffffffff;

/** `--disable-system-route` leaves the kernel's routes and rules out; addresses of devices are known all the same. */
export function routeCommands(hasSystemRoutes = true, read = readSystemRouting): UnixctlCommand[] {
  const readSome = async (): Promise<SystemRouting> => ({ ...(await read()), routes: [], rules: [] });
  const router = new Router(hasSystemRoutes ? read : readSome);
  // biome-ignore format: table
  return [
    { name: 'ovs/route/add',    usage: 'ip/plen dev [gw] [pkt_mark=mark] [src=src_ip] [table=id]', minArgs: 2, maxArgs: 6, run: (args) => add(router, args) },
    { name: 'ovs/route/show',   usage: '[table=all|id]', minArgs: 0, maxArgs: 1, run: ([table]) => show(router, table), runJson: ([table]) => showJson(router, table) },
    { name: 'ovs/route/del',    usage: 'ip/plen [pkt_mark=mark] [table=id]',     minArgs: 1, maxArgs: 3, run: (args) => del(router, args) },
    { name: 'ovs/route/lookup', usage: 'ip_addr [pkt_mark=mark] [src=src_ip]',   minArgs: 1, maxArgs: 3, run: (args) => lookup(router, args) },
    ...ruleCommands(router),
  ];
}

/** An address as inet_pton() takes it. */
function gatewayOf(text: string, isV6: boolean): bigint | undefined {
  const bytes = isV6 ? parseIpv6(text) : parseIpv4(text);
  return bytes && ipOfBytes(bytes);
}

/** What is wrong with argument `i` of `ovs/route/add`, counted from the third; 3.1 takes two of them. */
function badAddition(text: string, i: number, isV6: boolean): UnixctlError {
  if (text.startsWith('src=') || i > 1) return new UnixctlError('Invalid pkt_mark, IP gateway or src_ip');
  return new UnixctlError(i === 1 ? 'Invalid pkt_mark' : `Invalid pkt_mark or ${isV6 ? 'IPv6 ' : ''}gateway`);
}

async function add(router: Router, [to = '', device = '', ...rest]: readonly string[]): Promise<string> {
  const destination = prefixOf(to);
  const isV6 = isV6Text(to);
  let mark = 0;
  let table: number = TABLE.main;
  let gateway: bigint | undefined;
  let source: bigint | undefined;
  for (const [i, text] of rest.entries()) {
    const [newMark, newSource, newGateway] = [scanMark(text), scanSource(text, isV6), gatewayOf(text, isV6)];
    const newTable = scanTable(text);
    if (newMark !== undefined) mark = newMark;
    else if (newSource !== undefined) source = newSource;
    else if (newGateway !== undefined) gateway = newGateway;
    else if (newTable !== undefined) table = newTable;
    else throw badAddition(text, i, isV6);
  }
  const route = { table, destination, mark, device, gateway: orNone(gateway), source: orNone(source) };
  if (await router.add(route)) return 'OK';
  throw new UnixctlError('Error while inserting route.');
}

async function del(router: Router, [from, ...rest]: readonly string[]): Promise<string> {
  const destination = prefixOf(from);
  let mark = 0;
  let table: number = TABLE.main;
  for (const text of rest) {
    const newMark = scanMark(text);
    const newTable = scanTable(text);
    if (newMark === undefined && newTable === undefined) throw new UnixctlError('Invalid pkt_mark');
    if (newTable !== undefined && !(await router.tables()).has(newTable)) {
      throw new UnixctlError(`Table ${text} not found`);
    }
    mark = newMark ?? mark;
    table = newTable ?? table;
  }
  if (router.remove(table, destination, mark)) return 'OK';
  throw new UnixctlError('Not found');
}

/** What `ovs/route/show` is asked for: one table, all, or those that every host has (undefined). */
async function select(
  router: Router,
  text: string | undefined,
): Promise<{ table: number | undefined; routes: Route[] }> {
  const number = text === 'table=all' ? ALL_TABLES : text === undefined ? 0 : scanField(text, 'table');
  if (number === undefined) throw new UnixctlError('Invalid table format');
  const tables = await router.tables();
  const table = number === 0 ? undefined : number;
  const shown =
    number === 0 ? [TABLE.local, TABLE.main, TABLE.default] : number === ALL_TABLES ? [...tables.keys()] : [number];
  if (table !== undefined && table !== ALL_TABLES && !tables.has(table)) {
    throw new UnixctlError(`Table '${text}' not found`);
  }
  return { table, routes: shown.flatMap((id) => inOrder(tables.get(id) ?? [])) };
}

async function show(router: Router, text: string | undefined): Promise<string> {
  const { table, routes } = await select(router, text);
  if (table === ALL_TABLES) {
    const suffix = (route: Route): string => (isStandard(route.table) ? '' : ` table ${route.table}`);
    return routes.map((route) => `${formatRoute(route)}${suffix(route)}\n`).join('');
  }
  const head = table === undefined || isStandard(table) ? 'Route Table:' : `Route Table #${table}:`;
  return `${head}\n${routes.map((route) => `${formatRoute(route)}\n`).join('')}`;
}

async function showJson(router: Router, text: string | undefined): Promise<Json> {
  return (await select(router, text)).routes.map(routeJson);
}

async function lookup(router: Router, [to = '', ...rest]: readonly string[]): Promise<string> {
  const { address, length } = prefixOf(to);
  if (length !== 128) throw new UnixctlError('Invalid parameters');
  let mark = 0;
  let source: bigint | undefined;
  for (const text of rest) {
    const newMark = scanMark(text);
    const newSource = scanSource(text, isV6Text(to));
    if (newMark === undefined && newSource === undefined) {
      throw new UnixctlError(text.startsWith('src=') ? 'Invalid pkt_mark or src' : 'Invalid pkt_mark');
    }
    mark = newMark ?? mark;
    source = newSource ?? source;
  }
  const from = orNone(source);
  const route = await router.lookup(address, mark, from);
  if (route === undefined) throw new UnixctlError('Not found');
  return `src ${formatIp(from ?? route.source)}\ngateway ${formatIp(route.gateway ?? 0n)}\ndev ${route.device}\n`;
}
