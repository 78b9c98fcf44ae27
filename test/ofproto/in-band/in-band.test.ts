/** In-band control: which hidden flows there are, and when. */
import { describe, expect, test } from 'vitest';
import { expandTo } from '../../../src/flow/minimatch.ts';
import { parseTarget } from '../../../src/ofproto/connmgr/service/target.ts';
import { InBand } from '../../../src/ofproto/in-band/in-band.ts';
import { remoteOf } from '../../../src/ofproto/in-band/in-band-remotes.ts';
import { inBandRules } from '../../../src/ofproto/in-band/in-band-rules.ts';
import { FlowTables } from '../../../src/ofproto/tables/flow-tables.ts';
import { OFPRR } from '../../../src/ofproto/tables/rule-change.ts';
import { formatActions } from '../../../src/openflow/actions/index.ts';
import { newMatch } from '../../../src/openflow/match/match.ts';
import { formatMatch } from '../../../src/openflow/match/match-text.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import type { PhyPort } from '../../../src/openflow/messages/switch/switch-types.ts';

const LOCAL = Uint8Array.of(0xaa, 0xbb, 0xcc, 0, 0, 1);
const HOP = Uint8Array.of(0, 0x10, 0x20, 0x30, 0x40, 0x50);
const controller = { ip: Uint8Array.of(10, 0, 0, 7), port: 6653 };

function rig() {
  const tables = new FlowTables(() => {});
  let hwAddr = LOCAL;
  const sw = { name: 'br0', tables, phyPort: () => ({ hwAddr }) as PhyPort };
  const inBand = new InBand(sw);
  const flows = () =>
    [...tables.rules()]
      .map((rule) => {
        const match = newMatch();
        expandTo(rule.match, match.flow, match.mask);
        return `${rule.priority} ${formatMatch(match)},actions=${formatActions(rule.actions)}`;
      })
      .sort();
  return { tables, inBand, flows, setMac: (mac: Uint8Array) => (hwAddr = Uint8Array.from(mac)) };
}

const BASE = [
  '180000 udp,in_port=LOCAL,dl_src=aa:bb:cc:00:00:01,tp_src=68,tp_dst=67,actions=NORMAL',
  '180001 arp,dl_dst=aa:bb:cc:00:00:01,arp_op=2,actions=NORMAL',
  '180002 arp,dl_src=aa:bb:cc:00:00:01,arp_op=1,actions=NORMAL',
  '180005 arp,arp_tpa=10.0.0.7,arp_op=2,actions=NORMAL',
  '180006 arp,arp_spa=10.0.0.7,arp_op=1,actions=NORMAL',
  '180007 tcp,nw_dst=10.0.0.7,tp_dst=6653,actions=NORMAL',
  '180008 tcp,nw_src=10.0.0.7,tp_src=6653,actions=NORMAL',
];
const OF_HOP = [
  '180003 arp,dl_dst=00:10:20:30:40:50,arp_op=2,actions=NORMAL',
  '180004 arp,dl_src=00:10:20:30:40:50,arp_op=1,actions=NORMAL',
];

describe('rules', () => {
  test('of a controller, and of the next hop once it is known', async () => {
    const { inBand, flows, tables } = rig();
    const asked: number[] = [];
    let now = 0;
    let mac: Uint8Array | undefined;
    inBand.configure([controller], undefined, async () => {
      asked.push(now);
      return mac;
    });
    expect(flows()).toEqual(BASE);
    // Nobody sees them, and none is counted.
    expect([
      ...tables.select({ ...newFlowMod('DELETE'), table: 0, strictPriority: undefined, withHidden: false }),
    ]).toEqual([]);
    for (now = 0; now <= 2000; now += 1000) {
      if (now === 2000) mac = HOP;
      inBand.run(now);
      await Promise.resolve();
      await Promise.resolve();
    }
    expect(flows()).toEqual([...BASE, ...OF_HOP].sort());
    // What is known is asked for less often.
    for (now = 3000; now <= 12000; now += 1000) inBand.run(now);
    expect(asked).toEqual([0, 1000, 2000, 12000]);
  });

  test('follow the local address, the settings, and a flush', () => {
    const { inBand, flows, setMac, tables } = rig();
    inBand.configure([controller], undefined, undefined);
    setMac(HOP);
    inBand.run(1000);
    expect(flows()[0]).toContain('dl_src=00:10:20:30:40:50');
    expect(flows().length).toBe(BASE.length);
    tables.removeAll([...tables.rules()], OFPRR.DELETE);
    inBand.flushed();
    expect(flows().length).toBe(BASE.length);
    inBand.configure([controller], 5, undefined);
    expect(flows().every((line) => line.endsWith('actions=set_queue:5,NORMAL'))).toBe(true);
    expect(inBand.isActive).toBe(true);
    inBand.configure([], undefined, undefined);
    expect([flows(), inBand.isActive]).toEqual([[], false]);
  });

  test('a next hop that turns up after the controller is gone changes nothing', async () => {
    const { inBand, flows } = rig();
    let answer: (mac: Uint8Array) => void = () => {};
    inBand.configure([controller], undefined, () => new Promise((resolve) => (answer = resolve)));
    inBand.run(0);
    inBand.configure([], undefined, undefined);
    answer(HOP);
    await Promise.resolve();
    await Promise.resolve();
    expect(flows()).toEqual([]);
  });

  test('what controllers share is there once', () => {
    const other = { ip: Uint8Array.of(10, 0, 0, 7), port: 6654 };
    const rules = inBandRules(LOCAL, [
      { ...controller, mac: HOP },
      { ...other, mac: HOP },
    ]);
    expect(rules.length).toBe(BASE.length + OF_HOP.length + 2);
    expect(inBandRules(LOCAL, [])).toEqual([]);
  });
});

describe('remotes', () => {
  test.each([
    ['tcp:10.0.0.7', 6653],
    ['ssl:10.0.0.7:1234', 1234],
  ])('%s', (target, port) => {
    expect(remoteOf(target)).toEqual({ ip: controller.ip, port });
  });
  test.each(['unix:/x', 'ptcp:6653', 'tcp:[::1]:6653', 'tcp:controller:6653', 'tcp:', 'none'])(
    '%s is none',
    (target) => {
      expect(remoteOf(target)).toBeUndefined();
    },
  );
  test('ports of others are not those of OpenFlow', () => {
    expect(remoteOf('tcp:10.0.0.7', 6640)?.port).toBe(6640);
    expect(parseTarget('tcp:h', '/')).toMatchObject({ port: 6653 });
  });
});
