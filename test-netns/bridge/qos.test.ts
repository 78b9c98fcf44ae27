/**
 * QoS: queues that the kernel's traffic control shows, the same as with the stock vswitchd, and packets that go through them.
 * Only linux-htb and the kinds that configure nothing are here; which others a kernel has differs.
 */
import { beforeAll, expect, test } from 'vitest';
import { eventually, type Namespace, requireNetns, useLab } from '../support/harness.ts';
import { type Switch, startSwitch, startVswitchd, stockDpctl, vsctl } from '../support/switch.ts';

let sw: Namespace;
let a: Namespace;
let parts: Switch;
/** Why there is nothing to test. */
let missing: string | undefined;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  a = await lab.host(sw, 'a', 'p1', '10.1.1.1/24');
  await lab.host(sw, 'b', 'p2', '10.1.1.2/24');
  const { status, stderr } = await sw.run(['tc', 'qdisc', 'add', 'dev', 'p1', 'root', 'handle', '1:', 'htb']);
  if (status !== 0) missing = `this kernel has no HTB: ${stderr.trim()}`;
  else await sw.ok(['tc', 'qdisc', 'del', 'dev', 'p1', 'root']);
  parts = await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- add-port br0 p1 -- add-port br0 p2');
});

beforeAll(() => {
  if (requireNetns() === undefined && missing !== undefined) console.log(missing);
});

const qosTest = (name: string, run: () => Promise<void>): void =>
  test(name, async (context) => {
    if (missing !== undefined) context.skip(missing);
    await run();
  });

/** What tc and qos/show say of some devices: lines in order, but for what was counted. */
async function shown(): Promise<string[]> {
  const texts: string[] = [];
  for (const device of ['p1', 'p2', 'br0']) {
    for (const kind of ['qdisc', 'class']) texts.push(await sw.ok(['tc', kind, 'show', 'dev', device]));
    // Where the interface is not there yet, that is what is shown.
    for (const command of ['qos/show', 'qos/show-types']) {
      const { stdout, stderr } = await sw.run(['ovs-appctl', command, device]);
      texts.push(stdout, stderr);
    }
  }
  const lines = texts.flatMap((text) => text.split('\n')).map((line) => line.trim());
  return lines.filter((line) => line !== '' && !/tx_(packets|bytes):/.test(line)).sort();
}

const QUEUES =
  '-- --id=@q0 create queue other-config:min-rate=2000000 other-config:burst=3000000 ' +
  '-- --id=@q5 create queue other-config:max-rate=700000 other-config:priority=3';
const QOS = `set port p1 qos=@qos -- set port br0 qos=@qos -- --id=@qos create qos type=linux-htb other-config:max-rate=3000000 queues:0=@q0 queues:5=@q5 ${QUEUES}`;

qosTest('tc and qos/show say the same as with the stock vswitchd, whoever made the queues', async () => {
  const none = await shown();
  expect(none).toContain('QoS not configured on p1');
  await vsctl(sw, QOS);
  const ours = await shown();
  expect(ours).toContain('QoS: p1 linux-htb');
  expect(ours.join('\n')).toMatch(/class htb 1:1 parent 1:fffe .*rate 2Mbit ceil 3Mbit burst 375000b cburst 375000b/);

  await parts.vswitchd.stop();
  parts.vswitchd = await startVswitchd(sw, 'stock');
  await eventually('stock has taken over', async () => (await shown()).join('\n') === ours.join('\n'));
  await vsctl(sw, 'clear port p1 qos -- clear port br0 qos');
  expect(await shown()).toEqual(none);
  await vsctl(sw, QOS);
  expect(await shown()).toEqual(ours);

  await parts.vswitchd.stop();
  parts.vswitchd = await startVswitchd(sw);
  await eventually('ours has taken over', async () => (await shown()).join('\n') === ours.join('\n'));
  await vsctl(sw, 'clear port p1 qos -- clear port br0 qos');
  expect(await shown()).toEqual(none);
});

/** What OpenFlow tells of a queue of p2: packets that it has sent, and for how long it has been there. */
async function queueStats(queue: number): Promise<{ packets: number; seconds: number }> {
  const text = await sw.ok(['ovs-ofctl', '-O', 'OpenFlow13', 'queue-stats', 'br0', 'p2', String(queue)]);
  const [, packets, seconds] = /pkts=(\d+), errors=0, duration=([\d.]+)s/.exec(text) ?? [];
  return { packets: Number(packets), seconds: Number(seconds) };
}

qosTest('packets of set_queue and enqueue go through their queue, and are counted there', async () => {
  await vsctl(
    sw,
    'set port p2 qos=@qos -- --id=@qos create qos type=linux-htb queues:0=@q0 queues:7=@q7 queues:9=@q9 ' +
      '-- --id=@q0 create queue other-config:priority=0 -- --id=@q7 create queue other-config:max-rate=2000000 -- --id=@q9 create queue other-config:priority=0',
  );
  for (const flow of ['icmp,in_port=p1,actions=set_queue:7,output:p2', 'priority=1,actions=normal']) {
    await sw.ok(['ovs-ofctl', 'add-flow', 'br0', flow]);
  }
  expect(await a.ping('10.1.1.2', 5)).toMatchObject({ sent: 5, received: 5 });
  const { packets, seconds } = await queueStats(7);
  expect(packets).toBe(5);
  expect(seconds).toBeGreaterThan(0);

  await sw.ok(['ovs-ofctl', 'mod-flows', 'br0', 'icmp,in_port=p1,actions=enqueue:p2:9']);
  await eventually('packets go through queue 9', async () => {
    await a.ping('10.1.1.2', 1);
    return (await queueStats(9)).packets > 0;
  });
  const config = await sw.ok(['ovs-ofctl', '-O', 'OpenFlow14', 'queue-get-config', 'br0', 'p2']);
  expect(config.match(/queue \d+/g)).toEqual(['queue 0', 'queue 7', 'queue 9']);
});

