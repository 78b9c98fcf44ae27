/** CT actions on packets: state, zones, marks, labels, commit, force, ICMP, timeouts, limits. */

import { describe, expect, test } from 'vitest';
import { FIELD } from '../../../src/flow/fields.ts';
import { getField } from '../../../src/flow/flow-key.ts';
import { ERRNO } from '../../../src/util/errno.ts';
import { bytes, eth, icmpv6, ipv4, ipv4With, ipv6With, sum16 } from '../../support/frames.ts';
import { fc } from '../../support/property.ts';
import { CtRig, ct } from './ct-rig.ts';

const [A, B] = ['10.0.0.1', '10.0.0.2'];
const udp = (src: string, dst: string, srcPort: number, dstPort: number, payload: number[] = [1, 2, 3, 4]) =>
  eth(0x0800, ipv4With(17, { srcPort, dstPort, payload }, { src, dst }));
function icmp(src: string, dst: string, type: number, code: number, body: readonly number[]): number[] {
  const all = [type, code, 0, 0, ...body];
  const check = ~sum16(all) & 0xffff;
  all[2] = check >> 8;
  all[3] = check & 255;
  return eth(0x0800, ipv4(1, all, { src, dst }));
}
/** An error about the IP packet of `frame`. */
const errorAbout = (src: string, dst: string, frame: readonly number[], type = 3, code = 1) =>
  icmp(src, dst, type, code, [0, 0, 0, 0, ...frame.slice(14, 14 + 28)]);

describe('states', () => {
  test('a UDP flow: new until it is answered, a stream after two seconds', () => {
    const rig = new CtRig();
    const there = udp(A, B, 1000, 53);
    const back = udp(B, A, 53, 1000);
    expect(rig.look(there)).toBe('new|trk');
    expect(rig.look(back), 'nothing was committed').toBe('new|trk');
    expect(rig.commit(there).state).toBe('new|trk');
    expect(rig.look(there), 'confirmed, but not answered').toBe('new|trk');
    expect(rig.look(back)).toBe('est|rpl|trk');
    expect(rig.look(there)).toBe('est|trk');
    const left = () => (rig.tracker.table.timeout[connOf(rig)]! - rig.now) / 1000;
    expect(left()).toBe(30);
    rig.now += 3000;
    rig.look(there);
    expect(left()).toBe(120);
  });

  test('zones do not meet', () => {
    const rig = new CtRig();
    rig.commit(udp(A, B, 1, 2), ct.zone(5));
    expect(rig.look(udp(B, A, 2, 1), 5)).toBe('est|rpl|trk');
    expect(rig.look(udp(B, A, 2, 1), 6)).toBe('new|trk');
    const { key } = rig.run(udp(A, B, 1, 2), [ct.zone(5)]);
    expect(getField(key, FIELD.ctZone)).toBe(5);
  });

  test('the original tuple is in the key of both directions, and goes with ct_clear', () => {
    const rig = new CtRig();
    rig.commit(udp(A, B, 1000, 53));
    const { key, pkt } = rig.run(udp(B, A, 53, 1000), [[]]);
    const words = [FIELD.ctNwSrc, FIELD.ctNwDst, FIELD.ctTpSrc, FIELD.ctTpDst, FIELD.ctNwProto].map((f) =>
      getField(key, f),
    );
    expect(words).toEqual([0x0a000001, 0x0a000002, 1000, 53, 17]);
    rig.executor.clear(pkt, key);
    for (const f of [FIELD.ctState, FIELD.ctZone, FIELD.ctNwSrc, FIELD.ctTpSrc, FIELD.ctNwProto]) {
      expect(getField(key, f), f.name).toBe(0);
    }
  });

  test('ICMP: a query and its answer, and errors about a connection', () => {
    const rig = new CtRig();
    const body = [0, 7, 0, 1];
    expect(rig.commit(icmp(A, B, 8, 0, body)).state).toBe('new|trk');
    expect(rig.look(icmp(B, A, 0, 0, body))).toBe('est|rpl|trk');
    expect(rig.look(icmp(B, A, 0, 0, [0, 8, 0, 1])), 'an answer that nobody asked for').toBe('inv|trk');
    rig.commit(udp(A, B, 9, 10));
    expect(rig.look(errorAbout('10.0.0.9', A, udp(A, B, 9, 10)))).toBe('rel|rpl|trk');
    expect(rig.look(errorAbout('10.0.0.9', B, udp(B, A, 10, 9)))).toBe('rel|trk');
    expect(rig.look(errorAbout('10.0.0.9', A, udp(A, B, 9, 11)))).toBe('inv|trk');
    expect(rig.look(errorAbout('10.0.0.9', '10.0.0.8', udp(A, B, 9, 10))), 'to another host').toBe('inv|trk');
  });

  test('ICMPv6: echo is tracked, neighbour discovery is not', () => {
    const rig = new CtRig();
    const echo = (type: number, src: string, dst: string) =>
      eth(0x86dd, icmpv6([type, 0, 0, 0, 0, 7, 0, 1], { src, dst }));
    rig.commit(echo(128, 'fe80::1', 'fe80::2'));
    expect(rig.look(echo(129, 'fe80::2', 'fe80::1'))).toBe('est|rpl|trk');
    const solicit = eth(0x86dd, icmpv6([135, ...Array<number>(23).fill(0)]));
    expect(rig.look(solicit)).toBe('inv|trk');
  });

  test('IPv6, and protocols without ports', () => {
    const rig = new CtRig();
    const frame = (src: string, dst: string) => eth(0x86dd, ipv6With(17, { srcPort: 5, dstPort: 5 }, { src, dst }));
    rig.commit(frame('fe80::1', 'fe80::2'));
    expect(rig.look(frame('fe80::2', 'fe80::1'))).toBe('est|rpl|trk');
    const other = (src: string, dst: string) => eth(0x0800, ipv4(89, [1, 2, 3, 4], { src, dst }));
    rig.commit(other(A, B));
    expect(rig.look(other(B, A))).toBe('est|rpl|trk');
  });
});

