/**
 * The side of a switch that OpenFlow controls: what handlers ask of it (`OfSwitch`), made of its tables and ports, and of what the
 * administrator says that they are like.
 */
import type { Dpif } from '../../dpif/dpif.ts';
import type { DpifPortStats } from '../../dpif/dpif-types.ts';
import { TlvTable } from '../../openflow/fields/tlv-table.ts';
import type { Resume } from '../../openflow/messages/flow/flow-types.ts';
import { isSameIn, speedOf } from '../../openflow/messages/port/phy-port.ts';
import type { DescStats, PhyPort } from '../../openflow/messages/switch/switch-types.ts';
import { OFPPC } from '../../openflow/ofp-port.ts';
import type { GroupTable } from '../groups/group-table.ts';
import type { MeterTable } from '../meters/meter-table.ts';
import type { PacketToSend, PreparedPacket } from '../packet-execute.ts';
import type { FlowTables } from '../tables/flow-tables.ts';
import { configureTables } from './configure-tables.ts';
import { ConnMgr } from './connmgr.ts';
import type { OfSwitch, SwitchIdentity } from './of-switch.ts';
import type { LinkFeatures, OpenflowSettings, PortDevice, TableSettings } from './openflow-settings.ts';
import { PortControl } from './port-control.ts';

/** OFPPS_*: the state of a port.  LIVE is of 1.1 and later. */
export const OFPPS = { LINK_DOWN: 1 << 0, BLOCKED: 1 << 1, LIVE: 1 << 2 } as const;
/** OFPPR_*: what became of a port. */
export const OFPPR = { ADD: 0, DELETE: 1, MODIFY: 2 } as const;

export interface ControlledPort {
  readonly name: string;
  readonly ofport: number;
  /** OFPPC.* */
  readonly config: number;
  /** When it became a port. */
  readonly createdMs?: number;
}

/** What is controlled. */
export interface Controlled {
  readonly name: string;
  readonly tables: FlowTables;
  readonly groups: GroupTable;
  readonly meters: MeterTable;
  /** By rising number. */
  readonly xports: Iterable<ControlledPort>;
  xport(ofport: number): ControlledPort | undefined;
  setFrag?(frag: number): void;
  portStats?(name: string): Promise<DpifPortStats>;
  setPortConfig?(name: string, config: number): void;
  setPortLive?(name: string, isLive: boolean): void;
  readonly dpif?: Dpif | undefined;
  preparePacket(packet: PacketToSend): PreparedPacket;
  prepareResumption(resume: Resume): PreparedPacket;
}

const NO_FEATURES: LinkFeatures = { curr: 0, advertised: 0, supported: 0 };
const NO_DEVICE: PortDevice = { hwAddr: new Uint8Array(6), isUp: false, hasCarrier: false };
const DEFAULT_DESC: DescStats = {
  mfrDesc: 'Nicira, Inc.',
  hwDesc: 'Open vSwitch',
  swDesc: '3.1.0',
  serialNum: 'None',
  dpDesc: 'None',
};

function describe(port: ControlledPort, device: PortDevice): PhyPort {
  const { features = NO_FEATURES } = device;
  const live = device.isUp ? OFPPS.LIVE : 0;
  return {
    portNo: port.ofport,
    hwAddr: device.hwAddr,
    name: port.name,
    config: (port.config & ~OFPPC.PORT_DOWN) | (device.isUp ? 0 : OFPPC.PORT_DOWN),
    state: device.hasCarrier ? live : OFPPS.LINK_DOWN,
    ...features,
    peer: 0,
    currSpeed: speedOf(features.curr),
    maxSpeed: speedOf(features.supported),
  };
}

const isSame = (a: PhyPort, b: PhyPort): boolean =>
  a.config === b.config &&
  a.state === b.state &&
  a.name === b.name &&
  a.hwAddr.every((byte, i) => byte === b.hwAddr[i]);

/** Whether two devices' links are no different; what is not known yet is no difference. */
const isSameLink = ({ features: a }: PortDevice, { features: b }: PortDevice): boolean =>
  a === undefined ||
  b === undefined ||
  (a.curr === b.curr && a.advertised === b.advertised && a.supported === b.supported);

/** What connections know of a port, and what it was made of: as long as that is the same, nothing has changed. */
interface ToldPort {
  readonly desc: PhyPort;
  readonly device: PortDevice;
  readonly config: number;
}

export class Control implements OfSwitch {
  readonly conns: ConnMgr;
  readonly identity: SwitchIdentity = { datapathId: 0n, desc: DEFAULT_DESC };
  private readonly target: Controlled;
  private readonly devices = new Map<string, PortDevice>();
  readonly ports: PortControl;
  tlvTable = new TlvTable();
  /** The ports that connections have been told of, by number. */
  private told = new Map<number, ToldPort>();
  private frag = 0;
  private tableSettings: readonly TableSettings[] = [];

