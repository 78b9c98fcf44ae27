/**
 * All tables of the database, column by column, after stock ovs-vswitchd and ours were given the same: bridges, ports of every kind, settings that are
 * wrong.  Neighbour: iface-status.test.ts (how columns change).
 */
import { expect, test } from 'vitest';
import { eventually, type Namespace, useLab } from '../support/harness.ts';
import { type Side, sideVsctl, startSide, startSideVswitchd } from '../support/two-sides.ts';

let stock: Side;
let ours: Side;

/** The devices that the ports are, with addresses that are the same on both sides. */
async function makeDevices(ns: Namespace): Promise<void> {
  const mac = (n: number) => `0c:00:00:00:00:${n.toString(16).padStart(2, '0')}`;
  for (const [i, name] of ['p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7'].entries()) {
    await ns.ip(`link add ${name} address ${mac(i)} type veth peer name ${name}-peer`);
  }
  await ns.ip('link set p1 up');
  await ns.ip('link set p1-peer up');
  await ns.ip('link set p2 up');
  await ns.ip('tuntap add tn mode tun');
  // Where the kernel has none, both miss it.
  await ns.run(['ip', 'link', 'add', 'lb', 'address', mac(99), 'type', 'bridge']);
  await ns.address('lo', '192.0.2.1/24');
}

/** What both are told, in this order; each line is a transaction, since of several ports of a bridge in one stock takes any first. */
const STEPS = [
  'add-br br0 -- set bridge br0 other_config:hwaddr=0c:00:00:00:aa:00 other_config:datapath-id=00000000000000aa',
  'add-br br1 -- set bridge br1 other_config:hwaddr=0c:00:00:00:aa:01 fail_mode=secure protocols=OpenFlow10,OpenFlow15',
  'add-br br2 br0 20',
  'add-port br0 p1 tag=5 -- set interface p1 external_ids:iface-id=x',
  'add-port br0 p2 trunks=1,2 vlan_mode=trunk -- set interface p2 mtu_request=70000',
  'add-port br0 p3 tag=7 vlan_mode=native-untagged other_config:priority-tags=always -- set interface p3 ofport_request=9',
  'add-port br1 p4 -- set interface p4 ofport_request=9',
  'add-port br0 i1 -- set interface i1 type=internal mac="0c:00:00:00:bb:01"',
  'add-port br0 i2 -- set interface i2 type=internal mac="01:00:00:00:bb:02" ofport_request=9',
  'add-port br0 t1 -- set interface t1 type=tap',
  'add-port br0 pa -- set interface pa type=patch options:peer=pb -- add-port br1 pb -- set interface pb type=patch options:peer=pa',
  'add-port br0 pc -- set interface pc type=patch options:peer=nobody',
  'add-port br0 vx1 -- set interface vx1 type=vxlan options:remote_ip=192.0.2.9 options:key=7',
  'add-port br0 ge1 -- set interface ge1 type=geneve options:remote_ip=flow options:key=flow',
  'add-port br0 gr1 -- set interface gr1 type=gre options:remote_ip=198.51.100.1',
  'add-port br0 lb',
  'add-br br4 -- set bridge br4 other_config:hwaddr=junk other_config:datapath-id=junk fail_mode=standalone',
  'set bridge br4 other_config:hwaddr=0c:00:00:00:aa:04',
  'add-port br4 i4 -- set interface i4 type=internal mtu_request=900 mac="0c:00:00:00:bb:04" ofport_request=65000',
  'add-port br4 t4 -- set interface t4 type=tap mtu_request=800',
  'add-port br4 q1 -- set interface q1 type=patch options:peer=q2',
  'add-port br4 q2 -- set interface q2 type=patch options:peer=q1',
  'add-port br4 q3 -- set interface q3 type=patch options:peer=q1',
  'add-port br4 p5 -- set interface p5 mac="0c:00:00:00:bb:05" ofport_request=65279',
  'add-port br4 x1 -- set interface x1 type=vxlan options:remote_ip=nonsense',
  'add-br br3 -- set bridge br3 datapath_type=nonesuch',
  '--may-exist add-port br0 nodev -- set interface nodev mtu_request=1400',
];
/** Ports that cannot be. */
const WRONG = [
  ['w1', 'set interface w1 type=nonesuch'],
  ['w2', 'set interface w2 type=patch'],
  ['w3', 'set interface w3 type=patch options:peer=w3'],
  ['w4', 'set interface w4 type=vxlan'],
  ['w5', 'set interface w5 type=vxlan options:remote_ip=flow options:key=x'],
  ['w6', 'set interface w6 type=geneve options:remote_ip=192.0.2.9 options:nonsense=1'],
  ['w7', 'set interface w7 type=vxlan options:remote_ip=192.0.2.9 options:key=7'],
  ['ovs-system', 'set interface ovs-system type=internal'],
  ['ovs-netdev', 'set interface ovs-netdev type=internal'],
  ['lo', 'set interface lo mtu_request=1500'],
  ['tn', 'set interface tn mtu_request=1400'],
  ['w-name-too-long-for-a-device', 'set interface w-name-too-long-for-a-device type=internal'],
  ['w-name-too-long-for-system', 'set interface w-name-too-long-for-system mtu_request=1400'],
  ['w8', 'set interface w8 type=stt options:remote_ip=192.0.2.9'],
  ['w9', 'set interface w9 type=dpdk'],
  ['p6', 'set interface p6 type=internal'],
  ['p7', 'set interface p7 type=tap'],
] as const;
const LATER = [
  '-- --id=@m create mirror name=m1 select_all=true output_vlan=99 -- set bridge br1 mirrors=@m',
  '-- --id=@q create qos type=linux-noop -- set port p1 qos=@q',
  '-- --id=@n create netflow targets="127.0.0.1:2055" -- set bridge br1 netflow=@n',
  '-- --id=@s create sflow targets="127.0.0.1:6343" agent=lo -- set bridge br1 sflow=@s',
  '-- --id=@i create ipfix targets="127.0.0.1:4739" -- --id=@b get bridge br1 -- set bridge br1 ipfix=@i -- --id=@c create flow_sample_collector_set id=1 bridge=@b ipfix=@i',
  '-- --id=@d create datapath datapath_version=7 -- set open_vswitch . datapaths:system=@d',
  'add-zone-tp system zone=5 icmp_first=90',
  '-- --id=@f create flow_table name=first flow_limit=3 overflow_policy=evict -- set bridge br1 flow_tables:0=@f',
  '-- --id=@a create autoattach system_name=x -- set bridge br1 auto_attach=@a',
  'set open_vswitch . other_config:max-idle=9999 other_config:nonsense=1 external_ids:system-id=abc',
  'set-controller br1 tcp:127.0.0.1:1 ptcp:6653 nonsense:1',
  'set-manager ptcp:6640:127.0.0.1 tcp:127.0.0.1:2',
  'set-ssl /nonexistent/key /nonexistent/cert /nonexistent/ca',
];

