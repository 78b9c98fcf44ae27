/**
 * One OpenFlow connection of a bridge, from hello to its end: what it has set, and how it is answered.
 *
 * A service connection is one that a tool makes, at <bridge>.mgmt or at a socket that a controller's row names; a primary one is a
 * controller's.  Both may be asked the same; only controllers get messages that they did not ask for from the start.
 * Source: ofproto/connmgr.c (struct ofconn).
 */
import { beginReplies, encodeMessage, encodeReplies, type OfMessageOut } from '../../openflow/messages/codec.ts';
import { type AsyncConfig, type AsyncType, ROLE } from '../../openflow/messages/flow/flow-types.ts';
import type { BodyOf } from '../../openflow/messages/of-message.ts';
import { OFPERR, type OfpErr, OfpError, type OfVersion, VENDOR } from '../../openflow/ofp-errors.ts';
import { decodeHeaderPartial, replyRaw } from '../../openflow/ofp-header.ts';
import { type OfKind, type OfpRaw, RAWS_OF_KIND, rawFor } from '../../openflow/ofp-msgs.ts';
import type { Vconn } from '../../openflow/vconn.ts';
import { monotonicMs, workMs } from '../../util/clock.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { Bundles } from './bundles.ts';
import { type AsyncSettings, defaultAsync, mergeAsync, NO_ASYNC, OFPR } from './events/async-masks.ts';
import { FlowMonitors } from './events/flow-monitors.ts';
import { PACKET_IN_FORMAT, type PacketInLimits, PacketIns } from './events/packet-ins.ts';
import { FlowModLog } from './flow-mod-log.ts';
import { MultipartRequests } from './multipart.ts';

const log = vlog('connmgr');
const errorLimit = new RateLimit(10, 10);

/** How long a long answer is written at a time. */
const SLICE_MS = 8;
/** What the peer may be behind with reading before a long answer waits for it. */
const MAX_BACKLOG = 256 * 1024;

/** What a list is of. */
type EntryOf<K extends OfKind> = BodyOf[K] extends readonly (infer E)[] ? E : never;

export type OfConnKind = 'primary' | 'service';

/** OFP_DEFAULT_MISS_SEND_LEN. */
export const DEFAULT_MISS_SEND_LEN = 128;
const NO_LIMITS: PacketInLimits = { rateLimit: 0, burstLimit: 0, maxQueue: 100 };

/** What answers refer to. */
export interface RequestId {
  readonly raw: OfpRaw;
  readonly version: number;
  readonly xid: number;
}

export interface OfConnOptions {
  /** "br0<->unix#3". */
  readonly name: string;
  readonly kind: OfConnKind;
  /** Controller.enable_async_messages: false leaves all of them off until they are asked for. */
  readonly enableAsync?: boolean;
  readonly limits?: PacketInLimits;
}

export class OfConn {
  readonly name: string;
  readonly kind: OfConnKind;
  readonly vconn: Vconn;
  readonly version: OfVersion;
  /** ROLE.* */
  role: number = ROLE.EQUAL;
  packetInFormat: number = PACKET_IN_FORMAT.STANDARD;
  controllerId = 0;
  missSendLen: number;
  /** NXT_FLOW_MOD_TABLE_ID. */
  hasFlowModTableId = false;
  /** NXT_SET_FLOW_FORMAT: 0 or 2 (NXM), of OpenFlow 1.0. */
  flowFormat = 0;
  readonly bundles = new Bundles();
  readonly multipart = new MultipartRequests();
  readonly monitors = new FlowMonitors();
  readonly packetIns: PacketIns;
  readonly flowMods: FlowModLog;
  /** The bytes of the request that is being handled: for what has to answer with an error later on. */
  request: Uint8Array = new Uint8Array();
  /** When the peer was last heard of, when it last said what only a controller that takes the switch says, when it was asked for a word. */
  receivedMs = monotonicMs();
  admittedMs = Number.NEGATIVE_INFINITY;
  probedMs = Number.NEGATIVE_INFINITY;
  private async: AsyncSettings;
  /** Whether the peer has said what it wants. */
  private hasOwnAsync = false;

  /** `vconn` has agreed on a version. */
  constructor(vconn: Vconn, options: OfConnOptions) {
    if (vconn.version === undefined) throw new Error(`${options.name}: no version yet`);
    this.vconn = vconn;
    this.version = vconn.version;
    this.name = options.name;
    this.kind = options.kind;
    this.missSendLen = options.kind === 'primary' ? DEFAULT_MISS_SEND_LEN : 0;
    this.flowMods = new FlowModLog(options.name);
    this.packetIns = new PacketIns(vconn, options.name, options.limits ?? NO_LIMITS);
    this.async = this.usualAsync(options.enableAsync !== false);
  }

  private usualAsync(isEnabled: boolean): AsyncSettings {
    return isEnabled ? defaultAsync(this.version) : NO_ASYNC;
  }

  /** Controller.enable_async_messages has changed: that is for who has not asked for anything itself. */
  enableAsync(isEnabled: boolean): void {
    if (!this.hasOwnAsync) this.async = this.usualAsync(isEnabled);
  }

  get isOpen(): boolean {
    return this.vconn.state === 'connected';
  }

  /** Sends a message as an answer to `request`.  A multipart reply has one part: lists are for `replyList`. */
  reply<K extends OfKind>(kind: K, body: BodyOf[K], request: RequestId): void {
    this.vconn.send(encodeMessage(this.answerTo(kind, body, request)));
  }

