/**
 * What generic-netlink clients say of a peer that cannot be reached, and how they find out.  Used by genl.ts and its neighbours.
 * Source: lib/netlink-socket.c.
 */
import { ERRNO } from '../util/errno.ts';
import { DATAPATH_PORT_ID, NLMSG, NLMSG_HDRLEN } from './constants.ts';
import { NetlinkError } from './errors.ts';
import { MessageWriter } from './message.ts';
import type { NetlinkTransport } from './transport.ts';

/** What an unreachable peer is called in errors. */
export function peerError(errno: number, peer: number, where: string): NetlinkError {
  if (errno !== ERRNO.ECONNREFUSED) return new NetlinkError(errno, where);
  const hint =
    peer === DATAPATH_PORT_ID
      ? 'no emulated datapath runs in this network namespace'
      : `nobody has netlink port id ${peer}`;
  return new NetlinkError(errno, where, hint);
}

/**
 * Whether nobody has port id `peer` any more.  An NLMSG_NOOP, which everybody ignores, cannot be sent to a process that is
 * gone; the kernel is always there.
 */
export function isPeerGone(transport: NetlinkTransport, peer: number): boolean {
  if (peer === 0) return false;
  const noop = new MessageWriter(NLMSG_HDRLEN + 3);
  noop.end(noop.begin(NLMSG.NOOP, 0, 0, transport.portId));
  return transport.send(noop.bytes, 0, noop.size, peer) === -ERRNO.ECONNREFUSED;
}
