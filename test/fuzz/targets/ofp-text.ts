/**
 * Texts of OpenFlow: flows, actions, matches, packets' flows.  A record is a text, in Latin-1; its first byte says what it is one of.
 *
 * What is refused is refused by an OfpTextError (or an OfpError, where the parser says so).  What is read and printed is read again, and printed
 * the same; and each version that is said to be able to say it has bytes for it, which are read.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  decodeInstructions,
  encodeInstructions,
  formatActions,
  parseActions,
  parseInstructions,
} from '../../../src/openflow/actions/index.ts';
import { formatFlowMod, parseFlow, parseFlowStatsRequest } from '../../../src/openflow/flow-text.ts';
import { formatFlow } from '../../../src/openflow/match/flow-format.ts';
import { parseExactFlow } from '../../../src/openflow/match/flow-parse.ts';
import { parseMatch } from '../../../src/openflow/match/match-parse.ts';
import { formatMatch } from '../../../src/openflow/match/match-text.ts';
import { OfpError, type OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OFPUTIL_P } from '../../../src/openflow/ofp-protocol.ts';
import { OfpTextError } from '../../../src/openflow/ofp-text.ts';
import type { Ofpact } from '../../../src/openflow/ofpact.ts';
import { type Case, check, type FuzzTarget, record } from '../case.ts';
import { actionsText, flowText, matchText } from '../ofp-grammar.ts';
import type { Random } from '../random.ts';

const KIND = { FLOW: 0, ACTIONS: 1, INSTRUCTIONS: 2, MATCH: 3, EXACT: 4, REQUEST: 5 } as const;
const N_KINDS = 6;
const MAX_TEXT = 2000;
const VERSIONS: readonly OfVersion[] = [1, 2, 3, 4, 5, 6];

type Seen = Set<string>;

/** The words of a message that are always the same, more or less. */
const formOf = (message: string): string =>
  message
    .split(/[ :"']+/)
    .filter((word) => /^[a-z-]+$/.test(word))
    .slice(0, 4)
    .join(' ');

/** What `read` gives; undefined: it was refused, clearly. */
function attempt<T>(seen: Seen, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof OfpTextError || error instanceof OfpError)) throw error;
    check(error.message.length > 0, 'an error without words');
    seen.add(formOf(error.message));
    return undefined;
  }
}

/** The text of what was read is read, and its text is the same. */
function printed<T>(
  what: string,
  seen: Seen,
  text: string,
  read: (text: string) => T,
  print: (value: T) => string,
): T | undefined {
  const first = attempt(seen, () => read(text));
  if (first === undefined) return undefined;
  const once = print(first);
  let again: T;
  try {
    again = read(once);
  } catch (error) {
    if (!(error instanceof OfpTextError || error instanceof OfpError)) throw error;
    if (isForEyes(once) || / field icmpv?6?_(type|code)|invalid mask for field/.test(error.message)) return first;
    throw new Error(`${what}: prints what it does not read: ${error.message}`);
  }
  const twice = print(again);
  check(
    twice === once || isForEyes(once),
    () => `${what}: "${text}" is printed as "${once}", which is printed as "${twice}"`,
  );
  return first;
}

/**
 * Texts that stock tools print and do not read, or read differently: some fields of tunnels, and options of tunnels whose mask is shorter than
 * their value, values of which no bit is set ("ANY"), and connection states in `learn` ("[Unknown]").  So are types of ICMP that were ports before the protocol was said, and bits of fields that
 * match only as a whole, the types of packets that `learn` looks for, a frag that is none, a `nat` of `ct` behind a conjunction, and a TLV of zeros.
 */
