/**
 * Upcalls: handing a packet to userspace.  Here is decided who gets it (or that nobody does), and the packet is made
 * what userspace expects: whole headers, one segment, a finished checksum.  An UpcallSink makes the netlink message.
 * Source: net/openvswitch/datapath.c (ovs_dp_upcall and what it calls).
 */
import type { FlowKey } from '../flow/flow-key.ts';
import type { Packet } from '../packet/packet.ts';
import type { Datapath } from './datapath.ts';

/** What comes with a packet.  One object, reused: copy what must outlive the call. */
export class UpcallInfo {
  /** OVS_PACKET_CMD.MISS or ACTION. */
  cmd = 0;
  /** Netlink port id of the receiver, never 0 when the sink sees it. */
  portId = 0;
  /** Bytes of the packet to send, from its start; `pkt.size` may be more (then OVS_PACKET_ATTR_LEN tells it). */
  size = 0;
  /** OVS_PACKET_ATTR_MRU, 0 if none. */
  mru = 0;
  /** OVS_PACKET_ATTR_HASH: 32 bits, unsigned. */
  hash = 0;
  /** Userdata and actions are ranges of `bytes`; a size of -1 means none. */
  bytes: Uint8Array = new Uint8Array(0);
  userdataAt = 0;
  userdataSize = -1;
  actionsAt = 0;
  actionsSize = -1;
  /** OVS_PACKET_ATTR_EGRESS_TUN_KEY: the nest's payload. */
  egressTunKey: Uint8Array | undefined;
}

/** Implemented by the netlink side: builds and sends the message.  Hot path. */
export interface UpcallSink {
  /** Returns 0 or -errno.  `key`, `pkt` and `info` are borrowed for the call. */
  upcall(dp: Datapath, key: FlowKey, pkt: Packet, info: UpcallInfo): number;
}
