/**
 * The bundles of one bridge: a Port of the database whose interfaces forward as one, with its VLANs.  Only what has changed
 * reaches the ofproto.  bridge.ts calls `remove` when ports have been deleted, and `configure` when all ports are there.
 * Source: vswitchd/bridge.c (port_configure).
 */
import type { BundleConfig, Ofport, Ofproto } from '../../ofproto/ofproto-provider.ts';
import type { BridgeConfig, PortConfig } from '../config/switch-config.ts';

interface Applied {
  /** What it was made of. */
  readonly port: PortConfig;
  readonly members: readonly Ofport[];
  /** The same as text: configurations may be equal without being the same object. */
  readonly text: string;
}

export class BridgeBundles {
  private readonly ofproto: Ofproto;
  private readonly applied = new Map<string, Applied>();

  constructor(ofproto: Ofproto) {
    this.ofproto = ofproto;
  }

  /** Removes the bundles that are not wanted, and those with interfaces that are `doomed`. */
  remove(config: BridgeConfig, doomed: ReadonlySet<string>): void {
    const wanted = new Map(config.ports.map((port) => [port.name, port]));
    for (const name of [...this.applied.keys()]) {
      const port = wanted.get(name);
      if (port !== undefined && !port.interfaces.some((iface) => doomed.has(iface.name))) continue;
      this.ofproto.bundleRemove(name);
      this.applied.delete(name);
    }
  }

  configure(config: BridgeConfig): void {
    for (const port of config.ports) this.configureOne(port);
  }

  /** Sets up the bundle of `port`, as far as its interfaces are there. */
  configureOne(port: PortConfig): void {
    const { name, vlanMode, tag, trunks, isProtected, tagging } = port;
    const { ports } = this.ofproto;
    const old = this.applied.get(name);
    // The usual case, as quickly as may be.
    if (old?.port === port && old.members.length === port.interfaces.length) {
      if (old.members.every((member, i) => member === ports.get(port.interfaces[i]?.name ?? ''))) return;
    }
    const members = port.interfaces.flatMap((iface) => ports.get(iface.name) ?? []);
    if (members.length === 0) return;
    const isSame = old?.members.length === members.length && old.members.every((m, i) => m === members[i]);
    if (isSame && old.port === port) return;
    const names = members.map((m) => m.name);
    const bundle: BundleConfig = { name, members: names, vlanMode, tag, trunks, isProtected, ...tagging };
    const text = JSON.stringify(bundle);
    if (!isSame || old.text !== text) this.ofproto.bundleSet(bundle);
    this.applied.set(name, { port, members, text });
  }
}
