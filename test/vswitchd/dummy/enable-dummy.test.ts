/** vswitchd --enable-dummy as a process, with a real ovsdb-server and the stock tools: devices, datapath and time are its own. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { noOvsdbServer, type OvsdbServer, startOvsdbServer, until } from '../../ovsdb/ovsdb-server.ts';

const NOT_BUILT = existsSync('build/Release/tapswitch.node') ? undefined : 'the native addon is not built';
const SKIP = noOvsdbServer ?? NOT_BUILT;
if (SKIP !== undefined) console.warn(`skipped: ${SKIP}`);

const FLOW =
  'in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),' +
  'ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)';

describe.skipIf(SKIP !== undefined)('tapswitch vswitchd --enable-dummy', () => {
  let server: OvsdbServer;
  let env: NodeJS.ProcessEnv;
  let pid = 0;

  beforeEach(async () => {
    server = await startOvsdbServer();
    env = { ...process.env, OVS_RUNDIR: server.dir, OVS_LOGDIR: server.dir };
    const main = resolve('src/vswitchd/main.ts');
    const code = `import { main } from ${JSON.stringify(main)};\nprocess.exit(await main(process.argv.slice(2)));\n`;
    writeFileSync(join(server.dir, 'run.mjs'), code);
    const loader = resolve('node_modules/tsx/dist/loader.mjs');
    const options = ['--enable-dummy', '--disable-system', '--disable-system-route', '--log-file', '-vvconn'];
    const args = ['--import', loader, 'run.mjs', ...options, '--detach', '--no-chdir', '--pidfile'];
    const { status, stderr } = spawnSync(process.execPath, args, { env, cwd: server.dir, encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    pid = Number(readFileSync(join(server.dir, 'ovs-vswitchd.pid'), 'utf8'));
    const port = (n: number) => `-- add-port br0 p${n} -- set Interface p${n} type=dummy ofport_request=${n}`;
    const pcap = `options:tx_pcap=${join(server.dir, 'p2.pcap')}`;
    const bridge = 'add-br br0 -- set bridge br0 datapath_type=dummy other_config:hwaddr=aa:55:aa:55:00:00';
    server.vsctl(...`${bridge} ${port(1)} ${port(2)} ${pcap}`.split(' '));
  });
  afterEach(async () => {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended, as it should.
    }
    await server.stop();
  });
  const appctl = (...args: string[]) => execFileSync('ovs-appctl', args, { env, encoding: 'utf8' });

  test('a frame goes from one device to the other', async () => {
    expect(appctl('dpif/show')).toBe(
      'dummy@ovs-dummy: hit:0 missed:0\n  br0:\n    br0 65534/100: (dummy-internal)\n' +
        '    p1 1/1: (dummy)\n    p2 2/2: (dummy)\n',
    );
    appctl('netdev-dummy/receive', 'p1', FLOW);
    const pcap = () => readFileSync(join(server.dir, 'p2.pcap'));
    await until(() => pcap().length > 24, 'a frame in the capture of p2');
    expect(pcap().readUInt32LE(0)).toBe(0xa1b2c3d4);
    expect(pcap().subarray(40, 54).toString('hex')).toBe('50540000000a5054000000090800');
    expect(pcap().length).toBe(24 + 16 + 14 + 20 + 8 + 64);
    expect(appctl('fdb/show', 'br0')).toContain('    1     0  50:54:00:00:00:09');
    expect(readFileSync(join(server.dir, 'ovs-vswitchd.log'), 'utf8')).not.toMatch(/\|(WARN|ERR|EMER)\|/);
    appctl('exit');
    await until(() => !existsSync(join(server.dir, 'ovs-vswitchd.pid')), 'the end of vswitchd');
  });

  test('the datapath is one in userspace', async () => {
    appctl('time/stop');
    appctl('vlog/set', 'dpif_netdev:dbg');
    appctl('netdev-dummy/receive', 'p1', FLOW);
    expect(readFileSync(join(server.dir, 'ovs-vswitchd.log'), 'utf8')).toContain('|flow_add: ');
    const flow =
      'recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),ipv4(frag=no)';
    const dumped = `${flow}, packets:0, bytes:0, used:never, actions:100,2\n`;
    appctl('vlog/set', 'dpif:dbg');
    expect(appctl('dpctl/dump-flows')).toBe(`flow-dump from the main thread:\n${dumped}`);
    expect(appctl('dpif/dump-flows', 'br0')).toBe(dumped);
    const ofAnyPort = spawnSync('ovs-appctl', ['dpctl/add-flow', 'eth(),eth_type(0x0800),ipv4()', '2'], { env });
    expect(String(ofAnyPort.stderr)).toContain('updating flow table (Invalid argument)\n');
    // What the mask leaves out is shown as the packet had it.
    expect(appctl('dpctl/dump-flows', '-m')).toContain('ipv4(src=10.0.0.2/0.0.0.0,dst=10.0.0.1/0.0.0.0,proto=1/0,');
    const log = readFileSync(join(server.dir, 'ovs-vswitchd.log'), 'utf8');
    expect(log.replace(/ufid:[-0-9a-f]*/g, 'ufid:')).toContain(`flow_add: ufid: mega_ufid: ${flow}, actions:100,2\n`);
    expect(log).toMatch(/dpif.DBG.dummy@ovs-dummy: flow_dump ufid:[-0-9a-f]* skb_priority\(0\/0\),skb_mark\(0\/0\)/);
    expect(log).toMatch(/dpif_netdev.DBG.ovs-dummy: miss upcall:\nskb_priority\(0\),skb_mark\(0\),ct_state\(0\)/);

    expect(appctl('dpctl/dump-conntrack')).toBe('');

    // A flow by hand is of one recirculation, and of any type of packet unless it says so.  In a datapath that no switch looks after.
    appctl('dpctl/add-dp', 'dummy@dp9');
    appctl('dpctl/add-flow', 'dummy@dp9', 'in_port(1),eth(dst=00:00:00:00:00:02),eth_type(0x1234)', '2');
    appctl('dpctl/add-flow', 'dummy@dp9', 'in_port(2),eth(),eth_type(0x0800),ipv4()', '1');
    const byHand = appctl('dpctl/dump-flows', 'dummy@dp9').split('\n').slice(1).sort();
    const rest = 'packets:0, bytes:0, used:never, actions:';
    expect(byHand).toEqual([
      '',
      `recirc_id(0),in_port(1),eth(dst=00:00:00:00:00:02),eth_type(0x1234), ${rest}2`,
      `recirc_id(0),in_port(2),eth(),eth_type(0x0800), ${rest}1`,
    ]);
  });

  test('dpctl makes dummies; names may be longer than a kernel has them', () => {
    appctl('dpctl/add-dp', 'dummy@dp9');
    appctl('dpctl/add-if', 'dummy@dp9', 'vif1.0,type=dummy,port_no=5');
    expect(appctl('dpctl/show', 'dummy@dp9')).toBe(
      'dummy@dp9:\n  lookups: hit:0 missed:0 lost:0\n  flows: 0\n  port 0: dp9 (dummy-internal)\n  port 5: vif1.0 (dummy)\n',
    );
    appctl('dpctl/del-if', 'dummy@dp9', 'vif1.0');
    expect(appctl('dpctl/show', 'dummy@dp9')).not.toContain('vif1.0');
    const long = 'reallyverylongportname';
    server.vsctl(...`add-port br0 ${long}7 -- set interface ${long}7 type=dummy`.split(' '));
    expect(appctl('dpif/show')).toContain(`    ${long}7 3/7: (dummy)\n`);
    expect(appctl('dpctl/show', 'dummy@ovs-dummy')).toContain(`  port 7: ${long}7 (dummy)\n`);
    server.vsctl(...'add-port br0 p9 -- set interface p9 type=dummy options:ifindex=9'.split(' '));
    expect(appctl('dpif/show')).toContain('    p9 4/9: (dummy: ifindex=9)\n');
  });

  test('a port that somebody deletes comes back with the next change of the database', async () => {
    const isThere = () => appctl('dpif/show').includes('p1');
    const deleteIt = () => {
      // What is told of devices that are new may still have it come back.
      if (isThere()) appctl('dpctl/del-if', 'dummy@ovs-dummy', 'p1');
      return !isThere();
    };
    await until(deleteIt, 'p1 is gone');
    server.vsctl('del-port', 'p2');
    expect(appctl('dpif/show')).toContain('    p1 1/1: (dummy)\n');
  });

  test('a port that gets another number in the datapath stays what it was', () => {
    appctl('dpif-dummy/change-port-number', 'ovs-dummy', 'p1', '5');
    expect(appctl('ofproto/trace', 'br0', 'in_port=2')).toMatch(/Datapath actions: 100,5\n$/);
    expect(appctl('dpif/show')).toContain('    p1 1/5: (dummy)\n');
    const refused = (...args: string[]) =>
      spawnSync('ovs-appctl', ['dpif-dummy/change-port-number', ...args], { env, encoding: 'utf8' }).stderr;
    expect(refused('ovs-none', 'p1', '6')).toContain('unknown datapath or not a dummy\n');
    expect(refused('ovs-dummy', 'p3', '6')).toContain('unknown port\n');
    expect(refused('ovs-dummy', 'p1', 'x')).toContain('bad port number\n');
    expect(refused('ovs-dummy', 'p1', '2')).toContain('port number already in use\n');
  });

  test('neighbours behind a port are forgotten with it', () => {
    for (const where of ['p1', 'br0', 'elsewhere']) appctl('tnl/neigh/set', where, '10.0.0.1', '00:00:10:00:00:01');
    const known = () =>
      appctl('tnl/neigh/show')
        .split('\n')
        .slice(2)
        .map((line) => line.split(/ +/)[2] ?? '');
    expect(known()).toEqual(['p1', 'br0', 'elsewhere', '']);
    server.vsctl('del-port', 'p1');
    expect(known()).toEqual(['br0', 'elsewhere', '']);
    server.vsctl('del-br', 'br0');
    expect(known()).toEqual(['elsewhere', '']);
  });

  test('the log has flows as userspace writes them, and all of a translation that ran away', async () => {
    appctl('vlog/set', 'dpif:dbg');
    appctl('netdev-dummy/receive', 'p1', FLOW);
    const log = () => readFileSync(join(server.dir, 'ovs-vswitchd.log'), 'utf8');
    expect(log()).toMatch(
      /put\[create\] ufid:\S+ skb_priority\(0\/0\),skb_mark\(0\/0\),.*,packet_type\(ns=0,id=0\),eth\(/,
    );
    const flows = Array.from({ length: 65 }, (_, i) => `table=${i + 2},actions=resubmit(,${i + 1})\n`);
    const file = join(server.dir, 'flows');
    writeFileSync(file, `table=0,actions=resubmit(,66)\ntable=1,actions=LOCAL\n${flows.join('')}`);
    execFileSync('ovs-ofctl', ['add-flows', 'br0', file], { env });
    appctl('netdev-dummy/receive', 'br0', FLOW);
    await until(() => log().includes('Translation failed (Recursion too deep), packet is dropped.'), 'a trace');
    expect(log().match(/^ *resubmit/gm)?.length).toBe(66);
  });

  test('internal ports have the MTU of other devices, and their own when these are gone', () => {
    const until = (mtu: number) => server.vsctl('--timeout=60', 'wait-until', 'interface', 'br0', `mtu=${mtu}`);
    for (const name of ['p1', 'p2']) server.vsctl('set', 'interface', name, 'mtu_request=1600');
    until(1600);
    server.vsctl('del-port', 'p1', '--', 'del-port', 'p2');
    until(1500);
  });

  test('what a controller sends out to itself comes back', async () => {
    await until(() => existsSync(join(server.dir, 'br0.mgmt')), 'a socket for controllers');
    const monitor = spawn('ovs-ofctl', ['monitor', 'br0', '65534'], { env });
    try {
      let said = '';
      monitor.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
      });
      const packetOut = 'in_port=6, packet=0001020304050010203040501234 actions=controller';
      await until(() => {
        execFileSync('ovs-ofctl', ['packet-out', 'br0', packetOut], { env });
        return said.includes('PACKET_IN');
      }, 'a packet-in');
    } finally {
      monitor.kill();
    }
  });

  test('time stands still until it is warped, in both halves', async () => {
    appctl('time/stop');
    appctl('netdev-dummy/receive', 'p1', FLOW);
    await until(() => appctl('dpctl/dump-flows') !== '', 'a flow');
    expect(appctl('fdb/show', 'br0')).toMatch(/50:54:00:00:00:09 {4}0\n/);
    expect(appctl('time/warp', '5000')).toBe('warped\n');
    expect(appctl('fdb/show', 'br0')).toMatch(/50:54:00:00:00:09 {4}5\n/);
    appctl('time/warp', '20000', '1000');
    await until(() => appctl('dpctl/dump-flows') === '', 'the end of an idle flow');
    expect(spawnSync('ovs-appctl', ['time/warp', '0'], { env, encoding: 'utf8' }).stderr).toContain('invalid MSECS');
  });

  test('devices are set up and down, and what is none is refused', async () => {
    const state = () => server.vsctl('get', 'interface', 'p1', 'admin_state');
    expect(appctl('netdev-dummy/set-admin-state', 'p1', 'down')).toBe('OK\n');
    await until(() => state() === 'down\n', 'p1 down in the database');
    expect(appctl('netdev-dummy/set-admin-state', 'up')).toBe('OK\n');
    await until(() => state() === 'up\n', 'p1 up in the database');
    expect(appctl('netdev-dummy/conn-state', 'p1')).toBe('p1: unknown\n');
    expect(appctl('netdev-dummy/ip4addr', 'p1', '10.0.0.1/24')).toBe('OK\n');
    expect(appctl('netdev-dummy/ip6addr', 'p1', '2001:db8::1/64')).toBe('OK\n');
    expect(appctl('ovs/route/add', '10.1.0.0/16', 'p1', '10.0.0.2')).toBe('OK\n');
    expect(appctl('ovs/route/add', '2001:db8:1::/64', 'p1', '2001:db8::2')).toBe('OK\n');
    expect(appctl('ovs/route/lookup', '10.1.2.3')).toBe('src 10.0.0.1\ngateway 10.0.0.2\ndev p1\n');
    expect(appctl('ovs/route/lookup', '2001:db8:1::7')).toBe('src 2001:db8::1\ngateway 2001:db8::2\ndev p1\n');
    const refused = (...args: string[]) =>
      spawnSync('ovs-appctl', args, { env, encoding: 'utf8' }).stderr.split('\n')[0];
    expect(refused('netdev-dummy/receive', 'p9', FLOW)).toBe('no such dummy netdev');
    expect(refused('netdev-dummy/receive', 'p1', 'nonsense')).toBe('syntax error at nonsense');
    expect(refused('netdev-dummy/receive', 'p1', '--qid', '4', FLOW)).toBe('bad rx queue id.');
    expect(refused('netdev-dummy/set-admin-state', 'p1', 'sideways')).toBe('Invalid Admin State');
  });
});
