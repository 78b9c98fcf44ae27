/**
 * What the database wants: the rows that `Open_vSwitch` leads to, as plain objects, with defaults filled in and nonsense
 * left out.  bridge.ts and vswitchd.ts make it so.  Pure: nothing here waits or changes anything.
 * Source: vswitchd/vswitch.xml, vswitchd/bridge.c.
 */

import { DEFAULT_VLAN_LIMIT } from '../odp/vlan-limit.ts';
import type { MirrorSettings } from '../ofproto/mirror/mirror-settings.ts';
import type { BackerOptions, BundleConfig, PriorityTags, VlanMode } from '../ofproto/ofproto-provider.ts';
import type { Uuid } from '../ovsdb/ovsdb-types.ts';
import {
  Bridge,
  type BridgeRow,
  Interface,
  Mirror,
  Open_vSwitch,
  Port,
  type PortRow,
} from '../ovsdb/vswitch-schema.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { readMirrors } from './mirror-config.ts';
import { type OpenflowConfig, readOpenflow } from './openflow-config.ts';
import { type PolicingConfig, type QosConfig, readPolicing, readQos } from './qos/qos-config.ts';
import { type RowSource, smapInt } from './row-source.ts';

const log = vlog('bridge');
const nameLimit = new RateLimit(1, 5);

/** OpenFlow port numbers end below this (OFPP_MAX). */
const OFPP_MAX = 0xff00;
const DEFAULT_STATS_INTERVAL_MS = 5000;

export interface InterfaceConfig {
  /** Undefined: not in the database, but needed (a bridge's own port). */
  readonly uuid: Uuid | undefined;
  readonly name: string;
  /** "system", "internal" or whatever else the row says. */
  readonly type: string;
  /** The bridge's own port. */
  readonly isLocal: boolean;
  /** ofport_request, if it is a number that a port can have. */
  readonly ofportRequest: number | undefined;
  /** The number that the database says it has, from an earlier run perhaps. */
  readonly ofportHint: number | undefined;
  readonly mac: string | undefined;
  readonly mtuRequest: number | undefined;
  readonly options: ReadonlyMap<string, string>;
  /** Undefined: it may receive as much as it can. */
  readonly policing?: PolicingConfig;
}

/** Port.cvlans, and other_config:qinq-ethtype and priority-tags. */
export type Tagging = Pick<BundleConfig, 'cvlans' | 'qinqEthtype' | 'priorityTags'>;

export interface PortConfig {
  readonly uuid: Uuid | undefined;
  readonly name: string;
  readonly mac: string | undefined;
  readonly interfaces: readonly InterfaceConfig[];
  readonly vlanMode: VlanMode;
  readonly tag: number | undefined;
  readonly trunks: readonly number[];
  readonly isProtected: boolean;
  /** What else there is to tags; undefined where all is as usual. */
  readonly tagging?: Tagging;
  /** Undefined: that of the devices themselves. */
  readonly qos?: QosConfig | undefined;
  /** Whether a mirror sends to it; such a port does not lend the bridge its MAC address. */
  readonly isMirrorOutput: boolean;
}

export interface BridgeConfig {
  readonly uuid: Uuid;
  readonly name: string;
  /** "system", or something that is not supported. */
  readonly datapathType: string;
  readonly ports: readonly PortConfig[];
  /** other_config:hwaddr and datapath-id, as they are written. */
  readonly hwaddr: string | undefined;
  readonly datapathId: string | undefined;
  readonly macAgingSec: number;
  readonly macTableSize: number;
  readonly floodVlans: readonly number[];
  readonly mirrors: readonly MirrorSettings[];
  readonly openflow: OpenflowConfig;
}

export interface SwitchConfig {
  /** The Open_vSwitch row; undefined if there is none. */
  readonly root: Uuid | undefined;
  readonly nextCfg: number;
  readonly backer: BackerOptions;
  readonly statsIntervalMs: number;
  /** other_config:vlan-limit; 0: as many as a flow can hold. */
  readonly vlanLimit: number;
  readonly bridges: readonly BridgeConfig[];
}

