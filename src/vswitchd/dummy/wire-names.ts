/**
 * What devices are called towards the datapath in this process.  Its messages are the kernel's, with names of up to 15 bytes; names of dummies
 * may be longer, and such a device goes by another there.
 */

/** IFNAMSIZ - 1. */
const MAX_BYTES = 15;

export class WireNames {
  private readonly wireNames = new Map<string, string>();
  private readonly names = new Map<string, string>();

  /** What `name` is called on the wire; the same each time. */
  toWire(name: string): string {
    if (Buffer.byteLength(name) <= MAX_BYTES) return name;
    let wireName = this.wireNames.get(name);
    if (wireName === undefined) {
      wireName = `long~${this.wireNames.size}`;
      this.wireNames.set(name, wireName);
      this.names.set(wireName, name);
    }
    return wireName;
  }

  /** What goes by `wireName` there. */
  fromWire(wireName: string): string {
    return this.names.get(wireName) ?? wireName;
  }
}
