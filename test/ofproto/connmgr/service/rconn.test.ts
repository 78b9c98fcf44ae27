/** Connections that are made again: the states, the waiting, the probes.  The clock goes on when told to. */
import { type Duplex, duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Activity, Rconn, reasonText } from '../../../../src/ofproto/connmgr/service/rconn.ts';
import { encodeHello } from '../../../../src/openflow/ofp-version.ts';
import { FakeClock, monotonicMs, setClock } from '../../../../src/util/clock.ts';
import { setConsole } from '../../../../src/util/vlog.ts';
import { setLevelsFromString } from '../../../../src/util/vlog-settings.ts';

const ALL = 0x7e;
const HELLO = 0;
const ECHO_REQUEST = 2;

class Rig {
  readonly events: string[] = [];
  readonly heard: number[] = [];
  /** How the next attempt goes. */
  answer: 'hello' | 'silence' | 'refusal' | 'throw' = 'hello';
  attempts = 0;
  peer: Duplex | undefined;
  readonly activity: { -readonly [K in keyof Activity]: Activity[K] } = {
    receivedMs: 0,
    admittedMs: Number.NEGATIVE_INFINITY,
  };
  host = 'c';
  readonly rconn = new Rconn({
    name: 'br0<->tcp:c',
    peer: 'tcp:c',
    target: Object.defineProperty({ isPassive: false, kind: 'tcp', host: 'c', port: 1 } as const, 'host', {
      get: () => this.host,
    }),
    versions: ALL,
    tls: undefined,
    onOpen: (vconn) => {
      this.events.push(`open ${vconn.version}`);
      this.activity.receivedMs = monotonicMs();
      this.activity.admittedMs = Number.NEGATIVE_INFINITY;
      this.rconn.activity = this.activity;
    },
    onClose: () => this.events.push('close'),
    onChange: () => {},
    openStream: () => this.open(),
  });

  private open(): Duplex {
    this.attempts++;
    if (this.answer === 'throw') throw new RangeError('no certificate');
    const [ours, theirs] = duplexPair();
    this.peer = theirs;
    theirs.on('error', () => {});
    theirs.on('data', (bytes: Buffer) => this.heard.push(bytes[1] ?? -1));
    if (this.answer === 'hello') theirs.write(encodeHello(ALL, 1));
    if (this.answer === 'refusal') ours.destroy(new Error('connect ECONNREFUSED 1.2.3.4:1'));
    return ours;
  }

