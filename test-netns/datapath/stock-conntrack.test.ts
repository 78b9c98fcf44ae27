/**
 * The stock `conntrack` tool on the datapath process: it lists, counts, makes, changes and ends connections, which packets then
 * find; and what stock ovs-dpctl prints of them, and ours.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { eventually, type Namespace, TAPSWITCH, useLab } from '../support/harness.ts';
import { normalise, ourDpctl, startDatapath, stockDpctl } from '../support/switch.ts';

let sw: Namespace;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  await startDatapath(sw);
});

/** Standard output, of a tool that must succeed. */
const conntrack = (args: string): Promise<string> =>
  sw.ok([TAPSWITCH, 'exec', '--', 'conntrack', ...args.split(' ').filter((word) => word !== '')]);
/** A list without times. */
const list = async (args = ''): Promise<string[]> =>
  (await conntrack(`-L ${args}`))
    .trim()
    .split('\n')
    .map((line) => line.replace(/^(\S+ +\d+) \d+/, '$1 TIME'))
    .sort();

const TCP = '-s 10.0.0.1 -d 10.0.0.2 -p tcp --sport 1000 --dport 80';
const UDP = '-s 10.0.0.1 -d 10.0.0.2 -p udp --sport 1000 --dport 53';
const ESTABLISHED = (mark: number) =>
  `tcp      6 TIME ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1000 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=80 dport=1000 [ASSURED] mark=${mark} use=1`;

test('connections are made, counted, changed and ended', async () => {
  expect((await conntrack('-C')).trim()).toBe('0');
  await conntrack(`-I ${TCP} -t 100 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5`);
  await conntrack(`-I ${UDP} -t 50`);
  expect((await conntrack('-C')).trim()).toBe('2');
  expect(await list('-p tcp')).toEqual([ESTABLISHED(5)]);
  await conntrack(`-U -f ipv4 -p tcp -m 9`);
  expect(await list('-z')).toContain(ESTABLISHED(9));
  expect(await conntrack(`-G ${TCP}`)).toContain('mark=9');
  await conntrack('-D -p tcp');
  expect(await list()).toEqual([
    'udp      17 TIME src=10.0.0.1 dst=10.0.0.2 sport=1000 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport=1000 mark=0 use=1',
  ]);
  expect(await conntrack('-S')).toMatch(/^cpu=0\s+found=0 invalid=0 insert=2 insert_failed=0 /);
  await conntrack('-F');
  expect((await conntrack('-C')).trim()).toBe('0');
});

beforeEach(() => conntrack('-F'));

test('a listener hears of them', async () => {
  const listener = sw.daemon('conntrack-events', [TAPSWITCH, 'exec', '--', 'conntrack', '-E', '-o', 'id']);
  await eventually('somebody listens', async () => {
    const sockets = await sw.ok(['cat', '/proc/net/netlink']);
    return sockets.split('\n').some((line) => / 12 +\d+ +0*7 /.test(line));
  });
  // The datapath looks now and then who listens.
  await eventually('it is told', async () => {
    await conntrack(`-I ${UDP} -t 50`);
    await conntrack('-D -p udp');
    return listener.output().includes('[NEW] udp');
  });
  await conntrack(`-I ${TCP} -t 100 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5`);
  await conntrack('-U -f ipv4 -p tcp -m 9');
  await conntrack('-D -p tcp');
  await listener.until('has heard all', () => listener.output().includes('[DESTROY] tcp'));
  const events = listener.output().match(/\[(NEW|UPDATE|DESTROY)\] tcp .* mark=\d/g);
  expect(events?.map((e) => e.replace(/ .*(mark=\d)/, ' $1'))).toEqual([
    '[NEW] mark=5',
    '[UPDATE] mark=9',
    '[DESTROY] mark=9',
  ]);
});

test('what a helper expects is told, listed and ended', async () => {
  await sw.ok([TAPSWITCH, 'dpctl', 'add-dp', 'dp1']);
  await sw.ip('addr add 10.2.0.1/24 dev dp1');
  await sw.ip('link set dp1 up');
  await sw.ip('neigh add 10.2.0.2 lladdr 02:00:00:00:00:02 dev dp1');
  const match = 'recirc_id(0),in_port(0),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp()';
  await sw.ok([TAPSWITCH, 'dpctl', 'add-flow', 'dp1', match, 'ct(commit,zone=5,helper=tftp)']);
  const listener = sw.daemon('expect-events', [TAPSWITCH, 'exec', '--', 'conntrack', '-E', 'expect']);
  const expected = /proto=17 src=10\.2\.0\.2 dst=10\.2\.0\.1 .*master-src=10\.2\.0\.1 .*helper=tftp/;
  // Who begins before the datapath knows of the listener is not spoken of.
  await eventually('it is told', async () => {
    await sw.ok(['bash', '-c', 'printf "\\0\\1f\\0octet\\0" >/dev/udp/10.2.0.2/69']);
    return new RegExp(`\\[NEW\\].*${expected.source}`).test(listener.output());
  });
  expect(await conntrack('-L expect')).toMatch(expected);
  await conntrack('-F expect');
  await listener.until('hears of its end', () => listener.output().includes('[DESTROY]'));
  expect(await conntrack('-L expect')).not.toMatch(expected);
  await sw.ok([TAPSWITCH, 'dpctl', 'del-dp', 'dp1']);
});

