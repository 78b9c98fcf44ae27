/**
 * Writing OpenFlow messages: one growing buffer that is used again for each, and the cutting of multipart replies.
 *
 * Hot path of dumps: nothing is allocated for a field or an entry; each message that leaves is copied once.
 * Source: lib/ofp-msgs.c (ofpmp_*).
 */
import { headersSize, OFP_MAX_SIZE, OFPMPF_MORE, writeHeaders } from './ofp-header.ts';
import type { OfpRaw } from './ofp-msgs.ts';

/** Bytes being written.  Room that is made is zero; `dv` and `bytes` are others after the buffer grew. */
export class OfpWriter {
  bytes: Uint8Array;
  dv: DataView;
  size = 0;

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array(capacity);
    this.dv = new DataView(this.bytes.buffer);
  }

  /** Makes room for `n` bytes of zeros, and returns where it begins. */
  room(n: number): number {
    const at = this.unset(n);
    this.bytes.fill(0, at, at + n);
    return at;
  }

  /** Makes room for `n` bytes, which are to be written at once: nobody knows what they are. */
  private unset(n: number): number {
    const at = this.size;
    const end = at + n;
    if (end > this.bytes.length) {
      const longer = new Uint8Array(Math.max(end, 2 * this.bytes.length));
      longer.set(this.bytes.subarray(0, at));
      this.bytes = longer;
      this.dv = new DataView(longer.buffer);
    }
    this.size = end;
    return at;
  }

  u8(v: number): void {
    const at = this.unset(1);
    this.dv.setUint8(at, v);
  }
  u16(v: number): void {
    const at = this.unset(2);
    this.dv.setUint16(at, v);
  }
  u32(v: number): void {
    const at = this.unset(4);
    this.dv.setUint32(at, v);
  }
  u64(v: bigint): void {
    const at = this.unset(8);
    this.dv.setBigUint64(at, v);
  }
  put(bytes: Uint8Array): void {
    const at = this.unset(bytes.length);
    this.bytes.set(bytes, at);
  }
  /** Zeros up to a multiple of `align` bytes counted from `start`. */
  pad(start: number, align: number): void {
    const over = (this.size - start) % align;
    if (over !== 0) this.room(align - over);
  }

  /** Begins a message in place of what was there; returns where its body begins. */
  begin(raw: OfpRaw, version: number, xid: number): number {
    this.size = 0;
    this.room(headersSize(raw, version));
    return writeHeaders(this.dv, 0, raw, version, xid);
  }

  /** Ends the message that `begin` began: a copy of its bytes.  Throws RangeError if it is longer than a message can be. */
  finish(): Uint8Array {
    if (this.size > OFP_MAX_SIZE) throw new RangeError(`OpenFlow message of ${this.size} bytes, want at most 65535`);
    this.dv.setUint16(2, this.size);
    return this.bytes.slice(0, this.size);
  }
}

/** Writes a multipart message in as many parts as it needs, entry by entry. */
export class MultipartWriter {
  readonly out: OfpWriter;
  private readonly send: (part: Uint8Array) => void;
  private bodyAt = 0;
  private entryAt = 0;

  /** `send` gets each part, which is its own from then on. */
  constructor(send: (part: Uint8Array) => void, out: OfpWriter = new OfpWriter(2 * (OFP_MAX_SIZE + 1))) {
    this.send = send;
    this.out = out;
  }

  begin(raw: OfpRaw, version: number, xid: number): void {
    this.bodyAt = this.out.begin(raw, version, xid);
    this.entryAt = this.bodyAt;
  }

  /** Ends the entry written to `out` since the last one.  False: it is too long for any message, and was left out. */
  endEntry(): boolean {
    const { out, bodyAt, entryAt } = this;
    if (out.size <= OFP_MAX_SIZE) {
      this.entryAt = out.size;
      return true;
    }
    const size = out.size - entryAt;
    if (size > OFP_MAX_SIZE - bodyAt) {
      out.size = entryAt;
      return false;
    }
    const end = out.size;
    out.size = entryAt;
    out.dv.setUint16(10, out.dv.getUint16(10) | OFPMPF_MORE);
    this.send(out.finish());
    out.dv.setUint16(10, out.dv.getUint16(10) & ~OFPMPF_MORE);
    out.bytes.copyWithin(bodyAt, entryAt, end);
    out.size = bodyAt + size;
    this.entryAt = out.size;
    return true;
  }

  /** Sends the last part, be it empty; `more`: it is not the last, another writer goes on. */
  end(more = false): void {
    if (more) this.out.dv.setUint16(10, this.out.dv.getUint16(10) | OFPMPF_MORE);
    this.send(this.out.finish());
  }
}
