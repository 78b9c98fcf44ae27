/**
 * Changes of flows and groups, alone and in transactions, beside a model that has a list of each.  A case's records are steps:
 *
 *     0  a flow_mod: command, table, priority, match, group (0: none)
 *     1  a group_mod: command, group, port
 *     2  a transaction begins, or the one that is under way is committed (an even byte) or taken back (an odd one)
 *
 * After each step what look-ups see is what was committed, of flows and of groups, whatever a transaction has done so far; a look-up of each
 * packet finds a rule of the priority that the list has.  What is refused changes nothing; in a transaction it takes all of it back.
 */
import { FIELD } from '../../../src/flow/fields.ts';
import { getField, newFlow, setField } from '../../../src/flow/flow-key.ts';
import { expandTo } from '../../../src/flow/minimatch.ts';
import { GroupTable } from '../../../src/ofproto/groups/group-table.ts';
import { FlowTables } from '../../../src/ofproto/tables/flow-tables.ts';
import type { FlowTransaction } from '../../../src/ofproto/tables/flow-transaction.ts';
import type { Rule } from '../../../src/ofproto/tables/rule.ts';
import { type Match, OFPFC, OFPTT_ALL } from '../../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import { GROUP_COMMAND } from '../../../src/openflow/messages/switch/switch-types.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import { bucket, groupMod } from '../../ofproto/support/groups.ts';
import { output } from '../../ofproto/support/rules.ts';
import { type Case, check, type FuzzTarget, record } from '../case.ts';
import type { Random } from '../random.ts';

const STEP = { FLOW: 0, GROUP: 1, TRANSACTION: 2 } as const;
const N_STEPS = 3;
const MAX_STEPS = 60;
const COMMANDS = ['ADD', 'MODIFY', 'MODIFY_STRICT', 'DELETE', 'DELETE_STRICT'] as const;
const GROUP_COMMANDS = ['ADD', 'MODIFY', 'DELETE', 'ADD_OR_MOD'] as const;
const MASKS = [0, 1, 3, 7, 5];
const N_VALUES = 8;

interface Flow {
  readonly table: number;
  readonly priority: number;
  readonly value: number;
  readonly mask: number;
  readonly group: number;
}
interface Model {
  flows: Flow[];
  groups: Map<number, number>;
}

const copyOf = (m: Model): Model => ({ flows: [...m.flows], groups: new Map(m.groups) });
const isWithin = (f: Flow, g: Flow): boolean => (f.mask & g.mask) === g.mask && (f.value & g.mask) === g.value;
const isSamePlace = (f: Flow, g: Flow): boolean =>
  f.table === g.table && f.priority === g.priority && f.mask === g.mask && f.value === g.value;

function flowOf(r: Uint8Array): Flow & { command: (typeof COMMANDS)[number] } {
  const mask = MASKS[(r[4] ?? 0) % MASKS.length]!;
  return {
    command: COMMANDS[(r[1] ?? 0) % COMMANDS.length]!,
    table: (r[2] ?? 0) % 4 === 3 ? OFPTT_ALL : (r[2] ?? 0) % 4,
    priority: (r[3] ?? 0) % 4,
    mask,
    value: ((r[4] ?? 0) >> 4) & mask,
    group: (r[5] ?? 0) % 4,
  };
}

/** Carries out a flow_mod; false if it is refused. */
function changeFlows(m: Model, { command, ...f }: ReturnType<typeof flowOf>): boolean {
  const isStrict = command.endsWith('STRICT');
  const isIn = (g: Flow): boolean => f.table === OFPTT_ALL || f.table === g.table;
  const isMeant = (g: Flow): boolean =>
    isIn(g) && (isStrict ? isSamePlace(g, { ...f, table: g.table }) : isWithin(g, f));
  if (command.startsWith('DELETE')) {
    m.flows = m.flows.filter((g) => !isMeant(g));
    return true;
  }
  const hasGroup = f.group === 0 || m.groups.has(f.group);
  if (command !== 'ADD' && m.flows.some(isMeant)) {
    m.flows = m.flows.map((g) => (isMeant(g) ? { ...g, group: f.group } : g));
    return hasGroup;
  }
  const added = { ...f, table: f.table === OFPTT_ALL ? 0 : f.table };
  m.flows = [...m.flows.filter((g) => !isSamePlace(g, added)), added];
  return hasGroup;
}

function changeGroups(m: Model, command: (typeof GROUP_COMMANDS)[number], id: number, port: number): boolean {
  if (command === 'DELETE') {
    m.groups.delete(id);
    m.flows = m.flows.filter((f) => f.group !== id);
    return true;
  }
  if (command === (m.groups.has(id) ? 'ADD' : 'MODIFY')) return false;
  m.groups.set(id, port);
  return true;
}

function matchOf({ value, mask }: Flow): Match {
  const match = { flow: newFlow(), mask: newFlow() };
  setField(match.flow, FIELD.reg0, value);
  setField(match.mask, FIELD.reg0, mask);
  return match;
}

const textOf = (f: Flow): string => `${f.table} ${f.priority} ${f.value}/${f.mask} ${f.group}`;
function flowOfRule(rule: Rule): Flow {
  const match = { flow: newFlow(), mask: newFlow() };
  expandTo(rule.match, match.flow, match.mask);
  const [action] = rule.actions;
  const group = action?.kind === 'group' ? action.groupId : 0;
  const [value, mask] = [getField(match.flow, FIELD.reg0), getField(match.mask, FIELD.reg0)];
  return { table: rule.table, priority: rule.priority, value, mask, group };
}

