/**
 * The tunnel ports of one bridge: adds them, and changes them when their options do.  They have no device of their own; the datapath has one
 * for all tunnels of a type (ofproto/tunnel/).  bridge-ports.ts calls `add` and `forget`, bridge.ts `reconfigure` and `describe`.
 * Source: vswitchd/bridge.c (bridge_delete_or_reconfigure_ports, iface_do_create), lib/netdev-vport.c.
 */
import type { TunnelSettings } from '../../dpif/tunnel-settings.ts';
import { tunnelType } from '../../dpif/tunnel-types.ts';
import { tunnelStandIn } from '../../netlink/tunnel-stand-in.ts';
import type { Ofport, Ofproto } from '../../ofproto/ofproto-provider.ts';
import { tunnelDeviceName } from '../../ofproto/tunnel/tunnel-devices.ts';
import { vlog } from '../../util/vlog.ts';
import type { InterfaceConfig } from '../config/switch-config.ts';
import { type TunnelConfigs, tunnelConfigs } from '../config/tunnel-config.ts';
import type { NetdevTable } from '../devices/netdev.ts';
import { patchMac } from './patch-port.ts';

const log = vlog('bridge');

/** Interface.status of a tunnel. */
export type TunnelStatus = ReadonlyMap<string, string>;
const NO_STATUS: TunnelStatus = new Map();

/** Whether interfaces of this type are tunnels. */
export const isTunnel = (type: string): boolean => tunnelType(type) !== undefined;

/** The names that the datapath's device for a tunnel may have. */
const devicesOf = (tunnel: TunnelSettings): readonly string[] => {
  const name = tunnelDeviceName(tunnel);
  const standIn = tunnelStandIn(name);
  return standIn === name ? [name] : [name, standIn];
};

/** What tunnels need to know of devices. */
type TunnelNetdevs = Pick<NetdevTable, 'findEgress' | 'get' | 'refresh'>;

export class TunnelPorts {
  private readonly ofproto: Ofproto;
  private readonly netdevs: TunnelNetdevs;
  private readonly configs: TunnelConfigs;
  /** By name; the same object as long as it says the same. */
  private readonly statuses = new Map<string, TunnelStatus>();
  /** By name: what OpenFlow was told of. */
  private readonly described = new Map<string, Ofport>();

  constructor(ofproto: Ofproto, netdevs: TunnelNetdevs, configs: TunnelConfigs = tunnelConfigs) {
    this.ofproto = ofproto;
    this.netdevs = netdevs;
    this.configs = configs;
  }

  /** Adds a port.  Gives the text for its "error" column if its options are wrong; rejects if the datapath refuses it. */
  async add(
    { name, type, options, ofportRequest, ofportHint }: InterfaceConfig,
    onAdded: (name: string) => void,
  ): Promise<Ofport | string> {
    const tunnel = this.configs.read(name, type, options);
    if (typeof tunnel === 'string') return tunnel;
    const [ofport, before] = [ofportRequest, ofportHint];
    const port = await this.ofproto.portAdd({ name, type, ofport, before, isLocal: false, tunnel });
    onAdded(name);
    // They may have been made just now.
    for (const device of devicesOf(tunnel)) await this.netdevs.refresh(device).catch(() => undefined);
    return port;
  }

  /** Gives ports that are tunnels already the settings of now.  One that cannot have them is no port any more: `add` tells why. */
  async reconfigure(interfaces: readonly InterfaceConfig[]): Promise<void> {
    for (const { name, type, options } of interfaces) {
      const port = this.ofproto.ports.get(name);
      if (port?.tunnel === undefined || port.type !== type) continue;
      const settings = this.configs.read(name, type, options);
      if (settings === port.tunnel) continue;
      if (typeof settings === 'string') await this.ofproto.portDel(name);
      else {
        const gone = (error: Error): void => log.warn(`${name}: cannot change the tunnel (${error.message})`);
        await this.ofproto.setTunnel(name, settings).catch(gone);
      }
    }
  }

  /** Tells OpenFlow of the ports: a tunnel is always up. */
  describe(interfaces: readonly InterfaceConfig[]): void {
    for (const { name } of interfaces) {
      const port = this.ofproto.ports.get(name);
      if (port?.tunnel === undefined || this.described.get(name) === port) continue;
      this.described.set(name, port);
      this.ofproto.setPortDevice(name, { hwAddr: patchMac(this.ofproto.name, name), isUp: true, hasCarrier: true });
    }
    for (const name of this.described.keys()) if (!this.ofproto.ports.has(name)) this.described.delete(name);
  }

  /** What of a tunnel's status is known: by which device its packets leave, and whether that has a link. */
  statusOf(name: string): TunnelStatus {
    return this.statuses.get(name) ?? NO_STATUS;
  }

  /** The number of the datapath's device for a tunnel; 0: it has none that we can see. */
  ifindexOf({ tunnel }: Ofport): number {
    if (tunnel === undefined) return 0;
    return (
      devicesOf(tunnel)
        .map((device) => this.netdevs.get(device)?.ifindex ?? 0)
        .find((ifindex) => ifindex > 0) ?? 0
    );
  }

  /** Looks where tunnels leave the host.  Gives those interfaces of which that has changed. */
  async findEgress(interfaces: readonly InterfaceConfig[]): Promise<{ uuid: string; name: string }[]> {
    const { netdevs } = this;
    if (netdevs.findEgress === undefined) return [];
    const ways = new Map<string, ReturnType<NonNullable<typeof netdevs.findEgress>>>();
    const changed: { uuid: string; name: string }[] = [];
    for (const { uuid, name } of interfaces) {
      const remote = this.ofproto.ports.get(name)?.tunnel?.remote;
      if (remote === undefined || remote === 'flow' || uuid === undefined) continue;
      const to = remote.join();
      const way = ways.get(to) ?? netdevs.findEgress(remote);
      ways.set(to, way);
      const device = await way;
      const old = this.statusOf(name);
      const status = device === undefined ? NO_STATUS : statusOf(device.name, device.hasCarrier);
      if (old.size === status.size && [...status].every(([key, value]) => old.get(key) === value)) continue;
      this.statuses.set(name, status);
      changed.push({ uuid, name });
    }
    return changed;
  }

  /** The interface is gone. */
  forget(name: string): void {
    this.configs.forget(name);
    this.statuses.delete(name);
  }
}

const statusOf = (device: string, hasCarrier: boolean): TunnelStatus =>
  new Map([
    ['tunnel_egress_iface', device],
    ['tunnel_egress_iface_carrier', hasCarrier ? 'up' : 'down'],
  ]);
