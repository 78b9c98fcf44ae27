/**
 * Stock ovs-vswitchd on the datapath process, with meters: it finds out that there are some, makes, shows, changes and
 * deletes them, and packets beyond the rate are dropped.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, type Namespace, TAPSWITCH, useLab } from '../support/harness.ts';
import { startDatabase, startDatapath, vsctl } from '../support/switch.ts';

let sw: Namespace;
let a: Namespace;

useLab(async (lab) => {
  sw = await lab.namespace('switch');
  a = await lab.host(sw, 'a', 'va', '10.9.0.1/24');
  await lab.host(sw, 'b', 'vb', '10.9.0.2/24');
  await startDatapath(sw);
  await startDatabase(sw);
  const pidfile = join(lab.dir, 'ovs-vswitchd.pid');
  const daemon = sw.daemon('stock-vswitchd', [
    ...[TAPSWITCH, 'exec', '--', 'ovs-vswitchd', `unix:${lab.dir}/db.sock`],
    ...[`--pidfile=${pidfile}`, '-vconsole:info', '-vsyslog:off'],
  ]);
  await daemon.until('takes commands', async () => {
    if (!existsSync(pidfile) || Number(readFileSync(pidfile, 'utf8')) !== daemon.pid) return false;
    return (await sw.run(['ovs-appctl', 'version'])).status === 0;
  });
  await vsctl(sw, 'add-br br0 -- set bridge br0 protocols=OpenFlow10,OpenFlow13 -- add-port br0 va -- add-port br0 vb');
});

const ofctl = (...args: string[]) => sw.ok(['ovs-ofctl', '-O', 'OpenFlow13', ...args]);

test('it offers what the kernel offers', async () => {
  const features = await ofctl('meter-features', 'br0');
  expect(features).toContain('max_meter:200000 max_bands:1');
  expect(features).toContain('band_types: drop');
  expect(features).toContain('capabilities: kbps pktps burst stats');
});

test('packets beyond the rate are dropped, and counted', async () => {
  await ofctl('add-meter', 'br0', 'meter=1,pktps,burst,stats,bands=type=drop,rate=1,burst_size=5');
  await ofctl('add-flow', 'br0', 'priority=10,icmp,in_port=va,actions=meter:1,normal');
  const { received } = await a.ping('10.9.0.2', 15);
  expect(received).toBeGreaterThanOrEqual(5);
  expect(received).toBeLessThan(15);
  const flows = await sw.ok([TAPSWITCH, 'exec', '--', 'ovs-dpctl', 'dump-flows']);
  expect(flows).toContain('actions:meter(0),');

  const stats = await eventually('the packets are in the statistics', async () => {
    const text = await ofctl('meter-stats', 'br0', 'meter=1');
    return text.includes('packet_in_count:15') && text;
  });
  expect(stats).toContain(`packet_count:${15 - received} `);
});

test('a meter can be changed and deleted', async () => {
  await ofctl('mod-meter', 'br0', 'meter=1,kbps,burst,stats,bands=type=drop,rate=100000,burst_size=100000');
  expect(await ofctl('dump-meters', 'br0')).toContain('meter=1 kbps burst stats bands=');
  expect((await a.ping('10.9.0.2', 15)).received).toBe(15);
  await ofctl('del-meter', 'br0', 'meter=1');
  expect(await ofctl('dump-meters', 'br0')).not.toContain('meter=1');
});
