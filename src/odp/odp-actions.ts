/**
 * Builds datapath action lists: what translation writes its result with.
 *
 *     const actions = new OdpActionsBuilder();
 *     actions.pushVlan(0x8100, 0x1005).output(2);
 *     const nest = actions.finish(); // OVS_ACTION_ATTR_* nest, without the header of the nest
 *
 * Nothing is checked but that a nest fits its 16-bit length: the datapath validates.  A builder is reused by `reset()`.
 * An empty list drops.  Warm path: once per translation.
 * Source: include/uapi/linux/openvswitch.h, lib/odp-util.c (odp_put_*_action, commit_masked_set_action).
 */
import type { FlowKey, FlowMask } from '../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../netlink/constants.ts';
import { MessageWriter } from '../netlink/message.ts';
import {
  OVS_ACTION_ATTR as A,
  OVS_CHECK_PKT_LEN_ATTR as CPL,
  OVS_SAMPLE_ATTR,
  OVS_USERSPACE_ATTR as U,
} from './action-attrs.ts';
import { storeKeyAttr } from './key/key-codec.ts';
import { KEY_ROWS, OVS_KEY_ATTR, OVS_NSH_KEY_ATTR } from './key/key-table.ts';
import { putNsh, putTunnel } from './key/odp-key-nests.ts';
import { type CtOptions, putCt } from './odp-ct.ts';
import { NLA_MAX_PAYLOAD } from './text/odp-text-scan.ts';

export interface UserspaceOptions {
  /** Comes back in the upcall; see `user-action-cookie.ts`. */
  readonly userdata?: Uint8Array;
  /** Port whose tunnel metadata the upcall shall have. */
  readonly tunnelOutPort?: number;
  /** Whether the upcall shall have the actions of the flow. */
  readonly withActions?: boolean;
}

/** The first kernels wanted at least 8 bytes of userdata. */
const MIN_USERDATA = 8;

/** Whether `list` is the first `size` bytes of `bytes`. */
function isBeginning(list: Uint8Array, bytes: Uint8Array, size: number): boolean {
  if (list.length !== size) return false;
  for (let i = 0; i < size; i++) if (list[i] !== bytes[i]) return false;
  return true;
}

export class OdpActionsBuilder {
  private readonly w = new MessageWriter(1024);
  private last: Uint8Array = new Uint8Array(0);

  /** Bytes so far. */
  get size(): number {
    return this.w.size;
  }
  get isEmpty(): boolean {
    return this.w.size === 0;
  }
  /** True if the list no longer fits into a netlink attribute. */
  get isOversized(): boolean {
    return this.w.size > NLA_MAX_PAYLOAD;
  }
  reset(): this {
    this.w.reset();
    return this;
  }
  /** Takes back what was added after `size` was `size`. */
  truncate(size: number): this {
    if (size < this.w.size) this.w.size = size;
    return this;
  }
  /** The list, which nobody may change: lists that come one after the other are often the same, and then one array. */
  finish(): Uint8Array {
    const { bytes, size } = this.w;
    if (!isBeginning(this.last, bytes, size)) this.last = bytes.slice(0, size);
    return this.last;
  }

  output(portNo: number): this {
    this.w.attrU32(A.OUTPUT, portNo);
    return this;
  }

  /** Sends the packet to the socket `pid`; kernels with a socket per CPU ignore which. */
  userspace(pid: number, options: UserspaceOptions = {}): this {
    const { w } = this;
    const nest = w.nest(A.USERSPACE);
    w.attrU32(U.PID, pid);
    const { userdata } = options;
    if (userdata) {
      const at = w.attrHeader(U.USERDATA, Math.max(MIN_USERDATA, userdata.length));
      w.bytes.fill(0, at, at + MIN_USERDATA);
      w.bytes.set(userdata, at);
    }
    if (options.tunnelOutPort !== undefined) w.attrU32(U.EGRESS_TUN_PORT, options.tunnelOutPort);
    if (options.withActions) w.attrFlag(U.ACTIONS);
    w.endNest(nest);
    return this;
  }

  /** Sets a whole attribute of the key: number and payload. */
  set(keyAttr: number, payload: Uint8Array): this {
    const nest = this.w.nest(A.SET);
    this.w.attrBytes(keyAttr, payload);
    this.w.endNest(nest);
    return this;
  }

