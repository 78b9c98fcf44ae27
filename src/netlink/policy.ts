/**
 * Netlink attribute policies: one table per attribute set.
 *
 * A policy names every attribute of a set once, with its number, payload kind and whether it must
 * be present.  From that table come the TypeScript type (`AttrsOf`), the parser, the builder and
 * the printer, so the four cannot disagree.
 *
 *      0               1               2               3
 *     +-------------------------------+---+---------------------------+
 *     |            nla_len            |N|O|         nla_type          |   struct nlattr
 *     +-------------------------------+---+---------------------------+
 *     |  payload, nla_len - 4 bytes, then 0..3 bytes of padding ...   |
 *
 * N is NLA_F_NESTED, O is NLA_F_NET_BYTEORDER: both are ignored when read and left out when written, as the ovs
 * families do.  Multi-byte integers are in host byte order unless
 * a kind says otherwise ("be16").  Source: include/uapi/linux/netlink.h, lib/nlattr.c.
 */
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from './constants.ts';
import { NetlinkFormatError } from './errors.ts';
import type { Kind } from './kinds.ts';

export interface Attr<T = unknown, R extends boolean = boolean> {
  readonly type: number;
  readonly kind: Kind<T>;
  readonly required: R;
}

/** Declares attribute number `type` with payload `kind`. */
export const nla = <T>(type: number, kind: Kind<T>): Attr<T, false> => ({ type, kind, required: false });
export const required = <T>({ type, kind }: Attr<T>): Attr<T, true> => ({ type, kind, required: true });

// biome-ignore lint/suspicious/noExplicitAny: `any` is what lets each attribute keep its own T.
type Table = Readonly<Record<string, Attr<any>>>;
type Value<A> = A extends Attr<infer T> ? T : never;
type RequiredKeys<P> = { [K in keyof P]: P[K] extends Attr<infer _, true> ? K : never }[keyof P];
type Flat<T> = { [K in keyof T]: T[K] };

/** The object type a table parses to: required attributes are present, others optional. */
export type AttrsOf<P> =
  P extends Policy<infer A>
    ? Flat<{ [K in RequiredKeys<A>]: Value<A[K]> } & { [K in Exclude<keyof A, RequiredKeys<A>>]?: Value<A[K]> }>
    : never;

export interface Policy<A extends Table> extends Kind<AttrsOf<Policy<A>>> {
  /** Prefix of the kernel's constants, e.g. `OVS_DP_ATTR`. */
  readonly prefix: string;
  /** Attribute numbers by name: `OVS_DP_ATTR.type.upcallPid === 2`. */
  readonly type: { readonly [K in keyof A]: number };
}

/**
 * Compiles an attribute table.  The compiled form is an array indexed by attribute number, so
 * parsing interprets no strings.  Unknown attributes are skipped, as the kernel's own userspace
 * parser does (`nl_policy_parse()`); a bad length or a missing required attribute throws
 * {@link NetlinkFormatError}.
 */
export function policy<const A extends Table>(prefix: string, table: A): Policy<A> {
  const entries = Object.entries(table);
  const byType: (readonly [string, Attr] | undefined)[] = [];
  for (const [name, attr] of entries) byType[attr.type] = [name, attr];
  const label = (name: string) => `${prefix}_${constantCase(name)}`;

  return {
    prefix,
    type: Object.fromEntries(entries.map(([name, a]) => [name, a.type])) as { [K in keyof A]: number },
    nested: true,
    min: 0,
    max: 0xffff,

    read(dv, offset, size) {
      const out: Record<string, unknown> = {};
      const end = offset + size;
      for (let at = offset; at < end; ) {
        const room = end - at;
        const len = room < NLA_HDRLEN ? 0 : dv.getUint16(at, LITTLE_ENDIAN);
        if (len < NLA_HDRLEN || len > room) {
          throw new NetlinkFormatError(`nla_len ${len} with ${room} bytes left`, prefix, at);
        }
        const known = byType[dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK];
        if (known !== undefined) {
          const [name, { kind }] = known;
          const n = len - NLA_HDRLEN;
          if (n < kind.min || n > kind.max) {
            const want = kind.min === kind.max ? `${kind.min}` : `${kind.min}..${kind.max}`;
            throw new NetlinkFormatError(`payload is ${n} bytes, want ${want}`, label(name), at);
          }
          out[name] = kind.nested ? readNested(kind, dv, at, n, label(name)) : kind.read(dv, at + NLA_HDRLEN, n);
        }
        at += nlaAlign(len);
      }
      for (const [name, attr] of entries) {
        if (attr.required && !(name in out)) {
          throw new NetlinkFormatError('required attribute is missing', label(name), offset);
        }
      }
      return out as AttrsOf<Policy<A>>;
    },

    write(dv, offset, value) {
      let at = offset;
      for (const [name, { type, kind }] of entries) {
        const v = (value as Record<string, unknown>)[name];
        if (v === undefined) continue;
        const end = kind.write(dv, at + NLA_HDRLEN, v);
        dv.setUint16(at, end - at, LITTLE_ENDIAN);
        dv.setUint16(at + 2, type, LITTLE_ENDIAN);
        for (at = end; at & 3; at++) dv.setUint8(at, 0);
      }
      return at;
    },

    format(value) {
      const parts: string[] = [];
      for (const [name, { kind }] of entries) {
        const v = (value as Record<string, unknown>)[name];
        if (v !== undefined) parts.push(`${name}=${kind.format(v)}`);
      }
      return `{${parts.join(', ')}}`;
    },
  };
}

/** A nest whose attributes are numbered from 1 and each hold one `of`: an array, as nlctrl writes them. */
export function arrayNest<T>(of: Kind<T>): Kind<T[]> {
  return {
    nested: true,
    min: 0,
    max: 0xffff,
    read(dv, offset, size) {
      const out: T[] = [];
      const end = offset + size;
      for (let at = offset; at < end; ) {
        const room = end - at;
        const len = room < NLA_HDRLEN ? 0 : dv.getUint16(at, LITTLE_ENDIAN);
        if (len < NLA_HDRLEN || len > room) {
          throw new NetlinkFormatError(`nla_len ${len} with ${room} bytes left`, `[${out.length}]`, at);
        }
        out.push(of.read(dv, at + NLA_HDRLEN, len - NLA_HDRLEN));
        at += nlaAlign(len);
      }
      return out;
    },
    write(dv, offset, values) {
      let at = offset;
      values.forEach((value, i) => {
        const end = of.write(dv, at + NLA_HDRLEN, value);
        dv.setUint16(at, end - at, LITTLE_ENDIAN);
        dv.setUint16(at + 2, i + 1, LITTLE_ENDIAN);
        for (at = end; at & 3; at++) dv.setUint8(at, 0);
      });
      return at;
    },
    format: (values) => `[${values.map((v) => of.format(v)).join(' ')}]`,
  };
}

/** `upcallPid` -> `UPCALL_PID`. */
export const constantCase = (s: string): string => s.replace(/[A-Z]/g, '_$&').toUpperCase();

function readNested<T>(kind: Kind<T>, dv: DataView, at: number, size: number, outer: string): T {
  try {
    return kind.read(dv, at + NLA_HDRLEN, size);
  } catch (e) {
    if (e instanceof NetlinkFormatError) throw new NetlinkFormatError(e.reason, `${outer}.${e.path}`, e.offset);
    throw e;
  }
}
