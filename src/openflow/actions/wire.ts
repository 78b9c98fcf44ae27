/**
 * Actions on the wire: their codes in each version, how long they are, reading and writing them.
 *
 * ```
 *  0        2        4                 8        10
 * | type   | length | arguments ...                    a standard action
 * | 0xffff | length | vendor          | type   | ...   an extension
 * ```
 * Lengths are multiples of 8.  A form whose argument is one number has it after the header, aligned to its own size.
 * Source: OpenFlow 1.5.1 7.2.6, include/openflow/nicira-ext.h, lib/ofp-actions.c.
 */
import { OFPERR, OfpError, type OfVersion, VENDOR } from '../ofp-errors.ts';

export const ACTION_ALIGN = 8;
const EXPERIMENTER = 0xffff;
/** The longest action: 65535 rounded down. */
const MAX_SIZE = 0xfff8;

export interface ActionCode {
  readonly vendor: number;
  readonly type: number;
}

/** One form of an action on the wire. */
export interface ActionForm {
  readonly name: string;
  /** By version (wire number); undefined where it has none. */
  readonly codes: readonly (ActionCode | undefined)[];
  /** Bytes, and bytes at most. */
  readonly size: number;
  readonly maxSize: number;
  /** Bytes of the one number that it has; 0: it is something else. */
  readonly argSize: 0 | 1 | 2 | 4 | 8;
}

type Layout = 'void' | 'u8' | 'u16' | 'u32' | 'u64' | number;
const ARG_SIZE = { void: 0, u8: 1, u16: 2, u32: 4, u64: 8 } as const;

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;
const headerSize = (code: ActionCode): number => (code.vendor === 0 ? 4 : 10);

/**
 * A form from its row: `codes` as "NX1.0(4) OF1.1+(21)" (vendor, versions, type), and its layout: a number, nothing, so many
 * bytes, or (`isOpen`) that many and more.
 */
export function actionForm(name: string, codes: string, layout: Layout, isOpen = false): ActionForm {
  const byVersion = new Array<ActionCode | undefined>(7).fill(undefined);
  for (const part of codes.split(' ')) {
    const m = /^(OF|NX|ONF)1\.(\d)(?:-1\.(\d)|(\+))?\((\d+)\)$/.exec(part);
    if (m === null) throw new Error(`${name}: bad row ${part}`);
    const first = Number(m[2]) + 1;
    const last = m[4] !== undefined ? 6 : m[3] !== undefined ? Number(m[3]) + 1 : first;
    const code = { vendor: VENDOR[m[1] as 'OF' | 'NX' | 'ONF'], type: Number(m[5]) };
    for (let v = first; v <= last; v++) byVersion[v] = code;
  }
  const argSize = typeof layout === 'number' ? 0 : ARG_SIZE[layout];
  // A form with one number is as long as its header and number: that differs between a standard action and an extension.
  const size = typeof layout === 'number' ? layout : 0;
  return { name, codes: byVersion, size, maxSize: isOpen ? MAX_SIZE : size, argSize };
}

const argAt = (form: ActionForm, code: ActionCode): number => roundUp(headerSize(code), Math.max(1, form.argSize));

/** Bytes that the form has at least with this code. */
export const formSize = (form: ActionForm, code: ActionCode): number =>
  form.size !== 0 ? form.size : roundUp(argAt(form, code) + form.argSize, ACTION_ALIGN);

/** One action's bytes while it is decoded.  Offsets count from its beginning. */
export class ActionBytes {
  readonly dv: DataView;
  readonly size: number;
  /** The one number of a form that has one. */
  readonly arg: number;
  readonly arg64: bigint;

  constructor(dv: DataView, form: ActionForm, code: ActionCode) {
    this.dv = dv;
    this.size = dv.byteLength;
    const at = argAt(form, code);
    const { argSize } = form;
    this.arg64 = argSize === 8 ? dv.getBigUint64(at) : 0n;
    this.arg =
      argSize === 1 ? dv.getUint8(at) : argSize === 2 ? dv.getUint16(at) : argSize === 4 ? dv.getUint32(at) : 0;
  }

  u8(at: number): number {
    return this.dv.getUint8(at);
  }
  u16(at: number): number {
    return this.dv.getUint16(at);
  }
  u32(at: number): number {
    return this.dv.getUint32(at);
  }
  u64(at: number): bigint {
    return this.dv.getBigUint64(at);
  }
  /** A copy. */
  bytes(from: number, to: number): Uint8Array {
    return new Uint8Array(this.dv.buffer, this.dv.byteOffset + from, to - from).slice();
  }
  view(from: number, to = this.size): DataView {
    return new DataView(this.dv.buffer, this.dv.byteOffset + from, to - from);
  }
  isZero(from: number, to: number): boolean {
    for (let i = from; i < to; i++) if (this.dv.getUint8(i) !== 0) return false;
    return true;
  }
}

/** Bytes being written, longer as needed. */
export class ActionWriter {
  private buf = new Uint8Array(256);
  private dv = new DataView(this.buf.buffer);
  size = 0;

