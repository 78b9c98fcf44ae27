/**
 * What the database wants of multicast snooping: Bridge.mcast_snooping_enable, and keys of other_config of bridge and ports.
 * Source: vswitchd/bridge.c (bridge_configure_mcast_snooping), vswitchd/vswitch.xml.
 */
import { MCAST_DEFAULT_AGING_SEC, MCAST_DEFAULT_MAX, type McastSettings } from '../../ofproto/mcast/mcast-settings.ts';
import { type BridgeRow, Port } from '../../ovsdb/vswitch-schema.ts';
import { type RowSource, type Smap, smapInt } from './row-source.ts';

/** undefined: there is none. */
export function readMcast(
  db: RowSource,
  { mcast_snooping_enable, other_config, ports }: BridgeRow,
): McastSettings | undefined {
  if (!mcast_snooping_enable) return undefined;
  const rows = ports.flatMap((uuid) => db.row(Port, uuid) ?? []);
  const portsWith = (key: string): string[] =>
    rows.filter((row) => isTrue(row.other_config, key)).map((row) => row.name);
  return {
    agingSec: smapInt(other_config, 'mcast-snooping-aging-time', 0) || MCAST_DEFAULT_AGING_SEC,
    maxEntries: smapInt(other_config, 'mcast-snooping-table-size', 0) || MCAST_DEFAULT_MAX,
    floodsUnregistered: !isTrue(other_config, 'mcast-snooping-disable-flood-unregistered'),
    floodPorts: portsWith('mcast-snooping-flood'),
    reportPorts: portsWith('mcast-snooping-flood-reports'),
  };
}

const isTrue = (config: Smap, key: string): boolean => config.get(key)?.toLowerCase() === 'true';
