/** Translation: which address and port, there and back, errors, checksums, and what helpers read and rewrite. */

import { describe, expect, test } from 'vitest';
import { FIELD } from '../../../../src/flow/fields.ts';
import { getField } from '../../../../src/flow/flow-key.ts';
import { ERRNO } from '../../../../src/util/errno.ts';
import { checksumsAreRight, eth, icmpv6, ipv4, ipv4With, ipv6With, sum16 } from '../../../support/frames.ts';
import { fc } from '../../../support/property.ts';
import { CtRig, ct } from '../ct-rig.ts';

const [A, B, N] = ['10.0.0.1', '10.0.0.2', '10.1.0.9'];
type Proto = 6 | 17;
const frame = (
  proto: Proto,
  src: string,
  srcPort: number,
  dst: string,
  dstPort: number,
  payload: number[] = [1, 2, 3],
) => eth(0x0800, ipv4With(proto, { srcPort, dstPort, flags: 2, payload }, { src, dst }));
const reply = (src: string, srcPort: number, dst: string, dstPort: number) => frame(17, src, srcPort, dst, dstPort);

/** "10.0.0.1:1000>10.0.0.2:53" of an IPv4 frame. */
function flowOf(f: readonly number[]): string {
  const port = (at: number) => (f[at]! << 8) | f[at + 1]!;
  return `${f.slice(26, 30).join('.')}:${port(34)}>${f.slice(30, 34).join('.')}:${port(36)}`;
}
const NAT = [ct.nat()];
const snat = (ip: string, ...more: number[][]) => [ct.commit(), ct.nat(ct.src(), ct.ip(ip), ...more)];
const dnat = (ip: string, ...more: number[][]) => [ct.commit(), ct.nat(ct.dst(), ct.ip(ip), ...more)];

