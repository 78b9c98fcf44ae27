/** Limits of conntrack zones: only what changes is told to the datapath. */
import { expect, test } from 'vitest';
import type { Dpif } from '../../../src/dpif/dpif.ts';
import type { DpifCt } from '../../../src/dpif/dpif-ct.ts';
import { CtZoneLimits, NO_LIMITS } from '../../../src/ofproto/backer/ct-zone-limits.ts';

/** What the datapath is told. */
function lab(fails = false) {
  const told: string[] = [];
  const ct: Partial<DpifCt> = {
    setLimits: async (defaultLimit, zones) => {
      told.push(`set ${defaultLimit ?? '-'} ${zones.map(({ zone, limit }) => `${zone}=${limit}`).join()}`);
      if (fails) throw new Error('no limits');
    },
    delLimits: async (zones) => void told.push(`del ${zones.join()}`),
  };
  return { told, limits: new CtZoneLimits({ ct } as Dpif) };
}
const wanted = (defaultLimit: number | undefined, zones: [number, number][]) => ({
  defaultLimit,
  zones: new Map(zones),
});

test('nothing is wanted, nothing is told: whoever set limits keeps them', async () => {
  const { told, limits } = lab();
  await limits.set(NO_LIMITS);
  expect(told).toEqual([]);
});

test('what changes is told, and what is no longer wanted taken back', async () => {
  const { told, limits } = lab();
  await limits.set(wanted(10, [[1, 5]]));
  await limits.set(wanted(10, [[1, 5]]));
  const next = wanted(10, [
    [1, 5],
    [2, 0],
  ]);
  await limits.set(next);
  await limits.set(wanted(undefined, [[2, 0]]));
  await limits.set(NO_LIMITS);
  expect(told).toEqual(['set 10 1=5', 'set - 2=0', 'set 0 ', 'del 1', 'del 2']);
});

test('a datapath that refuses, or tracks no connections, is no error', async () => {
  const { told, limits } = lab(true);
  await limits.set(wanted(undefined, [[1, 5]]));
  expect(told).toEqual(['set - 1=5']);
  await new CtZoneLimits({} as Dpif).set(wanted(1, []));
});
