/** SCTP associations: set up, used, ended; tags and chunks that do not fit. */
import { expect, test } from 'vitest';
import { SCTP_STATE, sctpStateOf } from '../../../../src/datapath/conntrack/protocols/sctp.ts';
import { sctpChecksum } from '../../../../src/packet/checksum.ts';
import { eth, ipv4 } from '../../../support/frames.ts';
import { CtRig, ct } from '../ct-rig.ts';

const [A, B] = ['10.0.0.1', '10.0.0.2'];
const be32 = (v: number) => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];
const chunk = (type: number, value: number[] = [], flags = 0) => [type, flags, 0, 4 + value.length, ...value];
const init = (tag: number, type = 1) => chunk(type, [...be32(tag), ...Array<number>(12).fill(0)]);

function packet(side: '>' | '<', tag: number, ...chunks: number[][]): number[] {
  const body = [...(side === '>' ? [0, 1, 0, 2] : [0, 2, 0, 1]), ...be32(tag), 0, 0, 0, 0, ...chunks.flat()];
  const crc = sctpChecksum(new DataView(Uint8Array.from(body).buffer), 0, body.length);
  body.splice(8, 4, crc & 255, (crc >>> 8) & 255, (crc >>> 16) & 255, (crc >>> 24) & 255);
  const [src, dst] = side === '>' ? [A, B] : [B, A];
  return eth(0x0800, ipv4(132, body, { src, dst }));
}

class Talk {
  readonly rig = new CtRig();
  say(side: '>' | '<', tag: number, ...chunks: number[][]): string {
    return this.rig.run(packet(side, tag, ...chunks), [ct.zone(0)], [ct.commit()]).state;
  }
  get state(): string {
    const { table } = this.rig.tracker;
    for (let conn = 0; conn < table.capacity; conn++) {
      if (!this.rig.tracker.isShown(conn)) continue;
      return Object.entries(SCTP_STATE).find(([, n]) => n === sctpStateOf(table.state, conn))![0];
    }
    return '-';
  }
}
/** Tags: what packets to the server and to the client carry. */
const [TO_SERVER, TO_CLIENT] = [0x22222222, 0x11111111];

test('the life of an association', () => {
  const t = new Talk();
  // biome-ignore format: table
  const steps: [string, '>' | '<', number, number[], string, string][] = [
    ['INIT',              '>', 0,         init(TO_CLIENT),     'new|trk',     'CLOSED'],
    ['INIT ACK',          '<', TO_CLIENT, init(TO_SERVER, 2),  'est|rpl|trk', 'COOKIE_WAIT'],
    ['COOKIE ECHO',       '>', TO_SERVER, chunk(10),           'est|trk',     'COOKIE_ECHOED'],
    ['COOKIE ACK',        '<', TO_CLIENT, chunk(11),           'est|rpl|trk', 'ESTABLISHED'],
    ['DATA',              '>', TO_SERVER, chunk(0, [0, 0, 0, 1]), 'est|trk',  'ESTABLISHED'],
    ['SHUTDOWN',          '>', TO_SERVER, chunk(7, [0, 0, 0, 1]), 'est|trk',  'SHUTDOWN_SENT'],
    ['SHUTDOWN ACK',      '<', TO_CLIENT, chunk(8),            'est|rpl|trk', 'SHUTDOWN_ACK_SENT'],
    ['SHUTDOWN COMPLETE', '>', TO_SERVER, chunk(14),           'est|trk',     'CLOSED'],
  ];
  for (const [name, side, tag, c, ctState, state] of steps) {
    expect([t.say(side, tag, c), t.state], name).toEqual([ctState, state]);
  }
});

test.each([
  ['ABORT first', 0, [chunk(6)]],
  ['COOKIE ACK first', 1, [chunk(11)]],
  ['INIT with a tag', 7, [init(1)]],
  ['INIT with something else', 0, [init(1), chunk(0, [0, 0, 0, 1])]],
  ['no chunk', 0, []],
  ['a chunk without length', 0, [[0, 0, 0, 0]]],
] as const)('%s is invalid', (_, tag, chunks) => {
  expect(new Talk().say('>', tag, ...chunks.map((c) => [...c]))).toBe('inv|trk');
});

test('a wrong tag, or a wrong checksum, is invalid', () => {
  const t = new Talk();
  t.say('>', 0, init(TO_CLIENT));
  expect(t.say('<', 99, init(TO_SERVER, 2))).toBe('inv|trk');
  expect(t.say('<', TO_CLIENT, init(TO_SERVER, 2))).toBe('est|rpl|trk');
  expect(t.say('>', 99, chunk(0, [0, 0, 0, 1]))).toBe('inv|trk');
  const bad = packet('>', TO_SERVER, chunk(10));
  bad[45]! ^= 1;
  expect(t.rig.look(bad)).toBe('inv|trk');
});

test('a heartbeat on another path begins a connection of its own', () => {
  const t = new Talk();
  expect(t.say('>', TO_SERVER, chunk(4))).toBe('new|trk');
  expect(t.state).toBe('HEARTBEAT_SENT');
  expect(t.say('<', TO_CLIENT, chunk(5))).toBe('est|rpl|trk');
  expect(t.state).toBe('ESTABLISHED');
});
