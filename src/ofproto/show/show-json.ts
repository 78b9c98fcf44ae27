/**
 * What `ovs-appctl --format json` gets of the commands of show.ts, in the form of Open vSwitch 3.4 and later.
 * Source: ofproto/ofproto-dpif.c (dpif_show_backer_json, ofproto_unixctl_fdb_show_json).
 */
import type { DpifDpStats } from '../../dpif/dpif-types.ts';
import type { Json, JsonObject } from '../../util/json-stream.ts';
import type { FdbEntry, Ofport, Ofproto } from '../ofproto-provider.ts';
import { ODPP_NONE } from '../ports/bundle.ts';
import { portSettings } from './show.ts';

/** Numbers are text, as there. */
function portJson(port: Ofport, ofproto: Ofproto): JsonObject {
  const settings = portSettings(port, ofproto);
  return {
    ofport: `${port.ofport}`,
    port_no: port.odpPort === ODPP_NONE ? 'none' : `${port.odpPort}`,
    type: port.type,
    ...(settings.length > 0 && { config: Object.fromEntries(settings) }),
  };
}

/** `dpif/show` for one datapath. */
export function dpifJson(name: string, stats: DpifDpStats, ofprotos: Iterable<Ofproto>): JsonObject {
  const bridges: Record<string, Json> = {};
  for (const ofproto of ofprotos) {
    const ports = [...ofproto.ports.values()].map((port) => [port.name, portJson(port, ofproto)]);
    bridges[ofproto.name] = Object.fromEntries(ports);
  }
  return { [name]: { bridges, stats: { hit: `${stats.nHit}`, missed: `${stats.nMissed}` } } };
}

/** `fdb/show`. */
export const fdbJson = (entries: readonly FdbEntry[]): Json =>
  entries.map(({ ofport: port, vlan, mac, ageSec }) =>
    ageSec < 0 ? { port, vlan, mac, static: true } : { port, vlan, mac, age: ageSec },
  );
