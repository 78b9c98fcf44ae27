/** In-band control: a bridge without a flow reaches the controller that is behind it. */
import { expect, test } from 'vitest';
import { eventually, type Namespace, useLab } from '../support/harness.ts';
import { startSwitch, vsctl } from '../support/switch.ts';

/** Says hello of OpenFlow 1.0 to whoever connects. */
const CONTROLLER = `require('net').createServer((s) => {
  s.on('error', () => {});
  s.write(Buffer.from('0100000800000001', 'hex'));
}).listen(6653, () => console.log('ready'));`;

let sw: Namespace;
let controller: Namespace;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  controller = await lab.host(sw, 'controller', 'p1', '10.9.0.7/24');
  await startSwitch(sw);
  await vsctl(sw, 'add-br br0 -- set-fail-mode br0 secure -- add-port br0 p1');
  await sw.ip('address add 10.9.0.1/24 dev br0');
  await sw.ip('link set br0 up');
  const daemon = controller.daemon('controller', [process.execPath, '-e', CONTROLLER]);
  await daemon.until('listens', () => daemon.output().includes('ready'));
});

const isConnected = async (): Promise<boolean> =>
  (await vsctl(sw, 'get controller br0 is_connected')).trim() === 'true';
const allFlows = (): Promise<string> => sw.ok(['ovs-appctl', 'bridge/dump-flows', 'br0']);

test('hidden flows open the way, and go with it', async () => {
  // Nothing forwards, and nothing may.
  await vsctl(sw, 'set-controller br0 tcp:10.9.0.7 -- set controller br0 connection_mode=out-of-band max_backoff=1000');
  expect(await allFlows()).not.toContain('10.9.0.7');
  await vsctl(sw, 'set controller br0 connection_mode=in-band');
  await eventually('it is connected', isConnected);
  expect(await sw.ok(['ovs-ofctl', 'dump-flows', 'br0'])).not.toContain('priority');
  const flows = await allFlows();
  expect(flows).toMatch(/priority=180007,tcp,nw_dst=10\.9\.0\.7,tp_dst=6653,actions=NORMAL/);
  // The address of the next hop, which only the connection itself made known.
  const [, mac] = /link\/ether (\S+)/.exec(await controller.ip('link show dev eth0')) ?? [];
  await eventually('the next hop is known', async () => (await allFlows()).includes(`dl_src=${mac}`));
  await vsctl(sw, 'set bridge br0 other_config:disable-in-band=true');
  expect(await allFlows()).not.toContain('priority=18000');
});
