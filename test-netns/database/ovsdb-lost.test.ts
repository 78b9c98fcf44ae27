/**
 * The database as the switch's master: without it everything forwards on, back again it is followed; and with
 * flow-restore-wait a new vswitchd leaves the datapath alone until the flows are there again.
 */
import { expect, test } from 'vitest';
import { eventually, type Namespace, TAPSWITCH, useLab } from '../support/harness.ts';
import { type Switch, startDatabase, startSwitch, startVswitchd, stockDpctl, vsctl } from '../support/switch.ts';

let sw: Namespace;
let a: Namespace;
let b: Namespace;
let parts: Switch;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  a = await lab.host(sw, 'a', 'va', '10.9.0.1/24');
  b = await lab.host(sw, 'b', 'vb', '10.9.0.2/24');
  await lab.host(sw, 'c', 'vc', '10.9.0.3/24');
  parts = await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb -- add-port br0 vc');
});

test('kill -9 of ovsdb-server under traffic: nothing is lost, and a change made after it is back is done', async () => {
  expect((await a.ping('10.9.0.2', 3)).received).toBe(3);
  const pinging = a.ping('10.9.0.2', 40);
  await parts.database.kill();
  // New flows are made without it, too.
  expect((await a.ping('10.9.0.3', 3)).received).toBe(3);
  const { sent, received } = await pinging;
  expect(received).toBe(sent);
  await startDatabase(sw);
  await vsctl(sw, 'del-port vc');
  expect((await a.ping('10.9.0.3', 1)).received).toBe(0);
  await vsctl(sw, 'add-port br0 vc');
  await eventually('the port is back', async () => (await a.ping('10.9.0.3', 1)).received === 1);
  // What the server forgot was written again.
  expect(await vsctl(sw, 'get interface va ofport')).toBe('1\n');
  expect(await vsctl(sw, 'get interface va admin_state')).toBe('up\n');
});

test('flow-restore-wait: the datapath keeps its flows, and takes no packet up, until it is unset', async () => {
  await sw.ok(['ovs-ofctl', 'del-flows', 'br0']);
  await sw.ok(['ovs-ofctl', 'add-flow', 'br0', 'actions=normal']);
  await eventually('flows', async () => (await a.ping('10.9.0.2', 3)).received === 3);
  await vsctl(sw, 'set open_vswitch . other_config:flow-restore-wait=true');
  await parts.vswitchd.kill();
  // "secure" forwards nothing by itself: only the flows of before do.
  await sw.ok(['ovs-vsctl', '--no-wait', 'set-fail-mode', 'br0', 'secure']);
  const flows = async () =>
    (await stockDpctl(sw, ['dump-flows'])).stdout.split('\n').filter((line) => line.includes('0x0800'));
  parts.vswitchd = await startVswitchd(sw);
  await vsctl(sw, 'get open_vswitch . cur_cfg');
  expect((await flows()).length).toBeGreaterThan(0);
  const { sent, received } = await a.ping('10.9.0.2', 10);
  expect(received).toBe(sent);
  // b and c have not spoken yet: there is no flow of theirs to keep.
  expect((await b.ping('10.9.0.3', 1)).received).toBe(0);

  await sw.ok(['ovs-ofctl', 'add-flow', 'br0', 'actions=normal']);
  await vsctl(sw, 'remove open_vswitch . other_config flow-restore-wait');
  await eventually('new flows', async () => (await b.ping('10.9.0.3', 1)).received === 1);
  expect((await a.ping('10.9.0.2', 3)).received).toBe(3);
});

test('tapswitch up: ovs-vsctl set-manager opens the database to others', async () => {
  const other = await sw.lab.namespace('other');
  const dir = `${sw.lab.dir}/other`;
  const env = { OVS_RUNDIR: dir, OVS_DBDIR: dir, OVS_LOGDIR: dir };
  await other.ok(['mkdir', '-p', dir]);
  const up = await other.run([TAPSWITCH, 'up', '--detach', '--log-dir', dir], { env });
  expect(up.status, up.stderr).toBe(0);
  try {
    await other.ok(['ovs-vsctl', '--timeout=60', 'set-manager', 'ptcp:6640:127.0.0.1', '--', 'add-br', 'brm'], { env });
    await other.ip('link set lo up');
    const list = () => other.run(['ovs-vsctl', '--timeout=5', '--db=tcp:127.0.0.1:6640', 'list-br']);
    await eventually('a manager', async () => (await list()).stdout === 'brm\n');
    const text = await other.ok(
      ['ovs-vsctl', '--timeout=60', 'get', 'manager', 'ptcp:6640:127.0.0.1', 'is_connected'],
      {
        env,
      },
    );
    expect(text).toMatch(/^(true|false)\n$/);
  } finally {
    await other.run([TAPSWITCH, 'down'], { env });
  }
});