  /** Sets the bits of `mask` of an attribute; other bits of `value` are cleared, as kernels demand. */
  setMasked(keyAttr: number, value: Uint8Array, mask: Uint8Array): this {
    const { w } = this;
    const nest = w.nest(A.SET_MASKED);
    const at = w.attrHeader(keyAttr, 2 * value.length);
    for (let i = 0; i < value.length; i++) {
      const m = mask[i] ?? 0;
      w.bytes[at + i] = (value[i] ?? 0) & m;
      w.bytes[at + value.length + i] = m;
    }
    w.endNest(nest);
    return this;
  }

  /**
   * The same from the fields of a flow and of a mask, for an attribute of fixed size.  If the mask covers the whole attribute,
   * it is a plain set.
   */
  setFields(keyAttr: number, flow: FlowKey, mask: FlowMask): this {
    const row = KEY_ROWS[keyAttr];
    if (row === undefined || row.size < 0) throw new RangeError(`setFields: attribute ${keyAttr} has no fixed size`);
    const value = new Uint8Array(row.size);
    const bits = new Uint8Array(row.size);
    storeKeyAttr(row, flow, new DataView(value.buffer), 0, value);
    storeKeyAttr(row, mask, new DataView(bits.buffer), 0, bits);
    return bits.every((b) => b === 0xff) ? this.set(keyAttr, value) : this.setMasked(keyAttr, value, bits);
  }

  /** Sets the tunnel metadata of the packet to the tun* fields of `flow`. */
  setTunnel(flow: FlowKey): this {
    const nest = this.w.nest(A.SET);
    putTunnel(this.w, flow, flow);
    this.w.endNest(nest);
    return this;
  }

  /** `tci` with VLAN_CFI set. */
  pushVlan(tpid: number, tci: number): this {
    const at = this.w.attrHeader(A.PUSH_VLAN, 4);
    this.w.dv.setUint16(at, tpid);
    this.w.dv.setUint16(at + 2, tci);
    return this;
  }
  popVlan(): this {
    return this.flag(A.POP_VLAN);
  }

  /** `lse` is the whole label stack entry. */
  pushMpls(lse: number, ethType: number): this {
    const at = this.w.attrHeader(A.PUSH_MPLS, 8);
    this.w.dv.setUint32(at, lse);
    this.w.dv.setUint32(at + 4, ethType << 16);
    return this;
  }
  popMpls(ethType: number): this {
    this.w.dv.setUint16(this.w.attrHeader(A.POP_MPLS, 2), ethType);
    return this;
  }

  pushEth(src: Uint8Array, dst: Uint8Array): this {
    const at = this.w.attrHeader(A.PUSH_ETH, 12);
    this.w.bytes.set(src.subarray(0, 6), at);
    this.w.bytes.set(dst.subarray(0, 6), at + 6);
    return this;
  }
  popEth(): this {
    return this.flag(A.POP_ETH);
  }

  recirc(id: number): this {
    this.w.attrU32(A.RECIRC, id);
    return this;
  }
  /** `algorithm` is one of OVS_HASH_ALG. */
  hash(algorithm: number, basis: number): this {
    const at = this.w.attrHeader(A.HASH, 8);
    this.w.dv.setUint32(at, algorithm, LITTLE_ENDIAN);
    this.w.dv.setUint32(at + 4, basis, LITTLE_ENDIAN);
    return this;
  }
  /** Bytes that the next output keeps. */
  trunc(maxLength: number): this {
    this.w.attrU32(A.TRUNC, maxLength);
    return this;
  }
  meter(id: number): this {
    this.w.attrU32(A.METER, id);
    return this;
  }

  ct(options: CtOptions = {}): this {
    putCt(this.w, options);
    return this;
  }
  ctClear(): this {
    return this.flag(A.CT_CLEAR);
  }

