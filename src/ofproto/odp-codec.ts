/** Bridge to odp/ until its key and action builders are there. */
import { FIELD, VLAN_CFI } from '../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, isFieldSet, setField } from '../flow/flow-key.ts';
import { OVS_ACTION_ATTR } from '../odp/action-attrs.ts';
import { loadKeyAttr, storeKeyAttr } from '../odp/key-codec.ts';
import { KEY_ROWS, OVS_KEY_ATTR } from '../odp/key-table.ts';

export const ODP_FIT = { PERFECT: 0, TOO_MUCH: 1, TOO_LITTLE: 2, ERROR: 3 } as const;
export type OdpFit = (typeof ODP_FIT)[keyof typeof ODP_FIT];

const dvOf = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength);
const K = OVS_KEY_ATTR;

function load(dv: DataView, start: number, end: number, key: FlowKey, depth: number): boolean {
  let at = start;
  while (at + 4 <= end) {
    const size = dv.getUint16(at, true);
    const type = dv.getUint16(at + 2, true) & 0x3fff;
    if (size < 4 || at + size > end) return false;
    const row = KEY_ROWS[type];
    if (type === K.ENCAP) {
      if (!load(dv, at + 4, at + size, key, depth + 1)) return false;
    } else if (type === K.VLAN && depth === 1) {
      setField(key, FIELD.cvlanTci, dv.getUint16(at + 4));
      setField(key, FIELD.cvlanTpid, getField(key, FIELD.ethType));
    } else if (row !== undefined && row.size >= 0) {
      if (size - 4 !== row.size) return false;
      loadKeyAttr(row, dv, at + 4, key);
      if (type === K.VLAN) setField(key, FIELD.vlanTpid, getField(key, FIELD.ethType));
    }
    at += (size + 3) & ~3;
  }
  return true;
}

export function keyFromNest(nest: Uint8Array, key: FlowKey): OdpFit {
  key.fill(0);
  return load(dvOf(nest), 0, nest.length, key, 0) ? ODP_FIT.PERFECT : ODP_FIT.ERROR;
}

export function maskFromNest(nest: Uint8Array, mask: FlowMask): OdpFit {
  mask.fill(0);
  return load(dvOf(nest), 0, nest.length, mask, 0) ? ODP_FIT.PERFECT : ODP_FIT.ERROR;
}

class Writer {
  bytes = new Uint8Array(512);
  at = 0;
  attr(type: number, size: number): number {
    const need = this.at + 4 + ((size + 3) & ~3);
    if (need > this.bytes.length) {
      const old = this.bytes;
      this.bytes = new Uint8Array(need * 2);
      this.bytes.set(old);
    }
    const dv = dvOf(this.bytes);
    dv.setUint16(this.at, 4 + size, true);
    dv.setUint16(this.at + 2, type, true);
    const payload = this.at + 4;
    this.at = need;
    return payload;
  }
  row(type: number, from: FlowKey): void {
    const r = KEY_ROWS[type];
    if (r === undefined) return;
    const at = this.attr(type, r.size);
    storeKeyAttr(r, from, dvOf(this.bytes), at);
  }
  done(): Uint8Array {
    return this.bytes.slice(0, this.at);
  }
}

/** The nest of `m` (key itself or a mask) for a packet that looks like `key`. */
export function nestFrom(key: FlowKey, m: FlowMask): Uint8Array {
  const w = new Writer();
  for (const t of [
    K.RECIRC_ID,
    K.DP_HASH,
    K.PRIORITY,
    K.IN_PORT,
    K.SKB_MARK,
    K.CT_STATE,
    K.CT_ZONE,
    K.CT_MARK,
    K.CT_LABELS,
  ])
    w.row(t, m);
  w.row(K.ETHERNET, m);
  const ends: number[] = [];
  const isMask = m !== key;
  for (const [tpid, tci] of [
    [FIELD.vlanTpid, FIELD.vlanTci],
    [FIELD.cvlanTpid, FIELD.cvlanTci],
  ] as const) {
    if ((getField(key, tci) & VLAN_CFI) === 0) break;
    let at = w.attr(K.ETHERTYPE, 2);
    dvOf(w.bytes).setUint16(at, isMask ? 0xffff : getField(key, tpid));
    at = w.attr(K.VLAN, 2);
    dvOf(w.bytes).setUint16(at, getField(m, tci));
    ends.push(w.attr(K.ENCAP, 0) - 4);
  }
  w.row(K.ETHERTYPE, m);
  const type = getField(key, FIELD.ethType);
  const proto = getField(key, FIELD.nwProto);
  if (type === 0x0800 || type === 0x86dd) {
    w.row(type === 0x0800 ? K.IPV4 : K.IPV6, m);
    if (getField(key, FIELD.nwFrag) !== 2) {
      if (proto === 6) {
        w.row(K.TCP, m);
        w.row(K.TCP_FLAGS, m);
      } else if (proto === 17) w.row(K.UDP, m);
      else if (proto === 132) w.row(K.SCTP, m);
      else if (proto === 1 && type === 0x0800) w.row(K.ICMP, m);
      else if (proto === 58 && type === 0x86dd) {
        w.row(K.ICMPV6, m);
        if (isFieldSet(m, FIELD.ndTarget)) w.row(K.ND, m);
      }
    }
  } else if (type === 0x0806) {
    w.row(K.ARP, m);
    // The opcode's high byte is matched with its low one.
    if (isMask && getField(m, FIELD.nwProto) === 0xff) w.bytes[w.at - 16] = 0xff;
  }
  for (const at of ends) dvOf(w.bytes).setUint16(at, w.at - at, true);
  return w.done();
}

export class OdpActionsBuilder {
  private w = new Writer();
  get size(): number {
    return this.w.at;
  }
  clear(): void {
    this.w.at = 0;
  }
  output(port: number): void {
    const at = this.w.attr(OVS_ACTION_ATTR.OUTPUT, 4);
    dvOf(this.w.bytes).setUint32(at, port, true);
  }
  popVlan(): void {
    this.w.attr(OVS_ACTION_ATTR.POP_VLAN, 0);
  }
  pushVlan(tpid: number, tci: number): void {
    const at = this.w.attr(OVS_ACTION_ATTR.PUSH_VLAN, 4);
    dvOf(this.w.bytes).setUint16(at, tpid);
    dvOf(this.w.bytes).setUint16(at + 2, tci);
  }
  userspace(pid: number, userdata: Uint8Array): void {
    const at = this.w.attr(OVS_ACTION_ATTR.USERSPACE, 8 + 4 + userdata.length);
    const dv = dvOf(this.w.bytes);
    dv.setUint16(at, 8, true);
    dv.setUint16(at + 2, 1, true);
    dv.setUint32(at + 4, pid, true);
    dv.setUint16(at + 8, 4 + userdata.length, true);
    dv.setUint16(at + 10, 2, true);
    this.w.bytes.set(userdata, at + 12);
  }
  finish(): Uint8Array {
    return this.w.done();
  }
}
