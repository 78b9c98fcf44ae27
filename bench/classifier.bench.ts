/**
 * What a look-up in 100,000 rules of 50 masks costs, with staged look-up and prefix tries, and without: CPU time, and the megaflows that packets
 * need.  Variants take turns, so that what else the machine does meets all of them.
 *
 *     npx tsx bench/classifier.bench.ts [rules] [masks]
 */
import { FIELD } from '../src/flow/fields.ts';
import { newFlow, setField } from '../src/flow/flow-key.ts';
import { miniFromFlow } from '../src/flow/minimatch.ts';
import { Classifier } from '../src/ofproto/classifier/classifier.ts';
import { type ClassifierRule, FOREVER } from '../src/ofproto/classifier/classifier-rule.ts';

const nRules = Number(process.argv[2] ?? 100_000);
const nMasks = Number(process.argv[3] ?? 50);
const ROUNDS = 31;

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

/** One from a network that no rule knows, to one of 16 servers: what comes in from outside. */
function stranger(): Int32Array {
  const flow = packet();
  setField(flow, FIELD.inPort, 1);
  setField(flow, FIELD.reg0, 0);
  setField(flow, FIELD.nwDst, 0x0a010200 | random(16));
  setField(flow, FIELD.nwSrc, 0x40000000 | random(0x40000000));
  setField(flow, FIELD.tpDst, 443);
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
const TRAFFIC = [
  { name: 'packets as of the rules', packets: Array.from({ length: 4096 }, packet) },
  { name: 'packets from elsewhere', packets: Array.from({ length: 4096 }, stranger) },
];

/** Has look-ups hash whole keys at once: what they cost without stages. */
function withoutStages(c: Classifier<ClassifierRule>): void {
  const inside = c as unknown as {
    isCompiled: boolean;
    order: { stages: { words: Uint16Array; ends: number[]; segments: number[] }; indexes: unknown[] }[];
  };
  for (const { stages, indexes } of inside.order) {
    stages.ends.splice(0, stages.ends.length, stages.words.length);
    stages.segments.splice(0, stages.segments.length - 1);
    indexes.length = 0;
  }
  inside.isCompiled = false;
}

/** CPU time, as others may be at work on the machine.  us */
function cpuUs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return user + system;
}

interface Variant {
  readonly name: string;
  readonly classifier: Classifier<ClassifierRule>;
  readonly insertUs: number;
}

function variant(name: string, { tries = true, stages = true } = {}): Variant {
  const classifier = new Classifier<ClassifierRule>();
  if (tries) {
    classifier.setPrefixFields([
      { at: FIELD.nwDst.at, bits: 32 },
      { at: FIELD.nwSrc.at, bits: 32 },
    ]);
  }
  const start = process.cpuUsage();
  for (const r of rules) classifier.insert(r);
  const insertUs = cpuUs(start) / nRules;
  if (!stages) withoutStages(classifier);
  return { name, classifier, insertUs };
}

/** Bits in the wildcards on the average, and how many megaflows all packets make. */
function megaflows(c: Classifier<ClassifierRule>, packets: readonly Int32Array[]): { bits: number; n: number } {
  const made = new Set<string>();
  let bits = 0;
  for (const p of packets) {
    const wc = newFlow();
    c.lookup(p, 1, wc);
    for (const w of wc) for (let x = w >>> 0; x !== 0; x = (x & (x - 1)) >>> 0) bits++;
    made.add(`${p.map((w, i) => w & (wc[i] as number))} ${wc}`);
  }
  return { bits: bits / packets.length, n: made.size };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] as number;

console.log(`${nRules} rules, ${nMasks} masks; CPU us a look-up, best and median of ${ROUNDS}`);
const variants = [
  variant('stages and tries'),
  variant('stages alone', { tries: false }),
  variant('neither', { tries: false, stages: false }),
];
const wc = newFlow();
for (const { name, packets } of TRAFFIC) {
  const rounds = variants.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { classifier }] of variants.entries()) {
      const start = process.cpuUsage();
      for (const p of packets) classifier.lookup(p, 1, wc.fill(0));
      rounds[i]?.push(cpuUs(start) / packets.length);
    }
  }
  console.log(name);
  for (const [i, v] of variants.entries()) {
    const times = rounds[i] as number[];
    const { bits, n } = megaflows(v.classifier, packets);
    console.log(
      `  ${v.name.padEnd(18)} ${Math.min(...times).toFixed(2)}  ${median(times).toFixed(2)}   bits in a megaflow ${bits.toFixed(0)}, megaflows for ${packets.length} packets ${n}, insertion ${v.insertUs.toFixed(2)} us`,
    );
  }
}
