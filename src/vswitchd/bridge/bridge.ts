/**
 * One bridge: makes its switch (ofproto) what the database wants it to be, and tells the database what came of it.
 *
 * vswitchd.ts calls, in this order and each for all bridges before the next: `deletePorts` (so that names and numbers are
 * free), `addPorts`, `configure`, and then, in one transaction, `write`.  Each compares what is wanted with what is, so a call
 * that changes nothing costs nothing.  The parts: bridge-ports.ts, bridge-devices.ts, bridge-bundles.ts, bridge-status.ts.
 * Source: vswitchd/bridge.c, vswitchd/vswitch.xml.
 */

import { native } from '../../native/index.ts';
import type { Ofproto } from '../../ofproto/ofproto-provider.ts';
import type { Txn } from '../../ovsdb/idl.ts';
import type { TlsFiles } from '../../util/tls-files.ts';
import type { BridgeConfig, PortConfig } from '../config/switch-config.ts';
import { isTargetPermitted } from '../config/unix-targets.ts';
import type { NetdevTable } from '../devices/netdev.ts';
import { RemoteDevices } from '../devices/remote-devices.ts';
import { BridgeQos } from '../qos/bridge-qos.ts';
import { BridgeStatus, type Counted } from '../status/bridge-status.ts';
import { BridgeBundles } from './bridge-bundles.ts';
import { BridgeDevices } from './bridge-devices.ts';
import { BridgePorts, interfacesOf } from './bridge-ports.ts';

const setDscp = (fd: number, dscp: number): void => native().setDscp(fd, dscp);

export class Bridge {
  readonly name: string;
  readonly ofproto: Ofproto;
  private readonly runDir: string | undefined;
  private readonly tls: TlsFiles | undefined;
  private readonly findNextHop: NetdevTable['findNextHop'];
  private readonly ports: BridgePorts;
  private readonly remote: RemoteDevices;
  private readonly devices: BridgeDevices;
  private readonly bundles: BridgeBundles;
  private readonly status: BridgeStatus;
  private readonly qos: BridgeQos;
  /** What each setting was last set to, so that only changes reach the ofproto. */
  private readonly applied = new Map<string, string>();

  /** `runDir` is where the bridge's OpenFlow sockets are; undefined: it has none.  `tls` are the files where the database names none. */
  constructor(ofproto: Ofproto, netdevs: NetdevTable, runDir: string | undefined, tls?: TlsFiles) {
    this.runDir = runDir;
    this.tls = tls;
    this.findNextHop = netdevs.findNextHop?.bind(netdevs);
    this.name = ofproto.name;
    this.ofproto = ofproto;
    this.ports = new BridgePorts(ofproto, netdevs);
    this.remote = new RemoteDevices(ofproto, netdevs);
    this.devices = new BridgeDevices(ofproto, netdevs, this.remote);
    this.bundles = new BridgeBundles(ofproto);
    this.status = new BridgeStatus(ofproto, netdevs, this.ports, this.remote);
    this.qos = new BridgeQos(ofproto, netdevs);
  }

  /** Removes ports that are not wanted, or not as they are.  Rejects only if the datapath is gone. */
  async deletePorts(config: BridgeConfig): Promise<void> {
    const doomed = this.ports.doomed(config);
    // Ports go before their bundles: packets come meanwhile, and a port that is in no bundle would be a fault.
    await this.ports.remove(doomed);
    this.bundles.remove(config, doomed);
    await this.ports.tunnels.reconfigure(interfacesOf(config));
  }

  /** Removes all ports, and the switch.  Rejects if the datapath refuses, or is gone. */
  async destroy(): Promise<void> {
    const ports = [...this.ofproto.ports.values()];
    try {
      await this.ofproto.destroy();
    } finally {
      this.ports.release(ports);
    }
  }

  /** Adds the ports that are missing, with their VLANs.  Rejects only if the datapath is gone. */
  async addPorts(config: BridgeConfig): Promise<void> {
    let portOf: Map<string, PortConfig> | undefined;
    // At once: packets come from now on, and a port that is in no bundle would be a fault.
    await this.ports.add(config, (name) => {
      portOf ??= new Map(config.ports.flatMap((port) => port.interfaces.map((iface) => [iface.name, port])));
      const port = portOf.get(name);
      if (port !== undefined) this.bundles.configureOne(port);
    });
    this.bundles.configure(config);
  }

  /** Sets addresses, MTUs and tables. */
  async configure(config: BridgeConfig): Promise<void> {
    await this.devices.configure(config);
    await this.qos.configure(config);
    this.ifChanged('mac table', [config.macAgingSec, config.macTableSize], () =>
      this.ofproto.fdb.configure(config.macAgingSec, config.macTableSize),
    );
    this.ifChanged('bpdu', config.forwardBpdu, () => this.ofproto.setForwardBpdu(config.forwardBpdu));
    this.ifChanged('flood vlans', config.floodVlans, () => this.ofproto.fdb.setFloodVlans(config.floodVlans));
    this.ifChanged('multicast', config.mcast ?? null, () => this.ofproto.setMcastSnooping(config.mcast));
    this.ifChanged('mirrors', config.mirrors, () => this.ofproto.setMirrors(config.mirrors));
    await this.remote.refresh(config);
    this.devices.describe(config);
    this.ports.tunnels.describe(interfacesOf(config));
    await this.ports.tunnels.findEgress(interfacesOf(config));
    this.configureOpenflow(config);
  }

  /** Writes what the bridge, its interfaces and its controllers are. */
  write(txn: Txn, config: BridgeConfig, version: string): void {
    this.status.write(txn, config, this.devices.datapathId, version);
  }

  /** Writes how the controllers are doing. */
  writeControllers(txn: Txn, config: BridgeConfig): void {
    this.status.writeControllers(txn, config);
  }

  /** Asks what the ports have counted; gives the function that writes it.  Ports that went away meanwhile are left out. */
  async readStatistics(config: BridgeConfig, counted: Counted): Promise<(txn: Txn) => void> {
    const hasChanged = await this.remote.refresh(config);
    if (hasChanged) this.devices.describe(config);
    const write = await this.status.readStatistics(config, counted);
    return (txn) => {
      if (hasChanged) this.status.writeInterfaces(txn, config);
      write(txn);
    };
  }

  /** How many ports have been added of which nobody has been told what they counted. */
  get nNewPorts(): number {
    return this.ports.nAdded;
  }

  /** As `readStatistics`, for these ports only. */
  readFirstStatistics(config: BridgeConfig, counted: Counted): Promise<(txn: Txn) => void> {
    return this.status.readFirstStatistics(config, counted);
  }

  private configureOpenflow(config: BridgeConfig): void {
    const { rows: _, ...openflow } = config.openflow;
    const { runDir, findNextHop } = this;
    const { datapathId } = this.devices;
    this.ifChanged('openflow', [openflow, datapathId], () => {
      const controllers = openflow.controllers.filter((c) => isTargetPermitted(c.target, this.name, runDir ?? '/'));
      const tls = openflow.tls ?? this.tls;
      this.ofproto.setOpenflow({ ...openflow, tls, controllers, datapathId, runDir, findNextHop, setDscp });
    });
  }

  private ifChanged(what: string, value: unknown, apply: () => void): void {
    const text = JSON.stringify(value);
    if (this.applied.get(what) === text) return;
    apply();
    this.applied.set(what, text);
  }
}
