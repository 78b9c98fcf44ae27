/**
 * Multicast groups of the emulated families.  Their numbers are shared with the live kernel, which multicasts to the same
 * groups of NETLINK_GENERIC sockets, so the datapath takes numbers that the kernel has not given out; and a process can
 * send to groups 1..32 only (struct sockaddr_nl has 32 bits for them).
 *
 * Here are also the two questions that the datapath asks at its start and while it runs: which groups does the kernel use,
 * and does anyone listen to ours.
 * Source: net/netlink/genetlink.c (genl_allocate_reserve_groups), af_netlink.c (netlink_seq_show).
 */
import { readFileSync } from 'node:fs';
import { GENL_HDRLEN, NETLINK_GENERIC, NLM_F, NLMSG, NLMSG_HDRLEN } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { CTRL_ATTR, CTRL_CMD, type FamilyAttrs, GENL_ID_CTRL } from '../../netlink/families/nlctrl.ts';
import { forEachMessage, MessageWriter } from '../../netlink/message.ts';
import type { NetlinkTransport } from '../../netlink/transport.ts';
import { ERRNO } from '../../util/errno.ts';
import type { GroupListeners } from './genl-server.ts';

export const MAX_GROUP = 32;

/**
 * Chooses `n` groups that `used` does not have, in rising order.  The kernel gives out low numbers first, also to modules
 * that are loaded later, so these are the highest that are free.  Throws NetlinkError ENOSPC if there are too few.
 */
export function chooseGroups(used: ReadonlySet<number>, n: number): number[] {
  const chosen: number[] = [];
  for (let group = MAX_GROUP; group > 0 && chosen.length < n; group--) if (!used.has(group)) chosen.unshift(group);
  if (chosen.length < n) throw new NetlinkError(ERRNO.ENOSPC, 'multicast groups up to 32 are all taken by the kernel');
  return chosen;
}

/**
 * Asks the kernel (port id 0) for all generic netlink families.  `transport` must be free to receive; it is again when
 * the promise settles.  Rejects with NetlinkError: ETIMEDOUT if the kernel does not answer.
 */
export function kernelFamilies(transport: NetlinkTransport, timeoutMs = 2000): Promise<FamilyAttrs[]> {
  const w = new MessageWriter(NLMSG_HDRLEN + GENL_HDRLEN);
  const at = w.begin(GENL_ID_CTRL, NLM_F.REQUEST | NLM_F.DUMP, 1, 0);
  w.genl(CTRL_CMD.GETFAMILY, 1);
  w.end(at);
  return new Promise((resolve, reject) => {
    const families: FamilyAttrs[] = [];
    const finish = (error?: NetlinkError) => {
      clearTimeout(timer);
      transport.receive(null);
      if (error === undefined) resolve(families);
      else reject(error);
    };
    const timer = setTimeout(() => finish(new NetlinkError(ERRNO.ETIMEDOUT, 'nlctrl of the kernel')), timeoutMs);
    transport.receive({
      datagram: (_bytes, dv, offset, size, from) => {
        if (from !== 0) return;
        try {
          forEachMessage(dv, offset, offset + size, (msg) => {
            if (msg.type === NLMSG.DONE) finish();
            else if (msg.type === NLMSG.ERROR) finish(new NetlinkError(ERRNO.EPROTO, 'nlctrl of the kernel'));
            else if (msg.type === GENL_ID_CTRL && msg.hasGenlHeader) families.push(msg.readGenl(CTRL_ATTR));
          });
        } catch (error) {
          finish(new NetlinkError(ERRNO.EPROTO, `nlctrl of the kernel: ${(error as Error).message}`));
        }
      },
    });
    const sent = transport.send(w.bytes, 0, w.size, 0);
    if (sent < 0) finish(new NetlinkError(-sent, 'nlctrl of the kernel'));
  });
}

/** Every multicast group of `families`. */
export function groupsOf(families: readonly FamilyAttrs[]): Set<number> {
  return new Set(families.flatMap((f) => f.mcastGroups ?? []).flatMap((g) => (g.id === undefined ? [] : [g.id])));
}

/**
 * Who listens, from /proc/net/netlink.  A flow is installed for each upcall, and building a notification that nobody
 * wants would cost as much as the installation; the file is read at most every REFRESH_MS, so a new listener hears of
 * flows a moment late.
 */
export class ProcListeners implements GroupListeners {
  private readonly clock: () => number;
  private readonly protocol: number;
  private readonly readTable: () => string;
  private readAt = Number.NEGATIVE_INFINITY;
  private mask = 0;

  /** `clock` in ms.  `protocol`: whose groups.  `readTable` returns the file's text. */
  constructor(
    clock: () => number,
    readTable = () => readFileSync('/proc/net/netlink', 'latin1'),
    protocol: number = NETLINK_GENERIC,
  ) {
    this.protocol = protocol;
    this.clock = clock;
    this.readTable = readTable;
  }

  has(group: number): boolean {
    const now = this.clock();
    if (now - this.readAt >= REFRESH_MS) {
      this.readAt = now;
      this.mask = this.readMask();
    }
    return (this.mask & (1 << (group - 1))) !== 0;
  }

  private readMask(): number {
    let mask = 0;
    for (const line of this.readTable().split('\n')) {
      // sk, protocol, port id, groups in hexadecimal, ...
      const fields = line.trim().split(/\s+/);
      if (fields[1] === String(this.protocol)) mask |= Number.parseInt(fields[3] ?? '0', 16) | 0;
    }
    return mask;
  }
}

const REFRESH_MS = 250;
