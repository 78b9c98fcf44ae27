import { describe, expect, it } from 'vitest';
import { OdpActionsBuilder } from '../../src/odp/odp-actions.ts';
import { splitActions } from '../../src/ofproto/xlate/commit/split-actions.ts';
import { fc } from '../support/property.ts';
import { actionsText } from './nests.ts';

/** What a packet's outputs are: port and number of tags it has then. */
function run(actions: Uint8Array): string[] {
  const seen: string[] = [];
  let tags = 0;
  for (const a of actionsText(actions).split(/,(?![^(]*\))/)) {
    if (a.startsWith('push_vlan')) tags++;
    else if (a === 'pop_vlan') tags--;
    else seen.push(`${a}/${tags}`);
  }
  return seen;
}

describe('splitActions', () => {
  it('does what the whole list does', () => {
    const steps = fc.array(fc.oneof(fc.nat(9), fc.constantFrom('push', 'pop')), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 40, max: 600 }), (list, maxSize) => {
        const builder = new OdpActionsBuilder();
        for (const s of [...list, 1]) {
          if (s === 'push') builder.pushVlan(0x8100, 0x1001);
          else if (s === 'pop') builder.popVlan();
          else builder.output(Number(s));
        }
        const whole = builder.finish();
        const parts = splitActions(whole, maxSize);
        expect(parts.flatMap(run)).toEqual(run(whole));
        if (whole.length <= maxSize) expect(parts.length).toBe(1);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps parts small', () => {
    const builder = new OdpActionsBuilder();
    for (let i = 0; i < 1000; i++) builder.output(i);
    for (const part of splitActions(builder.finish(), 100)) expect(part.length).toBeLessThanOrEqual(100);
  });
});
