/**
 * Requests about queues: which there are, and what they have sent.  Their rates are not told, as OpenFlow measures them in parts of a
 * link's speed.  Source: ofproto/ofproto.c (handle_queue_stats_request, handle_queue_get_config_request).
 */
import { UNKNOWN32, UNKNOWN64 } from '../../../openflow/messages/flow/flow-types.ts';
import { OFPQ_ALL, type QueueRequest, type QueueStats } from '../../../openflow/messages/switch/switch-types.ts';
import { OFPERR, type OfpErr, OfpError } from '../../../openflow/ofp-errors.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import { monotonicMs } from '../../../util/clock.ts';
import type { QueueStatistics } from '../device-control.ts';
import type { Handler, Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';
import type { PortQueues } from '../port-control.ts';

/** The queues of a port that a request is about. */
interface Selected {
  readonly port: PortQueues;
  readonly queues: readonly number[];
}

/** The queues that a request is about.  Throws OfpError if there is no such port, or no port has such a queue: what `missing` says. */
function select(
  sw: OfSwitch,
  { port, queue }: QueueRequest,
  missing: (ports: readonly PortQueues[]) => OfpErr,
): Selected[] {
  const ports = sw.ports.queues(port);
  if (port !== OFPP.NONE && ports.length === 0) throw new OfpError(OFPERR.OFPQOFC_BAD_PORT, `queues of port ${port}`);
  const found = ports
    .map((p) => ({ port: p, queues: p.queues.filter((q) => queue === OFPQ_ALL || q === queue) }))
    .filter(({ queues }) => queues.length > 0);
  if (queue !== OFPQ_ALL && found.length === 0) throw new OfpError(missing(ports), `queue ${queue}`);
  return found;
}

/** What is told of a queue that has, perhaps, been counted. */
function statsOf(port: number, queue: number, counted: QueueStatistics | undefined): QueueStats {
  const { txBytes = UNKNOWN64, txPackets = UNKNOWN64, txErrors = UNKNOWN64, createdMs } = counted ?? {};
  const ageMs = createdMs === undefined ? undefined : Math.max(0, monotonicMs() - createdMs);
  const durationSec = ageMs === undefined ? UNKNOWN32 : Math.floor(ageMs / 1000);
  const durationNsec = ageMs === undefined ? UNKNOWN32 : Math.floor((ageMs % 1000) * 1e6);
  return { port, queue, txBytes, txPackets, txErrors, durationSec, durationNsec };
}

const queueStats: Handler<'queue_stats_request'> = (conn, msg, sw) => {
  const { queue } = msg.body;
  const only = queue === OFPQ_ALL ? undefined : queue;
  const found = select(sw, msg.body, () => OFPERR.OFPQOFC_BAD_QUEUE).flatMap(({ port, queues }) => {
    const counted = port.device?.queueStatistics?.(only);
    return queues.map((q) => statsOf(port.ofport, q, counted?.get(q)));
  });
  conn.replyList('queue_stats_reply', found, msg);
};

const queueConfig: Handler<'queue_get_config_request'> = (conn, msg, sw) => {
  const { port } = msg.body;
  // Where queues can be set up there might be one; a device with queues of its own knows that this is none.
  const missing = (ports: readonly PortQueues[]): OfpErr =>
    port !== OFPP.NONE && ports.every((p) => p.queues.length === 0 || p.device?.hasQos === true)
      ? OFPERR.NXQOFC_QUEUE_ERROR
      : OFPERR.OFPQOFC_BAD_QUEUE;
  const queues = select(sw, msg.body, missing).flatMap((found) =>
    found.queues.map((queue) => ({ port: found.port.ofport, queue, minRate: undefined, maxRate: undefined })),
  );
  conn.reply('queue_get_config_reply', { port, queues }, msg);
};

export const QUEUE_HANDLERS = {
  queue_stats_request: queueStats,
  queue_get_config_request: queueConfig,
} satisfies Handlers;
