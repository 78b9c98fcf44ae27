/**
 * The bundles of a connection: messages that are collected and then carried out at once, or not at all.
 *
 *            open            close
 *     (none) ----> open ----------> closed
 *       | add       ^ |                |         commit carries out the messages; discard, and every mistake, forgets them
 *       +-----------+ +-- commit ------+
 *
 * Source: ofproto/bundles.c, OpenFlow 1.4.1 6.8.
 */
import { OFPERR, type OfpErr, OfpError } from '../../openflow/ofp-errors.ts';
import type { FlowTransaction } from '../tables/flow-transaction.ts';

/** How long a bundle may lie idle unless the database says otherwise. */
export const BUNDLE_IDLE_MS = 10_000;

/** Of one connection at a time, and messages in all of them: a peer must not fill the memory with what it never commits. */
const MAX_BUNDLES = 1024;
const MAX_MESSAGES = 500_000;

/** What is left of a message of a bundle that was begun. */
export interface BundleStep {
  /** Does what cannot be taken back. */
  finish?(): Promise<void>;
  /** The command (OFPFC) of a flow_mod. */
  readonly flowMod?: number;
  /** Takes back what the transaction does not. */
  revert?(): void;
}

/** A message of a bundle: how it is begun, which throws OfpError, and as it was sent, for errors. */
export interface BundleEntry {
  begin(tx: FlowTransaction, flags: number): BundleStep;
  readonly bytes: Uint8Array;
}

export interface Bundle {
  readonly id: number;
  /** BUNDLE_FLAG bits. */
  readonly flags: number;
  readonly entries: BundleEntry[];
  /** The message that opened it, for the error if it is given up. */
  readonly opening: Uint8Array;
  isClosed: boolean;
  usedMs: number;
}

export class Bundles {
  private readonly byId = new Map<number, Bundle>();
  private readonly maxMessages: number;
  private nMessages = 0;

  constructor(maxMessages = MAX_MESSAGES) {
    this.maxMessages = maxMessages;
  }

  get size(): number {
    return this.byId.size;
  }

  private known(id: number): Bundle {
    const bundle = this.byId.get(id);
    if (bundle === undefined) throw new OfpError(OFPERR.OFPBFC_BAD_ID, `no bundle ${id}`);
    return bundle;
  }

  private remove(bundle: Bundle): void {
    this.byId.delete(bundle.id);
    this.nMessages -= bundle.entries.length;
  }

  private refuse(bundle: Bundle, err: OfpErr): never {
    this.remove(bundle);
    throw new OfpError(err, `bundle ${bundle.id}`);
  }

  /** Throws OFPBFC_OUT_OF_BUNDLES. */
  private create(id: number, flags: number, opening: Uint8Array, nowMs: number): Bundle {
    if (this.byId.size >= MAX_BUNDLES) throw new OfpError(OFPERR.OFPBFC_OUT_OF_BUNDLES, `more than ${MAX_BUNDLES}`);
    const bundle: Bundle = { id, flags, entries: [], opening, isClosed: false, usedMs: nowMs };
    this.byId.set(id, bundle);
    return bundle;
  }

  /** Throws OfpError, as all of these do; the bundle is gone then. */
  open(id: number, flags: number, opening: Uint8Array, nowMs: number): void {
    const old = this.byId.get(id);
    if (old !== undefined) this.refuse(old, OFPERR.OFPBFC_BAD_ID);
    this.create(id, flags, opening, nowMs);
  }

  close(id: number, flags: number, nowMs: number): void {
    const bundle = this.known(id);
    if (bundle.isClosed) this.refuse(bundle, OFPERR.OFPBFC_BUNDLE_CLOSED);
    if (bundle.flags !== flags) this.refuse(bundle, OFPERR.OFPBFC_BAD_FLAGS);
    bundle.usedMs = nowMs;
    bundle.isClosed = true;
  }

  discard(id: number): void {
    this.remove(this.known(id));
  }

  /** Adds a message, to a new bundle if there is none yet. */
  add(id: number, flags: number, entry: BundleEntry, nowMs: number): void {
    const bundle = this.byId.get(id) ?? this.create(id, flags, entry.bytes, nowMs);
    if (bundle.isClosed) this.refuse(bundle, OFPERR.OFPBFC_BUNDLE_CLOSED);
    if (bundle.flags !== flags) this.refuse(bundle, OFPERR.OFPBFC_BAD_FLAGS);
    if (this.nMessages >= this.maxMessages) this.refuse(bundle, OFPERR.OFPBFC_MSG_TOO_MANY);
    bundle.usedMs = nowMs;
    bundle.entries.push(entry);
    this.nMessages++;
  }

  /** Takes the bundle out, to be carried out. */
  take(id: number, flags: number): Bundle {
    const bundle = this.known(id);
    if (bundle.flags !== flags) this.refuse(bundle, OFPERR.OFPBFC_BAD_FLAGS);
    this.remove(bundle);
    return bundle;
  }

  /** Gives up bundles that nothing has been done with for `idleMs`. */
  expire(nowMs: number, idleMs: number, fail: (opening: Uint8Array) => void): void {
    for (const bundle of this.byId.values()) {
      if (bundle.usedMs > nowMs - idleMs) continue;
      this.remove(bundle);
      fail(bundle.opening);
    }
  }
}
