/**
 * What a translation reports to `ofproto/trace`: a tree of nodes, each a line of text, printed with indentation.
 *
 * `ctx.trace` is undefined in an ordinary translation, so that a report costs one test when it is off; write
 *
 *     ctx.trace?.detail(`using bucket ${id}`);     // "-> ...", below the action that is being carried out
 *     ctx.trace?.warn('Nonexistent output port');  // ">> ...": worrisome
 *     ctx.trace?.error('over 4096 resubmits');     // ">>>> ... <<<<"
 *     ctx.trace?.subfield(a.dst, ctx.flow);        // "-> NXM_NX_REG0[] is now 0x1", after writing to it
 *
 * as an optional call does not evaluate its arguments.  What a table, a bucket or a bridge behind a patch port does hangs below
 * a node of its own:
 *
 *     const up = ctx.trace?.enter(OFT.BUCKET, `bucket ${id}`);  // or enterTable()
 *     ...                                                        // reports go below it
 *     ctx.trace?.leave(up);
 *
 * Actions report themselves in `xlateActionList`.  A translation that recirculates says so by `recirculates`, and the trace goes on with
 * the packet that comes back.
 * Source: ofproto/ofproto-dpif-trace.[ch], ofproto/ofproto-dpif-xlate.c (xlate_report and its kin).
 */

import type { FlowKey } from '../../../flow/flow-key.ts';
import { expandTo } from '../../../flow/minimatch.ts';
import { formatActions } from '../../../openflow/actions/index.ts';
import type { Subfield } from '../../../openflow/fields/mf-field.ts';
import { formatSubfield } from '../../../openflow/fields/mf-subfield.ts';
import { formatMf } from '../../../openflow/fields/mf-text.ts';
import { mfGet } from '../../../openflow/fields/mf-value.ts';
import { newMatch } from '../../../openflow/match/match.ts';
import { DEFAULT_PRIORITY, formatMatch } from '../../../openflow/match/match-text.ts';
import type { OfpNames } from '../../../openflow/ofp-names.ts';
import { formatHex } from '../../../openflow/ofp-text.ts';
import type { Ofpact, OfpactNat } from '../../../openflow/ofpact.ts';
import type { Rule } from '../../tables/rule.ts';
import type { XBridge } from '../xbridge.ts';

/** What a node tells.  The first four may have nodes below them. */
export const OFT = {
  BRIDGE: 'bridge', // a packet's way through a bridge
  TABLE: 'table', // a rule
  BUCKET: 'bucket', // of a group
  THAW: 'thaw', // what a frozen state brings back
  ACTION: 'action',
  DETAIL: 'detail',
  WARN: 'warn',
  ERROR: 'error',
} as const;
export type OftraceType = (typeof OFT)[keyof typeof OFT];

export interface TraceNode {
  readonly type: OftraceType;
  readonly text: string;
  readonly below: TraceNode[];
}

/** A packet that the datapath would bring back. */
export interface TraceRecirc {
  readonly id: number;
  /** Only after connection tracking does the packet come back with another ct_state. */
  readonly isConntrack: boolean;
  /** The packet as it was, with the zone of the connection; `inPort` is the OpenFlow one. */
  readonly flow: FlowKey;
  readonly zone: number;
  readonly nat: OfpactNat | undefined;
}

/** Column 0 for what goes on at the same level; the last rule, bridge or state of a list hangs no deeper than its parent. */
const isTerminal = (type: OftraceType): boolean => type !== OFT.BRIDGE && type !== OFT.TABLE && type !== OFT.THAW;

export class XlateTrace {
  readonly nodes: TraceNode[] = [];
  /** In the order in which the packet would come back. */
  readonly recircs: TraceRecirc[] = [];
  private at: TraceNode[] = this.nodes;
  private home: XBridge | undefined;
  private readonly namesOf: (bridge: XBridge) => OfpNames;

  /** `namesOf`: names that ports have in the texts of a bridge; by default they are numbers. */
  constructor(namesOf: (bridge: XBridge) => OfpNames = () => ({})) {
    this.namesOf = namesOf;
  }

  report(type: OftraceType, text: string): void {
    this.at.push({ type, text, below: [] });
  }
  detail(text: string): void {
    this.report(OFT.DETAIL, text);
  }
  warn(text: string): void {
    this.report(OFT.WARN, text);
  }
  error(text: string): void {
    this.report(OFT.ERROR, text);
  }

