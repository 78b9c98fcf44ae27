/**
 * The datapath process at work, when main.ts has made a daemon of it.  It puts server.ts on a NETLINK_GENERIC socket with a port id that
 * clients know, gives it the host's devices, and serves until a signal or the command "exit".
 *
 * It needs CAP_NET_ADMIN (and CAP_NET_RAW for existing devices) in its network namespace only, so it runs in a user
 * namespace too.  When it ends, its TAPs vanish and devices get their packets back; what a killed one left is removed at
 * the next start.  Nothing that happens while it serves ends it: an exception is logged, and it goes on.
 */
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { LoopLag } from '../daemon/loop-lag.ts';
import { native } from '../native/index.ts';
import { DATAPATH_PORT_ID, NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.ts';
import { OVS_DATAPATH_FAMILY } from '../netlink/families/ovs-datapath.ts';
import { openSocketTransport } from '../netlink/socket.ts';
import type { NetlinkTransport } from '../netlink/transport.ts';
import { Arena, SLOT_SIZE } from '../packet/packet.ts';
import { LOG_COMMANDS } from '../unixctl/log-commands.ts';
import { processCommands } from '../unixctl/process-commands.ts';
import { UnixctlError, UnixctlServer } from '../unixctl/unixctl-server.ts';
import { monotonicMs } from '../util/clock.ts';
import { coverageRun } from '../util/coverage.ts';
import { ERRNO } from '../util/errno.ts';
import { unlinkAtExit } from '../util/exit-files.ts';
import { MemoryReport } from '../util/memory-report.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { groupsOf, kernelFamilies, ProcListeners } from './commands/multicast.ts';
import { controlCommands } from './dp-control.ts';
import { parseKernel } from './kernel-compat.ts';
import { DATAPATH_PROGRAM, type DatapathProcessOptions } from './options.ts';
import { removeLeftover } from './ports/ingress-drop.ts';
import { LinkTable } from './ports/link-table.ts';
import { SystemPorts } from './ports/port-factory.ts';
import { DatapathServer } from './server.ts';

const log = vlog('datapath');
const exceptionLimit = new RateLimit(60, 20);

/** Packets in memory at a time: 64 of a receive batch, copies and segments of them.  Pages cost nothing until used. */
const ARENA_SLOTS = 2048;
/** Bit of CapEff in /proc/self/status. */
const CAP_NET_ADMIN = 12;

/** A datapath that serves. */
interface RunningDatapath {
  readonly portId: number;
  readonly server: DatapathServer;
  /** Stops serving and gives everything back. */
  close(): void;
}

/** Signals that end it, having given everything back. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGALRM'] as const;
const HOUSEKEEPING_MS = 1000;

/**
 * Runs the datapath until a signal or a command ends it; `ready` is called when it can serve.  Rejects with an Error whose message is meant for
 * the user if it cannot start.
 */
export async function runDatapath(options: DatapathProcessOptions, ready: () => void): Promise<void> {
  const datapath = await startDatapath(options);
  let end: (why: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const unixctl = await listenForCommands(options.unixctl, datapath, () => end('told to exit'));
  process.on('uncaughtException', survive);
  process.on('unhandledRejection', survive);
  for (const signal of ENDING) process.once(signal, () => end(signal));
  const memory = new MemoryReport(() => memoryOf(datapath));
  const lag = new LoopLag();
  const housekeeping = setInterval(() => {
    coverageRun();
    memory.run();
  }, HOUSEKEEPING_MS);
  if (options.readyFile !== undefined) writeReadyFile(options.readyFile);
  log.info(() => `serving at netlink port id ${datapath.portId} (process ${process.pid})`);
  ready();
  log.info(`${await ended}: ending`);
  clearInterval(housekeeping);
  lag.stop();
  if (options.readyFile !== undefined) rmSync(options.readyFile, { force: true });
  await unixctl?.close();
  datapath.close();
}

/** Numbers for `memory/show`. */
function memoryOf({ server }: RunningDatapath): Record<string, number> {
  let [datapaths, flows, masks, meters, ports] = [0, 0, 0, 0, 0];
  for (const dp of server.datapaths.all()) {
    datapaths++;
    flows += dp.table.count;
    masks += dp.table.nMasks;
    meters += dp.meters.count;
    ports += dp.nPorts;
  }
  return { datapaths, flows, masks, meters, ports };
}

/** The control socket: dp-control.ts says what it can be asked about datapaths. */
async function listenForCommands(
  path: string | undefined,
  datapath: RunningDatapath,
  exit: () => void,
): Promise<UnixctlServer | undefined> {
  if (path === undefined || path === 'none') return undefined;
  const commands = controlCommands(datapath.server.datapaths).map((command) => ({
    ...command,
    run: (args: readonly string[]) => {
      try {
        return command.run(args);
      } catch (error) {
        if (error instanceof RangeError) throw new UnixctlError(error.message, { cause: error });
        throw error;
      }
    },
  }));
  const end = () => {
    exit();
    return '';
  };
  const unixctl = new UnixctlServer(DATAPATH_PROGRAM, [
    ...commands,
    { name: 'exit', usage: '', minArgs: 0, maxArgs: 0, run: end },
    ...LOG_COMMANDS,
    ...processCommands(() => memoryOf(datapath)),
  ]);
  await unixctl.listen(path);
  unlinkAtExit(path);
  return unixctl;
}

/** Starts serving in this process.  Throws an Error that says what is in the way. */
async function startDatapath(options: DatapathProcessOptions): Promise<RunningDatapath> {
  if (!hasNetAdmin()) {
    throw new Error('the datapath needs CAP_NET_ADMIN: run it as root, or in a user namespace (unshare -rn)');
  }
  requireTun();
  const kernelCompat = parseKernel(options.kernelCompat ?? '6.1');
  const usedGroups = await askKernel();
  const portId = options.portId ?? DATAPATH_PORT_ID;
  const transport = openTransport(portId);
  const netfilter = openNetfilter(portId);
  try {
    return serve(transport, netfilter, usedGroups, kernelCompat);
  } catch (error) {
    transport.close();
    netfilter?.close();
    throw error;
  }
}

function serve(
  transport: NetlinkTransport,
  netfilter: NetlinkTransport | undefined,
  usedGroups: ReadonlySet<number>,
  kernelCompat: number,
): RunningDatapath {
  let server: DatapathServer | undefined;
  const links = new LinkTable(() => native().openNetlink(NETLINK_ROUTE, 0, 1 << 20), {
    gone: (ifindex) => server?.deviceGone(ifindex),
  });
  try {
    for (const [ifindex, link] of links.all()) {
      if (removeLeftover(ifindex)) log.info(`${link.name}: removed what a datapath that was killed had left there`);
    }
    const arena = new Arena(native().createArena(ARENA_SLOTS * SLOT_SIZE).buffer);
    server = new DatapathServer({
      transport,
      ...(netfilter && { netfilter }),
      arena,
      log,
      usedGroups,
      kernelCompat,
      portFactory: new SystemPorts(arena, links, (message) => log.warn(message)),
      listeners: new ProcListeners(monotonicMs),
      netfilterListeners: new ProcListeners(monotonicMs, undefined, NETLINK_NETFILTER),
    });
  } catch (error) {
    links.close();
    throw error;
  }
  const started = server;
  started.start();
  return {
    portId: transport.portId,
    server: started,
    close: () => {
      started.close();
      links.close();
      transport.close();
      netfilter?.close();
    },
  };
}

/** Multicast groups that the kernel uses.  Says so if the kernel has a datapath of its own. */
async function askKernel(): Promise<Set<number>> {
  const transport = openSocketTransport();
  try {
    const families = await kernelFamilies(transport);
    if (families.some((f) => f.familyName === OVS_DATAPATH_FAMILY)) {
      log.warn('this kernel has openvswitch.ko; clients use that unless they are told otherwise');
    }
    return groupsOf(families);
  } finally {
    transport.close();
  }
}

function openTransport(portId: number): NetlinkTransport {
  try {
    return openSocketTransport({ portId });
  } catch (error) {
    if ((error as { errno?: unknown }).errno !== ERRNO.EADDRINUSE) throw error;
    const text = `a datapath already runs in this network namespace (netlink port id ${portId} is taken)`;
    throw new Error(text, { cause: error });
  }
}

/** Where requests about conntrack come in: the same port id among NETLINK_NETFILTER sockets.  Does without if it must. */
function openNetfilter(portId: number): NetlinkTransport | undefined {
  try {
    return openSocketTransport({ protocol: NETLINK_NETFILTER, portId });
  } catch (error) {
    log.warn(`nobody can list or end connections, or set their timeouts: ${(error as Error).message}`);
    return undefined;
  }
}

function hasNetAdmin(): boolean {
  const caps = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  return caps === undefined || ((BigInt(`0x${caps}`) >> BigInt(CAP_NET_ADMIN)) & 1n) === 1n;
}

/** Each datapath has an internal port, which is a TAP device. */
function requireTun(): void {
  try {
    closeSync(openSync('/dev/net/tun', 'r+'));
  } catch (cause) {
    const hint = 'load the module tun, or give the container the device';
    throw new Error(`the datapath needs /dev/net/tun: ${(cause as Error).message} (${hint})`, { cause });
  }
}

/** Whoever waits for the file sees it whole or not at all. */
function writeReadyFile(path: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, `${process.pid}\n`);
  renameSync(temporary, path);
}

function survive(error: unknown): void {
  log.err(() => `unexpected: ${error instanceof Error ? error.stack : String(error)}`, exceptionLimit);
}
