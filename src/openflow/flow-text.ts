/**
 * Flows as text: what `ovs-ofctl add-flow` reads and `dump-flows` prints.
 * Source: lib/ofp-flow.c (parse_ofp_str, ofputil_flow_stats_format, ofputil_flow_mod_format), ovs-ofctl(8).
 */
import { formatActions, parseInstructions } from './actions/index.ts';
import { parseMatchPart, usableProtocols } from './match/match-parse.ts';
import { formatMatch } from './match/match-text.ts';
import {
  FLOW_FLAG,
  type FlowMod,
  type FlowStats,
  type FlowStatsRequest,
  OFPFC,
  OFPG,
  OFPTT_ALL,
  UNKNOWN32,
  UNKNOWN64,
} from './messages/flow/flow-types.ts';
import { newFlowMod } from './messages/flow/new-flow-mod.ts';
import { formatPort, formatTable, type OfpNames, parsePort, parseTable } from './ofp-names.ts';
import { OFPP } from './ofp-port.ts';
import { OFPUTIL_P } from './ofp-protocol.ts';
import { KeyValues, OfpTextError, parseU16, parseU64, scanNumber } from './ofp-text.ts';

/** What is asked for by a text: a flow_mod's command, or a request for flows. */
export type FlowCommand = (typeof OFPFC)[keyof typeof OFPFC] | 'request';

const OFPUTIL_P_TID = OFPUTIL_P.OF10_STD_TID | OFPUTIL_P.OF10_NXM_TID | OFPUTIL_P.OF11_UP;

const COMMANDS: readonly (readonly [string, FlowCommand])[] = [
  ['add', OFPFC.ADD],
  ['delete', OFPFC.DELETE],
  ['delete_strict', OFPFC.DELETE_STRICT],
  ['modify', OFPFC.MODIFY],
  ['modify_strict', OFPFC.MODIFY_STRICT],
];

/** Keys without a value, the flag, and the protocols that have it. */
const FLAGS: Readonly<Record<string, readonly [number, number]>> = {
  send_flow_rem: [FLOW_FLAG.SEND_FLOW_REM, OFPUTIL_P.ANY],
  check_overlap: [FLOW_FLAG.CHECK_OVERLAP, OFPUTIL_P.ANY],
  reset_counts: [FLOW_FLAG.RESET_COUNTS, OFPUTIL_P.OF12_UP],
  no_packet_counts: [FLOW_FLAG.NO_PKT_COUNTS, OFPUTIL_P.OF13_UP],
  no_byte_counts: [FLOW_FLAG.NO_BYT_COUNTS, OFPUTIL_P.OF13_UP],
};
/** What dump-flows prints and nobody can ask for: read over. */
const IGNORED = new Set(['duration', 'n_packets', 'n_bytes', 'idle_age', 'hard_age']);
const IGNORED_FLAGS = new Set(['no_readonly_table', 'allow_hidden_fields']);

type Draft = { -readonly [K in keyof FlowMod]: FlowMod[K] };

export interface ParsedFlow {
  readonly flow: FlowMod;
  /** OFPUTIL_P bits of the protocols that can say it. */
  readonly usableProtocols: number;
}

const COMMAND_KEYS = Object.keys(OFPFC) as (keyof typeof OFPFC)[];

function newDraft(command: FlowCommand): Draft {
  const key = COMMAND_KEYS.find((k) => OFPFC[k] === command) ?? 'ADD';
  const isModify = command === OFPFC.MODIFY || command === OFPFC.MODIFY_STRICT;
  return newFlowMod(key, { tableId: OFPTT_ALL, newCookie: isModify ? UNKNOWN64 : 0n });
}

function parseGroup(text: string): number {
  const name = text.toLowerCase();
  if (name === 'any') return OFPG.ANY;
  if (name === 'all') return OFPG.ALL;
  const n = scanNumber(text, 10);
  if (n === undefined || n.rest !== '' || n.value < 0n || n.value >= BigInt(OFPG.MAX)) {
    throw new OfpTextError(`${text} is not a valid OpenFlow group`);
  }
  return Number(n.value);
}

function setCookie(draft: Draft, command: FlowCommand, text: string): number {
  const slash = text.indexOf('/');
  if (slash >= 0) {
    if (command === OFPFC.ADD) throw new OfpTextError('flow additions cannot use a cookie mask');
    draft.cookie = parseU64(text.slice(0, slash));
    draft.cookieMask = parseU64(text.slice(slash + 1));
    return draft.cookieMask === 0n ? OFPUTIL_P.ANY : OFPUTIL_P.NXM_OF11_UP;
  }
  if (command !== OFPFC.ADD && command !== OFPFC.MODIFY && command !== OFPFC.MODIFY_STRICT) {
    throw new OfpTextError(`cannot set cookie (to match on a cookie, specify a mask, e.g. cookie=${text}/-1)`);
  }
  draft.newCookie = parseU64(text);
  draft.modifyCookie = true;
  return OFPUTIL_P.ANY;
}

