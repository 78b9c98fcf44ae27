/** QoS of devices on a traffic control in memory: what is installed, changed, read back and removed. */
import { beforeEach, describe, expect, it } from 'vitest';
import { TC_H, TCA_CODEL, TCA_HFSC, TCA_HTB } from '../../../src/netlink/families/tc.ts';
import { DeviceQos } from '../../../src/vswitchd/qos/device-qos.ts';
import type { QosConfig } from '../../../src/vswitchd/qos/qos-config.ts';
import { decode, encode, TcClient } from '../../../src/vswitchd/qos/tc-client.ts';
import { TcTicks } from '../../../src/vswitchd/qos/tc-ticks.ts';
import { FakeTc } from './fake-tc.ts';

const DEVICE = { name: 'p0', ifindex: 7, mtu: 1500, linkBps: 10e9 };
const PSCHED = '000003e8 00000040 000f4240 3b9aca00\n';

const map = (pairs: Record<string, string | number>) => new Map(Object.entries(pairs).map(([k, v]) => [k, `${v}`]));
const qosOf = (
  type: string,
  config: Record<string, string | number> = {},
  queues: Record<number, Record<string, string | number>> = {},
): QosConfig => ({
  type,
  config: map(config),
  queues: Object.entries(queues).map(([id, q]) => ({ id: Number(id), config: map(q), dscp: undefined })),
});

let kernel: FakeTc;
let qos: DeviceQos;

beforeEach(() => {
  kernel = new FakeTc();
  qos = fresh();
});
/** What a new process has, on the same kernel. */
const fresh = () => new DeviceQos({ tc: new TcClient(() => kernel), ticks: new TcTicks(PSCHED) });

const shown = (of = qos) => {
  const found = of.show('p0');
  return { type: found?.type, ...Object.fromEntries(found?.details ?? []) };
};
const queue = (id: number, of = qos) => Object.fromEntries(of.show('p0')?.queues.get(id)?.details ?? []);
const htbClass = (minor: number) => decode(TCA_HTB, kernel.class(7, minor)?.options ?? new Uint8Array(0)).parms;

describe('linux-htb', () => {
  it('limits all queues, and has a queue 0', async () => {
    await qos.configure(DEVICE, qosOf('linux-htb', { 'max-rate': 8_000_000 }));
    expect(shown()).toEqual({ type: 'linux-htb', 'max-rate': '8000000' });
    expect(kernel.qdisc(7)).toMatchObject({ kind: 'htb', handle: 0x10000 });
    expect(htbClass(0xfffe)).toMatchObject({ rate: { rate: 1e6 }, ceil: { rate: 1e6 }, quantum: 0 });
    expect(kernel.class(7, 1)?.parent).toBe(0x1fffe);
    expect(queue(0)).toEqual({ 'min-rate': '12000', 'max-rate': '8000000', burst: `${8 * 1564}` });
    // A class slower than a packet in a tenth of a second would have a quantum less than a packet.
    expect(htbClass(1)).toMatchObject({ rate: { rate: 1500, mpu: 60, cellLog: 3 }, quantum: 1500 });
  });

  it('keeps queues within what all may have', async () => {
    const queues = { 1: { 'min-rate': 99e9, 'max-rate': 1, priority: 4, burst: 800_000 } };
    await qos.configure(DEVICE, qosOf('linux-htb', { 'max-rate': 8_000_000 }, queues));
    expect(queue(1)).toEqual({ 'min-rate': '8000000', burst: '800000', priority: '4' });
    expect(htbClass(2)).toMatchObject({ prio: 4, buffer: (15_625_000 * 100_000) / 1e6 });
  });

  it('is limited by the link if nothing else is said', async () => {
    await qos.configure(DEVICE, qosOf('linux-htb'));
    expect(shown()['max-rate' as never]).toBe('10000000000');
  });

  it('has rates of more than 32 bits', async () => {
    await qos.configure(DEVICE, qosOf('linux-htb', { 'max-rate': 100e9 }));
    const { parms, rate64 } = decode(TCA_HTB, kernel.class(7, 0xfffe)?.options ?? new Uint8Array(0));
    expect([parms?.rate.rate, rate64]).toEqual([0xffffffff, 12_500_000_000n]);
    const other = fresh();
    await other.configure(DEVICE, qosOf('linux-htb', { 'max-rate': 100e9 }));
    expect(shown(other)['max-rate' as never]).toBe('100000000000');
  });

  it('removes and changes queues; what did not change is left alone', async () => {
    await qos.configure(DEVICE, qosOf('linux-htb', {}, { 0: {}, 3: {}, 4: {} }));
    kernel.log.length = 0;
    await qos.configure(DEVICE, qosOf('linux-htb', {}, { 0: {}, 3: {}, 4: {} }));
    expect(kernel.log).toEqual([]);
    await qos.configure(DEVICE, qosOf('linux-htb', {}, { 0: {}, 4: { priority: 1 } }));
    expect([...(qos.show('p0')?.queues.keys() ?? [])]).toEqual([0, 4]);
    expect(kernel.log).toContain('DELTCLASS');
    expect(queue(4)).toMatchObject({ priority: '1' });
  });

  it('is taken over as it is by another process', async () => {
    await qos.configure(
      DEVICE,
      qosOf('linux-htb', { 'max-rate': 8_000_000 }, { 5: { 'min-rate': 800_000, priority: 2 } }),
    );
    kernel.log.length = 0;
    const other = fresh();
    await other.configure(DEVICE, qosOf('linux-noop'));
    other.forget('p0');
    await other.configure(DEVICE, qosOf('linux-htb', { 'max-rate': 8_000_000 }));
    expect(kernel.log).not.toContain('DELQDISC');
    // Queue 5 had been there, and is wanted no more.
    expect(kernel.class(7, 6)).toBeUndefined();
  });

  it('counts what queues have sent', async () => {
    await qos.configure(DEVICE, qosOf('linux-htb', {}, { 2: {} }));
    const counted = { txBytes: 90n, txPackets: 1n, txErrors: 2n };
    expect(qos.counters('p0')).toEqual(
      new Map(
        [
          [0, counted],
          [2, counted],
        ].map(([k, v]) => [k, v] as never),
      ),
    );
    expect(qos.counters('p0', 2)).toEqual(new Map([[2, counted]]));
  });

  it('has no queues from 0xf000 on', async () => {
    await qos.configure(DEVICE, qosOf('linux-htb', {}, { 61440: {}, 61439: {} }));
    expect([...(qos.show('p0')?.queues.keys() ?? [])].sort()).toEqual([0, 0xefff]);
  });
});

