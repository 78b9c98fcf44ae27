/**
 * Packets of the host's own stack: in the kernel they come through internal ports with the state that the host's conntrack
 * has given them, in zone 0.
 */
import { describe, expect, test } from 'vitest';
import { CS_F } from '../../../src/datapath/conntrack/ct-constants.ts';
import { FIELD } from '../../../src/flow/fields.ts';
import { extractHeaders, extractMetadata } from '../../../src/flow/flow-extract.ts';
import { type FlowKey, getField, newFlowKey } from '../../../src/flow/flow-key.ts';
import type { Packet } from '../../../src/packet/packet.ts';
import { eth, ipv4, ipv4With, ipv6With } from '../../support/frames.ts';
import { packetOf } from '../../support/packets.ts';
import { CtRig, ct, stateOf } from './ct-rig.ts';

const [A, B] = ['10.0.0.1', '10.0.0.2'];
const udp = (src: string, dst: string, srcPort: number, dstPort: number) =>
  eth(0x0800, ipv4With(17, { srcPort, dstPort, payload: [1, 2, 3, 4] }, { src, dst }));
const THERE = udp(A, B, 1000, 53);
const BACK = udp(B, A, 53, 1000);

function received(rig: CtRig, frame: readonly number[]): { pkt: Packet; key: FlowKey } {
  const pkt = packetOf(rig.arena, frame);
  const key = newFlowKey();
  extractMetadata(pkt, key);
  extractHeaders(pkt, key);
  return { pkt, key };
}
function fromHost(rig: CtRig, frame: readonly number[]): FlowKey {
  const { pkt, key } = received(rig, frame);
  rig.hostStack.fromHost(pkt, key);
  rig.arena.give(pkt.slot);
  return key;
}
function toHost(rig: CtRig, frame: readonly number[]): void {
  const { pkt } = received(rig, frame);
  rig.hostStack.toHost(pkt);
  rig.arena.give(pkt.slot);
}

describe('from the host', () => {
  test('a connection is new until the host got an answer', () => {
    const rig = new CtRig();
    expect(stateOf(fromHost(rig, THERE))).toBe('new|trk');
    expect(stateOf(fromHost(rig, THERE))).toBe('new|trk');
    toHost(rig, BACK);
    const key = fromHost(rig, THERE);
    expect(stateOf(key)).toBe('est|trk');
    expect([getField(key, FIELD.ctZone), getField(key, FIELD.ctTpDst)]).toEqual([0, 53]);
    expect(rig.tracker.count).toBe(1);
  });

  test('what others began is answered', () => {
    const rig = new CtRig();
    toHost(rig, BACK);
    expect(stateOf(fromHost(rig, THERE))).toBe('est|rpl|trk');
  });

  test('IPv6', () => {
    const rig = new CtRig();
    expect(stateOf(fromHost(rig, eth(0x86dd, ipv6With(17, { srcPort: 1, dstPort: 2 }))))).toBe('new|trk');
  });

  test('an action in another zone looks anew', () => {
    const rig = new CtRig();
    const { pkt, key } = received(rig, THERE);
    rig.hostStack.fromHost(pkt, key);
    const { state } = rig.again(pkt, key, [ct.zone(7)]);
    expect([state, getField(key, FIELD.ctZone)]).toEqual(['new|trk', 7]);
    expect(rig.look(BACK, 7), 'nothing was committed there').toBe('new|trk');
  });

  // biome-ignore format: table
  test.each<[string, number[]]>([
    ['a fragment',            eth(0x0800, ipv4(17, [0, 1, 0, 2, 0, 8, 0, 0], { frag: 0x2000 }))],
    ['an invalid packet',     eth(0x0800, ipv4(6, [0, 1, 0, 2]))],
    ['neither IPv4 nor IPv6', eth(0x8847, [0, 0, 0x11, 64, 1, 2, 3, 4])],
  ])('%s has no state', (_what, frame) => {
    const rig = new CtRig();
    expect(getField(fromHost(rig, frame), FIELD.ctState)).toBe(0);
    expect(rig.tracker.count).toBe(0);
  });
});

test('what goes to the host keeps the connection that an action gave it', () => {
  const rig = new CtRig();
  const { pkt, key } = received(rig, THERE);
  rig.again(pkt, key, [ct.commit(), ct.zone(9)]);
  const before = [pkt.nfct, pkt.nfctGen, pkt.nfctInfo];
  rig.hostStack.toHost(pkt);
  expect([pkt.nfct, pkt.nfctGen, pkt.nfctInfo]).toEqual(before);
  expect(getField(key, FIELD.ctState) & CS_F.NEW).not.toBe(0);
  expect(rig.tracker.count, 'in zones 9 and 0').toBe(2);
});