  constructor(target: Controlled) {
    this.target = target;
    this.conns = new ConnMgr(this);
    this.ports = new PortControl(target, this.devices, () => this.portsChanged());
  }

  get name(): string {
    return this.target.name;
  }
  get tables(): FlowTables {
    return this.target.tables;
  }
  get groups(): GroupTable {
    return this.target.groups;
  }
  get meters(): MeterTable {
    return this.target.meters;
  }
  get dpif(): Dpif | undefined {
    return this.target.dpif;
  }
  get fragHandling(): number {
    return this.frag;
  }
  set fragHandling(frag: number) {
    this.frag = frag;
    this.target.setFrag?.(frag);
  }

  configure(settings: OpenflowSettings): void {
    this.identity.datapathId = BigInt(`0x${settings.datapathId || '0'}`);
    const { dpDesc, serialNum } = settings.desc;
    this.identity.desc = {
      ...DEFAULT_DESC,
      ...(dpDesc === undefined ? {} : { dpDesc }),
      ...(serialNum === undefined ? {} : { serialNum }),
    };
    configureTables(this.tables, settings.tables ?? [], this.tableSettings);
    this.tableSettings = settings.tables ?? [];
    this.conns.configure(settings);
  }

  phyPorts(): PhyPort[] {
    return Array.from(this.target.xports, (port) => describe(port, this.devices.get(port.name) ?? NO_DEVICE));
  }
  phyPort(ofport: number): PhyPort | undefined {
    const port = this.target.xport(ofport);
    return port === undefined ? undefined : describe(port, this.devices.get(port.name) ?? NO_DEVICE);
  }

  deviceSettings(name: string): ReadonlyMap<string, string> {
    return this.devices.get(name)?.control?.settings ?? new Map();
  }

  /** Says what the device of a port is like. */
  setPortDevice(name: string, device: PortDevice): void {
    this.devices.set(name, device);
    for (const port of this.target.xports) {
      if (port.name !== name) continue;
      const old = this.told.get(port.ofport);
      const now = this.look(port, device);
      this.told.set(port.ofport, now);
      if (old !== undefined && old.desc.name !== name) this.tell(OFPPR.DELETE, old.desc);
      this.tellChange(old, now);
      return;
    }
  }

  /** Tells connections of ports that came, went or changed.  A port of which nothing is known yet is told of when it is. */
  portsChanged(): void {
    const now = new Map<number, ToldPort>();
    let nPorts = 0;
    for (const port of this.target.xports) {
      nPorts++;
      const device = this.devices.get(port.name);
      if (device !== undefined) now.set(port.ofport, this.look(port, device));
    }
    const before = this.told;
    this.told = now;
    for (const [ofport, { desc }] of before) {
      if (now.get(ofport)?.desc.name !== desc.name) this.tell(OFPPR.DELETE, desc);
    }
    for (const [ofport, port] of now) this.tellChange(before.get(ofport), port);
    if (this.devices.size <= now.size && now.size <= nPorts) return;
    const names = new Set(Array.from(this.target.xports, (port) => port.name));
    for (const name of this.devices.keys()) if (!names.has(name)) this.devices.delete(name);
  }

  private look(port: ControlledPort, device: PortDevice): ToldPort {
    const { config, name } = port;
    const old = this.told.get(port.ofport);
    if (old !== undefined && old.device === device && old.config === config && old.desc.name === name) return old;
    return { desc: describe(port, device), device, config };
  }

  private tellChange(old: ToldPort | undefined, now: ToldPort): void {
    const { desc } = now;
    if (old === now) return;
    if (old === undefined || old.desc.name !== desc.name) {
      // That it can be used is news of its own.
      const fresh = { ...desc, state: desc.state & ~OFPPS.LIVE };
      this.tell(OFPPR.ADD, fresh);
      if (fresh.state !== desc.state) this.tell(OFPPR.MODIFY, desc, fresh);
    } else if (!isSame(old.desc, desc) || !isSameLink(old.device, now.device)) {
      this.tell(OFPPR.MODIFY, desc, old.desc);
    }
  }

  private tell(reason: number, desc: PhyPort, old?: PhyPort): void {
    const acting = this.conns.acting?.conn;
    this.conns.broadcast('portStatus', reason, 'port_status', { reason, desc }, (conn) => {
      // Before 1.5 who changed a port is not told what it knows.
      if (conn === acting && conn.version < 6) return true;
      return old !== undefined && isSameIn(conn.version, old, desc);
    });
  }

  preparePacket(packet: PacketToSend): PreparedPacket {
    return this.target.preparePacket(packet);
  }
  prepareResumption(resume: Resume): PreparedPacket {
    return this.target.prepareResumption(resume);
  }
}