/** The only connection. */
function connOf(rig: CtRig): number {
  for (let conn = 0; conn < rig.tracker.table.capacity; conn++) if (rig.tracker.isShown(conn)) return conn;
  return -1;
}

describe('commit', () => {
  test('sets mark and labels under their masks', () => {
    const rig = new CtRig();
    const labels = Array.from({ length: 16 }, (_, i) => i);
    rig.commit(udp(A, B, 1, 2), ct.mark(0x1234), ct.labels(labels, Array<number>(16).fill(255)));
    const first = rig.run(udp(A, B, 1, 2), [[]]).key;
    expect(getField(first, FIELD.ctMark)).toBe(0x1234);
    expect(first[FIELD.ctLabels.word]).toBe(0x00010203);
    rig.commit(udp(A, B, 1, 2), ct.mark(0x00cd, 0x00ff));
    expect(getField(rig.run(udp(B, A, 2, 1), [[]]).key, FIELD.ctMark)).toBe(0x12cd);
  });

  test('of the wrong direction changes nothing, unless it is forced', () => {
    const rig = new CtRig();
    rig.commit(udp(A, B, 1, 2));
    expect(rig.commit(udp(B, A, 2, 1)).state).toBe('est|rpl|trk');
    expect(rig.run(udp(B, A, 2, 1), [[]], [ct.force()]).state).toBe('new|trk');
    expect(rig.look(udp(A, B, 1, 2))).toBe('est|rpl|trk');
    expect(rig.tracker.count).toBe(1);
  });

  test('of the same first packet twice is one connection', () => {
    const rig = new CtRig();
    // Both wait for userspace, and are tracked again when they come back: as packets with the same bytes.
    const one = rig.run(udp(A, B, 1, 2), [[]]);
    const two = rig.run(udp(A, B, 1, 2), [[]]);
    expect(rig.again(two.pkt, two.key, [ct.commit()]).status).toBe(0);
    expect(rig.again(one.pkt, one.key, [ct.commit()]).status).toBe(0);
    expect(rig.tracker.count).toBe(1);
  });

  test('a packet that came back from userspace finds its connection by its key', () => {
    const rig = new CtRig();
    rig.commit(udp(A, B, 1, 2));
    const { pkt, key } = rig.run(udp(A, B, 1, 2), [[]]);
    pkt.nfct = 0;
    const found = rig.tracker.stats.found;
    expect(rig.again(pkt, key, [ct.commit(), ct.mark(9)]).status).toBe(0);
    expect(rig.tracker.stats.found, 'it was not tracked again').toBe(found);
    expect(getField(rig.run(udp(A, B, 1, 2), [[]]).key, FIELD.ctMark)).toBe(9);
  });

  test('above the limit of its zone is refused, until one is over', () => {
    const rig = new CtRig();
    const { limits } = rig.tracker;
    limits.set(2, 1);
    expect(rig.commit(udp(A, B, 1, 2), ct.zone(2)).status).toBe(0);
    expect(rig.commit(udp(A, B, 3, 4), ct.zone(2)).status).toBe(-ERRNO.ENOMEM);
    expect(rig.commit(udp(A, B, 3, 4), ct.zone(3)).status, 'another zone').toBe(0);
    expect([limits.countOf(2), limits.countOf(3)]).toEqual([1, 0]);
    rig.now += 31_000;
    expect(rig.commit(udp(A, B, 3, 4), ct.zone(2)).status).toBe(0);
    expect(limits.countOf(2)).toBe(1);
  });

  test('with a timeout policy lives as long as that says', () => {
    const rig = new CtRig();
    rig.tracker.policies.set('p', 2, 17, [5000, 7000]);
    rig.commit(udp(A, B, 1, 2), ct.timeout('p'));
    expect(rig.tracker.table.timeout[connOf(rig)]! - rig.now).toBe(5000);
  });
});