describe('source and destination', () => {
  test('there and back, in packet and key', () => {
    const rig = new CtRig();
    const there = rig.run(reply(A, 1000, B, 53), snat(N, ct.ports(5000)));
    expect([flowOf(there.frame), there.state]).toEqual(['10.1.0.9:5000>10.0.0.2:53', 'new|trk|snat']);
    expect(checksumsAreRight(there.frame)).toBe(true);
    expect([getField(there.key, FIELD.nwSrc), getField(there.key, FIELD.tpSrc)]).toEqual([0x0a010009, 5000]);
    const back = rig.run(reply(B, 53, N, 5000), NAT);
    expect([flowOf(back.frame), back.state]).toEqual(['10.0.0.2:53>10.0.0.1:1000', 'est|rpl|trk|dnat']);
    expect(checksumsAreRight(back.frame)).toBe(true);
    expect(flowOf(rig.run(reply(A, 1000, B, 53), NAT).frame)).toBe('10.1.0.9:5000>10.0.0.2:53');
  });

  test('destination NAT is seen as source NAT of the answer', () => {
    const rig = new CtRig();
    const there = rig.run(reply(A, 1000, N, 80), dnat(B, ct.ports(8080)));
    expect([flowOf(there.frame), there.state]).toEqual(['10.0.0.1:1000>10.0.0.2:8080', 'new|trk|snat|dnat']);
    const back = rig.run(reply(B, 8080, A, 1000), NAT);
    expect([flowOf(back.frame), back.state]).toEqual(['10.1.0.9:80>10.0.0.1:1000', 'est|rpl|trk|snat']);
  });

  // biome-ignore format: table
  test.each<[string, Proto, number[], number, number]>([
    ['UDP joins a connection that NAT never saw',  17, [],       0,          1],
    ['UDP does not join one that NAT did see',     17, ct.nat(ct.src(), ct.ip(B)), -ERRNO.EINVAL, 0],
    ['TCP joins none',                              6, [],       -ERRNO.EINVAL, 0],
  ])('a translation whose answers are another connection: %s', (_name, proto, nat, status, nResolved) => {
    const rig = new CtRig();
    rig.run(frame(proto, B, 53, N, 5000), [ct.commit(), nat].filter((list) => list.length > 0));
    const there = rig.run(frame(proto, A, 1000, B, 53), snat(N, ct.ports(5000)));
    expect([there.status, rig.tracker.stats.clashResolved, rig.tracker.count]).toEqual([status, nResolved, 1]);
    if (status === 0) expect([flowOf(there.frame), there.state]).toEqual(['10.1.0.9:5000>10.0.0.2:53', 'new|trk|snat']);
  });

  test('without a range, only a port that is taken changes', () => {
    const rig = new CtRig();
    rig.run(reply(A, 30001, N, 80), dnat(B));
    const free = rig.run(reply(A, 30000, B, 80), [ct.commit(), ct.nat(ct.src())]);
    expect([flowOf(free.frame), free.state]).toEqual(['10.0.0.1:30000>10.0.0.2:80', 'new|trk|snat']);
    const taken = flowOf(rig.run(reply(A, 30001, B, 80), [ct.commit(), ct.nat(ct.src())]).frame);
    expect(taken).toMatch(/^10\.0\.0\.1:\d+>10\.0\.0\.2:80$/);
    expect(taken).not.toContain(':30001');
  });

  test('two hosts behind one address with the same port', () => {
    const rig = new CtRig();
    expect(flowOf(rig.run(reply(A, 2000, B, 53), snat(N)).frame)).toBe('10.1.0.9:2000>10.0.0.2:53');
    const other = flowOf(rig.run(reply('10.0.0.3', 2000, B, 53), snat(N)).frame);
    expect(other).not.toBe('10.1.0.9:2000>10.0.0.2:53');
    const port = Number(/:(\d+)>/.exec(other)![1]);
    expect(port).toBeGreaterThanOrEqual(1024);
    expect(flowOf(rig.run(reply(B, 53, N, port), NAT).frame)).toBe('10.0.0.2:53>10.0.0.3:2000');
  });

  test('a range that is used up', () => {
    const rig = new CtRig();
    const action = snat(N, ct.ports(5000, 5001));
    expect(rig.run(reply(A, 1, B, 53), action).status).toBe(0);
    expect(rig.run(reply(A, 2, B, 53), action).status).toBe(0);
    expect(rig.run(reply(A, 3, B, 53), action).status, 'no tuple is left').toBeLessThan(0);
    expect(rig.tracker.count).toBe(2);
  });

  test('one source keeps its address: to one destination, and to all if it is persistent', () => {
    const addrs = (persistent: boolean) => {
      const rig = new CtRig();
      const more = persistent ? [ct.persistent()] : [];
      const list = Array.from({ length: 20 }, (_, i) => {
        const f = reply(A, 1000 + i, `10.2.0.${i}`, 53);
        return flowOf(rig.run(f, [ct.commit(), ct.nat(ct.src(), ct.ip('10.1.0.1', '10.1.0.200'), ...more)]).frame);
      });
      return new Set(list.map((text) => text.split(':')[0]));
    };
    expect(addrs(true).size).toBe(1);
    expect(addrs(false).size).toBeGreaterThan(5);
  });

  test('ICMP errors: the packet that is quoted is translated too', () => {
    const rig = new CtRig();
    const out = rig.run(reply(A, 1000, B, 53), snat(N, ct.ports(5000))).frame;
    const body = [3, 1, 0, 0, 0, 0, 0, 0, ...out.slice(14)];
    const check = ~sum16(body) & 0xffff;
    body.splice(2, 2, check >> 8, check & 255);
    const error = rig.run(eth(0x0800, ipv4(1, body, { src: '10.9.9.9', dst: N })), NAT);
    expect(error.state).toBe('rel|rpl|trk|dnat');
    expect(error.frame.slice(30, 34)).toEqual([10, 0, 0, 1]);
    const inner = error.frame.slice(42);
    expect(inner.slice(12, 16)).toEqual([10, 0, 0, 1]);
    expect((inner[20]! << 8) | inner[21]!).toBe(1000);
    expect(sum16(error.frame.slice(14, 34))).toBe(0xffff);
    expect(sum16(error.frame.slice(34))).toBe(0xffff);
    expect(sum16(inner.slice(0, 20))).toBe(0xffff);
  });

  test('IPv6 and ICMPv6', () => {
    const rig = new CtRig();
    const echo = eth(0x86dd, icmpv6([128, 0, 0, 0, 0, 7, 0, 1], { src: '2001::1', dst: '2001::2' }));
    const out = rig.run(echo, [ct.commit(), ct.nat(ct.src(), ct.ip('2001::99'))]).frame;
    expect(out[37]).toBe(0x99);
    expect(checksumsAreRight(out)).toBe(true);
    const udp = eth(0x86dd, ipv6With(17, { srcPort: 1, dstPort: 2 }, { src: '2001::1', dst: '2001::2' }));
    const { frame: translated } = rig.run(udp, [ct.commit(), ct.nat(ct.dst(), ct.ip('2001::77'), ct.ports(99))]);
    expect([translated[53], translated[57]]).toEqual([0x77, 99]);
    expect(checksumsAreRight(translated)).toBe(true);
  });

  test('back is the inverse of there, whatever the range', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Proto>(6, 17),
        fc.nat(200),
        fc.integer({ min: 1, max: 65_535 }),
        fc.boolean(),
        fc.nat(50),
        fc.option(fc.tuple(fc.integer({ min: 1, max: 60_000 }), fc.nat(100)), { nil: undefined }),
        fc.boolean(),
        (proto, host, port, isSource, width, ports, isRandom) => {
          const rig = new CtRig(64, Math.random);
          const src = `10.0.0.${host + 1}`;
          const sent = frame(proto, src, port, B, 80);
          const range = [
            ct.ip('10.1.0.1', `10.1.0.${1 + width}`),
            ...(ports === undefined ? [] : [ct.ports(ports[0], ports[0] + ports[1])]),
            ...(isRandom ? [ct.random()] : []),
          ];
          const out = rig.run(sent, [ct.commit(), ct.nat(isSource ? ct.src() : ct.dst(), ...range)]).frame;
          if (!checksumsAreRight(out)) return false;
          const [from, to] = flowOf(out)
            .split('>')
            .map((e) => e.split(':')) as [[string, string], [string, string]];
          const answer = eth(
            0x0800,
            ipv4With(
              proto,
              { srcPort: Number(to[1]), dstPort: Number(from[1]), flags: 0x12, seq: 9, payload: [] },
              { src: to[0], dst: from[0] },
            ),
          );
          const back = rig.run(answer, NAT);
          return checksumsAreRight(back.frame) && flowOf(back.frame) === `${B}:80>${src}:${port}`;
        },
      ),
      { numRuns: 300 },
    );
  });
});