test('one is made with NAT', async () => {
  await conntrack(`-I ${UDP} -t 50 --src-nat 10.9.9.9:7777`);
  expect(await list()).toEqual([
    'udp      17 TIME src=10.0.0.1 dst=10.0.0.2 sport=1000 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.9.9.9 sport=53 dport=7777 mark=0 use=1',
  ]);
});

test('what there is already, or cannot be, is refused', async () => {
  await conntrack(`-I ${TCP} -t 100 --state ESTABLISHED`);
  const again = await sw.run([TAPSWITCH, 'exec', '--', 'conntrack', '-I', ...`${TCP} -t 1 --state NONE`.split(' ')]);
  expect([again.status !== 0, again.stderr.includes('exist')]).toEqual([true, true]);
  const none = await sw.run([TAPSWITCH, 'exec', '--', 'conntrack', '-D', ...UDP.split(' ')]);
  expect(none.stderr).toContain('0 flow entries have been deleted');
  await conntrack('-F');
});

describe('ovs-dpctl, the stock one and ours', () => {
  const ENTRIES = [
    `${TCP} -t 1000 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5`,
    `${UDP} -t 1000`,
    '-s 10.0.0.3 -d 10.0.0.4 -p tcp --sport 1 --dport 2 -t 1000 --state SYN_SENT -w 5',
    '-s 10.0.0.1 -d 10.0.0.2 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 77 -t 1000',
    '-s 10.0.0.1 -d 10.0.0.2 -p sctp --sport 7 --dport 8 -t 1000 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2',
    '-s 10.0.0.1 -d 10.0.0.2 -p gre --srckey 0 --dstkey 0 -t 1000',
    '-s fd00::1 -d fd00::2 -p tcp --sport 1000 --dport 80 -t 1000 --state CLOSE_WAIT',
    '-s fd00::1 -d fd00::2 -p udp --sport 1000 --dport 53 -t 1000 -w 7',
    '-s fd00::1 -d fd00::2 -p icmpv6 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 9 -t 1000',
  ];
  const fill = async () => {
    await conntrack('-F');
    for (const entry of ENTRIES) await conntrack(`-I ${entry}`);
  };
  const sides = async (args: string) => {
    const words = args.split(' ');
    const [stock, ours] = [await stockDpctl(sw, words), await ourDpctl(sw, words)];
    return [stock, ours].map(({ status, stdout, stderr }) => ({
      status,
      stdout: normalise(stdout.replace(/timeout=\d+/g, 'timeout=TIME')),
      stderr: normalise(stderr),
    })) as [Out, Out];
  };
  interface Out {
    status: number | null;
    stdout: string;
    stderr: string;
  }

  test('print the same connections', async () => {
    await sw.ok([TAPSWITCH, 'dpctl', 'add-dp', 'dp0']);
    await fill();
    for (const args of [
      'dump-conntrack',
      'dump-conntrack -m',
      'dump-conntrack -s',
      'dump-conntrack -m -s',
      'dump-conntrack dp0',
      'dump-conntrack -s dp0 zone=5',
      'dump-conntrack zone=7',
      'dump-conntrack zone=9',
      'dump-conntrack nodp',
    ]) {
      const [stock, ours] = await sides(args);
      expect(ours, args).toEqual(stock);
      if (args === 'dump-conntrack') expect(stock.stdout.trim().split('\n')).toHaveLength(ENTRIES.length);
    }
  });

  test.each([
    'flush-conntrack',
    'flush-conntrack zone=5',
    'flush-conntrack zone=6',
    'flush-conntrack ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=17,ct_tp_src=1000,ct_tp_dst=53',
    'flush-conntrack zone=7 ct_ipv6_src=fd00::1,ct_ipv6_dst=fd00::2,ct_nw_proto=17,ct_tp_src=1000,ct_tp_dst=53',
    'flush-conntrack ct_nw_src=10.0.0.9,ct_nw_dst=10.0.0.2,ct_nw_proto=17,ct_tp_src=1000,ct_tp_dst=53',
    'flush-conntrack zone=x',
    'flush-conntrack ct_nw_src=bogus',
  ])('%s leaves the same behind', async (args) => {
    const left: string[][] = [];
    const said: unknown[] = [];
    for (const dpctl of [stockDpctl, ourDpctl]) {
      await fill();
      const { status, stdout, stderr } = await dpctl(sw, args.split(' '));
      said.push([status, stdout, normalise(stderr)]);
      left.push([...(await list()), ...(await list('-f ipv6'))]);
    }
    expect(left[1]).toEqual(left[0]);
    expect(said[1]).toEqual(said[0]);
  });
});
