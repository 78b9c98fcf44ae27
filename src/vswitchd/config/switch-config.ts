/**
 * What the database wants: the rows that `Open_vSwitch` leads to, as plain objects, with defaults filled in and nonsense
 * left out.  bridge.ts and vswitchd.ts make it so.  Pure: nothing here waits or changes anything.
 * Source: vswitchd/vswitch.xml, vswitchd/bridge.c.
 */

import { DEFAULT_VLAN_LIMIT } from '../../odp/key/vlan-limit.ts';
import type { McastSettings } from '../../ofproto/mcast/mcast-settings.ts';
import type { MirrorSettings } from '../../ofproto/mirror/mirror-settings.ts';
import type { BackerOptions } from '../../ofproto/ofproto-provider.ts';
import type { Uuid } from '../../ovsdb/ovsdb-types.ts';
import { Bridge, type BridgeRow, Mirror, Open_vSwitch, Port } from '../../ovsdb/vswitch-schema.ts';
import type { TlsFiles } from '../../util/tls-files.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { type CtLimitConfig, type CtZoneConfig, readCtLimits, readCtZones } from './ct-zone-config.ts';
import { readMcast } from './mcast-config.ts';
import { readMirrors } from './mirror-config.ts';
import { type OpenflowConfig, readOpenflow, readTls } from './openflow-config.ts';
import { type PortConfig, readPort, syntheticLocalPort } from './port-config.ts';
import { RowMemo } from './row-memo.ts';
import { type RowSource, smapInt } from './row-source.ts';

export type { InterfaceConfig, PortConfig, Tagging } from './port-config.ts';

const log = vlog('bridge');
const nameLimit = new RateLimit(1, 5);

const DEFAULT_STATS_INTERVAL_MS = 5000;

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
  /** Whether frames to addresses of link protocols (STP ...) are forwarded like others. */
  readonly forwardBpdu: boolean;
  readonly mirrors: readonly MirrorSettings[];
  readonly mcast: McastSettings | undefined;
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
  /** other_config:flow-restore-wait. */
  readonly flowRestoreWait: boolean;
  /** other_config:enable-statistics. */
  readonly hasSystemStats: boolean;
  readonly ctZones: CtZoneConfig;
  readonly ctLimits: CtLimitConfig;
  /** The SSL row. */
  readonly tls: TlsFiles | undefined;
  readonly bridges: readonly BridgeConfig[];
}

/** What was read before, for what is still the same. */
export class ConfigMemo {
  readonly ports = new RowMemo<PortConfig>();
  readonly openflow = new RowMemo<OpenflowConfig>();
  readonly mcast = new RowMemo<McastSettings | undefined>();
  readonly mirrors = new RowMemo<readonly MirrorSettings[]>();
  bridges: ReadonlyMap<string, BridgeConfig> = new Map();
  /** All of it, and of which rows. */
  whole: { readonly config: SwitchConfig; readonly revision: number } | undefined;
}

/** Reads the whole configuration.  What has not changed since an earlier call with the same `memo` is the same object. */
export function readConfig(db: RowSource, memo: ConfigMemo = new ConfigMemo()): SwitchConfig {
  const revision = db.dataRevision;
  if (revision !== undefined && memo.whole?.revision === revision) return memo.whole.config;
  const config = readAll(db, memo);
  memo.whole = revision === undefined ? undefined : { config, revision };
  return config;
}

