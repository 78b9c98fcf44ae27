/**
 * A bridge's table of MAC addresses: how it is set up, what packets teach it, what commands see of it and change in it.
 * Neighbours: mac-learning.ts is the table.
 * Source: ofproto/ofproto-dpif.c (ofproto_unixctl_fdb_show, ofproto_unixctl_fdb_add).
 */

import { RateLimit, vlog } from '../util/vlog.ts';
import { formatMac, MAC_DEFAULT_AGING_SEC, MAC_DEFAULT_MAX, type MacStats, type MacTable } from './mac-learning.ts';
import type { Fdb, FdbEntry } from './ofproto-provider.ts';
import type { Bundle } from './ports/bundle.ts';

const log = vlog('ofproto_dpif');
const limit = new RateLimit(60, 5);

export class SwitchFdb implements Fdb {
  private readonly bridge: string;
  private readonly macs: MacTable<Bundle>;
  private readonly bundleOf: (port: string) => Bundle | undefined;
  private readonly changed: () => void;

  /** `bundleOf`: the bundle that a port is in.  `changed` is called after each change of the table. */
  constructor(
    bridge: string,
    macs: MacTable<Bundle>,
    bundleOf: (port: string) => Bundle | undefined,
    changed: () => void,
  ) {
    this.bridge = bridge;
    this.macs = macs;
    this.bundleOf = bundleOf;
    this.changed = changed;
  }

  configure(agingSec: number, maxEntries: number): void {
    this.macs.configure(agingSec || MAC_DEFAULT_AGING_SEC, maxEntries || MAC_DEFAULT_MAX);
    this.changed();
  }

  setFloodVlans(vlans: readonly number[]): void {
    if (this.macs.setFloodVlans(vlans)) this.changed();
  }

  /** A packet came from `mac`.  The caller sees to flows that this changes. */
  learn(mac: number, vlan: number, bundle: Bundle, isGarp: boolean): void {
    if (!this.macs.update(mac, vlan, bundle, { isGratuitousArp: isGarp, isBond: bundle.members.length > 1 })) return;
    log.dbg(
      () => `bridge ${this.bridge}: learned that ${formatMac(mac)} is on port ${bundle.name} in VLAN ${vlan}`,
      limit,
    );
  }

  entries(): FdbEntry[] {
    this.macs.run();
    return [...this.macs.entries()].flatMap((e) => {
      const port = e.port.members[0];
      if (port === undefined) return [];
      return [{ ofport: port.ofport, vlan: e.vlan, mac: formatMac(e.mac), ageSec: this.macs.age(e) }];
    });
  }

  stats(): MacStats {
    return this.macs.stats;
  }

  clearStats(): void {
    this.macs.clearStats();
  }

  flush(): void {
    this.macs.flush();
    this.changed();
  }

  add(name: string, vlan: number, mac: number): boolean {
    const bundle = this.bundleOf(name);
    if (bundle === undefined) return false;
    this.macs.addStatic(mac, vlan, bundle);
    this.changed();
    return true;
  }

  delete(vlan: number, mac: number): boolean {
    const isThere = this.macs.delStatic(mac, vlan);
    this.changed();
    return isThere;
  }
}