qosTest('a queue that is full does not take the place of packets of another', async () => {
  // 100 kbit/s, and a queue long enough for more than fits into the buffer of a socket.
  await sw.ip('link set p2 txqueuelen 20000');
  await vsctl(
    sw,
    'set port p2 qos=@qos -- --id=@qos create qos type=linux-htb queues:0=@q0 queues:7=@q7 ' +
      '-- --id=@q0 create queue other-config:priority=0 -- --id=@q7 create queue other-config:max-rate=100000',
  );
  await sw.ok(['ovs-ofctl', 'mod-flows', 'br0', 'icmp,in_port=p1,actions=set_queue:7,output:p2']);
  await sw.ok(['ovs-ofctl', 'add-flow', 'br0', 'priority=50000,icmp,in_port=p1,nw_tos=16,actions=output:p2']);
  const flood = a.run(['ping', '-q', '-n', '-c', '150', '-i', '0.005', '-s', '60000', '-W', '1', '10.1.1.2']);
  const other = await a.run(['ping', '-n', '-c', '10', '-i', '0.1', '-W', '2', '-Q', '16', '10.1.1.2']);
  expect(other.stdout).toMatch(/10 packets transmitted, 10 received/);
  await flood;
});

qosTest('the DSCP of a queue is that of its packets', async () => {
  await vsctl(
    sw,
    'set port p2 qos=@qos -- --id=@qos create qos type=linux-htb queues:1=@q1 -- --id=@q1 create queue dscp=10',
  );
  const flow =
    'in_port(p1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(proto=1,tos=3,frag=no)';
  await sw.ok([
    'ovs-ofctl',
    'add-flow',
    'br0',
    'priority=60000,icmp,in_port=p1,actions=set_queue:1,output:p2,pop_queue,output:LOCAL',
  ]);
  const text = await sw.ok(['ovs-appctl', 'ofproto/trace', 'ovs-system', flow]);
  expect(text).toMatch(
    /Datapath actions: set\(ipv4\(tos=0x28\/0xfc\)\),set\(skb_priority\(0x10002\)\),\d+,set\(ipv4\(tos=0\/0xfc\)\),set\(skb_priority\(0\)\),\d+/,
  );
});

qosTest('a kind that the kernel lacks, or nobody knows, is no hindrance', async () => {
  for (const type of ['linux-hfsc', 'linux-sfq', 'linux-netem', 'egress-policer', 'linux-noop']) {
    await vsctl(sw, `set qos ${(await vsctl(sw, 'get port p2 qos')).trim()} type=${type}`);
    expect(await sw.ok(['ovs-appctl', 'qos/show', 'p2'])).toMatch(/^QoS/);
  }
  await vsctl(sw, 'clear port p2 qos');
  expect(await sw.ok(['ovs-appctl', 'qos/show', 'p2'])).toBe('QoS not configured on p2\n');
  expect((await sw.run(['ovs-appctl', 'qos/show', 'p9'])).stderr).toMatch(/no such interface/);
  expect(parts.vswitchd.running).toBe(true);
});

/** Of `n` pings of 1000 bytes in a row, how many come back. */
async function burst(n: number): Promise<number> {
  const { stdout } = await a.run([
    'ping',
    '-n',
    '-q',
    '-c',
    String(n),
    '-i',
    '0.002',
    '-s',
    '958',
    '-W',
    '1',
    '10.1.1.2',
  ]);
  return Number(/(\d+) received/.exec(stdout)?.[1]);
}

test('ingress policing drops what is too much, and counts it', async () => {
  await sw.ok(['ovs-ofctl', 'del-flows', 'br0']);
  await sw.ok(['ovs-ofctl', 'add-flow', 'br0', 'actions=normal']);
  expect(await burst(50)).toBe(50);
  // 8 kbit/s, and 20 packets at once.
  await vsctl(sw, 'set interface p1 ingress_policing_rate=8 ingress_policing_burst=160');
  const received = await burst(50);
  expect(received).toBeGreaterThanOrEqual(15);
  expect(received).toBeLessThan(30);
  const dropped = async (): Promise<number> => {
    const { stdout } = await stockDpctl(sw, ['-s', 'show']);
    return Number(/: p1\n\s+RX packets:\d+ errors:\d+ dropped:(\d+)/.exec(stdout)?.[1]);
  };
  await eventually('the drops are counted', async () => (await dropped()) >= 50 - 30);

  await vsctl(
    sw,
    'set interface p1 ingress_policing_rate=0 ingress_policing_kpkts_rate=1000 ingress_policing_kpkts_burst=1000',
  );
  expect(await burst(50)).toBe(50);
  await vsctl(sw, 'set interface p1 ingress_policing_kpkts_rate=0');
  expect(await burst(50)).toBe(50);
});

test('policing outlives the vswitchd that asked for it, and ends if the next one has none', async () => {
  await vsctl(sw, 'set interface p1 ingress_policing_rate=8 ingress_policing_burst=160');
  await parts.vswitchd.stop();
  expect(await burst(50)).toBeLessThan(35);
  await sw.ok(['ovs-vsctl', '--no-wait', 'set', 'interface', 'p1', 'ingress_policing_rate=0']);
  parts.vswitchd = await startVswitchd(sw);
  await eventually('nothing is dropped', async () => (await burst(20)) === 20);
});
