/**
 * What requests of OpenFlow about many flows cost, in one process and nothing but them: the bytes that ovs-ofctl sends go in at a stream in
 * memory, and the answers are counted.
 *
 *     npx tsx bench/openflow-tables.bench.ts [flows] [rounds]       # tsx costs nothing here: it compiles before
 *     node --cpu-prof --import tsx bench/openflow-tables.bench.ts   # where the time goes
 *
 * Prints for each step the least CPU time of all rounds, in ms (all threads: collections too), us a flow, and the least of the longest times
 * that the event loop was blocked.  bench/openflow is the same with processes and sockets, next to stock.
 */
import { performance } from 'node:perf_hooks';
import { parseFlow } from '../src/openflow/flow-text.ts';
import { newMatch } from '../src/openflow/match/match.ts';
import { encodeMessage } from '../src/openflow/messages/codec.ts';
import {
  BUNDLE_CTRL,
  BUNDLE_FLAG,
  type FlowMod,
  OFPFC,
  OFPG,
  OFPTT_ALL,
} from '../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../src/openflow/messages/flow/new-flow-mod.ts';
import { OFPRAW } from '../src/openflow/ofp-msgs.ts';
import { OFPP } from '../src/openflow/ofp-port.ts';
import { setClock } from '../src/util/clock.ts';
import { OfRig, type RigConnection } from '../test/fuzz/of-rig.ts';

const nFlows = Number(process.argv[2] ?? 10_000);
const nRounds = Number(process.argv[3] ?? 3);
/** Bytes that a socket hands over at a time. */
const CHUNK = 65536;
const [OF10, OF14] = [1, 5] as const;

/** The flows of bench/openflow. */
const flows = Array.from({ length: nFlows }, (_, i): FlowMod => {
  const text = `table=${i % 4},priority=${100 + (i % 7)},tcp,nw_src=10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255},nw_dst=10.1.${Math.floor(i / 100) % 256}.${i % 100},tp_dst=${(i % 60000) + 1},actions=output:2`;
  return parseFlow(text, OFPFC.ADD).flow;
});

/** Messages as one stream of bytes. */
function streamOf(messages: Iterable<Uint8Array>): Buffer {
  return Buffer.concat([...messages]);
}

const xid = 7;
/** Of the request that ends a step. */
const LAST = 8;
const barrier = (version: 1 | 5, id: number): Uint8Array =>
  encodeMessage({ kind: 'barrier_request', version, xid: id, body: undefined });
const everything = {
  match: newMatch(),
  cookie: 0n,
  cookieMask: 0n,
  outPort: OFPP.NONE,
  outGroup: OFPG.ANY,
  tableId: OFPTT_ALL,
} as const;

const adds = streamOf(
  flows.flatMap((body) => [
    encodeMessage({ kind: 'flow_mod', version: OF10, xid, body }, { hasFlowModTableId: true }),
    barrier(OF10, xid),
  ]),
);
const dump10 = encodeMessage({
  kind: 'flow_stats_request',
  version: OF10,
  xid,
  body: everything,
  raw: OFPRAW.NXST_FLOW_REQUEST,
});
const dump14 = encodeMessage({ kind: 'flow_stats_request', version: OF14, xid, body: everything });
const flowMod = (version: 1 | 5, command: keyof typeof OFPFC, more: Partial<FlowMod> = {}): Uint8Array =>
  encodeMessage({ kind: 'flow_mod', version, xid, body: newFlowMod(command, more) }, { hasFlowModTableId: true });
const control = (type: number): Uint8Array =>
  encodeMessage({
    kind: 'bundle_control',
    version: OF14,
    xid,
    body: { bundleId: 1, type, flags: BUNDLE_FLAG.ORDERED },
  });
