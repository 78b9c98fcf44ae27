/**
 * A bridge's multicast snooping: there while it is configured, with the ports that are configured for it.
 * Source: ofproto/ofproto-dpif.c (set_mcast_snooping, set_mcast_snooping_port).
 */

import type { Mdb, MdbEntry } from '../ofproto-provider.ts';
import type { Bundle } from '../ports/bundle.ts';
import type { McastSettings } from './mcast-settings.ts';
import { McastSnooping } from './mcast-snooping.ts';

export class SwitchMcast implements Mdb {
  /** undefined while it is off. */
  table: McastSnooping<Bundle> | undefined;
  private settings: McastSettings | undefined;
  private readonly changed: () => void;

  /** `changed` is called when a command has changed it. */
  constructor(changed: () => void) {
    this.changed = changed;
  }

  /** Returns whether it was turned on or off. */
  configure(settings: McastSettings | undefined, bundles: ReadonlyMap<string, Bundle>): boolean {
    const was = this.table;
    this.settings = settings;
    if (settings === undefined) this.table = undefined;
    else {
      this.table ??= new McastSnooping();
      this.table.configure(settings);
      this.bundlesChanged(bundles);
    }
    return (was === undefined) !== (settings === undefined);
  }

  /** The bridge's bundles are other ones now; by name. */
  bundlesChanged(bundles: ReadonlyMap<string, Bundle>): void {
    const { settings } = this;
    if (settings === undefined) return;
    const present = (names: readonly string[]): Set<Bundle> =>
      new Set(names.flatMap((name) => bundles.get(name) ?? []));
    this.table?.setPorts(present(settings.floodPorts), present(settings.reportPorts));
  }

  /** Ages; returns whether flows have to be revalidated. */
  run(): boolean {
    const { table } = this;
    if (table === undefined) return false;
    table.run();
    const { needRevalidate } = table;
    table.needRevalidate = false;
    return needRevalidate;
  }

  entries(): MdbEntry[] | undefined {
    this.table?.run();
    return this.table?.entries().flatMap(({ port, vlan, address, ageSec }) => {
      const member = port.members[0];
      return member === undefined ? [] : [{ ofport: member.ofport, vlan, group: address, ageSec }];
    });
  }

  flush(): boolean {
    this.table?.flush();
    this.changed();
    return this.table !== undefined;
  }
}
