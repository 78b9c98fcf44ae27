/**
 * Connections and the limits of their zones, which belong to the network namespace and not to one datapath.  Has the requests
 * of the ovs_ct_limit family.  Neighbours: dpif/dpif-ct.ts (the contract), ct-dump.ts and ct-flush.ts (list and end connections),
 * dpif-netlink.ts.
 * Source: lib/dpif-netlink.c (dpif_netlink_ct_set_limits(), ..._get_limits(), ..._del_limits()).
 */
import type { CtEntry, CtLimits, CtTuple, CtZoneLimit, CtZoneUse, DpifCt, DpifCtTimeouts } from '../dpif/dpif-ct.ts';
import { NETLINK_NETFILTER, NLM_F } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import {
  OVS_CT_LIMIT_ATTR,
  OVS_CT_LIMIT_CMD,
  OVS_CT_LIMIT_FAMILY,
  OVS_CT_LIMIT_VERSION,
} from '../netlink/families/ovs-ct-limit.ts';
import { lookupFamily } from '../netlink/genl-family.ts';
import type { MessageView } from '../netlink/message.ts';
import { openSocketTransport } from '../netlink/socket.ts';
import type { NetlinkTransport } from '../netlink/transport.ts';
import { ERRNO } from '../util/errno.ts';
import { dumpConnections } from './ct-dump.ts';
import { flushAll, flushTuple, flushZone } from './ct-flush.ts';
import { delTimeoutPolicy, dumpTimeoutPolicies, setTimeoutPolicy, timeoutPolicyName } from './ct-timeout.ts';
import { NfnlClient } from './nfnl.ts';
import type { OvsFamilies } from './ovs-families.ts';

/** In a request or reply, stands for all zones without a limit of their own. */
const DEFAULT_ZONE = -1;
const MAX_ZONE = 0xffff;
/** Bytes of a struct ovs_zone_limit, and of the attribute's header. */
const ZONE_SIZE = 12;
const HEADER_SIZE = 4;

type ZoneEntry = { readonly zoneId: number; readonly limit: number; readonly count: number };
const entry = (zoneId: number, limit: number): ZoneEntry => ({ zoneId, limit, count: 0 });

/** Opens a NETLINK_NETFILTER socket. */
export type OpenNetfilter = () => NetlinkTransport;
export const openNetfilter: OpenNetfilter = () => openSocketTransport({ protocol: NETLINK_NETFILTER });

export class CtOps implements DpifCt {
  private readonly fam: OvsFamilies;
  private readonly open: OpenNetfilter;
  readonly timeouts: DpifCtTimeouts = {
    set: (id, seconds) => this.netfilter((client) => setTimeoutPolicy(client, id, seconds)),
    del: (id) => this.netfilter((client) => delTimeoutPolicy(client, id)),
    dump: () => this.netfilter(dumpTimeoutPolicies),
    nameOf: timeoutPolicyName,
  };

  constructor(fam: OvsFamilies, open: OpenNetfilter) {
    this.fam = fam;
    this.open = open;
  }

  async setLimits(defaultLimit: number | undefined, zones: readonly CtZoneLimit[]): Promise<void> {
    const first = defaultLimit === undefined ? [] : [entry(DEFAULT_ZONE, defaultLimit)];
    await this.change('SET', [...first, ...zones.map(({ zone, limit }) => entry(zone, limit))]);
  }

  async delLimits(zones: readonly number[]): Promise<void> {
    await this.change(
      'DEL',
      zones.map((zone) => entry(zone, 0)),
    );
  }

  async getLimits(zones: readonly number[]): Promise<CtLimits> {
    // Without the attribute all are listed; with it the default must be asked for like any zone.
    const asked = zones.length === 0 ? undefined : [DEFAULT_ZONE, ...zones].map((zone) => entry(zone, 0));
    return this.fam.client.query(
      await this.request('GET'),
      (w) => {
        if (asked !== undefined) w.attrs(OVS_CT_LIMIT_ATTR, { zoneLimit: asked }, roomFor(asked));
      },
      decodeLimits,
      'ovs_ct_limit GET',
    );
  }

  async dump(zone: number | undefined, visit: (entry: CtEntry) => void): Promise<void> {
    await this.netfilter((client) =>
      dumpConnections(client, (entry) => {
        if (zone === undefined || entry.zone === zone) visit(entry);
      }),
    );
  }

  flush(zone: number | undefined, tuple: CtTuple | undefined): Promise<void> {
    return this.netfilter((client) => {
      if (tuple !== undefined) return flushTuple(client, zone ?? 0, tuple);
      return zone === undefined ? flushAll(client) : flushZone(client, zone);
    });
  }

  private async netfilter<T>(use: (client: NfnlClient) => Promise<T>): Promise<T> {
    const client = new NfnlClient(this.open(), this.fam.endpoint.peer);
    try {
      return await use(client);
    } finally {
      client.close();
    }
  }

  private async change(cmd: 'SET' | 'DEL', zoneLimit: ZoneEntry[]): Promise<void> {
    await this.fam.client.transact(
      await this.request(cmd),
      (w) => w.attrs(OVS_CT_LIMIT_ATTR, { zoneLimit }, roomFor(zoneLimit)),
      `ovs_ct_limit ${cmd}`,
    );
  }

  /** Looks the family up each time: nothing but these rare requests needs it. */
  private async request(cmd: keyof typeof OVS_CT_LIMIT_CMD) {
    let family: number;
    try {
      family = (await lookupFamily(this.fam.client, OVS_CT_LIMIT_FAMILY)).id;
    } catch (cause) {
      if (!(cause instanceof NetlinkError) || cause.errno !== ERRNO.ENOENT) throw cause;
      throw new NetlinkError(ERRNO.EOPNOTSUPP, `family ${OVS_CT_LIMIT_FAMILY}`);
    }
    return { family, cmd: OVS_CT_LIMIT_CMD[cmd], version: OVS_CT_LIMIT_VERSION, flags: NLM_F.ECHO, dpIfindex: 0 };
  }
}

const roomFor = (zones: readonly ZoneEntry[]): number => HEADER_SIZE + ZONE_SIZE * zones.length;

function decodeLimits(msg: MessageView): CtLimits {
  const { zoneLimit } = msg.readOvs(OVS_CT_LIMIT_ATTR);
  if (zoneLimit === undefined) throw new NetlinkError(ERRNO.EINVAL, 'ovs_ct_limit reply without limits');
  let defaultLimit = 0;
  const zones: CtZoneUse[] = [];
  for (const { zoneId, limit, count } of zoneLimit) {
    if (zoneId === DEFAULT_ZONE) defaultLimit = limit;
    else if (zoneId >= 0 && zoneId <= MAX_ZONE) zones.push({ zone: zoneId, limit, count });
  }
  return { defaultLimit, zones };
}