describe('linux-hfsc', () => {
  it('has straight lines', async () => {
    await qos.configure(DEVICE, qosOf('linux-hfsc', { 'max-rate': 8_000_000 }, { 1: { 'min-rate': 80_000 } }));
    expect(queue(1)).toEqual({ 'min-rate': '80000', 'max-rate': '8000000' });
    const line = (m2: number) => ({ m1: 0, d: 0, m2 });
    const options = kernel.class(7, 2)?.options ?? new Uint8Array(0);
    expect(decode(TCA_HFSC, options)).toEqual({ rsc: line(10_000), fsc: line(10_000), usc: line(1_000_000) });
  });

  it('does not take bent lines for its own', async () => {
    await qos.configure(DEVICE, qosOf('linux-hfsc', {}, { 1: {} }));
    const bent = { m1: 9, d: 5, m2: 9 };
    const found = kernel.class(7, 2);
    if (found === undefined) throw new Error('no class');
    kernel.classes.set('7 65538', { ...found, options: encode(TCA_HFSC, { rsc: bent, fsc: bent, usc: bent }) });
    const other = fresh();
    await other.configure(DEVICE, qosOf('linux-hfsc'));
    expect([...(other.show('p0')?.queues.keys() ?? [])]).toEqual([0]);
  });
});

