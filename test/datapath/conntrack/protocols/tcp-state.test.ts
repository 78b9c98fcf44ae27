/** TCP connections as the tracker sees them: which segments belong to one, which state follows, how long it lives. */
import { describe, expect, test } from 'vitest';
import { STATE_WORDS } from '../../../../src/datapath/conntrack/conn-table.ts';
import { tcpStateOf } from '../../../../src/datapath/conntrack/protocols/tcp-conn.ts';
import { TCP_STATE } from '../../../../src/datapath/conntrack/protocols/tcp-table.ts';
import { eth, ipv4, sum16 } from '../../../support/frames.ts';
import { CtRig, ct } from '../ct-rig.ts';

const FLAG: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32 };
const [CLIENT, SERVER] = ['10.0.0.1', '10.0.0.2'];
const be32 = (v: number) => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];

interface Segment {
  flags: string;
  seq?: number;
  ack?: number;
  win?: number;
  data?: number;
  options?: number[];
}
/** A segment from the client (`>`) or the server (`<`). */
function segment(side: '>' | '<', s: Segment): number[] {
  const flags = [...s.flags].reduce((bits, f) => bits | FLAG[f]!, 0);
  const options = s.options ?? [];
  const ports = side === '>' ? [0x04, 0xd2, 0, 80] : [0, 80, 0x04, 0xd2];
  const win = s.win ?? 1000;
  const payload = Array<number>(s.data ?? 0).fill(65);
  const tcp = [
    ...ports,
    ...be32(s.seq ?? 0),
    ...be32(s.ack ?? 0),
    ((20 + options.length) / 4) << 4,
    flags,
    win >> 8,
    win & 255,
    0,
    0,
    0,
    0,
    ...options,
    ...payload,
  ];
  const [src, dst] = side === '>' ? [CLIENT, SERVER] : [SERVER, CLIENT];
  const pseudo = [
    ...src.split('.').map(Number),
    ...dst.split('.').map(Number),
    0,
    6,
    tcp.length >> 8,
    tcp.length & 255,
  ];
  const check = ~sum16([...pseudo, ...tcp]) & 0xffff;
  tcp[16] = check >> 8;
  tcp[17] = check & 255;
  return eth(0x0800, ipv4(6, tcp, { src, dst }));
}

/** A rig with one connection, and a step: look up and commit, as most switches do. */
class Talk {
  readonly rig = new CtRig();
  /** Returns ct_state after the look-up. */
  say(side: '>' | '<', s: Segment): string {
    return this.rig.run(segment(side, s), [ct.zone(0)], [ct.commit()]).state;
  }
  get state(): string {
    const { table } = this.rig.tracker;
    for (let conn = 0; conn < table.capacity; conn++) {
      if (!this.rig.tracker.isShown(conn)) continue;
      const state = tcpStateOf(table.state, conn);
      return Object.entries(TCP_STATE).find(([, n]) => n === state)![0];
    }
    return '-';
  }
  get secondsLeft(): number {
    const { table, now } = this.rig.tracker;
    for (let conn = 0; conn < table.capacity; conn++) {
      if (this.rig.tracker.isShown(conn)) return (table.timeout[conn]! - now) / 1000;
    }
    return -1;
  }
  open(): this {
    this.say('>', { flags: 'S', seq: 100 });
    this.say('<', { flags: 'SA', seq: 500, ack: 101 });
    this.say('>', { flags: 'A', seq: 101, ack: 501 });
    return this;
  }
}

