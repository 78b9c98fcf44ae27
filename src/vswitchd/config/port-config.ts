/**
 * What the database wants of a port and its interfaces: the Port row and its Interface rows.  Neighbour: switch-config.ts.
 * Source: vswitchd/vswitch.xml (Port, Interface), vswitchd/bridge.c.
 */
import type { BundleConfig, PriorityTags, VlanMode } from '../../ofproto/ofproto-provider.ts';
import type { Uuid } from '../../ovsdb/ovsdb-types.ts';
import { Interface, type PortRow } from '../../ovsdb/vswitch-schema.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { type PolicingConfig, type QosConfig, readPolicing, readQos } from '../qos/qos-config.ts';
import type { RowSource } from './row-source.ts';

const log = vlog('bridge');
const nameLimit = new RateLimit(1, 5);

/** OpenFlow port numbers end below this (OFPP_MAX). */
const OFPP_MAX = 0xff00;

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
  /** Why it may not be a port, whatever its device. */
  readonly refusal?: string;
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

/** Reads a port of bridge `bridge`. */
export function readPort(db: RowSource, bridge: string, row: PortRow, isMirrorOutput: boolean): PortConfig {
  const interfaces: InterfaceConfig[] = [];
  for (const uuid of row.interfaces) {
    const iface = db.row(Interface, uuid);
    if (iface === undefined) continue;
    const isLocal = iface.name === bridge;
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
    interfaces: withoutBond(row.name, interfaces),
    isMirrorOutput,
    isProtected: row.protected,
    qos: readQos(db, row.qos),
    ...vlanConfig(row),
    ...taggingOf(row),
  };
}

/**
 * In the order of their names, and all but the first refused: several links that forward as one need a bond, or what is sent on one and comes back
 * on another goes round in circles.
 */
function withoutBond(port: string, interfaces: readonly InterfaceConfig[]): InterfaceConfig[] {
  const [first, ...others] = interfaces.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  if (first === undefined) return [];
  const refusal = `port ${port}: bonds are not supported, only ${first.name} is used`;
  return [first, ...others.map((iface) => ({ ...iface, refusal }))];
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

/** The bridge's own port, where the database has none. */
export function syntheticLocalPort(name: string): PortConfig {
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
