/**
 * Whether actions make sense for the packets that a match lets through: fields that the packets have, ports and tables that the switch has.
 *
 * What goes before counts: after push_mpls the packet is MPLS.  Some mistakes OpenFlow 1.0 lets pass, where they do nothing; they take the
 * other versions out of the usable protocols.
 * Source: lib/ofp-actions.c (check_*, ofpacts_check), lib/learn.c (learn_check), lib/bundle.c (bundle_check).
 */
import { getBits, setBits } from '../../flow/bits.ts';
import { FIELD, type Field } from '../../flow/fields.ts';
import { newFlow } from '../../flow/flow-key.ts';
import type { MfField, Subfield } from '../fields/mf-field.ts';
import { MF } from '../fields/mf-fields.ts';
import { mfPrereqsOk } from '../fields/mf-prereqs.ts';
import { type Match, matchSetField, newMatch } from '../match/match.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { OFPP } from '../ofp-port.ts';
import { OFPUTIL_P } from '../ofp-protocol.ts';
import type { Ofpact, OfpactCt, OfpactLearn } from '../ofpact.ts';
import { checkSrc } from './field-wire.ts';
import { checkMembers } from './hash.ts';
import { checkOutputPort } from './output.ts';

export interface CheckOptions {
  readonly match: Match;
  /** Ports are below it. */
  readonly maxPorts: number;
  /** Table of the flow; 255: not known. */
  readonly tableId: number;
  /** How many tables there are; 255: not known. */
  readonly nTables: number;
}

export interface CheckedActions {
  /** With what a later encoding needs to know of the match filled in: `flowHasVlan`, `ipProto`. */
  readonly actions: readonly Ofpact[];
  /** OFPUTIL_P bits of the protocols for which they are consistent with the match. */
  readonly usableProtocols: number;
}

const ETH_IP = 0x0800;
const ETH_IPV6 = 0x86dd;
const ETH_MPLS: readonly number[] = [0x8847, 0x8848];
const ETH_NSH = 0x894f;
/** A packet of which only what is inside is left, not known yet. */
const PT_UNKNOWN = 0xffff;
const VLAN_CFI = 0x1000;
const FRAG_LATER = 2;
const CS_INVALID = 16;
const PROTO = { TCP: 6, UDP: 17, SCTP: 132 } as const;
const PORT = { FTP: 21, TFTP: 69 } as const;
const MAX_METER = 0xffff0000;
/** A field of the original direction: there if the connection is known. */
const CT_ORIG = MF['ct_nw_proto'] as MfField;

const fail = (err: keyof typeof OFPERR, why: string): never => {
  throw new OfpError(OFPERR[err], why);
};

class Checker {
  usable: number = OFPUTIL_P.ANY;
  private readonly o: CheckOptions;
  private readonly match: Match;

  constructor(o: CheckOptions, match: Match) {
    this.o = o;
    this.match = match;
  }

  private get(field: Field): number {
    return getBits(this.match.flow, field.at, field.bits);
  }
  private set(field: Field, value: number): void {
    setBits(this.match.flow, field.at, field.bits, value);
  }
  private get dlType(): number {
    const type = this.get(FIELD.packetType);
    return type === 0 ? this.get(FIELD.ethType) : type;
  }
  private get isIp(): boolean {
    return this.dlType === ETH_IP || this.dlType === ETH_IPV6;
  }
  private get hasVlan(): boolean {
    return (this.get(FIELD.vlanTci) & VLAN_CFI) !== 0;
  }

  /** Only OpenFlow 1.0 lets pass what does not hold. */
  private want(holds: boolean): void {
    if (!holds) this.usable &= OFPUTIL_P.OF10_ANY;
  }

  private prereqs(field: MfField, match: Match): void {
    if (!mfPrereqsOk(field, match.flow, match.mask)) {
      fail('OFPBAC_MATCH_INCONSISTENT', `${field.name} without ${field.prereq}`);
    }
  }
  private src(subfield: Subfield, match = this.match): void {
    checkSrc(subfield);
    this.prereqs(subfield.field, match);
  }
  private dst(subfield: Subfield, match = this.match): void {
    this.src(subfield, match);
    if (!subfield.field.isWritable) fail('OFPBAC_BAD_SET_ARGUMENT', `${subfield.field.name} is read-only`);
  }

  /** Checks a list, and forgets after it what it did to the packet. */
  list(actions: readonly Ofpact[]): readonly Ofpact[] {
    const flow = this.match.flow.slice();
    const checked = this.all(actions);
    this.match.flow.set(flow);
    return checked;
  }

  /** Checks a list; the same one comes back if nothing had to be changed. */
  all(actions: readonly Ofpact[]): readonly Ofpact[] {
    const checked = actions.map((a) => this.one(a));
    return checked.every((a, i) => a === actions[i]) ? actions : checked;
  }

