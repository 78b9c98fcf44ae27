import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { atoi } from '../../src/dpctl/atoi.ts';
import { dpctlUnixctl } from '../../src/dpctl/dpctl-unixctl.ts';
import { parseFlowLine } from '../../src/dpctl/flows/flow-file.ts';
import { humanSize } from '../../src/dpctl/show.ts';
import { DpifProviders } from '../../src/dpif/dpif-name.ts';
import { DpifNetlinkProvider } from '../../src/dpif-netlink/dpif-netlink.ts';
import { setConsole } from '../../src/util/vlog.ts';
import { MemoryHost } from '../support/memory-host.ts';
import { dpctl } from './dpctl-harness.ts';

let host: MemoryHost;
beforeEach(() => {
  host = new MemoryHost();
  host.addDevice('v1');
  host.addDevice('v2');
});
afterEach(() => host.close());

const run = (line: string, options = {}, files = {}) => dpctl(host, line.split(' '), options, files);
const FLOW = 'in_port(1),eth(),eth_type(0x0800),ipv4(dst=10.0.0.1)';
const FRAME = Buffer.from(
  '0a0000000002 0a0000000001 0800 4500001c0000400040110000 0a000001 0a000001 03e8 07d0 0008 0000'.replaceAll(' ', ''),
  'hex',
);

