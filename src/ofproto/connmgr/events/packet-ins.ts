/**
 * How packet_ins leave through a connection: in its format, at no more than its rate, and not faster than the peer takes them.
 * Source: ofproto/connmgr.c (connmgr_send_async_msg, do_send_packet_ins).
 */
import { FIELD } from '../../../flow/fields.ts';
import { getField } from '../../../flow/flow-key.ts';
import { encodeMessage } from '../../../openflow/messages/codec.ts';
import { encodeContinuation } from '../../../openflow/messages/packet/continuation.ts';
import type { OfVersion } from '../../../openflow/ofp-errors.ts';
import { OFPRAW, type OfpRaw } from '../../../openflow/ofp-msgs.ts';
import type { Vconn } from '../../../openflow/vconn.ts';
import { RateLimit, vlog } from '../../../util/vlog.ts';
import type { PacketInEvent } from '../../xlate/xbridge.ts';
import { OFPR } from './async-masks.ts';
import { Pinsched } from './pinsched.ts';

const log = vlog('connmgr');
const limit = new RateLimit(5, 5);

/** NXPIF_*: how packet_ins look. */
export const PACKET_IN_FORMAT = { STANDARD: 0, NXT: 1, NXT2: 2 } as const;
const RAWS: readonly (OfpRaw | undefined)[] = [undefined, OFPRAW.NXT_PACKET_IN, OFPRAW.NXT_PACKET_IN2];
/** Reasons that are misses, which have a queue of their own. */
const MISSES: readonly number[] = [OFPR.NO_MATCH, OFPR.EXPLICIT_MISS, OFPR.IMPLICIT_MISS];

export interface PacketInLimits {
  /** Packet_ins a second, and how many may come at once; 0: any number. */
  readonly rateLimit: number;
  readonly burstLimit: number;
  /** How many may wait for the peer to read. */
  readonly maxQueue: number;
}

/** The message of an event in one of the formats (PACKET_IN_FORMAT). */
export function encodePacketIn(event: PacketInEvent, version: OfVersion, format: number): Uint8Array {
  const raw = RAWS[format];
  const continuation =
    event.private === undefined || format !== PACKET_IN_FORMAT.NXT2
      ? undefined
      : encodeContinuation(event.private, version);
  const body = { ...event.packetIn, continuation };
  return encodeMessage({ kind: 'packet_in', version, xid: 0, body, ...(raw === undefined ? {} : { raw }) });
}

export class PacketIns {
  private readonly vconn: Vconn;
  /** The connection's. */
  private readonly name: string;
  private limits: PacketInLimits;
  /** For actions and for misses. */
  private scheds: readonly Pinsched[] = [];
  /** Sent since the peer had read all. */
  private nUnread = 0;

  constructor(vconn: Vconn, name: string, limits: PacketInLimits) {
    this.vconn = vconn;
    this.name = name;
    this.limits = limits;
    this.configure(limits);
  }

  configure(limits: PacketInLimits): void {
    const isSame = limits.rateLimit === this.limits.rateLimit && limits.burstLimit === this.limits.burstLimit;
    this.limits = limits;
    if (isSame && limits.rateLimit > 0 === this.scheds.length > 0) return;
    this.close();
    const { rateLimit, burstLimit } = limits;
    if (rateLimit <= 0) return;
    this.scheds = [0, 1].map(() => new Pinsched(rateLimit, burstLimit, (message) => this.transmit(message)));
  }

  send(event: PacketInEvent, version: OfVersion, format: number): void {
    const message = encodePacketIn(event, version, format);
    const sched = this.scheds[MISSES.includes(event.packetIn.reason) ? 1 : 0];
    if (sched === undefined) this.transmit(message);
    else sched.add(getField(event.packetIn.flowMetadata.flow, FIELD.inPort), message);
  }

  private transmit(message: Uint8Array): void {
    if (this.vconn.backlog === 0) this.nUnread = 0;
    if (this.nUnread >= this.limits.maxQueue) {
      log.info(() => `${this.name}: dropping packet-in due to queue overflow`, limit);
      return;
    }
    this.nUnread++;
    this.vconn.send(message);
  }

  /** What Controller.status tells of them. */
  pairs(): [string, string][] {
    return this.scheds.flatMap((s, i): [string, string][] => {
      const name = `packet-in-${i === 0 ? 'action' : 'miss'}`;
      return [
        [`${name}-backlog`, String(s.nQueued)],
        [`${name}-bypassed`, String(s.nNormal)],
        [`${name}-queued`, String(s.nLimited)],
        [`${name}-dropped`, String(s.nDropped)],
      ];
    });
  }

  close(): void {
    for (const sched of this.scheds) sched.close();
    this.scheds = [];
  }
}