/** What is not so. */
const JUNK = [
  'interface p1 admin_state=down link_state=down mtu=7 error=x ofport=77 duplex=half link_speed=7 ifindex=7 mac_in_use="00:00:00:00:00:01"',
  'interface p1 status:x=y statistics:x=7 link_resets=7 lacp_current=true bfd_status:x=y cfm_fault=true cfm_fault_status=x',
  'interface p1 cfm_flap_count=7 cfm_health=7 cfm_remote_mpids=7 cfm_remote_opstate=up',
  'interface w1 admin_state=down link_state=down mtu=7 error=x ofport=77 statistics:x=7 status:x=y ifindex=7 lacp_current=true',
  'interface pa status:x=y statistics:x=7 mtu=7 duplex=full link_speed=7',
  'bridge br0 datapath_id=x datapath_version=x status:x=y rstp_status:x=y',
  'port p1 status:x=y statistics:x=7 rstp_status:x=y rstp_statistics:x=7 bond_active_slave=x',
  'open_vswitch . statistics:x=y dpdk_version=x dpdk_initialized=true iface_types=x datapath_types=x',
  'controller CONTROLLER is_connected=true role=master status:x=y',
  'datapath . datapath_version=x',
  'mirror m1 statistics:x=7',
];

/** As ovsdb-client prints it: an atom, or ["set"|"map"|"uuid", ...]. */
type Cell = unknown;
interface TableDump {
  readonly headings: readonly string[];
  readonly data: readonly (readonly Cell[])[];
  readonly caption: string;
}
/** By row ("Interface/p1"), by column: its value as text. */
type Values = Record<string, Record<string, string>>;

/** Columns whose numbers are not the same twice. */
const VOLATILE =
  /^(Interface\.(statistics|ifindex|link_resets)|(Mirror|Open_vSwitch)\.statistics|(Controller|Manager)\.status)$/;
/** Ports whose address somebody invents. */
const INVENTED_MAC = /^(p[abc]|q\d|vx1|ge1|gr1|t1|t4|i2|br2|w\d)$/;

/** The text of a cell, with elements in order, and rows by their names. */
function textOf(cell: Cell, names: ReadonlyMap<string, string>): string {
  if (!Array.isArray(cell)) return JSON.stringify(cell);
  const [kind, value] = cell as [string, unknown];
  if (kind === 'uuid') return `<${names.get(value as string) ?? 'unknown row'}>`;
  const elements = value as Cell[];
  const texts = elements.map((e) =>
    kind === 'map' ? (e as Cell[]).map((x) => textOf(x, names)).join('=') : textOf(e, names),
  );
  return `[${texts.sort().join(' ')}]`;
}

