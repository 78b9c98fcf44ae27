/** Policing by traffic control, in memory: the qdisc and the filter that stock would make. */
import { beforeEach, describe, expect, it } from 'vitest';
import { TC_H, TCA_BASIC, TCA_MATCHALL } from '../../../src/netlink/families/tc.ts';
import { policeDevice, withBursts } from '../../../src/vswitchd/qos/policing.ts';
import { NO_POLICING } from '../../../src/vswitchd/qos/qos-config.ts';
import { decode, TcClient } from '../../../src/vswitchd/qos/tc-client.ts';
import { TcTicks } from '../../../src/vswitchd/qos/tc-ticks.ts';
import { FakeTc } from './fake-tc.ts';

const DEVICE = { name: 'p0', ifindex: 7, mtu: 1500, linkBps: 10e9 };
const TICKS = new TcTicks('000003e8 00000040 000f4240 3b9aca00\n');

let kernel: FakeTc;
beforeEach(() => {
  kernel = new FakeTc();
});
const police = (limits: Partial<typeof NO_POLICING>) =>
  policeDevice({ tc: new TcClient(() => kernel), ticks: TICKS }, DEVICE, withBursts({ ...NO_POLICING, ...limits }));

describe('withBursts', () => {
  it.each([
    [{}, {}],
    [{ kbitsBurst: 3, kpktsBurst: 4 }, {}],
    [{ kbitsRate: 5 }, { kbitsRate: 5, kbitsBurst: 8000 }],
    [
      { kbitsRate: 5, kbitsBurst: 9 },
      { kbitsRate: 5, kbitsBurst: 9 },
    ],
    [{ kpktsRate: 5 }, { kpktsRate: 5, kpktsBurst: 16 }],
  ])('%j', (given, want) => {
    expect(withBursts({ ...NO_POLICING, ...given })).toEqual({ ...NO_POLICING, ...want });
  });
});

describe('policeDevice', () => {
  it('puts a policer before everything that a device receives', () => {
    police({ kbitsRate: 100, kbitsBurst: 10 });
    const filter = kernel.filters.get('7 1');
    expect(filter).toMatchObject({ kind: 'matchall', handle: 1, parent: TC_H.CLSACT_INGRESS });
    const { act } = decode(TCA_MATCHALL, filter?.options ?? new Uint8Array(0));
    expect(act).toHaveLength(1);
    expect(act?.[0]).toMatchObject({
      kind: 'police',
      options: { tbf: { action: 2, mtu: 65535, burst: 1600 * 1000, rate: { rate: 12_500, mpu: 60, cellLog: 9 } } },
    });
    expect(act?.[0]?.options).toMatchObject({ result: 0xffffffff });
    expect(act?.[0]?.options?.pktrate64).toBeUndefined();
  });

  it('counts packets', () => {
    police({ kpktsRate: 100, kpktsBurst: 10 });
    const { act } = decode(TCA_MATCHALL, kernel.filters.get('7 1')?.options ?? new Uint8Array(0));
    expect(act?.[0]?.options).toMatchObject({ pktrate64: 100_000n, pktburst64: 1_562_500n, tbf: { burst: 0 } });
    expect(act?.[0]?.options?.rate).toBeUndefined();
  });

  it('has rates of more than 32 bits', () => {
    police({ kbitsRate: 0xffffffff });
    const { act } = decode(TCA_MATCHALL, kernel.filters.get('7 1')?.options ?? new Uint8Array(0));
    expect(act?.[0]?.options).toMatchObject({ rate64: 536_870_911_875n, tbf: { rate: { rate: 0xffffffff } } });
  });

  it('takes the other classifier where one is missing', () => {
    kernel.kinds.delete('matchall');
    kernel.kinds.add('basic');
    police({ kbitsRate: 100 });
    const filter = kernel.filters.get('7 49');
    expect(filter).toMatchObject({ kind: 'basic', parent: 0xffff0000 });
    expect(decode(TCA_BASIC, filter?.options ?? new Uint8Array(0)).act?.[0]?.kind).toBe('police');
  });

  it('says so where there is none', () => {
    kernel.kinds.delete('matchall');
    expect(() => police({ kbitsRate: 100 })).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });

  it('begins anew each time, and ends without a trace', () => {
    police({ kbitsRate: 100 });
    police({ kbitsRate: 200 });
    expect(kernel.filters.size).toBe(1);
    police({});
    expect([kernel.qdiscs.size, kernel.filters.size]).toEqual([0, 0]);
  });
});
