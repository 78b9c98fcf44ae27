/**
 * Commands on the table of multicast groups and routers.
 * Source: ofproto/ofproto-dpif.c (ofproto_unixctl_mcast_snooping_show, ofproto_unixctl_mcast_snooping_flush).
 */
import type { MdbEntry, Ofproto } from '../../ofproto/ofproto-provider.ts';
import { formatPort } from '../../openflow/ofp-names.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';

const DISABLED = 'multicast snooping is disabled';

function formatEntry({ ofport, vlan, group, ageSec }: MdbEntry): string {
  const where = `${formatPort(ofport).padStart(5)}  ${String(vlan).padStart(4)}  `;
  const age = String(ageSec).padStart(3);
  return group === undefined ? `${where}querier             ${age}\n` : `${where}${group}         ${age}\n`;
}

function show(ofproto: Ofproto): string {
  const entries = ofproto.mdb.entries();
  if (entries === undefined) throw new UnixctlError(DISABLED);
  return ` port  VLAN  GROUP                Age\n${entries.map(formatEntry).join('')}`;
}

function flush(ofproto: Ofproto | undefined, all: () => readonly Ofproto[]): string {
  if (ofproto === undefined) for (const one of all()) one.mdb.flush();
  else if (!ofproto.mdb.flush()) throw new UnixctlError(DISABLED);
  return 'table successfully flushed';
}

/** `bridge` finds one, or throws UnixctlError; `bridges` gives all. */
export function mdbCommands(
  bridge: (name: string | undefined) => Ofproto,
  bridges: () => readonly Ofproto[],
): UnixctlCommand[] {
  return [
    {
      name: 'mdb/flush',
      usage: '[bridge]',
      minArgs: 0,
      maxArgs: 1,
      run: ([name]) => flush(name === undefined ? undefined : bridge(name), bridges),
    },
    { name: 'mdb/show', usage: 'bridge', minArgs: 1, maxArgs: 1, run: ([name]) => show(bridge(name)) },
  ];
}
