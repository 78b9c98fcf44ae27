/**
 * Validates SET and SET_MASKED at installation and turns them into SET_OP instructions: value words, then mask words, in
 * the form in which set-field.ts writes them (host integers; MAC addresses as in a frame).  Part of compile-actions.ts.
 * Source: net/openvswitch/flow_netlink.c (validate_set), include/uapi/linux/openvswitch.h (struct ovs_key_*).
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, getField } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, nlaAlign } from '../../netlink/constants.ts';
import type { AttrCursor } from '../../netlink/message.ts';
import { KEY_ROWS, OVS_KEY_ATTR } from '../../odp/key/key-table.ts';
import { ETH_TYPE, isMplsType } from '../../packet/ethernet.ts';
import { IPPROTO } from '../../packet/ip.ts';
import { SET_OP } from './action-program.ts';

/** What the actions before have made of the packet, as far as validation follows it. */
export interface PacketShape {
  ethType: number;
  /** With VLAN_CFI if there is a tag. */
  vlanTci: number;
  nMpls: number;
  hasEthernet: boolean;
  /** TUN_P.* of what is in the NSH header, if there is one. */
  nshNp: number;
}

/** Offset and size in struct ovs_key_ipv4 and ovs_key_ipv6 of what cannot be set. */
const IPV4_PROTO = 8;
const IPV6_LABEL = 32;
const IPV6_PROTO = 36;

/**
 * Appends the instruction for the SET (or, if `isMasked`, SET_MASKED) attribute that `it` stands on.  Returns the bytes
 * that the kernel stores for it, or -1 for what it refuses.
 */
export function compileSet(
  it: AttrCursor,
  isMasked: boolean,
  key: FlowKey,
  shape: PacketShape,
  code: number[],
): number {
  const { dv } = it;
  if (it.size < NLA_HDRLEN) return -1;
  const nested = dv.getUint16(it.at, LITTLE_ENDIAN);
  const type = dv.getUint16(it.at + 2, LITTLE_ENDIAN) & 0x3fff;
  // One attribute, padded, and nothing else.
  if (nested < NLA_HDRLEN || nested > it.size || nlaAlign(nested) !== it.size) return -1;

  const at = it.at + NLA_HDRLEN;
  const size = isMasked ? (nested - NLA_HDRLEN) >> 1 : nested - NLA_HDRLEN;
  const row = KEY_ROWS[type];
  const want = type === OVS_KEY_ATTR.MPLS ? 4 : (row?.size ?? -1);
  if (size !== want) return -1;
  const maskAt = isMasked ? at + size : -1;
  if (isMasked && !isWithinMask(dv, at, size)) return -1;
  if (!mayBeSet(dv, type, at, maskAt, key, shape)) return -1;

  const op = OP_OF[type];
  if (op === undefined) return -1;
  const head = code.push(op, 0);
  valueWords(dv, type, at, code);
  const n = code.length - head;
  if (isMasked) valueWords(dv, type, maskAt, code);
  else for (let i = 0; i < n; i++) code.push(-1);
  code[head - 1] = 2 * n;
  return NLA_HDRLEN + nlaAlign(NLA_HDRLEN + 2 * size);
}

const K = OVS_KEY_ATTR;
// biome-ignore format: table
const OP_OF: readonly (number | undefined)[] = Object.assign([], {
  [K.PRIORITY]: SET_OP.PRIORITY, [K.SKB_MARK]: SET_OP.SKB_MARK, [K.ETHERNET]: SET_OP.ETHERNET, [K.IPV4]: SET_OP.IPV4,
  [K.IPV6]: SET_OP.IPV6, [K.TCP]: SET_OP.TCP, [K.UDP]: SET_OP.UDP, [K.SCTP]: SET_OP.SCTP, [K.MPLS]: SET_OP.MPLS,
  [K.CT_MARK]: SET_OP.CT, [K.CT_LABELS]: SET_OP.CT,
});

/** Value bits outside the mask are an error. */
function isWithinMask(dv: DataView, at: number, size: number): boolean {
  for (let i = at; i < at + size; i++) if (dv.getUint8(i) & ~dv.getUint8(i + size)) return false;
  return true;
}

/** Whether the packet has that header, and, of IP, whether only writable fields change.  `maskAt` is -1 without mask. */
function mayBeSet(dv: DataView, type: number, at: number, maskAt: number, key: FlowKey, shape: PacketShape): boolean {
  const isIp = shape.ethType === ETH_TYPE.IP || shape.ethType === ETH_TYPE.IPV6;
  const proto = getField(key, FIELD.nwProto);
  /** Protocol and fragment type, at `offset` and 3 bytes on, as they are. */
  const keepsProto = (offset: number) =>
    maskAt >= 0
      ? dv.getUint8(maskAt + offset) === 0 && dv.getUint8(maskAt + offset + 3) === 0
      : dv.getUint8(at + offset) === proto && dv.getUint8(at + offset + 3) === getField(key, FIELD.nwFrag);
  switch (type) {
    case K.PRIORITY:
    case K.SKB_MARK:
    case K.CT_MARK:
    case K.CT_LABELS:
      return true;
    case K.ETHERNET:
      return shape.hasEthernet;
    case K.IPV4:
      return shape.ethType === ETH_TYPE.IP && keepsProto(IPV4_PROTO);
    case K.IPV6:
      if (shape.ethType !== ETH_TYPE.IPV6 || !keepsProto(IPV6_PROTO)) return false;
      return dv.getUint32(at + IPV6_LABEL) <= 0xfffff && (maskAt < 0 || dv.getUint32(maskAt + IPV6_LABEL) <= 0xfffff);
    case K.TCP:
      return isIp && proto === IPPROTO.TCP;
    case K.UDP:
      return isIp && proto === IPPROTO.UDP;
    case K.SCTP:
      return isIp && proto === IPPROTO.SCTP;
    case K.MPLS:
      return isMplsType(shape.ethType);
    default:
      return false;
  }
}

/** Appends the value, or mask, at `at` as the words that set-field.ts wants. */
function valueWords(dv: DataView, type: number, at: number, code: number[]): void {
  switch (type) {
    case K.PRIORITY:
    case K.SKB_MARK:
      code.push(dv.getInt32(at, LITTLE_ENDIAN));
      break;
    case K.ETHERNET:
      // The attribute has the source first, a frame the destination.
      code.push(dv.getInt32(at + 6), (dv.getUint16(at + 10) << 16) | dv.getUint16(at), dv.getInt32(at + 2));
      break;
    case K.IPV4:
      code.push(dv.getInt32(at), dv.getInt32(at + 4), dv.getUint16(at + 9));
      break;
    case K.IPV6:
      for (let i = 0; i < 8; i++) code.push(dv.getInt32(at + 4 * i));
      code.push(dv.getInt32(at + IPV6_LABEL) & 0xfffff, dv.getUint16(at + 37));
      break;
    default:
      code.push(dv.getInt32(at));
  }
}
