/**
 * What the database wants of the connection tracker: Open_vSwitch.datapaths, the zones of a Datapath row, their limits and
 * CT_Timeout_Policy rows.  Source: vswitchd/bridge.c (ct_zones_reconfigure), vswitchd/vswitch.xml.
 */
import type { ZoneLimits } from '../../ofproto/backer/ct-zone-limits.ts';
import type { ZoneTimeouts } from '../../ofproto/backer/ct-zones.ts';
import { CT_Timeout_Policy, CT_Zone, Datapath, Open_vSwitch } from '../../ovsdb/vswitch-schema.ts';
import type { RowSource } from './row-source.ts';

const NO_TIMEOUTS: ZoneTimeouts = new Map();
const MAX_ZONE = 0xffff;
const MAX_LIMIT = 0xffffffff;

/** The zones with their timeouts, by datapath type.  A zone without a policy has none of its own times, but is there. */
export type CtZoneConfig = ReadonlyMap<string, ReadonlyMap<number, ZoneTimeouts>>;

/** Limits by datapath type. */
export type CtLimitConfig = ReadonlyMap<string, ZoneLimits>;

/** Reads the zones of all datapaths. */
export function readCtZones(db: RowSource): CtZoneConfig {
  const [root] = db.rows(Open_vSwitch);
  const result = new Map<string, ReadonlyMap<number, ZoneTimeouts>>();
  for (const [type, uuid] of root?.datapaths ?? []) {
    const zones = new Map<number, ZoneTimeouts>();
    for (const [zone, zoneUuid] of db.row(Datapath, uuid)?.ct_zones ?? []) {
      if (zone < 0 || zone > MAX_ZONE) continue;
      const policy = db.row(CT_Zone, zoneUuid)?.timeout_policy;
      zones.set(zone, (policy === undefined ? undefined : db.row(CT_Timeout_Policy, policy)?.timeouts) ?? NO_TIMEOUTS);
    }
    result.set(type, zones);
  }
  return result;
}

/** Reads how many connections the zones of all datapaths may hold. */
export function readCtLimits(db: RowSource): CtLimitConfig {
  const [root] = db.rows(Open_vSwitch);
  const result = new Map<string, ZoneLimits>();
  for (const [type, uuid] of root?.datapaths ?? []) {
    const datapath = db.row(Datapath, uuid);
    const zones = new Map<number, number>();
    for (const [zone, zoneUuid] of datapath?.ct_zones ?? []) {
      const limit = asLimit(db.row(CT_Zone, zoneUuid)?.limit);
      if (zone >= 0 && zone <= MAX_ZONE && limit !== undefined) zones.set(zone, limit);
    }
    result.set(type, { defaultLimit: asLimit(datapath?.ct_zone_default_limit), zones });
  }
  return result;
}

const asLimit = (value: number | undefined): number | undefined =>
  value !== undefined && value >= 0 && value <= MAX_LIMIT ? value : undefined;
