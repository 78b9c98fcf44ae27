/** What the stock ovs-ofctl can do to a bridge, in every version of OpenFlow, and what becomes of real packets. */
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Daemon, eventually, type Lab, type Namespace, ROOT, useLab } from '../support/harness.ts';
import { startSwitch, vsctl } from '../support/switch.ts';

const FRAMES = ['/usr/bin/python3', '-I', '-S', join(ROOT, 'test-netns/support/frames.py')];
const VERSIONS = ['OpenFlow10', 'OpenFlow11', 'OpenFlow12', 'OpenFlow13', 'OpenFlow14', 'OpenFlow15'] as const;
/** A broadcast of a protocol that nobody speaks. */
const FRAME = `ffffffffffff02000000000188b5${'a5'.repeat(46)}`;
const FORWARD =
  'cookie=0x1,priority=10,in_port=1,actions=output:2\ncookie=0x2,priority=10,in_port=2,actions=output:1\n';

let sw: Namespace;
let host1: Namespace;
let host2: Namespace;
let lab: Lab;

useLab(async (made) => {
  lab = made;
  sw = await lab.namespace('switch');
  host1 = await lab.host(sw, 'host1', 'p1', '10.9.0.1/24');
  host2 = await lab.host(sw, 'host2', 'p2', '10.9.0.2/24');
  // A host that looks for routers, or has to ask for an address, would do so at a time of its own: packets are counted here.
  for (const host of [host1, host2]) await host.ok(['sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1']);
  await neighbours(host1, '10.9.0.2', host2);
  await neighbours(host2, '10.9.0.1', host1);
  await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- set-fail-mode br0 secure -- add-port br0 p1 -- add-port br0 p2');
});

async function neighbours(of: Namespace, address: string, host: Namespace): Promise<void> {
  const [link] = JSON.parse(await host.ok(['ip', '-j', 'link', 'show', 'eth0'])) as { address: string }[];
  await of.ip(`neigh add ${address} lladdr ${link?.address} dev eth0`);
}

const ofctl = (args: string, input?: string): Promise<string> =>
  sw.ok(['ovs-ofctl', ...args.split(' ')], input === undefined ? {} : { input });
const reaches = async (): Promise<boolean> =>
  (await host1.run(['ping', '-n', '-c', '1', '-W', '0.5', '10.9.0.2'])).status === 0;
const passes = (): Promise<boolean> => eventually('host1 reaches host2', reaches);
/** A change reaches the flows of the datapath a little later. */
const isCut = (): Promise<boolean> => eventually('host1 does not reach host2', async () => !(await reaches()));

beforeEach(async () => {
  if (sw === undefined) return;
  await ofctl('-O OpenFlow13 del-flows br0');
  await ofctl('-O OpenFlow13 del-groups br0');
  // As a test that failed may have left them.
  await ofctl('mod-port br0 p1 up');
  await ofctl('mod-port br0 p2 forward');
});

/** `ovs-ofctl ARGS`, a monitor that goes on until it is ended; what it has asked the switch for is done. */
async function listen(args: string): Promise<Daemon> {
  const control = join(sw.lab.dir, 'monitor.ctl');
  const daemon = sw.daemon('ofctl', ['ovs-ofctl', `--unixctl=${control}`, ...args.split(' ')]);
  await daemon.until(
    'has an answer to a barrier',
    async () => (await sw.run(['ovs-appctl', '-t', control, 'ofctl/barrier'])).status === 0,
  );
  return daemon;
}
const printed = (daemon: Daemon, text: string | RegExp): Promise<void> =>
  daemon.until(`prints ${text}`, () =>
    typeof text === 'string' ? daemon.output().includes(text) : text.test(daemon.output()),
  );

