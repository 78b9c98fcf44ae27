/**
 * OpenFlow messages.  A record is a message, whose header gets the length that it has; its first byte has the options:
 * bit 0: flow_mods have a table (NXT_FLOW_MOD_TABLE_ID), bit 1: the length stays as it is.
 *
 * A message is refused with an OfpError, or read.  What was read and written is read again and is the same; and written again, the same bytes.
 */
import { isDeepStrictEqual } from 'node:util';
import { parseFlow } from '../../../src/openflow/flow-text.ts';
import { decodeMessage, encodeMessage, type OfMessageOut } from '../../../src/openflow/messages/codec.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import type { OfMessage } from '../../../src/openflow/messages/of-message.ts';
import type { MessageContext } from '../../../src/openflow/messages/wire/body.ts';
import { OfpError, type OfVersion } from '../../../src/openflow/ofp-errors.ts';
import { OfpTextError } from '../../../src/openflow/ofp-text.ts';
import { type Case, check, type FuzzTarget, record } from '../case.ts';
import { readCorpus } from '../corpus.ts';
import { flowText } from '../ofp-grammar.ts';
import { mutateMessage } from '../ofp-mutate.ts';
import type { Random } from '../random.ts';

const OPTION = { TABLE_ID: 1, KEEPS_LENGTH: 2 } as const;
const MAX_SIZE = 0xffff;
type Seen = Set<string>;

function read(bytes: Uint8Array, context: MessageContext, seen: Seen): OfMessage | undefined {
  try {
    return decodeMessage(bytes, context);
  } catch (error) {
    if (!(error instanceof OfpError)) throw error;
    seen.add(`${bytes[0]} ${bytes[1]} ${error.code}`);
    seen.add(`${error.code} ${error.message.replace(/\d+|0x[0-9a-f]+/g, '#').slice(0, 40)}`);
    return undefined;
  }
}

/** Where two values differ, and how: "body.match.mask.7: -1, 0". */
function differences(a: unknown, b: unknown, path: string, out: string[]): string[] {
  if (out.length > 12 || isDeepStrictEqual(a, b)) return out;
  const isTree = (v: unknown): v is Record<string, unknown> =>
    typeof v === 'object' && v !== null && !(v instanceof Set);
  if (!isTree(a) || !isTree(b)) return [...out, `${path}: ${String(a)}, ${String(b)}`];
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
    out = differences(a[key], b[key], `${path}.${key}`, out);
  return out;
}

/**
 * What may be read from messages but is not written: reasons and events that a version does not know, actions that later versions say in other
 * words, options of tunnels in a match of 1.1, fields that a table of 1.0 may match, bits of a cookie that nobody looks at, the padding between what a paused packet remembers.
 */
const losses = (hasOldMatch: boolean, hasOldMeter: boolean): readonly RegExp[] => [
  ...(hasOldMatch ? [/^\.body\.match\./, /\.features\.(match|mask|wildcard): /] : []),
  // The instruction is read from 1.1 on, and written from 1.3 on.
  ...(hasOldMeter ? [/^\.body\.ofpacts\./] : []),
  /^\.body\.(packetIn\.)?reason: /,
  /^\.body\.packetIn\.continuation/,
  /\.(ofpacts|private\.action(s|Set))(\.\d+|\.actions)+\.(kind|field|value|mask|isLoad|mac|ipv4|port|vid|pcp|pushIfNone|flowHasVlan|isPop|ipProto|tunId|is64)\b/,
  /^\.body\.(cookie|flags): /,
  /\.(evictionFlags|vacancy(Down|Up)?): /,
  // The instruction meter, which features of a table may name in 1.5, where it is none.
  /^\.body\.\d+\.(nonmiss|miss)Features\.instructions: \[object Set\], \[object Set\]$/,
  // Fields of a packet of which nothing says that it has such.
  /^\.body\.(packetIn\.)?flowMetadata\.(flow|mask)\.\d+: -?\d+, 0$/,
  // A duration of 2^32 - 1 seconds is none.
  /\.durationNsec: \d+, 4294967295$/,
];

/** A table of 1.1 has what cannot be matched among the wildcards; read again, as by stock, those are matched. */
const SETTLES_LATE = /^OFPST11_TABLE_REPLY$/;

