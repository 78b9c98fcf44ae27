/**
 * The commands that `ovs-appctl` can give to vswitchd, as one table; unixctl-server.ts adds list-commands and version.
 * Names, usage and texts are the stock program's.  Source: ovs-vswitchd(8), ovs-appctl(8), ofproto/ofproto-dpif.c,
 * utilities/ovs-appctl.c.
 */
import type { DpctlUnixctl } from '../../dpctl/dpctl-unixctl.ts';
import { dpifFullName } from '../../dpif/dpif-name.ts';
import type { DpifFlow } from '../../dpif/dpif-types.ts';
import { formatFlowStats } from '../../dpif/flow-stats.ts';
import { OVS_KEY_ATTR } from '../../odp/key/key-table.ts';
import { formatUfid } from '../../odp/odp-ufid.ts';
import { findAttr, hostUint, readAttrs } from '../../odp/text/odp-attr-list.ts';
import { formatOdpActions } from '../../odp/text/odp-format-actions.ts';
import { formatOdpFlow } from '../../odp/text/odp-format-key.ts';
import type { Ofproto, OfprotoBacker } from '../../ofproto/ofproto-provider.ts';
import { formatFdb } from '../../ofproto/show/show.ts';
import { dpifJson, fdbJson } from '../../ofproto/show/show-json.ts';
import { TraceError, traceNowhere } from '../../ofproto/xlate/trace/trace.ts';
import { LOG_COMMANDS } from '../../unixctl/log-commands.ts';
import { processCommands } from '../../unixctl/process-commands.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import type { JsonObject } from '../../util/json-stream.ts';
import type { DeviceQos } from '../qos/device-qos.ts';
import { DATAPATH_COMMANDS, offloadCommands } from './datapath-commands.ts';
import { fdbCommands } from './fdb-commands.ts';
import { featureCommands } from './feature-commands.ts';
import { mdbCommands } from './mdb-commands.ts';
import { PROTOCOL_COMMANDS } from './protocol-commands.ts';
import { qosCommands } from './qos-commands.ts';
import { upcallCommands } from './upcall-commands.ts';

/** What the commands act on. */
export interface CommandTarget {
  /** Undefined while there is no bridge, or no datapath. */
  readonly backer: OfprotoBacker | undefined;
  /** Undefined: devices have no traffic control. */
  readonly qos?: DeviceQos | undefined;
  /** Numbers for `memory/show`; without it those of the backer. */
  memory?(): Readonly<Record<string, number>>;
  /** Ends the process soon, after the reply is on its way. */
  exit(cleanup: boolean): void;
}

/** All commands.  `dpctl` are those of dpctl/dpctl-unixctl.ts. */
export function vswitchdCommands(target: CommandTarget, dpctl: readonly DpctlUnixctl[]): UnixctlCommand[] {
  const bridge = (name: string | undefined): Ofproto => {
    const found = target.backer?.ofprotos.get(name ?? '');
    if (found === undefined) throw new UnixctlError('no such bridge');
    return found;
  };
  const bridges = (): Ofproto[] => [...(target.backer?.ofprotos.values() ?? [])];
  // biome-ignore format: table
  return [
    command('exit',                    '[--cleanup]',      0, 1,        ([option]) => exit(target, option)),
    command('bridge/reconnect',        '[bridge]',         0, 1,        ([name]) => reconnect(name === undefined ? bridges() : [knownBridge(target, name)])),
    command('fdb/flush',               '[bridge]',         0, 1,        ([name]) => flush(name === undefined ? bridges() : [bridge(name)])),
    {
      ...command('fdb/show',           'bridge',           1, 1,        ([name]) => formatFdb(bridge(name).fdb.entries())),
      runJson: ([name]) => fdbJson(bridge(name).fdb.entries()),
    },
    command('dpif/dump-dps',           '',                 0, 0,        () => bridges().map((b) => `${target.backer?.dpif.type}@${b.name}\n`).sort().join('')),
    command('dpif/dump-flows',         '[-m] [--names | --no-names] bridge', 1, Infinity, (args) => dumpFlows(target.backer, bridge(args.at(-1)), args.slice(0, -1))),
    {
      ...command('dpif/show',          '',                 0, 0,        async () => (await target.backer?.showDpif()) ?? ''),
      runJson: () => showDpifJson(target),
    },
    command('ofproto/list-tunnels',    '',                 0, 0,        () => target.backer?.listTunnels() ?? ''),
    command('ofproto/list',            '',                 0, 0,        () => bridges().map((b) => `${b.name}\n`).join('')),
    command('bridge/dump-flows',       '[--offload-stats] bridge', 1, 2, (args) => dumpOpenflow(target, args)),
    command('ofproto/trace',           TRACE,              1, Infinity, (args) => trace(target, args, false)),
    command('ofproto/trace-packet-out', TRACE_PACKET_OUT,  2, Infinity, (args) => trace(target, args, true)),
    ...processCommands(() => target.memory?.() ?? target.backer?.memory() ?? {}),
    ...LOG_COMMANDS,
    ...featureCommands(target),
    ...fdbCommands(bridge, bridges),
    ...mdbCommands(bridge, bridges),
    ...PROTOCOL_COMMANDS,
    ...DATAPATH_COMMANDS,
    ...offloadCommands(target),
    ...upcallCommands(target),
    ...qosCommands(target),
    ...dpctl.map(({ name, usage, minArgs, maxArgs, handler }) =>
      command(name, usage, minArgs, maxArgs, async (args) => {
        const { isError, text } = await handler(args);
        if (isError) throw new UnixctlError(text);
        return text;
      })),
  ];
}

