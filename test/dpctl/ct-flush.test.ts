/** flush-conntrack, on three connections: two UDP ones in zones 0 and 2, and one of ICMP in zone 2. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MemoryHost } from '../support/memory-host.ts';
import { dpctl } from './dpctl-harness.ts';

/** 10.0.0.1:1000 to 10.0.0.2:2000, and an echo request with identifier 7 from 10.0.0.1 to 10.0.0.2. */
const UDP = '00000000000200000000000108004500002112340000401154960a0000010a00000203e807d0000d9c4768656c6c6f';
const PING = '00000000000200000000000108004500002412340000400154a30a0000010a00000208006662000700016162636465666768';
const FIVE = 'ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=17,ct_tp_src=1000,ct_tp_dst=2000';

let host: MemoryHost;
const run = (...args: string[]) => dpctl(host, args);
const left = async () =>
  (await run('dump-conntrack')).out
    .split('\n')
    .filter(Boolean)
    .map((line) => `${line.split(',')[0]}${/,zone=\d+/.exec(line)?.[0] ?? ''}`)
    .sort();

const ALL = ['icmp,zone=2', 'udp', 'udp,zone=2'];

beforeEach(async () => {
  host = new MemoryHost();
  host.addDevice('v1');
  await run('add-dp', 'dp0', 'v1');
  await run(
    'add-flow',
    'dp0',
    'in_port(1),eth(),eth_type(0x0800),ipv4(proto=17),udp()',
    'ct(commit),ct(commit,zone=2,mark=0x15/0xff,label=0x30000000000000001)',
  );
  await run('add-flow', 'dp0', 'in_port(1),eth(),eth_type(0x0800),ipv4(proto=1),icmp()', 'ct(commit,zone=2)');
  for (const frame of [UDP, PING]) host.device('v1').receive(Buffer.from(frame, 'hex'));
  expect(await left()).toEqual(ALL);
});
afterEach(() => host.close());

describe('what is left', () => {
  // biome-ignore format: table
  test.each<[args: string[], left: string[]]>([
    [[], []],
    [['dp0'], []],
    [['zone=2'], ['udp']],
    [['dp0', 'zone=0'], ['icmp,zone=2', 'udp,zone=2']],
    [['zone=7'], ALL],
    // A whole tuple means zone 0 where none is given; part of one means every zone.
    [[FIVE], ['icmp,zone=2', 'udp,zone=2']],
    [['zone=2', FIVE], ['icmp,zone=2', 'udp']],
    [['ct_nw_src=10.0.0.1,ct_nw_proto=17'], ['icmp,zone=2']],
    [['zone=2', 'ct_nw_dst=10.0.0.2'], ['udp']],
    [['ct_nw_src(10.0.0.3)'], ALL],
    [['ct_ipv6_src=fd00::1'], ALL],
    [['ct_nw_proto=17,ct_tp_dst=0x7d0'], ['icmp,zone=2']],
    [['ct_nw_proto=17,ct_tp_dst=2001'], ALL],
    [['mark=0x15'], ['icmp,zone=2', 'udp']],
    [['mark=0x5/0xf'], ['icmp,zone=2', 'udp']],
    [['mark=21', 'labels=0x10000000000000000/0x10000000000000000'], ['icmp,zone=2', 'udp']],
    [['labels=0'], ['udp,zone=2']],
    [['labels=2/2'], ALL],
    [['dp0', 'zone=2', 'mark=0/1', 'labels=0', 'ct_nw_proto=1,icmp_id=7,icmp_type=8', 'icmp_id=7'], ['udp', 'udp,zone=2']],
    // With a mark even a whole tuple means every zone.
    [['mark=0x15', FIVE], ['icmp,zone=2', 'udp']],
    [['', 'ct_nw_src=10.0.0.2,ct_nw_proto=17,ct_tp_src=2000'], ['icmp,zone=2']],
    [['dp0', 'zone=2', 'ct_nw_src=10.0.0.1', 'ct_nw_dst=10.0.0.1'], ['udp']],
    [['zone=2', 'ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=1,icmp_id=7,icmp_type=8,icmp_code=0'], ['udp', 'udp,zone=2']],
    [['ct_nw_proto=1', 'icmp_id=7,icmp_type=0'], ALL],
    [['ct_nw_proto=1,icmp_id=7,icmp_type=8', 'icmp_id=7'], ['udp', 'udp,zone=2']],
  ])('after %j', async (args, want) => {
    expect(await run('flush-conntrack', ...args)).toEqual({ out: '', err: '', status: 0 });
    expect(await left()).toEqual(want);
  });
});

describe('what is refused', () => {
  // biome-ignore format: table
  test.each<[args: string[], why: string]>([
    [['zone=x'], 'failed to parse zone (Invalid argument)'],
    [['nodp'], 'field nodp missing value (Invalid argument)'],
    [['ct_nw_src=x'], 'failed to parse field ct_nw_src (Invalid argument)'],
    [['ct_nw_src=10.0.0.1,ct_nw_src=10.0.0.2'], 'ct_nw_src is set multiple times (Invalid argument)'],
    [['ct_nw_src=10.0.0.1,ct_ipv6_src=::1'], 'the L3 protocol does not match ::1 (Invalid argument)'],
    [['ct_nw_proto=1,ct_nw_proto=300'], 'failed to parse field ct_nw_proto (Invalid argument)'],
    [['ct_tp_src=1'], 'port is set without protocol (Invalid argument)'],
    [['ct_nw_proto=6,icmp_type=1'], 'invalid L4 fields (Invalid argument)'],
    [['mark=x'], 'failed to parse mark (Invalid argument)'],
    [['mark=0x100000000'], 'failed to parse mark (Invalid argument)'],
    [['zone=2', 'labels=1/'], 'failed to parse labels (Invalid argument)'],
    [['labels=1', 'mark=1'], 'invalid conntrack tuple field: mark (Invalid argument)'],
    [['zone=2', '', '', 'x'], 'invalid arguments (Invalid argument)'],
    [['ct_nw_proto=6', 'ct_nw_src=10.0.0.1', 'a', 'b'], 'invalid arguments (Invalid argument)'],
    [[FIVE.replace('1000', '1001')], 'failed to flush conntrack (No such file or directory)'],
    [['zone=2', 'ct_nw_proto=6,ct_nw_proto=17,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.9,ct_tp_src=1,ct_tp_dst=2'], 'ct_nw_proto is set multiple timesfailed to flush conntrack (No such file or directory)'],
  ])('%j', async (args, why) => {
    expect(await run('flush-conntrack', ...args)).toEqual({ out: '', err: `ovs-dpctl: ${why}\n`, status: 1 });
    expect(await left()).toEqual(ALL);
  });

  test('a tuple of a protocol that has no name there', async () => {
    const { err, status } = await run('flush-conntrack', FIVE.replace('=17', '=132'));
    expect(status).toBe(1);
    expect(err).toBe(
      'TIME|00001|netlink_conntrack|WARN|Unsupported L4 protocol: 132.\n' +
        'ovs-dpctl: failed to flush conntrack (Operation not supported)\n',
    );
  });
});
