/**
 * What vswitchd keeps a replica of: the tables, less the columns that it does not read, and the columns whose changes are no
 * reason to configure anything, since it writes them itself.  Source: vswitchd/bridge.c (bridge_init), vswitch.xml.
 */
import type { Replicated } from '../../ovsdb/idl.ts';
import * as schema from '../../ovsdb/vswitch-schema.ts';

export const REPLICATED: readonly Replicated[] = [
  {
    table: schema.Open_vSwitch,
    omit: ['external_ids', 'system_type', 'system_version'],
    quiet: [
      ...['cur_cfg', 'statistics', 'datapath_types', 'iface_types', 'ovs_version', 'db_version'],
      ...['dpdk_initialized', 'dpdk_version'],
    ],
  },
  {
    table: schema.Bridge,
    omit: ['external_ids'],
    quiet: ['datapath_id', 'datapath_version', 'status', 'rstp_status'],
  },
  {
    table: schema.Port,
    omit: ['external_ids'],
    quiet: ['status', 'statistics', 'rstp_status', 'rstp_statistics', 'bond_active_slave'],
  },
  {
    table: schema.Interface,
    omit: ['external_ids'],
    quiet: [
      ...['admin_state', 'duplex', 'link_speed', 'link_state', 'link_resets', 'mac_in_use', 'ifindex', 'mtu'],
      ...['ofport', 'error', 'statistics', 'status', 'lacp_current', 'bfd_status'],
      ...['cfm_fault', 'cfm_fault_status', 'cfm_remote_opstate', 'cfm_flap_count', 'cfm_health', 'cfm_remote_mpids'],
    ],
  },
  { table: schema.Controller, omit: ['external_ids'], quiet: ['is_connected', 'role', 'status'] },
  { table: schema.Manager, omit: ['external_ids', 'other_config'], quiet: ['is_connected', 'status'] },
  { table: schema.Flow_Table, omit: ['external_ids'], quiet: [] },
  {
    table: schema.Datapath,
    omit: ['external_ids'],
    quiet: ['capabilities', 'datapath_version'],
    later: ['ct_zone_default_limit'],
  },
  { table: schema.CT_Zone, omit: ['external_ids'], quiet: [], later: ['limit'] },
  { table: schema.CT_Timeout_Policy, omit: ['external_ids'], quiet: [] },
  { table: schema.NetFlow, omit: ['external_ids'], quiet: [] },
  { table: schema.sFlow, omit: ['external_ids'], quiet: [] },
  { table: schema.IPFIX, omit: ['external_ids'], quiet: [] },
  { table: schema.Flow_Sample_Collector_Set, omit: ['external_ids'], quiet: [] },
  { table: schema.AutoAttach, quiet: [] },
  { table: schema.SSL, omit: ['external_ids'], quiet: [] },
  { table: schema.QoS, omit: ['external_ids'], quiet: [] },
  { table: schema.Queue, omit: ['external_ids'], quiet: [] },
  { table: schema.Mirror, omit: ['external_ids'], quiet: ['statistics'], later: ['filter'] },
];
