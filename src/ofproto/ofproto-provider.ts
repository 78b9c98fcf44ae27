/**
 * What a vswitchd needs of OpenFlow switches: the interface between `vswitchd/` (which reads the database) and `ofproto/`
 * (which decides where packets go).  One implementation: ofproto-dpif.
 *
 * A backer is the one datapath ("ovs-system") that all bridges of a type share; an Ofproto is a bridge's switch.  A port of
 * an ofproto is an interface with an OpenFlow number; a bundle is a database Port: one or more interfaces that forward as
 * one, with its VLAN settings.
 * Source: ofproto/ofproto.h, ofproto/ofproto-provider.h, ofproto/ofproto-dpif.c.
 */
import type { Dpif, DpifProvider } from '../dpif/dpif.ts';
import type { DpifPortPolicing, DpifPortStats } from '../dpif/dpif-types.ts';
import type { TunnelSettings } from '../dpif/tunnel-settings.ts';
import type { Ufid } from '../odp/odp-ufid.ts';
import type { ZoneLimits } from './backer/ct-zone-limits.ts';
import type { DpSupport } from './backer/dp-support.ts';
import type { ControllerStatus, OpenflowSettings, PortDevice } from './connmgr/openflow-settings.ts';
import type { MacStats } from './mac-learning.ts';
import type { McastSettings } from './mcast/mcast-settings.ts';
import type { MirrorSettings, MirrorStats } from './mirror/mirror-settings.ts';

export interface BackerOptions {
  /** other_config: max-idle (ms), flow-limit (flows), max-revalidator (ms), min-revalidate-pps. */
  maxIdleMs: number;
  flowLimit: number;
  maxRevalidatorMs: number;
  minRevalidatePps: number;
  /**
   * other_config:flow-restore-wait: neither are packets taken from the datapath, nor flows deleted, until this is false.  It cannot be
   * true again later.
   */
  flowRestoreWait?: boolean;
}

/** What can be done to a datapath's flows from outside, for debugging.  Rejects where the datapath does not answer. */
export interface FlowControl {
  /** Deletes all flows, with their packets credited. */
  purge(): Promise<void>;
  /** Does that, and deletes those of others, too: after a change of what flows may be like. */
  flush(): Promise<void>;
  /** Revalidation stops until `resume`; resolves when it has. */
  pause(): Promise<void>;
  resume(): void;
  /** The dynamic limit of flows, until it adapts. */
  setFlowLimit(flows: number): void;
}

export interface OfprotoBacker {
  readonly dpif: Dpif;
  readonly flows: FlowControl;
  /** What the datapath can do, and what is made use of. */
  readonly probedSupport: DpSupport;
  readonly support: DpSupport;
  /** Has all flows made anew, with no more than `support`. */
  setSupport(support: DpSupport): Promise<void>;
  readonly ofprotos: ReadonlyMap<string, Ofproto>;
  setOptions(options: Partial<BackerOptions>): void;
  /** Makes a switch for bridge `name`; its LOCAL port must be added by `portAdd` with type "internal". */
  createOfproto(name: string): Ofproto;
  /** Names and numbers of datapath ports that no ofproto owns: left over from an earlier run. */
  strayPorts(): Promise<{ name: string; portNo: number }[]>;
  /** Called when somebody has put a port into the datapath that no bridge has. */
  onStrayPorts?: (() => void) | undefined;
  /** Called when a bridge has lost a port, for whatever reason. */
  onPortGone?: ((name: string) => void) | undefined;
  /**
   * Resolves when a whole round of revalidation that began after this call is done (revalidator/wait): not before flows that an earlier
   * vswitchd left are checked at all.
   */
  revalidated(): Promise<void>;
  /**
   * The first configuration is in place: flows of an earlier run are checked against it from now on.  Without this call it
   * is taken to be so when no port or bundle has changed for half a second.
   */
  configured(): void;
  /** Calls `handler` when the device of a port is gone from the datapath, until the returned function is called. */
  onPortVanished(handler: PortVanishedHandler): () => void;
  /** Makes the zones of the connection tracker that have timeouts of their own those of `zones`: seconds by name. */
  setCtZones(zones: ReadonlyMap<number, ReadonlyMap<string, number>>): Promise<void>;
  /** Makes the limits of its zones, as far as they were set by this method, those of `limits`. */
  setCtLimits(limits: ZoneLimits): Promise<void>;
  /** Text of `dpif/show`, `upcall/show`. */
  showDpif(): Promise<string>;
  showUpcall(): string;
  /** Numbers for `memory/show`, by what they count. */
  memory(): Record<string, number>;
  /** Text of `ofproto/list-tunnels`. */
  listTunnels(): string;
  /** Text of `ofproto/trace`, or of `ofproto/trace-packet-out`.  Rejects with a TraceError. */
  trace(args: readonly string[], isPacketOut: boolean): Promise<string>;
  /** Text of `ofproto/detrace`: rules and groups that the datapath flow of this UFID came from. */
  detrace(ufid: Ufid): string;
  /** Stops handlers and revalidators; the datapath stays, with its flows, unless `deleteDatapath`. */
  close(deleteDatapath: boolean): Promise<void>;
}