describe('dpctl, our datapath, in memory', () => {
  test('a datapath with ports, flows and packets', async () => {
    expect((await run('add-dp dp0 v1 v2')).status).toBe(0);
    expect(host.device('v1').isUp).toBe(true);
    expect(await run(`add-flow dp0 ${FLOW} 2`)).toEqual({ out: '', err: '', status: 0 });
    for (let i = 0; i < 40; i++) host.device('v1').receive(FRAME);
    const shown = await run('show', { statistics: true });
    expect(shown.out).toContain('  lookups: hit:40 missed:0 lost:0\n  flows: 1\n');
    expect(shown.out).toContain('  port 2: v2\n    RX packets:0 errors:0 dropped:0 overruns:0 frame:0\n');
    expect(shown.out).toMatch(/TX packets:40 .*\n.*collisions:0\n {4}RX bytes:0 {2}TX bytes:1680 \(1\.6 KiB\)\n/);
    const flows = await run('dump-flows dp0', { names: true });
    expect(flows.out).toMatch(
      /^in_port\(v1\),eth\(\),eth_type\(0x0800\),ipv4\(dst=10\.0\.0\.1\), packets:40, bytes:1680, used:0\.\d+s, actions:v2\n$/,
    );
    expect((await run('del-dp dp0')).status).toBe(0);
    expect((await run('dump-dps')).out).toBe('');
  });

  test('commands that do not fit are refused', async () => {
    const refused = async (line: string, options = {}) => (await run(line, options)).err;
    expect(await refused('show dp0 dp1 extra', { readOnly: true })).toContain(
      'opening datapath dp0 failed (No such device)',
    );
    expect(await refused('dump-dps x')).toBe("ovs-dpctl: 'dump-dps' command takes at most 0 arguments\n");
    expect(await refused('add-dp dp0', { readOnly: true })).toBe(
      "ovs-dpctl: 'add-dp' command does not work in read only mode\n",
    );
    await run('add-dp dp0');
    expect(await refused('add-if dp0 v9,type=nonesuch')).toBe(
      'TIME|00001|netdev|WARN|could not create netdev v9 of unknown type nonesuch\n' +
        'ovs-dpctl: v9: failed to open network device (Address family not supported by protocol)\n',
    );
    expect(await refused('add-if dp0 v1,a=1,a=2')).toContain('duplicate "a" option\n');
    expect(await refused('set-if dp0 v1,type=internal')).toBe(
      "ovs-dpctl: v1: can't change type from system to internal\n",
    );
    expect(await refused('set-if dp0 v2')).toBe('ovs-dpctl: v2: failed to query port in dp0 (No such device)\n');
    expect(await refused('ct-set-maxconns dp0 x')).toBe(
      'ovs-dpctl: maxconns missing or malformed (Invalid argument)\n',
    );
    expect(await refused('ct-get-nconns')).toBe('ovs-dpctl: nconns could not be retrieved (Operation not supported)\n');
    expect(await refused('dump-flows pmd=x')).toBe('');
  });

  test('flows of a file, and from standard input', async () => {
    await run('add-dp dp0');
    const lines = `# comment\n${FLOW} 0 # to itself\n\n bad\n`;
    const added = await run('add-flows -', {}, { '-': lines });
    expect(added).toEqual({ out: '', err: 'ovs-dpctl: Failed parsing line number 4, skipped!\n', status: 0 });
    expect((await run('dump-flows')).out).toContain('ipv4(dst=10.0.0.1), packets:0, bytes:0, used:never, actions:0\n');
    await run('del-flows -', {}, { '-': `${FLOW}\n` });
    expect((await run('dump-flows')).out).toBe('');
  });

  // biome-ignore format: table
  const FILTERS = [
    { filter: 'in_port=v1',                     lines: 'tcp arp vlan' },
    { filter: 'in_port=9',                      lines: 'none' },
    { filter: 'tcp',                            lines: 'tcp' },
    { filter: 'tcp,nw_src=10.0.0.7,tcp_dst=80', lines: 'tcp' },
    { filter: 'tcp,tcp_dst=81',                 lines: 'none' },
    { filter: 'ip nw_src(10.0.0.8)',            lines: 'tcp' },
    { filter: 'ip,nw_src=10.0.1.8',             lines: 'none' },
    { filter: 'eth_type=0x0806',                lines: 'arp' },
    { filter: 'dl_vlan=5',                      lines: 'vlan' },
    { filter: 'dl_vlan=6',                      lines: 'none' },
    { filter: 'bogus',                          lines: 'bogus: unknown field bogus' },
    { filter: 'tcp_dst=80',                     lines: 'tcp_dst=80: prerequisites not met for setting tcp_dst' },
    { filter: 'tcp,udp',                        lines: 'tcp,udp: Ethernet type set multiple times' },
    { filter: 'ip,nw_src=x',                    lines: 'ip,nw_src=x: bad value for nw_src (x: invalid ipv4)' },
  ];
  test.each(FILTERS)('dump-flows filter=$filter', async ({ filter, lines }) => {
    await run('add-dp dp0 v1');
    const flows = {
      tcp: 'in_port(1),eth(),eth_type(0x0800),ipv4(src=10.0.0.0/255.255.255.0,proto=6,frag=no),tcp(dst=80),tcp_flags(0/0)',
      arp: 'in_port(1),eth(),eth_type(0x0806),arp(op=1)',
      vlan: 'in_port(1),eth(),eth_type(0x8100),vlan(vid=5,pcp=0),encap(eth_type(0x0900))',
    };
    for (const flow of Object.values(flows)) expect((await run(`add-flow dp0 ${flow} 1`)).err).toBe('');
    const { out, err, status } = await dpctl(host, ['dump-flows', 'dp0', `filter=${filter}`]);
    if (status === 0) {
      const seen = Object.keys(flows).filter((k) =>
        out.includes({ tcp: 'tcp(', arp: 'arp(', vlan: 'vlan(' }[k] ?? '?'),
      );
      expect(seen.join(' ') || 'none').toBe(lines);
    } else {
      expect(err).toBe(`ovs-dpctl: Failed to parse filter (${lines})\n`);
    }
  });

  test('parse-actions', async () => {
    expect((await run('parse-actions 1,2 drop')).out).toBe('1,2\ndrop\n');
    expect(await run('parse-actions no-such')).toMatchObject({ status: 1 });
  });
});

