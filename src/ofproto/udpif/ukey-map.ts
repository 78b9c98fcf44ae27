/**
 * The ukeys of a datapath: one a flow, found by the flow's UFID.
 * Source: ofproto/ofproto-dpif-upcall.c (struct umap, ukey_install, try_ukey_replace).
 */
import type { Ufid } from '../../odp/odp-ufid.ts';
import { UfidMap } from '../../odp/ufid-map.ts';
import { coverage } from '../../util/coverage.ts';
import { vlog } from '../../util/vlog.ts';
import { equalBytes, UKEY, type Ukey } from './ukey.ts';

const log = vlog('ofproto_dpif_upcall');
const replaceCount = coverage('upcall_ukey_replace');
const duplicateCount = coverage('handler_duplicate_upcall');
const NO_RECIRCS: readonly number[] = [];

/** All ukeys of a datapath by UFID. */
export class UkeyMap implements Iterable<Ukey> {
  private readonly byUfid = new UfidMap<Ukey>();

  get size(): number {
    return this.byUfid.size;
  }
  [Symbol.iterator](): Iterator<Ukey> {
    return this.byUfid[Symbol.iterator]();
  }
  /** A walk that others may come between: see `UfidMap.next`. */
  next(cursor: number): number {
    return this.byUfid.next(cursor);
  }
  at(entry: number): Ukey {
    return this.byUfid.at(entry);
  }
  get(ufid: Ufid): Ukey | undefined {
    return this.byUfid.get(ufid);
  }

  /**
   * Makes `ukey` VISIBLE.  False, and nothing changes, if its flow is being handled already; a ukey whose flow has just
   * been evicted is replaced, so that a busy flow need not wait for the sweep.
   */
  install(ukey: Ukey): boolean {
    const old = this.byUfid.get(ukey.ufid);
    if (old !== undefined) {
      if (!equalBytes(old.key, ukey.key)) {
        log.warn(`Conflicting ukey for flows: ufid ${ukey.ufid} stands for two keys`);
        return false;
      }
      if (old.state !== UKEY.EVICTED) {
        duplicateCount.n++;
        return false;
      }
      replaceCount.n++;
      old.transition(UKEY.DELETED);
      // The dump in progress has seen this UFID: it must not be taken for a missing flow.
      ukey.dumpSeq = old.dumpSeq;
    }
    this.byUfid.set(ukey.ufid, ukey);
    ukey.transition(UKEY.VISIBLE);
    return true;
  }

  /** Takes an EVICTED ukey out. */
  delete(ukey: Ukey): void {
    ukey.transition(UKEY.DELETED);
    if (this.byUfid.get(ukey.ufid) === ukey) this.byUfid.delete(ukey.ufid);
  }

  clear(): void {
    for (const ukey of this) ukey.holdRecircs(NO_RECIRCS);
    this.byUfid.clear();
  }
}
