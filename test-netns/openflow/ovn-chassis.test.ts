/**
 * OVN, unmodified, on two chassis with a Geneve tunnel between them: what crosses it, and what an ovn-controller answers itself.
 * `OVN_VSWITCHD=stock` puts the stock ovs-vswitchd in our place, to compare.  Neighbours: ovn.test.ts (one chassis, much more of OVN).
 */
import { expect, test } from 'vitest';
import { eventually, type Lab, type Namespace, requireNetns, useLab } from '../support/harness.ts';
import { greeter, greeting, Ovn, ovnMissing } from '../support/ovn-lab.ts';
import { startDatabase, startDatapath, startVswitchd, type VswitchdKind, vsctl } from '../support/switch.ts';

const KIND: VswitchdKind = process.env['OVN_VSWITCHD'] === 'stock' ? 'stock' : 'ours';
const missing = requireNetns() ?? ovnMissing();
const UNDERLAY = ['10.99.0.1', '10.99.0.2'] as const;

// biome-ignore format: table
const MACHINES = [
  { chassis: 0, name: 'vm1', switch: 'ls0', mac: '02:00:00:00:10:10', addresses: ['192.168.10.10', 'fd10::10'] },
  { chassis: 1, name: 'vm2', switch: 'ls0', mac: '02:00:00:00:10:11', addresses: ['192.168.10.11', 'fd10::11'] },
  { chassis: 1, name: 'vm3', switch: 'ls1', mac: '02:00:00:00:20:10', addresses: ['192.168.20.10', 'fd20::10'] },
] as const;

const switches: Namespace[] = [];
const chassis: Ovn[] = [];
const host = new Map<string, Namespace>();
const at = (name: string): Namespace => {
  const found = host.get(name);
  if (found === undefined) throw new Error(`no host ${name}`);
  return found;
};
const part = <T>(list: readonly T[], i: number): T => {
  const found = list[i];
  if (found === undefined) throw new Error(`no chassis ${i}`);
  return found;
};

async function startSwitchOf(lab: Lab, i: number): Promise<Namespace> {
  const sw = await lab.namespace(`switch${i}`);
  switches.push(sw);
  await startDatapath(sw);
  await startDatabase(sw);
  await startVswitchd(sw, KIND);
  await vsctl(sw, 'add-br br-ex');
  return sw;
}

if (missing !== undefined) {
  test('OVN on two chassis', (context) => context.skip(missing));
} else {
  // A chassis has a folder of its own for its sockets, and so a lab.
  useLab(async (lab) => {
    const sw = await startSwitchOf(lab, 0);
    const central = new Ovn(sw);
    chassis.push(central);
    await central.start('physnet:br-ex', UNDERLAY[0]);
    await central.nbctl(logicalNetwork());
  });
  useLab(async (lab) => {
    const sw = await startSwitchOf(lab, 1);
    const first = part(switches, 0);
    await lab.veth(first, 'under', sw, 'under');
    await first.address('under', `${UNDERLAY[0]}/24`);
    await sw.address('under', `${UNDERLAY[1]}/24`);
    const central = part(chassis, 0);
    const other = new Ovn(sw, central);
    chassis.push(other);
    await other.join('chassis2', UNDERLAY[1], 'physnet:br-ex');
    for (const ns of switches) await eventually('br-int', async () => (await vsctl(ns, 'list-br')).includes('br-int'));
    for (const machine of MACHINES) {
      const net = machine.switch === 'ls0' ? 1 : 2;
      const ns = await part(chassis, machine.chassis).machine(machine, [`192.168.${net}0.1`, `fd${net}0::1`]);
      host.set(machine.name, ns);
      await greeter(ns, machine.name, 8080);
    }
    await central.settle();
  });
  tests();
}

