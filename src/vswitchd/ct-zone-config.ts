/**
 * What the database wants of the connection tracker: Open_vSwitch.datapaths, the zones of a Datapath row, and their
 * CT_Timeout_Policy rows.  Source: vswitchd/bridge.c (ct_zones_reconfigure), vswitchd/vswitch.xml.
 */
import type { ZoneTimeouts } from '../ofproto/ct-zones.ts';
import { CT_Timeout_Policy, CT_Zone, Datapath, Open_vSwitch } from '../ovsdb/vswitch-schema.ts';
import type { RowSource } from './row-source.ts';

const NO_TIMEOUTS: ZoneTimeouts = new Map();
const MAX_ZONE = 0xffff;

/** The zones with their timeouts, by datapath type.  A zone without a policy has none of its own times, but is there. */
export type CtZoneConfig = ReadonlyMap<string, ReadonlyMap<number, ZoneTimeouts>>;

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
