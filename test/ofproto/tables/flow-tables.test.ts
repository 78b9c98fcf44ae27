import { describe, expect, it } from 'vitest';
import { FIELD } from '../../../src/flow/fields.ts';
import { newFlow, setField } from '../../../src/flow/flow-key.ts';
import { FlowTables, TBL_INTERNAL } from '../../../src/ofproto/tables/flow-tables.ts';
import { FlowTransaction } from '../../../src/ofproto/tables/flow-transaction.ts';
import type { Rule } from '../../../src/ofproto/tables/rule.ts';
import { OFPRR, type RuleChange } from '../../../src/ofproto/tables/rule-change.ts';
import {
  FLOW_FLAG,
  type FlowMod,
  type OFPFC,
  OFPTT_ALL,
  UNKNOWN64,
} from '../../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../src/openflow/messages/flow/new-flow-mod.ts';
import { OFPERR, OfpError } from '../../../src/openflow/ofp-errors.ts';
import type { Ofpact } from '../../../src/openflow/ofpact.ts';
import { fc } from '../../support/property.ts';

const out = (port: number): Ofpact => ({ kind: 'output', port, maxLen: 0 });

function matchOf(port?: number, type?: number) {
  const flow = newFlow();
  const mask = newFlow();
  if (port !== undefined) {
    setField(flow, FIELD.inPort, port);
    setField(mask, FIELD.inPort, 0xffffffff);
  }
  if (type !== undefined) {
    setField(flow, FIELD.ethType, type);
    setField(mask, FIELD.ethType, 0xffff);
  }
  return { flow, mask };
}

function flowMod(command: keyof typeof OFPFC, more: Partial<FlowMod> & { port?: number; type?: number } = {}): FlowMod {
  const { port, type, ...rest } = more;
  return newFlowMod(command, { match: matchOf(port, type), priority: 100, ...rest });
}

function newTables() {
  const changes: RuleChange[] = [];
  const tables = new FlowTables((c) => changes.push(...c));
  const lookup = (port: number, type = 0): Rule | undefined => {
    const flow = newFlow();
    setField(flow, FIELD.inPort, port);
    setField(flow, FIELD.ethType, type);
    return tables.table(0).lookup(flow, tables.version, undefined);
  };
  return { tables, changes, lookup };
}

/** Every rule that look-ups may see, as text. */
const dump = (tables: FlowTables): string[] =>
  tables.tables
    .flatMap((t) => [...t.classifier])
    .filter((r) => r.addedIn <= tables.version && tables.version < r.removedIn)
    .map(
      (r) => `${r.table} ${r.match.mask.id} ${r.match.values} ${r.priority} ${r.cookie} ${JSON.stringify(r.actions)}`,
    )
    .sort();

const errorOf = (f: () => void): unknown => {
  try {
    f();
  } catch (e) {
    return e instanceof OfpError ? e.err : e;
  }
  return undefined;
};

