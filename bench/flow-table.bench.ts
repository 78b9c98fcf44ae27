/** Cost of a look-up: with the mask cache, without it for 1 to 256 masks, and with many flows. */
import { EMPTY_PROGRAM } from '../src/datapath/actions/action-program.ts';
import { FlowTable } from '../src/datapath/flow-table/flow-table.ts';
import { FIELD } from '../src/flow/fields.ts';
import { extractHeaders } from '../src/flow/flow-extract.ts';
import { hashFlow } from '../src/flow/flow-hash.ts';
import { newFlowKey, setField, setFieldOnes } from '../src/flow/flow-key.ts';
import { eth, ipv4With } from '../test/support/frames.ts';
import { newArena, packetOf } from '../test/support/packets.ts';
import { measure } from './measure.ts';

const key = newFlowKey();
extractHeaders(packetOf(newArena(1), eth(0x0800, ipv4With(17))), key);
setField(key, FIELD.inPort, 1);
const hash = hashFlow(key);

/** A typical megaflow's mask, and others that differ in one field. */
function maskOf(i: number) {
  const mask = newFlowKey();
  for (const f of [
    'recircId',
    'inPort',
    'packetType',
    'ethSrc',
    'ethDst',
    'ethType',
    'vlanTci',
    'nwProto',
    'nwFrag',
  ] as const) {
    setFieldOnes(mask, FIELD[f]);
  }
  setField(mask, FIELD.nwDst, 0xffffffff);
  setField(mask, FIELD.tpDst, 1 + (i & 0xff));
  return mask;
}

for (const nMasks of [1, 4, 16, 64, 256]) {
  const table = new FlowTable();
  // The flow is under the last mask; the others hold flows for other packets.
  for (let i = nMasks - 1; i >= 0; i--) {
    const other = key.slice();
    if (i > 0) setField(other, FIELD.nwDst, i);
    table.insert({ key: other, mask: maskOf(i), program: EMPTY_PROGRAM });
  }
  if (table.lookup(key) === undefined) throw new Error('the flow is not found');
  let found = 0;
  measure(`${nMasks} masks, cache hit`, 500_000, (n) => {
    for (let i = 0; i < n; i++) if (table.lookupPacket(key, hash) !== undefined) found++;
  });
  measure(`${nMasks} masks, no cache`, Math.ceil(500_000 / nMasks), (n) => {
    for (let i = 0; i < n; i++) if (table.lookupPacket(key, 0) !== undefined) found++;
  });
  if (found === 0) throw new Error('nothing found');
}

{
  const N = 200_000;
  const table = new FlowTable();
  const mask = maskOf(255);
  globalThis.gc?.();
  const before = process.memoryUsage();
  const start = process.hrtime.bigint();
  for (let i = 0; i < N; i++) {
    setField(key, FIELD.nwDst, i);
    table.insert({ key, mask, ufid: crypto.getRandomValues(new Uint8Array(16)), program: EMPTY_PROGRAM });
  }
  const us = Number(process.hrtime.bigint() - start) / 1000 / N;
  globalThis.gc?.();
  const after = process.memoryUsage();
  const used = (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / N;
  console.log(`insert ${N} flows: ${us.toFixed(2)} us and ${used.toFixed(0)} bytes each (without actions)`);
  let at = 0;
  measure(`${N} flows, random look-up`, 500_000, (n) => {
    for (let i = 0; i < n; i++) {
      at = (at + 77_777) % N;
      key[FIELD.nwDst.word] = at;
      table.lookupPacket(key, hash);
    }
  });
}
