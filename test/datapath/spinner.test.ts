/** When the datapath waits for a packet without sleeping.  port-native.test.ts waits on real devices. */
import { describe, expect, it } from 'vitest';
import { type Spinnable, Spinner } from '../../src/datapath/ports/spinner.ts';
import type { NativePort } from '../../src/native/index.ts';

/** A port whose waits end as `found` says, and in vain when that is used up. */
class Waited implements Spinnable {
  readonly port: NativePort;
  readonly found: number[] = [];
  readonly others: (NativePort | undefined)[] = [];
  nReceived = 0;
  /** Packets of each receive. */
  size = 1;
  constructor() {
    const awaitFrame = (_us: number, other: NativePort | undefined) => {
      this.others.push(other);
      return this.found.shift() ?? 0;
    };
    this.port = { awaitFrame } as unknown as NativePort;
  }
  receive(): number {
    this.nReceived++;
    return this.size;
  }
}

/** How many of `n` wake-ups were followed by a wait. */
function waits(spinner: Spinner, port: Waited, n: number): number {
  const before = port.others.length;
  for (let i = 0; i < n; i++) spinner.received(port);
  return port.others.length - before;
}

describe('Spinner', () => {
  it('tries now and then, as long as it is in vain', () => {
    const port = new Waited();
    expect(waits(new Spinner(), port, 320)).toBe(10);
    expect(port.nReceived).toBe(0);
  });

  it('waits each time once that has paid, and gives up when it does not any more', () => {
    const spinner = new Spinner();
    const port = new Waited();
    port.found.push(...Array<number>(12).fill(1));
    waits(spinner, port, 32);
    expect(port.nReceived).toBe(12);
    // 12 earned, 4 of it paid for the wait in vain that ended it: two more, each in vain.
    expect(waits(spinner, port, 20)).toBe(2);
  });

  it('waits on the port that was sent to, too, and goes on there', () => {
    const spinner = new Spinner();
    const [here, there] = [new Waited(), new Waited()];
    spinner.sent(there);
    here.found.push(2);
    waits(spinner, here, 32);
    expect(here.others).toEqual([there.port]);
    expect(there.nReceived).toBe(1);
    // Nobody else was sent to.
    expect(there.others).toEqual([undefined]);
  });

  it('forgets a port that was closed', () => {
    const spinner = new Spinner();
    const [here, there] = [new Waited(), new Waited()];
    spinner.sent(there);
    spinner.forget(there);
    waits(spinner, here, 32);
    expect(here.others).toEqual([undefined]);
  });

  it('leaves a busy port, and one that is never done, to the event loop', () => {
    const spinner = new Spinner();
    const port = new Waited();
    port.found.push(1, 1);
    port.size = 64;
    waits(spinner, port, 32);
    expect(port.nReceived).toBe(1);
    port.size = 1;
    port.found.push(...Array<number>(1000).fill(1));
    waits(spinner, port, 32);
    expect(port.nReceived).toBeLessThan(1 + 32 * 17);
    expect(port.found.length).toBeGreaterThan(0);
  });
});
