/**
 * The native addon: system calls that Node lacks, and batched packet I/O.  Everything that decides or parses is
 * TypeScript; the addon only moves bytes between the kernel and memory that its caller owns.
 *
 * Conventions of every function here:
 *  - Nothing blocks.  Sockets are non-blocking and close-on-exec.
 *  - Functions on the packet or message path return a count, or `-errno` (`-EAGAIN` included); they never throw.
 *  - Functions that open, bind or configure throw an `Error` with `errno` (positive), `code` ("EADDRINUSE") and
 *    `syscall`.
 *  - Buffers are borrowed for the call only, except an arena's.
 *
 * Source: native/*.cc.  Used by netlink/socket.ts, datapath/port-*.ts and the daemon parts of cli and vswitchd.
 */
import { createRequire } from 'node:module';

/** A netlink socket.  One uv_poll handle a socket; `close()` is idempotent and must be called. */
export interface NativeNetlinkSocket {
  /** The port id that this socket is bound to. */
  readonly portId: number;
  readonly fd: number;
  /**
   * Sends `size` bytes at `offset` of `buffer` as one datagram to `portId`, or, if `group` is not 0, to that
   * multicast group (bit `group - 1`, so 1..32).  Returns `size` or -errno: -EAGAIN when the receiver's queue is
   * full, -ECONNREFUSED when nobody has that port id.  Whether a group has listeners the kernel does not say.
   */
  send(buffer: Uint8Array, offset: number, size: number, portId: number, group: number): number;
  /**
   * Sends `n` datagrams, described by three words each in `list`: offset, size, port id.  Writes each one's result
   * (size or -errno) over its third word, and returns the number of those that went out.
   */
  sendMany(buffer: Uint8Array, list: Int32Array, n: number): number;
  /**
   * Receives up to `max` datagrams: number i at `i * stride` of `buffer`.  Its full size goes to `info[2 * i]` (more
   * than `stride` means that it was truncated) and its sender's port id to `info[2 * i + 1]`.  Returns how many, or
   * -errno: -EAGAIN when there are none, -ENOBUFS when the kernel dropped some.
   */
  receive(buffer: Uint8Array, stride: number, max: number, info: Int32Array): number;
  joinGroup(group: number): void;
  leaveGroup(group: number): void;
  /**
   * Calls `onReadable` from the event loop while the socket is readable or has an error to tell, which `receive` does;
   * null stops it.
   */
  poll(onReadable: (() => void) | null): void;
  /** Whether polling keeps the process alive; it does at first. */
  setRef(on: boolean): void;
  close(): void;
}

/** Memory that packets live in: one range, given to JavaScript as one ArrayBuffer.  Never freed before exit. */
export interface NativeArena {
  readonly buffer: ArrayBuffer;
}

/** A file descriptor that frames come from and go to: an AF_PACKET socket or a TAP.  */
export interface NativePort {
  readonly fd: number;
  /** For a TAP the name that the kernel gave it, else ''. */
  readonly name: string;
  readonly ifindex: number;
  /**
   * Receives up to `max` frames into the arena: number i at `base + i * stride`, a struct virtio_net_hdr of
   * VNET_HDR_SIZE bytes and then the frame.  `stride` bounds both.  For each, RX_WORDS words go to `info`:
   *   [0] bytes of header and frame, 0 if it did not fit and is to be dropped,
   *   [1] VLAN TCI that the kernel took out of the frame, or -1, [2] its TPID,
   *   [3] sll_pkttype (AF_PACKET; PACKET_OUTGOING ones are left out already), 0 for a TAP.
   * Returns how many, 0 when there are none, or -errno (-ENETDOWN, -EBADFD for a device that went away).
   */
  receive(base: number, stride: number, max: number, info: Int32Array): number;
  /**
   * Sends `n` frames: words `2 * i` and `2 * i + 1` of `list` are the arena offset of the frame's virtio_net_hdr and
   * the bytes of both.  Returns how many were taken; for the others `list[2 * i + 1]` becomes -errno.
   */
  send(list: Int32Array, n: number): number;
  /**
   * Looks for a frame, here and on `other`, over and over for `us` microseconds (1000 at most), the thread doing nothing else.
   * Returns 1 if there is one here, 2 on `other`, 0 if there was none.
   */
  awaitFrame(us: number, other: NativePort | undefined): number;
  /** Frames that came while the socket's buffer was full, since it was opened; 0 for a TAP, whose device counts them. */
  lost(): number;
  /** As a netlink socket's. */
  poll(onReadable: (() => void) | null): void;
  /** `deletesTap`: a persistent TAP goes away, too. */
  close(deletesTap?: boolean): void;
}

/** A socket that a tunnel port's packets come and go through: UDP, or raw for sending UDP and for GRE. */
export interface NativeTunnelSocket {
  readonly fd: number;
  /**
   * Receives up to `max` packets into the arena: number i at `base + i * stride`, at most `stride` bytes, without UDP
   * header; of IPv4 raw sockets with the IP header.  For each, TUNNEL_RX_WORDS words go to `info`:
   *   [0] bytes, 0 if it did not fit, [1..4] source and [5..8] destination address (IPv4: the first word of each),
   *   [9] source port, [10] TOS << 8 | TTL, [11] ifindex.
   * Returns how many, 0 when there are none, or -errno.
   */
  receive(base: number, stride: number, max: number, info: Int32Array): number;
  /**
   * Sends `n` packets, TUNNEL_TX_WORDS words each in `list`:
   *   [0], [1] arena offset and size of the headers behind IP, [2], [3] of what follows, [4] TOS, [5] TTL (0: default),
   *   [6..9] source address (zeros: as the route says), [10..13] destination.
   * Returns how many were taken; for the others word 1 becomes -errno.
   */
  send(list: Int32Array, n: number): number;
  /** As a netlink socket's. */
  poll(onReadable: (() => void) | null): void;
  close(): void;
}