describe('kinds without queues', () => {
  it.each([
    ['linux-codel', {}, { target: '5000', limit: '10240', interval: '100000' }],
    ['linux-codel', { target: 7, limit: 0 }, { target: '7', limit: '10240', interval: '100000' }],
    [
      'linux-fq_codel',
      { flows: 16 },
      { target: '5000', limit: '10240', interval: '1000000', flows: '16', quantum: '1514' },
    ],
    ['linux-sfq', {}, { quantum: '1500', perturb: '10' }],
    ['linux-sfq', { quantum: 9000 }, { quantum: '9000', perturb: '10' }],
    ['linux-netem', { latency: 1000, loss: 30 }, { latency: '1000', limit: '1000', loss: '30' }],
  ])('%s %j', async (type, config: Record<string, number>, want) => {
    await qos.configure(DEVICE, qosOf(type, config));
    expect(shown()).toEqual({ type, ...want });
    // Read back, it is the same, and nothing is to be done.
    kernel.log.length = 0;
    const other = fresh();
    await other.configure(DEVICE, qosOf(type, config));
    expect(shown(other)).toEqual({ type, ...want });
    expect(kernel.log).toEqual([]);
  });

  it('are changed in place, or replaced where that is refused', async () => {
    await qos.configure(DEVICE, qosOf('linux-codel'));
    await qos.configure(DEVICE, qosOf('linux-codel', { target: 9 }));
    expect(kernel.log).toEqual(['DELQDISC', 'NEWQDISC codel', 'NEWQDISC codel']);
    kernel.fixed.add('codel');
    await qos.configure(DEVICE, qosOf('linux-codel', { target: 10 }));
    expect(kernel.log.slice(3)).toEqual(['NEWQDISC codel', 'DELQDISC', 'NEWQDISC codel']);
    expect(decode(TCA_CODEL, kernel.qdisc(7)?.options ?? new Uint8Array(0)).target).toBe(10);
  });

  it('netem refuses to lose more than everything', async () => {
    await qos.configure(DEVICE, qosOf('linux-netem', { loss: 101 }));
    expect(shown().type).toBe('');
  });
});

describe('what is there', () => {
  it('is removed if nothing is wanted, but for the kernel’s own', async () => {
    kernel.qdiscs.set(`7 ${TC_H.ROOT}`, { ifindex: 7, handle: 0x80010000, parent: TC_H.ROOT, kind: 'cake' });
    await qos.configure(DEVICE, undefined);
    expect(kernel.qdisc(7)).toBeUndefined();
    kernel.qdiscs.set(`8 ${TC_H.ROOT}`, { ifindex: 8, handle: 0, parent: TC_H.ROOT, kind: 'fq_codel' });
    await qos.configure({ ...DEVICE, ifindex: 8 }, undefined);
    expect(kernel.log).toEqual(['DELQDISC']);
    expect(shown().type).toBe('');
  });

  it('is left alone by linux-noop', async () => {
    kernel.qdiscs.set(`7 ${TC_H.ROOT}`, { ifindex: 7, handle: 0x80010000, parent: TC_H.ROOT, kind: 'cake' });
    await qos.configure(DEVICE, qosOf('linux-noop'));
    expect(kernel.log).toEqual([]);
    expect(shown().type).toBe('');
  });

  it('makes way for another kind', async () => {
    await qos.configure(DEVICE, qosOf('linux-htb'));
    await qos.configure(DEVICE, qosOf('linux-sfq'));
    expect(kernel.qdisc(7)?.kind).toBe('sfq');
    await qos.configure(DEVICE, undefined);
    expect(kernel.qdisc(7)).toBeUndefined();
  });

  it('belongs to the device, not to its name', async () => {
    await qos.configure(DEVICE, qosOf('linux-htb'));
    await qos.configure({ ...DEVICE, ifindex: 9 }, qosOf('linux-htb'));
    expect(kernel.qdisc(9)?.kind).toBe('htb');
  });
});

describe('many queues', () => {
  it('leave turns to others', async () => {
    const queues = Object.fromEntries(Array.from({ length: 1000 }, (_, id) => [id, {}]));
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await qos.configure(DEVICE, qosOf('linux-htb', {}, queues));
    clearInterval(timer);
    expect(qos.show('p0')?.queues.size).toBe(1000);
    expect(turns).toBeGreaterThan(0);
  });
});

describe('what cannot be had', () => {
  it('is tried again', async () => {
    kernel.kinds.delete('htb');
    await qos.configure(DEVICE, qosOf('linux-htb'));
    expect(shown().type).toBe('');
    kernel.kinds.add('htb');
    await qos.configure(DEVICE, qosOf('linux-htb'));
    expect(shown().type).toBe('linux-htb');
  });

  it('leaves what there is', async () => {
    await qos.configure(DEVICE, qosOf('linux-htb'));
    for (const type of ['linux-other', 'egress-policer']) await qos.configure(DEVICE, qosOf(type));
    expect(kernel.qdisc(7)?.kind).toBe('htb');
  });

  it('says nothing of interfaces that it does not know', async () => {
    expect(qos.show('p9')).toBeUndefined();
    expect(qos.counters('p9')).toEqual(new Map());
  });
});
