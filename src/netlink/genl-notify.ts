/**
 * Notifications: a socket that has joined a multicast group.  What is lost because it came too fast is not repeated; the
 * subscriber is told, and has to look at everything again.  Source: lib/nl-notifier (netlink-notifier.c).
 */
import { coverage } from '../util/coverage.ts';
import { NLMSG } from './constants.ts';
import type { GenlEndpoint } from './genl.ts';
import { forEachMessage, type MessageView } from './message.ts';

const overflows = coverage('netlink_overflow');

/**
 * Calls `onMessage` for each message to `group` from the endpoint's peer, and `onLoss` when some were lost, until the
 * function that it returns is called.  `onMessage` must not throw.  Throws an Error with `errno` if the group cannot be
 * joined.  Does not keep the process alive.
 */
export function subscribe(
  endpoint: GenlEndpoint,
  group: number,
  onMessage: (msg: MessageView) => void,
  onLoss: () => void,
): () => void {
  const transport = endpoint.open();
  try {
    transport.join(group);
  } catch (e) {
    transport.close();
    throw e;
  }
  transport.setRef(false);
  transport.receive({
    datagram(_bytes, dv, offset, size, from) {
      if (from !== endpoint.peer) return;
      forEachMessage(dv, offset, offset + size, (msg) => {
        if (msg.type >= NLMSG.MIN_TYPE) onMessage(msg);
      });
    },
    overflow() {
      overflows.n++;
      onLoss();
    },
  });
  return () => transport.close();
}