const isForEyes = (text: string): boolean =>
  /gtpu_(flags|msgtype)=|tun_tos=|tun_metadata\d+=[^,]*\/|set_field:ANY->|packet_type=(eth|packet_type)|frag=<error>|\[Unknown\]|exec\((conjunction|note)\(.*,nat|tlv\(0x[\da-f]+,\d+,0\)/.test(
    text,
  );

function kindsOf(actions: readonly Ofpact[], seen: Seen): void {
  for (const a of actions) seen.add(`action ${a.kind}`);
}

const TAGS: Readonly<Record<number, number>> = {
  1: OFPUTIL_P.OF10_STD | OFPUTIL_P.OF10_NXM | OFPUTIL_P.OF10_STD_TID | OFPUTIL_P.OF10_NXM_TID,
  2: OFPUTIL_P.OF11_STD,
  3: OFPUTIL_P.OF11_STD << 1,
  4: OFPUTIL_P.OF11_STD << 2,
  5: OFPUTIL_P.OF11_STD << 3,
  6: OFPUTIL_P.OF11_STD << 4,
};

/** Each version that can say the actions has bytes for them, which mean the same when they are read and written. */
function throughBytes(actions: readonly Ofpact[], usable: number, seen: Seen): void {
  for (const version of VERSIONS) {
    if ((usable & (TAGS[version] ?? 0)) === 0) continue;
    const bytes = encodeInstructions(actions, version);
    if (bytes.length > 0xffff) continue;
    const back = attempt(seen, () => decodeInstructions(version, bytes));
    if (back === undefined) continue;
    const twice = encodeInstructions(back, version);
    const third = attempt(seen, () => decodeInstructions(version, twice));
    check(
      third !== undefined,
      () => `version ${version}: "${formatActions(back)}" is read, but not when it was written again`,
    );
    check(
      isDeepStrictEqual(third, back),
      () => `version ${version}: "${formatActions(back)}" became "${formatActions(third)}" in bytes`,
    );
  }
}

function runText(kind: number, text: string, seen: Seen): void {
  switch (kind) {
    case KIND.FLOW: {
      const flow = printed(
        'flow',
        seen,
        text,
        (t) => parseFlow(t),
        ({ flow: fm }) => `${formatMatch(fm.match, fm.priority)} actions=${formatActions(fm.ofpacts)}`,
      );
      if (flow === undefined) return;
      for (const version of VERSIONS) formatFlowMod(flow.flow, version);
      kindsOf(flow.flow.ofpacts, seen);
      throughBytes(flow.flow.ofpacts, flow.usableProtocols, seen);
      return;
    }
    case KIND.ACTIONS:
    case KIND.INSTRUCTIONS: {
      const read = kind === KIND.ACTIONS ? parseActions : parseInstructions;
      const parsed = printed(
        'actions',
        seen,
        text,
        (t) => read(t),
        (p) => formatActions(p.actions),
      );
      if (parsed === undefined) return;
      kindsOf(parsed.actions, seen);
      throughBytes(parsed.actions, parsed.usableProtocols, seen);
      return;
    }
    case KIND.MATCH: {
      const parsed = printed(
        'match',
        seen,
        text,
        (t) => parseMatch(t),
        (p) => formatMatch(p.match),
      );
      if (parsed !== undefined) seen.add(`match of ${formatMatch(parsed.match).split(',').length}`);
      return;
    }
    case KIND.EXACT: {
      const flow = attempt(seen, () => parseExactFlow(text));
      if (flow !== undefined) seen.add(`flow ${formatFlow(flow).length >> 4}`);
      return;
    }
    default:
      attempt(seen, () => parseFlowStatsRequest(text));
  }
}

const GLUE = [',', '(', ')', '=', ':', '/', '->', '[', ']', '..', '-', ' ', '0x', '%', '\0', '\x80', '"', '\\'];

export const ofpTextTarget: FuzzTarget = {
  name: 'ofp-text',

  generate(random: Random): Case {
    const kind = random.below(N_KINDS);
    const text =
      kind === KIND.FLOW
        ? flowText(random)
        : kind === KIND.ACTIONS || kind === KIND.INSTRUCTIONS
          ? actionsText(random)
          : matchText(random);
    return [record(kind, Buffer.from(text.slice(0, MAX_TEXT), 'latin1'))];
  },

  /** Takes out, doubles or moves words, puts in others. */
  mutateRecord(r: Uint8Array, random: Random): Uint8Array {
    const kind = r[0] ?? 0;
    const words = Buffer.from(r.subarray(1))
      .toString('latin1')
      .split(/([,()=:/ ]|->)/);
    const at = random.below(words.length);
    switch (random.below(5)) {
      case 0:
        words.splice(at, 1 + random.below(3));
        break;
      case 1:
        words.splice(at, 0, random.pick(GLUE));
        break;
      case 2:
        words.splice(at, 0, ...words.slice(at, at + 1 + random.below(6)));
        break;
      case 3:
        words[at] = random.pick(words);
        break;
      default:
        words[at] = (random.oneIn(2) ? actionsText(random, 3) : matchText(random)).split(/[,=]/)[0] ?? '';
    }
    return record(kind, Buffer.from(words.join('').slice(0, MAX_TEXT), 'latin1'));
  },

  run(records: Case): string[] {
    const seen: Seen = new Set();
    for (const r of records.slice(0, 8)) {
      runText(r[0]! % N_KINDS, Buffer.from(r.subarray(1, 1 + MAX_TEXT)).toString('latin1'), seen);
    }
    return [...seen];
  },
};
