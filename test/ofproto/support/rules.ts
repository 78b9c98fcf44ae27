/** Flows and rules as tests of translation write them. */
import { newFlow } from '../../../src/flow/flow-key.ts';
import { miniFromFlow } from '../../../src/flow/minimatch.ts';
import type { FlowTables } from '../../../src/ofproto/tables/flow-tables.ts';
import { Rule } from '../../../src/ofproto/tables/rule.ts';
import type { Match } from '../../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import type { Ofpact } from '../../../src/openflow/ofpact.ts';

export interface FlowSpec {
  readonly priority: number;
  readonly match: Match;
  readonly actions: readonly Ofpact[];
  readonly cookie?: bigint;
  readonly table?: number;
}

export const output = (port: number, maxLen = 0xffff): Ofpact => ({ kind: 'output', port, maxLen });

/** A match from a datapath's key and mask. */
export function makeMatch(key: Int32Array, mask: Int32Array): Match {
  const match = catchAll();
  match.flow.set(key.map((w, i) => w & (mask[i] as number)));
  match.mask.set(mask);
  return match;
}
export const catchAll = (): Match => ({ flow: newFlow(), mask: newFlow() });

/** A rule that no table has. */
export const newRule = ({ priority, match, actions, cookie = 0n, table = 0 }: FlowSpec): Rule =>
  new Rule({
    table,
    match: miniFromFlow(match.flow, match.mask),
    priority,
    cookie,
    actions,
    flags: 0,
    idleTimeout: 0,
    hardTimeout: 0,
    importance: 0,
    createdMs: 0,
  });

export function addFlow(tables: FlowTables, { priority, match, actions, cookie = 0n, table = 0 }: FlowSpec): void {
  tables.apply(newFlowMod('ADD', { priority, match, ofpacts: actions, newCookie: cookie, tableId: table }));
}
