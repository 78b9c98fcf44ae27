/**
 * Messages about queues: their configuration, which 1.4 made a multipart message (queue_desc), and their statistics.
 *
 * ```
 * request    1.0 | port 16 | pad 16 |    1.1-1.3 | port 32 | pad 32 |    1.4+ | port 32 | queue 32 |
 * reply      1.0 | port 16 | pad 48 | queues |    1.1-1.3 | port 32 | pad 32 | queues |    1.4+ | queues |
 * queue  1.0-1.1 | queue 32 | length 16 | pad 16 | rates |
 *        1.2-1.3 | queue 32 | port 32 | length 16 | pad 48 | rates |       a rate: | type 16 | 16 | pad 32 | rate 16 | pad 48 |
 *        1.4+    | port 32 | queue 32 | length 16 | pad 48 | properties |
 * stats      1.0 | port 16 | pad 16 | queue | bytes 64 | packets 64 | errors 64 |
 *        1.1+    | (length 16 | pad 48, from 1.4 on) | port | queue | bytes 64 | packets 64 | errors 64 | (duration 2*32, from 1.3 on) |
 * ```
 * Source: OpenFlow 1.0.2 5.3.4, 5.3.5, 1.2 A.3.6, 1.4.1 A.3.5.8, A.3.5.10, lib/ofp-queue.c.
 */
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import { portFromOfp11, portToOfp11 } from '../../ofp-names.ts';
import { OFPP } from '../../ofp-port.ts';
import { UNKNOWN32 } from '../flow/flow-types.ts';
import {
  OFPQ_ALL,
  type QueueConfig,
  type QueueConfigReply,
  type QueueRequest,
  type QueueStats,
} from '../switch/switch-types.ts';
import { type BodyCodec, type BodyIn, type BodyOut, type Codecs, listCodec, needBytes } from '../wire/body.ts';
import { eachProperty, propertyU16, putPropertyU16, unknownProperty } from '../wire/properties.ts';

/** Types of rates, of all versions. */
const RATE = { MIN: 1, MAX: 2 } as const;
const RATE10_SIZE = 16;
/** A rate that is not told. */
const NO_RATE = 0xffff;

const badLength = (what: string, size: number): OfpError =>
  new OfpError(OFPERR.OFPBRC_BAD_LEN, `${what}: ${size} bytes`);

const getPort = ({ version, dv }: BodyIn, at: number): number =>
  version === 1 ? dv.getUint16(at) : portFromOfp11(dv.getUint32(at));

/** Appends a port in the upper half of 32 bits, or all of them. */
function putPort(port: number, { version, out }: BodyOut): void {
  if (version > 1) {
    out.u32(portToOfp11(port));
    return;
  }
  out.u16(port);
  out.u16(0);
}

/** Before 1.4 a request is about all queues of a port, which must be a real one; 1.1 to 1.3 may ask for all ports. */
const configRequest: BodyCodec<QueueRequest> = {
  decode(m) {
    const { version, dv, at } = m;
    const port = getPort(m, at);
    if (version >= 5) return { port, queue: dv.getUint32(at + 4) };
    if (port >= OFPP.MAX && (version === 1 || port !== OFPP.NONE)) {
      throw new OfpError(OFPERR.OFPQOFC_BAD_PORT, `queues of port ${port}`);
    }
    return { port, queue: OFPQ_ALL };
  },
  encode({ port, queue }, m) {
    putPort(port, m);
    if (m.version > 1) m.out.u32(m.version >= 5 ? queue : 0);
  },
};

type Rates = { -readonly [K in 'minRate' | 'maxRate']: QueueConfig[K] };
const known = (rate: number): number | undefined => (rate === NO_RATE ? undefined : rate);

function setRate(rates: Rates, type: number, rate: number): void {
  if (type === RATE.MIN) rates.minRate = known(rate);
  else rates.maxRate = known(rate);
}

function decodeRates10({ dv }: BodyIn, at: number, end: number): Rates {
  const rates: Rates = { minRate: undefined, maxRate: undefined };
  for (let next = at; next < end; ) {
    const type = dv.getUint16(next);
    const size = dv.getUint16(next + 2);
    const isRate = type === RATE.MIN || type === RATE.MAX;
    if (size < 8 || size > end - next || size % 8 !== 0 || (isRate && size !== RATE10_SIZE)) {
      throw badLength('property of a queue', size);
    }
    if (isRate) setRate(rates, type, dv.getUint16(next + 8));
    next += size;
  }
  return rates;
}

function decodeRates14({ dv }: BodyIn, at: number, end: number): Rates {
  const rates: Rates = { minRate: undefined, maxRate: undefined };
  eachProperty(dv, at, end, (p) => {
    if (p.vendor === 0 && (p.type === RATE.MIN || p.type === RATE.MAX)) setRate(rates, p.type, propertyU16(dv, p));
    else unknownProperty(p, true);
  });
  return rates;
}

/** Size of a queue's header, and where its length is. */
const queueForm = (version: number): { readonly head: number; readonly sizeAt: number } =>
  version <= 2 ? { head: 8, sizeAt: 4 } : { head: 16, sizeAt: 8 };