const bundle = streamOf([
  control(BUNDLE_CTRL.OPEN_REQUEST),
  ...flows.map((body) => {
    const message = encodeMessage({ kind: 'flow_mod', version: OF14, xid, body });
    const flags = BUNDLE_FLAG.ORDERED;
    return encodeMessage({ kind: 'bundle_add_message', version: OF14, xid, body: { bundleId: 1, flags, message } });
  }),
  control(BUNDLE_CTRL.CLOSE_REQUEST),
  control(BUNDLE_CTRL.COMMIT_REQUEST),
]);

const STEPS: readonly { readonly name: string; readonly version: 1 | 5; readonly bytes: Uint8Array }[] = [
  { name: 'add', version: OF10, bytes: adds },
  { name: 'dump', version: OF10, bytes: dump10 },
  { name: 'again', version: OF10, bytes: adds },
  { name: 'modify', version: OF14, bytes: flowMod(OF14, 'MODIFY', { tableId: 0, ofpacts: flows[0]?.ofpacts ?? [] }) },
  { name: 'del', version: OF10, bytes: flowMod(OF10, 'DELETE', { tableId: OFPTT_ALL }) },
  { name: 'bundle', version: OF14, bytes: bundle },
  { name: 'dump14', version: OF14, bytes: dump14 },
  { name: 'del', version: OF14, bytes: flowMod(OF14, 'DELETE', { tableId: OFPTT_ALL }) },
];

let [longest, last] = [0, performance.now()];
setInterval(() => {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
}, 1).unref();

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Sends bytes and a barrier; resolves when that is answered. */
async function run({ stream }: RigConnection, version: 1 | 5, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += CHUNK) {
    // As a socket does: memory of its own for what was read.
    while (stream.isPaused()) await turn();
    stream.taken.length = 0;
    stream.push(Buffer.from(bytes.subarray(at, at + CHUNK)));
    await turn();
  }
  stream.push(Buffer.from(barrier(version, LAST)));
  const isLast = (): boolean => stream.taken.at(-1)?.at(-1) === LAST;
  while (!isLast()) {
    stream.taken.length = 0;
    await turn();
  }
  stream.taken.length = 0;
}

const rig = new OfRig();
await rig.open();
setClock(undefined);
const conns = new Map<number, RigConnection>();
for (const version of [OF10, OF14]) {
  const connection = rig.connect(1 << version, 'service');
  await rig.settle();
  conns.set(version, connection);
}
const conn10 = conns.get(OF10)?.conn();
if (conn10 !== undefined) conn10.hasFlowModTableId = true;

rig.br.tables.apply(newFlowMod('DELETE', { tableId: OFPTT_ALL }));
const nOwn = rig.br.tables.size;
const best = new Map<number, { ms: number; blocked: number }>();
for (let round = 0; round < nRounds; round++) {
  for (const [i, { name, version, bytes }] of STEPS.entries()) {
    globalThis.gc?.();
    await turn();
    [longest, last] = [0, performance.now()];
    const before = process.cpuUsage();
    await run(conns.get(version) as RigConnection, version, bytes);
    const { user, system } = process.cpuUsage(before);
    await new Promise((resolve) => setTimeout(resolve, 2));
    const ms = (user + system) / 1000;
    const known = best.get(i) ?? { ms, blocked: longest };
    best.set(i, { ms: Math.min(ms, known.ms), blocked: Math.min(longest, known.blocked) });
    const size = rig.br.tables.size - nOwn;
    if (size !== (name === 'del' ? 0 : nFlows)) throw new Error(`${name}: ${size} flows`);
  }
}
console.log(`${nFlows} flows: CPU ms, us a flow, ms blocked`);
for (const [i, { name }] of STEPS.entries()) {
  const { ms, blocked } = best.get(i) ?? { ms: 0, blocked: 0 };
  console.log(
    `${name.padEnd(8)} ${ms.toFixed(0).padStart(7)} ${((ms * 1000) / nFlows).toFixed(2).padStart(8)} ${blocked.toFixed(0).padStart(6)}`,
  );
}
await rig.close();
process.exit(0);
