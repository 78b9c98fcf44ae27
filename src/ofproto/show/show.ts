/**
 * Texts of the unixctl commands that concern switches and their flows, as ovs-appctl 3.1 prints them.
 * Source: ofproto/ofproto-dpif.c (dpif/show, fdb/show), ofproto/ofproto-dpif-upcall.c (upcall/show).
 */
import { dpifFullName } from '../../dpif/dpif-name.ts';
import type { DpifDpStats } from '../../dpif/dpif-types.ts';
import { tunnelSettingsToOptions } from '../../dpif/tunnel-settings-text.ts';
import { ofpPortName } from '../../openflow/ofp-port.ts';
import type { FdbEntry, Ofport, Ofproto } from '../ofproto-provider.ts';
import { ODPP_NONE } from '../ports/bundle.ts';
import type { UdpifState } from '../udpif/udpif-state.ts';

const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  a.name < b.name ? -1 : Number(a.name > b.name);

/** The peer of a patch port, settings of a tunnel or of the device, by name. */
export function portSettings(p: Ofport, ofproto: Ofproto): [string, string][] {
  const settings = p.tunnel === undefined ? ofproto.deviceSettings?.(p.name) : tunnelSettingsToOptions(p.tunnel);
  const pairs: [string, string][] = Array.from(settings ?? [], ([key, value]) => [key, value]);
  if (p.peer !== undefined) pairs.push(['peer', p.peer]);
  return pairs;
}

/** "1/none" for a patch port. */
function showPort(p: Ofport, ofproto: Ofproto): string {
  const number = p.odpPort === ODPP_NONE ? 'none' : String(p.odpPort);
  const options = portSettings(p, ofproto).map((pair) => pair.join('='));
  const what = options.length === 0 ? p.type : `${p.type}: ${options.join(', ')}`;
  return `    ${p.name} ${p.ofport}/${number}: (${what})\n`;
}

/** Text of `dpif/show` for one datapath. */
export function formatDpif(name: string, stats: DpifDpStats, ofprotos: Iterable<Ofproto>): string {
  let text = `${name}: hit:${stats.nHit} missed:${stats.nMissed}\n`;
  for (const ofproto of [...ofprotos].sort(byName)) {
    text += `  ${ofproto.name}:\n`;
    for (const port of [...ofproto.ports.values()].sort(byName)) text += showPort(port, ofproto);
  }
  return text;
}

/** Text of `fdb/show`. */
export function formatFdb(entries: readonly FdbEntry[]): string {
  let text = ' port  VLAN  MAC                Age\n';
  for (const e of entries) {
    const port = ofpPortName(e.ofport).padStart(5);
    const age = e.ageSec < 0 ? 'static' : String(e.ageSec).padStart(3);
    text += `${port}  ${String(e.vlan).padStart(4)}  ${e.mac}  ${age}\n`;
  }
  return text;
}

/** The number by which the one revalidator goes. */
const REVALIDATOR_ID = 1;

/** Text of `upcall/show` for one datapath; the line of masks, which is ours, only where there are too many. */
export function formatUpcalls(state: UdpifState): string {
  const { isFull, nMasks } = state.maskWatch;
  return (
    `${dpifFullName(state.dpif)}:\n` +
    `  flows         : (current ${state.nFlows}) (avg ${state.avgFlows}) (max ${state.maxFlows}) (limit ${state.flowLimit})\n` +
    `  dump duration : ${state.dumpDurationMs}ms\n` +
    `  ufid enabled : ${state.usesUfid}\n` +
    (isFull ? `  masks         : (current ${nMasks}) new flows are exact\n` : '') +
    '\n' +
    `  ${REVALIDATOR_ID}: (keys ${state.ukeys.size})\n`
  );
}
