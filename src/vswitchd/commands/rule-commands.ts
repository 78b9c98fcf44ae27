/**
 * Commands about the rules that choose among routing tables, of Open vSwitch 3.6: ovs/route/rule/*.
 * Source: lib/ovs-router.c.
 */
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import type { Json } from '../../util/json-stream.ts';
import { type IpPrefix, parsePrefix, V4_BITS } from '../router/ip-prefix.ts';
import { TABLE } from '../router/route-table.ts';
import type { Router } from '../router/router.ts';
import { formatRule, type RoutingRule, ruleJson } from '../router/routing-rule.ts';
import { isV6Text, scanField } from './route-args.ts';

const USAGE = '[-6] [not] from=all|ip/plen [prio=num] table=local|main|default|id';

export function ruleCommands(router: Router): UnixctlCommand[] {
  // biome-ignore format: table
  return [
    { name: 'ovs/route/rule/show', usage: '[-6]', minArgs: 0, maxArgs: 1, run: (args) => show(router, args), runJson: (args) => showJson(router, args) },
    { name: 'ovs/route/rule/add',  usage: USAGE,  minArgs: 2, maxArgs: 5, run: (args) => add(router, args) },
    { name: 'ovs/route/rule/del',  usage: USAGE,  minArgs: 2, maxArgs: 5, run: (args) => del(router, args) },
  ];
}

/** All addresses, of the family that `isV4` says, or those of a prefix. */
function sourceOf(text: string, isV4: boolean): { readonly isV4: boolean; readonly from: IpPrefix | undefined } {
  if (text.startsWith('from=all')) return { isV4, from: undefined };
  if (!text.startsWith('from=')) throw new UnixctlError("Invalid 'from' parameter");
  const prefix = parsePrefix(text.slice('from='.length));
  if (prefix === undefined) throw new UnixctlError('Invalid from=ip/plen');
  const isPrefixV4 = !isV6Text(text);
  return { isV4: isPrefixV4, from: prefix.length === (isPrefixV4 ? V4_BITS : 0) ? undefined : prefix };
}

function tableOf(text: string): number {
  for (const [name, table] of Object.entries(TABLE)) if (text.startsWith(`table=${name}`)) return table;
  const table = scanField(text, 'table');
  if (table === undefined) throw new UnixctlError("Invalid 'table' format");
  return table;
}

/** The priority is 0 if none is given.  What follows the table is left out, as by stock. */
function parseRule(args: readonly string[]): RoutingRule {
  let at = 0;
  const take = (prefix: string): boolean => {
    const isThere = args[at]?.startsWith(prefix) ?? false;
    if (isThere) at++;
    return isThere;
  };
  const next = (): string => {
    const text = args[at++];
    if (text === undefined) throw new UnixctlError('Not enough arguments');
    return text;
  };
  const isV6 = take('-6');
  const isInverted = take('not');
  const source = sourceOf(args[at++] ?? '', !isV6);
  const second = next();
  const priority = scanField(second, 'prio');
  const table = tableOf(priority === undefined ? second : next());
  return { priority: priority ?? 0, isInverted, ...source, table, isUser: true };
}

async function add(router: Router, args: readonly string[]): Promise<string> {
  await router.addRule(parseRule(args));
  return 'OK';
}

function del(router: Router, args: readonly string[]): string {
  if (router.removeRule(parseRule(args))) return 'OK';
  // ENOENT, as stock prints it.
  throw new UnixctlError('Failed to delete router rule: -2 (Unknown error -2)');
}

async function shown(router: Router, [family]: readonly string[]): Promise<RoutingRule[]> {
  const isV4 = !family?.startsWith('-6');
  return (await router.rules()).filter((rule) => rule.isV4 === isV4);
}

async function show(router: Router, args: readonly string[]): Promise<string> {
  return (await shown(router, args)).map((rule) => `${formatRule(rule)}\n`).join('');
}

async function showJson(router: Router, args: readonly string[]): Promise<Json> {
  return (await shown(router, args)).map(ruleJson);
}
