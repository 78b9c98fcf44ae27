/**
 * What a person can ask the datapath process itself, besides what goes over netlink: tables of commands and the text that
 * they answer.  main.ts puts them on a control socket, for `ovs-appctl -t PATH COMMAND`.
 *
 * A command throws RangeError for an argument that makes no sense.
 */

import { FIELD, type Field } from '../flow/fields.ts';
import { fixed } from '../util/fixed.ts';
import type { Datapath } from './datapath.ts';
import type { Datapaths } from './datapaths.ts';
import { DROP, type DropReason, dropName } from './drop-reasons.ts';
import type { Mask } from './flow-table/flow.ts';

/** One command, in the form in which a control socket wants them. */
export interface ControlCommand {
  readonly name: string;
  readonly usage: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  run(args: readonly string[]): string;
}

/** The commands about `datapaths`. */
export function controlCommands(datapaths: Datapaths): ControlCommand[] {
  const about = (what: string, describe: (dp: Datapath) => readonly string[]): ControlCommand => ({
    name: `datapath/${what}`,
    usage: '[dp]',
    minArgs: 0,
    maxArgs: 1,
    run: ([name]) =>
      choose(datapaths, name)
        .map((dp) => [`${nameOf(dp)}:`, ...describe(dp).map((line) => `  ${line}`), ''].join('\n'))
        .join(''),
  });
  return [about('show', show), about('drops', drops), about('masks', masks)];
}

const nameOf = (dp: Datapath): string => dp.vport(0)?.backend.name ?? dp.name;

function choose(datapaths: Datapaths, name: string | undefined): Datapath[] {
  const all = [...datapaths.all()];
  if (name === undefined) return all;
  const one = all.filter((dp) => nameOf(dp) === name);
  if (one.length === 0) throw new RangeError(`${name}: no such datapath`);
  return one;
}

/** Numbers of things, and what became of packets. */
function show(dp: Datapath): string[] {
  const { table } = dp;
  const nPackets = dp.nHit + dp.nMissed;
  const perPacket = nPackets === 0 ? 0 : table.nMaskHit / nPackets;
  const dropped = dp.drops.reduce((sum, n) => sum + n, 0);
  return [
    `ports: ${dp.nPorts}`,
    `flows: ${table.count}`,
    `meters: ${dp.meters.count}`,
    `lookups: hit:${dp.nHit} missed:${dp.nMissed} lost:${dp.nLost}`,
    `masks: hit:${table.nMaskHit} total:${table.nMasks} hit/pkt:${fixed(perPacket, 2)}`,
    `masks-cache: size:${table.maskCacheSize} hit:${table.nCacheHit}`,
    `drops: ${dropped}`,
  ];
}

/** A counter for each reason, those that never happened too. */
const drops = (dp: Datapath): string[] =>
  Object.values(DROP).map((reason: DropReason) => `${dropName(reason).padEnd(16)} ${dp.drops[reason]}`);

/** Each mask, in the order in which look-ups try them; hits are those since masks were last put in order. */
const masks = (dp: Datapath): string[] =>
  dp.table.allMasks().map((mask) => `flows:${mask.refCount} hits:${mask.usage} fields:${fieldsOf(mask).join(',')}`);

/** Names of the fields that a mask has bits of. */
function fieldsOf(mask: Mask): string[] {
  const wordBits = new Map<number, number>();
  for (let i = 0; i < mask.plan.length; i += 2) wordBits.set(mask.plan[i]!, mask.plan[i + 1]!);
  return Object.values(FIELD)
    .filter((field) => hasBits(field, wordBits))
    .map((field) => field.name);
}

function hasBits({ at, bits }: Field, wordBits: ReadonlyMap<number, number>): boolean {
  for (let word = at >>> 5; word < (at + bits + 31) >>> 5; word++) {
    const from = Math.max(at - 32 * word, 0);
    const to = Math.min(at + bits - 32 * word, 32);
    const ofField = (0xffffffff >>> from) & ~(to === 32 ? 0 : 0xffffffff >>> to);
    if (((wordBits.get(word) ?? 0) & ofField) !== 0) return true;
  }
  return false;
}
