/** Meters: what their buckets let through, the table of them, the netlink face, and the METER action. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DROP } from '../../src/datapath/drop-reasons.ts';
import { MAX_METERS, Meter, type MeterSpec, MeterTable } from '../../src/datapath/meter.ts';
import { DatapathServer } from '../../src/datapath/server.ts';
import { NLMSG } from '../../src/netlink/constants.ts';
import { NetlinkError } from '../../src/netlink/errors.ts';
import { type MeterAttrs, OVS_METER_ATTR, OVS_METER_CMD } from '../../src/netlink/families/ovs-meter.ts';
import { MessageView, MessageWriter } from '../../src/netlink/message.ts';
import { Arena, SLOT_SIZE } from '../../src/packet/packet.ts';
import { readCoverage } from '../../src/util/coverage.ts';
import { ERRNO } from '../../src/util/errno.ts';
import { vlog } from '../../src/util/vlog.ts';
import { clone, meter, output, sample } from '../support/action-bytes.ts';
import { eth, ipv4With } from '../support/frames.ts';
import { Lab, takeSent } from '../support/lab.ts';
import { FakePorts } from './fake-ports.ts';
import { hasGolden, readGolden } from './golden.ts';
import { CLIENT, DirectTransport, dpNew, FAMILY, ovsRequest } from './requests.ts';

const spec = (more: Partial<MeterSpec>): MeterSpec => ({
  ...{ id: 1, isKbps: false, keepsStats: true, bands: [{ type: 1, rate: 10, burst: 5 }] },
  ...more,
});
/** How many of `n` packets pass at `nowMs`. */
const passed = (m: Meter, n: number, nowMs: number, size = 100) =>
  Array.from({ length: n }, () => m.mustDrop(size, nowMs)).filter((isDropped) => !isDropped).length;

describe('buckets', () => {
  test('packets: the burst, then the rate, then the burst again', () => {
    const m = new Meter(spec({}), 1000);
    expect(passed(m, 20, 1000)).toBe(5);
    expect(passed(m, 20, 1099)).toBe(0);
    expect(passed(m, 20, 1100)).toBe(1);
    expect(passed(m, 20, 1300)).toBe(2);
    expect(passed(m, 20, 60_000)).toBe(5);
    expect([m.nPackets, m.nBytes, m.usedMs]).toEqual([100, 10_000, 60_000]);
    expect([m.bands[0]!.nPackets, m.bands[0]!.nBytes]).toEqual([87, 8700]);
  });
  test('kilobits: by size', () => {
    const m = new Meter(spec({ isKbps: true, bands: [{ type: 1, rate: 80, burst: 8 }] }), 0);
    expect(passed(m, 20, 0, 125)).toBe(8);
    // 80 kbit/s are 10 bytes a ms.
    expect(passed(m, 20, 25, 125)).toBe(2);
    expect(m.mustDrop(1001, 100_000)).toBe(true);
    expect(m.mustDrop(1000, 100_000)).toBe(false);
  });
  test('a clock that goes back fills nothing', () => {
    const m = new Meter(spec({}), 1000);
    expect(passed(m, 5, 1000)).toBe(5);
    expect(passed(m, 1, 0)).toBe(0);
    expect(m.usedMs).toBe(0);
  });
  test('a burst of 0 drops everything', () => {
    expect(passed(new Meter(spec({ bands: [{ type: 1, rate: 1000, burst: 0 }] }), 0), 10, 10_000)).toBe(0);
  });
  test('without bands, or with one that only counts, all pass', () => {
    expect(passed(new Meter(spec({ bands: [] }), 0), 10, 0)).toBe(10);
    const m = new Meter(spec({ bands: [{ type: 2, rate: 1, burst: 1 }] }), 0);
    expect(passed(m, 10, 0)).toBe(10);
    expect(m.bands[0]!.nPackets).toBe(9);
  });
  test('of several bands the one with the highest rate among those exceeded decides', () => {
    const bands = [
      { type: 1, rate: 1, burst: 1 },
      { type: 2, rate: 3, burst: 3 },
      { type: 1, rate: 2, burst: 2 },
    ];
    const m = new Meter(spec({ bands }), 0);
    expect([1, 2, 3, 4].map(() => m.mustDrop(60, 0))).toEqual([false, true, true, false]);
    expect(m.bands.map((b) => b.nPackets)).toEqual([1, 1, 1]);
  });
});

