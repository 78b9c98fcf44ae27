/** What the database is told of interfaces: the same columns as from the stock vswitchd, for ports of each kind. */
import { expect, test } from 'vitest';
import { eventually, type Namespace, useLab } from '../support/harness.ts';
import { type Switch, startSwitch, startVswitchd, vsctl } from '../support/switch.ts';

let sw: Namespace;
let a: Namespace;
let parts: Switch;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  a = await lab.host(sw, 'a', 'p1', '10.1.1.1/24');
  parts = await startSwitch(sw);
  const patch = (name: string, peer: string) => `set interface ${name} type=patch options:peer=${peer}`;
  await vsctl(sw, 'add-br br0 -- add-port br0 p1 -- add-port br0 i1 -- set interface i1 type=internal');
  await vsctl(sw, `add-port br0 pa -- add-port br0 pb -- ${patch('pa', 'pb')} -- ${patch('pb', 'pa')}`);
  await vsctl(sw, 'add-port br0 t1 -- set interface t1 type=tap');
  // It cannot have so large an MTU, which is no error of the port.
  await vsctl(sw, 'set interface i1 mtu_request=70000');
});

const INTERFACES = ['br0', 'i1', 'p1', 'pa'];
const COLUMNS = 'admin_state,duplex,error,link_speed,link_state,mtu,statistics,status';

/** The columns of some interfaces; of statistics, what they are of. */
async function columns(): Promise<string> {
  const texts: string[] = [];
  for (const name of INTERFACES) {
    texts.push(name, await sw.ok(['ovs-vsctl', `--columns=${COLUMNS}`, 'list', 'interface', name]));
  }
  return texts.join('\n').replace(/\b(\w+)=\d+/g, '$1=');
}
const column = async (iface: string, name: string): Promise<string> =>
  (await sw.ok(['ovs-vsctl', 'get', 'interface', iface, name])).trim();

const hasStatistics = async () => /rx_packets/.test(await column('pa', 'statistics'));

test('the columns are those of the stock vswitchd', async () => {
  await eventually('there are statistics', hasStatistics);
  const ours = await columns();
  expect(ours).toMatch(/status +: \{driver_name=openvswitch\}/);
  expect(ours).toMatch(/status +: \{driver_name=veth, driver_version="[^"]*", firmware_version="[^"]*"\}/);
  await parts.vswitchd.stop();
  for (const name of INTERFACES) {
    await sw.ok([
      'ovs-vsctl',
      '--no-wait',
      'clear',
      'interface',
      name,
      'statistics',
      '--',
      'clear',
      'interface',
      name,
      'status',
    ]);
  }
  parts.vswitchd = await startVswitchd(sw, 'stock');
  await eventually('stock has told the same', async () => (await columns()) === ours);
  await parts.vswitchd.stop();
  parts.vswitchd = await startVswitchd(sw);
});

test('a link that goes and comes back is counted, from when its device is a port', async () => {
  // Returns when the vswitchd of now has made everything so.
  await vsctl(sw, 'set interface p1 external-ids:seen=yes');
  expect(await column('p1', 'link_resets')).toBe('0');
  await a.ip('link set eth0 down');
  await eventually('the link is down', async () => (await column('p1', 'link_state')) === 'down');
  await a.ip('link set eth0 up');
  await eventually('the link is up', async () => (await column('p1', 'link_state')) === 'up');
  expect(await column('p1', 'link_resets')).toBe('2');
});

test('the device of a tap interface is there as long as the interface', async () => {
  const devices = () => sw.ip('-o link');
  expect(await devices()).toContain(' t1:');
  await vsctl(sw, 'del-port t1');
  expect(await devices()).not.toContain(' t1:');
  // One that is there already is taken over, and outlives a vswitchd.
  await sw.ip('tuntap add t2 mode tap');
  await vsctl(sw, 'add-port br0 t2 -- set interface t2 type=tap');
  expect(await column('t2', 'error')).toBe('[]');
  await parts.vswitchd.stop();
  expect(await devices()).toContain(' t2:');
  parts.vswitchd = await startVswitchd(sw);
  await vsctl(sw, 'del-port t2');
  expect(await devices()).not.toContain(' t2:');
});
