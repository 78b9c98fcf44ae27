/** When many masks are told of, and when again; what becomes of flows when there are too many. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MaskWatch } from '../../src/ofproto/udpif/mask-watch.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { MAC_A, MAC_B, udp } from './fakes.ts';
import { type Rig, withRig } from './rig.ts';

const MANY =
  "WARN|system@ovs-system: 1000 masks in the datapath: each packet's flow is looked for under them, one after the other";

describe('what is said', () => {
  let said: string[];
  let watch: MaskWatch;
  beforeEach(() => {
    said = [];
    watch = new MaskWatch('system@ovs-system');
    setConsole((text) => said.push(text.split('|').slice(3).join('|').trimEnd()));
  });
  afterEach(() => setConsole(undefined));

  it('tells of many masks once, until they were few', () => {
    for (const n of [undefined, 0, 999]) watch.look(n);
    expect(said).toEqual([]);
    for (const n of [1000, 1200, 999, 501, 1000]) watch.look(n);
    expect(said).toEqual([MANY]);
    watch.look(500);
    watch.look(1000);
    expect(said).toEqual([MANY, 'INFO|system@ovs-system: 500 masks in the datapath again', MANY]);
  });

  it('tells once of flows that are exact, and of their end', () => {
    watch.look(1000);
    said = [];
    for (const n of [1999, 2000, 2100, 1999, 1001, 2000]) watch.look(n);
    expect(said).toEqual([
      'WARN|system@ovs-system: 2000 masks in the datapath: new flows match all of their packet until there are 1000',
    ]);
    watch.look(undefined);
    expect(watch.isFull).toBe(true);
    watch.look(1000);
    expect(watch.isFull).toBe(false);
    expect(said.slice(1)).toEqual([
      'INFO|system@ovs-system: 1000 masks in the datapath: new flows match only what decides again',
    ]);
  });

  it('tells of both where the number leaps', () => {
    watch.look(5000);
    expect(said).toHaveLength(2);
    watch.look(0);
    expect(said).toHaveLength(4);
  });
});

describe('too many masks', () => {
  let rig: Rig;
  withRig((r) => {
    rig = r;
  });
  /** As the datapath is asked for its statistics in the next round. */
  const setMasks = async (n: number): Promise<void> => {
    rig.dpif.nMasks = n;
    await rig.scheduler.advance(600);
  };
  /** Of the flow that is installed for a packet from `tpSrc`. */
  const maskOfFlow = async (tpSrc: number): Promise<Uint8Array | undefined> => {
    await rig.forward(udp(2, MAC_A, MAC_B, { tpSrc }));
    const puts = rig.dpif.operated.flat().filter((op) => op.type === 'put');
    expect(puts).toHaveLength(1);
    return puts[0]?.mask;
  };

  it('makes new flows exact, until half of the masks are gone', async () => {
    expect(await maskOfFlow(1)).toBeDefined();
    await setMasks(1999);
    expect(await maskOfFlow(2)).toBeDefined();
    await setMasks(2000);
    expect(await maskOfFlow(3)).toBeUndefined();
    await setMasks(1001);
    expect(await maskOfFlow(4)).toBeUndefined();
    await setMasks(1000);
    expect(await maskOfFlow(5)).toBeDefined();
  });

  it('has exact flows do what wide ones do, and leaves both alone', async () => {
    const wide = await rig.forward(udp(2, MAC_A, MAC_B, { tpSrc: 1 }));
    await setMasks(2000);
    expect(await rig.forward(udp(2, MAC_A, MAC_B, { tpSrc: 2 }))).toEqual(wide);
    await setMasks(1);
    expect(rig.flowActions).toEqual([...wide, ...wide]);
  });

  it('is told of by upcall/show', async () => {
    const usual = rig.backer.showUpcall();
    expect(usual).not.toContain('masks');
    await setMasks(2345);
    expect(rig.backer.showUpcall()).toContain('  masks         : (current 2345) new flows are exact\n');
    await setMasks(3);
    expect(rig.backer.showUpcall()).not.toContain('masks');
  });
});