export const TUNNEL_RX_WORDS = 12;
export const TUNNEL_TX_WORDS = 14;

export const VNET_HDR_SIZE = 10;
export const RX_WORDS = 4;

/** struct ethtool_drvinfo; texts may be empty. */
export interface DeviceDriver {
  readonly name: string;
  readonly version: string;
  readonly firmware: string;
}

export interface NativeAddon {
  /** `protocol` is NETLINK_*; `portId` 0 lets the kernel choose; `rcvbuf` in bytes, forced where allowed. */
  openNetlink(protocol: number, portId: number, rcvbuf: number): NativeNetlinkSocket;
  /** `size` bytes (4 GiB at most), page-aligned, zeroed, reserved but not committed. */
  createArena(size: number): NativeArena;
  /**
   * AF_PACKET socket bound to `ifindex`: all protocols, PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING,
   * promiscuous if `promisc`.  `rcvbuf`, and `ring` for frames of usual size, in bytes.
   */
  openPacket(arena: NativeArena, ifindex: number, promisc: boolean, rcvbuf: number, ring: number): NativePort;
  /**
   * AF_PACKET socket that only sends out of `ifindex`, as packets of this priority (skb->priority, by which a queueing discipline may
   * choose their class).  `sndbuf` in bytes.
   */
  openPacketSender(arena: NativeArena, ifindex: number, priority: number, sndbuf: number): NativePort;
  /**
   * Creates TAP `name` with IFF_VNET_HDR and all offloads; it goes away when closed, or with the process.  A `persistent` one does not, and
   * may be there already.
   */
  openTap(arena: NativeArena, name: string, persistent?: boolean): NativePort;
  /**
   * UDP socket that hears `port` of all addresses.  A port has two: the one that `chooses`, opened first, gets packets
   * without UDP checksum, the other those with one.  The first throws EADDRINUSE if anybody has the port.
   */
  openTunnelUdp(arena: NativeArena, ipv6: boolean, port: number, chooses: boolean, rcvbuf: number): NativeTunnelSocket;
  /** Raw socket of an IP protocol; unless it `hears` it only sends.  Throws EPERM without CAP_NET_RAW. */
  openTunnelRaw(
    arena: NativeArena,
    ipv6: boolean,
    protocol: number,
    hears: boolean,
    dontFragment: boolean,
    rcvbuf: number,
  ): NativeTunnelSocket;
  /** Replaces the address in `words` (4; of IPv4 the first) by that from which packets to it go.  Returns 0 or -errno. */
  tunnelSource(ipv6: boolean, words: Int32Array): number;
  /** What the driver of device `name` calls itself.  Throws EOPNOTSUPP if it does not say, ENODEV if there is no such device. */
  deviceDriver(name: string): DeviceDriver;
  /** Gives device `name` its MTU and sets it up. */
  setDeviceUp(name: string, mtu: number): void;
  /**
   * Hides what `ifindex` receives from the host's stack, after AF_PACKET has seen it: a BPF program at tc ingress,
   * attached as a TCX link (Linux 6.6), which goes away with the process.  Returns the link's file descriptor to
   * close; throws where the kernel or the privileges do not allow it.
   */
  attachIngressDrop(ifindex: number): number;
  /** The same program, not attached: a file descriptor for a tc filter (TCA_BPF_FD).  Throws where bpf(2) refuses. */
  loadIngressDrop(): number;
  /**
   * Takes a POSIX write lock on all of `path` (made if need be, truncated, `text` written) and keeps it until exit.
   * Throws EAGAIN or EACCES if another process has the lock; the file is then untouched.
   */
  lockPidfile(path: string, text: string): void;
  /** Pid of the process that holds a POSIX write lock on `path`, 0 if nobody does; throws ENOENT and the like. */
  pidfileHolder(path: string): number;
  /**
   * Makes this process one of `uid` and `gid`, without other groups, which keeps `capabilities` (CAP_* numbers) and loses all others for good;
   * so do programs that it executes.  Of a process's threads only the calling one has them.  Throws EPERM for who may not.
   */
  becomeUser(uid: number, gid: number, capabilities: readonly number[]): void;
  /** Keeps all memory of this process, now and later, from being paged out.  Throws EPERM, or ENOMEM for the limit of RLIMIT_MEMLOCK. */
  lockMemory(): void;
  /** Makes standard input, output and error /dev/null. */
  closeStandardFds(): void;
  /**
   * A socket for datagrams to a Unix socket of path `address` (`port` 0), or to an IP address and UDP port.  Writing to the file descriptor
   * does not block.  Throws ENOENT, ECONNREFUSED and the like.
   */
  connectDatagram(address: string, port: number): number;
  /** What a socket of IP sends has this DSCP, 0 to 63, from now on; others are left alone. */
  setDscp(fd: number, dscp: number): void;
  closeFd(fd: number): void;
}

let addon: NativeAddon | undefined;

/** The addon, loaded at first use.  Throws an Error that says how to build it if that was not done. */
export function native(): NativeAddon {
  if (addon === undefined) {
    const require = createRequire(import.meta.url);
    const path = new URL('../../build/Release/tapswitch.node', import.meta.url).pathname;
    try {
      addon = require(path) as NativeAddon;
    } catch (cause) {
      throw new Error('the native addon is not built; run scripts/setup', { cause });
    }
  }
  return addon;
}
