/**
 * A bridge's table of MAC addresses, as commands see it: what is in it, and entries that somebody makes or removes.
 * Neighbours: mac-learning.ts is the table; ofproto.ts learns into it.
 * Source: ofproto/ofproto-dpif.c (ofproto_unixctl_fdb_show, ofproto_unixctl_fdb_add).
 */

import { formatMac, type MacStats, type MacTable } from './mac-learning.ts';
import type { Fdb, FdbEntry } from './ofproto-provider.ts';
import type { Bundle } from './ports/bundle.ts';

export class SwitchFdb implements Fdb {
  private readonly macs: MacTable<Bundle>;
  private readonly bundleOf: (port: string) => Bundle | undefined;
  private readonly changed: () => void;

  /** `bundleOf`: the bundle that a port is in.  `changed` is called after each change of the table. */
  constructor(macs: MacTable<Bundle>, bundleOf: (port: string) => Bundle | undefined, changed: () => void) {
    this.macs = macs;
    this.bundleOf = bundleOf;
    this.changed = changed;
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
