import { describe, expect, it } from 'vitest';
import { Ufid } from '../../src/odp/odp-ufid.ts';
import { FLOW_DEL_REASON, UKEY, Ukey, type UkeyState } from '../../src/ofproto/udpif/ukey.ts';
import { UkeyMap } from '../../src/ofproto/udpif/ukey-map.ts';
import './fakes.ts';

const UFID = new Ufid(1, 2, 3, 4);
const make = (ufid = UFID, key = Uint8Array.of(1)): Ukey =>
  new Ukey({ ufid, hasUfid: true, key, mask: undefined, actions: new Uint8Array(0), revalSeq: 1, createdMs: 0 });

const { CREATED, VISIBLE, OPERATIONAL, INCONSISTENT, EVICTING, EVICTED, DELETED } = UKEY;

describe('Ukey', () => {
  it.each<UkeyState[]>([
    [VISIBLE, OPERATIONAL, EVICTING, EVICTED, DELETED],
    [VISIBLE, OPERATIONAL, OPERATIONAL, INCONSISTENT, EVICTING, EVICTED, DELETED],
    [VISIBLE, EVICTED, DELETED],
    [VISIBLE, EVICTING, EVICTED, DELETED],
  ])('lives through %j', (...states) => {
    const ukey = make();
    for (const s of states) ukey.transition(s);
    expect(ukey.state).toBe(states.at(-1));
  });

  it.each([
    [[], OPERATIONAL],
    [[], EVICTED],
    [[VISIBLE], VISIBLE],
    [[VISIBLE], DELETED],
    [[VISIBLE, OPERATIONAL], VISIBLE],
    [[VISIBLE, OPERATIONAL], EVICTED],
    [[VISIBLE, OPERATIONAL, EVICTING], OPERATIONAL],
    [[VISIBLE, EVICTED], CREATED],
    [[VISIBLE, EVICTED, DELETED], EVICTED],
  ] as [UkeyState[], UkeyState][])('after %j does not go to %i', (states, next) => {
    const ukey = make();
    for (const s of states) ukey.transition(s);
    expect(() => ukey.transition(next)).toThrow(/invalid transition/);
  });

  it('knows twelve reasons to delete a flow', () => {
    expect(Object.keys(FLOW_DEL_REASON).length).toBe(12);
  });
});

describe('UkeyMap', () => {
  it('has one ukey a flow, and lets a new one take the place of an evicted one', () => {
    const map = new UkeyMap();
    const first = make();
    expect(map.install(first)).toBe(true);
    expect(map.install(make())).toBe(false);
    first.transition(OPERATIONAL);
    first.transition(EVICTING);
    expect(map.install(make())).toBe(false);
    first.transition(EVICTED);
    first.dumpSeq = 7;
    const second = make();
    expect(map.install(second)).toBe(true);
    expect([first.state, second.state, second.dumpSeq]).toEqual([DELETED, VISIBLE, 7]);
    expect([...map]).toEqual([second]);
    second.transition(EVICTED);
    map.delete(second);
    expect(map.size).toBe(0);
  });

  it('refuses two keys for one UFID', () => {
    const map = new UkeyMap();
    const first = make();
    map.install(first);
    first.transition(EVICTED);
    expect(map.install(make(UFID, Uint8Array.of(2)))).toBe(false);
    expect(map.get(UFID)).toBe(first);
  });
});