/** Reads the whole configuration. */
export function readConfig(db: RowSource): SwitchConfig {
  const [root] = db.rows(Open_vSwitch);
  const config = root?.other_config ?? new Map<string, string>();
  const bridges = new Map<string, BridgeConfig>();
  for (const uuid of root?.bridges ?? []) {
    const row = db.row(Bridge, uuid);
    if (row === undefined) continue;
    // A slash would let the name leave its directory, in names of sockets and the like.
    if (row.name.includes('/')) log.warn(`ignoring bridge with invalid name "${row.name}"`, nameLimit);
    else if (bridges.has(row.name)) log.warn(`bridge ${row.name} specified twice`, nameLimit);
    else bridges.set(row.name, readBridge(db, row));
  }
  return {
    root: root?._uuid,
    nextCfg: root?.next_cfg ?? 0,
    backer: {
      maxIdleMs: smapInt(config, 'max-idle', 10_000),
      flowLimit: smapInt(config, 'flow-limit', 200_000),
      maxRevalidatorMs: smapInt(config, 'max-revalidator', 500),
      minRevalidatePps: smapInt(config, 'min-revalidate-pps', 5),
    },
    vlanLimit: smapInt(config, 'vlan-limit', DEFAULT_VLAN_LIMIT),
    statsIntervalMs: Math.max(
      DEFAULT_STATS_INTERVAL_MS,
      smapInt(config, 'stats-update-interval', DEFAULT_STATS_INTERVAL_MS),
    ),
    bridges: [...bridges.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

function readBridge(db: RowSource, row: BridgeRow): BridgeConfig {
  const outputs = new Set(row.mirrors.map((uuid) => db.row(Mirror, uuid)?.output_port));
  const ports = new Map<string, PortConfig>();
  const taken = new Set<string>();
  for (const uuid of row.ports) {
    const port = db.row(Port, uuid);
    if (port === undefined) continue;
    if (ports.has(port.name)) log.warn(`bridge ${row.name}: ${port.name} specified twice as bridge port`);
    else ports.set(port.name, readPort(db, row, port, outputs.has(uuid), taken));
  }
  if (!taken.has(row.name)) {
    log.warn(`bridge ${row.name}: no port named ${row.name}, synthesizing one`, nameLimit);
    ports.set(row.name, syntheticLocalPort(row.name));
  }
  const config = row.other_config;
  if (config.has('forward-bpdu')) log.dbg(`bridge ${row.name}: other_config:forward-bpdu has no effect yet`);
  return {
    uuid: row._uuid,
    name: row.name,
    datapathType: row.datapath_type || 'system',
    ports: [...ports.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    hwaddr: config.get('hwaddr'),
    datapathId: config.get('datapath-id'),
    macAgingSec: smapInt(config, 'mac-aging-time', 300) || 300,
    macTableSize: smapInt(config, 'mac-table-size', 8192) || 8192,
    floodVlans: row.flood_vlans,
    mirrors: readMirrors(db, row, new Set(ports.keys())),
    openflow: readOpenflow(db, row),
  };
}

function readPort(
  db: RowSource,
  bridge: BridgeRow,
  row: PortRow,
  isMirrorOutput: boolean,
  taken: Set<string>,
): PortConfig {
  const interfaces: InterfaceConfig[] = [];
  for (const uuid of row.interfaces) {
    const iface = db.row(Interface, uuid);
    if (iface === undefined) continue;
    if (taken.has(iface.name)) {
      log.warn(`bridge ${bridge.name}: interface ${iface.name} specified twice`, nameLimit);
      continue;
    }
    taken.add(iface.name);
    const isLocal = iface.name === bridge.name;
    interfaces.push({
      uuid,
      name: iface.name,
      type: isLocal ? 'internal' : iface.type || 'system',
      isLocal,
      ofportRequest: portNumber(iface.ofport_request),
      ofportHint: portNumber(iface.ofport),
      mac: iface.mac,
      mtuRequest: iface.mtu_request,
      options: iface.options,
      policing: readPolicing(iface),
    });
  }
  return {
    uuid: row._uuid,
    name: row.name,
    mac: row.mac,
    interfaces: interfaces.sort((a, b) => (a.name < b.name ? -1 : 1)),
    isMirrorOutput,
    isProtected: row.protected,
    qos: readQos(db, row.qos),
    ...vlanConfig(row),
    ...taggingOf(row),
  };
}

const PRIORITY_TAGS: Readonly<Record<string, PriorityTags>> = {
  'if-nonzero': 'if-nonzero',
  true: 'if-nonzero',
  always: 'always',
};
const TPID_8021Q = 0x8100;

function taggingOf({ cvlans, other_config: config }: PortRow): Pick<PortConfig, 'tagging'> {
  const priorityTags = PRIORITY_TAGS[config.get('priority-tags') ?? ''];
  const tagging: Tagging = {
    ...(cvlans.length > 0 && { cvlans }),
    ...(config.get('qinq-ethtype') === '802.1q' && { qinqEthtype: TPID_8021Q }),
    ...(priorityTags !== undefined && { priorityTags }),
  };
  return Object.keys(tagging).length === 0 ? {} : { tagging };
}

const portNumber = (n: number | undefined): number | undefined =>
  n !== undefined && n >= 1 && n < OFPP_MAX ? n : undefined;

function vlanConfig(row: PortRow): Pick<PortConfig, 'vlanMode' | 'tag' | 'trunks'> {
  const tag = row.tag !== undefined && row.tag >= 0 && row.tag <= 4095 ? row.tag : undefined;
  const { trunks } = row;
  switch (row.vlan_mode) {
    case 'access':
    case 'trunk':
    case 'native-tagged':
    case 'native-untagged':
    case 'dot1q-tunnel':
      return { vlanMode: row.vlan_mode, tag, trunks };
    case undefined:
      break;
    default:
      log.warn(`port ${row.name}: unknown VLAN mode ${row.vlan_mode}, falling back to trunk mode`, nameLimit);
      return { vlanMode: 'trunk', tag, trunks };
  }
  if (tag === undefined) return { vlanMode: 'trunk', tag, trunks };
  if (trunks.length > 0 || row.cvlans.length > 0) {
    log.warn(`port ${row.name}: ignoring trunks in favor of implicit vlan`, nameLimit);
  }
  return { vlanMode: 'access', tag, trunks: [] };
}

function syntheticLocalPort(name: string): PortConfig {
  const iface: InterfaceConfig = {
    uuid: undefined,
    name,
    type: 'internal',
    isLocal: true,
    ofportRequest: undefined,
    ofportHint: undefined,
    mac: undefined,
    mtuRequest: undefined,
    options: new Map(),
  };
  return {
    uuid: undefined,
    name,
    mac: undefined,
    interfaces: [iface],
    vlanMode: 'trunk',
    tag: undefined,
    trunks: [],
    isProtected: false,
    isMirrorOutput: false,
  };
}
