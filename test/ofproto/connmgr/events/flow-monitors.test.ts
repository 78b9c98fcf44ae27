/** Flow monitors over flow tables: what is told, when it is abbreviated, and pauses. */
import { describe, expect, test } from 'vitest';
import { FlowMonitors, happeningsOf } from '../../../../src/ofproto/connmgr/events/flow-monitors.ts';
import { FlowTables } from '../../../../src/ofproto/tables/flow-tables.ts';
import { newMatch } from '../../../../src/openflow/match/match.ts';
import { decodeMessage } from '../../../../src/openflow/messages/codec.ts';
import type { FlowMonitorRequest } from '../../../../src/openflow/messages/flow/flow-types.ts';
import { MONITOR_FLAG, OFPG } from '../../../../src/openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../../src/openflow/messages/flow/new-flow-mod.ts';
import type { OfVersion } from '../../../../src/openflow/ofp-errors.ts';
import { OFPP } from '../../../../src/openflow/ofp-port.ts';
import type { Ofpact } from '../../../../src/openflow/ofpact.ts';

const out = (port: number): Ofpact => ({ kind: 'output', port, maxLen: 0 });
const WATCH = MONITOR_FLAG.ADD | MONITOR_FLAG.DELETED | MONITOR_FLAG.MODIFY;
const EVERYTHING = WATCH | MONITOR_FLAG.INITIAL | MONITOR_FLAG.INSTRUCTIONS | MONITOR_FLAG.ONLY_OWN;
const monitor = (change: Partial<FlowMonitorRequest>): FlowMonitorRequest => ({
  id: 1,
  command: 0,
  flags: EVERYTHING,
  outPort: OFPP.NONE,
  outGroup: OFPG.ANY,
  tableId: 0xff,
  match: newMatch(),
  ...change,
});

/** A connection that gets all updates of some tables; each entry of `told` is what one commit told. */
function rig(version: OfVersion, ...requests: FlowMonitorRequest[]) {
  const told: string[] = [];
  let drained: (() => void) | undefined;
  const peer = {
    version,
    isOpen: true,
    vconn: {
      backlog: 0,
      send(bytes: Uint8Array) {
        const m = decodeMessage(bytes);
        if (m.kind !== 'flow_monitor_stats_reply') told.push(m.kind);
        else
          told.push(
            ...m.body.map((u) =>
              'priority' in u
                ? `${u.event} ${u.priority} ${u.ofpacts.length}`
                : 'xid' in u
                  ? `${u.event} ${u.xid}`
                  : u.event,
            ),
          );
      },
      onceDrained(done: () => void) {
        drained = done;
      },
    },
  };
  const monitors = new FlowMonitors();
  for (const m of requests) monitors.set(m);
  let xid: number | undefined;
  const tables = new FlowTables((changes) => monitors.report(peer, happeningsOf(changes), xid));
  return {
    told,
    peer,
    tables,
    monitors,
    add: (priority: number, port = 2) => tables.apply(newFlowMod('ADD', { priority, ofpacts: [out(port)] })),
    modify: (port: number) => tables.apply(newFlowMod('MODIFY', { ofpacts: [out(port)] })),
    remove: (priority: number) => tables.apply(newFlowMod('DELETE_STRICT', { priority })),
    own(n: number, fn: () => void) {
      xid = n;
      fn();
      xid = undefined;
    },
    drain: () => drained?.(),
  };
}

describe('flow monitors', () => {
  test('additions, modifications, removals', () => {
    const r = rig(5, monitor({}));
    r.add(1);
    r.add(2);
    r.modify(3);
    r.modify(3);
    r.add(2, 3);
    r.remove(1);
    // A modification that changes nothing is none; an addition over a flow is one.
    expect(r.told.slice(2, 4).sort()).toEqual(['modified 1 1', 'modified 2 1']);
    expect(r.told.toSpliced(2, 2)).toEqual(['added 1 1', 'added 2 1', 'added 2 1', 'deleted 1 1']);
  });

  test('a flag for each, and without actions', () => {
    const r = rig(4, monitor({ flags: MONITOR_FLAG.DELETED }));
    r.add(1);
    r.modify(3);
    r.remove(1);
    expect(r.told).toEqual(['deleted 1 0']);
  });

  test('tables, ports, groups', () => {
    const of = (change: Partial<FlowMonitorRequest>): string[] => {
      const r = rig(5, monitor(change));
      r.add(1, 2);
      r.modify(3);
      r.remove(1);
      return r.told;
    };
    expect(of({ tableId: 1 })).toEqual([]);
    expect(of({ outGroup: 1 })).toEqual([]);
    expect(of({ outPort: 2 })).toEqual(['added 1 1', 'modified 1 1']); // It sent there before.
    expect(of({ outPort: 3 })).toEqual(['modified 1 1', 'deleted 1 1']);
  });

  test('own changes are abbreviated, once for all that a request does', () => {
    const r = rig(5, monitor({ flags: WATCH }));
    r.own(7, () => r.add(1));
    r.add(2);
    r.own(8, () => r.modify(9));
    expect(r.told).toEqual(['abbrev 7', 'added 2 0', 'abbrev 8']);
  });

  test('own changes in full, if one of the monitors wants them so', () => {
    const r = rig(5, monitor({ flags: WATCH }), monitor({ id: 2, flags: WATCH | MONITOR_FLAG.ONLY_OWN }));
    r.own(7, () => r.add(1));
    expect(r.told).toEqual(['added 1 0']);
  });

  test('flows that are there already, each once', () => {
    const r = rig(5);
    r.add(1);
    r.add(2);
    const both = [monitor({ flags: WATCH | MONITOR_FLAG.INITIAL }), monitor({ id: 2 })];
    expect(r.monitors.initialUpdates(r.tables, both)).toMatchObject([
      { event: 'initial', ofpacts: [out(2)] },
      { event: 'initial', ofpacts: [out(2)] },
    ]);
    expect(r.monitors.initialUpdates(r.tables, [monitor({ flags: WATCH })])).toEqual([]);
  });

  test.each([
    [1, 'flow_monitor_paused', 'flow_monitor_resumed'],
    [4, 'flow_monitor_paused', 'flow_monitor_resumed'],
    [6, 'paused', 'resumed'],
  ] as const)('a peer of version %i that does not read', (version, paused, resumed) => {
    const r = rig(version, monitor({}));
    r.add(1);
    r.add(2);
    r.peer.vconn.backlog = 200_000;
    r.add(3);
    expect(r.told.splice(0)).toEqual(['added 1 1', 'added 2 1', 'added 3 1', paused]);
    r.add(4); // Comes and goes: the peer never hears of it.
    r.remove(4);
    r.add(5);
    r.tables.apply(newFlowMod('MODIFY_STRICT', { priority: 5, ofpacts: [out(8)] }));
    r.tables.apply(newFlowMod('MODIFY_STRICT', { priority: 2, ofpacts: [out(8)] }));
    r.remove(1);
    expect(r.told.splice(0)).toEqual(['deleted 1 1']);
    expect(r.monitors.isPaused).toBe(true);
    r.peer.vconn.backlog = 0;
    r.drain();
    expect(r.told.splice(0)).toEqual(['added 5 1', 'modified 2 1', resumed]);
    r.add(6);
    expect(r.told).toEqual(['added 6 1']);
  });
});