describe.each(VERSIONS)('%s', (version) => {
  const of = (args: string, input?: string) => ofctl(`-O ${version} ${args}`, input);
  const flows = async () =>
    (await of('--no-stats dump-flows br0'))
      .trim()
      .split('\n')
      .map((l) => l.trim())
      .sort();

  test('flows forward packets and count them; they are changed and removed', async () => {
    await of('add-flows br0 -', `${FORWARD}priority=5,arp,actions=drop\n`);
    await of('add-flow br0 priority=4,udp,actions=NORMAL');
    expect((await host1.ping('10.9.0.2', 3)).received).toBe(3);
    await eventually('the packets are counted', async () =>
      /cookie=0x1, duration=[\d.]+s, table=0, n_packets=3, n_bytes=294,.* priority=10,in_port=1 actions=output:2/.test(
        await of('dump-flows br0'),
      ),
    );
    expect(await of('dump-aggregate br0 cookie=0x1/-1')).toContain('packet_count=3 byte_count=294 flow_count=1');
    await of('mod-flows br0 cookie=0x2/-1,actions=drop');
    await of('--strict del-flows br0 priority=5,arp');
    await of('--strict del-flows br0 priority=5,udp');
    expect(await flows()).toEqual([
      'cookie=0x1, priority=10,in_port=1 actions=output:2',
      'cookie=0x2, priority=10,in_port=2 actions=drop',
      'priority=4,udp actions=NORMAL',
    ]);
    await isCut();
    await of('del-flows br0 cookie=0x1/-1');
    await of('del-flows br0 out_port=normal');
    expect(await flows()).toEqual(['cookie=0x2, priority=10,in_port=2 actions=drop']);
  });

  test('files of flows: compared, replaced, in bundles', async () => {
    await of('add-flow br0 priority=3,actions=drop');
    const file = join(lab.dir, 'flows');
    await ofctlFile(file, `${FORWARD}priority=0,actions=NORMAL\n`);
    const diff = await sw.run(['ovs-ofctl', '-O', version, 'diff-flows', 'br0', file]);
    expect(diff.status).toBe(2);
    expect(diff.stdout).toContain('-priority=3 actions=drop');
    await of(`replace-flows br0 ${file}`);
    expect(await of(`diff-flows br0 ${file}`)).toBe('');
    await of('--bundle add-flows br0 -', 'add priority=8,actions=drop\ndelete cookie=0x1/-1\n');
    const before = ['cookie=0x2, priority=10,in_port=2 actions=output:1', 'priority=0 actions=NORMAL'];
    expect(await flows()).toEqual([...before, 'priority=8 actions=drop']);
    // All or nothing.
    const wrong = await sw.run(['ovs-ofctl', '-O', version, '--bundle', 'add-flows', 'br0', '-'], {
      input: 'add priority=9,actions=drop\nadd priority=9,actions=group:99\n',
    });
    expect(wrong.status).not.toBe(0);
    expect(await flows()).toEqual([...before, 'priority=8 actions=drop']);
  });

  test('switch, tables, ports, fragments', async () => {
    expect(await of('show br0')).toMatch(
      /n_tables:254, n_buffers:0\n[\s\S]* 1\(p1\): addr:[\s\S]* LOCAL\(br0\): addr:/,
    );
    await eventually('the speed of a veth is known', async () =>
      / 1\(p1\): .*\n.*\n.*\n\s+current:\s+10GB-FD COPPER\n\s+speed: 10000 Mbps now, 0 Mbps max/.test(
        await of('show br0'),
      ),
    );
    expect(await of('dump-desc br0')).toContain('Manufacturer: Nicira, Inc.');
    await of('add-flow br0 priority=1,actions=drop');
    expect(await of('dump-tables br0')).toMatch(/table 0:\n\s+active=1, lookup=\d+, matched=\d+/);
    expect(await of('dump-ports br0 p1')).toMatch(/port {2}1: rx pkts=\d+, bytes=\d+, drop=\d+, errs=0/);
    expect(await of('queue-stats br0')).toContain('OFPST_QUEUE reply');
    await of('add-flows br0 -', FORWARD);
    await passes();
    await of('mod-port br0 p1 down');
    await isCut();
    expect(await of('show br0')).toMatch(/ 1\(p1\): addr:.*\n\s+config:\s+PORT_DOWN\n\s+state:\s+LINK_DOWN/);
    await of('mod-port br0 p1 up');
    await passes();
    await of('mod-port br0 2 no-forward');
    expect(await of('show br0')).toMatch(/ 2\(p2\): addr:.*\n\s+config:\s+NO_FWD/);
    await isCut();
    await of('mod-port br0 2 forward');
    for (const frags of ['drop', 'normal']) {
      await of(`set-frags br0 ${frags}`);
      expect(await of('get-frags br0')).toBe(`${frags}\n`);
    }
  });

  test('a packet that is sent out', async () => {
    const capture = host2.daemon('capture', [...FRAMES, 'capture', 'eth0', '10']);
    await capture.until('is ready', () => capture.output().includes('ready'));
    await of('add-flow br0 dl_type=0x88b5,actions=output:2');
    await of(`packet-out br0 in_port=1,packet=${FRAME},actions=table`);
    await capture.until('saw the frame', () => capture.output().includes(FRAME));
    await of(`packet-out br0 in_port=controller,packet=${FRAME},actions=mod_dl_src:02:00:00:00:00:09,output:2`);
    await capture.until('saw the other', () => capture.output().includes('ffffffffffff02000000000988b5'));
    await capture.stop();
  });

  test('groups and meters', async () => {
    await of('add-group br0 group_id=7,type=all,bucket=output:2,bucket=output:1');
    await of('add-flows br0 -', 'in_port=1,actions=group:7\nin_port=2,actions=output:1\n');
    await passes();
    expect(await of('dump-groups br0')).toContain('group_id=7,type=all,bucket=');
    await eventually('the group counts', async () =>
      /group_id=7,.*packet_count=[1-9]/.test(await of('dump-group-stats br0 group_id=7')),
    );
    await of('mod-group br0 group_id=7,type=all,bucket=output:1');
    await isCut();
    await of('del-groups br0');
    expect(await flows()).toEqual(['in_port=2 actions=output:1']);
    if (version < 'OpenFlow13') return;
    await of('add-meter br0 meter=1,pktps,stats,bands=type=drop,rate=1000000');
    await of('add-flow br0 in_port=1,actions=meter:1,output:2');
    await passes();
    expect(await of('dump-meters br0')).toMatch(/meter=1 pktps stats bands=\s*type=drop rate=1000000/);
    await eventually('the meter counts', async () =>
      /meter:1 .*packet_in_count:[1-9]/.test(await of('meter-stats br0')),
    );
    await of('del-meters br0');
    expect(await flows()).toEqual(['in_port=2 actions=output:1']);
  });

  test('packet_ins of real packets, with the packet whole', async () => {
    await of('add-flow br0 dl_type=0x88b5,actions=controller:65535');
    const monitor = await listen(`-O ${version} monitor br0 65534`);
    await host1.ok([...FRAMES, 'send', 'eth0', FRAME]);
    await printed(monitor, /PACKET_IN2? .*total_len=60 in_port=1 \(via action\) data_len=60 \(unbuffered\)/);
    expect(monitor.output()).toContain('dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,dl_type=0x88b5');
    await monitor.stop();
  });
});

