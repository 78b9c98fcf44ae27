/**
 * What a new flow costs, both halves in one process and nothing but them: packets of which each misses go in at a device in memory, and
 * come out at another when vswitchd's half has translated them and installed their flows in the datapath's half.
 *
 *     npx esbuild bench/flow-setup.bench.ts --bundle --platform=node --format=esm --packages=external --outfile=build/flow-setup.mjs
 *     node build/flow-setup.mjs [flows] [rounds]
 *     node --cpu-prof build/flow-setup.mjs                     # where the time goes
 *
 * Not by tsx: that has every closure be given its name when it is made, as the program (scripts/bundle.ts) does not,
 * and takes 1.3 to 1.7 times as long.
 *
 * Prints CPU us a flow of each round (all threads: collections too) and the longest time that the event loop was blocked.  bench/flow-setup
 * is the same with processes, sockets and devices.
 */
import { performance } from 'node:perf_hooks';
import { DpifNetlinkProvider } from '../src/dpif-netlink/dpif-netlink.ts';
import { openBackerWith } from '../src/ofproto/backer/backer.ts';
import { systemScheduler } from '../src/ofproto/udpif/scheduler.ts';
import { parseFlow } from '../src/openflow/flow-text.ts';
import { OFPFC } from '../src/openflow/messages/flow/flow-types.ts';
import { MemoryHost } from '../test/support/memory-host.ts';

const nFlows = Number(process.argv[2] ?? 30_000);
const nRounds = Number(process.argv[3] ?? 4);
const BURST = 64;
const FLOWS = [
  'priority=1,actions=normal',
  'priority=10,in_port=1,udp,actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],move:NXM_OF_UDP_DST[]->NXM_NX_REG1[0..15],output:2',
];

const host = new MemoryHost();
const [v1, v2] = [host.addDevice('v1'), host.addDevice('v2')];
const options = { maxIdleMs: 60_000, flowLimit: 1_000_000, maxRevalidatorMs: 500, minRevalidatePps: 5 };
const provider = new DpifNetlinkProvider(async () => host.endpoint);
const backer = await openBackerWith(provider, 'ovs-system', options, systemScheduler);
backer.flows.setFlowLimit(1_000_000);
const br = backer.createOfproto('br0');
for (const name of ['br0', 'v1', 'v2']) {
  const isLocal = name === 'br0';
  await br.portAdd({ name, type: isLocal ? 'internal' : 'system', ofport: undefined, isLocal });
  br.bundleSet({ name, members: [name], vlanMode: 'trunk', tag: undefined, trunks: [], isProtected: false });
}
backer.configured();
for (const text of FLOWS) br.tables.apply(parseFlow(text, OFPFC.ADD).flow);

// Ethernet, IPv4, UDP of 18 bytes.
const frame = Buffer.from(
  `02000000000202000000000108004500002e00000000401100000a6300010a63004d03e807d0001a0000${'00'.repeat(18)}`,
  'hex',
);
let next = 0;
function send(): void {
  frame.writeUInt16BE(1000 + (next & 0x7fff), 34);
  frame.writeUInt16BE(2000 + (next >>> 15), 36);
  next++;
  v1.receive(frame);
}

let [longest, last] = [0, performance.now()];
const probe = setInterval(() => {
  const now = performance.now();
  longest = Math.max(longest, now - last);
  last = now;
}, 1);
for (let round = 0; round < nRounds; round++) {
  const end = next + nFlows;
  const before = process.cpuUsage();
  longest = 0;
  v2.sent.length = 0;
  while (next < end) {
    for (let i = 0; i < BURST; i++) send();
    // At most a few bursts are on their way.
    while (next - (end - nFlows) - v2.sent.length > 2 * BURST) await systemScheduler.yield();
  }
  while (v2.sent.length < next - (end - nFlows)) await systemScheduler.yield();
  const { user, system } = process.cpuUsage(before);
  console.log(`${((user + system) / nFlows).toFixed(1)} us a flow, blocked for ${longest.toFixed(0)} ms`);
}
clearInterval(probe);
await backer.close(true);
provider.close();
host.close();
