/** How the flow_mods of a connection are told to the log. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FlowModLog } from '../../../src/ofproto/connmgr/flow-mod-log.ts';
import { OFPFC } from '../../../src/openflow/messages/flow/flow-types.ts';
import { FakeClock, monotonicMs, setClock } from '../../../src/util/clock.ts';
import { setConsole } from '../../../src/util/vlog.ts';
import { setLevelsFromString } from '../../../src/util/vlog-settings.ts';

let clock: FakeClock;
let lines: string[];
beforeEach(() => {
  clock = new FakeClock();
  setClock(clock);
  lines = [];
  setLevelsFromString('console:info');
  setConsole((line) => void lines.push(line.replace(/^.*\|INFO\|/, '').trim()));
});
afterEach(() => {
  setClock(undefined);
  setConsole(undefined);
});

test('ten seconds after the first, then at most once in 60 s', () => {
  const flowMods = new FlowModLog('br0<->unix#1');
  for (const command of [OFPFC.ADD, OFPFC.ADD, OFPFC.MODIFY_STRICT, OFPFC.DELETE]) flowMods.count(command);
  clock.advance(9999);
  flowMods.run(monotonicMs());
  expect(lines).toEqual([]);
  clock.advance(1);
  flowMods.run(monotonicMs());
  expect(lines.splice(0)).toEqual(['br0<->unix#1: 4 flow_mods 10 s ago (2 adds, 1 deletes, 1 modifications)']);
  flowMods.count(OFPFC.MODIFY);
  clock.advance(5000);
  flowMods.count(OFPFC.MODIFY);
  clock.advance(54_999);
  flowMods.run(monotonicMs());
  expect(lines).toEqual([]);
  clock.advance(1);
  flowMods.run(monotonicMs());
  expect(lines.splice(0)).toEqual(['br0<->unix#1: 2 flow_mods in the 5 s starting 60 s ago (2 modifications)']);
});

test('what is not told yet is told at the end', () => {
  const flowMods = new FlowModLog('c');
  flowMods.report(monotonicMs());
  flowMods.count(OFPFC.DELETE_STRICT);
  flowMods.report(monotonicMs());
  flowMods.report(monotonicMs());
  expect(lines).toEqual(['c: 1 flow_mods in the last 0 s (1 deletes)']);
});
