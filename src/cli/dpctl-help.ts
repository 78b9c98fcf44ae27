/** Text of `tapswitch dpctl --help`: the interface of ovs-dpctl 3.1, whose commands and options dpctl.ts has. */

/** The version of Open vSwitch whose ovs-dpctl this is interchangeable with. */
export const OVS_VERSION = '3.1.0';

const COMMANDS: readonly (readonly [string, string])[] = [
  ['add-dp DP [IFACE...]     ', 'add new datapath DP (with IFACEs)'],
  ['del-dp DP                ', 'delete local datapath DP'],
  ['add-if DP IFACE...       ', 'add each IFACE as a port on DP'],
  ['set-if DP IFACE...       ', 'reconfigure each IFACE within DP'],
  ['del-if DP IFACE...       ', 'delete each IFACE from DP'],
  ['dump-dps                 ', 'display names of all datapaths'],
  ['show                     ', 'show basic info on all datapaths'],
  ['show DP...               ', 'show basic info on each DP'],
  ['dump-flows [DP]          ', 'display flows in DP'],
  ['add-flow [DP] FLOW ACTIONS ', 'add FLOW with ACTIONS to DP'],
  ['add-flows [DP] FILE        ', 'add flows from FILE'],
  ['mod-flow [DP] FLOW ACTIONS ', 'change FLOW actions to ACTIONS in DP'],
  ['mod-flows [DP] FILE        ', 'change flows from FILE'],
  ['get-flow [DP] ufid:UFID    ', 'fetch flow corresponding to UFID'],
  ['del-flow [DP] FLOW         ', 'delete FLOW from DP'],
  ['del-flows [DP] [FILE]      ', 'delete all or specified flows from DP'],
  ['cache-get-size [DP]             ', 'Show the current size for all caches'],
  ['cache-set-size DP CACHE SIZE  ', 'Set cache size for a specific cache'],
  ['dump-conntrack [DP] [zone=ZONE]  ', 'display conntrack entries for ZONE'],
  ['flush-conntrack [DP] [zone=ZONE] [ct-tuple]', 'delete matched conntrack entries in ZONE'],
  ['ct-stats-show [DP] [zone=ZONE] [verbose] ', 'CT connections grouped by protocol'],
  ['ct-bkts [DP] [gt=N] ', 'display connections per CT bucket'],
];

/** The whole text; `logDir` is where --log-file puts its file. */
export const dpctlHelp = (programName: string, logDir: string): string => `\
${programName}: Open vSwitch datapath management utility
usage: ${programName} [OPTIONS] COMMAND [ARG...]
${COMMANDS.map(([usage, what]) => `  ${usage}${what}\n`).join('')}\
Each IFACE on add-dp, add-if, and set-if may be followed by
comma-separated options.  See ovs-dpctl(8) for syntax, or the
Interface table in ovs-vswitchd.conf.db(5) for an options list.
For COMMAND dump-flows, add-flow, add-flows, mod-flow,
mod-flows, del-flow and del-flows, DP is optional if there is
only one datapath.

Logging options:
  -vSPEC, --verbose=SPEC   set logging levels
  -v, --verbose            set maximum verbosity level
  --log-file[=FILE]        enable logging to specified FILE
                           (default: ${logDir}/${programName}.log)
  --syslog-method=(libc|unix:file|udp:ip:port)
                           accepted, and without effect
  --syslog-target=HOST:PORT  accepted, and without effect

Options for show and mod-flow:
  -s,  --statistics           print statistics for port or flow

Options for dump-flows:
  -m, --more                  increase verbosity of output
  --names                     use port names in output

Options for mod-flow:
  --may-create                create flow if it doesn't exist
  --read-only                 do not run read/write commands
  --clear                     reset existing stats to zero

Other options:
  --datapath=WHICH            auto (the kernel's if it has one), kernel or emulated
  -t, --timeout=SECS          give up after SECS seconds
  -h, --help                  display this help message
  -V, --version               display version information
`;