const command = (
  name: string,
  usage: string,
  minArgs: number,
  maxArgs: number,
  run: UnixctlCommand['run'],
): UnixctlCommand => ({ name, usage, minArgs, maxArgs, run });

async function showDpifJson({ backer }: CommandTarget): Promise<JsonObject> {
  if (backer === undefined) return {};
  const { dpif, ofprotos } = backer;
  return dpifJson(dpifFullName(dpif), await dpif.stats(), ofprotos.values());
}

/** The bridge, in the words of the commands that belong to bridges rather than to their switches. */
function knownBridge({ backer }: CommandTarget, name: string | undefined): Ofproto {
  const found = backer?.ofprotos.get(name ?? '');
  if (found === undefined) throw new UnixctlError('Unknown bridge');
  return found;
}

const dumpOpenflow = (target: CommandTarget, args: readonly string[]): string =>
  knownBridge(target, args.at(-1)).dumpFlows(args.slice(0, -1).includes('--offload-stats'));

const TRACE = '{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]';
const TRACE_PACKET_OUT = `[-consistent] ${TRACE} actions`;

async function trace(target: CommandTarget, args: readonly string[], isPacketOut: boolean): Promise<string> {
  try {
    const { backer } = target;
    return await (backer === undefined ? traceNowhere(args, isPacketOut) : backer.trace(args, isPacketOut));
  } catch (error) {
    if (error instanceof TraceError) throw new UnixctlError(error.message, { cause: error });
    throw error;
  }
}

function exit(target: CommandTarget, option: string | undefined): string {
  target.exit(option === '--cleanup');
  return '';
}

function reconnect(ofprotos: readonly Ofproto[]): string {
  for (const ofproto of ofprotos) ofproto.reconnect();
  return '';
}

function flush(ofprotos: readonly Ofproto[]): string {
  for (const ofproto of ofprotos) ofproto.fdb.flush();
  return 'table successfully flushed';
}

/** The datapath's flows that packets of one bridge's ports make use of. */
async function dumpFlows(
  backer: OfprotoBacker | undefined,
  ofproto: Ofproto,
  options: readonly string[],
): Promise<string> {
  if (backer === undefined) return '';
  const verbose = options.includes('-m');
  const named = options.findLast((option) => option === '--names' || option === '--no-names');
  const ports = await backer.dpif.portDump();
  const showNames = named === undefined ? verbose : named === '--names';
  const portNames = showNames ? new Map(ports.map((p) => [p.portNo, p.name])) : undefined;
  const own = new Set([...ofproto.ports.values()].map((p) => p.odpPort));
  const lines: string[] = [];
  await backer.dpif.flowDump(false, (flows) => {
    for (const flow of flows) if (own.has(inPort(flow))) lines.push(formatFlow(flow, verbose, portNames));
  });
  return lines.join('');
}

function inPort({ key }: DpifFlow): number {
  const attr = key === undefined ? undefined : findAttr(readAttrs(key).attrs, OVS_KEY_ATTR.IN_PORT);
  return attr === undefined ? -1 : hostUint(attr.data, 0, 4);
}

function formatFlow(flow: DpifFlow, verbose: boolean, portNames: ReadonlyMap<number, string> | undefined): string {
  const { ufid, key = new Uint8Array(), mask, actions = new Uint8Array(), stats } = flow;
  const id = verbose && ufid !== undefined ? `${formatUfid(ufid)} ` : '';
  const match = formatOdpFlow(key, mask, { verbose, portNames });
  return `${id}${match}, ${formatFlowStats(stats)}, actions:${formatOdpActions(actions, { portNames })}\n`;
}
