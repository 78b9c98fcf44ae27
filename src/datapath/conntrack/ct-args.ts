/**
 * The arguments of a CT action: read and validated when it is installed, kept as an object that ct-execute.ts runs by, and
 * written back in the order in which the kernel shows them.
 * Source: net/openvswitch/conntrack.c (parse_ct, parse_nat, ovs_ct_copy_action, ovs_ct_action_to_attr).
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getField } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { OVS_CT_ATTR as CT, OVS_NAT_ATTR as NAT } from '../../odp/action-attrs.ts';
import { ETH_TYPE } from '../../packet/ethernet.ts';
import { ERRNO } from '../../util/errno.ts';
import type { Template } from './connections.ts';
import { NFPROTO } from './ct-constants.ts';
import { helperNumber } from './helpers/helper-names.ts';
import type { NatRange } from './nat/nat.ts';

/** What is to be done about NAT: nothing, what the connection has already, or that and a new translation. */
export const CT_NAT = { NONE: 0, EXISTING: 1, SRC: 2, DST: 3 } as const;

export interface CtArgs {
  /** Where the action's payload was in what it was read from. */
  readonly at: number;
  /** NFPROTO, and protocol as far as the flow knows it. */
  readonly family: number;
  readonly proto: number;
  readonly zone: number;
  readonly commits: boolean;
  readonly forces: boolean;
  readonly mark: number;
  readonly markMask: number;
  /** Four words each, most significant first. */
  readonly labels: Int32Array;
  readonly labelsMask: Int32Array;
  readonly hasLabels: boolean;
  readonly nat: number;
  readonly range: NatRange;
  readonly helper: number;
  readonly helperName: string;
  readonly eventMask: number | undefined;
  readonly timeout: string;
  /** For connections that begin with this action; its policy is the one that has the name now. */
  readonly template: { -readonly [K in keyof Template]: Template[K] };
}

type Draft = { -readonly [K in keyof CtArgs]: CtArgs[K] };
type Range = { -readonly [K in keyof NatRange]: NatRange[K] };

const refuse = (what: string, errno: number = ERRNO.EINVAL): never => {
  throw new NetlinkError(errno, `ct: ${what}`);
};

/** Sizes of attributes, least and most, NUL of names included. */
// biome-ignore format: table
const SIZES: readonly (readonly [number, number])[] = [
  [0, 0], [0, 0], [2, 2], [8, 8], [32, 32], [1, 16], [0, 0xffff], [0, 0], [4, 4], [1, 32],
];
/** The same for NAT; addresses depend on the family. */
const ADDR = -1;
// biome-ignore format: table
const NAT_SIZES: readonly number[] = [0, 0, 0, ADDR, ADDR, 2, 2, 0, 0, 0];

/** Calls `visit` for each attribute of a nest whose end it must meet. */
function forEachAttr(dv: DataView, at: number, size: number, visit: (type: number, at: number, size: number) => void) {
  const end = at + size;
  while (end - at >= NLA_HDRLEN) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - at) break;
    visit(dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK, at + NLA_HDRLEN, len - NLA_HDRLEN);
    at += nlaAlign(len);
  }
  if (at < end) refuse(`${end - at} bytes that are no attribute`);
}

/**
 * Reads the CT action whose payload is `[at, at + size)`, for packets of the flow with `key`.  Throws NetlinkError EINVAL,
 * and ERANGE for two kinds of NAT at once.
 */
