/**
 * OVN on switches of the lab, unmodified: its databases, ovn-northd and an ovn-controller beside each vswitchd.
 * Neighbours: ovn.test.ts, ovn-chassis.test.ts, switch.ts.  Source: ovn-architecture(7), ovn-nb(5), ovn-controller(8).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, type Namespace, ok } from './harness.ts';
import { vsctl } from './switch.ts';

/** Debian's has no plugin for representors; and br-int, to which ovn-controller connects, is its own work. */
const USUAL = /vif_plug_provider|br-int\.mgmt: connection failed \(No such file or directory\)/;

const SCHEMAS = '/usr/share/ovn';

/** Why OVN cannot run here; undefined if it can. */
export function ovnMissing(): string | undefined {
  for (const [program, deb] of [
    ['ovn-northd', 'ovn-central'],
    ['ovn-controller', 'ovn-host'],
  ] as const) {
    if (spawnSync(program, ['--version']).status !== 0) return `there is no ${program} (Debian package ${deb})`;
  }
  return existsSync(join(SCHEMAS, 'ovn-nb.ovsschema')) ? undefined : `there are no schemas in ${SCHEMAS}`;
}

/** One interface of a virtual machine: a logical port. */
export interface LogicalPort {
  readonly name: string;
  readonly switch: string;
  readonly mac: string;
  /** Addresses without a prefix length; the first is IPv4. */
  readonly addresses: readonly string[];
}

export class Ovn {
  readonly sw: Namespace;
  private readonly env: Record<string, string>;
  private readonly remote: string;
  private controllerDaemon: Daemon | undefined;

  /** Of `central`, if that is given, this is another chassis; it is in a lab of its own. */
  constructor(sw: Namespace, central?: Ovn) {
    const { dir } = sw.lab;
    this.sw = sw;
    this.remote = central?.remote ?? `unix:${dir}/ovn.sock`;
    this.env = { OVN_RUNDIR: dir, OVN_LOGDIR: dir, OVN_DBDIR: dir, OVN_NB_DB: this.remote, OVN_SB_DB: this.remote };
  }

  /** Starts everything; `vswitchd` and its database run already.  `mappings` and `address` as for `join`. */
  async start(mappings: string, address = '127.0.0.1'): Promise<void> {
    const { sw, env, remote } = this;
    const { dir } = sw.lab;
    const files: string[] = [];
    for (const name of ['nb', 'sb']) {
      const file = join(dir, `ovn${name}.db`);
      await ok(['ovsdb-tool', 'create', file, join(SCHEMAS, `ovn-${name}.ovsschema`)]);
      files.push(file);
    }
    const database = sw.daemon('ovn-ovsdb', [
      'ovsdb-server',
      ...files,
      `--remote=p${remote}`,
      `--unixctl=${dir}/ovn-ovsdb.ctl`,
      '-vsyslog:off',
    ]);
    await database.until('is ready', async () => (await sw.run(['ovsdb-client', 'list-dbs', remote])).status === 0);
    sw.daemon('ovn-northd', ['ovn-northd', '-vsyslog:off', '-vconsole:info'], env);
    await this.nbctl('init');
    await this.join('chassis1', address, mappings);
  }

  /** Makes the switch chassis `name`, which others reach at `address`.  `mappings` as in external_ids:ovn-bridge-mappings. */
  async join(name: string, address: string, mappings: string): Promise<void> {
    await vsctl(
      this.sw,
      `set open_vswitch . external_ids:system-id=${name} external_ids:ovn-encap-type=geneve external_ids:ovn-encap-ip=${address}` +
        ` external_ids:ovn-remote=${this.remote} external_ids:ovn-bridge-mappings=${mappings}`,
    );
    this.startController();
  }

  startController(): Daemon {
    const { dir } = this.sw.lab;
    const daemon = this.sw.daemon(
      'ovn-controller',
      ['ovn-controller', `unix:${dir}/db.sock`, '-vsyslog:off', '-vconsole:info'],
      this.env,
    );
    this.controllerDaemon = daemon;
    return daemon;
  }

  get controller(): Daemon {
    if (this.controllerDaemon === undefined) throw new Error('ovn-controller was not started');
    return this.controllerDaemon;
  }

  /** One transaction of ovn-nbctl: `commands`, one a line, words separated by spaces; what single quotes enclose is (part of) one word. */
  nbctl(commands: string): Promise<string> {
    const words = commands
      .trim()
      .split('\n')
      .flatMap((line, i) => [...(i > 0 ? ['--'] : []), ...wordsOf(line)]);
    return this.sw.ok(['ovn-nbctl', '--timeout=60', ...words], { env: this.env, timeoutMs: 70_000 });
  }

  /** Waits until the chassis has what the northbound database says. */
  settle(): Promise<string> {
    return this.sw.ok(['ovn-nbctl', '--timeout=60', '--wait=hv', 'sync'], { env: this.env, timeoutMs: 70_000 });
  }

  /** A virtual machine: a namespace whose eth0 is logical port `port`, with a default route by `gateways`. */
  async machine(port: LogicalPort, gateways: readonly string[]): Promise<Namespace> {
    const { sw } = this;
    const host = await sw.lab.host(sw, port.name, port.name);
    await host.ip(`link set eth0 address ${port.mac}`);
    await host.address('eth0', ...port.addresses.map((a) => `${a}/${a.includes(':') ? 64 : 24}`));
    for (const gateway of gateways) await host.ip(`route add default via ${gateway}`);
    await vsctl(sw, `add-port br-int ${port.name} -- set interface ${port.name} external_ids:iface-id=${port.name}`);
    return host;
  }

  /** Messages of ovn-controller, and of ovn-northd if that is here, of level WARN and above, without those that every start has. */
  warnings(): string[] {
    const log = ['ovn-controller', 'ovn-northd']
      .map((name) => join(this.sw.lab.dir, `${this.sw.name}-${name}.log`))
      .map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : ''))
      .join('\n');
    return log.split('\n').filter((line) => /\|(WARN|ERR|EMER)\|/.test(line) && !USUAL.test(line));
  }
}

function wordsOf(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
}

/** A process in `host` that greets whoever connects to TCP `port`: "NAME PEER-ADDRESS", and closes. */
export async function greeter(host: Namespace, name: string, port: number): Promise<Daemon> {
  const program = [
    'import socket, sys',
    's = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)',
    'while True:',
    '    c, peer = s.accept()',
    '    c.sendall(f"{sys.argv[1]} {peer[0].removeprefix(\'::ffff:\')}\\n".encode())',
    '    c.close()',
  ].join('\n');
  const daemon = host.daemon(`greeter-${port}`, ['/usr/bin/python3', '-I', '-S', '-c', program, name, `${port}`]);
  await daemon.until('listens', async () => (await host.ok(['ss', '-Hltn', `sport = :${port}`])) !== '');
  return daemon;
}

/** Connects to a greeter; gives what it says, or why the connection failed. */
export async function greeting(from: Namespace, address: string, port: number, seconds = 5): Promise<string> {
  const program = [
    'import socket, sys',
    'try:',
    '    c = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))',
    '    print(c.makefile().readline().strip())',
    'except OSError as e:',
    '    print(e)',
  ].join('\n');
  return (await from.ok(['/usr/bin/python3', '-I', '-S', '-c', program, address, `${port}`, `${seconds}`])).trim();
}