  private learn(a: OfpactLearn): void {
    const learned = newMatch();
    for (const { src, dst } of a.specs) {
      if (src.kind === 'field') this.src(src.subfield);
      if (dst.kind === 'load') this.dst(dst.subfield, learned);
      else if (dst.kind === 'match') {
        const { field, ofs, bits } = dst.subfield;
        this.src(dst.subfield, learned);
        if (src.kind !== 'immediate' || field.isVariable) continue;
        const value = src.value.reduce((n, b) => (n << 8n) | BigInt(b), 0n) << BigInt(ofs);
        const mask = ((1n << BigInt(bits)) - 1n) << BigInt(ofs);
        const bytes = (n: bigint): Uint8Array =>
          Uint8Array.from({ length: field.bytes }, (_, i) => Number((n >> BigInt(8 * (field.bytes - 1 - i))) & 0xffn));
        matchSetField(learned, field, bytes(value), bits === field.bits ? undefined : bytes(mask));
      }
    }
  }

  private ct(a: OfpactCt): Ofpact {
    const proto = this.get(FIELD.nwProto);
    const isOdd =
      !this.isIp ||
      ((this.get(FIELD.ctState) & CS_INVALID) !== 0 && (a.flags & 1) !== 0) ||
      (a.alg === PORT.FTP && proto !== PROTO.TCP) ||
      (a.alg === PORT.TFTP && proto !== PROTO.UDP);
    if (isOdd) fail('OFPBAC_MATCH_INCONSISTENT', 'ct');
    if (a.zoneSrc !== undefined) {
      this.src(a.zoneSrc);
      return a;
    }
    return { ...a, actions: this.list(a.actions) };
  }

  private vlanSet<A extends Ofpact & { readonly pushIfNone: boolean }>(a: A): A {
    const flowHasVlan = this.hasVlan;
    this.want(flowHasVlan || a.pushIfNone);
    this.set(FIELD.vlanTci, this.get(FIELD.vlanTci) | VLAN_CFI);
    return { ...a, flowHasVlan };
  }

