/**
 * Requests about queues.  A queue has a number; what it has sent, and its rates, are not known.
 * Source: ofproto/ofproto.c (handle_queue_stats_request, handle_queue_get_config_request).
 */
import { UNKNOWN32, UNKNOWN64 } from '../../../openflow/messages/flow-types.ts';
import { OFPQ_ALL, type QueueRequest } from '../../../openflow/messages/switch-types.ts';
import { OFPERR, type OfpErr, OfpError } from '../../../openflow/ofp-errors.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import type { Handler, Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';
import type { PortQueues } from '../port-control.ts';

/** The queues that a request is about.  Throws OfpError if there is no such port, or no port has such a queue: what `missing` says. */
function select(
  sw: OfSwitch,
  { port, queue }: QueueRequest,
  missing: (ports: readonly PortQueues[]) => OfpErr,
): QueueRequest[] {
  const ports = sw.ports.queues(port);
  if (port !== OFPP.NONE && ports.length === 0) throw new OfpError(OFPERR.OFPQOFC_BAD_PORT, `queues of port ${port}`);
  const found = ports.flatMap(({ ofport, queues }) =>
    queues.filter((q) => queue === OFPQ_ALL || q === queue).map((q) => ({ port: ofport, queue: q })),
  );
  if (queue !== OFPQ_ALL && found.length === 0) throw new OfpError(missing(ports), `queue ${queue}`);
  return found;
}

const UNKNOWN = { txBytes: UNKNOWN64, txPackets: UNKNOWN64, txErrors: UNKNOWN64 };
const NO_AGE = { durationSec: UNKNOWN32, durationNsec: UNKNOWN32 };

const queueStats: Handler<'queue_stats_request'> = (conn, msg, sw) => {
  const queues = select(sw, msg.body, () => OFPERR.OFPQOFC_BAD_QUEUE);
  conn.replyList(
    'queue_stats_reply',
    queues.map((q) => ({ ...q, ...UNKNOWN, ...NO_AGE })),
    msg,
  );
};

const queueConfig: Handler<'queue_get_config_request'> = (conn, msg, sw) => {
  const { port } = msg.body;
  // A device that has no queues at all cannot even say that this one is wrong.
  const missing = (ports: readonly PortQueues[]): OfpErr =>
    port !== OFPP.NONE && ports.every((p) => p.queues.length === 0)
      ? OFPERR.NXQOFC_QUEUE_ERROR
      : OFPERR.OFPQOFC_BAD_QUEUE;
  const queues = select(sw, msg.body, missing).map((q) => ({ ...q, minRate: undefined, maxRate: undefined }));
  conn.reply('queue_get_config_reply', { port, queues }, msg);
};

export const QUEUE_HANDLERS = {
  queue_stats_request: queueStats,
  queue_get_config_request: queueConfig,
} satisfies Handlers;
