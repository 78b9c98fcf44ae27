/** Requests that come while another connection's transaction takes its turns. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeMessage } from '../../../src/openflow/messages/codec.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import { setClock } from '../../../src/util/clock.ts';
import { OfRig } from '../../fuzz/of-rig.ts';

const ECHO = { request: 2, reply: 3 } as const;
const FEATURES_REPLY = 6;

let rig: OfRig;
beforeEach(async () => {
  rig = new OfRig();
  await rig.open();
});
afterEach(async () => {
  await rig.close();
  setClock(undefined);
});

test('an echo is answered at once, what may ask for the tables when they are whole again', async () => {
  const { stream } = rig.connect(1 << 4, 'service');
  await rig.settle();
  stream.messages();
  const tx = rig.br.tables.begin();
  tx.apply(newFlowMod('ADD', { priority: 7 }));
  stream.push(Buffer.from([4, ECHO.request, 0, 8, 0, 0, 0, 1]));
  stream.push(encodeMessage({ kind: 'features_request', version: 4, xid: 2, body: undefined }));
  stream.push(Buffer.from([4, ECHO.request, 0, 8, 0, 0, 0, 3]));
  await rig.settle();
  const seen = (): number[] => stream.messages().map((m) => m[1] as number);
  expect(seen()).toEqual([ECHO.reply]);
  tx.commit();
  await rig.settle();
  expect(seen()).toEqual([FEATURES_REPLY, ECHO.reply]);
});