/** All rows of all tables. */
async function dump({ ns, database }: Side): Promise<Values> {
  const lines = (await ns.ok(['ovsdb-client', '-f', 'json', 'dump', database, 'Open_vSwitch'])).trim().split('\n');
  const rows = lines.flatMap((line) => {
    const { headings, data, caption } = JSON.parse(line) as TableDump;
    const table = caption.replace(' table', '');
    return data.map((cells) => ({ table, row: new Map(headings.map((heading, i) => [heading, cells[i]])) }));
  });
  const uuidOf = (row: ReadonlyMap<string, Cell>) => (row.get('_uuid') as [string, string])[1];
  const names = new Map(
    rows.map(({ table, row }) => {
      const name = ['name', 'target', 'id'].map((key) => row.get(key)).find((value) => typeof value !== 'object');
      return [uuidOf(row), `${table}/${name ?? ''}`];
    }),
  );
  const values: Values = {};
  for (const { table, row } of rows) {
    const columns: Record<string, string> = {};
    for (const [heading, cell] of row) {
      if (heading.startsWith('_')) continue;
      let text = textOf(cell, names);
      if (VOLATILE.test(`${table}.${heading}`))
        text = text.replace(/="?\d[\d.,/a-z]*"?/g, '=N').replace(/^[1-9]\d*$/, 'N');
      if (heading === 'mac_in_use' && INVENTED_MAC.test(`${row.get('name')}`))
        text = text.replace(/"[0-9a-f:]{17}"/, 'MAC');
      columns[heading] = text;
    }
    values[names.get(uuidOf(row)) ?? ''] = columns;
  }
  return values;
}

/** On purpose. */
const DIFFERENT: Readonly<Record<string, string>> = {
  'Interface/br3 error': 'stock [], ours "bridge br3: datapath_type \\"nonesuch\\" is not supported"',
  'Interface/br3 ofport': 'stock [], ours -1',
  // For stock, ovs-ctl writes these two.
  'Open_vSwitch/ db_version': 'stock [], ours "8.3.1"',
  'Open_vSwitch/ ovs_version': 'stock [], ours "3.1.0"',
};
/** Of what stock has, less what is there only for datapaths of type "netdev". */
const withoutNetdev = (text: string | undefined): string | undefined =>
  text?.replace(/"(netdev|afxdp|afxdp-nonpmd)" /g, '').replace('["system"]', '"system"');

/** The columns in which two dumps differ. */
function differences(theirs: Values, own: Values): string[] {
  const lines: string[] = [];
  for (const row of new Set([...Object.keys(theirs), ...Object.keys(own)])) {
    for (const column of new Set([...Object.keys(theirs[row] ?? {}), ...Object.keys(own[row] ?? {})])) {
      const [a, b] = [theirs[row]?.[column], own[row]?.[column]];
      if (a === b || (column.endsWith('_types') && withoutNetdev(a) === b)) continue;
      const [where, what] = [`${row} ${column}`, `stock ${a}, ours ${b}`];
      if (DIFFERENT[where] !== what) lines.push(`${where}: ${what}`);
    }
  }
  return lines;
}

/** Without the numbers of ports: after a start they depend on the order in which stock finds the ports. */
function withoutNumbers(values: Values): Values {
  for (const columns of Object.values(values)) columns['ofport'] = (columns['ofport'] ?? '').replace(/^\d+$/, 'N');
  return values;
}

/** Fails unless soon there is no difference. */
async function expectSame(neutral = (values: Values): Values => values): Promise<void> {
  let found: string[] = [];
  const same = async () => {
    found = differences(neutral(await dump(stock)), neutral(await dump(ours)));
    return found.length === 0;
  };
  await eventually('the same columns', same).catch(() => undefined);
  expect(found).toEqual([]);
}

useLab(async (lab) => {
  stock = await startSide(lab, 'stock');
  ours = await startSide(lab, 'ours');
  for (const side of [stock, ours]) {
    await makeDevices(side.ns);
    for (const step of STEPS) await sideVsctl(side, step);
    for (const [name, set] of WRONG) await sideVsctl(side, `add-port br0 ${name} -- ${set}`);
    for (const step of LATER) await sideVsctl(side, step);
  }
});

test('every column of every table is as with stock', () => expectSame());

test('what an earlier vswitchd, or somebody else, left in columns of status is put right', async () => {
  for (const side of [stock, ours]) {
    // Either of two equal tunnels may come first.
    await sideVsctl(side, 'del-port w7');
    await side.vswitchd.stop();
    const [controller = ''] = (await sideVsctl(side, 'get bridge br1 controller')).match(/[0-9a-f-]{36}/) ?? [];
    for (const junk of JUNK) await sideVsctl(side, `--no-wait set ${junk.replace('CONTROLLER', controller)}`);
    side.vswitchd = await startSideVswitchd(side);
  }
  await expectSame(withoutNumbers);
});