class Switch {
  readonly tables = new FlowTables(() => {});
  readonly groups = new GroupTable(this.tables, { onChange: () => {} });
  tx: FlowTransaction | undefined;
  /** What was committed, and what the transaction makes of it. */
  model: Model = { flows: [], groups: new Map() };
  draft: Model | undefined;

  constructor() {
    this.tables.checkActions = (actions) => this.groups.checkActions(actions);
  }

  /** Does the same on both sides, alone or in the transaction: `real` throws where `model` is false. */
  change(real: (tx: FlowTransaction) => void, model: (m: Model) => boolean, seen: Set<string>): void {
    const isAlone = this.tx === undefined;
    const tx = this.tx ?? this.tables.begin();
    const draft = this.draft ?? copyOf(this.model);
    const isFine = model(draft);
    let error: OfpError | undefined;
    try {
      real(tx);
    } catch (e) {
      if (!(e instanceof OfpError)) throw e;
      error = e;
      seen.add(`${e.code} ${isAlone}`);
    }
    check(isFine === (error === undefined), () => `want ${isFine ? 'no error' : 'an error'}, got ${error?.message}`);
    if (error !== undefined) this.end(tx, false);
    else if (isAlone) {
      this.draft = draft;
      this.end(tx, true);
    }
  }

  end(tx: FlowTransaction, commits: boolean): void {
    if (commits) {
      tx.commit();
      this.model = this.draft ?? this.model;
    } else tx.revert();
    this.tx = undefined;
    this.draft = undefined;
  }

  compare(seen: Set<string>): void {
    const real = Array.from(this.tables.rules(), (r) => textOf(flowOfRule(r))).sort();
    const want = this.model.flows.map(textOf).sort();
    check(real.join() === want.join(), () => `flows are [${real.join()}], not [${want.join()}]`);
    for (let id = 1; id < 4; id++) {
      const port = this.groups.find(id)?.buckets[0]?.spec.ofpacts[0];
      const is = port?.kind === 'output' ? port.port : undefined;
      check(is === this.model.groups.get(id), () => `group ${id} is ${is}, not ${this.model.groups.get(id)}`);
    }
    const flow = newFlow();
    for (let value = 0; value < N_VALUES; value++) {
      setField(flow, FIELD.reg0, value);
      for (let table = 0; table < 3; table++) {
        const hits = this.model.flows.filter((f) => f.table === table && (value & f.mask) === f.value);
        const best = hits.reduce((p, f) => Math.max(p, f.priority), -1);
        const rule = this.tables.lookup(table, flow, undefined);
        check(
          (rule?.priority ?? -1) === best,
          () => `table ${table}, ${value}: priority ${rule?.priority}, not ${best}`,
        );
      }
    }
    seen.add(`${Math.min(want.length, 12)} flows, ${this.model.groups.size} groups, ${this.tx !== undefined}`);
  }
}

function run(records: Case): string[] {
  const seen = new Set<string>();
  const sw = new Switch();
  for (const r of records.slice(0, MAX_STEPS)) {
    switch (r[0]! % N_STEPS) {
      case STEP.FLOW: {
        const f = flowOf(r);
        const ofpacts = f.group === 0 ? [output(1)] : [{ kind: 'group', groupId: f.group } as const];
        const fm = newFlowMod(f.command, {
          tableId: f.table,
          priority: f.priority,
          match: matchOf(f),
          ofpacts,
          newCookie: 0n,
        });
        check(fm.command === OFPFC[f.command], 'another command');
        sw.change(
          (tx) => tx.apply(fm),
          (m) => changeFlows(m, f),
          seen,
        );
        seen.add(`${f.command} ${f.table} ${sw.tx !== undefined}`);
        break;
      }
      case STEP.GROUP: {
        const command = GROUP_COMMANDS[(r[1] ?? 0) % GROUP_COMMANDS.length]!;
        const [id, port] = [1 + ((r[2] ?? 0) % 3), 1 + ((r[3] ?? 0) % 3)];
        const gm = groupMod(command, id, 'ALL', [bucket(0, [output(port)])]);
        check(gm.command === GROUP_COMMAND[command], 'another command');
        sw.change(
          (tx) => void sw.groups.applyIn(tx, gm),
          (m) => changeGroups(m, command, id, port),
          seen,
        );
        seen.add(`${command} ${sw.tx !== undefined}`);
        break;
      }
      default:
        if (sw.tx === undefined) {
          sw.tx = sw.tables.begin();
          sw.draft = copyOf(sw.model);
        } else sw.end(sw.tx, ((r[1] ?? 0) & 1) === 0);
    }
    sw.compare(seen);
  }
  if (sw.tx !== undefined) sw.end(sw.tx, false);
  sw.compare(seen);
  return [...seen];
}

export const tablesTarget: FuzzTarget = {
  name: 'tables',

  generate(random: Random): Case {
    return Array.from({ length: 1 + random.below(MAX_STEPS) }, () =>
      record(random.pick([0, 0, 0, 0, 1, 1, 2]), random.oneIn(3) ? [0, ...random.bytes(4)] : random.bytes(5)),
    );
  },

  run,
};