/** Takes the names of a switch and of a port that it no longer has; `portAdd` brings it back when the device is. */
export type PortVanishedHandler = (ofproto: string, port: string) => void;

/** Opens (creates if need be) datapath `name` and starts handling its upcalls. */
export type OpenBacker = (provider: DpifProvider, name: string, options: BackerOptions) => Promise<OfprotoBacker>;

/** An interface as the database has it. */
/** A device's index in a network namespace, and the number that that one has in ours. */
export interface DevicePlace {
  readonly ifindex: number;
  readonly netnsid: number;
}

export interface OfportRequest {
  readonly name: string;
  /** "system", "internal", "tap", "patch", and types of tunnels; others throw a RangeError that says so. */
  readonly type: string;
  /** Interface.ofport_request; undefined lets the ofproto choose: `before`, or the next one that is free. */
  readonly ofport: number | undefined;
  /** Interface.ofport: the number that it had with the vswitchd before, or until now. */
  readonly before?: number | undefined;
  /** The bridge's own port: number OFPP_LOCAL (65534). */
  readonly isLocal: boolean;
  /** Of a tunnel, whose `type` it is. */
  readonly tunnel?: TunnelSettings;
}

export interface Ofport {
  readonly name: string;
  readonly type: string;
  /** OpenFlow number. */
  readonly ofport: number;
  /** Datapath number; ODPP_NONE for patch ports. */
  readonly odpPort: number;
  /** Interface.options:peer of a patch port. */
  readonly peer?: string | undefined;
  /** Of a tunnel port; it shares `odpPort` with others. */
  readonly tunnel?: TunnelSettings | undefined;
}

/** Port.vlan_mode. */
export type VlanMode = 'access' | 'trunk' | 'native-tagged' | 'native-untagged' | 'dot1q-tunnel';

/** Port.other_config:priority-tags. */
export type PriorityTags = 'never' | 'if-nonzero' | 'always';

export interface BundleConfig {
  /** Port.name. */
  readonly name: string;
  /** Names of its interfaces, each of which was added by `portAdd`. */
  readonly members: readonly string[];
  readonly vlanMode: VlanMode;
  /** Port.tag; undefined or 0 is untagged. */
  readonly tag: number | undefined;
  /** Port.trunks; empty is all. */
  readonly trunks: readonly number[];
  /** Port.protected. */
  readonly isProtected: boolean;
  /** Port.cvlans, the customers' VLANs that a dot1q-tunnel port carries; empty or left out is all. */
  readonly cvlans?: readonly number[];
  /** TPID of the tag that a dot1q-tunnel port adds; 802.1ad's if left out. */
  readonly qinqEthtype?: number;
  /** Whether packets that go out untagged get a tag of VLAN 0 for their priority; 'never' if left out. */
  readonly priorityTags?: PriorityTags;
}

export interface FdbEntry {
  readonly ofport: number;
  readonly vlan: number;
  readonly mac: string;
  /** Seconds since it was last seen; -1: static. */
  readonly ageSec: number;
}

