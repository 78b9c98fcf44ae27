/**
 * Commands about protocols that bridges and ports can speak: bonds, LACP, CFM, BFD, STP, RSTP, auto attach.  This switch speaks none of them
 * (what asks for one in the database is said to be unsupported), so that there is no such object to be shown or changed, and that is what these
 * commands say.  `bond/hash` computes.
 * Source: ofproto/bond.c, lib/lacp.c, lib/cfm.c, lib/bfd.c, lib/stp.c, lib/rstp.c, lib/ovs-lldp.c.
 */
import { hashUint64 } from '../../flow/hash.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import { parseMac } from '../../util/inet.ts';

const NO_BOND = 'no such bond';

/** Shows all objects of a kind if none is named. */
const show = (name: string, what: string, none: string, text = ''): UnixctlCommand => ({
  name,
  usage: `[${what}]`,
  minArgs: 0,
  maxArgs: 1,
  run: ([one]) => (one === undefined ? text : refuse(none)),
});

const change = (name: string, usage: string | undefined, nArgs: number, none: string): UnixctlCommand => ({
  name,
  usage,
  minArgs: nArgs,
  maxArgs: nArgs,
  run: () => refuse(none),
});

/** "[interface] normal|false|true", for one or all of a kind. */
const setFault = (name: string, none: string): UnixctlCommand => ({
  name,
  usage: '[interface] normal|false|true',
  minArgs: 1,
  maxArgs: 2,
  run: (args) => {
    if (!['normal', 'false', 'true'].includes(args.at(-1)?.toLowerCase() ?? '')) refuse('unknown fault string');
    return args.length > 1 ? refuse(none) : 'OK';
  },
});

// biome-ignore format: table
export const PROTOCOL_COMMANDS: readonly UnixctlCommand[] = [
  { name: 'bond/list', usage: '', minArgs: 0, maxArgs: 0, run: () => 'bond\ttype\trecircID\tmembers\n' },
  show('bond/show',               'port',             NO_BOND),
  change('bond/migrate',          'port hash member', 3, NO_BOND),
  change('bond/set-active-member', 'port member',     2, NO_BOND),
  change('bond/enable-member',    'port member',      2, NO_BOND),
  change('bond/disable-member',   'port member',      2, NO_BOND),
  change('bond/set-active-slave', undefined,          2, NO_BOND),
  change('bond/enable-slave',     undefined,          2, NO_BOND),
  change('bond/disable-slave',    undefined,          2, NO_BOND),
  { name: 'bond/hash', usage: 'mac [vlan] [basis]', minArgs: 1, maxArgs: 3, run: (args) => bondHash(args) },
  show('lacp/show',               'port',             'no such lacp object'),
  show('lacp/show-stats',         'port',             'no such lacp object'),
  show('cfm/show',                'interface',        'no such CFM object'),
  setFault('cfm/set-fault',                           'no such CFM object'),
  show('bfd/show',                'interface',        'no such bfd object'),
  setFault('bfd/set-forwarding',                      'no such BFD object'),
  show('stp/show',                'bridge',           'no such stp object'),
  show('stp/tcn',                 'bridge',           'no such stp object', 'OK'),
  show('rstp/show',               'bridge',           'No such RSTP object'),
  show('rstp/tcn',                'bridge',           'No such RSTP object', 'OK'),
  ...['status', 'show-isid', 'statistics'].map((what): UnixctlCommand =>
    ({ name: `autoattach/${what}`, usage: '[bridge]', minArgs: 0, maxArgs: 1, run: () => '' })),
];

function refuse(why: string): never {
  throw new UnixctlError(why);
}

const UNSIGNED = /^\s*[+-]?[0-9]+/;

/** The bucket (0..255) into which a balance-slb bond puts what comes from a MAC address in a VLAN. */
function bondHash([macText = '', vlanText, basisText]: readonly string[]): string {
  const number = (text: string | undefined, what: string): number => {
    const digits = text === undefined ? '0' : UNSIGNED.exec(text)?.[0];
    return digits === undefined ? refuse(`invalid ${what}`) : Number(digits) >>> 0;
  };
  const vlan = number(vlanText, 'vlan');
  const basis = number(basisText, 'basis');
  const mac = parseMac(macText) ?? refuse('invalid mac');
  const key = (BigInt(vlan & 0xffff) << 48n) | BigInt(`0x${Buffer.from(mac).toString('hex')}`);
  return String(hashUint64(key, basis) & 0xff);
}
