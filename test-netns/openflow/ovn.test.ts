/**
 * OVN, unmodified, on our vswitchd and datapath: one chassis, two logical switches and a router between them, access lists, a
 * load balancer, NAT to a network outside.  `OVN_VSWITCHD=stock` puts the stock ovs-vswitchd in our place, to compare.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Daemon, eventually, type Namespace, requireNetns, useLab } from '../support/harness.ts';
import { greeter, greeting, type LogicalPort, Ovn, ovnMissing } from '../support/ovn-lab.ts';
import { startDatabase, startDatapath, startVswitchd, type VswitchdKind, vsctl } from '../support/switch.ts';

const KIND: VswitchdKind = process.env['OVN_VSWITCHD'] === 'stock' ? 'stock' : 'ours';
const missing = requireNetns() ?? ovnMissing();

// biome-ignore format: table
const PORTS: readonly LogicalPort[] = [
  { name: 'vm1', switch: 'ls0', mac: '02:00:00:00:10:10', addresses: ['192.168.10.10', 'fd10::10'] },
  { name: 'vm2', switch: 'ls0', mac: '02:00:00:00:10:11', addresses: ['192.168.10.11', 'fd10::11'] },
  { name: 'vm3', switch: 'ls1', mac: '02:00:00:00:20:10', addresses: ['192.168.20.10', 'fd20::10'] },
  { name: 'vm4', switch: 'ls1', mac: '02:00:00:00:20:11', addresses: ['192.168.20.11', 'fd20::11'] },
];
const GATEWAYS: Readonly<Record<string, readonly string[]>> = {
  ls0: ['192.168.10.1', 'fd10::1'],
  ls1: ['192.168.20.1', 'fd20::1'],
};

let sw: Namespace;
let ovn: Ovn;
let vswitchd: Daemon;
const host = new Map<string, Namespace>();
const at = (name: string): Namespace => {
  const found = host.get(name);
  if (found === undefined) throw new Error(`no host ${name}`);
  return found;
};

if (missing !== undefined) {
  test('OVN', (context) => context.skip(missing));
} else {
  useLab(async (lab) => {
    sw = await lab.namespace('switch');
    await startDatapath(sw);
    await startDatabase(sw);
    vswitchd = await startVswitchd(sw, KIND);
    await vsctl(sw, 'add-br br-ex');
    ovn = new Ovn(sw);
    await ovn.start('physnet:br-ex');
    await eventually('br-int is there', async () => (await vsctl(sw, 'list-br')).includes('br-int'));

    host.set('out', await lab.host(sw, 'out', 'out', '172.16.0.100/24', 'fd16::100/64'));
    await vsctl(sw, 'add-port br-ex out');
    for (const port of PORTS) host.set(port.name, await ovn.machine(port, GATEWAYS[port.switch] ?? []));
    await ovn.nbctl(logicalNetwork());
    await ovn.settle();
    for (const port of PORTS) await greeter(at(port.name), port.name, 8080);
    await greeter(at('vm4'), 'vm4', 8081);
    await greeter(at('out'), 'out', 8080);
  });
  tests();
}

/** What ovn-nbctl is told. */
function logicalNetwork(): string {
  const ports = PORTS.map(({ name, switch: ls, mac, addresses }) => {
    const words = `${mac} ${addresses.join(' ')}`;
    return `lsp-add ${ls} ${name}\nlsp-set-addresses ${name} '${words}'\nlsp-set-port-security ${name} '${words}'`;
  });
  const attached = [
    ['ls0', '00:00:00:00:ff:01', '192.168.10.1/24 fd10::1/64'],
    ['ls1', '00:00:00:00:ff:02', '192.168.20.1/24 fd20::1/64'],
    ['outside', '00:00:00:00:ff:03', '172.16.0.1/24 fd16::1/64'],
  ].map(
    ([ls, mac, networks]) => `ls-add ${ls}
      lrp-add lr0 lr0-${ls} ${mac} ${networks}
      lsp-add ${ls} ${ls}-lr0
      lsp-set-type ${ls}-lr0 router
      lsp-set-addresses ${ls}-lr0 router
      lsp-set-options ${ls}-lr0 router-port=lr0-${ls}`,
  );
  return `lr-add lr0
    ${attached.join('\n')}
    ${ports.join('\n')}
    lsp-add outside outside-net
    lsp-set-type outside-net localnet
    lsp-set-addresses outside-net unknown
    lsp-set-options outside-net network_name=physnet
    lrp-set-gateway-chassis lr0-outside chassis1
    lr-nat-add lr0 snat 172.16.0.1 192.168.10.0/24
    lr-nat-add lr0 dnat_and_snat 172.16.0.50 192.168.20.10
    lr-nat-add lr0 dnat_and_snat 172.16.0.51 192.168.10.11 vm2 02:00:00:00:ee:51
    lb-add lb0 30.0.0.1:80 192.168.10.11:8080,192.168.20.10:8080 tcp
    lb-add lb1 172.16.0.60:80 192.168.10.10:8080,192.168.20.10:8080 tcp
    ls-lb-add ls0 lb0
    ls-lb-add ls1 lb0
    lr-lb-add lr0 lb1
    meter-add slow drop 10 pktps 5
    acl-add ls1 to-lport 1002 'outport == "vm4" && tcp.dst == 8080' allow-related
    acl-add ls1 to-lport 1001 'outport == "vm4" && tcp' reject
    --log --severity=info --name=no-ping --meter=slow acl-add ls1 to-lport 1000 'outport == "vm4" && (icmp4 || icmp6)' drop
    acl-add ls1 from-lport 1000 'inport == "vm3" && ip' allow-related`;
}