  /** Lets seconds pass, one by one, as the switch does. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1000);
      this.rconn.run(monotonicMs());
      await settle();
    }
  }
  status = (): Record<string, string> => Object.fromEntries(this.rconn.pairs(monotonicMs()));
}

const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((done) => setImmediate(done));
};

let clock: FakeClock;
let lines: string[];
let rig: Rig;
beforeEach(() => {
  clock = new FakeClock();
  setClock(clock);
  lines = [];
  setLevelsFromString('console:info');
  setConsole((line) => void lines.push(line.replace(/^[^|]*\|\d+\|rconn\|\w+\|/, '').trim()));
  rig = new Rig();
});
afterEach(() => {
  rig.rconn.close();
  setClock(undefined);
  setConsole(undefined);
});

describe('a controller that does not answer', () => {
  test('is tried at growing intervals, and the log falls silent', async () => {
    rig.answer = 'refusal';
    rig.rconn.start();
    await settle();
    expect(rig.status()).toEqual({ last_error: 'Connection refused', sec_since_disconnect: '0', state: 'BACKOFF' });
    await rig.pass(40);
    const name = 'br0<->tcp:c';
    const failed = [`${name}: connecting...`, `${name}: connection failed (Connection refused)`];
    expect(lines).toEqual([
      ...failed,
      ...failed,
      `${name}: waiting 2 seconds before reconnect`,
      ...failed,
      `${name}: waiting 4 seconds before reconnect`,
      ...failed,
      `${name}: continuing to retry connections in the background but suppressing further logging`,
    ]);
    // At 0, 1, 3, 7 and every 8 seconds.
    expect(rig.attempts).toBe(4 + 4);
    expect(rig.rconn.failureSec(monotonicMs())).toBe(40);
  });

  test('on this machine is known to be away at once', async () => {
    rig.host = '127.0.0.1';
    rig.answer = 'refusal';
    rig.rconn.start();
    await settle();
    expect(lines).toEqual([
      'br0<->tcp:c: connecting...',
      'br0<->tcp:c: connection failed (Connection refused)',
      'br0<->tcp:c: waiting 1 seconds before reconnect',
    ]);
    expect(rig.status()).toEqual({ last_error: 'Connection refused', state: 'BACKOFF' });
  });

  test('is given up when it does not say hello', async () => {
    rig.answer = 'silence';
    rig.rconn.start();
    await rig.pass(1);
    expect(lines).toEqual([
      'br0<->tcp:c: connecting...',
      'br0<->tcp:c: connection timed out',
      'br0<->tcp:c: waiting 1 seconds before reconnect',
    ]);
    expect(rig.status()['last_error']).toBe('Connection timed out');
    expect(rig.events).toEqual([]);
  });

  test('cannot be tried without a certificate', async () => {
    rig.answer = 'throw';
    rig.rconn.start();
    expect(lines).toContain('br0<->tcp:c: connection failed (no certificate)');
    expect(rig.status()).toEqual({ last_error: 'no certificate', state: 'BACKOFF' });
    await rig.pass(1); // Again, and two seconds from now.
    rig.answer = 'hello';
    await rig.pass(1);
    expect(rig.events).toEqual([]);
    await rig.pass(1);
    expect(rig.events).toEqual(['open 6']);
  });

  test('and one that answers at last', async () => {
    rig.answer = 'refusal';
    rig.rconn.start();
    await settle();
    await rig.pass(3);
    rig.answer = 'hello';
    await rig.pass(4);
    expect([rig.rconn.state, rig.rconn.isConnected, rig.events]).toEqual(['ACTIVE', true, ['open 6']]);
    expect(rig.status()).toMatchObject({ sec_since_connect: '0', state: 'ACTIVE' });
  });
});

describe('a connection', () => {
  beforeEach(async () => {
    rig.rconn.start();
    await settle();
    rig.heard.length = 0;
  });

  test('that ends is made again, a second later', async () => {
    clock.advance(60_000);
    rig.peer?.end();
    await settle();
    expect(rig.events).toEqual(['open 6', 'close']);
    expect(lines).toContain('br0<->tcp:c: connection closed by peer');
    await rig.pass(1);
    expect(rig.events).toEqual(['open 6', 'close', 'open 6']);
  });

  test('is probed after five seconds of silence, and dropped after ten', async () => {
    await rig.pass(4);
    expect(rig.heard).toEqual([]);
    await rig.pass(1);
    expect([rig.heard, rig.rconn.state, rig.rconn.isConnected]).toEqual([[ECHO_REQUEST], 'IDLE', true]);
    rig.activity.receivedMs = monotonicMs() + 1; // An answer comes.
    await rig.pass(1);
    expect(rig.rconn.state).toBe('ACTIVE');
    await rig.pass(10);
    expect(rig.rconn.state).toBe('BACKOFF');
    expect(lines).toContain('br0<->tcp:c: no response to inactivity probe after 5 seconds, disconnecting');
    expect(rig.events).toEqual(['open 6', 'close']);
  });

  test('is not probed if that is not wanted', async () => {
    rig.rconn.probeSec = 0;
    await rig.pass(100);
    expect([rig.heard, rig.rconn.state]).toEqual([[], 'ACTIVE']);
  });

  test('counts as one of a controller that takes the switch once it has said so, or has lasted', async () => {
    rig.rconn.probeSec = 0;
    await rig.pass(3);
    expect([rig.rconn.isAdmitted(monotonicMs()), rig.rconn.failureSec(monotonicMs())]).toEqual([false, 3]);
    rig.activity.admittedMs = monotonicMs();
    expect([rig.rconn.isAdmitted(monotonicMs()), rig.rconn.failureSec(monotonicMs())]).toEqual([true, 0]);
    rig.activity.admittedMs = Number.NEGATIVE_INFINITY;
    await rig.pass(27);
    expect(rig.rconn.isAdmitted(monotonicMs())).toBe(true);
  });

  test('is made anew on request, and no more after the end', async () => {
    rig.rconn.reconnect();
    expect(rig.rconn.state).toBe('BACKOFF');
    await rig.pass(1);
    expect(rig.events).toEqual(['open 6', 'close', 'open 6']);
    rig.rconn.close();
    await rig.pass(100);
    expect([rig.attempts, rig.events.length, rig.rconn.state]).toEqual([2, 4, 'VOID']);
  });
});

test.each([
  ['connect ECONNREFUSED 127.0.0.1:6653', 'Connection refused'],
  ['read ECONNRESET', 'Connection reset by peer'],
  ['protocol error', 'Protocol error'],
  ['no common OpenFlow version', 'Protocol error'],
])('%s is told as: %s', (reason, text) => expect(reasonText(reason)).toBe(text));

test('nothing but a hello is sent before the version is agreed on', async () => {
  rig.answer = 'silence';
  rig.rconn.start();
  await settle();
  expect(rig.heard).toEqual([HELLO]);
});
