/**
 * From what translation has made of a flow to datapath actions that make it of the packet: the difference between `flow` and `base`, which
 * is the packet after the actions so far.
 *
 * Only fields that differ are set, and of them the bits that the megaflow matches: others may differ from packet to packet.  Of
 * ARP and ND the kernel sets nothing, and of ICMP neither: then every packet goes through userspace.
 * Source: lib/odp-util.c (commit_odp_actions and what it calls).
 */
import { FIELD, type Field, VLAN_CFI } from '../../../flow/fields.ts';
import {
  type FlowKey,
  type FlowMask,
  getField,
  getFieldBytes,
  newFlow,
  setField,
  setFieldBytes,
  setFieldOnes,
} from '../../../flow/flow-key.ts';
import { storeKeyAttr } from '../../../odp/key/key-codec.ts';
import { OVS_KEY_ATTR as K, KEY_ROWS } from '../../../odp/key/key-table.ts';
import type { OdpActionsBuilder } from '../../../odp/odp-actions.ts';
import { SLOW_PATH } from '../../../odp/slow-path.ts';
import type { TlvTable } from '../../../openflow/fields/tlv-table.ts';
import { countCommonLabels, countMplsLabels, isMplsType, popMpls, pushMpls } from '../actions/flow-mpls.ts';
import { fieldsToOptions } from '../tunnel-options.ts';
import { bitsOf, unwildcard, VLAN_WORDS } from '../wildcards.ts';

/** What is to happen to the packet's outermost header at the next commit. */
export interface PendingHeader {
  encap: boolean;
  decap: boolean;
  /** Context headers of metadata type 2 for push_nsh. */
  md2: Uint8Array | undefined;
}
export const noPendingHeader = (): PendingHeader => ({ encap: false, decap: false, md2: undefined });

/** Fields of an attribute that actions may change. */
interface SetRow {
  readonly attr: number;
  readonly fields: readonly Field[];
}
const F = FIELD;
// biome-ignore format: table
const ROW = {
  ether:    { attr: K.ETHERNET,  fields: [F.ethSrc, F.ethDst] },
  ipv4:     { attr: K.IPV4,      fields: [F.nwSrc, F.nwDst, F.nwTos, F.nwTtl] },
  ipv6:     { attr: K.IPV6,      fields: [F.ipv6Src, F.ipv6Dst, F.ipv6Label, F.nwTos, F.nwTtl] },
  arp:      { attr: K.ARP,       fields: [F.nwSrc, F.nwDst, F.nwProto, F.arpSha, F.arpTha] },
  nd:       { attr: K.ND,        fields: [F.ndTarget, F.arpSha, F.arpTha] },
  ndExt:    { attr: K.ND_EXTENSIONS, fields: [F.ndReserved, F.ndOptionsType] },
  tcp:      { attr: K.TCP,       fields: [F.tpSrc, F.tpDst] },
  udp:      { attr: K.UDP,       fields: [F.tpSrc, F.tpDst] },
  sctp:     { attr: K.SCTP,      fields: [F.tpSrc, F.tpDst] },
  icmp:     { attr: K.ICMP,      fields: [F.tpSrc, F.tpDst] },
  icmpv6:   { attr: K.ICMPV6,    fields: [F.tpSrc, F.tpDst] },
  priority: { attr: K.PRIORITY,  fields: [F.skbPriority] },
  mark:     { attr: K.SKB_MARK,  fields: [F.skbMark] },
} as const satisfies Record<string, SetRow>;

const NW_FIELDS: readonly Field[] = [...ROW.ipv4.fields, ...ROW.ipv6.fields, ...ROW.arp.fields];
const L4_ROWS: Readonly<Record<number, SetRow>> = { 6: ROW.tcp, 17: ROW.udp, 132: ROW.sctp };
const ICMP_BITS = bitsOf(F.tpSrc, F.tpDst);
const VLAN_BITS = [bitsOf(F.vlanTpid, F.vlanTci), bitsOf(F.cvlanTpid, F.cvlanTci)] as const;
const PACKET_TYPE = bitsOf(F.packetType);
const NSH_FIELDS = [F.nshFlags, F.nshTtl, F.nshPathHdr, F.nshC1, F.nshC2, F.nshC3, F.nshC4] as const;
const LSE = F.mplsLse0.word;
const ECN = 3;
const MPLS_UNICAST = 0x8847;
const NSH = 0x894f;

