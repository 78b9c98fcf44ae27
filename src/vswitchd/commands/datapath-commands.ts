/**
 * Commands about datapaths of other kinds than those here: of userspace with polling threads (dpif-netdev/*), of hardware (dpif/offload/*); and
 * about implementations to choose from (odp-execute/*), of which there is one.  They answer as a stock vswitchd that has no such datapath.
 * Source: lib/dpif-netdev.c, lib/odp-execute.c, lib/dpif-offload.c, ofproto/ofproto-dpif.c, lib/dpif-netlink.c.
 */
import type { OfprotoBacker } from '../../ofproto/ofproto-provider.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';

function refuse(why: string): never {
  throw new UnixctlError(why);
}

/** A command on the polling threads of a datapath that has such. */
const ofNetdev = (name: string, usage: string, maxArgs: number): UnixctlCommand => ({
  name: `dpif-netdev/${name}`,
  usage,
  minArgs: 0,
  maxArgs,
  run: () => refuse('please specify an existing datapath'),
});

const PERF_LOG_USAGE =
  'Usage: ovs-appctl dpif-netdev/pmd-perf-log-set [on|off] [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]';

// biome-ignore format: table
export const DATAPATH_COMMANDS: readonly UnixctlCommand[] = [
  ofNetdev('bond-show',         '[dp]',                          1),
  ofNetdev('pmd-perf-show',     '[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]', 8),
  ofNetdev('pmd-rxq-rebalance', '[dp]',                          1),
  ofNetdev('pmd-rxq-show',      '[-pmd core] [-secs secs] [dp]', 5),
  ofNetdev('pmd-stats-clear',   '[-pmd core] [dp]',              3),
  ofNetdev('pmd-stats-show',    '[-pmd core] [dp]',              3),
  { name: 'dpif-netdev/pmd-perf-log-set', usage: 'on|off [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]', minArgs: 0, maxArgs: 10,
    run: ([first = 'on']) => (/^(on|off|-(b|a|e|ne|us|q))$/.test(first) ? '' : refuse(PERF_LOG_USAGE)) },
  { name: 'dpif-netdev/dpif-impl-get', usage: '', minArgs: 0, maxArgs: 0, run: () => '' },
  { name: 'dpif-netdev/dpif-impl-set', usage: 'dpif_implementation_name', minArgs: 1, maxArgs: 1,
    run: ([name]) => refuse(`DPIF implementation not available: Unknown DPIF implementation ${name}.`) },
  { name: 'dpif-netdev/miniflow-parser-get', usage: '', minArgs: 0, maxArgs: 0, run: () => '' },
  { name: 'dpif-netdev/miniflow-parser-set', usage: '[-pmd core] miniflow_implementation_name [study_pkt_cnt]', minArgs: 1, maxArgs: 5,
    run: (args) => refuse(`Error: unknown miniflow extract implementation ${args[0] === '-pmd' ? args[2] : args[0]}.`) },
  { name: 'dpif-netdev/subtable-lookup-info-get', usage: '', minArgs: 0, maxArgs: 0, run: () => 'Available dpcls implementations:\n' },
  { name: 'dpif-netdev/subtable-lookup-prio-get', usage: undefined, minArgs: 0, maxArgs: 0, run: () => 'Available dpcls implementations:\n' },
  { name: 'dpif-netdev/subtable-lookup-prio-set', usage: '[lookup_func] [prio]', minArgs: 2, maxArgs: 2,
    run: () => refuse('error, subtable lookup function not found') },
  { name: 'odp-execute/action-impl-show', usage: '', minArgs: 0, maxArgs: 0,
    run: () => 'Available Actions implementations:\n  scalar (available: Yes, active: Yes)\n' },
  { name: 'odp-execute/action-impl-set', usage: 'name', minArgs: 1, maxArgs: 1,
    run: ([name]) => (name === 'scalar' ? 'Action implementation set to scalar.' : refuse(`Error: unknown action implementation, ${name}, specified!`)) },
];

/** Flows are offloaded to no hardware. */
export function offloadCommands(target: { readonly backer: OfprotoBacker | undefined }): UnixctlCommand[] {
  const name = (): string[] =>
    target.backer === undefined ? [] : [`${target.backer.dpif.type}@${target.backer.dpif.name}`];
  return [
    {
      name: 'dpif/offload/show',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      run: () =>
        `Globally enabled: false\nDatapaths:\n${name()
          .map((dp) => `${dp}:\n`)
          .join('')}`,
      runJson: () => ({
        enabled: false,
        ...Object.fromEntries(name().map((dp) => [dp, { priority: [], providers: {} }])),
      }),
    },
    { name: 'dpif/offload/classes', usage: undefined, minArgs: 0, maxArgs: 0, run: () => '' },
  ];
}

/** How the datapaths of this host were told to send upcalls. */
export function dispatchModeCommand(
  list: () => Promise<readonly { readonly name: string; readonly mode: string }[]>,
): UnixctlCommand {
  return {
    name: 'dpif-netlink/dispatch-mode',
    usage: '',
    minArgs: 0,
    maxArgs: 0,
    run: async () => (await list()).map(({ name, mode }) => `${name}: ${mode} dispatch mode\n`).join(''),
  };
}
