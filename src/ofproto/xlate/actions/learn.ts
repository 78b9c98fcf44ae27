/**
 * The action learn: the flow that it makes of a packet.
 *
 * `learnFlowMod` carries out the specs; `LearnedFlow` puts the flow into the table, and back or to a new life whenever packets come
 * that would learn it again.  `xlate-learn.ts` is the action in a translation.
 * Source: lib/learn.c (learn_execute, learn_mask), ofproto/ofproto.c (ofproto_flow_mod_learn), ovs-actions(7).
 */
import type { FlowKey, FlowMask } from '../../../flow/flow-key.ts';
import { miniFromFlow } from '../../../flow/minimatch.ts';
import type { MfField, MfValue, Subfield } from '../../../openflow/fields/mf-field.ts';
import { MF } from '../../../openflow/fields/mf-fields.ts';
import { maskSubfield } from '../../../openflow/fields/mf-subfield.ts';
import { mfGet, mfGetMask } from '../../../openflow/fields/mf-value.ts';
import { type Match, matchSetField, newMatch } from '../../../openflow/match/match.ts';
import { FLOW_FLAG, type FlowMod, OFPG, UNKNOWN64 } from '../../../openflow/messages/flow/flow-types.ts';
import { newFlowMod } from '../../../openflow/messages/flow/new-flow-mod.ts';
import { OfpError } from '../../../openflow/ofp-errors.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import type { LearnSpec, Ofpact, OfpactLearn } from '../../../openflow/ofpact.ts';
import { monotonicMs } from '../../../util/clock.ts';
import { RateLimit, vlog } from '../../../util/vlog.ts';
import type { FlowTables } from '../../tables/flow-tables.ts';
import { FLOW_FLAG_STATE, type Rule } from '../../tables/rule.ts';
import { isSameActions } from '../recirc.ts';
import type { LearnedFlow } from '../xbridge.ts';

const log = vlog('ofproto');
const limit = new RateLimit(1, 5);

/** NX_LEARN_F_*. */
export const LEARN_FLAG = { SEND_FLOW_REM: 1, DELETE_LEARNED: 2, WRITE_RESULT: 4 } as const;

const OUTPUT_PORTS: ReadonlySet<number> = new Set([OFPP.IN_PORT, OFPP.FLOOD, OFPP.LOCAL, OFPP.ALL]);
const PACKET_TYPE = MF['packet_type'] as MfField;

const toNumber = (bytes: Uint8Array): bigint => bytes.reduce((n, b) => (n << 8n) | BigInt(b), 0n);

function toBytes(value: bigint, size: number): MfValue {
  const out = new Uint8Array(size);
  for (let i = size - 1; i >= 0; i--, value >>= 8n) out[i] = Number(value & 0xffn);
  return out;
}

const ones = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** Some bits of a packet's field, or the number that the spec has. */
function sourceOf({ src, bits }: LearnSpec, flow: FlowKey): bigint {
  if (src.kind === 'immediate') return toNumber(src.value) & ones(bits);
  const { field, ofs } = src.subfield;
  return (toNumber(mfGet(field, flow)) >> BigInt(ofs)) & ones(bits);
}

/** A value in its place in a field, and the mask of that place. */
function place({ field, ofs, bits }: Subfield, value: bigint): { readonly value: MfValue; readonly mask: MfValue } {
  const at = BigInt(ofs);
  return { value: toBytes((value & ones(bits)) << at, field.bytes), mask: toBytes(ones(bits) << at, field.bytes) };
}

function addToMatch(match: Match, dst: Subfield, value: bigint): void {
  const { field } = dst;
  const put = place(dst, value);
  const old = mfGet(field, match.flow);
  const oldMask = mfGetMask(field, match.mask);
  matchSetField(
    match,
    field,
    put.value.map((b, i) => b | ((old[i] as number) & ~(put.mask[i] as number))),
    put.mask.map((b, i) => b | (oldMask[i] as number)),
  );
  // A field that only Ethernet packets have says that the packet is one.
  const hasType = mfGetMask(PACKET_TYPE, match.mask).some((b) => b !== 0);
  if (field.prereq !== 'none' && !hasType) matchSetField(match, PACKET_TYPE, new Uint8Array(PACKET_TYPE.bytes));
}

