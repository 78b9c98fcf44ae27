/** Stock ovs-vsctl as users know it: bridges and ports come and go, and a command returns when its change is real. */
import { expect, test } from 'vitest';
import { type Namespace, useLab } from '../support/harness.ts';
import { startSwitch, stockDpctl, vsctl } from '../support/switch.ts';

let sw: Namespace;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  await startSwitch(sw);
});

const devices = async () => (await sw.ip('-o link')).split('\n').map((line) => /^\d+: ([^:@]+)/.exec(line)?.[1]);

test('add-br makes the bridge device and the datapath before it returns', async () => {
  await vsctl(sw, 'add-br br0');
  expect(await devices()).toContain('br0');
  const { stdout } = await stockDpctl(sw, ['show']);
  expect(stdout).toMatch(/^system@ovs-system:/);
  expect(stdout).toMatch(/port 0: ovs-system \(internal\)/);
  expect(stdout).toMatch(/port 1: br0 \(internal\)/);
});

test('an internal port is a device that carries traffic', async () => {
  await vsctl(sw, 'add-port br0 p1 -- set interface p1 type=internal');
  await vsctl(sw, 'add-port br0 p2 -- set interface p2 type=internal');
  expect(await devices()).toEqual(expect.arrayContaining(['p1', 'p2']));
  const a = await sw.lab.namespace('a');
  const b = await sw.lab.namespace('b');
  for (const [ns, port, address] of [
    [a, 'p1', '10.8.0.1/24'],
    [b, 'p2', '10.8.0.2/24'],
  ] as const) {
    await sw.ip(`link set ${port} netns ${ns.name}`);
    await ns.address(port, address);
  }
  const { sent, received, text } = await a.ping('10.8.0.2', 5);
  expect({ sent, received }, text).toEqual({ sent: 5, received: 5 });
});

test('the database says which port is which, and that it works', async () => {
  const text = await vsctl(sw, '--columns=name,ofport,error find interface name=p1');
  expect(text).toMatch(/name +: p1/);
  expect(text).toMatch(/ofport +: [1-9]/);
  expect(text).toMatch(/error +: \[\]/);
});

test('show lists bridges and ports', async () => {
  const text = await vsctl(sw, 'show');
  expect(text).toMatch(/Bridge br0/);
  for (const port of ['br0', 'p1', 'p2'])
    expect(text).toMatch(new RegExp(`Port ${port}\\n\\s+Interface ${port}\\n\\s+type: internal`));
});

test('a port whose device is missing has an error in the database and in show, and is no hindrance', async () => {
  const { status, stderr } = await sw.run(['ovs-vsctl', '--timeout=60', 'add-port', 'br0', 'nodev']);
  expect(status, stderr).toBe(0);
  expect(stderr).toMatch(/could not open network device nodev \(No such device\)/);
  expect(await vsctl(sw, 'show')).toMatch(/error: "could not open network device nodev \(No such device\)"/);
  await vsctl(sw, 'del-port nodev');
});

test('a device may have a name that is not ASCII', async () => {
  await sw.ip('link add é0 type veth peer name é1');
  await vsctl(sw, 'add-port br0 é0 -- add-port br0 ü1 -- set interface ü1 type=internal');
  expect(await devices()).toContain('ü1');
  const { stdout } = await stockDpctl(sw, ['show']);
  expect(stdout).toMatch(/port \d+: é0\n/);
  expect(stdout).toMatch(/port \d+: ü1 \(internal\)/);
  await vsctl(sw, 'del-port é0 -- del-port ü1');
  expect(await devices()).not.toContain('ü1');
  await sw.ip('link del é0');
});

test('the tools on the control socket answer', async () => {
  expect(await sw.ok(['ovs-appctl', 'version'])).toMatch(/\S/);
  expect(await sw.ok(['ovs-appctl', 'list-commands'])).toMatch(/fdb\/show/);
  expect(await sw.ok(['ovs-appctl', 'fdb/show', 'br0'])).toMatch(/port +VLAN +MAC +Age/);
  expect(await sw.ok(['ovs-appctl', 'dpif/show'])).toMatch(/^system@ovs-system: hit:\d+ missed:\d+\n {2}br0:/);
  expect(await sw.ok(['ovs-appctl', 'dpctl/show'])).toMatch(/port 1: br0 \(internal\)/);
  expect((await sw.run(['ovs-appctl', 'dpctl/dump-flows'])).status).toBe(0);
  expect((await sw.run(['ovs-appctl', 'no/such'])).stderr).toMatch(/"no\/such" is not a valid command/);
  await sw.ok(['ovs-appctl', 'vlog/set', 'console:warn']);
});

test('del-port and del-br take the devices away again', async () => {
  await vsctl(sw, 'add-port br0 p3 -- set interface p3 type=internal');
  expect(await devices()).toContain('p3');
  await vsctl(sw, 'del-port p3');
  expect(await devices()).not.toContain('p3');
  await vsctl(sw, 'del-br br0');
  expect(await devices()).not.toContain('br0');
  expect((await stockDpctl(sw, ['dump-dps'])).stdout).toBe('');
  expect((await vsctl(sw, 'show')).includes('Bridge')).toBe(false);
});

test('two bridges share the datapath and stay apart', async () => {
  await vsctl(sw, 'add-br brx -- add-br bry');
  await vsctl(
    sw,
    'add-port brx x1 -- set interface x1 type=internal -- add-port bry y1 -- set interface y1 type=internal',
  );
  expect((await stockDpctl(sw, ['dump-dps'])).stdout).toBe('system@ovs-system\n');
  const x = await sw.lab.namespace('x');
  const y = await sw.lab.namespace('y');
  await sw.ip(`link set x1 netns ${x.name}`);
  await sw.ip(`link set y1 netns ${y.name}`);
  await x.address('x1', '10.7.0.1/24');
  await y.address('y1', '10.7.0.2/24');
  await sw.address('brx', '10.7.0.254/24');
  expect((await x.ping('10.7.0.254', 3)).received).toBe(3);
  expect((await x.ping('10.7.0.2', 3)).received).toBe(0);
  await vsctl(sw, 'del-br brx -- del-br bry');
});