/** Type and length of 1.1's match, which messages of later versions may have, too. */
const OLD_MATCH = Buffer.from('00000058', 'hex');

/** What was written and read before is so again; `isLate`: after another time. */
function checkStable(m: OfMessage, out: Uint8Array, context: MessageContext, isLate: boolean): void {
  if (isLate) {
    out = encodeMessage({ ...m } as OfMessageOut, context);
    m = decodeMessage(out, context);
  }
  const twice = encodeMessage({ ...m } as OfMessageOut, context);
  const name = `${m.raw.name} ${m.version}`;
  const again = decodeMessage(twice, context);
  check(
    isDeepStrictEqual(again, m),
    () => `${name} becomes another again; ${differences(m, again, '', []).join('; ')}`,
  );
  check(Buffer.compare(twice, out) === 0, () => `${name}: the same is written in two ways`);
}

function runMessage(r: Uint8Array, seen: Seen): void {
  const options = r[0]!;
  const bytes = r.slice(1, 1 + MAX_SIZE);
  if ((options & OPTION.KEEPS_LENGTH) === 0 && bytes.length >= 4) new DataView(bytes.buffer).setUint16(2, bytes.length);
  const context: MessageContext = { hasFlowModTableId: (options & OPTION.TABLE_ID) !== 0 };
  const first = read(bytes, context, seen);
  if (first === undefined) return;
  seen.add(`${first.raw.name} ${first.version}`);
  // Messages of other versions are read if they mean the same in all of them; nobody writes them.  Errors have no words for codes unknown.
  if (first.version < 1 || first.version > 6 || (first.kind === 'error' && first.body.err === undefined)) return;
  let out: Uint8Array;
  try {
    out = encodeMessage({ ...first } as OfMessageOut, context);
  } catch (error) {
    // Padding or another form of the same may make it longer than a message can be.
    if (error instanceof RangeError && bytes.length > 40_000) return;
    throw error;
  }
  const second = decodeMessage(out, context);
  const differs = isDeepStrictEqual(second, first) ? [] : differences(first, second, '', []);
  const hasOldMatch = first.version <= 2 || Buffer.from(bytes).includes(OLD_MATCH);
  const hasOldMeter = first.kind === 'flow_mod' && first.version <= 3 && first.body.ofpacts[0]?.kind === 'meter';
  const lossy = losses(hasOldMatch, hasOldMeter);
  if (differs.length > 0 && differs.every((d) => lossy.some((loss) => loss.test(d)))) {
    // 1.1 writes the protocol of IPv6, which it cannot read.
    checkStable(second, out, context, hasOldMatch);
    return;
  }
  check(differs.length === 0, () => `${first.raw.name} ${first.version} became another; ${differs.join('; ')}`);
  checkStable(second, out, context, SETTLES_LATE.test(first.raw.name));
}

/** A flow_mod of a text at random, in a version at random. */
function flowMod(random: Random): Uint8Array | undefined {
  const version = (1 + random.below(6)) as OfVersion;
  try {
    const { flow } = parseFlow(flowText(random));
    return encodeMessage(
      { kind: 'flow_mod', version, xid: 1, body: newFlowMod('ADD', flow) },
      { hasFlowModTableId: true },
    );
  } catch (error) {
    if (error instanceof OfpTextError || error instanceof OfpError || error instanceof RangeError) return undefined;
    throw error;
  }
}

let seeds: readonly Uint8Array[] | undefined;

export const ofpMessageTarget: FuzzTarget = {
  name: 'ofp-message',

  generate(random: Random): Case {
    seeds ??= readCorpus('ofp-message').flat();
    const made = seeds.length === 0 || random.oneIn(3) ? flowMod(random) : undefined;
    if (made !== undefined) return [record(OPTION.TABLE_ID, made)];
    return seeds.length === 0 ? [record(0, [1, 0, 0, 8, 0, 0, 0, 1])] : [random.pick(seeds)];
  },

  mutateRecord: mutateMessage,

  run(records: Case): string[] {
    const seen: Seen = new Set();
    for (const r of records.slice(0, 8)) runMessage(r, seen);
    return [...seen];
  },
};
