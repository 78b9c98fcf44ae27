/**
 * What a translation touched besides its actions: rules to credit, addresses to learn.  A flow in the datapath keeps one, so
 * that its packets are accounted for without translating again.  Valid as long as the flow need not be revalidated.
 * Source: ofproto/ofproto-dpif-xlate-cache.h.
 */

import type { Group, GroupBucket } from '../groups/group.ts';
import type { MirrorMask, MirrorTable } from '../mirror/mirror-table.ts';
import type { Bundle, PatchCounts } from '../ports/bundle.ts';
import type { Rule } from '../tables/rule.ts';
import type { LearnedFlow, PushStats, TableCounts, XBridge } from './xbridge.ts';
import { countDrop, type XlateError } from './xlate-error.ts';

/** Of TCP: the connection ends. */
const TCP_FIN_OR_RST = 0x5;

type Entry =
  | { readonly kind: 'rule'; readonly rule: Rule }
  | { readonly kind: 'table'; readonly table: TableCounts; readonly isMatch: boolean }
  | { readonly kind: 'group'; readonly group: Group; readonly bucket: GroupBucket | undefined }
  | { readonly kind: 'patch'; readonly tx: PatchCounts | undefined; readonly rx: PatchCounts | undefined }
  | { readonly kind: 'mirrors'; readonly table: MirrorTable; readonly mirrors: MirrorMask }
  | { readonly kind: 'learned'; readonly flow: LearnedFlow }
  | {
      readonly kind: 'fin';
      readonly bridge: XBridge;
      readonly rule: Rule;
      readonly idle: number;
      readonly hard: number;
    }
  | { readonly kind: 'drop'; readonly error: XlateError }
  | ({ readonly kind: 'learn'; readonly bridge: XBridge } & LearnedAddress);

/** An address that NORMAL learns. */
export interface LearnedAddress {
  readonly ofpInPort: number;
  readonly mac: number;
  readonly vlan: number;
  /** From ARP that announces it. */
  readonly isGarp: boolean;
}

/** Whether both do the same.  Kinds that a flow in a thousand has are not looked into. */
function isSame(a: Entry, b: Entry): boolean {
  switch (a.kind) {
    case 'rule':
      return b.kind === 'rule' && a.rule === b.rule;
    case 'table':
      return b.kind === 'table' && a.table === b.table && a.isMatch === b.isMatch;
    case 'learn':
      if (b.kind !== 'learn' || a.bridge !== b.bridge || a.ofpInPort !== b.ofpInPort) return false;
      return a.mac === b.mac && a.vlan === b.vlan && a.isGarp === b.isGarp;
    default:
      return false;
  }
}

/** Counts packets that leave by one patch port and come in by the other. */
export function countPatch(
  tx: PatchCounts | undefined,
  rx: PatchCounts | undefined,
  { nPackets, nBytes }: PushStats,
): void {
  if (tx !== undefined) {
    tx.txPackets += nPackets;
    tx.txBytes += nBytes;
  }
  if (rx === undefined) return;
  rx.rxPackets += nPackets;
  rx.rxBytes += nBytes;
}

export class XlateCache {
  private entries: Entry[] = [];

  get size(): number {
    return this.entries.length;
  }
  clear(): void {
    this.entries = [];
  }
  addRule(rule: Rule): void {
    this.entries.push({ kind: 'rule', rule });
  }
  addTable(table: TableCounts, isMatch: boolean): void {
    this.entries.push({ kind: 'table', table, isMatch });
  }
  /** A bucket of a group that packets go through; undefined: all. */
  addGroup(group: Group, bucket: GroupBucket | undefined): void {
    this.entries.push({ kind: 'group', group, bucket });
  }
  /** Packets go through a patch port. */
  addPatch(tx: PatchCounts | undefined, rx: PatchCounts | undefined): void {
    this.entries.push({ kind: 'patch', tx, rx });
  }
  /** Packets go to mirrors. */
  addMirrors(table: MirrorTable, mirrors: MirrorMask): void {
    this.entries.push({ kind: 'mirrors', table, mirrors });
  }
  addLearned(flow: LearnedFlow): void {
    this.entries.push({ kind: 'learned', flow });
  }
  /** A connection that ends lowers the timeouts of `rule`. */
  addFinTimeout(bridge: XBridge, rule: Rule, idle: number, hard: number): void {
    this.entries.push({ kind: 'fin', bridge, rule, idle, hard });
  }
  /** The flow drops. */
  addDrop(error: XlateError): void {
    this.entries.push({ kind: 'drop', error });
  }
  addLearn(bridge: XBridge, learned: LearnedAddress): void {
    this.entries.push({ kind: 'learn', bridge, ...learned });
  }

  /** `other` if that does the same; else this.  Flows that come one after the other do well with one. */
  unless(other: XlateCache | undefined): XlateCache {
    const { entries } = this;
    if (other === undefined || other.entries.length !== entries.length) return this;
    for (let i = 0; i < entries.length; i++) if (!isSame(entries[i] as Entry, other.entries[i] as Entry)) return this;
    return other;
  }

  /** The rules and groups that packets go through, in order. */
  *path(): Generator<Rule | Group> {
    for (const e of this.entries) {
      if (e.kind === 'rule') yield e.rule;
      else if (e.kind === 'group') yield e.group;
    }
  }

  /** Does again, for `stats` more packets, what the translation did. */
  push(stats: PushStats): void {
    if (stats.nPackets === 0n) return;
    for (const e of this.entries) this.pushOne(e, stats);
  }

  private pushOne(e: Entry, stats: PushStats): void {
    switch (e.kind) {
      case 'rule':
        e.rule.credit(stats.nPackets, stats.nBytes, stats.usedMs);
        break;
      case 'table':
        if (e.isMatch) e.table.nMatched += stats.nPackets;
        else e.table.nMissed += stats.nPackets;
        break;
      case 'group':
        e.group.credit(e.bucket, stats.nPackets, stats.nBytes);
        break;
      case 'patch':
        countPatch(e.tx, e.rx, stats);
        break;
      case 'mirrors':
        e.table.credit(e.mirrors, stats.nPackets, stats.nBytes);
        break;
      case 'learned':
        e.flow.learn();
        break;
      case 'fin':
        if (((stats.tcpFlags ?? 0) & TCP_FIN_OR_RST) !== 0) e.bridge.lowerTimeouts?.(e.rule, e.idle, e.hard);
        break;
      case 'drop':
        countDrop(e.error, stats.nPackets);
        break;
      case 'learn': {
        // The port may have changed its bundle, or be gone, since.
        const bundle: Bundle | undefined = e.bridge.xport(e.ofpInPort)?.bundle;
        if (bundle !== undefined) e.bridge.learn(e.mac, e.vlan, bundle, e.isGarp);
        break;
      }
    }
  }
}
