/**
 * vswitchd itself, when the process is the daemon (main.ts sees to that): puts the userspace half of the switch together, and runs it.
 *
 * Start: control socket, then the switch (vswitchd.ts), which follows the database.
 * Ready: when the first configuration is in force; whoever started it with --detach waits until then.
 * End: `ovs-appctl exit` and SIGTERM leave the datapath and its flows, which go on forwarding; `exit --cleanup` does not.
 * Source: vswitchd/ovs-vswitchd.c.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { daemonizeComplete } from '../daemon/daemonize.ts';
import { LoopLag } from '../daemon/loop-lag.ts';
import { dpctlUnixctl } from '../dpctl/dpctl-unixctl.ts';
import { HostNetdevs, type Netdevs } from '../dpctl/netdevs.ts';
import type { Dpif, DpifProvider } from '../dpif/dpif.ts';
import { DpifProviders } from '../dpif/dpif-name.ts';
import { DpifNetlinkProvider } from '../dpif-netlink/dpif-netlink.ts';
import { rtnetlinkTunnelLinks } from '../dpif-netlink/tunnel-links.ts';
import { DATAPATH_PORT_ID } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import { OVS_DATAPATH_FAMILY } from '../netlink/families/ovs-datapath.ts';
import type { GenlEndpoint } from '../netlink/genl.ts';
import { awaitDatapathFamily, type DatapathChoice, resolveEndpoint } from '../netlink/genl-family.ts';
import { openSocketTransport } from '../netlink/socket.ts';
import { MemoryNetlink } from '../netlink/transport.ts';
import { openBacker, openBackerWith } from '../ofproto/backer/backer.ts';
import { systemScheduler } from '../ofproto/udpif/scheduler.ts';
import { allowDebugActions } from '../openflow/actions/index.ts';
import { type UnixctlCommand, UnixctlServer } from '../unixctl/unixctl-server.ts';
import { setClock } from '../util/clock.ts';
import { ERRNO } from '../util/errno.ts';
import { unlinkAtExit } from '../util/exit-files.ts';
import { MemoryReport } from '../util/memory-report.ts';
import { limitTls, type TlsFiles } from '../util/tls-files.ts';
import { removeDeadSockets, VSWITCHD_SOCKETS } from '../util/unix-sockets.ts';
import { WarpClock } from '../util/warp-clock.ts';
import { vswitchdCommands } from './commands/commands.ts';
import { dispatchModeCommand } from './commands/datapath-commands.ts';
import { routeCommands } from './commands/route-commands.ts';
import { tunnelCommands } from './commands/tunnel-commands.ts';
import { setSelfConfinement } from './config/unix-targets.ts';
import { RtnetlinkTable } from './devices/rtnetlink-table.ts';
import { dummyCommands } from './dummy/dummy-commands.ts';
import { DummyDpctlDevices } from './dummy/dummy-dpctl-devices.ts';
import { DUMMY_DPIF_TYPE, type DummyWorld, dummyProvider } from './dummy/dummy-dpif.ts';
import { type DummyLevel, DummyNetdevs } from './dummy/dummy-netdevs.ts';
import { dummyPortCommands } from './dummy/dummy-port-commands.ts';
import { HeldEvents } from './dummy/held-events.ts';
import type { SslOptions, VswitchdCommandLine } from './options.ts';
import { NeighCache } from './router/neigh-cache.ts';
import type { SystemRouting } from './router/system-routes.ts';
import { PROGRAM, VERSION_TEXT } from './version.ts';
import { Vswitchd, type VswitchdOptions } from './vswitchd.ts';

const HOUSEKEEPING_MS = 1000;
/** How long after its start vswitchd waits for a datapath that was started beside it. */
const DATAPATH_GRACE_MS = 1000;
const MODULE_VERSION = '/sys/module/openvswitch/version';

const provider = (choice: DatapathChoice): DpifNetlinkProvider =>
  new DpifNetlinkProvider(() => resolveEndpoint(choice, openSocketTransport), undefined, rtnetlinkTunnelLinks);

/**
 * A provider whose datapath is there, or is there soon, if this process has just been started.  Rejects with ENOENT otherwise, without a word in
 * the log: this is tried every second.
 */
async function readyProvider(
  choice: DatapathChoice,
  onFound: (endpoint: GenlEndpoint) => void,
): Promise<DpifNetlinkProvider> {
  const endpoint = await resolveEndpoint(choice, openSocketTransport);
  onFound(endpoint);
  const isThere = await awaitDatapathFamily(endpoint, () => performance.now() > DATAPATH_GRACE_MS);
  if (!isThere) throw new NetlinkError(ERRNO.ENOENT, OVS_DATAPATH_FAMILY);
  return new DpifNetlinkProvider(async () => endpoint, undefined, rtnetlinkTunnelLinks);
}

/** What is different between a switch of this host and one of dummy devices. */
interface Parts {
  readonly switch: Omit<VswitchdOptions, 'database'>;
  dpctlProvider(): DpifProvider;
  /** Routes and addresses, if not the host's. */
  routing?(): Promise<SystemRouting>;
  /** What dpctl takes for devices, if not the host's. */
  readonly dpctlNetdevs?: Netdevs;
  readonly commands: readonly UnixctlCommand[];
}

function systemParts({ datapath: choice, hasSystemDatapath }: VswitchdCommandLine): Parts {
  let isModule = false;
  const listed = provider(choice);
  const onFound = ({ peer }: GenlEndpoint): void => {
    isModule = peer === 0;
  };
  return {
    switch: {
      ...(hasSystemDatapath ? {} : { datapath: { name: 'ovs-system', types: [] } }),
      openProvider: () => readyProvider(choice, onFound),
      openBacker,
      openNetdevs: () => RtnetlinkTable.open(),
      datapathVersion: () => (isModule ? moduleVersion() : undefined),
    },
    dpctlProvider: () => provider(choice),
    commands: [dispatchModeCommand(() => listed.dispatchModes())],
  };
}

