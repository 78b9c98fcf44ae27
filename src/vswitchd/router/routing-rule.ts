/**
 * Routing rules: which routing tables packets from an address are looked up in, one after the other, until one has a route.  There are those that
 * every host has, those of the kernel (`ip rule`), and an operator's (`ovs/route/rule/add`).
 * Source: lib/ovs-router.c (init_standard_rules, ovs_router_rules_show_text), ip-rule(8).
 */
import type { Json } from '../../util/json-stream.ts';
import { ANY_V4, ANY_V6, contains, formatIp, type IpPrefix, isV4, V4_BITS } from './ip-prefix.ts';
import { isStandard, TABLE } from './route-table.ts';

export interface RoutingRule {
  /** The lowest comes first. */
  readonly priority: number;
  /** Takes packets from all other addresses. */
  readonly isInverted: boolean;
  /** A rule is for packets from addresses of one family. */
  readonly isV4: boolean;
  /** Undefined: all. */
  readonly from: IpPrefix | undefined;
  readonly table: number;
  /** Whether an operator added it. */
  readonly isUser: boolean;
}

function standard(priority: number, isV4: boolean, table: number): RoutingRule {
  return { priority, isInverted: false, isV4, from: undefined, table, isUser: false };
}

/** With the kernel's priorities. */
export const STANDARD_RULES: readonly RoutingRule[] = [
  standard(0, true, TABLE.local),
  standard(0x7ffe, true, TABLE.main),
  standard(0x7fff, true, TABLE.default),
  standard(0, false, TABLE.local),
  standard(0x7ffe, false, TABLE.main),
];

/** Whether packets from `source` take the rule. */
export function selects(rule: RoutingRule, source: bigint): boolean {
  if (rule.isV4 !== isV4(source)) return false;
  return (rule.from === undefined || contains(rule.from, source)) !== rule.isInverted;
}

/** Apart from who added it, and from its priority. */
function isAlike(a: RoutingRule, b: RoutingRule): boolean {
  if (a.isV4 !== b.isV4 || a.isInverted !== b.isInverted || a.table !== b.table) return false;
  return a.from?.address === b.from?.address && a.from?.length === b.from?.length;
}

/** All rules, those that are tried first coming first. */
export function allRules(kernel: readonly RoutingRule[], user: readonly RoutingRule[]): RoutingRule[] {
  const isKnown = (rule: RoutingRule): boolean =>
    STANDARD_RULES.some((known) => known.priority === rule.priority && isAlike(known, rule));
  const added = kernel.filter((rule) => !isKnown(rule));
  return [...STANDARD_RULES, ...added, ...user].sort((a, b) => a.priority - b.priority);
}

/** The priority of a rule that names none: right before the last rule that has room before it.  0 if there is none. */
export function freePriority(rules: readonly RoutingRule[]): number {
  let free = 0;
  let before = 0;
  for (const { priority } of rules) {
    if (priority !== 0 && (free === 0 || priority - before > 1)) free = priority - 1;
    before = priority;
  }
  return free;
}

/** Where in `rules` an operator's rule like `rule` is first; of any priority, if that of `rule` is 0.  -1 if nowhere. */
export function userRuleAt(rules: readonly RoutingRule[], rule: RoutingRule): number {
  return rules.findIndex(
    (other) => other.isUser && isAlike(other, rule) && (rule.priority === 0 || other.priority === rule.priority),
  );
}

const lengthOf = ({ isV4, from }: RoutingRule): number => (from === undefined ? 0 : from.length - (isV4 ? V4_BITS : 0));

function tableName(table: number): string {
  if (!isStandard(table)) return `${table}`;
  return table === TABLE.local ? 'local' : table === TABLE.main ? 'main' : 'default';
}

/** A line of `ovs/route/rule/show`. */
export function formatRule(rule: RoutingRule): string {
  const { priority, isInverted, from, table, isUser } = rule;
  // The blank behind a length is stock's.
  const length = from === undefined || from.length === 128 ? '' : `/${lengthOf(rule)} `;
  const source = from === undefined ? 'all' : `${formatIp(from.address)}${length}`;
  return `${isUser ? 'User' : 'Cached'}: ${priority}: ${isInverted ? 'not ' : ''}from ${source} lookup ${tableName(table)}`;
}

export function ruleJson(rule: RoutingRule): Json {
  const { priority, isInverted, isV4, from, table, isUser } = rule;
  return {
    priority,
    user: isUser,
    invert: isInverted,
    ipv4: isV4,
    'src-prefix': lengthOf(rule),
    lookup: table,
    from: from === undefined ? 'all' : formatIp(from.address),
  };
}

/** Where packets to `address` come from that name no source: of the same family. */
export const anySource = (address: bigint): bigint => (isV4(address) ? ANY_V4 : ANY_V6);
