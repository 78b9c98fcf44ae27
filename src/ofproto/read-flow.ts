/**
 * From the key of an upcall or a dump to the flow that is translated: as the datapath parsed it, but with no more VLAN tags
 * than this switch looks at.  What comes after the last of them is then an unknown Ethernet type.
 * Source: lib/odp-util.c (odp_flow_key_to_flow), ovs-vswitchd.conf.db(5) other_config:vlan-limit.
 */
import type { Nest } from '../dpif/dpif-types.ts';
import { FIELD, FLOW_WORDS } from '../flow/fields.ts';
import { type FlowKey, getField, setField } from '../flow/flow-key.ts';
import { keyFromNest, type OdpFit } from './odp-codec.ts';
import { presentBits } from './packet-fields.ts';
import { nVlans, VLAN_WORDS } from './wildcards.ts';

/** The default of vlan-limit. */
const VLAN_LIMIT = 1;

/** Reads `nest` into `flow`; says how well a FlowKey can express it. */
export function readFlow(nest: Nest, flow: FlowKey): OdpFit {
  const fit = keyFromNest(nest, flow);
  if (nVlans(flow) > VLAN_LIMIT) hideInnerTag(flow);
  return fit;
}

function hideInnerTag(flow: FlowKey): void {
  setField(flow, FIELD.ethType, getField(flow, FIELD.cvlanTpid));
  flow[VLAN_WORDS[1]] = 0;
  const tunnel = getField(flow, FIELD.tunPresent);
  const present = presentBits(flow);
  for (let i = 0; i < FLOW_WORDS; i++) flow[i] = (flow[i] as number) & (present[i] as number);
  setField(flow, FIELD.tunPresent, tunnel);
}
