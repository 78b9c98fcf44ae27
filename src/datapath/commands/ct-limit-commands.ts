/**
 * The "ovs_ct_limit" family: how many connections conntrack zones may hold.  Limits are the network namespace's: which
 * datapath a request names does not matter, and they outlive datapaths.
 *
 * An attribute holds an array of struct ovs_zone_limit, 12 bytes each: zone (-1: the default), limit (0: none), count.
 * Zones that cannot be are passed over.
 * Source: net/openvswitch/conntrack.c (ovs_ct_limit_cmd_*).
 */
import { LITTLE_ENDIAN, nlaAlign } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import {
  OVS_CT_LIMIT_ATTR,
  OVS_CT_LIMIT_CMD,
  OVS_CT_LIMIT_FAMILY,
  OVS_CT_LIMIT_VERSION,
} from '../../netlink/families/ovs-ct-limit.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { ERRNO } from '../../util/errno.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import { UNLIMITED, type ZoneLimits } from '../conntrack/limits.ts';
import { attrRules, NESTED } from './attr-policy.ts';
import type { GenlFamily, Replies, Request } from './genl-family.ts';

const ATTR = OVS_CT_LIMIT_ATTR.type;
const MAXATTR = ATTR.zoneLimit;
const ENTRY_SIZE = 12;
/** OVS_ZONE_LIMIT_DEFAULT_ZONE. */
const DEFAULT_ZONE = -1;

export interface CtLimitCommandsOptions {
  readonly id: number;
  readonly group: number;
  readonly conntrack: Conntrack;
  /** Monotonic ms. */
  readonly clock: () => number;
}

/** Makes the family. */
export function ctLimitFamily({ id, group, conntrack, clock }: CtLimitCommandsOptions): GenlFamily {
  const { tracker } = conntrack;
  const change = (cmd: number, each: (limits: ZoneLimits, zone: number, limit: number) => void) => ({
    cmd,
    needsAdmin: true,
    doit: (req: Request, replies: Replies) => {
      if (!req.attrs.has(ATTR.zoneLimit)) throw new NetlinkError(ERRNO.EINVAL, 'ct_limit: no zones');
      forEachZone(req, (zone, limit) => each(tracker.limits, zone, limit));
      replies.begin(req, cmd, req.dpIfindex);
      replies.reply(req);
    },
  });
  return {
    id,
    name: OVS_CT_LIMIT_FAMILY,
    version: OVS_CT_LIMIT_VERSION,
    hdrsize: 4,
    maxattr: MAXATTR,
    rules: attrRules(MAXATTR, { [ATTR.zoneLimit]: NESTED }),
    ops: [
      change(OVS_CT_LIMIT_CMD.SET, (limits, zone, limit) => {
        if (zone === DEFAULT_ZONE) limits.setDefault(limit);
        else limits.set(zone, limit);
      }),
      change(OVS_CT_LIMIT_CMD.DEL, (limits, zone) => {
        if (zone === DEFAULT_ZONE) limits.setDefault(UNLIMITED);
        else limits.delete(zone);
      }),
      {
        cmd: OVS_CT_LIMIT_CMD.GET,
        needsAdmin: false,
        doit: (req, replies) => {
          // Connections that are over do not count.
          tracker.advance(clock());
          const w = replies.begin(req, OVS_CT_LIMIT_CMD.GET, req.dpIfindex);
          putLimits(w, tracker.limits, req);
          replies.reply(req);
        },
      },
    ],
    group,
  };
}

function forEachZone(req: Request, visit: (zone: number, limit: number) => void): void {
  const { dv } = req.attrs;
  const size = nlaAlign(req.attrs.size(ATTR.zoneLimit));
  const start = req.attrs.offset(ATTR.zoneLimit);
  for (let at = start; at + ENTRY_SIZE <= start + size; at += ENTRY_SIZE) {
    const zone = dv.getInt32(at, LITTLE_ENDIAN);
    if (zone >= DEFAULT_ZONE && zone <= 0xffff) visit(zone, dv.getUint32(at + 4, LITTLE_ENDIAN));
  }
}

/** The zones that are asked for, or the default and all that have a limit. */
function putLimits(w: MessageWriter, limits: ZoneLimits, req: Request): void {
  const nest = w.nest(ATTR.zoneLimit);
  const put = (zone: number): void => {
    w.reserve(ENTRY_SIZE);
    w.dv.setInt32(w.size, zone, LITTLE_ENDIAN);
    w.dv.setUint32(w.size + 4, zone === DEFAULT_ZONE ? limits.defaultLimit : limits.limitOf(zone), LITTLE_ENDIAN);
    w.dv.setUint32(w.size + 8, zone === DEFAULT_ZONE ? 0 : limits.countOf(zone), LITTLE_ENDIAN);
    w.size += ENTRY_SIZE;
  };
  if (req.attrs.has(ATTR.zoneLimit)) {
    forEachZone(req, put);
  } else {
    put(DEFAULT_ZONE);
    for (const zone of limits.zones()) put(zone);
  }
  w.endNest(nest);
}
