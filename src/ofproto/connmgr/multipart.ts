/**
 * Multipart requests in several parts: collected until the last one is there.  Any part may be without a body, even of a request that must
 * have one: such parts say nothing, and are left out.
 * Source: lib/ofp-msgs.c (ofpmp_assembler_execute), OpenFlow 1.3.5 7.3.5.
 */
import { OFPERR, OfpError } from '../../openflow/ofp-errors.ts';
import { checkBodySize, OFPMPF_MORE, type OfpHeader } from '../../openflow/ofp-header.ts';
import type { OfpRaw } from '../../openflow/ofp-msgs.ts';

/** Of all requests together that a connection has begun.  Bytes. */
const MAX_SIZE = 4 * 1024 * 1024;
const TIMEOUT_MS = 1000;
/** OpenFlow 1.3: before it, only replies have parts. */
const FIRST_VERSION = 4;

interface Partial {
  readonly raw: OfpRaw;
  readonly parts: Uint8Array[];
  hasBody: boolean;
  size: number;
  deadlineMs: number;
}

export class MultipartRequests {
  private readonly byXid = new Map<number, Partial>();
  private total = 0;

  /** Whether a message is one of several. */
  isPart(header: OfpHeader): boolean {
    if (header.raw.multipart !== 'request') return false;
    return hasMore(header) || this.byXid.has(header.xid);
  }

  /** All parts of a request, at least one, once `bytes` has completed it; undefined while parts are missing.  Throws OfpError. */
  take(header: OfpHeader, bytes: Uint8Array, nowMs: number): readonly Uint8Array[] | undefined {
    const { raw, xid } = header;
    const bodySize = bytes.length - header.bodyAt;
    if (bodySize > 0) checkBodySize(raw, bodySize);
    const partial = this.byXid.get(xid) ?? { raw, parts: [], hasBody: false, size: 0, deadlineMs: 0 };
    this.byXid.set(xid, partial);
    partial.deadlineMs = nowMs + TIMEOUT_MS;
    partial.hasBody ||= bodySize > 0;
    partial.size += bytes.length;
    this.total += bytes.length;
    if (partial.raw !== raw || this.total > MAX_SIZE) {
      this.forget(xid, partial);
      throw new OfpError(partial.raw !== raw ? OFPERR.OFPBRC_BAD_STAT : OFPERR.OFPBRC_MULTIPART_BUFFER_OVERFLOW);
    }
    partial.parts.push(bytes.slice());
    if (hasMore(header)) return undefined;
    this.forget(xid, partial);
    if (!partial.hasBody && raw.minBody > 0)
      throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `${raw.text}: no part has a body`);
    const parts = partial.parts.filter((part) => part.length > header.bodyAt);
    return parts.length > 0 ? parts : partial.parts.slice(-1);
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
      fail(partial.parts.at(-1) as Uint8Array);
    }
  }
}

const hasMore = ({ flags, version }: OfpHeader): boolean => (flags & OFPMPF_MORE) !== 0 && version >= FIRST_VERSION;
