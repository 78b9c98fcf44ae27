/** When many masks are told of, and when again. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MaskAlarm } from '../../src/ofproto/udpif/mask-alarm.ts';
import { setConsole } from '../../src/util/vlog.ts';

let said: string[];
beforeEach(() => {
  said = [];
  setConsole((text) => said.push(text.split('|').slice(3).join('|').trimEnd()));
});
afterEach(() => setConsole(undefined));

const MANY =
  "WARN|system@ovs-system: 1000 masks in the datapath: each packet's flow is looked for under them, one after the other";

test('many masks are told of once, until they were few', () => {
  const alarm = new MaskAlarm('system@ovs-system');
  for (const n of [undefined, 0, 999]) alarm.look(n);
  expect(said).toEqual([]);
  for (const n of [1000, 1200, 999, 501, 1000]) alarm.look(n);
  expect(said).toEqual([MANY]);
  alarm.look(500);
  alarm.look(1000);
  expect(said).toEqual([MANY, 'INFO|system@ovs-system: 500 masks in the datapath again', MANY]);
});
