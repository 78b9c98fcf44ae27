/** Packets with a priority: which socket they leave by, and what happens when one cannot be had. */
import { describe, expect, it } from 'vitest';
import { PriorityLanes } from '../../src/datapath/ports/priority-lanes.ts';
import type { NativePort } from '../../src/native/index.ts';
import { Arena, Packet, SLOT_SIZE } from '../../src/packet/packet.ts';

function setup(open: (priority: number) => void = () => undefined) {
  const arena = new Arena(new ArrayBuffer(512 * SLOT_SIZE));
  /** Frames in a call, by priority. */
  const sent: (readonly [priority: number, frames: number])[] = [];
  const closed: number[] = [];
  let takes = 64;
  const lanes = new PriorityLanes((priority) => {
    open(priority);
    const port: Partial<NativePort> = {
      send(_list, n) {
        sent.push([priority, n]);
        return Math.min(n, takes);
      },
      close: () => void closed.push(priority),
    };
    return port as NativePort;
  });
  const pkt = new Packet(arena);
  pkt.reset(arena.take());
  pkt.end = pkt.start + 60;
  const send = (priority: number, n = 1): void => {
    pkt.skbPriority = priority;
    for (let i = 0; i < n; i++) lanes.send(pkt);
  };
  return { lanes, sent, closed, send, takeOnly: (n: number) => (takes = n) };
}

describe('priority lanes', () => {
  it('has a socket for each priority, and sends what is queued at a flush', () => {
    const { lanes, sent, send } = setup();
    send(0x10001, 2);
    send(0x10005);
    send(0x10001);
    expect(sent).toEqual([]);
    lanes.flush();
    expect(sent).toEqual([
      [0x10001, 3],
      [0x10005, 1],
    ]);
    lanes.flush();
    expect(sent).toHaveLength(2);
  });

  it('sends a full batch at once', () => {
    const { sent, send } = setup();
    send(1, 65);
    expect(sent).toEqual([[1, 64]]);
  });

  it('counts what the device does not take', () => {
    const { lanes, send, takeOnly } = setup();
    takeOnly(1);
    send(1, 3);
    lanes.flush();
    expect(lanes.nDropped).toBe(2);
  });

  it('drops what it has no socket for, and tries again with the next', () => {
    let isBroken = true;
    const { lanes, sent, send } = setup(() => {
      if (isBroken) throw new Error('no device');
    });
    send(1);
    lanes.flush();
    expect([lanes.nDropped, sent]).toEqual([1, []]);
    isBroken = false;
    send(1);
    lanes.flush();
    expect([lanes.nDropped, sent]).toEqual([1, [[1, 1]]]);
  });

  it('starts afresh when there are too many, losing nothing', () => {
    const { lanes, sent, closed, send } = setup();
    for (let priority = 1; priority <= 257; priority++) send(priority);
    expect(sent).toHaveLength(256);
    expect(closed).toHaveLength(256);
    lanes.flush();
    expect(sent.at(-1)).toEqual([257, 1]);
    lanes.close();
    expect(closed).toHaveLength(257);
  });
});