/** Reads a key that is no part of the match; which protocols can say it. */
function setOther(draft: Draft, command: FlowCommand, key: string, value: string, names: OfpNames): number {
  if (value === '') throw new OfpTextError(`field ${key} missing value`);
  const isDelete = command === OFPFC.DELETE || command === OFPFC.DELETE_STRICT;
  const hasActions = !isDelete && command !== 'request';
  const takes = {
    out: !hasActions,
    priority: hasActions || command === OFPFC.DELETE_STRICT,
    timeout: hasActions,
    importance: command === OFPFC.ADD,
  };
  if (key === 'table') {
    const table = parseTable(value, names.tables);
    if (table === undefined) throw new OfpTextError(`unknown table "${value}"`);
    draft.tableId = table;
    return table === 0xff ? OFPUTIL_P.ANY : OFPUTIL_P_TID;
  }
  if (key === 'cookie') return setCookie(draft, command, value);
  if (key === 'out_port' && takes.out) {
    const port = parsePort(value, names.ports);
    if (port === undefined) throw new OfpTextError(`${value} is not a valid OpenFlow port`);
    draft.outPort = port;
  } else if (key === 'out_group' && takes.out) {
    draft.outGroup = parseGroup(value);
    return OFPUTIL_P.OF11_UP;
  } else if (key === 'priority' && takes.priority) draft.priority = parseU16(value, key);
  else if (key === 'idle_timeout' && takes.timeout) draft.idleTimeout = parseU16(value, key);
  else if (key === 'hard_timeout' && takes.timeout) draft.hardTimeout = parseU16(value, key);
  else if (key === 'importance' && takes.importance) draft.importance = parseU16(value, key);
  else if (!IGNORED.has(key)) throw new OfpTextError(`unknown keyword ${key}`);
  return OFPUTIL_P.ANY;
}

/** Splits "add in_port=1 ..." of a file of commands. */
function takeCommand(text: string): { readonly command: FlowCommand; readonly rest: string } {
  const rest = text.trimStart();
  const word = /^[^, \t\r\n]*/.exec(rest)?.[0] ?? '';
  // As in the stock tool the beginning of a command is enough, and nothing at all is "add".
  const found = COMMANDS.find(([name]) => name.startsWith(word));
  return found === undefined ? { command: OFPFC.ADD, rest } : { command: found[1], rest: rest.slice(word.length) };
}

/**
 * Reads a flow; without `command` the text may begin with one, "add" if it does not.  Consistency of actions and match is for the caller to check.
 * Throws OfpTextError, and OfpError for a port that no switch can have.
 */
export function parseFlow(text: string, command?: FlowCommand, names: OfpNames = {}): ParsedFlow {
  const taken = command === undefined ? takeCommand(text) : { command, rest: text };
  const c = taken.command;
  const draft = newDraft(c);
  const isDelete = c === OFPFC.DELETE || c === OFPFC.DELETE_STRICT;
  const hasActions = !isDelete && c !== 'request';
  let rest = taken.rest;
  let actions = '';
  if (hasActions) {
    const at = rest.indexOf('action');
    const equals = at < 0 ? -1 : rest.indexOf('=', at);
    if (equals < 0) throw new OfpTextError('must specify an action');
    actions = rest.slice(equals + 1);
    rest = rest.slice(0, at);
  }

  let usable: number = OFPUTIL_P.ANY;
  for (const kv = new KeyValues(rest); kv.next(); ) {
    const flag = hasActions && Object.hasOwn(FLAGS, kv.key) ? FLAGS[kv.key] : undefined;
    if (flag !== undefined) {
      draft.flags |= flag[0];
      usable &= flag[1];
    } else if (!IGNORED_FLAGS.has(kv.key)) {
      usable &=
        parseMatchPart(draft.match, kv.key, kv.value, names.ports) ?? setOther(draft, c, kv.key, kv.value, names);
    }
  }
  usable &= usableProtocols(draft.match);
  // A flow that is to be modified but does not exist is added: with cookie 0 if none was given.
  if (draft.cookieMask === 0n && draft.newCookie === UNKNOWN64) draft.newCookie = 0n;
  if (hasActions) {
    const parsed = parseInstructions(actions, names);
    draft.ofpacts = parsed.actions;
    usable &= parsed.usableProtocols;
  }
  return { flow: draft, usableProtocols: usable };
}

