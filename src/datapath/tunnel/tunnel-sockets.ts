/**
 * Where tunnel ports get their sockets: the system's, or those of a test.
 * Source: native/tunnel_socket.cc.
 */
import { type NativeTunnelSocket, native } from '../../native/index.ts';
import type { Arena } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';

/** Some 3,000 packets of Ethernet size on their way to us.  Bytes. */
const RECEIVE_BUFFER = 8 << 20;

export interface TunnelSockets {
  /**
   * The sockets that hear UDP `port` (0: any free one), for packets without checksum and for those with one; undefined where
   * there is no IPv6.  Throws an Error with `errno`: EADDRINUSE.
   */
  openUdp(ipv6: boolean, port: number): readonly [NativeTunnelSocket, NativeTunnelSocket] | undefined;
  /** A raw socket; undefined where there is no IPv6. */
  openRaw(ipv6: boolean, protocol: number, hears: boolean, dontFragment: boolean): NativeTunnelSocket | undefined;
  /** As native().tunnelSource(). */
  source(ipv6: boolean, words: Int32Array): number;
}

/** The sockets of this process's network namespace. */
export class SystemTunnelSockets implements TunnelSockets {
  private readonly arena: Arena;

  constructor(arena: Arena) {
    this.arena = arena;
  }

  openUdp(ipv6: boolean, port: number): readonly [NativeTunnelSocket, NativeTunnelSocket] | undefined {
    const { arena } = this;
    return orWithout(ipv6, () => {
      const first = native().openTunnelUdp(arena, ipv6, port, true, RECEIVE_BUFFER);
      try {
        return [first, native().openTunnelUdp(arena, ipv6, port, false, RECEIVE_BUFFER)] as const;
      } catch (error) {
        first.close();
        throw error;
      }
    });
  }

  openRaw(ipv6: boolean, protocol: number, hears: boolean, dontFragment: boolean): NativeTunnelSocket | undefined {
    return orWithout(ipv6, () =>
      native().openTunnelRaw(this.arena, ipv6, protocol, hears, dontFragment, RECEIVE_BUFFER),
    );
  }

  source(ipv6: boolean, words: Int32Array): number {
    return native().tunnelSource(ipv6, words);
  }
}

/** A host without IPv6 does without. */
function orWithout<T>(ipv6: boolean, open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (ipv6 && (error as { errno?: unknown }).errno === ERRNO.EAFNOSUPPORT) return undefined;
    throw error;
  }
}
