/**
 * The ports of a switch, their OpenFlow numbers, and the bundles that they are members of.
 * Neighbour: ofproto.ts, whose part this is.
 * Source: ofproto/ofproto-dpif.c (bundle_set, port_construct, port_destruct).
 */
import type { TunnelSettings } from '../../dpif/tunnel-settings.ts';
import { OFPP } from '../../openflow/ofp-port.ts';
import { vlog } from '../../util/vlog.ts';
import type { SwitchBacker } from '../backer/switch-backer.ts';
import type { MacTable } from '../mac-learning.ts';
import type { BundleConfig, Ofport, OfportRequest } from '../ofproto-provider.ts';
import type { XBridge } from '../xlate/xbridge.ts';
import { Bundle, ODPP_NONE } from './bundle.ts';
import { PortNumbers } from './port-numbers.ts';
import { PATCH, SwitchPort } from './switch-port.ts';

const log = vlog('ofproto_dpif');

const TYPES: ReadonlySet<string> = new Set([
  'system',
  'internal',
  'tap',
  '',
  'dummy',
  'dummy-internal',
  'dummy-pmd',
  'patch',
]);

/** The switch whose ports these are. */
export interface PortsHost extends XBridge {
  readonly name: string;
  readonly macs: MacTable<Bundle>;
  /** Ports, or bundles, are other ones now. */
  portsChanged(): void;
}

export class SwitchPorts {
  readonly byName = new Map<string, SwitchPort>();
  /** By rising number. */
  byNumber = new Map<number, SwitchPort>();
  readonly byBundle = new Map<string, Bundle>();
  private readonly numbers = new PortNumbers();
  private readonly host: PortsHost;
  private readonly backer: SwitchBacker;

  constructor(host: PortsHost, backer: SwitchBacker) {
    this.host = host;
    this.backer = backer;
  }

  /** Port `name`; a RangeError if there is none. */
  named(name: string): SwitchPort {
    const port = this.byName.get(name);
    if (port === undefined) throw new RangeError(`${name}: bridge ${this.host.name} has no such port`);
    return port;
  }

  async add(request: OfportRequest): Promise<Ofport> {
    const { name } = request;
    if (!TYPES.has(request.type) && request.tunnel === undefined) {
      throw new RangeError(`${name}: interface type "${request.type}" is not supported, want system, internal or tap`);
    }
    const type = request.type === '' ? 'system' : request.type;
    const old = this.byName.get(name);
    if (old !== undefined) {
      const isSameNumber = request.isLocal || request.ofport === undefined || request.ofport === old.ofport;
      if (isSameNumber && old.type === type) return old;
      await this.delete(name);
    }
    const odpPort = type === PATCH ? ODPP_NONE : await this.attach(request, type);
    const ofport = request.isLocal ? OFPP.LOCAL : this.numbers.take(request.ofport, request.before);
    if (ofport === undefined) {
      if (type !== PATCH) await this.backer.detach(odpPort);
      throw new RangeError(`${name}: bridge ${this.host.name} has no free OpenFlow port number`);
    }
    const port = new SwitchPort(name, type, ofport, odpPort, request.tunnel);
    try {
      if (request.tunnel !== undefined) this.backer.tunnels.put(this.host, port, request.tunnel);
    } catch (error) {
      this.numbers.release(ofport);
      await this.backer.detach(odpPort);
      throw error;
    }
    this.byName.set(name, port);
    this.byNumber.set(ofport, port);
    this.byNumber = new Map([...this.byNumber].sort(([a], [b]) => a - b));
    for (const bundle of this.byBundle.values()) if (bundle.memberNames.includes(name)) this.join(bundle, port);
    this.host.portsChanged();
    return port;
  }

  private attach({ name, tunnel }: OfportRequest, type: string): Promise<number> {
    return tunnel === undefined ? this.backer.attach(name, type) : this.backer.tunnels.devices.attach(tunnel);
  }

  async setTunnel(name: string, settings: TunnelSettings): Promise<void> {
    const port = this.byName.get(name);
    if (port?.tunnel === undefined) throw new RangeError(`${name}: bridge ${this.host.name} has no such tunnel`);
    const { tunnels } = this.backer;
    tunnels.remove(port);
    try {
      if (!tunnels.devices.fits(port.odpPort, settings)) {
        await this.backer.detach(port.odpPort);
        port.odpPort = ODPP_NONE;
        port.odpPort = await tunnels.devices.attach(settings);
      }
      if (this.byName.get(name) !== port) throw new Error(`${name} is gone`);
      tunnels.put(this.host, port, settings);
    } catch (error) {
      if (this.byName.get(name) === port) this.forget(name);
      if (port.odpPort !== ODPP_NONE) await this.backer.detach(port.odpPort);
      throw error;
    }
    port.tunnel = settings;
    this.host.portsChanged();
  }