export function parseCt(dv: DataView, at: number, size: number, key: FlowKey): CtArgs {
  const type = getField(key, FIELD.ethType);
  if (type !== ETH_TYPE.IP && type !== ETH_TYPE.IPV6) refuse('neither IPv4 nor IPv6');
  const family = type === ETH_TYPE.IP ? NFPROTO.IPV4 : NFPROTO.IPV6;
  const template = { zone: 0, helper: 0, policy: 0 };
  const range: Range = {
    hasAddrs: false,
    minAddr: new Int32Array(4),
    maxAddr: new Int32Array(4),
    hasPorts: false,
    minPort: 0,
    maxPort: 0,
    isPersistent: false,
    isRandom: false,
    isHash: false,
  };
  const draft: Draft = {
    at,
    family,
    proto: getField(key, FIELD.nwProto),
    zone: 0,
    commits: false,
    forces: false,
    mark: 0,
    markMask: 0,
    labels: new Int32Array(4),
    labelsMask: new Int32Array(4),
    hasLabels: false,
    nat: CT_NAT.NONE,
    range,
    helper: 0,
    helperName: '',
    eventMask: undefined,
    timeout: '',
    template,
  };
  forEachAttr(dv, at, size, (attr, p, n) => parseAttr(dv, attr, p, n, draft, range));
  if (!draft.commits && (draft.markMask !== 0 || draft.hasLabels)) refuse('mark or labels without commit');
  if (draft.helperName !== '') {
    draft.helper = helperNumber(draft.helperName, draft.proto);
    if (draft.helper === 0) refuse(`unknown helper ${draft.helperName}`);
  }
  template.zone = draft.zone;
  template.helper = draft.helper;
  return draft;
}

function parseAttr(dv: DataView, type: number, at: number, size: number, draft: Draft, range: Range): void {
  const [least, most] = SIZES[type] ?? refuse(`unknown attribute ${type}`);
  if (size < least || size > most) refuse(`attribute ${type} has ${size} bytes`);
  switch (type) {
    case CT.COMMIT:
      draft.commits = true;
      break;
    case CT.FORCE_COMMIT:
      draft.forces = draft.commits = true;
      break;
    case CT.ZONE:
      draft.zone = dv.getUint16(at, LITTLE_ENDIAN);
      break;
    case CT.MARK:
      draft.mark = dv.getInt32(at, LITTLE_ENDIAN);
      draft.markMask = dv.getInt32(at + 4, LITTLE_ENDIAN);
      if (draft.markMask === 0) refuse('mark with an empty mask');
      break;
    case CT.LABELS:
      draft.hasLabels = false;
      for (let i = 0; i < 4; i++) {
        draft.labels[i] = dv.getInt32(at + 4 * i);
        draft.labelsMask[i] = dv.getInt32(at + 16 + 4 * i);
        if (draft.labelsMask[i] !== 0) draft.hasLabels = true;
      }
      if (!draft.hasLabels) refuse('labels with an empty mask');
      break;
    case CT.HELPER:
      draft.helperName = nameAt(dv, at, size);
      break;
    case CT.NAT:
      parseNat(dv, at, size, draft, range);
      break;
    case CT.EVENTMASK:
      draft.eventMask = dv.getUint32(at, LITTLE_ENDIAN);
      break;
    case CT.TIMEOUT:
      draft.timeout = nameAt(dv, at, size);
      break;
    default:
      refuse(`unknown attribute ${type}`);
  }
}

function nameAt(dv: DataView, at: number, size: number): string {
  const bytes = Buffer.from(dv.buffer, dv.byteOffset + at, size);
  const nul = bytes.indexOf(0);
  if (nul < 0) refuse('name without end');
  return bytes.toString('latin1', 0, nul);
}

