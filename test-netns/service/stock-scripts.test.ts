/** Scripts of Open vSwitch, unmodified, with our vswitchd in the place of ovs-vswitchd: ovs-ctl, ovs-save, ovs-tcpdump, ovs-pcap, ovs-dpctl-top. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, type Lab, type Namespace, type Result, TAPSWITCH, useLab } from '../support/harness.ts';
import { startDatapath, stockDpctl, vsctl } from '../support/switch.ts';

const SCRIPTS = '/usr/share/openvswitch/scripts';
let lab: Lab;
let sw: Namespace;
let a: Namespace;
let env: Record<string, string> = {};

useLab(async (made) => {
  lab = made;
  sw = await lab.namespace('switch');
  a = await lab.host(sw, 'a', 'va', '10.9.0.1/24');
  await lab.host(sw, 'b', 'vb', '10.9.0.2/24');
  await startDatapath(sw);
  const bin = join(lab.dir, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'ovs-vswitchd'), `#!/bin/sh\nexec ${TAPSWITCH} vswitchd "$@"\n`);
  chmodSync(join(bin, 'ovs-vswitchd'), 0o755);
  env = { PATH: `${bin}:${process.env['PATH']}`, OVS_SYSCONFDIR: lab.dir };
  mkdirSync(join(lab.dir, 'openvswitch'));
});

// Daemons that it starts keep its output open, so that it goes to a file.
const ovsCtl = (...args: string[]): Promise<Result> =>
  sw.run(['sh', '-c', `exec ${SCRIPTS}/ovs-ctl "$@" > ${lab.dir}/ovs-ctl.out 2>&1`, 'ovs-ctl', ...args], {
    env,
    timeoutMs: 60_000,
  });
const said = (): string => readFileSync(join(lab.dir, 'ovs-ctl.out'), 'utf8');
const vswitchdPid = (): number => Number(readFileSync(join(lab.dir, 'ovs-vswitchd.pid'), 'utf8'));

test('ovs-ctl starts it, with a system id, and knows that it runs', async () => {
  expect((await ovsCtl('--system-id=random', 'start')).status, said()).toBe(0);
  expect(readFileSync(`/proc/${vswitchdPid()}/cmdline`, 'utf8')).toContain('vswitchd');
  expect((await ovsCtl('status')).status).toBe(0);
  expect(said()).toContain(`ovs-vswitchd is running with pid ${vswitchdPid()}`);
  expect(await vsctl(sw, 'get open_vswitch . external_ids:system-id ovs_version')).toMatch(
    /^"[0-9a-f-]{36}"\n"3\.1\.0"\n$/,
  );
});

test('a restart keeps OpenFlow flows and groups, by ovs-save', async () => {
  await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb');
  await sw.ok(['ovs-ofctl', '-OOpenFlow15', 'add-group', 'br0', 'group_id=7,type=all,bucket=actions=normal']);
  await sw.ok(['ovs-ofctl', '-OOpenFlow15', 'add-flow', 'br0', 'priority=9,icmp,actions=group:7']);
  const before = vswitchdPid();
  expect((await ovsCtl('--system-id=random', 'restart')).status, said()).toBe(0);
  expect(said()).toContain('Restoring saved flows');
  expect(vswitchdPid()).not.toBe(before);
  expect(await sw.ok(['ovs-ofctl', '-OOpenFlow15', 'dump-flows', 'br0'])).toContain('icmp actions=group:7');
  expect(await sw.ok(['ovs-ofctl', '-OOpenFlow15', 'dump-groups', 'br0'])).toContain('group_id=7,type=all,bucket=');
  expect((await a.ping('10.9.0.2', 3)).received).toBe(3);
});

test('ovs-tcpdump sees the packets of a port, and ovs-pcap reads what it saved', async () => {
  // tcpdump becomes another user before it opens the file.
  chmodSync(lab.dir, 0o777);
  const file = join(lab.dir, 'x.pcap');
  const command = ['ovs-tcpdump', '-i', 'va', '--db-sock', `unix:${lab.dir}/db.sock`, '-w', file, '-c', '2'];
  const tcpdump = sw.daemon('tcpdump', command);
  await eventually('it has a mirror', async () => /m_va/.test(await vsctl(sw, 'list mirror')));
  await eventually(
    'two packets',
    async () => {
      await a.ping('10.9.0.2', 1);
      return !tcpdump.running;
    },
    40_000,
  );
  expect((await sw.ok(['ovs-pcap', file])).trim().split('\n')).toHaveLength(2);
  expect(await vsctl(sw, 'list mirror')).toBe('');
});

test('ovs-dpctl-top reads the flows', async () => {
  await a.ping('10.9.0.2', 3);
  const { stdout } = await stockDpctl(sw, ['dump-flows']);
  const file = join(lab.dir, 'flows');
  writeFileSync(file, stdout);
  const top = await sw.ok(['ovs-dpctl-top', '--script', '--flow-file', file]);
  expect(top).toMatch(new RegExp(`Total: ${stdout.trim().split('\n').length} +errors: 0`));
});

test('ovs-ctl stops it', async () => {
  const pid = vswitchdPid();
  expect((await ovsCtl('stop')).status, said()).toBe(0);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  expect((await ovsCtl('status')).status).not.toBe(0);
  expect(said()).toContain('ovs-vswitchd is not running');
});
