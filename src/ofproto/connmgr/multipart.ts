/**
 * Multipart requests in several parts: collected until the last one is there.
 * Source: lib/ofp-msgs.c (ofpmp_assembler_execute), OpenFlow 1.3.5 7.3.5.
 */
import type { OfMessage } from '../../openflow/messages/of-message.ts';
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';
import type { OfKind } from '../../openflow/ofp-msgs.ts';

/** Of all requests together that a connection has begun.  Bytes; in memory it is many times as much. */
const MAX_SIZE = 4 * 1024 * 1024;
const TIMEOUT_MS = 1000;
/** Only these may have more than one part with a body: their bodies are lists. */
const LISTS: ReadonlySet<OfKind> = new Set(['table_features_stats_request', 'flow_monitor_stats_request']);

interface Partial {
  readonly kind: OfKind;
  readonly entries: unknown[];
  size: number;
  /** The last part, for the error. */
  bytes: Uint8Array;
  deadlineMs: number;
}

export class MultipartRequests {
  private readonly byXid = new Map<number, Partial>();
  private total = 0;

  /** A request as a whole, once `msg` has completed it; undefined while parts are missing.  Throws OfpError. */
  take(msg: OfMessage, bytes: Uint8Array, nowMs: number): OfMessage | undefined {
    if (msg.raw.multipart !== 'request') return msg;
    const more = msg.more && msg.version >= 4;
    let partial = this.byXid.get(msg.xid);
    if (partial === undefined && !more) return msg;
    partial ??= { kind: msg.kind, entries: [], size: 0, bytes, deadlineMs: 0 };
    this.byXid.set(msg.xid, partial);
    partial.deadlineMs = nowMs + TIMEOUT_MS;
    partial.bytes = bytes.slice();
    partial.size += bytes.length;
    this.total += bytes.length;
    const isWrong = partial.kind !== msg.kind || !LISTS.has(msg.kind);
    if (isWrong || this.total > MAX_SIZE) {
      this.forget(msg.xid, partial);
      throw new OfpError(isWrong ? OFPERR.OFPBRC_BAD_STAT : OFPERR.OFPBRC_MULTIPART_BUFFER_OVERFLOW);
    }
    partial.entries.push(...(msg.body as readonly unknown[]));
    if (more) return undefined;
    this.forget(msg.xid, partial);
    return { ...msg, body: partial.entries } as OfMessage;
  }

  private forget(xid: number, partial: Partial): void {
    this.byXid.delete(xid);
    this.total -= partial.size;
  }

  /** Gives up requests whose next part does not come: `fail` is told the last part of each. */
  expire(nowMs: number, fail: (bytes: Uint8Array) => void): void {
    for (const [xid, partial] of this.byXid) {
      if (nowMs < partial.deadlineMs) continue;
      this.forget(xid, partial);
      fail(partial.bytes);
    }
  }
}