describe('the table', () => {
  test('nothing is left when all is over', () => {
    const rig = new CtRig(100_000);
    for (let i = 0; i < 5000; i++)
      rig.commit(udp(A, B, 1000 + (i % 60_000), 1 + Math.floor(i / 60_000)), ct.zone(i % 7));
    expect(rig.tracker.count).toBe(5000);
    rig.now += 31_000;
    rig.look(udp(A, B, 1, 1));
    expect(rig.tracker.count).toBe(0);
    // Rows of the ring, which packets may still refer to, are all that is in use.
    for (let i = 0; i < 600; i++) rig.look(udp(A, B, 1, 2 + i));
    expect(rig.tracker.table.count).toBeLessThanOrEqual(256);
  });

  test('has room for so many, and lets unanswered ones go first', () => {
    const rig = new CtRig(16);
    rig.commit(udp(A, B, 1, 1));
    rig.look(udp(B, A, 1, 1));
    rig.now += 2500;
    rig.look(udp(A, B, 1, 1));
    for (let i = 0; i < 100; i++) expect(rig.commit(udp(A, B, 2, i + 1)).status).toBe(0);
    expect(rig.tracker.count).toBe(16);
    expect(rig.look(udp(A, B, 1, 1)), 'the stream has survived').toBe('est|trk');
  });

  test('says what a simple model says', () => {
    const step = fc.record({
      from: fc.nat(3),
      to: fc.nat(3),
      zone: fc.nat(1),
      commits: fc.boolean(),
      wait: fc.constantFrom(0, 0, 0, 1000, 20_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const rig = new CtRig();
        const model = new Map<string, { until: number; answered: boolean; streamAt: number }>();
        for (const { from, to, zone, commits, wait } of steps) {
          if (from === to) continue;
          rig.now += wait;
          for (const [k, c] of model) if (c.until <= rig.now) model.delete(k);
          const there = `${zone} ${from} ${to}`;
          const back = `${zone} ${to} ${from}`;
          const known = model.get(there) ?? model.get(back);
          let want = 'new|trk';
          if (known !== undefined) {
            const isReply = !model.has(there);
            want = isReply ? 'est|rpl|trk' : known.answered ? 'est|trk' : 'new|trk';
            known.until = rig.now + (known.answered && rig.now > known.streamAt ? 120_000 : 30_000);
            if (isReply) known.answered = true;
          }
          const frame = udp(`10.0.0.${from}`, `10.0.0.${to}`, 1, 1);
          const got = commits ? rig.commit(frame, ct.zone(zone)).state : rig.look(frame, zone);
          if (got !== want) return false;
          if (commits && known === undefined) {
            model.set(there, { until: rig.now + 30_000, answered: false, streamAt: rig.now + 2000 });
          }
          if (rig.tracker.count !== model.size) return false;
        }
        return true;
      }),
      { numRuns: 200 },
    );
  });
});

const ACTIONS: number[][][] = [
  [ct.commit()],
  [],
  [ct.commit(), ct.nat(ct.src(), ct.ip('10.9.9.1', '10.9.9.9'))],
  [ct.force()],
];
test('no frame whatever upsets it', () => {
  const rig = new CtRig();
  const frames = [
    udp(A, B, 1, 2),
    errorAbout(B, A, udp(A, B, 1, 2)),
    eth(0x86dd, ipv6With(6)),
    eth(0x0800, ipv4(132, bytes('0001000200000000000000000100001400000001'.repeat(2)))),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...frames),
      fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
      fc.nat(40),
      fc.constantFrom(...ACTIONS),
      (frame, changes, cut, action: number[][]) => {
        const bad = frame.slice(0, Math.max(34, frame.length - cut));
        for (const [at, value] of changes) if (at >= 14 && at < bad.length) bad[at] = value;
        try {
          rig.run(bad, [[]], action);
        } catch (error) {
          // Only that the key is not one of IP any more, or the address family is another one.
          if (!/^ct: /.test((error as Error).message)) throw error;
        }
      },
    ),
    { numRuns: 2000 },
  );
});
