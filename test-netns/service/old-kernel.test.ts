/**
 * Both vswitchds on a datapath as kernels before 5.15 have it: it cannot send upcalls by CPU, so that each port has a port id to send them to.
 * Neighbours: overflow.test.ts, test/dpif-netlink/dp-open.test.ts (how features are agreed on).
 */
import { describe, expect, test } from 'vitest';
import { type Daemon, eventually, type Lab, type Namespace, useLab } from '../support/harness.ts';
import {
  startDatabase,
  startDatapath,
  startVswitchd,
  stockDpctl,
  type VswitchdKind,
  vsctl,
} from '../support/switch.ts';

describe.each<{ kind: VswitchdKind }>([{ kind: 'ours' }, { kind: 'stock' }])('$kind vswitchd', ({ kind }) => {
  let lab: Lab;
  let sw: Namespace;
  let a: Namespace;
  let datapath: Daemon;
  let vswitchd: Daemon;

  useLab(async (made) => {
    lab = made;
    sw = await lab.namespace('switch');
    a = await lab.host(sw, 'a', 'va', '10.9.0.1/24');
    await lab.host(sw, 'b', 'vb', '10.9.0.2/24');
    datapath = await startDatapath(sw, ['--kernel-compat=5.10']);
    await startDatabase(sw);
    vswitchd = await startVswitchd(sw, kind);
    await vsctl(sw, 'add-br br0 -- add-port br0 va -- add-port br0 vb');
  });

  const appctl = (...args: string[]): Promise<string> => sw.ok(['ovs-appctl', ...args]);
  const pings = async (to: string): Promise<void> => {
    // From the first packet on, once the flows of before are gone.
    await appctl('revalidator/purge');
    const { received, text } = await a.ping(to, 3);
    expect(received, text).toBe(3);
  };

  test('upcalls are sent by port, which it says', async () => {
    expect(await appctl('dpif-netlink/dispatch-mode')).toBe('ovs-system: per-vport dispatch mode\n');
    expect(vswitchd.output()).toContain('Datapath dispatch mode: per-vport');
    await pings('10.9.0.2');
  });

  test('ports that come later send upcalls too; one that goes takes its port id along', async () => {
    await lab.host(sw, 'c', 'vc', '10.9.0.3/24');
    await vsctl(sw, 'add-port br0 vc');
    await pings('10.9.0.3');
    await vsctl(sw, 'add-port br0 i1 -- set interface i1 type=internal');
    await sw.address('i1', '10.9.0.4/24');
    await pings('10.9.0.4');
    await vsctl(sw, 'del-port vc');
    await vsctl(sw, 'add-port br0 vc');
    await pings('10.9.0.3');
  });

  test('actions that send packets up have a port id that is listened at', async () => {
    await sw.ok(['ovs-ofctl', 'add-flow', 'br0', 'priority=9,icmp,actions=controller,normal']);
    const monitor = sw.daemon('monitor', ['ovs-ofctl', 'monitor', 'br0', 'resume', '-P', 'nxt_packet_in']);
    await eventually('a packet_in', async () => {
      await a.ping('10.9.0.2', 1);
      return /PACKET_IN/.test(monitor.output());
    });
    await monitor.stop();
    await sw.ok(['ovs-ofctl', 'del-flows', 'br0', 'icmp']);
  });

  test('a vswitchd and a datapath that are started again find each other', async () => {
    await vswitchd.kill();
    vswitchd = await startVswitchd(sw, kind);
    await eventually('a ping', async () => (await a.ping('10.9.0.2', 1)).received === 1);
    await pings('10.9.0.2');
    if (kind === 'stock') return;
    // Ours outlives a datapath.
    await datapath.stop();
    datapath = await startDatapath(sw, ['--kernel-compat=5.10']);
    await eventually('a ping', async () => (await a.ping('10.9.0.2', 1)).received === 1);
    expect((await stockDpctl(sw, ['show'])).stdout).toContain('port 1: ');
  });
});