function decodeQueue(m: BodyIn, at: number, replyPort: number): { readonly queue: QueueConfig; readonly end: number } {
  const { dv, version } = m;
  const { head, sizeAt } = queueForm(version);
  needBytes(m, at, head, 'queue');
  const port = version >= 5 ? portFromOfp11(dv.getUint32(at)) : replyPort;
  const size = dv.getUint16(at + sizeAt);
  if (size < head || size % 8 !== 0) throw badLength('queue', size);
  needBytes(m, at, size, 'queue');
  const end = at + size;
  const rates = (version >= 5 ? decodeRates14 : decodeRates10)(m, at + head, end);
  return { queue: { port, queue: dv.getUint32(version >= 5 ? at + 4 : at), ...rates }, end };
}

function putRates(queue: QueueConfig, put: (type: number, rate: number) => void): void {
  if (queue.minRate !== undefined) put(RATE.MIN, queue.minRate);
  if (queue.maxRate !== undefined) put(RATE.MAX, queue.maxRate);
}

function encodeQueue(queue: QueueConfig, { version, out }: BodyOut): void {
  const { head, sizeAt } = queueForm(version);
  const at = out.room(head);
  out.dv.setUint32(version >= 5 ? at + 4 : at, queue.queue);
  if (version >= 5) out.dv.setUint32(at, portToOfp11(queue.port));
  else if (version >= 3) out.dv.setUint32(at + 4, portToOfp11(queue.port));
  putRates(queue, (type, rate) => {
    if (version >= 5) {
      putPropertyU16(out, type, rate);
      return;
    }
    const rateAt = out.room(RATE10_SIZE);
    out.dv.setUint16(rateAt, type);
    out.dv.setUint16(rateAt + 2, RATE10_SIZE);
    out.dv.setUint16(rateAt + 8, rate);
  });
  out.dv.setUint16(at + sizeAt, out.size - at);
}

const configReply: BodyCodec<QueueConfigReply> = {
  decode(m) {
    const { version, at, bytes } = m;
    const port = version >= 5 ? OFPP.NONE : getPort(m, at);
    const queues: QueueConfig[] = [];
    for (let next = version >= 5 ? at : at + 8; next < bytes.length; ) {
      const { queue, end } = decodeQueue(m, next, port);
      queues.push(queue);
      next = end;
    }
    return { port, queues };
  },
  encode({ port, queues }, m) {
    if (m.version < 5) {
      putPort(port, m);
      m.out.u32(0);
    }
    for (const queue of queues) encodeQueue(queue, m);
  },
};

/** OpenFlow 1.0 says OFPP_ALL where later versions say OFPP_ANY. */
const statsRequest: BodyCodec<QueueRequest> = {
  decode(m) {
    const port = getPort(m, m.at);
    return { port: m.version === 1 && port === OFPP.ALL ? OFPP.NONE : port, queue: m.dv.getUint32(m.at + 4) };
  },
  encode({ port, queue }, m) {
    putPort(m.version === 1 && port === OFPP.NONE ? OFPP.ALL : port, m);
    m.out.u32(queue);
  },
};

const STATS10_SIZE = 32;
const STATS13_SIZE = 40;
const STATS14_HEAD = 8;

function decodeQueueStats(m: BodyIn, at: number, push: (stats: QueueStats) => void): number {
  const { version, dv } = m;
  const hasDuration = version >= 4;
  const base = hasDuration ? STATS13_SIZE : STATS10_SIZE;
  const from = version >= 5 ? at + STATS14_HEAD : at;
  needBytes(m, at, from - at + base, 'queue statistics');
  let end = from + base;
  if (version >= 5) {
    const size = dv.getUint16(at);
    if (size < STATS14_HEAD + base) throw badLength('queue statistics', size);
    needBytes(m, at, size, 'queue statistics');
    end = at + size;
  }
  push({
    port: getPort(m, from),
    queue: dv.getUint32(from + 4),
    txBytes: dv.getBigUint64(from + 8),
    txPackets: dv.getBigUint64(from + 16),
    txErrors: dv.getBigUint64(from + 24),
    durationSec: hasDuration ? dv.getUint32(from + 32) : UNKNOWN32,
    durationNsec: hasDuration ? dv.getUint32(from + 36) : UNKNOWN32,
  });
  return end;
}

function encodeQueueStats(stats: QueueStats, m: BodyOut): void {
  const { version, out } = m;
  if (version >= 5) {
    out.u16(STATS14_HEAD + STATS13_SIZE);
    out.room(6);
  }
  putPort(stats.port, m);
  out.u32(stats.queue);
  out.u64(stats.txBytes);
  out.u64(stats.txPackets);
  out.u64(stats.txErrors);
  if (version < 4) return;
  out.u32(stats.durationSec);
  out.u32(stats.durationNsec);
}

export const QUEUE_CODECS = {
  queue_get_config_request: configRequest,
  queue_get_config_reply: configReply,
  queue_stats_request: statsRequest,
  queue_stats_reply: listCodec(decodeQueueStats, encodeQueueStats),
} satisfies Partial<Codecs>;