  /** Sends a list as an answer, in as many parts as it takes. */
  replyList<K extends OfKind>(kind: K, body: BodyOf[K], request: RequestId): void {
    encodeReplies(this.answerTo(kind, body, request), (part) => this.vconn.send(part));
  }

  /**
   * Sends a long list as an answer, in slices: others get their turn in between, and it waits for a peer that does not read.  `entryOf` is
   * asked for an entry when it is written, which it may reuse for the next one.
   */
  async replyEach<K extends OfKind, T>(
    kind: K,
    items: readonly T[],
    entryOf: (item: T) => EntryOf<K>,
    request: RequestId,
  ): Promise<void> {
    const { vconn } = this;
    const empty = [] as unknown as BodyOf[K];
    const replies = beginReplies(this.answerTo(kind, empty, request), (part) => vconn.send(part));
    let until = workMs() + SLICE_MS;
    for (let i = 0; i < items.length; i++) {
      replies.put(entryOf(items[i] as T));
      if ((i & 63) !== 63 || (workMs() < until && vconn.backlog < MAX_BACKLOG)) continue;
      if (vconn.backlog >= MAX_BACKLOG) await new Promise<void>((resolve) => vconn.onceDrained(resolve));
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (!this.isOpen) return;
      until = workMs() + SLICE_MS;
    }
    replies.end();
  }

  private answerTo<K extends OfKind>(kind: K, body: BodyOf[K], { raw, version, xid }: RequestId): OfMessageOut<K> {
    const own = raw.multipart === 'request' ? replyRaw(raw, this.version) : ownRaw(kind, raw, version);
    const of = version as OfVersion;
    return own === undefined ? { kind, version: of, xid, body } : { kind, version: of, xid, body, raw: own };
  }

  /** Sends a message that nobody asked for; false if this version has no such message. */
  send<K extends OfKind>(kind: K, body: BodyOf[K], raw?: OfpRaw): boolean {
    const form = raw ?? rawFor(kind, this.version);
    if (form === undefined) return false;
    this.vconn.send(
      encodeMessage({ kind, version: this.version, xid: 0, body, ...(raw === undefined ? {} : { raw }) }),
    );
    return true;
  }

  /** Tells what is wrong with the message `about`. */
  error(err: OfpErr, about: Uint8Array): void {
    log.info(() => `${this.name}: sending ${err.name} error reply to ${nameOf(about)} message`, errorLimit);
    const dv = new DataView(about.buffer, about.byteOffset, about.byteLength);
    // Of a version that nobody knows, the oldest is the safest answer.
    const version = (isVersion(dv.getUint8(0)) ? dv.getUint8(0) : 1) as OfVersion;
    const data = about.slice(0, errorRoom(err, version));
    this.vconn.send(encodeMessage({ kind: 'error', version, xid: dv.getUint32(4), body: { err, data } }));
  }

  /** Throws OFPBRC_IS_SECONDARY if the connection may look, but not touch. */
  rejectSecondary(): void {
    if (this.role === ROLE.SECONDARY) throw new OfpError(OFPERR.OFPBRC_IS_SECONDARY);
  }

  get asyncConfig(): AsyncSettings {
    return this.async;
  }
  /** Changes what `config` says; the rest stays. */
  setAsync(config: AsyncConfig): void {
    this.async = mergeAsync(this.async, config, this.version);
    this.hasOwnAsync = true;
  }
  get invalidTtlToController(): boolean {
    return (this.async.primary.packetIn & (1 << OFPR.INVALID_TTL)) !== 0;
  }
  set invalidTtlToController(isOn: boolean) {
    const { packetIn } = this.async.primary;
    const bit = 1 << OFPR.INVALID_TTL;
    this.setAsync({ primary: { packetIn: isOn ? packetIn | bit : packetIn & ~bit }, secondary: {} });
  }

  /** Whether a packet that matches no flow is to come here, as before OpenFlow 1.3. */
  get wantsMisses(): boolean {
    return this.controllerId === 0 && this.version < 4;
  }

  /** Whether the connection wants messages of `type` that come for `reason`. */
  wants(type: AsyncType, reason: number): boolean {
    // Tools have to ask, by a length of packet_ins that is not 0.
    if (!this.isOpen || (this.kind === 'service' && this.missSendLen === 0)) return false;
    const masks = this.role === ROLE.SECONDARY ? this.async.secondary : this.async.primary;
    return (masks[type] & (1 << reason)) !== 0;
  }
}

/** Nicira's requests have answers of their own. */
function ownRaw(kind: OfKind, request: OfpRaw, version: number): OfpRaw | undefined {
  for (const raw of RAWS_OF_KIND.get(kind) ?? []) {
    if (raw.class === request.class && raw.minVersion <= version && version <= raw.maxVersion) return raw;
  }
  return undefined;
}

const isVersion = (version: number): boolean => version >= 1 && version <= 6;

/** How much of a wrong message fits into the error that tells of it, in bytes. */
function errorRoom(err: OfpErr, version: OfVersion): number {
  const { vendor } = err.codes[version] ?? { vendor: VENDOR.NX };
  const ofVendor = vendor === VENDOR.OF ? 0 : version <= 2 ? 8 : 4;
  return 0xffff - 12 - ofVendor;
}

function nameOf(bytes: Uint8Array): string {
  try {
    return decodeHeaderPartial(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)).raw.text;
  } catch (error) {
    if (error instanceof OfpError) return 'invalid';
    throw error;
  }
}
