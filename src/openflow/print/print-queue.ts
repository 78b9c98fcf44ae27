/**
 * Messages about queues as text.  Source: lib/ofp-queue.c.
 */
import { formatDuration } from '../flow-text.ts';
import { UNKNOWN32 } from '../messages/flow/flow-types.ts';
import { OFPQ_ALL, type QueueStats } from '../messages/switch/switch-types.ts';
import { formatPort, type OfpNames } from '../ofp-names.ts';
import { formatCount, type Printers } from './printer.ts';

/** Rates are tenths of a percent; beyond this one they say that there is no limit. */
const MAX_RATE = 1000;

const formatQueue = (queue: number): string => (queue === OFPQ_ALL ? 'ALL' : String(queue));

function formatRate(name: string, rate: number | undefined): string {
  if (rate === undefined) return '';
  return rate <= MAX_RATE ? ` ${name}:${Math.floor(rate / 10)}.${rate % 10}%` : ` ${name}:(disabled)`;
}

function formatStats(qs: QueueStats, { ports }: OfpNames): string {
  const duration = qs.durationSec === UNKNOWN32 ? '?' : formatDuration(qs.durationSec, qs.durationNsec);
  return (
    `  port ${formatPort(qs.port, ports)} queue ${formatQueue(qs.queue)}: bytes=${formatCount(qs.txBytes)}, ` +
    `pkts=${formatCount(qs.txPackets)}, errors=${formatCount(qs.txErrors)}, duration=${duration}\n`
  );
}

export const QUEUE_PRINTERS: Printers = {
  queue_get_config_request({ port, queue }, { names }) {
    return ` port=${formatPort(port, names.ports)}${queue === OFPQ_ALL ? '' : ` queue=${queue}`}`;
  },
  queue_get_config_reply({ queues }, { names }) {
    let text = '';
    let port = 0;
    for (const q of [...queues].sort((a, b) => a.port - b.port || a.queue - b.queue)) {
      if (q.port !== port) {
        port = q.port;
        text += `port=${formatPort(port, names.ports)}\n`;
      }
      text += `queue ${q.queue}:${formatRate('min_rate', q.minRate)}${formatRate('max_rate', q.maxRate)}\n`;
    }
    return text === '' ? '' : ` ${text}`;
  },
  queue_stats_request({ port, queue }, { names }) {
    return ` port=${formatPort(port, names.ports)} queue=${formatQueue(queue)}`;
  },
  queue_stats_reply(list, { names, verbosity }) {
    const head = ` ${list.length} queues\n`;
    return verbosity < 1 ? head : head + list.map((qs) => formatStats(qs, names)).join('');
  },
};
