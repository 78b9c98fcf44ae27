/**
 * The attributes of a message of ctnetlink by type, read one at a time.
 */
import { NetlinkError } from '../../../netlink/errors.ts';
import { AttrCursor } from '../../../netlink/message.ts';
import { ERRNO } from '../../../util/errno.ts';
import { TUPLE_WORDS } from '../tuple.ts';
import { readTuple } from './ctnetlink-tuple.ts';

export class CtAttrs {
  private readonly dv: DataView;
  private readonly found = new Map<number, { readonly at: number; readonly size: number }>();
  private readonly name: string;

  /** Throws NetlinkFormatError if they are none. */
  constructor(it: AttrCursor, name = 'CTA') {
    this.dv = it.dv;
    this.name = name;
    while (it.next()) this.found.set(it.type, { at: it.at, size: it.size });
  }

  has(type: number): boolean {
    return this.found.has(type);
  }
  /** Undefined if it is not there.  Throws NetlinkError EINVAL if it has not `size` bytes. */
  private place(type: number, size: number): number | undefined {
    const attr = this.found.get(type);
    if (attr !== undefined && attr.size < size) throw new NetlinkError(ERRNO.EINVAL, `${this.name}(${type}) is short`);
    return attr?.at;
  }
  u8(type: number): number | undefined {
    const at = this.place(type, 1);
    return at === undefined ? undefined : this.dv.getUint8(at);
  }
  be16(type: number): number | undefined {
    const at = this.place(type, 2);
    return at === undefined ? undefined : this.dv.getUint16(at);
  }
  /** An int32. */
  be32(type: number): number | undefined {
    const at = this.place(type, 4);
    return at === undefined ? undefined : this.dv.getInt32(at);
  }
  bytes(type: number): DataView | undefined {
    const attr = this.found.get(type);
    return attr && new DataView(this.dv.buffer, this.dv.byteOffset + attr.at, attr.size);
  }
  /** Up to the first NUL. */
  text(type: number): string | undefined {
    const bytes = this.bytes(type);
    if (bytes === undefined) return undefined;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    return text.split('\0', 1)[0]!;
  }
  nested(type: number): CtAttrs | undefined {
    const attr = this.found.get(type);
    return attr && new CtAttrs(new AttrCursor(this.dv, attr.at, attr.at + attr.size, `${this.name}(${type})`));
  }
  tuple(type: number, family: number, zone: number): Int32Array | undefined {
    const attr = this.found.get(type);
    if (attr === undefined) return undefined;
    const words = new Int32Array(TUPLE_WORDS);
    readTuple(this.dv, attr.at, attr.size, family, zone, words);
    return words;
  }
}