/** Only modules that were built outside of the kernel have one. */
function moduleVersion(): string | undefined {
  try {
    return readFileSync(MODULE_VERSION, 'utf8').split('\n')[0];
  } catch {
    return undefined;
  }
}

/** Devices and a datapath in this process, which the switch reaches over a wire in memory, and a clock that can be stopped. */
async function dummyParts(level: DummyLevel): Promise<Parts> {
  allowDebugActions();
  // The one place where vswitchd reaches into the datapath, and then only if it is asked to have one of its own.
  const { startEmbedded } = await import('../datapath/embedded.ts');
  const clock = new WarpClock();
  setClock(clock);
  const wire = new MemoryNetlink();
  const devices = new DummyNetdevs(level);
  const netfilter = new MemoryNetlink();
  startEmbedded({ transport: wire.open(DATAPATH_PORT_ID), netfilter: netfilter.open(DATAPATH_PORT_ID), devices });
  const endpoint: GenlEndpoint = { open: () => wire.open(), peer: DATAPATH_PORT_ID };
  const world: DummyWorld = { netdevs: devices, flows: new Map(), portEvents: new HeldEvents() };
  const netlink = () =>
    new DpifNetlinkProvider(
      async () => endpoint,
      () => netfilter.open(),
    );
  const provider = (isByHand: boolean) => dummyProvider(netlink(), world, isByHand);
  const replaced = level === 'none' ? [] : level === 'system' ? ['system'] : ['netdev', 'system'];
  const scheduler = {
    ...systemScheduler,
    after: (ms: number, fn: () => void) => clock.after(ms, fn),
    afterReal: systemScheduler.after,
  };
  return {
    switch: {
      datapath: { name: 'ovs-dummy', types: [DUMMY_DPIF_TYPE, ...replaced] },
      openProvider: async () => provider(false),
      openBacker: (from, name, options) => openBackerWith(from, name, options, scheduler),
      openNetdevs: async () => devices,
      datapathVersion: () => '<built-in>',
      after: scheduler.after,
      // With stock it is the kernel that tells of devices, so that no reconfiguration begins by itself here.
      addsPortsBack: false,
    },
    dpctlProvider: () => provider(true),
    dpctlNetdevs: new DummyDpctlDevices(devices),
    routing: async () => ({ routes: [], rules: [], addresses: devices.addresses() }),
    commands: [...dummyCommands(devices, clock), ...dummyPortCommands(provider(true), world.portEvents)],
  };
}

/** The files that the command line names; undefined unless it names all. */
function tlsFiles({ privateKey, certificate, caCert, bootstrapCaCert }: SslOptions): TlsFiles | undefined {
  if (privateKey === undefined || certificate === undefined || caCert === undefined) return undefined;
  return { privateKey, certificate, caCert, bootstrapCaCert };
}

/** Resolves to the exit status when somebody has told the daemon to exit.  Rejects if it cannot start. */
export async function runVswitchd(options: VswitchdCommandLine, rundir: string): Promise<number> {
  setSelfConfinement(options.isConfined);
  const parts = options.dummy === undefined ? systemParts(options) : await dummyParts(options.dummy);
  const tls = tlsFiles(options.ssl);
  limitTls(options.ssl.protocols, options.ssl.ciphers);
  const neighbours = new NeighCache();
  // What one that was killed has left.
  await removeDeadSockets(rundir, VSWITCHD_SOCKETS);
  const vswitchd = await Vswitchd.start({
    database: options.database,
    runDir: rundir,
    ...(tls === undefined ? {} : { session: { tls: () => tls } }),
    ...parts.switch,
    portGone: (name) => neighbours.forget(name),
  });
  let exit: (cleanup: boolean) => void = () => undefined;
  const told = new Promise<boolean>((resolve) => {
    exit = resolve;
  });
  const dpctlProviders = new DpifProviders([parts.dpctlProvider()]);
  const dpctlNetdevs = parts.dpctlNetdevs ?? new HostNetdevs();
  const target = {
    get backer() {
      return vswitchd.backer;
    },
    get qos() {
      return vswitchd.qos;
    },
    exit,
  };
  const hasOwnLimits = (dpif: Dpif): boolean => dpif.name === vswitchd.backer?.dpif.name && vswitchd.limitsZones;
  const memory = new MemoryReport(() => vswitchd.backer?.memory() ?? {});
  const lag = new LoopLag();
  const housekeeping = setInterval(() => memory.run(), HOUSEKEEPING_MS);
  const commands = vswitchdCommands(target, dpctlUnixctl(dpctlProviders, dpctlNetdevs, PROGRAM, hasOwnLimits));
  const unixctl = new UnixctlServer(VERSION_TEXT, [
    ...commands,
    ...routeCommands(options.hasSystemRoutes, parts.routing),
    ...tunnelCommands(neighbours),
    ...parts.commands,
  ]);
  if (options.unixctl !== 'none') {
    mkdirSync(rundir, { recursive: true });
    const path = options.unixctl ?? join(rundir, `${PROGRAM}.${process.pid}.ctl`);
    await unixctl.listen(path);
    unlinkAtExit(path);
  }
  void vswitchd.configured.then(() => daemonizeComplete(options));

  const cleanup = await told;
  lag.stop();
  clearInterval(housekeeping);
  await vswitchd.stop(cleanup);
  dpctlNetdevs.close();
  dpctlProviders.close();
  await unixctl.close();
  return 0;
}
