/**
 * Looking packets up in the tables of a switch: what fragments look like, and what a packet meets that no rule matches.
 *
 *     the table says    no rule matches, and the packet may go to a controller
 *     default           to the controllers that want that (OpenFlow 1.0 to 1.2); with none of them it is dropped
 *     controller        to the controllers; dropped if its port says no-packet-in
 *     continue          the next table; after the last one as `controller`
 *     drop              dropped
 *
 * For the outcomes that no controller made there are rules in the hidden table, so that packets are counted and shown like any others.
 * Source: ofproto/ofproto-dpif.c (rule_dpif_lookup_from_table, add_internal_flows), OpenFlow 1.0.2 5.3.2.
 */
import { FIELD, OVS_FRAG_TYPE } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField, setFieldOnes } from '../../flow/flow-key.ts';
import { miniFromFlow } from '../../flow/minimatch.ts';
import { newMatch } from '../../openflow/match/match.ts';
import { newFlowMod } from '../../openflow/messages/flow/new-flow-mod.ts';
import { OFPP, OFPPC } from '../../openflow/ofp-port.ts';
import type { Ofpact } from '../../openflow/ofpact.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { type FlowTables, TBL_INTERNAL } from '../tables/flow-tables.ts';
import type { Rule } from '../tables/rule.ts';
import type { LookupHow } from './xbridge.ts';

const log = vlog('ofproto_dpif');
const limit = new RateLimit(1, 5);

/** OFPC_FRAG_*: what look-ups do with fragments. */
// biome-ignore format: table
export const FRAG = {
  NORMAL:   0, // their ports are 0
  DROP:     1,
  REASM:    2, // refused
  NX_MATCH: 3, // the first has its ports
} as const;

/** OFPR_IMPLICIT_MISS, and all bytes of the packet. */
const MISS: Ofpact = {
  kind: 'controller',
  maxLen: 0xffff,
  controllerId: 0,
  reason: 7,
  pause: false,
  userdata: new Uint8Array(0),
  meterId: 0,
};
const TEXTS = [
  'No match, and a "packet-in" is called for.',
  'No match.',
  'Packets are IP fragments and the fragment handling mode is "drop".',
] as const;

/** A look-up of which nobody is told, and after which a packet that no rule matches is dropped. */
export const plainLookup = (table: number): LookupHow => ({
  mayPacketIn: false,
  honorsMiss: false,
  inPort: OFPP.NONE,
  table,
  lookedUp: () => {},
});

/** Adds a rule to the hidden table. */
function addInternal(tables: FlowTables, mark: number, ofpacts: readonly Ofpact[], missText: string): Rule {
  const match = newMatch();
  setField(match.flow, FIELD.reg0, mark);
  setFieldOnes(match.mask, FIELD.reg0);
  tables.apply(newFlowMod('ADD', { tableId: TBL_INTERNAL, match, priority: 0, ofpacts }), true);
  const mini = miniFromFlow(match.flow, match.mask);
  const rule = tables.table(TBL_INTERNAL).classifier.findExactly(mini, 0, tables.version);
  if (rule === undefined) throw new Error('an internal flow is missing');
  rule.missText = missText;
  return rule;
}

export class TableLookup {
  /** FRAG.* */
  frag: number = FRAG.NORMAL;
  /** Whether a controller wants what no rule matches, where a table does not say what becomes of it. */
  wantsMisses: () => boolean = () => false;
  private readonly tables: FlowTables;
  private readonly portConfig: (ofport: number) => number | undefined;
  private readonly miss: Rule;
  private readonly noPacketIn: Rule;
  private readonly dropFrags: Rule;

  /** `portConfig` gives the OFPPC_* bits of a port; undefined if there is none. */
  constructor(tables: FlowTables, portConfig: (ofport: number) => number | undefined) {
    this.tables = tables;
    this.portConfig = portConfig;
    this.miss = addInternal(tables, 1, [MISS], TEXTS[0]);
    this.noPacketIn = addInternal(tables, 2, [], TEXTS[1]);
    this.dropFrags = addInternal(tables, 3, [], TEXTS[2]);
    // Nothing but recirculated packets may get past this into the hidden table.
    const match = newMatch();
    setFieldOnes(match.mask, FIELD.recircId);
    tables.apply(newFlowMod('ADD', { tableId: TBL_INTERNAL, match, priority: 2 }), true);
  }

  /** The rule for a packet that `how.table` is looked up for; adds what decided to `wc`. */
  find(flow: FlowKey, wc: FlowMask, how: LookupHow): Rule {
    const isFragment = getField(flow, FIELD.nwFrag) !== OVS_FRAG_TYPE.NONE;
    if (!isFragment || this.frag === FRAG.NX_MATCH) return this.findPlain(flow, wc, how);
    if (this.frag !== FRAG.NORMAL) {
      how.lookedUp(this.tables.table(how.table), true);
      return this.dropFrags;
    }
    const src = getField(flow, FIELD.tpSrc);
    const dst = getField(flow, FIELD.tpDst);
    setField(flow, FIELD.tpSrc, 0);
    setField(flow, FIELD.tpDst, 0);
    const rule = this.findPlain(flow, wc, how);
    setField(flow, FIELD.tpSrc, src);
    setField(flow, FIELD.tpDst, dst);
    return rule;
  }

  private findPlain(flow: FlowKey, wc: FlowMask, how: LookupHow): Rule {
    for (let n = how.table; ; n++) {
      how.table = n;
      const table = this.tables.table(n);
      const rule = this.tables.lookup(n, flow, wc);
      how.lookedUp(table, rule !== undefined);
      if (rule !== undefined) return rule;
      if (!how.honorsMiss) return how.mayPacketIn ? this.toController(how) : this.noPacketIn;
      const isLast = n + 1 >= TBL_INTERNAL;
      if (table.miss === 'continue' && !isLast) continue;
      if (!how.mayPacketIn) return this.noPacketIn;
      if (table.miss === 'default') return this.wantsMisses() ? this.miss : this.noPacketIn;
      return table.miss === 'drop' ? this.noPacketIn : this.toController(how);
    }
  }

  private toController(how: LookupHow): Rule {
    const config = this.portConfig(how.inPort);
    if (config === undefined) log.warn(() => `packet-in on unknown OpenFlow port ${how.inPort}`, limit);
    else if ((config & OFPPC.NO_PACKET_IN) === 0) return this.miss;
    return this.noPacketIn;
  }
}