describe('the life of a connection', () => {
  test('opened, used, closed by the client', () => {
    const t = new Talk();
    // biome-ignore format: table
    const steps: ['>' | '<', Segment, string, string, number][] = [
      ['>', { flags: 'S',  seq: 100 },                      'new|trk',     'SYN_SENT',    120],
      ['<', { flags: 'SA', seq: 500, ack: 101 },            'est|rpl|trk', 'SYN_RECV',    60],
      ['>', { flags: 'A',  seq: 101, ack: 501 },            'est|trk',     'ESTABLISHED', 432_000],
      ['>', { flags: 'PA', seq: 101, ack: 501, data: 10 },  'est|trk',     'ESTABLISHED', 300],
      ['<', { flags: 'A',  seq: 501, ack: 111 },            'est|rpl|trk', 'ESTABLISHED', 432_000],
      ['>', { flags: 'FA', seq: 111, ack: 501 },            'est|trk',     'FIN_WAIT',    120],
      ['<', { flags: 'A',  seq: 501, ack: 112 },            'est|rpl|trk', 'CLOSE_WAIT',  60],
      ['<', { flags: 'FA', seq: 501, ack: 112 },            'est|rpl|trk', 'LAST_ACK',    30],
      ['>', { flags: 'A',  seq: 112, ack: 502 },            'est|trk',     'TIME_WAIT',   120],
    ];
    for (const [side, s, state, tcpState, left] of steps) {
      expect([t.say(side, s), t.state, t.secondsLeft], `${side} ${s.flags}`).toEqual([state, tcpState, left]);
    }
  });

  test('refused: the answer is still part of the connection, which is over with it', () => {
    const t = new Talk();
    t.say('>', { flags: 'S', seq: 100 });
    expect(t.say('<', { flags: 'RA', seq: 0, ack: 101 })).toBe('est|rpl|trk');
    expect(t.state).toBe('-');
  });

  test('opened from both sides at once', () => {
    const t = new Talk();
    t.say('>', { flags: 'S', seq: 100 });
    expect(t.say('<', { flags: 'S', seq: 500 })).toBe('est|rpl|trk');
    expect(t.state).toBe('SYN_SENT2');
    t.say('>', { flags: 'SA', seq: 100, ack: 501 });
    t.say('<', { flags: 'A', seq: 501, ack: 101 });
    expect(t.state).toBe('ESTABLISHED');
  });

  test('opened again out of TIME_WAIT', () => {
    const t = new Talk().open();
    t.say('>', { flags: 'FA', seq: 101, ack: 501 });
    t.say('<', { flags: 'FA', seq: 501, ack: 102 });
    t.say('>', { flags: 'A', seq: 102, ack: 502 });
    expect(t.state).toBe('TIME_WAIT');
    expect(t.say('>', { flags: 'S', seq: 9000 })).toBe('new|trk');
    expect(t.state).toBe('SYN_SENT');
    expect(t.rig.tracker.count).toBe(1);
  });

  test('picked up in the middle, then held for five minutes until it is answered', () => {
    const t = new Talk();
    expect(t.say('>', { flags: 'A', seq: 1, ack: 2, data: 5 })).toBe('new|trk');
    expect([t.state, t.secondsLeft]).toEqual(['ESTABLISHED', 300]);
    expect(t.say('<', { flags: 'A', seq: 2, ack: 6 })).toBe('est|rpl|trk');
  });

  test('a SYN sent again does not keep it alive', () => {
    const t = new Talk();
    t.say('>', { flags: 'S', seq: 100 });
    t.rig.now += 50_000;
    t.say('>', { flags: 'S', seq: 100 });
    expect(t.secondsLeft).toBe(70);
  });
});

