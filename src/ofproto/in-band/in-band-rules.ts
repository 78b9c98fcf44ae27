/**
 * The flows by which a switch's own traffic passes, whatever a controller says: DHCP of its local port, ARP, and TCP to and from controllers.
 *
 * | for each            |                                                 |
 * |---------------------|-------------------------------------------------|
 * | switch              | (a) DHCP requests of the local port, (b, c) its ARP |
 * | next hop's address  | (d, e) its ARP                                  |
 * | controller's IP     | (f, g) ARP about it                             |
 * | controller          | (h, i) TCP to it and from it                    |
 *
 * Source: ofproto/in-band.c.
 */
import { parseMatch } from '../../openflow/match/match-parse.ts';
import { formatIpv4, formatMac } from '../../util/inet.ts';

/** IBR_*: above all that a controller can give. */
// biome-ignore format: table
const PRIORITY = {
  FROM_LOCAL_DHCP: 180000, TO_LOCAL_ARP: 180001, FROM_LOCAL_ARP: 180002, TO_NEXT_HOP_ARP: 180003, FROM_NEXT_HOP_ARP: 180004,
  TO_REMOTE_ARP: 180005, FROM_REMOTE_ARP: 180006, TO_REMOTE_TCP: 180007, FROM_REMOTE_TCP: 180008,
} as const;

/** Somebody whom the switch talks to through itself. */
export interface Remote {
  /** 4 bytes. */
  readonly ip: Uint8Array;
  readonly port: number;
}

export interface KnownRemote extends Remote {
  /** Of the next hop on the way there; undefined: not known. */
  readonly mac: Uint8Array | undefined;
}

/** A match as `parseMatch` reads it, and its priority. */
export interface InBandRule {
  readonly match: string;
  readonly priority: number;
}

/** The rules for a switch whose local port has `localMac`, undefined if that is not known.  What two remotes share is there once. */
export function inBandRules(localMac: Uint8Array | undefined, remotes: readonly KnownRemote[]): InBandRule[] {
  const rules = new Map<string, InBandRule>();
  const add = (match: string, priority: number): void => {
    if (!rules.has(match)) rules.set(match, { match, priority });
  };
  if (remotes.length > 0 && localMac !== undefined) {
    const mac = formatMac(localMac);
    add(`udp,in_port=LOCAL,dl_src=${mac},tp_src=68,tp_dst=67`, PRIORITY.FROM_LOCAL_DHCP);
    add(`arp,dl_dst=${mac},arp_op=2`, PRIORITY.TO_LOCAL_ARP);
    add(`arp,dl_src=${mac},arp_op=1`, PRIORITY.FROM_LOCAL_ARP);
  }
  for (const remote of remotes) {
    if (remote.mac === undefined) continue;
    const mac = formatMac(remote.mac);
    add(`arp,dl_dst=${mac},arp_op=2`, PRIORITY.TO_NEXT_HOP_ARP);
    add(`arp,dl_src=${mac},arp_op=1`, PRIORITY.FROM_NEXT_HOP_ARP);
  }
  for (const remote of remotes) {
    const ip = formatIpv4(remote.ip);
    add(`arp,arp_op=2,arp_tpa=${ip}`, PRIORITY.TO_REMOTE_ARP);
    add(`arp,arp_op=1,arp_spa=${ip}`, PRIORITY.FROM_REMOTE_ARP);
    add(`tcp,nw_dst=${ip},tp_dst=${remote.port}`, PRIORITY.TO_REMOTE_TCP);
    add(`tcp,nw_src=${ip},tp_src=${remote.port}`, PRIORITY.FROM_REMOTE_TCP);
  }
  return [...rules.values()];
}

/** The match of a rule. */
export const matchOf = (rule: InBandRule) => parseMatch(rule.match).match;
