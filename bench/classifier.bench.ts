/**
 * What a look-up in 100,000 rules of 50 masks costs, with staged look-up and prefix tries, and without.  CPU time.
 *
 *     npx tsx bench/classifier.bench.ts [rules] [masks]
 */
import { FIELD } from '../src/flow/fields.ts';
import { newFlow, setField } from '../src/flow/flow-key.ts';
import { miniFromFlow } from '../src/flow/minimatch.ts';
import { Classifier } from '../src/ofproto/classifier/classifier.ts';
import { type ClassifierRule, FOREVER } from '../src/ofproto/classifier/subtable.ts';

const nRules = Number(process.argv[2] ?? 100_000);
const nMasks = Number(process.argv[3] ?? 50);

let state = 1;
const random = (n: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 0x100000000) * n);
};

/** A mask: an in_port or not, a register or not, a prefix of each address, a port or not. */
function maskOf(i: number): Int32Array {
  const mask = newFlow();
  const len = (n: number): number => (n === 0 ? 0 : (-1 << (32 - n)) >>> 0);
  setField(mask, FIELD.ethType, 0xffff);
  if (i % 2 === 0) setField(mask, FIELD.inPort, 0xffffffff);
  if (i % 3 === 0) setField(mask, FIELD.reg0, 0xffffffff);
  setField(mask, FIELD.nwDst, len(8 + (i % 25)));
  if (i % 5 !== 0) setField(mask, FIELD.nwSrc, len(8 + ((i * 7) % 25)));
  if (i % 4 === 0) setField(mask, FIELD.tpDst, 0xffff);
  return mask;
}

function packet(): Int32Array {
  const flow = newFlow();
  setField(flow, FIELD.ethType, 0x0800);
  setField(flow, FIELD.inPort, random(16));
  setField(flow, FIELD.reg0, random(4));
  setField(flow, FIELD.nwDst, 0x0a000000 | random(0x1000000));
  setField(flow, FIELD.nwSrc, 0xc0a80000 | random(0x10000));
  setField(flow, FIELD.tpDst, random(1024));
  return flow;
}

const masks = Array.from({ length: nMasks }, (_, i) => maskOf(i));
const rules = Array.from(
  { length: nRules },
  (_, i): ClassifierRule => ({
    match: miniFromFlow(packet(), masks[i % nMasks] as Int32Array),
    priority: random(100) * nRules + i,
    conjunctions: undefined,
    addedIn: 0,
    removedIn: FOREVER,
  }),
);
const packets = Array.from({ length: 4096 }, packet);

/** Has look-ups hash whole keys at once: what they cost without stages. */
function withoutStages(c: Classifier<ClassifierRule>): void {
  const { order } = c as unknown as { order: { words: Uint16Array; ends: number[]; indexes: unknown[] }[] };
  for (const s of order) {
    s.ends.splice(0, s.ends.length, s.words.length);
    s.indexes.length = 0;
  }
}

/** CPU time, as others may be at work on the machine.  us */
function cpuUs(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}

function run(name: string, { tries = true, stages = true, wildcards = true } = {}): void {
  const c = new Classifier<ClassifierRule>();
  if (tries) {
    c.setPrefixFields([
      { at: FIELD.nwDst.at, bits: 32 },
      { at: FIELD.nwSrc.at, bits: 32 },
    ]);
  }
  const built = process.cpuUsage();
  for (const r of rules) c.insert(r);
  const insertUs = cpuUs(built) / nRules;
  if (!stages) withoutStages(c);
  const wc = newFlow();
  const rounds: number[] = [];
  let bits = 0;
  for (let round = 0; round < 15; round++) {
    const start = process.cpuUsage();
    for (const p of packets) c.lookup(p, 1, wildcards ? wc : undefined);
    rounds.push(cpuUs(start) / packets.length);
  }
  for (const p of packets.slice(0, 500)) {
    wc.fill(0);
    c.lookup(p, 1, wc);
    for (const w of wc) for (let x = w >>> 0; x !== 0; x = (x & (x - 1)) >>> 0) bits++;
  }
  rounds.sort((a, b) => a - b);
  console.log(
    `${name.padEnd(34)} look-up ${rounds[0]?.toFixed(2)} us at best, ${rounds[7]?.toFixed(2)} median, insertion ${insertUs.toFixed(2)} us, bits in the wildcards ${(bits / 500).toFixed(0)}`,
  );
}

console.log(`${nRules} rules, ${nMasks} masks`);
run('stages and tries');
run('stages alone', { tries: false });
run('neither', { tries: false, stages: false });
run('stages, no wildcards asked for', { wildcards: false });