/** A switch's table of MAC addresses. */
export interface Fdb {
  /** other_config mac-aging-time (s) and mac-table-size (entries); 0: the default. */
  configure(agingSec: number, maxEntries: number): void;
  /** other_config flood_vlans. */
  setFloodVlans(vlans: readonly number[]): void;
  entries(): FdbEntry[];
  /** What the table has been through. */
  stats(): MacStats;
  clearStats(): void;
  /** Removes all entries but static ones. */
  flush(): void;
  /** Adds a static entry of port `name`, for a MAC address as a number; false if it cannot have one. */
  add(name: string, vlan: number, mac: number): boolean;
  /** Removes a static entry; false if there is none. */
  delete(vlan: number, mac: number): boolean;
}

/** A group that a port has members of, or a router that it leads to. */
export interface MdbEntry {
  readonly ofport: number;
  readonly vlan: number;
  /** The group's address; undefined: a router. */
  readonly group: string | undefined;
  readonly ageSec: number;
}

/** A switch's table of multicast groups and routers. */
export interface Mdb {
  /** undefined if multicast is not snooped. */
  entries(): MdbEntry[] | undefined;
  /** False if multicast is not snooped. */
  flush(): boolean;
}

export interface Ofproto {
  readonly name: string;
  readonly ports: ReadonlyMap<string, Ofport>;
  /** Adds the interface to the switch, and to the datapath where it is not yet there.  Rejects with a NetlinkError. */
  portAdd(request: OfportRequest): Promise<Ofport>;
  /** Removes it from both; nothing happens if there is none of that name. */
  portDel(name: string): Promise<void>;
  /** Sets Interface.options:peer of a port of type "patch"; a RangeError for others. */
  setPatchPeer(name: string, peer: string | undefined): void;
  /** Why nothing goes through a port of type "patch", as the column "error" says it; undefined: it has a peer. */
  patchError(name: string): string | undefined;
  /** Changes the settings of a tunnel port.  Rejects, and the port is gone, if that cannot be done; EEXIST: another port has the same. */
  setTunnel(name: string, settings: TunnelSettings): Promise<void>;
  portStats(name: string): Promise<DpifPortStats>;
  /** Has the datapath limit what a port receives; resolves to whether it does.  Rejects with a NetlinkError. */
  portPolice(name: string, policing: DpifPortPolicing): Promise<boolean>;
  /** Makes or changes bundle `config.name`; flows that depended on it are revalidated. */
  bundleSet(config: BundleConfig): void;
  bundleRemove(name: string): void;
  /** other_config forward-bpdu: whether NORMAL forwards frames to reserved addresses. */
  setForwardBpdu(isForwarded: boolean): void;
  /** undefined: multicast packets are flooded. */
  setMcastSnooping(settings: McastSettings | undefined): void;
  /** Bridge.mirrors: those that there are to be.  They keep their counters. */
  setMirrors(mirrors: readonly MirrorSettings[]): void;
  /** What the mirror of that `id` has sent; undefined if there is none. */
  mirrorStats(id: string): MirrorStats | undefined;
  /** Bridge.other_config hwaddr in effect: the MAC address of the LOCAL port; frames to it are not special. */
  setHwaddr(mac: string): void;
  /** OpenFlow connections, and what forwards without a controller. */
  setOpenflow(settings: OpenflowSettings): void;
  /** By target; of the controllers of the settings. */
  controllerStatus(): ReadonlyMap<string, ControllerStatus>;
  /** Called when `controllerStatus` has changed. */
  onControllerStatus: (() => void) | undefined;
  /** Has all controllers connect anew. */
  reconnect(): void;
  /** Where the device of port `name` is, if that is another network namespace.  A switch without such devices may lack it. */
  devicePlace?(name: string): Promise<DevicePlace | undefined>;
  /** How the device of port `name` is set up, for `dpif/show`.  A switch may have nothing to say. */
  deviceSettings?(name: string): ReadonlyMap<string, string>;
  /** What OpenFlow tells of a port's device. */
  setPortDevice(name: string, device: PortDevice): void;
  /** Queues of a port whose packets have a DSCP field (0 to 63) of their own. */
  setPortQueues(name: string, dscps: ReadonlyMap<number, number>): void;
  readonly fdb: Fdb;
  readonly mdb: Mdb;
  /** Text of `bridge/dump-flows`. */
  dumpFlows(hasOffloads: boolean): string;
  /** Removes the switch, its ports from the datapath too. */
  destroy(): Promise<void>;
}
