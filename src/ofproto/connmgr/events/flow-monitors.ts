/**
 * Flow monitors of a connection: what it asked to be told of changes of flows, and the updates that tell it.
 *
 * Changes that the connection itself asked for are abbreviated, unless it wants those in full, too.  A peer that does not read is told no
 * more than that it missed something: monitoring pauses, then only removals of flows that the peer knows go out, and when everything is sent
 * what was added or modified meanwhile follows.
 * Source: ofproto/connmgr.c (ofmonitor_*), include/openflow/nicira-ext.h (NXST_FLOW_MONITOR).
 */
import { isDeepStrictEqual } from 'node:util';
import { newFlow } from '../../../flow/flow-key.ts';
import { expandTo, isSubset } from '../../../flow/minimatch.ts';
import { unbindMatch } from '../../../openflow/fields/tlv-bind.ts';
import { TlvTable } from '../../../openflow/fields/tlv-table.ts';
import { encodeMessage, encodeReplies } from '../../../openflow/messages/codec.ts';
import {
  type FlowMonitorRequest,
  type FlowUpdate,
  MONITOR_FLAG,
  OFPG,
  OFPTT_ALL,
} from '../../../openflow/messages/flow/flow-types.ts';
import type { OfVersion } from '../../../openflow/ofp-errors.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import type { Vconn } from '../../../openflow/vconn.ts';
import { coverage } from '../../../util/coverage.ts';
import type { FlowTables } from '../../tables/flow-tables.ts';
import type { Rule } from '../../tables/rule.ts';
import type { RuleChange } from '../../tables/rule-change.ts';

const pauses = coverage('ofmonitor_pause');
const resumes = coverage('ofmonitor_resume');

/** What may wait to be sent before monitoring pauses. */
const MAX_BACKLOG = 128 * 1024;

/** Whom updates go to: a connection. */
export interface MonitorPeer {
  readonly version: OfVersion;
  readonly isOpen: boolean;
  readonly vconn: Pick<Vconn, 'send' | 'backlog' | 'onceDrained'>;
}

type Event = 'initial' | 'added' | 'deleted' | 'modified';
const FLAG_OF: Readonly<Record<Event, number>> = {
  initial: MONITOR_FLAG.INITIAL,
  added: MONITOR_FLAG.ADD,
  deleted: MONITOR_FLAG.DELETED,
  modified: MONITOR_FLAG.MODIFY,
};

/** One thing that happened to a rule. */
interface Happening {
  readonly event: Exclude<Event, 'initial'>;
  readonly rule: Rule;
  /** OFPRR_*, of `deleted`. */
  readonly reason: number;
  /** The rule in whose place `rule` is, with the actions that were replaced, if they are others. */
  readonly old: Rule | undefined;
  readonly isOtherActions: boolean;
}

/** undefined: nothing that monitors tell of. */
function happeningOf(change: RuleChange): Happening | undefined {
  const { rule } = change;
  if (rule.isHidden) return undefined;
  const nothing = { rule, reason: 0, old: undefined, isOtherActions: false };
  if (change.kind === 'added') return { ...nothing, event: 'added' };
  if (change.kind === 'removed') return { ...nothing, event: 'deleted', reason: change.reason };
  const { old, isAdd } = change;
  const isOtherActions = !isDeepStrictEqual(rule.actions, old.actions);
  if (!isAdd && !isOtherActions && rule.cookie === old.cookie) return undefined;
  return { rule, reason: 0, old, isOtherActions, event: isAdd ? 'added' : 'modified' };
}

export const happeningsOf = (changes: readonly RuleChange[]): Happening[] =>
  changes.map(happeningOf).filter((h) => h !== undefined);

function updateOf(event: Event, rule: Rule, reason: number, withActions: boolean, tlvTable: TlvTable): FlowUpdate {
  const whole = { flow: newFlow(), mask: newFlow() };
  expandTo(rule.match, whole.flow, whole.mask);
  const match = unbindMatch(whole, tlvTable);
  const { idleTimeout, hardTimeout, table, priority, cookie } = rule;
  const ofpacts = withActions ? rule.actions : [];
  return { event, reason, idleTimeout, hardTimeout, tableId: table, priority, cookie, match, ofpacts };
}

const sendsTo = (h: Happening, { outPort, outGroup }: FlowMonitorRequest): boolean =>
  (h.rule.sendsTo(outPort, OFPG.ANY) || (h.isOtherActions && h.old?.sendsTo(outPort, OFPG.ANY) === true)) &&
  h.rule.sendsTo(OFPP.NONE, outGroup);

const isAbout = (m: FlowMonitorRequest, rule: Rule): boolean =>
  (m.tableId === OFPTT_ALL || m.tableId === rule.table) && isSubset(rule.match, m.match.flow, m.match.mask);

/** What happened during a pause: rules that the peer does not know, and those that it knows as they were. */
interface Pause {
  readonly added: Set<Rule>;
  readonly modified: Set<Rule>;
}

export class FlowMonitors {
  private readonly byId = new Map<number, FlowMonitorRequest>();
  private pause: Pause | undefined;
  /** The switch's: what tunnel metadata in matches is called.  Whoever asks or reports sets it. */
  tlvTable = new TlvTable();