const scratchMask = newFlow();
/** Whether the datapath sets single bits: of the commit that is under way. */
let setsMasked = true;
const bytes = new Uint8Array(16);

function isSame(a: FlowKey, b: FlowKey, f: Field): boolean {
  if (f.bits <= 32) return getField(a, f) === getField(b, f);
  for (let bit = f.at; bit < f.at + f.bits; bit += 16) {
    const shift = 16 - (bit & 31);
    if ((((a[bit >>> 5] as number) ^ (b[bit >>> 5] as number)) >>> shift) & 0xffff) return false;
  }
  return true;
}

function copyField(to: FlowKey, from: FlowKey, f: Field): void {
  if (f.bits <= 32) setField(to, f, getField(from, f));
  else {
    getFieldBytes(from, f, bytes, 0);
    setFieldBytes(to, f, bytes, 0);
  }
}

/** Sets what differs of an attribute; `base` becomes as `flow`.  False if nothing differs. */
function commitSet(row: SetRow, flow: FlowKey, base: FlowKey, wc: FlowMask, out: OdpActionsBuilder): boolean {
  let differs = false;
  scratchMask.fill(0);
  for (const f of row.fields) {
    if (isSame(flow, base, f)) continue;
    differs = true;
    copyField(scratchMask, wc, f);
  }
  if (!differs) return false;
  const keepsEcn = ((getField(base, F.nwTos) ^ getField(flow, F.nwTos)) & ECN) === 0;
  if ((row === ROW.ipv4 || row === ROW.ipv6) && getField(base, F.tunPresent) !== 0 && keepsEcn) {
    setField(scratchMask, F.nwTos, getField(scratchMask, F.nwTos) & ~ECN);
  }
  if (setsMasked) putSet(row.attr, flow, scratchMask, out);
  else {
    out.set(row.attr, attrBytes(row.attr, flow));
    // All of the header is written, and so all of it has to be as it is here.
    unwildcard(wc, bitsOf(...row.fields, ...(row === ROW.ipv4 || row === ROW.ipv6 ? [F.nwProto, F.nwFrag] : [])));
  }
  for (const f of row.fields) copyField(base, flow, f);
  return true;
}

function attrBytes(attr: number, from: FlowKey): Uint8Array {
  const row = KEY_ROWS[attr];
  if (row === undefined || row.size < 0) throw new RangeError(`attribute ${attr} has no fixed size`);
  const payload = new Uint8Array(row.size);
  storeKeyAttr(row, from, new DataView(payload.buffer), 0);
  return payload;
}

function putSet(attr: number, flow: FlowKey, mask: FlowMask, out: OdpActionsBuilder): void {
  const value = attrBytes(attr, flow);
  const bits = attrBytes(attr, mask);
  // An opcode is two bytes on the wire and one in a flow.
  if (attr === K.ARP && bits[9] === 0xff) bits[8] = 0xff;
  if (bits.every((b) => b === 0xff)) out.set(attr, value);
  else out.setMasked(attr, value, bits);
}

/** Pops the tags of `base` that `flow` has not got, and pushes those of `flow`; the same ones inside stay. */
function commitVlans(flow: FlowKey, base: FlowKey, wc: FlowMask, out: OdpActionsBuilder): void {
  const v0 = flow[VLAN_WORDS[0]] as number;
  const v1 = flow[VLAN_WORDS[1]] as number;
  if (v0 === base[VLAN_WORDS[0]] && v1 === base[VLAN_WORDS[1]]) return;
  const want = stackOf(v0, v1);
  const have = stackOf(base[VLAN_WORDS[0]] as number, base[VLAN_WORDS[1]] as number);
  let common = 0;
  while (common < want.length && common < have.length && want[common] === have[common]) common++;
  for (let i = have.length; i > common; i--) {
    out.popVlan();
    // Which header is popped depends on all of it: without it the packet would have been left as it is.
    unwildcard(wc, VLAN_BITS[have.length - i] ?? VLAN_BITS[0]);
  }
  for (let i = common; i < want.length; i++) {
    const header = want[i] as number;
    out.pushVlan(header >>> 16, header & 0xffff);
  }
  base[VLAN_WORDS[0]] = v0;
  base[VLAN_WORDS[1]] = v1;
}

/** The tags from the inside out. */
function stackOf(v0: number, v1: number): number[] {
  if ((v0 & VLAN_CFI) === 0) return [];
  return (v1 & VLAN_CFI) === 0 ? [v0] : [v1, v0];
}

