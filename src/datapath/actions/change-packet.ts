/**
 * The actions that change a packet's bytes, by opcode: what room they need, what they do, and what it means if a packet is not fit for them.
 * actions.ts has given the packet bytes of its own before.
 * Source: net/openvswitch/actions.c.
 */
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { OVS_ACTION_ATTR as A } from '../../odp/action-attrs.ts';
import type { Packet } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';
import { SET_OP } from './action-program.ts';
import { pushNsh } from './nsh.ts';
import { popEthernet, popMpls, popVlan, pushEthernet, pushMpls, pushMplsFirst, pushVlan } from './push-pop.ts';
import { endOfIp, setEthernet, setIpv4, setIpv6, setMpls, setSctp, setTcp, setUdp } from './set-field.ts';

const W_TYPE = FIELD.ethType.word; // with packetType

/** Bytes that an action with `n` argument words writes before the packet. */
export function pushRoom(op: number, n: number): number {
  switch (op) {
    case A.PUSH_VLAN:
    case A.PUSH_MPLS:
    case A.ADD_MPLS:
      return 4;
    case A.PUSH_ETH:
      return 14;
    case A.PUSH_NSH:
      return 4 * n;
    default:
      return 0;
  }
}

/** -errno: mostly a header is not there, and the kernel says that it cannot make it writable. */
export function changeError(op: number, pkt: Packet): number {
  if (op === A.PUSH_ETH || op === A.POP_ETH) return -ERRNO.EPROTO;
  if (op === A.PUSH_NSH) return -ERRNO.EAFNOSUPPORT;
  const isBehindTags = op === SET_OP.MPLS && pkt.end - pkt.start - pkt.l3 >= 4;
  return isBehindTags ? -ERRNO.EINVAL : -ERRNO.ENOMEM;
}

/** Whether a packet has an Ethernet header is in its key at once, though what else its key says is stale.  Returns true. */
export function noteEthernet(pkt: Packet, key: FlowKey): boolean {
  const type = key[W_TYPE]! >>> 16;
  key[W_TYPE] = (type << 16) | (pkt.packetType === 0 ? 0 : type);
  return true;
}

/** Runs an action that changes a packet's bytes; false if the packet is not fit for it. */
export function changePacket(pkt: Packet, key: FlowKey, code: Int32Array, op: number, arg: number): boolean {
  switch (op) {
    case A.PUSH_VLAN:
      return pushVlan(pkt, key, code[arg]!);
    case A.POP_VLAN:
      return popVlan(pkt, key);
    case A.PUSH_MPLS:
      pushMpls(pkt, code[arg]!, code[arg + 1]!, code[arg + 2] === 1);
      return true;
    case A.ADD_MPLS:
      if (code[arg + 2] === 1) pushMpls(pkt, code[arg]!, code[arg + 1]!, false);
      else pushMplsFirst(pkt, code[arg]!, code[arg + 1]!);
      return noteEthernet(pkt, key);
    case A.POP_MPLS:
      return popMpls(pkt, code[arg]!) && noteEthernet(pkt, key);
    case A.PUSH_ETH:
      return pushEthernet(pkt, code, arg) && noteEthernet(pkt, key);
    case A.POP_ETH:
      return popEthernet(pkt) && noteEthernet(pkt, key);
    case A.PUSH_NSH:
      return pushNsh(pkt, code, arg, code[arg - 1]!) && noteEthernet(pkt, key);
    case SET_OP.ETHERNET:
      return setEthernet(pkt, key, code, arg);
    case SET_OP.IPV4:
      return setIpv4(pkt, key, code, arg);
    case SET_OP.IPV6:
      return setIpv6(pkt, key, code, arg);
    case SET_OP.TCP:
      return setTcp(pkt, key, code, arg);
    case SET_OP.UDP:
      return setUdp(pkt, key, code, arg);
    case SET_OP.SCTP:
      return setSctp(pkt, key, code, arg, pkt.end);
    case SET_OP.SCTP_UNPADDED:
      return setSctp(pkt, key, code, arg, endOfIp(pkt));
    case SET_OP.MPLS:
      return setMpls(pkt, key, code, arg);
    default:
      return false;
  }
}