describe('the table', () => {
  const add = (t: MeterTable, id: number) => t.set(new Meter(spec({ id }), 0));
  const errnoOf = (act: () => unknown) => {
    try {
      act();
      return 0;
    } catch (e) {
      if (!(e instanceof NetlinkError)) throw e;
      return e.errno;
    }
  };
  test('finds, replaces and removes', () => {
    const t = new MeterTable();
    expect(add(t, 0xffffffff)).toBeUndefined();
    expect(t.find(-1)?.id).toBe(0xffffffff);
    expect(t.find(1023)).toBeUndefined();
    expect(add(t, 0xffffffff)?.id).toBe(0xffffffff);
    expect(t.count).toBe(1);
    expect(t.delete(0xffffffff)?.id).toBe(0xffffffff);
    expect([t.count, t.delete(1), t.find(0xffffffff)]).toEqual([0, undefined, undefined]);
  });
  test('two meters cannot have one place', () => {
    const t = new MeterTable();
    add(t, 7);
    expect(errnoOf(() => add(t, 7 + 1024))).toBe(ERRNO.EBUSY);
    expect(t.count).toBe(1);
  });
  test('grows and shrinks without losing any', () => {
    const t = new MeterTable();
    for (let id = 0; id < 5000; id++) add(t, id);
    for (let id = 0; id < 5000; id++) expect(t.find(id)?.id).toBe(id);
    for (let id = 4999; id >= 10; id--) expect(t.delete(id)?.id).toBe(id);
    for (let id = 0; id < 10; id++) expect(t.find(id)?.id).toBe(id);
    // As small as at first again.
    expect(errnoOf(() => add(t, 1024))).toBe(ERRNO.EBUSY);
  });
  test('takes one less than it says', () => {
    const t = new MeterTable(3);
    add(t, 0);
    add(t, 1);
    expect(errnoOf(() => add(t, 2))).toBe(ERRNO.EFBIG);
    expect(errnoOf(() => add(t, 1))).toBe(0);
    expect(t.count).toBe(2);
  });
});

describe('the family', () => {
  let transport: DirectTransport;
  let server: DatapathServer;
  let dp0: number;
  let now: number;

  beforeEach(() => {
    transport = new DirectTransport();
    now = 5000;
    const ports = new FakePorts((name) => (name === 'dp0' ? 3 : 99));
    const arena = new Arena(new ArrayBuffer(64 * SLOT_SIZE));
    server = new DatapathServer({
      transport,
      portFactory: ports,
      arena,
      log: vlog('test'),
      nCpus: 4,
      clock: () => now,
    });
    server.start();
    transport.ask(dpNew('dp0'));
    dp0 = ports.devices.get('dp0')!.ifindex;
  });
  afterEach(() => server.close());

  /** The only answer, or the errno. */
  function ask(cmd: number, attrs: MeterAttrs, dpIfindex = dp0): Uint8Array | number {
    const answers = transport.ask(ovsRequest({ family: FAMILY.METER, cmd, dpIfindex, policy: OVS_METER_ATTR, attrs }));
    expect(answers.map((a) => [a.to, a.group])).toEqual([[CLIENT, 0]]);
    const { bytes } = answers[0]!;
    const msg = new MessageView();
    expect(msg.set(new DataView(bytes.buffer), 0, bytes.length)).toBe(true);
    if (msg.type === NLMSG.ERROR) return 0 - msg.dv.getInt32(msg.payload, true);
    expect([msg.type, msg.cmd]).toEqual([FAMILY.METER, cmd]);
    return bytes;
  }
  function told(cmd: number, attrs: MeterAttrs): MeterAttrs {
    const bytes = ask(cmd, attrs);
    if (typeof bytes === 'number') throw new Error(`errno ${bytes}`);
    const msg = new MessageView();
    msg.set(new DataView(bytes.buffer), 0, bytes.length);
    return msg.readOvs(OVS_METER_ATTR);
  }
  const bands = [{ type: 1, rate: 1000, burst: 1000 }];
  const { SET, GET, DEL, FEATURES } = OVS_METER_CMD;

  test('FEATURES', () => {
    expect(told(FEATURES, {})).toEqual({ maxMeters: MAX_METERS, maxBands: 1, bands: [{ type: 1 }] });
    expect(ask(FEATURES, {}, 77)).toBe(ERRNO.ENODEV);
  });

  test('a meter lives', () => {
    expect(told(SET, { id: 5, kbps: true, bands })).toEqual({ id: 5 });
    const stats = { nPackets: 0n, nBytes: 0n };
    expect(told(GET, { id: 5 })).toEqual({ id: 5, stats, used: 5000n, bands: [{ stats }] });
    now = 6000;
    server.datapaths.find(dp0)!.meters.find(5)!.mustDrop(200, now);
    // The SET that replaces it tells what became of it, and the DEL of the new one.
    const used = { stats: { nPackets: 1n, nBytes: 200n }, used: 6000n, bands: [{ stats }] };
    expect(told(SET, { id: 5, bands: [], clear: true })).toEqual({ id: 5, ...used });
    expect(told(SET, { id: 5, bands, stats: { nPackets: 7n, nBytes: 8n } })).toEqual({ id: 5 });
    expect(told(DEL, { id: 5 }).stats).toEqual({ nPackets: 7n, nBytes: 8n });
    expect(told(DEL, { id: 5 })).toEqual({});
    expect(ask(GET, { id: 5 })).toBe(ERRNO.ENOENT);
  });

  test.each<[string, number, MeterAttrs, number]>([
    ['SET without id', SET, { bands }, ERRNO.EINVAL],
    ['GET without id', GET, {}, ERRNO.EINVAL],
    ['DEL without id', DEL, {}, ERRNO.EINVAL],
    ['SET without bands', SET, { id: 1 }, ERRNO.EINVAL],
    ['two bands', SET, { id: 1, bands: [...bands, ...bands] }, ERRNO.EINVAL],
    ['rate 0', SET, { id: 1, bands: [{ type: 1, rate: 0, burst: 1 }] }, ERRNO.EINVAL],
    ['no burst', SET, { id: 1, bands: [{ type: 1, rate: 1 }] }, ERRNO.EINVAL],
    ['no type', SET, { id: 1, bands: [{ rate: 1, burst: 1 }] }, ERRNO.EINVAL],
  ])('%s is refused', (_what, cmd, attrs, errno) => {
    expect(ask(cmd, attrs)).toBe(errno);
    expect(server.datapaths.find(dp0)!.meters.count).toBe(0);
  });

  test('a band attribute that is too short is refused', () => {
    const w = new MessageWriter();
    const at = w.beginOvs(FAMILY.METER, 1, 1, CLIENT, SET, 1, dp0);
    w.attrU32(OVS_METER_ATTR.type.id, 1);
    const nest = w.nest(OVS_METER_ATTR.type.bands);
    const band = w.nest(0);
    w.attrBytes(1, Uint8Array.of(1, 0));
    w.endNest(band);
    w.endNest(nest);
    w.end(at);
    const [answer] = transport.ask(w.bytes.slice(0, w.size));
    expect(new DataView(answer!.bytes.buffer).getInt32(16, true)).toBe(-ERRNO.ERANGE);
  });

  test.skipIf(!hasGolden)('the real module, asked by stock ovs-vswitchd', () => {
    const recorded = readGolden('upcalls.jsonl.gz').filter((m) => m.family === 'ovs_meter');
    /** Statistics and times differ. */
    const withoutStats = (hex: string) => {
      const bytes = Buffer.from(hex, 'hex');
      if (bytes.length > 0x50) bytes.fill(0, 0x24, 0x40).fill(0, 0x48, 0x5c);
      return bytes.toString('hex');
    };
    let nAnswers = 0;
    for (const [i, m] of recorded.entries()) {
      if (m.direction !== 'request') continue;
      const answers = transport.ask(
        new Uint8Array(Buffer.from(m.hex, 'hex')),
        Buffer.from(m.hex, 'hex').readUInt32LE(12),
      );
      const [got] = answers.map((a) => withoutStats(Buffer.from(a.bytes).toString('hex')));
      expect(got, `${m.cmd} ${m.hex}`).toBe(withoutStats(recorded[i + 1]!.hex));
      nAnswers++;
    }
    expect(nAnswers).toBeGreaterThan(5);
  });
});

