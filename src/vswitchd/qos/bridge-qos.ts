/**
 * Quality of service and policing of one bridge's ports: bridge.ts calls `configure` once the ports are there and their devices set up.
 * Source: vswitchd/bridge.c (iface_configure_qos).
 */
import { NetlinkError } from '../../netlink/errors.ts';
import type { LinkFeatures } from '../../ofproto/connmgr/openflow-settings.ts';
import type { Ofproto } from '../../ofproto/ofproto-provider.ts';
import { speedOf } from '../../openflow/messages/port/phy-port.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { featuresOf } from '../bridge/bridge-devices.ts';
import type { BridgeConfig, InterfaceConfig, PortConfig } from '../config/switch-config.ts';
import type { Netdev, NetdevTable } from '../devices/netdev.ts';
import { withBursts } from './policing.ts';
import { NO_POLICING, type PolicingConfig, type QosConfig } from './qos-config.ts';
import type { TcDevice } from './qos-kind.ts';

const log = vlog('bridge');
const limit = new RateLimit(1, 5);

/** What links of unknown speed are taken for, bits per second. */
const DEFAULT_BPS = 10_000_000_000;

/** The device of an interface as traffic control takes it; undefined: it has none that can be controlled. */
function tcDevice(netdevs: NetdevTable, { name, type }: InterfaceConfig): TcDevice | undefined {
  const netdev = netdevs.get(name);
  if (netdevs.qos === undefined || netdev === undefined) return undefined;
  const { ifindex, mtu } = netdev;
  return { name, ifindex, mtu, linkBps: speedOf(featuresOf(netdevs, name, type)?.curr ?? 0) * 1000 || DEFAULT_BPS };
}

/** What an interface's device was last configured with, and of which objects that was made: as long as they are the same, nothing has changed. */
interface Applied {
  readonly iface: InterfaceConfig;
  readonly netdev: Netdev | undefined;
  readonly features: LinkFeatures | undefined;
  readonly device: TcDevice | undefined;
  readonly odpPort: number;
  readonly qos: QosConfig | undefined;
  readonly policing: string;
}

export class BridgeQos {
  private readonly ofproto: Ofproto;
  private readonly netdevs: NetdevTable;
  /** By name of an interface that has been configured. */
  private readonly applied = new Map<string, Applied>();

  constructor(ofproto: Ofproto, netdevs: NetdevTable) {
    this.ofproto = ofproto;
    this.netdevs = netdevs;
  }

  async configure(config: BridgeConfig): Promise<void> {
    const { ports } = this.ofproto;
    for (const port of config.ports) {
      for (const iface of port.interfaces) {
        const ofport = ports.get(iface.name);
        if (ofport === undefined || this.isApplied(iface, port, ofport.odpPort)) continue;
        await this.configureInterface(iface, port, ofport.odpPort);
      }
    }
    for (const name of this.applied.keys()) if (!ports.has(name)) this.forget(name);
  }

  private isApplied(iface: InterfaceConfig, { qos }: PortConfig, odpPort: number): boolean {
    const { name, type } = iface;
    const old = this.applied.get(name);
    return (
      old?.iface === iface &&
      old.qos === qos &&
      old.odpPort === odpPort &&
      old.netdev === this.netdevs.get(name) &&
      old.features === featuresOf(this.netdevs, name, type)
    );
  }

  private async configureInterface(iface: InterfaceConfig, { qos }: PortConfig, odpPort: number): Promise<void> {
    const { name } = iface;
    const old = this.applied.get(name);
    const device = tcDevice(this.netdevs, iface);
    // A device that is gone takes along all that was set; the port follows it.
    if (device === undefined && old?.device !== undefined) return;
    const policing = withBursts(iface.policing ?? NO_POLICING);
    const [netdev, features] = [this.netdevs.get(name), featuresOf(this.netdevs, name, iface.type)];
    const now = { iface, netdev, features, device, odpPort, qos, policing: Object.values(policing).join() };
    if (old !== undefined && isSame(old, now)) {
      this.applied.set(name, now);
      return;
    }
    this.applied.delete(name);
    this.ofproto.setPortQueues(name, dscpsOf(qos));
    let isDone = device === undefined || (await this.netdevs.qos?.configure(device, qos)) !== false;
    isDone = (await this.police(name, device, policing)) && isDone;
    // What could not be done is tried again.
    if (isDone) this.applied.set(name, now);
  }

  /** The datapath does it, or else the kernel.  Whether all went well. */
  private async police(name: string, device: TcDevice | undefined, policing: PolicingConfig): Promise<boolean> {
    try {
      if (await this.ofproto.portPolice(name, policing)) return true;
      return device === undefined || this.netdevs.qos?.police(device, policing) !== false;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      log.warn(`${name}: policing failed (${error.text})`, limit);
      return false;
    }
  }

  private forget(name: string): void {
    this.applied.delete(name);
    this.netdevs.qos?.forget(name);
  }
}

const isSame = (a: Applied, b: Applied): boolean =>
  a.qos === b.qos &&
  a.policing === b.policing &&
  a.odpPort === b.odpPort &&
  a.device?.ifindex === b.device?.ifindex &&
  a.device?.mtu === b.device?.mtu &&
  a.device?.linkBps === b.device?.linkBps;

/** What the packets of queues have in their DSCP field, by queue. */
function dscpsOf(qos: QosConfig | undefined): ReadonlyMap<number, number> {
  const dscps = new Map<number, number>();
  for (const { id, dscp } of qos?.queues ?? []) if (dscp !== undefined) dscps.set(id, dscp);
  return dscps;
}
