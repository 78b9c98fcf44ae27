/**
 * Connection tracking of one network namespace, put together: the tracker with its table, and the fragments that wait to be
 * made whole.  All datapaths of the namespace share it; each has a CtExecutor.
 *
 *     actions.ts --> ct-execute.ts --> frag.ts, tracker.ts --> tcp-state.ts, datagram.ts, sctp.ts   (conn-table.ts)
 *                         \--> nat.ts, nat-packet.ts, helpers.ts --> expect.ts
 *     ovs-dpctl  --> ctnetlink-server.ts --> tracker.ts;   ct-limit-commands.ts --> limits.ts
 *
 * Source: net/netfilter/nf_conntrack_*.c, nf_nat_*.c, net/openvswitch/conntrack.c.
 */

import type { ConnectionsOptions } from './connections.ts';
import { Defragmenter } from './frag/frag.ts';
import { Tracker } from './tracker.ts';

export class Conntrack {
  readonly tracker: Tracker;
  readonly defragmenter = new Defragmenter();

  constructor(options: ConnectionsOptions = {}) {
    this.tracker = new Tracker(options);
  }
}
