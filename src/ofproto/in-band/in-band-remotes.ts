/**
 * Whom a switch talks to through itself: controllers that are in-band, by IPv4 address, and whom else the settings name.
 * Source: ofproto/connmgr.c (update_in_band_remotes), vswitchd/bridge.c (collect_in_band_managers).
 */
import { parseIpv4 } from '../../util/inet.ts';
import type { OpenflowSettings } from '../connmgr/openflow-settings.ts';
import { parseTarget } from '../connmgr/service/target.ts';
import type { Remote } from './in-band-rules.ts';

/** The address that a target is connected to; undefined: it is listened at, on this machine, of IPv6, or a name. */
export function remoteOf(target: string, defaultPort?: number): Remote | undefined {
  if (!/^(tcp|ssl):/.test(target)) return undefined;
  try {
    const parsed = parseTarget(target, '/', defaultPort);
    if (parsed.kind === 'unix' || parsed.host === undefined) return undefined;
    const ip = parseIpv4(parsed.host);
    return ip === undefined ? undefined : { ip, port: parsed.port };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return undefined; // Whoever connects says so.
  }
}

/** Controllers that are in-band, then the others. */
export function inBandRemotes({ controllers, inBand, runDir }: OpenflowSettings): Remote[] {
  if (runDir === undefined) return [];
  const own = controllers.filter((c) => c.isInBand === true).flatMap((c) => remoteOf(c.target) ?? []);
  return [...own, ...(inBand?.remotes ?? [])];
}