describe('the action', () => {
  const FRAME = eth(0x0800, ipv4With(17, { payload: [1, 2, 3] }));
  test('drops what exceeds the meter, and what comes after it is not run', () => {
    const lab = new Lab();
    const [a, b] = [lab.port(1), lab.port(2)];
    lab.flow(FRAME, 1, [meter(9), output(2)]);
    a.inject([FRAME]);
    expect(takeSent(b)).toHaveLength(1);
    lab.dp.meters.set(new Meter(spec({ id: 9 }), lab.nowMs));
    const before = readCoverage('datapath_drop_meter') ?? Number.NaN;
    a.inject(Array.from({ length: 8 }, () => FRAME));
    expect(takeSent(b)).toHaveLength(5);
    expect(lab.dp.drops[DROP.METER]).toBe(3);
    expect(readCoverage('datapath_drop_meter')).toBe(before + 3);
    lab.nowMs += 200;
    a.inject(Array.from({ length: 8 }, () => FRAME));
    expect(takeSent(b)).toHaveLength(2);
    expect(lab.dp.meters.find(9)).toMatchObject({ nPackets: 16, nBytes: 16 * FRAME.length, usedMs: lab.nowMs });
  });
  test('counts no VLAN tag', () => {
    const lab = new Lab();
    const a = lab.port(1);
    const tagged = eth(0x0800, ipv4With(17, { payload: [1, 2, 3] }), [[0x8100, 5]]);
    lab.flow(tagged, 1, [meter(9)]);
    lab.dp.meters.set(new Meter(spec({ id: 9 }), lab.nowMs));
    a.inject([tagged]);
    expect(lab.dp.meters.find(9)?.nBytes).toBe(tagged.length - 4);
  });
  test('in a clone drops only that', () => {
    const lab = new Lab();
    const [a, b, c] = [lab.port(1), lab.port(2), lab.port(3)];
    lab.flow(FRAME, 1, [clone(meter(9), output(2)), sample(0xffffffff, meter(9), output(2)), output(3)]);
    lab.dp.meters.set(new Meter(spec({ id: 9, bands: [{ type: 1, rate: 1, burst: 1 }] }), lab.nowMs));
    a.inject([FRAME, FRAME]);
    expect([takeSent(b).length, takeSent(c).length]).toEqual([1, 2]);
  });
});
