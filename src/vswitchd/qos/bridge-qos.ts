/**
 * Quality of service and policing of one bridge's ports: bridge.ts calls `configure` once the ports are there and their devices set up.
 * Source: vswitchd/bridge.c (iface_configure_qos).
 */
import type { Ofproto } from '../../ofproto/ofproto-provider.ts';
import { speedOf } from '../../openflow/messages/phy-port.ts';
import { featuresOf } from '../bridge-devices.ts';
import type { NetdevTable } from '../netdev.ts';
import type { BridgeConfig, InterfaceConfig, PortConfig } from '../switch-config.ts';
import type { QosConfig } from './qos-config.ts';
import type { TcDevice } from './qos-kind.ts';

/** What links of unknown speed are taken for, bits per second. */
const DEFAULT_BPS = 10_000_000_000;

/** The device of an interface as traffic control takes it; undefined: it has none that can be controlled. */
function tcDevice(netdevs: NetdevTable, { name, type }: InterfaceConfig): TcDevice | undefined {
  const netdev = netdevs.get(name);
  if (netdevs.qos === undefined || netdev === undefined) return undefined;
  const { ifindex, mtu } = netdev;
  return { name, ifindex, mtu, linkBps: speedOf(featuresOf(netdevs, name, type)?.curr ?? 0) * 1000 || DEFAULT_BPS };
}

export class BridgeQos {
  private readonly ofproto: Ofproto;
  private readonly netdevs: NetdevTable;
  /** Interfaces that have been configured. */
  private readonly known = new Set<string>();

  constructor(ofproto: Ofproto, netdevs: NetdevTable) {
    this.ofproto = ofproto;
    this.netdevs = netdevs;
  }

  configure(config: BridgeConfig): void {
    const present = new Set<string>();
    for (const port of config.ports) {
      for (const iface of port.interfaces) {
        if (!this.ofproto.ports.has(iface.name)) continue;
        present.add(iface.name);
        this.configureInterface(iface, port);
      }
    }
    for (const name of this.known) if (!present.has(name)) this.forget(name);
  }

  private configureInterface(iface: InterfaceConfig, { qos }: PortConfig): void {
    const { name } = iface;
    this.known.add(name);
    this.ofproto.setPortQueues(name, dscpsOf(qos));
    const device = tcDevice(this.netdevs, iface);
    if (device !== undefined) this.netdevs.qos?.configure(device, qos);
  }

  private forget(name: string): void {
    this.known.delete(name);
    this.netdevs.qos?.forget(name);
  }
}

/** What the packets of queues have in their DSCP field, by queue. */
function dscpsOf(qos: QosConfig | undefined): ReadonlyMap<number, number> {
  const dscps = new Map<number, number>();
  for (const { id, dscp } of qos?.queues ?? []) if (dscp !== undefined) dscps.set(id, dscp);
  return dscps;
}
