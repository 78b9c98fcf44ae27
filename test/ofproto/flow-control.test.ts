import { afterEach, describe, expect, it } from 'vitest';
import { flowModes } from '../../src/ofproto/udpif/udpif-state.ts';
import { readCoverage } from '../../src/util/coverage.ts';
import { MAC_A, MAC_B, missOf, udp } from './fakes.ts';
import { bundle, type Rig, withRig } from './rig.ts';

let rig: Rig;
withRig((r) => {
  rig = r;
});
afterEach(() => {
  flowModes.megaflows = true;
  flowModes.ufid = true;
});

describe('revalidator/purge', () => {
  it('deletes the flows and credits their packets', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B), udp(3, MAC_B, MAC_A));
    const before = readCoverage('flow_del_purge') ?? 0;
    for (const f of rig.dpif.flows.values()) rig.dpif.hit(f, 5);
    await rig.backer.flows.purge();
    expect(rig.dpif.flows.size).toBe(0);
    expect((readCoverage('flow_del_purge') ?? 0) - before).toBe(2);
    const [rule] = rig.br.tables.rules();
    expect(rule?.nPackets).toBe(12n);
    expect(rig.backer.showUpcall()).toContain('(keys 0)');
    // They can be installed at once.
    expect(await rig.forward(udp(2, MAC_A, MAC_B))).toHaveLength(1);
  });

  it('deletes a flow whose installation is not yet confirmed', async () => {
    const installing = rig.dpif.upcall(missOf(udp(2, MAC_A, MAC_B)));
    await rig.backer.flows.purge();
    await installing;
    expect(rig.dpif.flows.size).toBe(0);
    expect(rig.backer.showUpcall()).toContain('(keys 0)');
  });
});

describe('revalidator/pause', () => {
  it('leaves flows as they are until they are let go on', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B));
    await rig.backer.flows.pause();
    const [before] = rig.flowActions;
    rig.br.bundleSet(bundle('v3', { isProtected: true, vlanMode: 'access', tag: 7 }));
    await rig.scheduler.advance(20_000);
    expect(rig.flowActions).toEqual([before]);
    rig.backer.flows.resume();
    await rig.scheduler.advance(20);
    expect(rig.flowActions).toEqual([]);
  });

  it('does not keep the switch from ending', async () => {
    await rig.backer.flows.pause();
  });
});

describe('upcall/disable-megaflows', () => {
  it('gives each packet that differs a flow of its own', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B));
    flowModes.megaflows = false;
    await rig.backer.flows.flush();
    expect(rig.dpif.flows.size).toBe(0);
    await rig.forward(udp(2, MAC_A, MAC_B));
    expect(rig.dpif.only.mask).toBeUndefined();
    // Such a flow is right as long as its actions are.
    const [actions] = rig.flowActions;
    rig.br.bundleSet(bundle('v3', { vlanMode: 'access', tag: 7 }));
    await rig.scheduler.advance(20);
    expect(rig.flowActions).not.toEqual([actions]);
    expect(rig.dpif.flows.size).toBe(1);
  });

  it('installs nothing while all flows are being deleted', async () => {
    await rig.forward(udp(2, MAC_A, MAC_B));
    const flushing = rig.backer.flows.flush();
    await rig.dpif.upcall(missOf(udp(3, MAC_B, MAC_A)));
    await flushing;
    expect(rig.dpif.flows.size).toBe(0);
    expect(await rig.forward(udp(3, MAC_B, MAC_A))).toHaveLength(1);
  });
});

it('upcall/disable-ufid: dumps are whole, and revalidation goes on', async () => {
  flowModes.ufid = false;
  expect(rig.backer.showUpcall()).toContain('ufid enabled : false');
  await rig.forward(udp(2, MAC_A, MAC_B));
  await rig.scheduler.advance(9000);
  expect(rig.dpif.flows.size).toBe(1);
  await rig.scheduler.advance(2000);
  expect(rig.dpif.flows.size).toBe(0);
});

it('upcall/set-flow-limit: no flow is installed beyond it, though packets pass', async () => {
  rig.backer.flows.setFlowLimit(1);
  await rig.forward(udp(2, MAC_A, MAC_B));
  rig.scheduler.clock.advance(200);
  await rig.forward(udp(3, MAC_B, MAC_A));
  await rig.forward(udp(4, MAC_B, MAC_A));
  expect(rig.dpif.flows.size).toBe(1);
  expect(rig.nExecuted).toBe(1);
});

// Each bridge has four rules of its own in table 254, as stock says.
it('memory/show counts', () => {
  expect(rig.backer.memory()).toEqual({ handlers: 1, revalidators: 1, 'udpif keys': 0, ports: 4, rules: 5 });
});