/** What ovn-nbctl is told: two switches and a router, a name, access by a group of ports and a set of addresses, a balancer. */
function logicalNetwork(): string {
  const ports = MACHINES.map(({ name, switch: ls, mac, addresses }) => {
    const words = `${mac} ${addresses.join(' ')}`;
    return `lsp-add ${ls} ${name}\nlsp-set-addresses ${name} '${words}'\nlsp-set-port-security ${name} '${words}'`;
  });
  const attached = [1, 2].map((n) => {
    const ls = `ls${n - 1}`;
    return `ls-add ${ls}
      lrp-add lr0 lr0-${ls} 00:00:00:00:ff:0${n} 192.168.${n}0.1/24 fd${n}0::1/64
      lsp-add ${ls} ${ls}-lr0
      lsp-set-type ${ls}-lr0 router
      lsp-set-addresses ${ls}-lr0 router
      lsp-set-options ${ls}-lr0 router-port=lr0-${ls}`;
  });
  return `lr-add lr0
    ${attached.join('\n')}
    ${ports.join('\n')}
    pg-add watched vm2 vm3
    create address_set name=friends addresses='"192.168.10.10","192.168.20.10"'
    --label=1234 acl-add watched to-lport 1002 'outport == @watched && ip4.src == $friends && tcp.dst == 8080' allow-related
    acl-add watched to-lport 1001 'outport == @watched && tcp' reject
    lb-add lb0 30.0.0.1:80 192.168.10.10:8080,192.168.10.11:8080 tcp
    set load_balancer lb0 options:affinity_timeout=60
    ls-lb-add ls1 lb0`;
}

async function pinged(from: string, to: string): Promise<void> {
  // The first packets may wait for an address to be resolved.
  await eventually(`${from} reaches ${to}`, async () => (await at(from).ping(to, 1)).received === 1);
  const { sent, received } = await at(from).ping(to, 3);
  expect({ to, received }).toEqual({ to, received: sent });
}

function tests(): void {
  test.each([
    ['vm1', '192.168.10.11'],
    ['vm1', 'fd10::11'],
    ['vm1', '192.168.20.10'],
    ['vm3', 'fd10::10'],
  ])('%s pings %s on the other chassis', async (from, to) => {
    await pinged(from, to);
    expect(await part(switches, 0).ok(['ovs-appctl', 'dpctl/show'])).toContain('genev_sys_6081 (geneve');
  });

  test('a label of an access list is on the connection that it let in, on the chassis of its port', async () => {
    expect(await greeting(at('vm1'), '192.168.10.11', 8080)).toBe('vm2 192.168.10.10');
    expect(await greeting(at('vm1'), 'fd10::11', 8080)).toMatch(/refused/);
    const connections = await part(switches, 1).ok(['ovs-appctl', 'dpctl/dump-conntrack']);
    expect(connections).toMatch(/dst=192\.168\.10\.11,.*dport=8080\),.*labels=0x4d2000000000000000000000000/);
  });

  test('a balancer with affinity sends a client to the same member again, whichever chassis that is on', async () => {
    const first = await greeting(at('vm3'), '30.0.0.1', 80);
    expect(first).toMatch(/^vm[12] 192\.168\.20\.10$/);
    for (let i = 0; i < 5; i++) expect(await greeting(at('vm3'), '30.0.0.1', 80)).toBe(first);
  });

  test('an ovn-controller that starts beside the tunnel goes on', async () => {
    const second = part(chassis, 1);
    await second.controller.kill();
    await pinged('vm1', '192.168.20.10');
    second.startController();
    await part(chassis, 0).settle();
    await pinged('vm1', '192.168.20.10');
    expect(second.controller.running).toBe(true);
    for (const one of chassis) expect(one.warnings()).toEqual([]);
  });

  test('VXLAN does as well', async () => {
    for (const sw of switches) await vsctl(sw, 'set open_vswitch . external_ids:ovn-encap-type=vxlan');
    await eventually('the tunnel is another', async () =>
      (await part(switches, 1).ok(['ovs-appctl', 'dpctl/show'])).includes('vxlan_sys_4789 (vxlan'),
    );
    await part(chassis, 0).settle();
    await pinged('vm1', '192.168.10.11');
    await pinged('vm1', '192.168.20.10');
  });
}
