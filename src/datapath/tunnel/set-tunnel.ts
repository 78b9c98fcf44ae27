/**
 * set(tunnel(...)): makes tunnel metadata of the attribute when it is installed, for the packet to carry to its next outputs.
 * And the other way, for upcalls that tell how a packet would leave (OVS_PACKET_ATTR_EGRESS_TUN_KEY).
 * Source: net/openvswitch/flow_netlink.c (validate_and_copy_set_tun), actions.c (output_userspace).
 */
import { FIELD } from '../../flow/fields.ts';
import { isFieldSet } from '../../flow/flow-key.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { MessageWriter } from '../../netlink/message.ts';
import { ERRNO } from '../../util/errno.ts';
import { loadTunnel, putTunnel, putTunnelAttrs } from '../match/tunnel-key.ts';
import { checkGeneveOptions } from './geneve.ts';
import { newTunnelInfo, TUN, TUN_FAMILY, type TunnelInfo, tunFamily } from './tunnel-info.ts';

/** What the kernel stores of it: an attribute in an attribute, and a struct ovs_tunnel_info. */
export const SET_TUNNEL_SIZE = 16;

/** Reads the nest `[at, at + size)`.  Throws NetlinkError EINVAL: no destination, no TTL, options that are not whole. */
export function readSetTunnel(dv: DataView, at: number, size: number): TunnelInfo {
  const tun = newTunnelInfo();
  loadTunnel(dv, at, size, tun, tun, false);
  if (!checkGeneveOptions(tun)) throw new NetlinkError(ERRNO.EINVAL, 'set(tunnel): Geneve options that are not whole');
  // Metadata for a bridge in the kernel names no destination: nothing leaves with it.
  if (!isFieldSet(tun, FIELD.tunDst) && !isFieldSet(tun, FIELD.tunIpv6Dst)) tun[TUN.FAMILY] = TUN_FAMILY.NONE;
  return tun;
}

/**
 * Appends the nest `[at, at + size)`, which was accepted, as the kernel shows it.  False, and nothing is appended, if that is
 * as it is.
 */
export function putSetTunnel(w: MessageWriter, dv: DataView, at: number, size: number): boolean {
  const tun = readSetTunnel(dv, at, size);
  if (tunFamily(tun) === TUN_FAMILY.NONE) return false;
  putTunnel(w, tun, tun);
  return true;
}

/** The contents of an OVS_PACKET_ATTR_EGRESS_TUN_KEY nest. */
export function tunnelAttrs(tun: TunnelInfo): Uint8Array {
  const w = new MessageWriter();
  w.reserve(1024);
  putTunnelAttrs(w, tun, tun);
  return w.bytes.slice(0, w.size);
}