  /** Says whether a port's device is up, and its link.  Returns whether that is news; a port that is gone has none. */
  setLive(name: string, isLive: boolean): boolean {
    const port = this.byName.get(name);
    if (port === undefined || port.isUp === isLive) return false;
    port.isUp = isLive;
    return true;
  }

  /** DSCP fields by priority of a queue.  Returns whether they are others than before. */
  setQueues(name: string, dscps: ReadonlyMap<number, number>): boolean {
    const port = this.byName.get(name);
    if (port === undefined) return false;
    const before = port.queueDscps ?? new Map<number, number>();
    if (dscps.size === before.size && [...dscps].every(([key, value]) => before.get(key) === value)) return false;
    port.queueDscps = dscps;
    return true;
  }

  /** OFPPC_* bits.  Returns whether they are others than before; RangeError if there is no such port. */
  setConfig(name: string, config: number): boolean {
    const port = this.named(name);
    if (port.config === config) return false;
    port.config = config;
    return true;
  }

  /** Returns whether the peer is another one than before; RangeError if this is no patch port. */
  setPatchPeer(name: string, peer: string | undefined): boolean {
    const port = this.byName.get(name);
    if (port?.type !== PATCH) throw new RangeError(`${name}: bridge ${this.host.name} has no such patch port`);
    if (port.peer === peer) return false;
    port.peer = peer;
    return true;
  }

  /** The port's device has another number in the datapath now. */
  renumber(name: string, odpPort: number): void {
    this.named(name).odpPort = odpPort;
    this.host.portsChanged();
  }

  async delete(name: string): Promise<void> {
    const port = this.forget(name);
    if (port !== undefined && port.type !== PATCH) await this.backer.detach(port.odpPort);
  }

  /** Takes the port away from here; that of the datapath stays. */
  forget(name: string): SwitchPort | undefined {
    const port = this.byName.get(name);
    if (port === undefined) return undefined;
    this.byName.delete(name);
    this.byNumber.delete(port.ofport);
    if (port.tunnel !== undefined) this.backer.tunnels.remove(port);
    if (port.ofport !== OFPP.LOCAL) this.numbers.release(port.ofport);
    this.leave(port);
    this.backer.portGone?.(name);
    log.dbg(`bridge ${this.host.name}: deleted interface ${name} on port ${port.ofport}`);
    this.host.portsChanged();
    return port;
  }

  bundleSet(config: BundleConfig): void {
    let bundle = this.byBundle.get(config.name);
    const isNew = bundle === undefined;
    bundle ??= new Bundle(config.name);
    this.byBundle.set(config.name, bundle);
    const members = config.members.flatMap((m) => this.byName.get(m) ?? []);
    const sameMembers = members.length === bundle.members.length && members.every((m, i) => m === bundle.members[i]);
    bundle.memberNames = [...config.members];
    if (!sameMembers) {
      for (const m of bundle.members) m.bundle = undefined;
      bundle.members = [];
      for (const m of members) this.join(bundle, m);
    }
    const isChanged = bundle.configure(config);
    // What was learned on it may be wrong in its new VLANs.
    if (isChanged && !isNew) {
      this.host.macs.flushPort(bundle);
      this.host.mcast?.flushPort(bundle);
    }
    if (isNew || isChanged || !sameMembers) this.host.portsChanged();
  }

  bundleRemove(name: string): void {
    const bundle = this.byBundle.get(name);
    if (bundle === undefined) return;
    this.byBundle.delete(name);
    for (const m of bundle.members) m.bundle = undefined;
    bundle.members = [];
    this.flushEverywhere(bundle);
    this.host.portsChanged();
  }

  /**
   * Forgets what was learned on `bundle`, which goes, here and on all bridges: who was behind it may be behind another bridge's port now, and
   * patch ports may have told of it.
   */
  private flushEverywhere(bundle: Bundle): void {
    for (const { mac, vlan } of this.host.macs.flushPort(bundle)) this.backer.forgetMac?.(mac, vlan);
    this.host.mcast?.flushPort(bundle);
  }

  private join(bundle: Bundle, port: SwitchPort): void {
    this.leave(port);
    port.bundle = bundle;
    bundle.members.push(port);
  }

  private leave(port: SwitchPort): void {
    const { bundle } = port;
    if (bundle === undefined) return;
    port.bundle = undefined;
    bundle.members = bundle.members.filter((m) => m !== port);
    // With other members left, the addresses are still there.
    if (bundle.members.length === 0) this.flushEverywhere(bundle);
  }
}
