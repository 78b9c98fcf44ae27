/**
 * Compiles the actions that put headers before a packet or take them away: VLAN tags, MPLS labels, Ethernet and NSH headers.  What they
 * demand of the headers that are there, and what they leave, is all in the shape.  Part of compile-actions.ts; push-pop.ts runs them.
 * Source: net/openvswitch/flow_netlink.c (__ovs_nla_copy_actions).
 */
import { VLAN_CFI } from '../../flow/fields.ts';
import { LITTLE_ENDIAN } from '../../netlink/constants.ts';
import type { AttrCursor } from '../../netlink/message.ts';
import { OVS_ACTION_ATTR, OVS_MPLS_L3_TUNNEL_FLAG_MASK } from '../../odp/action-attrs.ts';
import { ETH_TYPE, isMplsType, isVlanType } from '../../packet/ethernet.ts';
import { refuse } from './action-parts.ts';
import { emitAction } from './action-program.ts';
import type { PacketShape } from './compile-set.ts';
import { ethTypeOf, nextProtocolOf, readPushNsh, TUN_P } from './nsh.ts';

const A = OVS_ACTION_ATTR;

/**
 * Compiles the action at `it` into `code`, and changes `shape` as it will change packets.  False, with nothing done, if it is none of
 * these.  Throws NetlinkError (EINVAL) if packets of that shape cannot have it.
 */
export function compilePushPop(it: AttrCursor, shape: PacketShape, isUserspace: boolean, code: number[]): boolean {
  const { dv } = it;
  switch (it.type) {
    case A.POP_VLAN:
      if (!shape.hasEthernet) refuse('pop_vlan without Ethernet header');
      shape.vlanTci = 0;
      emitAction(code, A.POP_VLAN);
      return true;
    case A.PUSH_VLAN: {
      const tci = dv.getUint16(it.at + 2);
      if (!shape.hasEthernet || !isVlanType(dv.getUint16(it.at)) || (tci & VLAN_CFI) === 0) refuse('push_vlan');
      shape.vlanTci = tci;
      emitAction(code, A.PUSH_VLAN, dv.getInt32(it.at));
      return true;
    }
    case A.PUSH_MPLS:
    case A.ADD_MPLS:
      pushMpls(it, shape, isUserspace, code);
      return true;
    case A.POP_MPLS: {
      const type = dv.getUint16(it.at);
      if (isHidden(shape, isUserspace) || !isMplsType(shape.ethType)) refuse('pop_mpls without labels');
      if (type === ETH_TYPE.TEB && shape.hasEthernet) refuse('pop_mpls to Ethernet behind an Ethernet header');
      // Nothing is known of what is behind the last label, so nothing of it can be set without recirculation.
      shape.nMpls--;
      shape.ethType = !isMplsType(type) || shape.nMpls === 0 ? 0 : type;
      emitAction(code, A.POP_MPLS, type);
      return true;
    }
    case A.PUSH_ETH:
      if (shape.hasEthernet) refuse('push_eth on an Ethernet header');
      shape.hasEthernet = true;
      emitAction(
        code,
        A.PUSH_ETH,
        dv.getInt32(it.at + 6),
        (dv.getUint16(it.at + 10) << 16) | dv.getUint16(it.at),
        dv.getInt32(it.at + 2),
      );
      return true;
    case A.POP_ETH:
      if (!shape.hasEthernet || (shape.vlanTci & VLAN_CFI) !== 0) refuse('pop_eth');
      shape.hasEthernet = false;
      emitAction(code, A.POP_ETH);
      return true;
    case A.PUSH_NSH: {
      const np = shape.hasEthernet ? TUN_P.ETHERNET : nextProtocolOf(shape.ethType);
      if (np === 0) refuse('push_nsh on an unknown protocol');
      shape.hasEthernet = false;
      // Kernels go on as if the header were not there.
      if (isUserspace) [shape.ethType, shape.nshNp] = [ETH_TYPE.NSH, np];
      emitAction(code, A.PUSH_NSH, ...(readPushNsh(dv, it.at, it.size) ?? refuse('push_nsh of no valid header')));
      return true;
    }
    case A.POP_NSH: {
      const inner = shape.ethType === ETH_TYPE.NSH ? ethTypeOf(shape.nshNp) : 0;
      if (inner === 0) refuse('pop_nsh');
      shape.hasEthernet = inner === ETH_TYPE.TEB;
      if (isUserspace) shape.ethType = shape.hasEthernet ? 0 : inner;
      emitAction(code, A.POP_NSH);
      return true;
    }
    default:
      return false;
  }
}

/** Whether a tag keeps kernels from labels: they stand behind it. */
const isHidden = (shape: PacketShape, isUserspace: boolean): boolean =>
  (shape.vlanTci & VLAN_CFI) !== 0 && !isUserspace;

function pushMpls(it: AttrCursor, shape: PacketShape, isUserspace: boolean, code: number[]): void {
  const { dv } = it;
  const type = dv.getUint16(it.at + 4);
  const isPush = it.type === A.PUSH_MPLS;
  const behindEthernet = isPush || (dv.getUint16(it.at + 6, LITTLE_ENDIAN) & OVS_MPLS_L3_TUNNEL_FLAG_MASK) !== 0;
  if (!isMplsType(type)) refuse('push_mpls of another ethertype');
  if (behindEthernet) {
    // Only behind what is known to hold no tags.
    if (isHidden(shape, isUserspace) || !(isUserspace || MPLS_MAY_COVER(shape.ethType))) refuse('push_mpls');
    shape.nMpls++;
  } else if (shape.hasEthernet) {
    shape.nMpls = 1;
    shape.hasEthernet = false;
  } else {
    shape.nMpls++;
  }
  shape.ethType = type;
  if (isPush) emitAction(code, A.PUSH_MPLS, dv.getInt32(it.at), type, isUserspace ? 1 : 0);
  else emitAction(code, A.ADD_MPLS, dv.getInt32(it.at), type, behindEthernet ? 1 : 0);
}

const MPLS_MAY_COVER = (type: number): boolean =>
  type === ETH_TYPE.IP || type === ETH_TYPE.IPV6 || type === ETH_TYPE.ARP || type === ETH_TYPE.RARP || isMplsType(type);
