/**
 * `ofproto/detrace`: which OpenFlow rules and groups a datapath flow came from, as its ukey remembers them.
 * Source: ovs-vswitchd(8) of Open vSwitch 3.4.
 */

import type { TlvTable } from '../../openflow/fields/tlv-table.ts';
import { formatGroup } from '../../openflow/group-text.ts';
import { Group } from '../groups/group.ts';
import type { FlowTables } from '../tables/flow-tables.ts';
import type { Rule } from '../tables/rule.ts';
import { UKEY, type Ukey } from '../udpif/ukey.ts';
import { formatRule } from './show-flows.ts';

const OFP15 = 6;

interface DetraceSwitch {
  readonly tables: FlowTables;
  readonly tlvTable: TlvTable;
}

/** A line for each, in the order in which packets met them; nothing if the flow is not in use, or of an earlier vswitchd and not yet looked at. */
export function formatDetrace(ukey: Ukey | undefined, switches: Iterable<DetraceSwitch>): string {
  if (ukey === undefined || (ukey.state !== UKEY.VISIBLE && ukey.state !== UKEY.OPERATIONAL)) return '';
  const all = [...switches];
  let text = '';
  for (const met of ukey.cache?.path() ?? []) {
    text += met instanceof Group ? groupLine(met) : ruleLine(met, all);
  }
  return text;
}

function ruleLine(rule: Rule, switches: readonly DetraceSwitch[]): string {
  // One that was deleted just now is in no table.
  const owner = switches.find(
    ({ tables }) => tables.table(rule.table).classifier.findExactly(rule.match, rule.priority, tables.version) === rule,
  );
  if (owner === undefined) return '';
  return `cookie=0x${rule.cookie.toString(16)}, ${formatRule(rule, false, owner.tlvTable)}`;
}

const groupLine = ({ id, type, props, buckets }: Group): string =>
  `${formatGroup({ groupId: id, type, props, buckets: buckets.map((bucket) => bucket.spec) }, OFP15)}\n`;