/** The flow_mod that carries out `a` for a packet: MODIFY_STRICT, which adds the flow if it is not there. */
export function learnFlowMod(a: OfpactLearn, flow: FlowKey): FlowMod {
  const match = newMatch();
  const ofpacts: Ofpact[] = [];
  if (a.finIdleTimeout !== 0 || a.finHardTimeout !== 0) {
    ofpacts.push({ kind: 'fin_timeout', idle: a.finIdleTimeout, hard: a.finHardTimeout });
  }
  for (const spec of a.specs) {
    const value = sourceOf(spec, flow);
    if (spec.dst.kind === 'output') {
      const isPort = value < BigInt(OFPP.MAX) || OUTPUT_PORTS.has(Number(value));
      if (isPort) ofpacts.push({ kind: 'output', port: Number(value), maxLen: 0 });
    } else if (spec.dst.kind === 'match') addToMatch(match, spec.dst.subfield, value);
    else {
      const { subfield } = spec.dst;
      ofpacts.push({ kind: 'set_field', field: subfield.field, ...place(subfield, value), isLoad: true });
    }
  }
  return newFlowMod('MODIFY_STRICT', {
    match,
    ofpacts,
    priority: a.priority,
    newCookie: a.cookie,
    modifyCookie: a.cookie !== UNKNOWN64,
    tableId: a.table,
    idleTimeout: a.idleTimeout,
    hardTimeout: a.hardTimeout,
    flags: (a.flags & LEARN_FLAG.SEND_FLOW_REM) !== 0 ? FLOW_FLAG.SEND_FLOW_REM : 0,
  });
}

/** Notes that the fields that the specs read decided. */
export function learnWildcards(a: OfpactLearn, wc: FlowMask): void {
  for (const { src } of a.specs) if (src.kind === 'field') maskSubfield(src.subfield, wc);
}

/** A learned flow in, or for, the tables of a switch. */
export class TableLearnedFlow implements LearnedFlow {
  readonly flowMod: FlowMod;
  private readonly tables: FlowTables;
  private readonly limit: number;

  /** `limit`: flows of the same table and cookie; 0: any number. */
  constructor(tables: FlowTables, flowMod: FlowMod, limit: number) {
    this.tables = tables;
    this.flowMod = flowMod;
    this.limit = limit;
  }

  get isThere(): boolean {
    return this.find() !== undefined;
  }

  private find(): Rule | undefined {
    const { match, priority, tableId } = this.flowMod;
    return this.tables
      .table(tableId)
      .classifier.findExactly(miniFromFlow(match.flow, match.mask), priority, this.tables.version);
  }

  fits(nMore: number): boolean {
    if (this.limit === 0 || this.isThere) return true;
    const { tableId, newCookie } = this.flowMod;
    let n = nMore;
    const same = this.tables.select({
      table: tableId,
      match: newMatch(),
      strictPriority: undefined,
      cookie: newCookie,
      cookieMask: UNKNOWN64,
      outPort: OFPP.NONE,
      outGroup: OFPG.ANY,
      withHidden: false,
    });
    for (const _ of same) if (++n >= this.limit) break;
    if (n < this.limit) return true;
    log.info(`Learn limit for flow ${newCookie} reached.`, limit);
    return false;
  }

  learn(): void {
    this.tables.whenIdle(() => this.learnNow());
  }

  private learnNow(): void {
    const rule = this.find();
    if (rule !== undefined && this.isSame(rule)) {
      // It begins anew, as far as its hard timeout is concerned.
      rule.modifiedMs = monotonicMs();
      return;
    }
    if (!this.fits(0)) return;
    try {
      this.tables.apply(this.flowMod);
    } catch (e) {
      if (!(e instanceof OfpError)) throw e;
      log.warn(() => `learn: ${e.message}`, limit);
    }
  }

  private isSame(rule: Rule): boolean {
    const { flowMod: fm } = this;
    return (
      rule.idleTimeout === fm.idleTimeout &&
      rule.hardTimeout === fm.hardTimeout &&
      rule.importance === fm.importance &&
      rule.flags === (fm.flags & FLOW_FLAG_STATE) &&
      (!fm.modifyCookie || rule.cookie === fm.newCookie) &&
      isSameActions(rule.actions, fm.ofpacts)
    );
  }
}