  get size(): number {
    return this.byId.size;
  }
  get isPaused(): boolean {
    return this.pause !== undefined;
  }
  has(id: number): boolean {
    return this.byId.has(id);
  }
  set(request: FlowMonitorRequest): void {
    this.byId.set(request.id, request);
  }
  /** False: there is no such monitor. */
  delete(id: number): boolean {
    return this.byId.delete(id);
  }

  /** The flows that are there already, for `monitors` that ask for them. */
  initialUpdates(tables: FlowTables, monitors: Iterable<FlowMonitorRequest>): FlowUpdate[] {
    const found = new Map<Rule, number>();
    for (const m of monitors) {
      if ((m.flags & MONITOR_FLAG.INITIAL) === 0) continue;
      const { tableId, match, outPort, outGroup } = m;
      const any = { strictPriority: undefined, cookie: 0n, cookieMask: 0n, withHidden: false };
      for (const rule of tables.select({ ...any, table: tableId, match, outPort, outGroup })) {
        found.set(rule, (found.get(rule) ?? 0) | m.flags);
      }
    }
    return Array.from(found, ([rule, flags]) =>
      updateOf('initial', rule, 0, (flags & MONITOR_FLAG.INSTRUCTIONS) !== 0, this.tlvTable),
    );
  }

  /** Tells `conn` of what happened; `ownXid` is the request that it came of, if that was this connection's own. */
  report(conn: MonitorPeer, happenings: readonly Happening[], ownXid: number | undefined): void {
    if (this.byId.size === 0) return;
    const updates: FlowUpdate[] = [];
    let isAbbreviated = false;
    for (const h of happenings) {
      if (this.pause !== undefined && !this.noteDuringPause(this.pause, h)) continue;
      const flags = this.flagsFor(h);
      if (flags === 0) continue;
      const isFull = (flags & MONITOR_FLAG.ONLY_OWN) !== 0 || ownXid === undefined || this.pause !== undefined;
      if (isFull)
        updates.push(updateOf(h.event, h.rule, h.reason, (flags & MONITOR_FLAG.INSTRUCTIONS) !== 0, this.tlvTable));
      else if (!isAbbreviated) {
        updates.push({ event: 'abbrev', xid: ownXid });
        isAbbreviated = true;
      }
    }
    if (updates.length === 0) return;
    send(conn, updates);
    if (this.pause !== undefined || conn.vconn.backlog <= MAX_BACKLOG) return;
    pauses.n++;
    this.pause = { added: new Set(), modified: new Set() };
    sendPaused(conn, 'paused');
    conn.vconn.onceDrained(() => this.resume(conn));
  }

  /** The flags of all monitors that want to be told. */
  private flagsFor(h: Happening): number {
    let flags = 0;
    for (const m of this.byId.values()) {
      if ((m.flags & FLAG_OF[h.event]) !== 0 && isAbout(m, h.rule) && sendsTo(h, m)) flags |= m.flags;
    }
    return flags;
  }

  /** Remembers what happened for later; true if the peer is to be told now: of the end of what it knows. */
  private noteDuringPause({ added, modified }: Pause, { event, rule, old }: Happening): boolean {
    if (event === 'deleted') {
      modified.delete(rule);
      return !added.delete(rule);
    }
    if (old !== undefined) modified.delete(old);
    const isNew = event === 'added' || (old !== undefined && added.has(old));
    if (old !== undefined) added.delete(old);
    (isNew ? added : modified).add(rule);
    return false;
  }

  private resume(conn: MonitorPeer): void {
    const { pause } = this;
    if (pause === undefined || !conn.isOpen) return;
    this.pause = undefined;
    resumes.n++;
    const updates: FlowUpdate[] = [];
    for (const event of ['added', 'modified'] as const) {
      for (const rule of pause[event]) {
        const h: Happening = { event, rule, reason: 0, old: undefined, isOtherActions: false };
        // A rule that is new is news also for who asked for modifications alone.
        const wanted = event === 'added' ? MONITOR_FLAG.ADD | MONITOR_FLAG.MODIFY : MONITOR_FLAG.MODIFY;
        let flags = 0;
        for (const m of this.byId.values())
          if ((m.flags & wanted) !== 0 && isAbout(m, rule) && sendsTo(h, m)) flags |= m.flags;
        if (flags !== 0)
          updates.push(updateOf(event, rule, 0, (flags & MONITOR_FLAG.INSTRUCTIONS) !== 0, this.tlvTable));
      }
    }
    if (updates.length > 0) send(conn, updates);
    sendPaused(conn, 'resumed');
  }
}

/** Sends updates that nobody's request is answered by. */
function send(conn: MonitorPeer, body: readonly FlowUpdate[]): void {
  encodeReplies({ kind: 'flow_monitor_stats_reply', version: conn.version, xid: 0, body }, (part) =>
    conn.vconn.send(part),
  );
}

/** From 1.4 on, pauses are updates; before, messages of their own. */
function sendPaused(conn: MonitorPeer, event: 'paused' | 'resumed'): void {
  if (conn.version >= 5) send(conn, [{ event }]);
  else {
    const kind = event === 'paused' ? 'flow_monitor_paused' : 'flow_monitor_resumed';
    conn.vconn.send(encodeMessage({ kind, version: conn.version, xid: 0, body: undefined }));
  }
}