function readAll(db: RowSource, memo: ConfigMemo): SwitchConfig {
  const [root] = db.rows(Open_vSwitch);
  const config = root?.other_config ?? new Map<string, string>();
  const bridges = new Map<string, BridgeConfig>();
  for (const uuid of root?.bridges ?? []) {
    const row = db.row(Bridge, uuid);
    if (row === undefined) continue;
    // A slash would let the name leave its directory, in names of sockets and the like.
    if (row.name.includes('/')) log.warn(`ignoring bridge with invalid name "${row.name}"`, nameLimit);
    else if (bridges.has(row.name)) log.warn(`bridge ${row.name} specified twice`, nameLimit);
    else bridges.set(row.name, readBridge(db, row, memo));
  }
  memo.ports.sweep();
  memo.openflow.sweep();
  memo.mcast.sweep();
  memo.mirrors.sweep();
  memo.bridges = bridges;
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
    flowRestoreWait: config.get('flow-restore-wait') === 'true',
    hasSystemStats: config.get('enable-statistics') === 'true',
    ctZones: readCtZones(db),
    ctLimits: readCtLimits(db),
    tls: readTls(db),
    statsIntervalMs: Math.max(
      DEFAULT_STATS_INTERVAL_MS,
      smapInt(config, 'stats-update-interval', DEFAULT_STATS_INTERVAL_MS),
    ),
    bridges: [...bridges.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

function readBridge(db: RowSource, row: BridgeRow, memo: ConfigMemo): BridgeConfig {
  const outputs = new Set(row.mirrors.map((uuid) => db.row(Mirror, uuid)?.output_port));
  const ports = new Map<string, PortConfig>();
  const taken = new Set<string>();
  for (const uuid of row.ports) {
    const port = db.row(Port, uuid);
    if (port === undefined) continue;
    if (ports.has(port.name)) {
      log.warn(`bridge ${row.name}: ${port.name} specified twice as bridge port`);
      continue;
    }
    const isOutput = outputs.has(uuid);
    const read = memo.ports.get(`${uuid} ${isOutput} ${row.name}`, db, (source) => {
      return readPort(source, row.name, source.row(Port, uuid) ?? port, isOutput);
    });
    ports.set(port.name, withoutTaken(read, row.name, taken));
  }
  if (!taken.has(row.name)) {
    log.warn(`bridge ${row.name}: no port named ${row.name}, synthesizing one`, nameLimit);
    ports.set(row.name, syntheticLocalPort(row.name));
  }
  const config = row.other_config;
  // Of what depends on the bridge's row, too.
  const bridgeOf = (source: RowSource): BridgeRow => source.row(Bridge, row._uuid) ?? row;
  const names = [...ports.keys()];
  const fresh: BridgeConfig = {
    uuid: row._uuid,
    name: row.name,
    datapathType: row.datapath_type || 'system',
    ports: [...ports.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    hwaddr: config.get('hwaddr'),
    datapathId: config.get('datapath-id'),
    macAgingSec: smapInt(config, 'mac-aging-time', 300) || 300,
    macTableSize: smapInt(config, 'mac-table-size', 8192) || 8192,
    floodVlans: row.flood_vlans,
    forwardBpdu: config.get('forward-bpdu') === 'true',
    mcast: memo.mcast.get(row._uuid, db, (source) => readMcast(source, bridgeOf(source))),
    mirrors: memo.mirrors.get(`${row._uuid} ${names.join(' ')}`, db, (source) =>
      readMirrors(source, bridgeOf(source), new Set(names)),
    ),
    openflow: memo.openflow.get(row._uuid, db, (source) => readOpenflow(source, bridgeOf(source))),
  };
  const before = memo.bridges.get(row.name);
  return before !== undefined && isSame(before, fresh) ? before : fresh;
}

/** Whether all fields are; of lists, each element. */
function isSame(a: BridgeConfig, b: BridgeConfig): boolean {
  return (Object.keys(b) as (keyof BridgeConfig)[]).every((key) => {
    const [x, y] = [a[key], b[key]];
    if (!Array.isArray(x) || !Array.isArray(y)) return x === y;
    return x.length === y.length && x.every((element, i) => element === y[i]);
  });
}

/** Less the interfaces whose names other ports of the bridge have taken. */
function withoutTaken(port: PortConfig, bridge: string, taken: Set<string>): PortConfig {
  const interfaces = port.interfaces.filter(({ name }) => {
    if (taken.has(name)) log.warn(`bridge ${bridge}: interface ${name} specified twice`, nameLimit);
    return !taken.has(name) && taken.add(name);
  });
  return interfaces.length === port.interfaces.length ? port : { ...port, interfaces };
}