  private one(a: Ofpact): Ofpact {
    switch (a.kind) {
      case 'output':
      case 'output_trunc':
        checkOutputPort(a.port, this.o.maxPorts);
        return a;
      case 'enqueue':
        if (a.port >= this.o.maxPorts && a.port !== OFPP.IN_PORT && a.port !== OFPP.LOCAL) {
          fail('OFPBAC_BAD_OUT_PORT', `port ${a.port}`);
        }
        return a;
      case 'output_reg':
        this.src(a.src);
        return a;
      case 'bundle':
        if (a.dst !== undefined) this.dst(a.dst);
        checkMembers(a.members, this.o.maxPorts);
        return a;
      case 'multipath':
        this.dst(a.dst);
        return a;
      case 'set_vlan_vid':
      case 'set_vlan_pcp':
        return this.vlanSet(a);
      case 'strip_vlan':
        this.want(this.hasVlan);
        this.set(FIELD.vlanTci, this.get(FIELD.cvlanTci));
        this.set(FIELD.vlanTpid, this.get(FIELD.cvlanTpid));
        this.set(FIELD.cvlanTci, 0);
        this.set(FIELD.cvlanTpid, 0);
        return a;
      case 'push_vlan':
        if ((this.get(FIELD.cvlanTci) & VLAN_CFI) !== 0) fail('OFPBAC_BAD_TAG', 'a third tag');
        this.set(FIELD.cvlanTci, this.get(FIELD.vlanTci));
        this.set(FIELD.cvlanTpid, this.get(FIELD.vlanTpid));
        this.set(FIELD.vlanTci, VLAN_CFI);
        return a;
      case 'mod_nw_src':
      case 'mod_nw_dst':
        this.want(this.dlType === ETH_IP);
        return a;
      case 'mod_nw_tos':
      case 'mod_nw_ecn':
      case 'mod_nw_ttl':
      case 'dec_ttl':
        this.want(this.isIp);
        return a;
      case 'mod_tp_src':
      case 'mod_tp_dst': {
        const ipProto = this.get(FIELD.nwProto);
        const isL4 = ipProto === PROTO.TCP || ipProto === PROTO.UDP || ipProto === PROTO.SCTP;
        this.want(this.isIp && (this.get(FIELD.nwFrag) & FRAG_LATER) === 0 && isL4);
        return { ...a, ipProto };
      }
      case 'set_field': {
        const isVlanVid = a.field.special === 'vlan-vid';
        if (!mfPrereqsOk(a.field, this.match.flow) || (isVlanVid && !this.hasVlan)) {
          fail('OFPBAC_MATCH_INCONSISTENT', `${a.field.name} without ${a.field.prereq}`);
        }
        const flowHasVlan = this.hasVlan;
        if (a.field.special === 'vlan-tci') {
          this.set(FIELD.vlanTci, ((a.value[0] as number) << 8) | (a.value[1] as number));
        }
        return { ...a, flowHasVlan };
      }
      case 'move':
        this.src(a.src);
        this.dst(a.dst);
        return a;
      case 'push':
        this.src(a.subfield);
        return a;
      case 'pop':
        this.dst(a.subfield);
        return a;
      case 'set_mpls_label':
      case 'set_mpls_tc':
      case 'set_mpls_ttl':
      case 'dec_mpls_ttl':
        this.want(ETH_MPLS.includes(this.dlType));
        return a;
      case 'push_mpls':
        this.want(this.get(FIELD.packetType) === 0);
        this.set(FIELD.ethType, a.ethType);
        this.set(FIELD.nwProto, 0);
        return a;
      case 'pop_mpls':
        this.want(this.get(FIELD.packetType) === 0 && ETH_MPLS.includes(this.dlType));
        this.set(FIELD.ethType, a.ethType);
        return a;
      case 'dec_nsh_ttl':
        this.want(this.get(FIELD.packetType) === ETH_NSH || this.get(FIELD.ethType) === ETH_NSH);
        return a;
      case 'fin_timeout':
        this.want(this.get(FIELD.nwProto) === PROTO.TCP);
        return a;
      case 'delete_field':
        if (!a.field.isVariable) fail('OFPBAC_BAD_ARGUMENT', `delete_field of ${a.field.name}`);
        return a;
      case 'encap':
        this.set(FIELD.packetType, a.packetType & 0xffff);
        if (a.packetType >>> 16 === 1) this.set(FIELD.ethType, a.packetType & 0xffff);
        if (!this.isIp) this.set(FIELD.nwProto, 0);
        return a;
      case 'decap':
        if (this.get(FIELD.packetType) === 0) this.set(FIELD.packetType, this.get(FIELD.ethType) || PT_UNKNOWN);
        else {
          this.set(FIELD.packetType, PT_UNKNOWN);
          this.set(FIELD.ethType, PT_UNKNOWN);
        }
        return a;
      case 'resubmit': {
        const { flow, mask } = this.match;
        if (a.withCtOrig && !mfPrereqsOk(CT_ORIG, flow, mask)) fail('OFPBAC_MATCH_INCONSISTENT', 'resubmit(,,ct)');
        return a;
      }
      case 'learn':
        this.learn(a);
        return a;
      case 'ct':
        return this.ct(a);
      case 'nat': {
        const want = a.addrMin === undefined ? this.dlType : a.addrMin.length === 4 ? ETH_IP : ETH_IPV6;
        if (!this.isIp || this.dlType !== want) fail('OFPBAC_MATCH_INCONSISTENT', 'nat');
        return a;
      }
      case 'clone':
        return { ...a, actions: this.list(a.actions) };
      case 'write_actions': {
        // Whether an action set is consistent cannot be told here.
        const { usable } = this;
        const actions = this.list(a.actions);
        this.usable = usable;
        return { ...a, actions };
      }
      case 'meter':
        if (a.meterId === 0 || a.meterId > MAX_METER) fail('OFPMMFC_INVALID_METER', `meter ${a.meterId}`);
        return a;
      case 'goto_table': {
        const { tableId, nTables } = this.o;
        if ((tableId !== 255 && a.table <= tableId) || (nTables !== 255 && a.table >= nTables)) {
          fail('OFPBIC_BAD_TABLE_ID', `goto_table:${a.table}`);
        }
        return a;
      }
      default:
        return a;
    }
  }
}

// A check never waits, so that one flow serves all of them.
const scratch = newFlow();

/** What most flows do, whatever they match. */
const isOutput = (a: Ofpact): a is Extract<Ofpact, { kind: 'output' }> => a.kind === 'output';

/** Checks actions and instructions against the match of their flow, which it leaves as it is.  Throws OfpError. */
export function checkActions(actions: readonly Ofpact[], o: CheckOptions): CheckedActions {
  if (actions.every(isOutput)) {
    for (const { port } of actions) checkOutputPort(port, o.maxPorts);
    return { actions, usableProtocols: OFPUTIL_P.ANY };
  }
  scratch.fill(0);
  scratch.set(o.match.flow);
  const checker = new Checker(o, { flow: scratch, mask: o.match.mask });
  const checked = checker.all(actions);
  return { actions: checked, usableProtocols: checker.usable };
}

/** As checkActions; also OFPBAC_MATCH_INCONSISTENT unless all of the `needed` protocols (OFPUTIL_P) are usable. */
export function checkActionsConsistency(actions: readonly Ofpact[], needed: number, o: CheckOptions): CheckedActions {
  const checked = checkActions(actions, o);
  if ((needed & ~checked.usableProtocols) !== 0)
    fail('OFPBAC_MATCH_INCONSISTENT', 'actions that the match does not allow');
  return checked;
}