function parseNat(dv: DataView, at: number, size: number, draft: Draft, range: Range): void {
  let hasMaxAddr = false;
  let hasMaxPort = false;
  let hasFlags = false;
  const addrSize = draft.family === NFPROTO.IPV6 ? 16 : 4;
  forEachAttr(dv, at, size, (type, p, n) => {
    const want = NAT_SIZES[type] ?? refuse(`unknown NAT attribute ${type}`);
    if (n !== (want === ADDR ? addrSize : want)) refuse(`NAT attribute ${type} has ${n} bytes`);
    if (type > NAT.DST) hasFlags = true;
    switch (type) {
      case NAT.SRC:
      case NAT.DST:
        if (draft.nat !== CT_NAT.NONE) refuse('two kinds of NAT', ERRNO.ERANGE);
        draft.nat = type === NAT.SRC ? CT_NAT.SRC : CT_NAT.DST;
        break;
      case NAT.IP_MIN:
      case NAT.IP_MAX: {
        const addr = type === NAT.IP_MIN ? range.minAddr : range.maxAddr;
        for (let i = 0; i < addrSize / 4; i++) addr[i] = dv.getInt32(p + 4 * i);
        if (type === NAT.IP_MAX) hasMaxAddr = true;
        range.hasAddrs = true;
        break;
      }
      case NAT.PROTO_MIN:
        range.minPort = dv.getUint16(p, LITTLE_ENDIAN);
        range.hasPorts = true;
        break;
      case NAT.PROTO_MAX:
        range.maxPort = dv.getUint16(p, LITTLE_ENDIAN);
        range.hasPorts = hasMaxPort = true;
        break;
      case NAT.PERSISTENT:
        range.isPersistent = true;
        break;
      case NAT.PROTO_HASH:
        range.isHash = true;
        break;
      case NAT.PROTO_RANDOM:
        range.isRandom = true;
        break;
      default:
        refuse(`unknown NAT attribute ${type}`);
    }
  });
  if (draft.nat === CT_NAT.NONE) {
    if (hasFlags) refuse('NAT range without SRC or DST');
    draft.nat = CT_NAT.EXISTING;
  } else if (!draft.commits) {
    refuse('NAT without commit');
  }
  if (range.hasAddrs && !hasMaxAddr) range.maxAddr.set(range.minAddr);
  if (range.hasPorts && !hasMaxPort) range.maxPort = range.minPort;
}

/** Appends the payload of the action, in the kernel's order. */
export function writeCt(w: MessageWriter, args: CtArgs): void {
  if (args.commits) w.attrFlag(args.forces ? CT.FORCE_COMMIT : CT.COMMIT);
  w.attrU16(CT.ZONE, args.zone);
  if (args.markMask !== 0) {
    const at = w.attrHeader(CT.MARK, 8);
    w.dv.setInt32(at, args.mark, LITTLE_ENDIAN);
    w.dv.setInt32(at + 4, args.markMask, LITTLE_ENDIAN);
  }
  if (args.hasLabels) {
    const at = w.attrHeader(CT.LABELS, 32);
    for (let i = 0; i < 4; i++) {
      w.dv.setInt32(at + 4 * i, args.labels[i]!);
      w.dv.setInt32(at + 16 + 4 * i, args.labelsMask[i]!);
    }
  }
  if (args.helperName !== '') w.attrString(CT.HELPER, args.helperName);
  if (args.eventMask !== undefined) w.attrU32(CT.EVENTMASK, args.eventMask);
  if (args.timeout !== '') w.attrString(CT.TIMEOUT, args.timeout, 'latin1');
  if (args.nat !== CT_NAT.NONE) writeNat(w, args);
}

function writeNat(w: MessageWriter, args: CtArgs): void {
  const { range } = args;
  const nest = w.nest(CT.NAT);
  if (args.nat !== CT_NAT.EXISTING) {
    w.attrFlag(args.nat === CT_NAT.SRC ? NAT.SRC : NAT.DST);
    const words = args.family === NFPROTO.IPV6 ? 4 : 1;
    if (range.hasAddrs) {
      putAddr(w, NAT.IP_MIN, range.minAddr, words);
      if (range.minAddr.some((word, i) => word !== range.maxAddr[i])) putAddr(w, NAT.IP_MAX, range.maxAddr, words);
    }
    if (range.hasPorts) {
      w.attrU16(NAT.PROTO_MIN, range.minPort);
      if (range.maxPort !== range.minPort) w.attrU16(NAT.PROTO_MAX, range.maxPort);
    }
    if (range.isPersistent) w.attrFlag(NAT.PERSISTENT);
    if (range.isHash) w.attrFlag(NAT.PROTO_HASH);
    if (range.isRandom) w.attrFlag(NAT.PROTO_RANDOM);
  }
  w.endNest(nest);
}

function putAddr(w: MessageWriter, type: number, addr: Int32Array, words: number): void {
  const at = w.attrHeader(type, 4 * words);
  for (let i = 0; i < words; i++) w.dv.setInt32(at + 4 * i, addr[i]!);
}
