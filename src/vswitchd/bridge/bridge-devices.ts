/**
 * The devices of one bridge's ports: their addresses, MTUs and peers, and what OpenFlow is told of them.
 * bridge.ts calls `configure` once the ports are there.  Source: vswitchd/bridge.c, vswitchd/vswitch.xml.
 */
import type { LinkFeatures } from '../../ofproto/connmgr/openflow-settings.ts';
import type { Ofport, Ofproto } from '../../ofproto/ofproto-provider.ts';
import { MAC_SIZE, parseMac } from '../../util/inet.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { BridgeConfig } from '../config/switch-config.ts';
import { NetdevControl } from '../devices/device-control.ts';
import type { Netdev, NetdevTable } from '../devices/netdev.ts';
import type { RemoteDevices } from '../devices/remote-devices.ts';
import { isMulticast, isZeroMac, normalMac, pickBridgeMac, pickDatapathId } from './bridge-mac.ts';
import { interfacesOf, reason } from './bridge-ports.ts';
import { PATCH, patchMac } from './patch-port.ts';
import { isTunnel } from './tunnel-ports.ts';

const log = vlog('bridge');
const limit = new RateLimit(1, 5);

/** What the link of a port's device can do; an internal port has no link, whatever its device says. */
export const featuresOf = (netdevs: NetdevTable, name: string, type: string): LinkFeatures | undefined =>
  type === 'internal' ? undefined : netdevs.features?.(name);

interface Described {
  readonly port: Ofport;
  readonly netdev: Netdev | undefined;
  readonly features: LinkFeatures | undefined;
}

/** The MTU of Ethernet. */
const ETH_PAYLOAD_MAX = 1500;

export class BridgeDevices {
  private readonly name: string;
  private readonly ofproto: Ofproto;
  private readonly netdevs: NetdevTable;
  private readonly remote: RemoteDevices;
  /** By name: what the ofproto was told of, each by its identity. */
  private readonly described = new Map<string, Described>();
  private mac = '';
  private id = '';
  /** The lowest MTU of devices that are no internal ports, while there were any. */
  private lowestMtu: number | undefined;

  constructor(ofproto: Ofproto, netdevs: NetdevTable, remote: RemoteDevices) {
    this.name = ofproto.name;
    this.ofproto = ofproto;
    this.netdevs = netdevs;
    this.remote = remote;
  }

  /** The bridge's OpenFlow identity, 16 hexadecimal digits; "" before the first `configure`. */
  get datapathId(): string {
    return this.id;
  }

  /** Sets options, peers, addresses and MTUs. */
  async configure(config: BridgeConfig): Promise<void> {
    for (const { name, type, options } of interfacesOf(config)) {
      // The options of tunnels and patch ports, which have no device, are others' business.
      if (!this.ofproto.ports.has(name) || isTunnel(type) || type === PATCH) continue;
      try {
        this.netdevs.configure?.(name, type, options);
      } catch (error) {
        log.warn(`${name}: could not set configuration (${reason(error)})`, limit);
      }
    }
    this.configurePatchPorts(config);
    await this.configureAddresses(config);
    await this.configureMtus(config);
  }

  /** Tells the ofproto what the ports' devices are like: of those that are not as they were. */
  describe(config: BridgeConfig): void {
    for (const { name, type } of interfacesOf(config)) {
      const netdev = this.netdevs.get(name) ?? this.remote.get(name);
      const port = this.ofproto.ports.get(name);
      if (netdev === undefined || port === undefined || port.type === PATCH || port.tunnel !== undefined) continue;
      const features = featuresOf(this.netdevs, name, type);
      const old = this.described.get(name);
      if (old?.port === port && old.netdev === netdev && old.features === features) continue;
      this.described.set(name, { port, netdev, features });
      const hwAddr = parseMac(netdev.mac ?? '') ?? new Uint8Array(MAC_SIZE);
      const control = new NetdevControl(this.netdevs, name);
      this.ofproto.setPortDevice(name, { hwAddr, isUp: netdev.isUp, hasCarrier: netdev.hasCarrier, features, control });
    }
    for (const name of this.described.keys()) if (!this.ofproto.ports.has(name)) this.described.delete(name);
  }

