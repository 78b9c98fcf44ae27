/**
 * Columns that tell of protocols which are not spoken here: empty, whatever an earlier vswitchd left in them.  unsupported.ts says in the log that
 * such a protocol was asked for.  Source: vswitchd/vswitch.xml (status of STP, RSTP, bonds, LACP, BFD and CFM).
 */
import type { RowValues } from '../../ovsdb/ovsdb-types.ts';
import type { Bridge, Interface, Port } from '../../ovsdb/vswitch-schema.ts';

const NONE = new Map();

export const SILENT_BRIDGE: RowValues<typeof Bridge> = { status: NONE, rstp_status: NONE };

/** Stock leaves bond_active_slave as it is. */
export const SILENT_PORT: RowValues<typeof Port> = {
  status: NONE,
  statistics: NONE,
  rstp_status: NONE,
  rstp_statistics: NONE,
};

export const SILENT_INTERFACE: RowValues<typeof Interface> = {
  lacp_current: undefined,
  bfd_status: NONE,
  cfm_fault: undefined,
  cfm_fault_status: [],
  cfm_remote_opstate: undefined,
  cfm_flap_count: undefined,
  cfm_health: undefined,
  cfm_remote_mpids: [],
};