  /** `probability` is out of 2^32 - 1; `build` adds the actions of the sample. */
  sample(probability: number, build: (list: this) => void): this {
    const nest = this.w.nest(A.SAMPLE);
    this.w.attrU32(OVS_SAMPLE_ATTR.PROBABILITY, probability);
    this.list(OVS_SAMPLE_ATTR.ACTIONS, build);
    this.w.endNest(nest);
    return this;
  }
  /** What `build` adds does not change the packet for what follows. */
  clone(build: (list: this) => void): this {
    this.list(A.CLONE, build);
    return this;
  }
  checkPktLen(length: number, greater: (list: this) => void, lessEqual: (list: this) => void): this {
    const nest = this.w.nest(A.CHECK_PKT_LEN);
    this.w.attrU16(CPL.PKT_LEN, length);
    this.list(CPL.ACTIONS_IF_GREATER, greater);
    this.list(CPL.ACTIONS_IF_LESS_EQUAL, lessEqual);
    this.w.endNest(nest);
    return this;
  }

  /** Nobody sees what the last action leaves of the packet: if that is a clone, what is in it takes its place. */
  openLastClone(): this {
    const { dv, bytes, size } = this.w;
    let last = 0;
    for (let at = 0; at < size; at += nlaAlign(dv.getUint16(at, LITTLE_ENDIAN))) last = at;
    if (size > 0 && (dv.getUint16(last + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK) === A.CLONE) {
      bytes.copyWithin(last, last + NLA_HDRLEN, size);
      this.w.size -= NLA_HDRLEN;
    }
    return this;
  }

  /** Appends a list that was built elsewhere. */
  append(actions: Uint8Array): this {
    this.w.reserve(actions.length);
    this.w.bytes.set(actions, this.w.size);
    this.w.size += actions.length;
    return this;
  }

  /** Begins a nest (a clone, a conditional list ...) that `end` closes; what is added between goes into it. */
  begin(type: number): number {
    return this.w.nest(type);
  }
  end(nest: number): this {
    this.w.endNest(nest);
    return this;
  }
  /** One attribute as it is. */
  raw(type: number, payload: Uint8Array): this {
    this.w.attrBytes(type, payload);
    return this;
  }
  u32(type: number, value: number): this {
    this.w.attrU32(type, value);
    return this;
  }
  u16(type: number, value: number): this {
    this.w.attrU16(type, value);
    return this;
  }

  /** Pushes the network service header that the nsh* fields of `flow` say; `md2`: context headers of metadata type 2. */
  pushNsh(flow: FlowKey, md2?: Uint8Array): this {
    const nest = this.w.nest(A.PUSH_NSH);
    putNsh(this.w, flow, false, md2);
    this.w.endNest(nest);
    return this;
  }
  popNsh(): this {
    return this.flag(A.POP_NSH);
  }
  /** Sets the whole header, as `flow` has it. */
  setNsh(flow: FlowKey): this {
    const nest = this.w.nest(A.SET);
    putNsh(this.w, flow, false);
    this.w.endNest(nest);
    return this;
  }
  /** Sets the bits of `mask` of the header: 8 bytes, and 16 of contexts, which count `withContexts`. */
  setNshMasked(value: Uint8Array, mask: Uint8Array, withContexts: boolean): this {
    const { w } = this;
    const set = w.nest(A.SET_MASKED);
    const nest = w.nest(OVS_KEY_ATTR.NSH);
    const put = (type: number, from: number, size: number) => {
      const at = w.attrHeader(type, 2 * size);
      for (let i = 0; i < size; i++) {
        const m = mask[from + i] ?? 0;
        w.bytes[at + i] = (value[from + i] ?? 0) & m;
        w.bytes[at + size + i] = m;
      }
    };
    put(OVS_NSH_KEY_ATTR.BASE, 0, 8);
    if (withContexts) put(OVS_NSH_KEY_ATTR.MD1, 8, 16);
    w.endNest(nest);
    w.endNest(set);
    return this;
  }
  /** A label stack entry in front of the Ethernet header, or of what follows it: `flags` says which. */
  addMpls(lse: number, ethType: number, flags: number): this {
    const at = this.w.attrHeader(A.ADD_MPLS, 8);
    this.w.dv.setUint32(at, lse);
    this.w.dv.setUint16(at + 4, ethType);
    this.w.dv.setUint16(at + 6, flags, LITTLE_ENDIAN);
    return this;
  }

  private flag(type: number): this {
    this.w.attrFlag(type);
    return this;
  }
  private list(type: number, build: (list: this) => void): void {
    const nest = this.w.nest(type);
    build(this);
    this.w.endNest(nest);
  }
}