/** Reads what flows `ovs-ofctl dump-flows` is asked for.  Throws OfpTextError. */
export function parseFlowStatsRequest(
  text: string,
  names: OfpNames = {},
): { readonly request: FlowStatsRequest; readonly usableProtocols: number } {
  const { flow, usableProtocols: usable } = parseFlow(text, 'request', names);
  const { match, cookie, cookieMask, outPort, outGroup, tableId } = flow;
  return { request: { match, cookie, cookieMask, outPort, outGroup, tableId }, usableProtocols: usable };
}

/** "3s", "3.250s", "3.000000001s". */
export function formatDuration(sec: number, nsec: number): string {
  if (nsec === 0) return `${sec}s`;
  if (nsec % 1000000 === 0) return `${sec}.${String(nsec / 1000000).padStart(3, '0')}s`;
  return `${sec}.${String(nsec).padStart(9, '0').replace(/0+$/, '')}s`;
}

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [FLOW_FLAG.SEND_FLOW_REM, 'send_flow_rem'],
  [FLOW_FLAG.CHECK_OVERLAP, 'check_overlap'],
  [FLOW_FLAG.RESET_COUNTS, 'reset_counts'],
  [FLOW_FLAG.NO_PKT_COUNTS, 'no_packet_counts'],
  [FLOW_FLAG.NO_BYT_COUNTS, 'no_byte_counts'],
];
/** Each flag with a blank after it. */
export const formatFlowFlags = (flags: number): string =>
  FLAG_NAMES.map(([bit, name]) => ((flags & bit) === 0 ? '' : `${name} `)).join('');

/** A line of dump-flows; without `showStats` that of `--no-stats`. */
export function formatFlowStats(fs: FlowStats, names: OfpNames = {}, showStats = true): string {
  const count = (n: bigint) => (n === UNKNOWN64 ? '?' : String(n));
  let text = '';
  const put = (name: string, value: string | number, isShown: boolean) => {
    if (isShown) text += `${name}=${value}, `;
  };
  put('cookie', `0x${fs.cookie.toString(16)}`, showStats || fs.cookie !== 0n);
  put('duration', formatDuration(fs.durationSec, fs.durationNsec), showStats);
  const hasTable = fs.tableId !== 0 || names.tables?.nameOf(fs.tableId) !== undefined;
  put('table', formatTable(fs.tableId, names.tables), showStats || hasTable);
  put('n_packets', count(fs.packetCount), showStats);
  put('n_bytes', count(fs.byteCount), showStats);
  put('idle_timeout', fs.idleTimeout, fs.idleTimeout !== 0);
  put('hard_timeout', fs.hardTimeout, fs.hardTimeout !== 0);
  text += formatFlowFlags(fs.flags);
  put('importance', fs.importance, fs.importance !== 0);
  put('idle_age', fs.idleAge, showStats && fs.idleAge >= 0);
  put('hard_age', fs.hardAge, showStats && fs.hardAge >= 0 && fs.hardAge !== fs.durationSec);
  const match = formatMatch(fs.match, fs.priority, names);
  return `${text}${match}${match === '' ? '' : ' '}actions=${formatActions(fs.ofpacts, names)}`;
}

const COMMAND_NAMES = ['ADD', 'MOD', 'MOD_STRICT', 'DEL', 'DEL_STRICT'];

/** A flow_mod as ovs-ofctl prints it after the message's name: " ADD table:255 in_port=1 actions=drop". */
export function formatFlowMod(fm: FlowMod, version: number, names: OfpNames = {}): string {
  let text = ` ${COMMAND_NAMES[fm.command] ?? `cmd:${fm.command}`}`;
  if (fm.tableId !== 0 || names.tables?.nameOf(fm.tableId) !== undefined) {
    text += ` table:${formatTable(fm.tableId, names.tables)}`;
  }
  const match = formatMatch(fm.match, fm.priority, names);
  text += match === '' ? ' ' : ` ${match} `;
  const put = (name: string, value: string | number, isShown: boolean) => {
    if (isShown) text += `${name}:${value} `;
  };
  const hex = (n: bigint | number) => `0x${n.toString(16)}`;
  put('cookie', hex(fm.newCookie), fm.newCookie !== 0n && fm.newCookie !== UNKNOWN64);
  put('cookie', `${hex(fm.cookie)}/${hex(fm.cookieMask)}`, fm.cookieMask !== 0n);
  put('idle', fm.idleTimeout, fm.idleTimeout !== 0);
  put('hard', fm.hardTimeout, fm.hardTimeout !== 0);
  put('importance', fm.importance, fm.importance !== 0);
  put('buf', hex(fm.bufferId), fm.bufferId !== UNKNOWN32);
  put('out_port', formatPort(fm.outPort, names.ports), fm.outPort !== OFPP.NONE);
  // Versions before 1.2 reset counters without being asked.
  text += formatFlowFlags(version < 3 ? fm.flags & ~FLOW_FLAG.RESET_COUNTS : fm.flags);
  return `${text}actions=${formatActions(fm.ofpacts, names)}`;
}
