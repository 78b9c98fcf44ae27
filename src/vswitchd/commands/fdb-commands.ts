/**
 * Commands on the table of MAC addresses: what it has counted, and static entries, which neither age nor move.  `fdb/show` and `fdb/flush` are
 * in commands.ts.
 * Source: ofproto/ofproto-dpif.c (ofproto_unixctl_fdb_add, ofproto_unixctl_fdb_delete, ofproto_unixctl_fdb_stats_show).
 */
import type { MacStats } from '../../ofproto/mac-learning.ts';
import type { Ofproto } from '../../ofproto/ofproto-provider.ts';
import { formatPort } from '../../openflow/ofp-names.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import { formatMac, parseMac } from '../../util/inet.ts';

function macOf(text: string | undefined): { readonly text: string; readonly value: number } {
  const bytes = parseMac(text ?? '');
  if (bytes === undefined) throw new UnixctlError('bad MAC address');
  return { text: formatMac(bytes), value: Buffer.from(bytes).readUIntBE(0, 6) };
}

/** What is no number is 0, as in stock. */
const vlanOf = (text: string | undefined): number => (Number.parseInt(text ?? '', 10) || 0) & 0xffff;

/** Makes an entry static, and tells what it took the place of. */
function add(ofproto: Ofproto, name: string, vlan: number, macText: string | undefined): string {
  const mac = macOf(macText);
  const port = ofproto.ports.get(name);
  if (port === undefined) throw new UnixctlError('software error, odp port is present but no ofp port');
  const old = ofproto.fdb.entries().find((e) => e.vlan === vlan && e.mac === mac.text);
  if (!ofproto.fdb.add(name, vlan, mac.value)) throw new UnixctlError('could not add static mac entry\n');
  const isStatic = old !== undefined && old.ageSec < 0;
  if (old === undefined || (isStatic && old.ofport === port.ofport)) return '';
  return `Overriding already existing ${isStatic ? 'static' : 'dynamic'} entry on ${formatPort(old.ofport)}\n`;
}

function del(ofproto: Ofproto, vlan: number, macText: string | undefined): string {
  if (!ofproto.fdb.delete(vlan, macOf(macText).value)) throw new UnixctlError('could not find static mac entry\n');
  return '';
}

function formatStats(name: string, stats: MacStats): string {
  return `Statistics for bridge "${name}":
  Current/maximum MAC entries in the table: ${stats.nEntries}/${stats.maxEntries}
  Current static MAC entries in the table : ${stats.nStatic}
  Total number of learned MAC entries     : ${stats.learned}
  Total number of expired MAC entries     : ${stats.expired}
  Total number of evicted MAC entries     : ${stats.evicted}
  Total number of port moved MAC entries  : ${stats.moved}
`;
}

/** `bridge` finds one, or throws UnixctlError; `bridges` gives all. */
export function fdbCommands(
  bridge: (name: string | undefined) => Ofproto,
  bridges: () => readonly Ofproto[],
): UnixctlCommand[] {
  return [
    {
      name: 'fdb/add',
      usage: 'bridge port vlan mac',
      minArgs: 4,
      maxArgs: 4,
      run: async ([name, port = '', vlan, mac]) => add(bridge(name), port, vlanOf(vlan), mac),
    },
    {
      name: 'fdb/del',
      usage: 'bridge vlan mac',
      minArgs: 3,
      maxArgs: 3,
      run: async ([name, vlan, mac]) => del(bridge(name), vlanOf(vlan), mac),
    },
    {
      name: 'fdb/stats-clear',
      usage: '[bridge]',
      minArgs: 0,
      maxArgs: 1,
      run: ([name]) => {
        for (const b of name === undefined ? bridges() : [bridge(name)]) b.fdb.clearStats();
        return 'statistics successfully cleared';
      },
    },
    {
      name: 'fdb/stats-show',
      usage: 'bridge',
      minArgs: 1,
      maxArgs: 1,
      run: ([name = '']) => formatStats(name, bridge(name).fdb.stats()),
    },
  ];
}