  /** Enters the bridge that the packet came in by. */
  begin(bridge: XBridge): void {
    this.home = bridge;
    this.enter(OFT.BRIDGE, `bridge("${bridge.name}")`);
  }

  /** Reports, and has what follows hang below it until `leave` gets what this returns. */
  enter(type: OftraceType, text: string): TraceNode[] {
    const up = this.at;
    const node: TraceNode = { type, text, below: [] };
    up.push(node);
    this.at = node.below;
    return up;
  }
  /** Goes back to where a matching `enter` was called; undefined: there was none. */
  leave(up: TraceNode[] | undefined): void {
    if (up !== undefined) this.at = up;
  }

  /** Enters a rule that was found in `table` of `bridge`, or the want of one. */
  enterTable(bridge: XBridge, rule: Rule, table: number): TraceNode[] {
    const number = `${String(table).padStart(2)}. `;
    // Another bridge's rule for what no rule matches is shown as the rule that it is.
    if (rule.missText !== undefined && bridge === this.home) return this.enter(OFT.TABLE, number + rule.missText);
    const match = newMatch();
    expandTo(rule.match, match.flow, match.mask);
    const text = formatMatch(match, DEFAULT_PRIORITY, this.namesOf(bridge));
    const cookie = rule.cookie === 0n ? '' : `, cookie 0x${rule.cookie.toString(16)}`;
    return this.enter(OFT.TABLE, `${number}${text === '' ? '' : `${text}, `}priority ${rule.priority}${cookie}`);
  }

  /** Reports an action that is about to be carried out. */
  action(bridge: XBridge, a: Ofpact): void {
    this.report(OFT.ACTION, formatActions([a], this.namesOf(bridge)));
  }
  /** Reports a list of actions under a title. */
  actions(type: OftraceType, title: string, actions: readonly Ofpact[]): void {
    this.report(type, `${title}: ${formatActions(actions)}`);
  }

  /** Reports what an unroll_xlate action brings back.  The cookie stands in the byte order of the wire, read as the host's. */
  restored(table: number, cookie: bigint): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(cookie);
    this.report(OFT.THAW, `restored state: table=${table}, cookie=${formatHex(bytes.readBigUInt64LE())}`);
  }

  /** Reports what `sf` of `flow` has become. */
  subfield(sf: Subfield, flow: FlowKey): void {
    const isAll = sf.ofs === 0 && sf.bits >= sf.field.bits;
    const bytes = mfGet(sf.field, flow);
    const part = (): bigint =>
      BigInt.asUintN(sf.bits, BigInt(`0x${Buffer.from(bytes).toString('hex')}`) >> BigInt(sf.ofs));
    const value = isAll ? formatMf(sf.field, bytes) : formatHex(part());
    this.detail(`${formatSubfield(sf)} is now ${value}`);
  }

  /** The datapath would bring the packet back. */
  recirculates(recirc: TraceRecirc): void {
    this.recircs.push(recirc);
  }

  format(): string {
    const out: string[] = [];
    formatNodes(out, this.nodes, 0);
    return out.join('');
  }
}

// biome-ignore format: table
const FORMS: Readonly<Record<OftraceType, (text: string) => string>> = {
  bridge: (t) => t, table: (t) => t, bucket: (t) => t, thaw: (t) => t, action: (t) => t,
  detail: (t) => ` -> ${t}`, warn: (t) => ` >> ${t}`, error: (t) => ` >>>> ${t} <<<<`,
};

function formatNodes(out: string[], nodes: readonly TraceNode[], level: number): void {
  for (const [i, node] of nodes.entries()) {
    const deeper = i < nodes.length - 1 || isTerminal(node.type) ? 1 : 0;
    const indent = ' '.repeat(4 * (level + deeper));
    if (node.type === OFT.BRIDGE) out.push('\n');
    out.push(`${indent}${FORMS[node.type](node.text)}\n`);
    if (node.type === OFT.BRIDGE) out.push(`${indent}${'-'.repeat(Buffer.byteLength(node.text))}\n`);
    formatNodes(out, node.below, level + 2 * deeper);
  }
}
