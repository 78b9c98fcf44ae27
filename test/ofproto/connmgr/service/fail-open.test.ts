/** What a switch does when its controllers are away. */
import { expect, test } from 'vitest';
import { FailOpen } from '../../../../src/ofproto/connmgr/service/fail-open.ts';
import { FlowTables } from '../../../../src/ofproto/tables/flow-tables.ts';
import { OFPRR } from '../../../../src/ofproto/tables/rule-change.ts';
import type { PacketInEvent } from '../../../../src/ofproto/xlate/xbridge.ts';
import { newFlowMod } from '../../../../src/openflow/messages/flow/new-flow-mod.ts';
import { OFPP } from '../../../../src/openflow/ofp-port.ts';

const PRIORITY = 0xf0f0f0;

function rig() {
  const tables = new FlowTables(() => {});
  const failOpen = new FailOpen();
  const flush = (): void => {
    tables.removeAll([...tables.rules()], OFPRR.DELETE);
    failOpen.flushed(tables);
  };
  const away = (failureSec: number, isAnyAdmitted = false) =>
    failOpen.run({ failureSec, maxProbeSec: 5, isAnyAdmitted }, tables, flush);
  const priorities = () => [...tables.rules()].map((rule) => rule.priority);
  return { tables, failOpen, flush, away, priorities };
}

test('after three probes its own flow is the only one, until a controller takes the switch', () => {
  const { tables, failOpen, away, priorities } = rig();
  tables.apply(newFlowMod('ADD', { priority: 7 }));
  away(14);
  expect([failOpen.isActive, priorities()]).toEqual([false, [7]]);
  away(15);
  expect([failOpen.isActive, priorities()]).toEqual([true, [PRIORITY]]);
  // Controllers may add flows meanwhile: they wait below.
  tables.apply(newFlowMod('ADD', { priority: 8 }));
  away(0);
  away(16);
  expect(priorities().sort()).toEqual([PRIORITY, 8]);
  away(0, true);
  expect([failOpen.isActive, priorities()]).toEqual([false, [8]]);
});

test('flows that are flushed while it is active: its own comes back', () => {
  const { flush, away, priorities } = rig();
  flush();
  expect(priorities()).toEqual([]);
  away(20);
  flush();
  expect(priorities()).toEqual([PRIORITY]);
});

test('a controller that is connected gets something to react to every two seconds', () => {
  const { failOpen, away } = rig();
  const events: PacketInEvent[] = [];
  const tempt = (isConnected: boolean, ms: number) => {
    failOpen.tempt(isConnected, ms, (event) => events.push(event));
    return events.splice(0).length;
  };
  expect([0, 5000].map((ms) => tempt(true, ms))).toEqual([0, 0]);
  away(15);
  expect([0, 1999, 2000, 3999, 4000].map((ms) => tempt(true, ms))).toEqual([0, 0, 1, 0, 1]);
  expect([tempt(false, 6000), tempt(true, 7000), tempt(true, 8999), tempt(true, 9000)]).toEqual([0, 0, 0, 1]);
  failOpen.tempt(true, 11_000, (event) => events.push(event));
  const { packet, flowMetadata } = events[0]?.packetIn ?? {};
  const hex = Buffer.from(packet ?? []).toString('hex');
  expect(hex).toMatch(/^f{12}002320[89a-f][0-9a-f]{5}80350001080006040003002320/);
  expect(packet).toHaveLength(42);
  expect([...(flowMetadata?.flow ?? [])]).toContain(OFPP.LOCAL);
});