describe('flow tables', () => {
  it('add, replace and keep counts unless told to reset them', () => {
    const { tables, changes, lookup } = newTables();
    tables.apply(flowMod('ADD', { port: 1, ofpacts: [out(2)], newCookie: 7n }));
    lookup(1)?.credit(3n, 180n, lookup(1)?.usedMs ?? 0);
    tables.apply(flowMod('ADD', { port: 1, ofpacts: [out(3)], newCookie: 8n }));
    expect(lookup(1)).toMatchObject({ nPackets: 3n, nBytes: 180n, cookie: 8n, actions: [out(3)] });
    // A packet that was sent before the flow changed, and is counted after: the flow has it.
    const old = lookup(1) as Rule;
    tables.apply(flowMod('ADD', { port: 1, ofpacts: [out(3)], newCookie: 8n }));
    old.credit(1n, 60n, 0);
    expect(lookup(1)).toMatchObject({ nPackets: 4n, nBytes: 240n });
    tables.apply(flowMod('ADD', { port: 1, ofpacts: [out(4)], flags: FLOW_FLAG.RESET_COUNTS }));
    expect(lookup(1)).toMatchObject({ nPackets: 0n, actions: [out(4)] });
    expect(tables.size).toBe(1);
    expect(changes.map((c) => c.kind)).toEqual(['added', 'replaced', 'replaced', 'replaced']);
  });

  it('modify loosely, strictly, by cookie; without a match add', () => {
    const { tables, lookup } = newTables();
    tables.apply(flowMod('ADD', { port: 1, type: 0x800, ofpacts: [out(2)], newCookie: 1n, idleTimeout: 9 }));
    tables.apply(flowMod('ADD', { port: 1, type: 0x806, ofpacts: [out(2)], newCookie: 2n, priority: 5 }));
    tables.apply(flowMod('MODIFY', { port: 1, ofpacts: [out(3)] }));
    expect(lookup(1, 0x800)).toMatchObject({ actions: [out(3)], cookie: 1n, idleTimeout: 9 });
    expect(lookup(1, 0x806)?.actions).toEqual([out(3)]);
    tables.apply(flowMod('MODIFY', { port: 1, ofpacts: [out(4)], cookie: 2n, cookieMask: UNKNOWN64 }));
    expect(lookup(1, 0x800)?.actions).toEqual([out(3)]);
    expect(lookup(1, 0x806)?.actions).toEqual([out(4)]);
    tables.apply(flowMod('MODIFY_STRICT', { port: 1, type: 0x806, priority: 6, ofpacts: [out(5)] }));
    expect(lookup(1, 0x806)?.actions).toEqual([out(4)]);
    tables.apply(flowMod('MODIFY_STRICT', { port: 1, type: 0x806, priority: 5, ofpacts: [out(5)] }));
    expect(lookup(1, 0x806)?.actions).toEqual([out(5)]);
    expect(tables.size).toBe(2);
    tables.apply(flowMod('MODIFY', { port: 9, ofpacts: [out(6)], newCookie: 3n }));
    expect(lookup(9)?.actions).toEqual([out(6)]);
  });

  it('take an output that cuts packets for none when they are deleted by port', () => {
    const { tables } = newTables();
    tables.apply(flowMod('ADD', { port: 1, ofpacts: [{ kind: 'output_trunc', port: 9, maxLen: 60 }] }));
    tables.apply(flowMod('DELETE', { outPort: 9 }));
    expect(tables.size).toBe(1);
  });

  it('delete loosely, strictly, by port, group and cookie', () => {
    const { tables, changes, lookup } = newTables();
    const nested: Ofpact = { kind: 'clone', actions: [{ kind: 'group', groupId: 4 }] };
    tables.apply(flowMod('ADD', { port: 1, ofpacts: [out(2)], newCookie: 0x10n }));
    tables.apply(flowMod('ADD', { port: 2, ofpacts: [out(3), nested], newCookie: 0x11n, tableId: 7 }));
    tables.apply(flowMod('ADD', { port: 3, ofpacts: [{ kind: 'enqueue', port: 2, queue: 1 }], newCookie: 0x20n }));
    tables.apply(flowMod('DELETE', { outPort: 9 }));
    tables.apply(flowMod('DELETE_STRICT', { port: 1, priority: 99 }));
    expect(tables.size).toBe(3);
    tables.apply(flowMod('DELETE', { outPort: 2, cookie: 0x10n, cookieMask: 0xf0n }));
    expect(lookup(1)).toBeUndefined();
    tables.apply(flowMod('DELETE', { outGroup: 4 }));
    expect(tables.size).toBe(1);
    tables.apply(flowMod('DELETE_STRICT', { port: 3 }));
    expect(tables.size).toBe(0);
    expect(changes.filter((c) => c.kind === 'removed').map((c) => [c.reason, c.rule.cookie])).toEqual([
      [OFPRR.DELETE, 0x10n],
      [OFPRR.DELETE, 0x11n],
      [OFPRR.DELETE, 0x20n],
    ]);
  });

  it("refuse an overlap if asked, a full table, tables that do not exist or are the switch's own", () => {
    const { tables } = newTables();
    tables.apply(flowMod('ADD', { port: 1 }));
    const overlapping = flowMod('ADD', { type: 0x800, flags: FLOW_FLAG.CHECK_OVERLAP });
    expect(errorOf(() => tables.apply(overlapping))).toBe(OFPERR.OFPFMFC_OVERLAP);
    tables.apply({ ...overlapping, priority: 101 });
    tables.table(0).maxFlows = 2;
    expect(errorOf(() => tables.apply(flowMod('ADD', { port: 5 })))).toBe(OFPERR.OFPFMFC_TABLE_FULL);
    // Its own flows, of in-band control for instance, a switch always has.
    tables.apply(flowMod('ADD', { port: 6 }), true);
    tables.apply(flowMod('ADD', { port: 1, ofpacts: [out(1)] }));
    const hidden = flowMod('ADD', { tableId: TBL_INTERNAL });
    expect(errorOf(() => tables.apply(hidden))).toBe(OFPERR.OFPBRC_EPERM);
    tables.apply(hidden, true);
    tables.apply(flowMod('DELETE'));
    expect(tables.table(TBL_INTERNAL).nFlows).toBe(1);
    expect(errorOf(() => tables.apply({ ...flowMod('DELETE'), command: 5 }))).toBe(OFPERR.OFPFMFC_BAD_COMMAND);
  });

  it('say before a transaction that an addition is to a table that takes none', () => {
    const { tables } = newTables();
    const check = (fm: FlowMod) => errorOf(() => FlowTransaction.check(tables, fm));
    expect(check(flowMod('ADD', { tableId: TBL_INTERNAL }))).toBe(OFPERR.OFPBRC_EPERM);
    expect(check(flowMod('ADD', { tableId: OFPTT_ALL }))).toBeUndefined();
    expect(check(flowMod('DELETE', { tableId: TBL_INTERNAL }))).toBeUndefined();
  });

  it('keep all flags of an addition, as dumps show them', () => {
    const { tables, lookup } = newTables();
    const flags = FLOW_FLAG.CHECK_OVERLAP | FLOW_FLAG.RESET_COUNTS | FLOW_FLAG.SEND_FLOW_REM;
    tables.apply(flowMod('ADD', { port: 1, flags }));
    tables.apply(flowMod('MODIFY', { port: 1, flags: 0, ofpacts: [out(1)] }));
    expect(lookup(1)?.flags).toBe(flags);
  });

  it('evict the least important flow of the largest group', () => {
    const { tables, changes, lookup } = newTables();
    const t = tables.table(0);
    t.maxFlows = 4;
    t.setEviction([{ at: FIELD.ethType.at, bits: 16 }]);
    tables.apply(flowMod('ADD', { port: 1, type: 0x800, idleTimeout: 10, importance: 5 }));
    tables.apply(flowMod('ADD', { port: 2, type: 0x800, idleTimeout: 20, importance: 1 }));
    tables.apply(flowMod('ADD', { port: 3, type: 0x806, idleTimeout: 1 }));
    tables.apply(flowMod('ADD', { port: 4, type: 0x800 }));
    tables.apply(flowMod('ADD', { port: 5, type: 0x806, hardTimeout: 5 }));
    expect(changes.at(-2)).toMatchObject({ kind: 'removed', reason: OFPRR.EVICTION });
    expect(lookup(2, 0x800)).toBeUndefined();
    expect(t.nFlows).toBe(4);
  });

  it('expire by idle and hard timeouts, which fin_timeout lowers', async () => {
    const { tables, changes, lookup } = newTables();
    tables.apply(flowMod('ADD', { port: 1, idleTimeout: 10 }));
    tables.apply(flowMod('ADD', { port: 2, hardTimeout: 5 }));
    tables.apply(flowMod('ADD', { port: 3 }));
    const start = lookup(1)?.createdMs ?? 0;
    await tables.expire(start + 4000);
    expect(tables.size).toBe(3);
    lookup(1)?.credit(1n, 60n, start + 9000);
    tables.lowerTimeouts(lookup(3) as Rule, 0, 7);
    await tables.expire(start + 12_000);
    expect(changes.flatMap((c) => (c.kind === 'removed' ? [c.reason] : []))).toEqual([
      OFPRR.HARD_TIMEOUT,
      OFPRR.HARD_TIMEOUT,
    ]);
    await tables.expire(start + 19_500);
    expect(changes.at(-1)).toMatchObject({ reason: OFPRR.IDLE_TIMEOUT });
    expect(tables.size).toBe(0);
  });

  const step = fc.record({
    command: fc.constantFrom('ADD', 'ADD', 'MODIFY', 'MODIFY_STRICT', 'DELETE', 'DELETE_STRICT'),
    port: fc.option(fc.nat(2), { nil: undefined }),
    type: fc.option(fc.constantFrom(0x800, 0x806), { nil: undefined }),
    priority: fc.nat(1),
    to: fc.nat(2),
    newCookie: fc.bigInt(0n, 2n),
    tableId: fc.constantFrom(0, 1),
  });
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
  const modOf = ({ command, port, type, to, ...rest }: Step): FlowMod => {
    const where = { ...(port === undefined ? {} : { port }), ...(type === undefined ? {} : { type }) };
    return flowMod(command as keyof typeof OFPFC, { ...where, ...rest, ofpacts: [out(to)] });
  };

  it('take a transaction back as if it had not been, and show nothing of it before its commit', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.array(step, { maxLength: 12 }), (before, during) => {
        const { tables, changes } = newTables();
        const { tables: plain } = newTables();
        for (const s of before) {
          tables.apply(modOf(s));
          plain.apply(modOf(s));
        }
        const text = dump(tables);
        const size = tables.size;
        const nChanges = changes.length;
        const tx = tables.begin();
        for (const s of during) tx.apply(modOf(s));
        expect(dump(tables)).toEqual(text);
        tx.revert();
        expect(dump(tables)).toEqual(text);
        expect(tables.size).toBe(size);
        expect(changes.length).toBe(nChanges);
        expect(tables.tables.reduce((n, t) => n + t.classifier.size, 0)).toBe(size);
        // The same again, committed, is what one flow_mod after the other comes to.
        const again = tables.begin();
        for (const s of during) {
          again.apply(modOf(s));
          plain.apply(modOf(s));
        }
        again.commit();
        expect(dump(tables)).toEqual(dump(plain));
        expect(tables.size).toBe(plain.size);
        expect(tables.tables.reduce((n, t) => n + t.classifier.size, 0)).toBe(tables.size);
      }),
    );
  });
});