/** Pops, sets and pushes labels.  What tells was unwildcarded when the actions were translated. */
function commitMpls(flow: FlowKey, base: FlowKey, out: OdpActionsBuilder, isEncap: boolean): void {
  let nBase = countMplsLabels(base);
  const nFlow = countMplsLabels(flow);
  let common = countCommonLabels(flow, nFlow, base, nBase);
  const type = getField(flow, F.ethType);
  while (nBase > common) {
    if (nBase - 1 === common && nFlow > common) {
      // One label in the place of one: set it.
      const lse = flow[LSE + nFlow - nBase] as number;
      const payload = new Uint8Array(4);
      new DataView(payload.buffer).setInt32(0, lse);
      out.set(K.MPLS, payload);
      base[LSE] = lse;
      common++;
    } else {
      // All but the last pop leave another label behind.
      out.popMpls(!isMplsType(type) && nBase > 1 ? MPLS_UNICAST : type);
      popMpls(base, nBase, type);
      nBase--;
    }
  }
  for (; nBase < nFlow; nBase++) {
    const lse = flow[LSE + nFlow - nBase - 1] as number;
    if (isEncap) out.addMpls(lse >>> 0, type, 0);
    else out.pushMpls(lse >>> 0, type);
    // L3 stays: the flow may be restored to what it was.
    pushMpls(base, nBase, type, undefined, false);
    base[LSE] = lse;
  }
}

function commitNsh(flow: FlowKey, base: FlowKey, wc: FlowMask, out: OdpActionsBuilder): void {
  if (getField(flow, F.ethType) !== NSH || NSH_FIELDS.every((f) => isSame(flow, base, f))) return;
  const isType1 = getField(flow, F.nshMdtype) === 1;
  const value = new Uint8Array(24);
  const mask = new Uint8Array(24);
  for (const [to, from] of [
    [value, flow],
    [mask, wc],
  ] as const) {
    const dv = new DataView(to.buffer);
    dv.setUint8(0, getField(from, F.nshFlags));
    dv.setUint8(1, getField(from, F.nshTtl));
    dv.setUint32(4, getField(from, F.nshPathHdr));
    for (let i = 0; i < 4; i++) dv.setUint32(8 + 4 * i, getField(from, NSH_FIELDS[3 + i] as Field));
  }
  // Metadata type and next protocol cannot be set: their mask is 0.
  value[2] = getField(flow, F.nshMdtype);
  value[3] = getField(flow, F.nshNp);
  out.setNshMasked(value, mask, isType1);
  for (const f of NSH_FIELDS) copyField(base, flow, f);
}

/** Network layer; returns SLOW_PATH bits. */
function commitNw(flow: FlowKey, base: FlowKey, wc: FlowMask, out: OdpActionsBuilder): number {
  if (getField(flow, F.nwProto) === 0) {
    // Without a header there is no protocol.  There is a protocol 0, too: that such a packet is left as it is must not be said of others.
    // One whose header an action has put away under another has a protocol in `base`.
    if (getField(base, F.nwProto) === 0 && NW_FIELDS.some((f) => !isSame(flow, base, f))) setFieldOnes(wc, F.nwProto);
    return 0;
  }
  switch (getField(base, F.ethType)) {
    case 0x0800:
      commitSet(ROW.ipv4, flow, base, wc, out);
      return 0;
    case 0x86dd: {
      commitSet(ROW.ipv6, flow, base, wc, out);
      if (getField(base, F.nwProto) !== 58) return 0;
      const ext = commitSet(ROW.ndExt, flow, base, wc, out);
      return commitSet(ROW.nd, flow, base, wc, out) || ext ? SLOW_PATH.ACTION : 0;
    }
    case 0x0806:
      return commitSet(ROW.arp, flow, base, wc, out) ? SLOW_PATH.ACTION : 0;
    default:
      return 0;
  }
}