  private room(n: number): number {
    const at = this.size;
    this.size += n;
    if (this.size > this.buf.length) {
      const longer = new Uint8Array(Math.max(this.size, 2 * this.buf.length));
      longer.set(this.buf);
      this.buf = longer;
      this.dv = new DataView(longer.buffer);
    }
    return at;
  }

  /**
   * Begins an action: its header, and zeros up to its least size.  Returns where it begins.  A version that has no code for the form gets
   * that of the first version that has one, as Open vSwitch sends it.
   */
  action(form: ActionForm, version: OfVersion, arg: number | bigint = 0): number {
    const code = form.codes[version] ?? form.codes.find((c) => c !== undefined);
    if (code === undefined) throw new Error(`${form.name} has no code`);
    const size = formSize(form, code);
    const at = this.room(size);
    this.dv.setUint16(at, code.vendor === 0 ? code.type : EXPERIMENTER);
    this.dv.setUint16(at + 2, size);
    if (code.vendor !== 0) {
      this.dv.setUint32(at + 4, code.vendor);
      this.dv.setUint16(at + 8, code.type);
    }
    const place = at + argAt(form, code);
    if (form.argSize === 1) this.dv.setUint8(place, Number(arg));
    else if (form.argSize === 2) this.dv.setUint16(place, Number(arg));
    else if (form.argSize === 4) this.dv.setUint32(place, Number(arg));
    else if (form.argSize === 8) this.dv.setBigUint64(place, BigInt(arg));
    return at;
  }

  setU8(at: number, v: number): void {
    this.dv.setUint8(at, v);
  }
  setU16(at: number, v: number): void {
    this.dv.setUint16(at, v);
  }
  setU32(at: number, v: number): void {
    this.dv.setUint32(at, v);
  }
  setU64(at: number, v: bigint): void {
    this.dv.setBigUint64(at, v);
  }
  setBytes(at: number, bytes: Uint8Array): void {
    this.buf.set(bytes, at);
  }
  putU16(v: number): void {
    this.dv.setUint16(this.room(2), v);
  }
  putU32(v: number): void {
    const at = this.room(4);
    this.dv.setUint32(at, v);
  }
  putBytes(bytes: Uint8Array): void {
    const at = this.room(bytes.length);
    this.buf.set(bytes, at);
  }
  /** Cuts off all from `size` on; the bytes are 0 when written anew. */
  truncate(size: number): void {
    this.buf.fill(0, size, this.size);
    this.size = size;
  }
  /** Ends the action that began at `start`: pads it with zeros and notes its length. */
  finish(start: number): void {
    this.room(roundUp(this.size - start, ACTION_ALIGN) - (this.size - start));
    this.dv.setUint16(start + 2, this.size - start);
  }
  /** A copy of what was written. */
  take(): Uint8Array {
    return this.buf.slice(0, this.size);
  }
}

/** What decodes a form. */
export interface FormRow<T> {
  readonly form: ActionForm;
  readonly row: T;
}

const VENDORS: readonly number[] = [VENDOR.OF, VENDOR.NX, VENDOR.ONF];
const formKey = (version: number, vendor: number, type: number): number =>
  (version << 24) | (VENDORS.indexOf(vendor) << 16) | type;

/** Finds forms by their codes. */
export class FormIndex<T> {
  private readonly byCode = new Map<number, FormRow<T>>();

  add(form: ActionForm, row: T): void {
    form.codes.forEach((code, version) => {
      if (code === undefined) return;
      const key = formKey(version, code.vendor, code.type);
      if (this.byCode.has(key)) throw new Error(`${form.name}: two forms for ${version} ${code.vendor} ${code.type}`);
      this.byCode.set(key, { form, row });
    });
  }

  /** The action at `at`: its form and bytes.  Throws OfpError. */
  read(dv: DataView, at: number, version: OfVersion): { readonly row: T; readonly bytes: ActionBytes } {
    const left = dv.byteLength - at;
    if (left < 8) throw new OfpError(OFPERR.OFPBAC_BAD_LEN);
    let vendor: number = VENDOR.OF;
    let type = dv.getUint16(at);
    if (type === EXPERIMENTER) {
      vendor = dv.getUint32(at + 4);
      if (vendor !== VENDOR.NX && vendor !== VENDOR.ONF) throw new OfpError(OFPERR.OFPBAC_BAD_VENDOR);
      if (left < 16) throw new OfpError(OFPERR.OFPBAC_BAD_LEN);
      type = dv.getUint16(at + 8);
    }
    const found = this.byCode.get(formKey(version, vendor, type));
    if (found === undefined) {
      throw new OfpError(vendor === 0 ? OFPERR.OFPBAC_BAD_TYPE : OFPERR.OFPBAC_BAD_VENDOR_TYPE);
    }
    const size = dv.getUint16(at + 2);
    const { form } = found;
    const code = { vendor, type };
    const min = formSize(form, code);
    if (size > left || size < min || size > Math.max(min, form.maxSize) || size % ACTION_ALIGN !== 0) {
      throw new OfpError(OFPERR.OFPBAC_BAD_LEN, `${form.name}: ${size} bytes, want ${min}`);
    }
    const view = new DataView(dv.buffer, dv.byteOffset + at, size);
    return { row: found.row, bytes: new ActionBytes(view, form, code) };
  }
}