const ofctlFile = async (path: string, text: string): Promise<void> => {
  await sw.ok(['tee', path], { input: text });
};

test.each(['standard', 'nxt_packet_in', 'nxt_packet_in2'])('packet_ins in the format %s', async (format) => {
  const resume = format === 'nxt_packet_in2';
  await ofctl(`add-flow br0 dl_type=0x88b5,actions=controller(reason=no_match${resume ? ',pause' : ''}),output:2`);
  const capture = host2.daemon('capture', [...FRAMES, 'capture', 'eth0', '10']);
  await capture.until('is ready', () => capture.output().includes('ready'));
  const monitor = await listen(`monitor br0 65534 -P ${format}${resume ? ' resume' : ''}`);
  await host1.ok([...FRAMES, 'send', 'eth0', FRAME]);
  const name = { standard: 'OFPT_PACKET_IN', nxt_packet_in: 'NXT_PACKET_IN', nxt_packet_in2: 'NXT_PACKET_IN2' }[format];
  await printed(monitor, new RegExp(`^${name} .*in_port=1 \\(via no_match\\)`, 'm'));
  if (resume) await printed(monitor, /^send: NXT_RESUME/m);
  // Resumed, or never stopped: the packet goes where the rest of the actions sends it.
  await capture.until('saw the frame', () => capture.output().includes(FRAME));
  await monitor.stop();
  await capture.stop();
});

test('what is watched is told', async () => {
  const monitor = await listen('monitor br0 watch:');
  await ofctl('add-flow br0 priority=77,tcp,actions=drop');
  await ofctl('mod-flows br0 tcp,actions=NORMAL');
  await ofctl('--strict del-flows br0 priority=77,tcp');
  await printed(monitor, /event=ADDED table=0 cookie=0 tcp$/m);
  await printed(monitor, /event=MODIFIED table=0 cookie=0 tcp actions=NORMAL$/m);
  await printed(monitor, /event=DELETED reason=delete table=0 cookie=0 tcp actions=NORMAL$/m);
  await monitor.stop();
});

test('a port that changes is told of, and a flow that ends', async () => {
  const monitor = await listen('-O OpenFlow14 monitor br0 65534');
  await ofctl('-O OpenFlow14 add-flow br0 send_flow_rem,cookie=0x9,hard_timeout=1,udp,actions=drop');
  await vsctl(sw, 'add-port br0 new -- set interface new type=internal ofport_request=9');
  await printed(monitor, /PORT_STATUS .*ADD: 9\(new\)/);
  await vsctl(sw, 'del-port br0 new');
  await printed(monitor, /PORT_STATUS .*DEL: 9\(new\)/);
  await printed(monitor, /FLOW_REMOVED .*udp reason=hard table_id=0 cookie:0x9/);
  await monitor.stop();
});

test('ping, probe, benchmark', async () => {
  await ofctl('probe br0');
  expect((await ofctl('ping br0 40')).match(/^40 bytes from br0: xid=/gm)).toHaveLength(10);
  expect(await ofctl('benchmark br0 1000 500')).toContain('Sending 500 packets * 1008 bytes');
});
