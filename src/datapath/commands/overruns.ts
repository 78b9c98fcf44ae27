/**
 * Telling clients that they lost something.  A client whose queue is full when the kernel's module sends it something gets
 * ENOBUFS at its next receive, looks at everything again and reports lost packets.  When it is a process that sends to one
 * port id, the kernel tells the sender alone (multicasts do raise ENOBUFS).  So the client gets a message of NLMSG_OVERRUN,
 * "data lost", as soon as there is room for it; transports and the preload library make ENOBUFS of that.
 * Source: net/netlink/af_netlink.c (netlink_attachskb, netlink_overrun), include/uapi/linux/netlink.h.
 */
import { NLMSG, NLMSG_HDRLEN } from '../../netlink/constants.ts';
import { MessageWriter } from '../../netlink/message.ts';
import type { NetlinkTransport } from '../../netlink/transport.ts';
import { ERRNO } from '../../util/errno.ts';

/** Delays between attempts.  ms */
const [MIN_DELAY_MS, MAX_DELAY_MS] = [1, 250];

/** Whether what sending returned says that the receiver's queue is full. */
export const isFull = (sent: number): boolean => sent === -ERRNO.EAGAIN || sent === -ERRNO.ENOBUFS;

export class Overruns {
  private readonly transport: NetlinkTransport;
  private readonly writer = new MessageWriter(NLMSG_HDRLEN);
  /** Port ids that have not been told yet. */
  private readonly untold = new Set<number>();
  private timer: NodeJS.Timeout | undefined;
  private delayMs = MIN_DELAY_MS;

  constructor(transport: NetlinkTransport) {
    this.transport = transport;
  }

  /** Takes what sending to `portId` returned; if that says that the queue was full, tells the client.  Hot path. */
  check(sent: number, portId: number): void {
    if (sent >= 0 || !isFull(sent)) return;
    this.untold.add(portId);
    if (this.timer === undefined) this.schedule();
  }

  /** Tells nobody any more. */
  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.untold.clear();
  }

  private schedule(): void {
    this.timer = setTimeout(() => this.tell(), this.delayMs);
    this.timer.unref();
  }

  private tell(): void {
    this.timer = undefined;
    const nBefore = this.untold.size;
    for (const portId of this.untold) {
      this.writer.reset();
      this.writer.end(this.writer.begin(NLMSG.OVERRUN, 0, 0, portId));
      // Told, or gone.
      const { bytes, size } = this.writer;
      if (!isFull(this.transport.send(bytes, 0, size, portId))) this.untold.delete(portId);
    }
    this.delayMs = this.untold.size < nBefore ? MIN_DELAY_MS : Math.min(2 * this.delayMs, MAX_DELAY_MS);
    if (this.untold.size > 0) this.schedule();
  }
}
