/** Flows of a flow-table.ts by their UFID: one of 16 bytes, as nearly all are, or a shorter one. */
import { Ufid } from '../../odp/odp-ufid.ts';
import { UfidMap } from '../../odp/ufid-map.ts';
import type { Flow, FlowId } from './flow.ts';

const nameOf = (ufid: Uint8Array): string => String.fromCharCode(...ufid);

export class UfidIndex {
  private readonly usual = new UfidMap<Flow>();
  private readonly short = new Map<string, Flow>();

  get(ufid: FlowId): Flow | undefined {
    return ufid instanceof Ufid ? this.usual.get(ufid) : this.short.get(nameOf(ufid));
  }
  set(ufid: FlowId, flow: Flow): void {
    if (ufid instanceof Ufid) this.usual.set(ufid, flow);
    else this.short.set(nameOf(ufid), flow);
  }
  delete(ufid: FlowId): void {
    if (ufid instanceof Ufid) this.usual.delete(ufid);
    else this.short.delete(nameOf(ufid));
  }
  clear(): void {
    this.usual.clear();
    this.short.clear();
  }
}