describe('ovs-appctl dpctl/...', () => {
  const call = async (name: string, ...args: string[]) => {
    setConsole(() => {});
    const providers = new DpifProviders([new DpifNetlinkProvider(async () => host.endpoint)]);
    try {
      const found = dpctlUnixctl(providers, host, 'ovs-vswitchd').find((c) => c.name === name);
      if (found === undefined) throw new Error(name);
      return await found.handler(args);
    } finally {
      providers.close();
      setConsole(undefined);
    }
  };

  test('who has limits in the database gives none by hand', async () => {
    setConsole(() => {});
    await run('add-dp dp0');
    const providers = new DpifProviders([new DpifNetlinkProvider(async () => host.endpoint)]);
    const commands = dpctlUnixctl(providers, host, 'ovs-vswitchd', (dpif) => dpif.name === 'dp0');
    for (const [verb, arg] of [
      ['set', 'zone=5,limit=9'],
      ['del', 'zone=5'],
    ] as const) {
      const command = commands.find((c) => c.name === `dpctl/ct-${verb}-limits`);
      const why = `the zone limits are set via database, use 'ovs-vsctl ${verb}-zone-limit <...>' instead.`;
      const text = `ovs-vswitchd: ${why} (Operation not permitted)\n`;
      expect(await command?.handler([arg])).toEqual({ isError: true, text });
    }
    expect((await commands.find((c) => c.name === 'dpctl/ct-get-limits')?.handler([]))?.text).toBe('default limit=0\n');
    providers.close();
    setConsole(undefined);
  });

  test('options come first, and everything printed is the reply', async () => {
    await run('add-dp dp0 v1');
    expect((await call('dpctl/show', '-s', 'dp0')).text).toContain('  port 1: v1\n    RX packets:0');
    expect(await call('dpctl/add-flow', 'dp0', FLOW, '1')).toEqual({ isError: false, text: '' });
    const dumped = await call('dpctl/dump-flows', '-m', '--no-names', 'type=ovs');
    // appctl gives every flow a UFID.
    expect(dumped.text).toMatch(/^ufid:[0-9a-f-]{36}, recirc_id\(0\/0\).*in_port\(1\).*, dp:ovs, actions:1\n$/);
    expect(await call('dpctl/dump-flows', 'type=offloaded')).toEqual({ isError: false, text: '' });
    expect(await call('dpctl/dump-flows', 'type=x')).toEqual({
      isError: true,
      text: 'ovs-vswitchd: Failed to parse type (x) (Invalid argument)\n',
    });
    expect(await call('dpctl/del-flow', FLOW)).toEqual({ isError: false, text: '' });
    expect(await call('dpctl/del-flow', FLOW)).toEqual({
      isError: true,
      text: 'ovs-vswitchd: deleting flow (No such file or directory)\nPerhaps you need to specify a UFID?\n',
    });
    expect(await call('dpctl/show', '-x')).toEqual({ isError: true, text: 'Unrecognized option -x' });
    expect(await call('dpctl/show', '--bogus')).toEqual({ isError: true, text: 'Unrecognized option --bogus' });
  });
});

// biome-ignore format: table
const LINES = [
  { line: 'add f a b',       command: 'add',    flow: 'f',       actions: 'a b' },
  { line: '\tmodify f a',    command: 'modify', flow: 'f',       actions: 'a' },
  { line: 'delete f',        command: 'delete', flow: 'f',       actions: undefined },
  { line: 'mod f a',         command: 'modify', flow: 'f',       actions: 'a' },
  { line: 'in_port(1) 2',    command: 'add',    flow: 'in_port(1)', actions: '2' },
  { line: 'add',             command: 'add',    flow: undefined, actions: undefined },
  { line: ', f',             command: 'add',    flow: ',',       actions: 'f' },
] as const;
test.each(LINES)('flow line "$line"', ({ line, command, flow, actions }) => {
  expect(parseFlowLine(line, 'add')).toEqual({ command, flow, actions });
});
test('a line without a command takes the one of the file', () => {
  expect(parseFlowLine('in_port(1) 2', 'modify').command).toBe('modify');
});

test('numbers are read as C does', () => {
  const texts = ['10', ' +7x', '-1', 'x', '', '4294967295', '4294967297', '99999999999999999999'];
  expect(texts.map(atoi)).toEqual([10, 7, -1, 0, 0, -1, 1, -1]);
});

test('sizes for people', () => {
  const sizes = [0n, 1023n, 1024n, 1536n, 1n << 20n, 5n << 30n, 1n << 40n, 1n << 50n];
  expect(sizes.map(humanSize)).toEqual([
    '',
    '',
    ' (1.0 KiB)',
    ' (1.5 KiB)',
    ' (1.0 MiB)',
    ' (5.0 GiB)',
    ' (1.0 TiB)',
    ' (1024.0 TiB)',
  ]);
});