describe('segments that belong to no connection', () => {
  test.each([
    ['SYN and ACK first', '<', { flags: 'SA', seq: 1, ack: 1 }],
    ['FIN first', '>', { flags: 'FA', seq: 1, ack: 1 }],
    ['RST first', '>', { flags: 'R', seq: 1 }],
    ['no flags', '>', { flags: '', seq: 1 }],
    ['SYN and FIN', '>', { flags: 'SF', seq: 1 }],
    ['all flags', '>', { flags: 'FSRPAU', seq: 1 }],
  ] as const)('%s', (_, side, s) => {
    expect(new Talk().say(side, s)).toBe('inv|trk');
  });

  test('a SYN and ACK of who opened the connection', () => {
    const t = new Talk().open();
    expect(t.say('>', { flags: 'SA', seq: 101, ack: 501 })).toBe('inv|trk');
    // The other end's is let through: it may know better.
    expect(t.say('<', { flags: 'SA', seq: 501, ack: 101 })).toBe('est|rpl|trk');
    expect(t.state).toBe('ESTABLISHED');
  });

  test('a wrong checksum, unless it is still to be filled in', () => {
    const frame = segment('>', { flags: 'S', seq: 1 });
    frame[50]! ^= 1;
    expect(new CtRig().look(frame)).toBe('inv|trk');
  });

  test('outside of the window while the connection is t', () => {
    const t = new Talk();
    t.say('>', { flags: 'S', seq: 100, win: 1000 });
    t.say('<', { flags: 'SA', seq: 500, ack: 101, win: 1000 });
    expect(t.say('>', { flags: 'PA', seq: 101 + 5000, ack: 501, data: 10 })).toBe('inv|trk');
    expect(t.say('>', { flags: 'A', seq: 101, ack: 501 + 90_000 })).toBe('inv|trk');
    expect(t.say('>', { flags: 'PA', seq: 101, ack: 501, data: 10 })).toBe('est|trk');
  });

  test('what exceeds the window by less than another one is let through, and may be acknowledged', () => {
    const t = new Talk();
    t.say('>', { flags: 'S', seq: 100, win: 1000 });
    t.say('<', { flags: 'SA', seq: 500, ack: 101, win: 1000 });
    expect(t.say('>', { flags: 'PA', seq: 101 + 1100, ack: 501, data: 10 })).toBe('est|trk');
    expect(t.state).toBe('SYN_RECV');
    expect(t.say('<', { flags: 'A', seq: 501, ack: 101 + 1110 })).toBe('est|rpl|trk');
    expect(t.say('>', { flags: 'PA', seq: 101 + 9000, ack: 501, data: 10 })).toBe('inv|trk');
  });

  test('data and acknowledgements of long ago are let through, but change nothing', () => {
    const t = new Talk();
    t.say('>', { flags: 'S', seq: 1_000_000 });
    t.say('<', { flags: 'SA', seq: 2_000_000, ack: 1_000_001 });
    expect(t.say('>', { flags: 'A', seq: 900_000, ack: 2_000_001 })).toBe('est|trk');
    expect(t.say('>', { flags: 'A', seq: 1_000_001, ack: 1_900_000 })).toBe('est|trk');
    expect(t.state).toBe('SYN_RECV');
    expect(t.say('>', { flags: 'A', seq: 1_000_001, ack: 2_000_002 })).toBe('inv|trk');
  });

  test('FINs or RSTs of both ends outside the windows shorten the life of the connection', () => {
    const t = new Talk().open();
    expect(t.secondsLeft).toBe(432_000);
    // A CT action makes what is established liberal: as if no action had seen it since.
    const { state } = t.rig.tracker.table;
    for (let i = 0; i < state.length; i++) if (i % STATE_WORDS === 5 || i % STATE_WORDS === 11) state[i]! &= ~0x08;
    expect(t.say('>', { flags: 'FA', seq: 1_000_101, ack: 501 })).toBe('inv|trk');
    expect(t.secondsLeft).toBe(432_000);
    expect(t.say('<', { flags: 'FA', seq: 1_000_501, ack: 101 })).toBe('inv|trk');
    expect(t.secondsLeft).toBe(300);
  });

  test('a RST outside the window is invalid, one near it is a challenge, an exact one ends the connection', () => {
    const t = new Talk().open();
    t.say('>', { flags: 'PA', seq: 101, ack: 501, data: 10 });
    t.say('<', { flags: 'A', seq: 501, ack: 111 });
    expect(t.say('>', { flags: 'R', seq: 50 })).toBe('inv|trk');
    t.say('>', { flags: 'R', seq: 115 });
    expect(t.state).toBe('ESTABLISHED');
    t.say('>', { flags: 'R', seq: 111 });
    expect([t.state, t.secondsLeft]).toEqual(['CLOSE', 10]);
  });
});

test('window scaling counts only if both ends offer it', () => {
  const scale = (n: number) => [1, 3, 3, n];
  const both = new Talk();
  both.say('>', { flags: 'S', seq: 100, options: scale(7) });
  both.say('<', { flags: 'SA', seq: 500, ack: 101, options: scale(7) });
  both.say('>', { flags: 'A', seq: 101, ack: 501, win: 1000 });
  // The server may now send 128,000 bytes.
  expect(both.say('<', { flags: 'PA', seq: 501 + 100_000, ack: 101, data: 10 })).toBe('est|rpl|trk');
  const one = new Talk();
  one.say('>', { flags: 'S', seq: 100, options: scale(7) });
  one.say('<', { flags: 'SA', seq: 500, ack: 101 });
  expect(one.say('<', { flags: 'PA', seq: 501 + 100_000, ack: 101, data: 10 })).toBe('inv|trk');
});
