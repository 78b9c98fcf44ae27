/**
 * What a vport needs of the device behind it.  Three kinds: a TAP (port-tap.ts), an existing device through AF_PACKET
 * (port-netdev.ts), and one in memory for tests and embedding (port-memory.ts).
 *
 * A backend receives in batches into slots of the arena that are its own, and hands each frame over as a `Packet`; it
 * sends what `send` queued when `flush` is called.  It knows nothing of flows.
 */
import type { VportPolicing } from '../../netlink/families/ovs-vport.ts';
import type { Packet } from '../../packet/packet.ts';
import type { DeviceStats } from '../../util/device-stats.ts';

export type { DeviceStats };

/** Longest name of a device, without NUL.  Bytes (IFNAMSIZ - 1, include/uapi/linux/if.h). */
export const DEVICE_NAME_MAX = 15;

/** What a backend tells its vport. */
export interface PortEvents {
  /**
   * One frame came in, offloads as they were.  Only `slot`, `start`, `end` and the offload fields are set.  The packet
   * and its slot are the backend's again when this returns, but for what was queued with `send` on any port: that stays
   * valid until the `batchEnd` that follows.
   */
  receive(pkt: Packet): void;
  /** After the last frame of a batch: flush every port that has something queued. */
  batchEnd(): void;
}

/** Where a device is: its index there, and the number that the namespace has in ours. */
export interface DevicePlace {
  readonly ifindex: number;
  readonly netnsid: number;
}

export interface PortBackend {
  /** The device's current name and index (0 in memory). */
  readonly name: string;
  readonly ifindex: number;
  /** Of an internal port whose device was moved to another network namespace: where it is. */
  readonly elsewhere?: DevicePlace | undefined;
  /** Largest frame, without Ethernet header, that the device sends; super-packets are exempt.  Bytes. */
  readonly mtu: number;
  /** Whether the device takes packets with partial checksum and super-packets whole. */
  readonly takesOffloads: boolean;
  /**
   * Of a tunnel port: metadata of the frame that is being delivered, in the tunnel words of a flow key.  Frames that are
   * sent have theirs in `txTunnel`.
   */
  readonly rxTunnel?: Int32Array;
  /** Of a tunnel port: how it was made, as the payload of OVS_VPORT_ATTR_OPTIONS; undefined if there are no options. */
  tunnelOptions?(): Uint8Array | undefined;
  /** Of a tunnel port: writes to `out` with what metadata `pkt` would leave; false if it would not. */
  egressTunnel?(pkt: Packet, out: Int32Array): boolean;
  /** Of a tunnel port: it is to be deleted by request, so that userspace is going to delete its device as well. */
  expectDeletion?(): void;
  /**
   * Of an internal port: its link-layer address while the stack of the host, in the datapath's own network namespace, uses
   * it; undefined while it is down or elsewhere.  Hot path.
   */
  hostAddress?(): Uint8Array | undefined;
  /** Limits what the port receives from now on.  A port that cannot lacks it. */
  police?(policing: VportPolicing): void;
  /** Starts receiving. */
  start(events: PortEvents): void;
  /**
   * Queues `pkt` for sending.  Hot path.  Its bytes must stay as they are until `flush`: a caller that goes on to
   * change them copies first.  A full queue is flushed.
   */
  send(pkt: Packet): void;
  /** Sends what is queued.  What the device does not take is counted as tx dropped. */
  flush(): void;
  /** Reads the device's counters. */
  stats(): DeviceStats;
  /** Stops and gives the device back as it was found.  Idempotent. */
  close(): void;
}
