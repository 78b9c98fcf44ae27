/**
 * Payload kinds: how the payload of one netlink attribute is read, written and printed.  `policy.ts` puts them into
 * tables.  Integers are in host byte order unless the kind's name begins with "be".
 */
import { LITTLE_ENDIAN } from './constants.ts';

/** How one payload is read, written and printed. `min`/`max` are its size in bytes. */
export interface Kind<T> {
  readonly min: number;
  readonly max: number;
  readonly nested?: true;
  read(dv: DataView, offset: number, size: number): T;
  /** Writes `value` at `offset` and returns the offset just after it. */
  write(dv: DataView, offset: number, value: T): number;
  format(value: T): string;
}

const fixed = <T>(
  size: number,
  read: (dv: DataView, o: number) => T,
  set: (dv: DataView, o: number, v: T) => void,
  format: (v: T) => string = String,
): Kind<T> => ({
  min: size,
  max: size,
  read,
  write: (dv, o, v) => {
    set(dv, o, v);
    return o + size;
  },
  format,
});

const hex = (v: number) => `0x${v.toString(16)}`;

export const u8 = fixed<number>(
  1,
  (d, o) => d.getUint8(o),
  (d, o, v) => d.setUint8(o, v),
);
export const u16 = fixed<number>(
  2,
  (d, o) => d.getUint16(o, LITTLE_ENDIAN),
  (d, o, v) => d.setUint16(o, v, LITTLE_ENDIAN),
);
export const u32 = fixed<number>(
  4,
  (d, o) => d.getUint32(o, LITTLE_ENDIAN),
  (d, o, v) => d.setUint32(o, v, LITTLE_ENDIAN),
);
export const u64 = fixed<bigint>(
  8,
  (d, o) => d.getBigUint64(o, LITTLE_ENDIAN),
  (d, o, v) => d.setBigUint64(o, v, LITTLE_ENDIAN),
);
export const be16 = fixed<number>(
  2,
  (d, o) => d.getUint16(o),
  (d, o, v) => d.setUint16(o, v),
  hex,
);
export const s32 = fixed<number>(
  4,
  (d, o) => d.getInt32(o, LITTLE_ENDIAN),
  (d, o, v) => d.setInt32(o, v, LITTLE_ENDIAN),
);
export const be32 = fixed<number>(
  4,
  (d, o) => d.getUint32(o),
  (d, o, v) => d.setUint32(o, v),
  hex,
);
export const flag = fixed<true>(
  0,
  () => true,
  () => {},
  () => 'true',
);

/** NUL-terminated string of at most `maxBytes` bytes, not counting the NUL. */
export const string = (maxBytes: number): Kind<string> => ({
  min: 1,
  max: maxBytes + 1,
  read: (dv, o, n) => Buffer.from(dv.buffer, dv.byteOffset + o, n - 1).toString(),
  write: (dv, o, v) => {
    const n = Buffer.from(dv.buffer, dv.byteOffset + o).write(v);
    dv.setUint8(o + n, 0);
    return o + n + 1;
  },
  format: (v) => JSON.stringify(v),
});

/** Bytes as they are; the value read is a copy.  `min`..`max` bytes. */
export const bytes = (min = 0, max = 0xffff): Kind<Uint8Array> => ({
  min,
  max,
  read: (dv, o, n) => new Uint8Array(dv.buffer, dv.byteOffset + o, n).slice(),
  write: (dv, o, v) => {
    new Uint8Array(dv.buffer, dv.byteOffset + o, v.length).set(v);
    return o + v.length;
  },
  format: (v) => Buffer.from(v).toString('hex'),
});

/** C array of fixed-size elements, e.g. `__u32 pids[]`. */
export const array = <T>(of: Kind<T>): Kind<T[]> => ({
  min: 0,
  max: 0xffff,
  read: (dv, o, n) => Array.from({ length: Math.trunc(n / of.min) }, (_, i) => of.read(dv, o + i * of.min, of.min)),
  write: (dv, o, vs) => vs.reduce((at, v) => of.write(dv, at, v), o),
  format: (vs) => `[${vs.map((v) => of.format(v)).join(' ')}]`,
});

/** Bit set printed by name: `flags('OVS_DP_F', {unaligned: 1, vportPids: 2})`. */
export const flags = <const F extends Readonly<Record<string, number>>>(
  names: F,
): Kind<number> & { readonly bit: F } => ({
  ...u32,
  bit: names,
  format: (v) => {
    const on = Object.entries(names).filter(([, b]) => v & b);
    const rest = on.reduce((r, [, b]) => r & ~b, v) >>> 0;
    return [...on.map(([n]) => n), ...(rest ? [hex(rest)] : [])].join('|') || '0';
  },
});

// biome-ignore lint/suspicious/noExplicitAny: see Table.
type Members = Readonly<Record<string, Kind<any>>>;
type StructOf<M> = { [K in keyof M]: M[K] extends Kind<infer T> ? T : never };

/** C struct without implicit padding; declare pad members explicitly. */
export function struct<const M extends Members>(members: M): Kind<StructOf<M>> {
  const list = Object.entries(members);
  const size = list.reduce((n, [, k]) => n + k.min, 0);
  return {
    min: size,
    max: size,
    read(dv, offset) {
      const out: Record<string, unknown> = {};
      let at = offset;
      for (const [name, k] of list) {
        out[name] = k.read(dv, at, k.min);
        at += k.min;
      }
      return out as StructOf<M>;
    },
    write: (dv, offset, v) => list.reduce((at, [name, k]) => k.write(dv, at, v[name as keyof M]), offset),
    format: (v) => `{${list.map(([name, k]) => `${name}=${k.format(v[name as keyof M])}`).join(', ')}}`,
  };
}