/** What br-int has, without statistics, sorted. */
async function openflow(): Promise<{ flows: string[]; groups: string[]; meters: string[] }> {
  const lines = async (...command: string[]) => {
    const text = await sw.ok(['ovs-ofctl', '-O', 'OpenFlow15', '--no-stats', ...command, 'br-int']);
    return text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !/ reply \(OF1.5\)/.test(line))
      .sort();
  };
  return { flows: await lines('dump-flows'), groups: await lines('dump-groups'), meters: await lines('dump-meters') };
}

/** Whether two answers of `openflow` say the same; numbers of groups and meters may be given anew. */
function sameFlows(a: Awaited<ReturnType<typeof openflow>>, b: typeof a): boolean {
  const plain = (list: readonly string[]) =>
    list.map((line) => line.replace(/(group|group_id|meter|meter_id)[:=]\d+/g, '$1')).sort();
  return (
    JSON.stringify([a.flows, a.groups, a.meters].map(plain)) ===
    JSON.stringify([b.flows, b.groups, b.meters].map(plain))
  );
}

async function pinged(from: string, to: string): Promise<string> {
  // The first packets may wait for an address to be resolved, by ovn-controller too.
  await eventually(`${from} reaches ${to}`, async () => (await at(from).ping(to, 1)).received === 1);
  const { sent, received, text } = await at(from).ping(to, 5);
  expect({ to, received }).toEqual({ to, received: sent });
  return text;
}

