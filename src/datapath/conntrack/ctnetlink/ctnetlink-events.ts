/**
 * Tells those who listen to the groups of NETLINK_NETFILTER what becomes of connections and expectations, as `conntrack -E` shows it.
 * Neighbour: ctnetlink-server.ts answers requests.
 * Source: net/netfilter/nf_conntrack_netlink.c (ctnetlink_conntrack_event, ctnetlink_expect_event).
 */
import { NFNLGRP } from '../../../netlink/families/ctnetlink.ts';
import { MessageWriter } from '../../../netlink/message.ts';
import type { NetlinkTransport } from '../../../netlink/transport.ts';
import type { GroupListeners } from '../../commands/genl-server.ts';
import type { ConnEvents } from '../connections.ts';
import { IPCT } from '../ct-constants.ts';
import type { Expectation } from '../helpers/expect.ts';
import type { Tracker } from '../tracker.ts';
import { putExpectationEvent } from './ctnetlink-expect.ts';
import { putEvent } from './ctnetlink-messages.ts';

const GROUPS = Object.values(NFNLGRP);

export class CtnetlinkEvents implements ConnEvents {
  private readonly transport: NetlinkTransport;
  private readonly tracker: Tracker;
  private readonly listeners: GroupListeners | undefined;
  private readonly writer = new MessageWriter();

  /** Without `listeners` nobody is told anything. */
  constructor(options: { transport: NetlinkTransport; tracker: Tracker; listeners?: GroupListeners }) {
    this.transport = options.transport;
    this.tracker = options.tracker;
    this.listeners = options.listeners;
  }

  isWanted(): boolean {
    const { listeners } = this;
    if (listeners === undefined) return false;
    return GROUPS.some((group) => listeners.has(group));
  }

  tell(conn: number, events: number): void {
    let group: number = NFNLGRP.CT_UPDATE;
    if ((events & IPCT.DESTROY) !== 0) group = NFNLGRP.CT_DESTROY;
    else if ((events & (IPCT.NEW | IPCT.RELATED)) !== 0) group = NFNLGRP.CT_NEW;
    if (this.listeners?.has(group) !== true) return;
    const w = this.writer;
    w.reset();
    putEvent(w, this.tracker, conn, events);
    this.transport.multicast(w.bytes, 0, w.size, group);
  }

  tellExpectation(exp: Expectation, isEnd: boolean): void {
    const group = isEnd ? NFNLGRP.EXP_DESTROY : NFNLGRP.EXP_NEW;
    if (this.listeners?.has(group) !== true) return;
    const w = this.writer;
    w.reset();
    putExpectationEvent(w, this.tracker, exp, isEnd);
    this.transport.multicast(w.bytes, 0, w.size, group);
  }
}