  /** Tells patch ports their peers, if these have changed. */
  private configurePatchPorts(config: BridgeConfig): void {
    for (const { name, type, options } of interfacesOf(config)) {
      const port = type === PATCH ? this.ofproto.ports.get(name) : undefined;
      if (port === undefined) continue;
      this.ofproto.setPatchPeer(name, options.get('peer'));
      if (this.described.get(name)?.port === port) continue;
      this.described.set(name, { port, netdev: undefined, features: undefined });
      this.ofproto.setPortDevice(name, { hwAddr: patchMac(this.name, name), isUp: true, hasCarrier: true });
    }
  }

  private async configureAddresses(config: BridgeConfig): Promise<void> {
    const mac = pickBridgeMac(config, (name) =>
      this.ofproto.ports.has(name) ? this.netdevs.get(name)?.mac : undefined,
    );
    if (mac !== this.mac) this.ofproto.setHwaddr(mac);
    this.mac = mac;
    const id = pickDatapathId(config.datapathId, mac);
    if (id !== this.id) log.info(`bridge ${this.name}: using datapath ID ${id}`);
    this.id = id;
    await this.setMac(this.name, mac, `bridge ${this.name}: failed to set bridge Ethernet address`);
    for (const iface of interfacesOf(config)) {
      const wanted = iface.type === 'internal' ? normalMac(iface.mac) : undefined;
      if (wanted === undefined) continue;
      const where = `interface ${iface.name}`;
      if (iface.isLocal) {
        log.err(`${where}: ignoring mac in Interface record (use Bridge record to set local port's mac)`, limit);
      } else if (isMulticast(wanted)) log.err(`${where}: cannot set MAC to multicast address`, limit);
      else if (isZeroMac(wanted)) log.err(`${where}: cannot set MAC to all zero address`, limit);
      else await this.setMac(iface.name, wanted, `${where}: setting MAC failed`);
    }
  }

  private async setMac(name: string, mac: string, complaint: string): Promise<void> {
    const netdev = this.netdevs.get(name);
    if (netdev === undefined || netdev.mac === mac || !this.ofproto.ports.has(name)) return;
    try {
      await this.netdevs.setMac(name, mac);
    } catch (error) {
      log.err(`${complaint}: ${reason(error)}`, limit);
    }
  }

  /**
   * Sets the MTUs that are asked for, and those of internal ports that nobody asked one for to the lowest among the
   * bridge's other devices, since what they send goes out there: when that changes, and where one is more than it.  A lower one that
   * somebody gave the device stays.
   */
  private async configureMtus(config: BridgeConfig): Promise<void> {
    const present = interfacesOf(config).filter((iface) => this.ofproto.ports.has(iface.name));
    const others = present.filter((iface) => iface.type !== 'internal');
    for (const iface of present) if (iface.mtuRequest !== undefined) await this.setMtu(iface.name, iface.mtuRequest);
    const mtus = others.map((iface) => this.netdevs.get(iface.name)?.mtu ?? 0).filter((mtu) => mtu > 0);
    // Those that were set for devices that are gone are what they are by default; others are whoever's set them.
    if (mtus.length === 0 && this.lowestMtu === undefined) return;
    const lowest = mtus.length === 0 ? ETH_PAYLOAD_MAX : Math.min(...mtus);
    const isNew = lowest !== this.lowestMtu;
    this.lowestMtu = mtus.length === 0 ? undefined : lowest;
    for (const { name, type, mtuRequest } of present) {
      if (type !== 'internal' || mtuRequest !== undefined) continue;
      if (isNew || (this.netdevs.get(name)?.mtu ?? 0) > lowest) await this.setMtu(name, lowest);
    }
  }

  private async setMtu(name: string, mtu: number): Promise<void> {
    const netdev = this.netdevs.get(name);
    if (netdev === undefined || netdev.mtu === mtu) return;
    try {
      await this.netdevs.setMtu(name, mtu);
    } catch (error) {
      log.warn(`${name}: could not set MTU ${mtu} (${reason(error)})`, limit);
    }
  }
}
