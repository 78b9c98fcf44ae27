/** Limits of packet_ins: so many a second, each port its turn. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Pinsched } from '../../../../src/ofproto/connmgr/events/pinsched.ts';
import { FakeClock, setClock } from '../../../../src/util/clock.ts';

let clock: FakeClock;
let sent: number[];
let sched: Pinsched;
beforeEach(() => {
  clock = new FakeClock();
  setClock(clock);
  sent = [];
});
afterEach(() => {
  sched.close();
  setClock(undefined);
});

const make = (rate: number, burst: number): Pinsched => {
  sched = new Pinsched(rate, burst, (message) => sent.push(message[0] as number));
  return sched;
};
const message = (n: number): Uint8Array => Uint8Array.of(n);

test('a burst goes at once, the rest waits its turn, the longest queue loses', () => {
  make(100, 4);
  for (let n = 1; n <= 4; n++) sched.add(1, message(n));
  expect(sent).toEqual([1, 2, 3, 4]);
  for (const n of [5, 6, 7]) sched.add(1, message(n));
  sched.add(2, message(20));
  expect([sched.nNormal, sched.nLimited, sched.nQueued, sched.nDropped]).toEqual([4, 4, 4, 0]);
  sched.add(2, message(21)); // Port 1 has three, and loses its oldest.
  expect([sched.nQueued, sched.nDropped]).toEqual([4, 1]);
  sent.length = 0;
  clock.advance(20); // Two tokens.
  sched.run();
  expect(sent).toEqual([6, 20]);
  clock.advance(1000);
  sched.run();
  expect(sent).toEqual([6, 20, 7, 21]);
  expect(sched.nQueued).toBe(0);
});

test('tokens that nobody takes are kept up to the burst', () => {
  make(10, 2);
  clock.advance(100_000);
  for (let n = 1; n <= 3; n++) sched.add(1, message(n));
  expect(sent).toEqual([1, 2]);
});

test('what is waiting goes when its time has come, without being asked', async () => {
  make(1000, 1);
  sched.add(1, message(1));
  sched.add(1, message(2));
  expect(sent).toEqual([1]);
  clock.advance(10);
  await expect.poll(() => sent, { interval: 5, timeout: 60_000 }).toEqual([1, 2]);
});

test('no rate and no burst: those of a switch that is told nothing', () => {
  make(0, 0);
  for (let n = 0; n < 300; n++) sched.add(n, message(0));
  expect([sched.nNormal, sched.nLimited]).toEqual([250, 50]);
});
