/**
 * Internal ports whose devices were moved to another network namespace: what they are like there.  No notifications come of them, so they are
 * looked at when the switch is reconfigured and when counters are read.
 * Neighbours: bridge.ts, netdev.ts.  Source: lib/netdev-linux.c (netdev_linux_netnsid_update, netdev_linux_get_flags).
 */
import type { Ofproto } from '../../ofproto/ofproto-provider.ts';
import { interfacesOf, isDatapathGone } from '../bridge/bridge-ports.ts';
import type { BridgeConfig } from '../config/switch-config.ts';
import type { Netdev, NetdevTable } from './netdev.ts';

export class RemoteDevices {
  private readonly ofproto: Ofproto;
  private readonly netdevs: NetdevTable;
  private readonly byName = new Map<string, Netdev>();

  constructor(ofproto: Ofproto, netdevs: NetdevTable) {
    this.ofproto = ofproto;
    this.netdevs = netdevs;
  }

  /** The device of port `name`; undefined: it is not in another namespace, or not known. */
  get(name: string): Netdev | undefined {
    return this.byName.get(name);
  }

  /** Looks at all again; whether one has changed.  Rejects only if the datapath is gone. */
  async refresh(config: BridgeConfig): Promise<boolean> {
    let hasChanged = false;
    const seen = new Set<string>();
    for (const { name, type, isLocal } of interfacesOf(config)) {
      if ((type !== 'internal' && !isLocal) || this.netdevs.get(name) !== undefined) continue;
      const now = await this.look(name);
      if (now === undefined) continue;
      seen.add(name);
      const old = this.byName.get(name);
      if (old !== undefined && JSON.stringify(old) === JSON.stringify(now)) continue;
      this.byName.set(name, now);
      hasChanged = true;
    }
    for (const name of this.byName.keys()) if (!seen.has(name)) hasChanged = this.byName.delete(name);
    return hasChanged;
  }

  private async look(name: string): Promise<Netdev | undefined> {
    try {
      const place = await this.ofproto.devicePlace?.(name);
      return place === undefined ? undefined : await this.netdevs.inNamespace?.(place);
    } catch (error) {
      if (isDatapathGone(error)) throw error;
      return undefined;
    }
  }
}