function tests(): void {
  test.each([
    ['vm1', '192.168.10.11', 64],
    ['vm1', 'fd10::11', 64],
    ['vm1', '192.168.20.10', 63],
    ['vm3', 'fd10::11', 63],
    ['vm2', '192.168.10.1', 254],
    ['vm1', '172.16.0.100', 63],
    ['out', '172.16.0.50', 63],
    ['out', '172.16.0.51', 63],
  ])('%s pings %s', async (from, to, ttl) => {
    expect(await pinged(from, to)).toContain(`ttl=${ttl} `);
  });

  test('access lists: a connection that is allowed, one that is rejected, pings that are dropped', async () => {
    expect(await greeting(at('vm1'), '192.168.20.11', 8080)).toBe('vm4 192.168.10.10');
    expect(await greeting(at('vm1'), 'fd20::11', 8080)).toBe('vm4 fd10::10');
    // The RST comes from ovn-controller.
    expect(await greeting(at('vm1'), '192.168.20.11', 8081)).toMatch(/refused/);
    expect((await at('vm1').ping('192.168.20.11', 3)).received).toBe(0);
    await eventually('the drop is logged', () => /acl_log.*name="no-ping", verdict=drop/.test(ovn.controller.output()));
  });

  test('SNAT and DNAT', async () => {
    expect(await greeting(at('vm1'), '172.16.0.100', 8080)).toBe('out 172.16.0.1');
    expect(await greeting(at('vm3'), '172.16.0.100', 8080)).toBe('out 172.16.0.50');
    expect(await greeting(at('vm2'), '172.16.0.100', 8080)).toBe('out 172.16.0.51');
    expect(await greeting(at('out'), '172.16.0.50', 8080)).toBe('vm3 172.16.0.100');
    expect(await greeting(at('out'), '172.16.0.51', 8080)).toBe('vm2 172.16.0.100');
  });

  test.each([
    ['vm1', '30.0.0.1', ['vm2 192.168.10.10', 'vm3 192.168.10.10']],
    ['vm4', '30.0.0.1', ['vm2 192.168.20.11', 'vm3 192.168.20.11']],
    ['out', '172.16.0.60', ['vm1 172.16.0.100', 'vm3 172.16.0.100']],
  ])('%s reaches both members behind %s', async (from, address, members) => {
    const seen = new Set<string>();
    await eventually(
      `greetings of ${members.join(' and ')}`,
      async () => {
        seen.add(await greeting(at(from), address, 80));
        return members.every((member) => seen.has(member));
      },
      40_000,
    );
    expect([...seen].sort()).toEqual(members);
  });

  test('everything that OVN installed was accepted', async () => {
    const flows = await sw.ok(['ovs-ofctl', '-O', 'OpenFlow15', 'dump-flows', 'br-int']);
    expect(flows.split('\n').length).toBeGreaterThan(500);
    expect(await sw.ok(['ovs-ofctl', '-O', 'OpenFlow15', 'dump-groups', 'br-int'])).toMatch(/type=select/);
    expect(await sw.ok(['ovs-ofctl', '-O', 'OpenFlow15', 'dump-meters', 'br-int'])).toMatch(/pktps/);
    expect(ovn.warnings()).toEqual([]);
    const log = readFileSync(join(sw.lab.dir, `${sw.name}-vswitchd.log`), 'utf8');
    expect(log.split('\n').filter((line) => /\|(WARN|ERR|EMER)\|/.test(line))).toEqual([]);
  });

  test('a vswitchd that is killed and started again gets everything back', async () => {
    const wanted = await openflow();
    await vswitchd.kill();
    vswitchd = await startVswitchd(sw, KIND);
    // Waits until the bridges are there.
    await vsctl(sw, 'set open_vswitch . external_ids:restarted=yes');
    await eventually('flows, groups and meters are back', async () => sameFlows(wanted, await openflow()));
    await pinged('vm1', '192.168.20.10');
    expect(await greeting(at('out'), '172.16.0.50', 8080)).toBe('vm3 172.16.0.100');
    expect(await greeting(at('vm1'), '30.0.0.1', 80)).toMatch(/^vm[23] 192.168.10.10$/);
  });

  test('a network that is removed leaves nothing on the switch', async () => {
    await ovn.nbctl('lr-del lr0\nls-del ls0\nls-del ls1\nls-del outside\nlb-del lb0\nlb-del lb1\nmeter-del slow');
    await ovn.settle();
    const { groups, meters, flows } = await openflow();
    expect([groups, meters]).toEqual([[], []]);
    expect(flows.filter((flow) => /metadata=0x|reg15=/.test(flow))).toEqual([]);
    // Not long after its start ovn-controller leaves such ports alone, and that is counted in what it has to do: so it is given something.
    let n = 0;
    const isGone = async () => {
      await vsctl(sw, `set open_vswitch . external_ids:stir=${n++}`);
      return (await vsctl(sw, 'list-ports br-ex')) === 'out\n';
    };
    await eventually('the patch port is gone', isGone);
    expect((await at('vm1').ping('192.168.10.11', 1)).received).toBe(0);
  });
}
