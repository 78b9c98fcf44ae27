/**
 * Validation of a request's top-level attributes, as strict and as lenient as the kernel's netlink core is with the ovs
 * families.  `netlink/policy.ts` says how attributes are read and written; here is only what a stranger's are held to.
 *
 * The families are of the old, liberal kind: unknown attributes and attribute number 0 are ignored, of two with the same
 * number the last counts, and an attribute may be longer than its integer.  Stricter than the kernel in one thing: it
 * ignores what follows the last whole attribute, so that a FLOW DEL cut short deletes every flow; here that is EINVAL, as
 * it is for the kernel's newer families.  server.ts turns a PolicyViolation into an error with an extended ack.
 * Source: lib/nlattr.c (validate_nla), net/netlink/policy.c.
 */
import { LITTLE_ENDIAN, NLA_F_NESTED, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { ERRNO } from '../../util/errno.ts';

/** enum netlink_attribute_type: how a policy names itself in an extended ack.  Less is known here than there. */
// biome-ignore format: table
const NL_ATTR_TYPE = { UNSPEC: 0, FLAG: 1, U16: 3, U32: 4, U64: 5, S32: 8, NUL_STRING: 12, NESTED: 13 } as const;
type NlAttrType = (typeof NL_ATTR_TYPE)[keyof typeof NL_ATTR_TYPE];
/** enum netlink_policy_type_attr. */
const NL_POLICY_TYPE_ATTR = { TYPE: 1, MIN_S: 2, MAX_S: 3, MIN_U: 4, MAX_U: 5, MAX_LENGTH: 7 } as const;

/** What one attribute must look like. */
export interface AttrRule {
  readonly type: NlAttrType;
  /** Fewest bytes of payload; for a string the most, without its NUL. */
  readonly size: number;
  /** Bounds of the value, for integers. */
  readonly min?: number;
  readonly max?: number;
}

const integer = (type: NlAttrType, size: number): AttrRule => ({ type, size });
export const U16: AttrRule = integer(NL_ATTR_TYPE.U16, 2);
export const U32: AttrRule = integer(NL_ATTR_TYPE.U32, 4);
export const U64: AttrRule = integer(NL_ATTR_TYPE.U64, 8);
export const S32: AttrRule = integer(NL_ATTR_TYPE.S32, 4);
export const FLAG: AttrRule = { type: NL_ATTR_TYPE.FLAG, size: 0 };
export const NESTED: AttrRule = { type: NL_ATTR_TYPE.NESTED, size: NLA_HDRLEN };
/** A u32 of at most `max`. */
export const u32UpTo = (max: number): AttrRule => ({ ...U32, min: 0, max });
/** An s32 that is not negative. */
export const S32_NATURAL: AttrRule = { ...S32, min: 0, max: 0x7fffffff };
/** A NUL-terminated string of 1..`length` bytes. */
export const nulString = (length: number): AttrRule => ({ type: NL_ATTR_TYPE.NUL_STRING, size: length });
/** Bytes, at least `size`. */
export const atLeast = (size: number): AttrRule => ({ type: NL_ATTR_TYPE.UNSPEC, size });

/** Rules by attribute number, up to the family's maxattr; a hole is an attribute that may be anything. */
export type AttrRules = readonly (AttrRule | undefined)[];

/** Compiles `rules` by number into a list of `maxattr + 1`. */
export function attrRules(maxattr: number, rules: Readonly<Record<number, AttrRule>>): AttrRules {
  return Array.from({ length: maxattr + 1 }, (_, type) => rules[type]);
}

/** An attribute that a rule forbids, or that is cut short. */
export class PolicyViolation {
  readonly errno: number;
  readonly message: string;
  /** Of the attribute's header, in bytes from the start of the message. */
  readonly offset: number;
  /** The rule that was broken, if it was one attribute's. */
  readonly rule: AttrRule | undefined;

  constructor(errno: number, message: string, offset: number, rule: AttrRule | undefined) {
    this.errno = errno;
    this.message = message;
    this.offset = offset;
    this.rule = rule;
  }
}

/**
 * The top-level attributes of one request: where the payload of each is.  Reused from message to message, so it is valid
 * only while its request is handled.
 */
export class AttrTable {
  dv: DataView = new DataView(new ArrayBuffer(0));
  private readonly maxattr: number;
  private readonly at: Int32Array;
  private readonly sizes: Int32Array;

  constructor(maxattr: number) {
    this.maxattr = maxattr;
    this.at = new Int32Array(maxattr + 1);
    this.sizes = new Int32Array(maxattr + 1);
  }

  /** Reads `[at, end)` of `dv`, a message that begins at `start`.  Returns what is wrong, if anything. */
  parse(dv: DataView, start: number, at: number, end: number, rules: AttrRules): PolicyViolation | undefined {
    this.dv = dv;
    this.at.fill(0);
    while (at < end) {
      const len = end - at < NLA_HDRLEN ? 0 : dv.getUint16(at, LITTLE_ENDIAN);
      if (len < NLA_HDRLEN || len > end - at) {
        return new PolicyViolation(ERRNO.EINVAL, 'bytes leftover after parsing attributes', at - start, undefined);
      }
      const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
      if (type > 0 && type <= this.maxattr) {
        const rule = rules[type];
        const size = len - NLA_HDRLEN;
        if (rule !== undefined) {
          const problem = check(dv, at, size, rule);
          if (problem !== 0) {
            const text = problem === OUT_OF_RANGE ? 'integer out of range' : 'Attribute failed policy validation';
            const errno = problem === NOT_A_STRING ? ERRNO.EINVAL : ERRNO.ERANGE;
            return new PolicyViolation(errno, text, at - start, rule);
          }
        }
        this.at[type] = at + NLA_HDRLEN;
        this.sizes[type] = size;
      }
      at += nlaAlign(len);
    }
    return undefined;
  }

  has(type: number): boolean {
    return this.at[type] !== 0;
  }
  /** Offset in `dv` of the payload, and its size in bytes.  Only if `has(type)`. */
  offset(type: number): number {
    return this.at[type]!;
  }
  size(type: number): number {
    return this.sizes[type]!;
  }
  u16(type: number): number {
    return this.dv.getUint16(this.at[type]!, LITTLE_ENDIAN);
  }
  u32(type: number): number {
    return this.dv.getUint32(this.at[type]!, LITTLE_ENDIAN);
  }
  /** The low 32 bits of a u64. */
  u64Low(type: number): number {
    return this.dv.getUint32(this.at[type]! + (LITTLE_ENDIAN ? 0 : 4), LITTLE_ENDIAN);
  }
  /** Bytes up to the first NUL, as UTF-8; the rule has seen to it that there is one. */
  string(type: number): string {
    const at = this.at[type]!;
    let size = 0;
    while (size < this.sizes[type]! && this.dv.getUint8(at + size) !== 0) size++;
    return Buffer.from(this.dv.buffer, this.dv.byteOffset + at, size).toString();
  }
  /** A copy of the payload. */
  bytes(type: number): Uint8Array {
    return new Uint8Array(this.dv.buffer, this.dv.byteOffset + this.at[type]!, this.sizes[type]!).slice();
  }
  /** The payload as an array of u32; trailing bytes are left out. */
  u32Array(type: number): Uint32Array {
    return Uint32Array.from({ length: this.sizes[type]! >>> 2 }, (_, i) =>
      this.dv.getUint32(this.at[type]! + 4 * i, LITTLE_ENDIAN),
    );
  }
}

const FAILED = 1;
const NOT_A_STRING = 2;
const OUT_OF_RANGE = 3;

/** 0, or one of the above, for the attribute whose header is at `at`. */
function check(dv: DataView, at: number, size: number, rule: AttrRule): number {
  const payload = at + NLA_HDRLEN;
  switch (rule.type) {
    case NL_ATTR_TYPE.FLAG:
      return size > 0 ? FAILED : 0;
    case NL_ATTR_TYPE.NESTED:
      return size > 0 && size < rule.size ? FAILED : 0;
    case NL_ATTR_TYPE.NUL_STRING:
      return checkString(dv, payload, size, rule.size);
    default:
  }
  if (size < rule.size) return FAILED;
  if (rule.max === undefined || rule.min === undefined) return 0;
  const signed = rule.type === NL_ATTR_TYPE.S32;
  const value = signed ? dv.getInt32(payload, LITTLE_ENDIAN) : dv.getUint32(payload, LITTLE_ENDIAN);
  return value < rule.min || value > rule.max ? OUT_OF_RANGE : 0;
}

function checkString(dv: DataView, at: number, size: number, maxLength: number): number {
  const search = Math.min(size, maxLength + 1);
  let terminated = false;
  for (let i = 0; i < search; i++) if (dv.getUint8(at + i) === 0) terminated = true;
  if (!terminated) return NOT_A_STRING;
  // What follows the first NUL counts too: only the very last byte is let off.
  const length = dv.getUint8(at + size - 1) === 0 ? size - 1 : size;
  return length > maxLength ? FAILED : 0;
}

/** Appends the nest that tells a client of `rule` (NLMSGERR_ATTR_POLICY); nothing where the kernel says nothing. */
export function writeRule(w: MessageWriter, type: number, rule: AttrRule): void {
  if (rule.type === NL_ATTR_TYPE.UNSPEC) return;
  const nest = w.nest(type | NLA_F_NESTED);
  if (rule.type === NL_ATTR_TYPE.NUL_STRING) {
    w.attrU32(NL_POLICY_TYPE_ATTR.MAX_LENGTH, rule.size);
  } else if (rule.type === NL_ATTR_TYPE.S32) {
    w.attrU64(NL_POLICY_TYPE_ATTR.MIN_S, BigInt.asUintN(64, BigInt(rule.min ?? -0x80000000)));
    w.attrU64(NL_POLICY_TYPE_ATTR.MAX_S, BigInt(rule.max ?? 0x7fffffff));
  } else if (rule.type !== NL_ATTR_TYPE.FLAG && rule.type !== NL_ATTR_TYPE.NESTED) {
    w.attrU64(NL_POLICY_TYPE_ATTR.MIN_U, BigInt(rule.min ?? 0));
    w.attrU64(
      NL_POLICY_TYPE_ATTR.MAX_U,
      rule.max === undefined ? (1n << BigInt(8 * rule.size)) - 1n : BigInt(rule.max),
    );
  }
  w.attrU32(NL_POLICY_TYPE_ATTR.TYPE, rule.type);
  w.endNest(nest);
}
