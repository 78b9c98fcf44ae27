/** Bridge to odp/ until its action builder is there. */
import { OVS_ACTION_ATTR } from '../odp/action-attrs.ts';

const dvOf = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength);
class Writer {
  bytes = new Uint8Array(512);
  at = 0;
  attr(type: number, size: number): number {
    const need = this.at + 4 + ((size + 3) & ~3);
    if (need > this.bytes.length) {
      const old = this.bytes;
      this.bytes = new Uint8Array(need * 2);
      this.bytes.set(old);
    }
    const dv = dvOf(this.bytes);
    dv.setUint16(this.at, 4 + size, true);
    dv.setUint16(this.at + 2, type, true);
    const payload = this.at + 4;
    this.at = need;
    return payload;
  }
  done(): Uint8Array {
    return this.bytes.slice(0, this.at);
  }
}

export class OdpActionsBuilder {
  private w = new Writer();
  get size(): number {
    return this.w.at;
  }
  clear(): void {
    this.w.at = 0;
  }
  output(port: number): void {
    const at = this.w.attr(OVS_ACTION_ATTR.OUTPUT, 4);
    dvOf(this.w.bytes).setUint32(at, port, true);
  }
  popVlan(): void {
    this.w.attr(OVS_ACTION_ATTR.POP_VLAN, 0);
  }
  pushVlan(tpid: number, tci: number): void {
    const at = this.w.attr(OVS_ACTION_ATTR.PUSH_VLAN, 4);
    dvOf(this.w.bytes).setUint16(at, tpid);
    dvOf(this.w.bytes).setUint16(at + 2, tci);
  }
  userspace(pid: number, userdata: Uint8Array): void {
    const at = this.w.attr(OVS_ACTION_ATTR.USERSPACE, 8 + 4 + userdata.length);
    const dv = dvOf(this.w.bytes);
    dv.setUint16(at, 8, true);
    dv.setUint16(at + 2, 1, true);
    dv.setUint32(at + 4, pid, true);
    dv.setUint16(at + 8, 4 + userdata.length, true);
    dv.setUint16(at + 10, 2, true);
    this.w.bytes.set(userdata, at + 12);
  }
  finish(): Uint8Array {
    return this.w.done();
  }
}