function commitL4(flow: FlowKey, base: FlowKey, wc: FlowMask, out: OdpActionsBuilder): number {
  const type = getField(base, F.ethType);
  if (type !== 0x0800 && type !== 0x86dd) return 0;
  const proto = getField(flow, F.nwProto);
  const row = L4_ROWS[proto];
  if (row !== undefined) {
    commitSet(row, flow, base, wc, out);
    return 0;
  }
  const flowType = getField(flow, F.ethType);
  const icmp =
    proto === 1 && flowType === 0x0800 ? ROW.icmp : proto === 58 && flowType === 0x86dd ? ROW.icmpv6 : undefined;
  if (icmp === undefined || (isSame(flow, base, F.tpSrc) && isSame(flow, base, F.tpDst))) return 0;
  // Type and code are set whole, so that both count.
  out.set(icmp.attr, attrBytes(icmp.attr, flow));
  for (const f of icmp.fields) copyField(base, flow, f);
  unwildcard(wc, ICMP_BITS);
  wc[F.tpSrc.word] = (wc[F.tpSrc.word] as number) & 0x00ff00ff;
  return SLOW_PATH.ACTION;
}

const mac = (flow: FlowKey, f: Field): Uint8Array => {
  const out = new Uint8Array(6);
  getFieldBytes(flow, f, out, 0);
  return out;
};

/** Pushes or pops the outermost header, where an encap or decap waits for it. */
function commitHeader(flow: FlowKey, base: FlowKey, wc: FlowMask, out: OdpActionsBuilder, p: PendingHeader): void {
  const type = getField(flow, F.packetType);
  const baseType = getField(base, F.packetType);
  if (p.encap) {
    if (type === 0) {
      out.pushEth(mac(flow, F.ethSrc), mac(flow, F.ethDst));
      setField(base, F.packetType, 0);
      copyField(base, flow, F.ethSrc);
      copyField(base, flow, F.ethDst);
    } else if (type === NSH) {
      out.pushNsh(flow, p.md2);
      // All of the packet is another's now.
      base.set(flow.subarray(F.ethDst.word, F.ctState.word), F.ethDst.word);
      base.set(flow.subarray(F.mplsLse0.word, F.tunId.word), F.mplsLse0.word);
    } else commitMpls(flow, base, out, true);
  } else if (p.decap || type !== baseType) {
    if (type !== 0 && baseType === 0) {
      out.popEth();
      setField(base, F.packetType, type);
      base.fill(0, F.ethDst.word, F.ethType.word);
    } else if (baseType === NSH) out.popNsh();
    else if (isMplsType(baseType)) commitMpls(flow, base, out, false);
  } else return;
  unwildcard(wc, PACKET_TYPE);
}

/**
 * Adds to `out` the actions that make `flow` of `base`, which then is like it.  Set(tunnel) is not among them: `commitTunnel`.
 * Returns SLOW_PATH bits: why userspace must carry these actions out.  `isMasked`: the datapath knows how to set
 * single bits of a header.
 */
export function commitActions(
  flow: FlowKey,
  base: FlowKey,
  wc: FlowMask,
  out: OdpActionsBuilder,
  pending: PendingHeader,
  isMasked = true,
): number {
  setsMasked = isMasked;
  commitHeader(flow, base, wc, out, pending);
  pending.encap = pending.decap = false;
  pending.md2 = undefined;
  if (getField(flow, F.packetType) === 0 && getField(base, F.packetType) === 0)
    commitSet(ROW.ether, flow, base, wc, out);
  // L3 and L4 can be set only once no label hides them.
  const uncovers = isMplsType(getField(base, F.ethType)) && !isMplsType(getField(flow, F.ethType));
  if (uncovers) commitMpls(flow, base, out, false);
  commitNsh(flow, base, wc, out);
  let slow = commitNw(flow, base, wc, out);
  slow |= commitL4(flow, base, wc, out);
  if (!uncovers) commitMpls(flow, base, out, false);
  commitVlans(flow, base, wc, out);
  commitSet(ROW.priority, flow, base, wc, out);
  commitSet(ROW.mark, flow, base, wc, out);
  return slow;
}

/**
 * Sets the tunnel metadata of the packet to that of `flow`, unless `base` has the same.  Its options are what its fields of tun_metadata are in
 * `tlvTable`; without a table, as they stand.
 */
export function commitTunnel(flow: FlowKey, base: FlowKey, out: OdpActionsBuilder, tlvTable?: TlvTable): void {
  if (getField(flow, F.tunPresent) === 0) return;
  if (tlvTable !== undefined) fieldsToOptions(tlvTable, flow);
  const [from, to] = [F.tunId.word, F.reg0.word];
  let same = true;
  for (let w = from; w < to && same; w++) same = flow[w] === base[w];
  if (same) return;
  base.set(flow.subarray(from, to), from);
  out.setTunnel(flow);
}
