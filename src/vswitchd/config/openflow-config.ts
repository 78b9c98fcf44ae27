/**
 * A bridge's OpenFlow connections as the database wants them: Bridge.protocols, fail_mode and controller, the Controller rows, SSL.
 * Source: vswitchd/bridge.c (bridge_configure_remotes, bridge_get_allowed_versions), vswitchd/vswitch.xml.
 */

import type {
  ControllerSettings,
  FailMode,
  InBandSettings,
  OpenflowSettings,
  TlsFiles,
} from '../../ofproto/connmgr/openflow-settings.ts';
import { remoteOf } from '../../ofproto/in-band/in-band-remotes.ts';
import type { Remote } from '../../ofproto/in-band/in-band-rules.ts';
import { ALL_VERSIONS, versionsFromNames } from '../../openflow/ofp-version.ts';
import type { Uuid } from '../../ovsdb/ovsdb-types.ts';
import {
  type BridgeRow,
  Controller,
  type ControllerRow,
  Manager,
  Open_vSwitch,
  SSL,
} from '../../ovsdb/vswitch-schema.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { type RowSource, smapInt } from './row-source.ts';
import { readTables } from './table-settings.ts';

const log = vlog('bridge');
const limit = new RateLimit(1, 5);

/** Bounds of other_config:controller-queue-size. */
const QUEUE_SIZE = { default: 100, min: 1, max: 512 } as const;
const DEFAULT_BACKOFF_SEC = 8;
const DEFAULT_DSCP = 48;
const DEFAULT_PROBE_SEC = 5;

/** What the database says; the rest of the settings is the process's and the bridge's. */
export interface OpenflowConfig extends Omit<OpenflowSettings, 'runDir' | 'datapathId'> {
  /** The row of each controller, by target. */
  readonly rows: ReadonlyMap<string, Uuid>;
}

function probeSec(ms: number | undefined): number {
  if (ms === undefined) return DEFAULT_PROBE_SEC;
  return ms === 0 ? 0 : Math.max(1, Math.floor(ms / 1000));
}

const isActive = (target: string): boolean => /^(tcp|ssl|unix):/.test(target);

function readController(row: ControllerRow, queueSize: number, mayInBand: boolean): ControllerSettings {
  const isPrimary = row.type === undefined ? isActive(row.target) : row.type === 'primary';
  return {
    target: row.target,
    kind: isPrimary ? 'primary' : 'service',
    maxBackoffSec: row.max_backoff === undefined ? DEFAULT_BACKOFF_SEC : Math.floor(row.max_backoff / 1000),
    probeIntervalSec: probeSec(row.inactivity_probe),
    enableAsync: row.enable_async_messages ?? true,
    rateLimit: row.controller_rate_limit ?? 0,
    burstLimit: row.controller_burst_limit ?? 0,
    maxQueue: row.controller_queue_size ?? queueSize,
    dscp: smapInt(row.other_config, 'dscp', DEFAULT_DSCP, 0, 63),
    isInBand: mayInBand && (row.connection_mode ?? 'in-band') === 'in-band',
  };
}

/** Files that SSL connections of the switch use, those to the database too; undefined: the database names none. */
export function readTls(db: RowSource): TlsFiles | undefined {
  const [root] = db.rows(Open_vSwitch);
  const row = root?.ssl === undefined ? undefined : db.row(SSL, root.ssl);
  if (row === undefined) return undefined;
  const { private_key: privateKey, certificate, ca_cert: caCert, bootstrap_ca_cert: bootstrapCaCert } = row;
  return { privateKey, certificate, caCert, ...(bootstrapCaCert && { bootstrapCaCert }) };
}

function readBundleIdleMs(db: RowSource): number | undefined {
  const [root] = db.rows(Open_vSwitch);
  const sec = root === undefined ? 0 : smapInt(root.other_config, 'bundle-idle-timeout', 0);
  return sec === 0 ? undefined : sec * 1000;
}

function readVersions(row: BridgeRow): number {
  let versions = 0;
  for (const name of row.protocols) {
    try {
      versions |= versionsFromNames([name]);
    } catch (error) {
      log.warn(`bridge ${row.name}: ${(error as Error).message}`, limit);
    }
  }
  return versions === 0 ? ALL_VERSIONS : versions;
}

/** OVSDB_PORT. */
const MANAGER_PORT = 6640;
const LOOPBACK = [127, 0, 0, 1];

/** Managers of the database that are reached through bridges: their server, too, needs a way. */
function readManagers(db: RowSource): Remote[] {
  const [root] = db.rows(Open_vSwitch);
  const targets = new Set<string>();
  for (const uuid of root?.manager_options ?? []) {
    const manager = db.row(Manager, uuid);
    if (manager === undefined) continue;
    if (manager.connection_mode === 'out-of-band') targets.delete(manager.target);
    else targets.add(manager.target);
  }
  return [...targets].flatMap((target) => {
    const remote = remoteOf(target, MANAGER_PORT);
    return remote === undefined || remote.ip.every((b, i) => b === LOOPBACK[i]) ? [] : remote;
  });
}

function readInBand(db: RowSource, row: BridgeRow, isDisabled: boolean): InBandSettings {
  const queue = smapInt(row.other_config, 'in-band-queue', -1);
  return { remotes: isDisabled ? [] : readManagers(db), queue: queue < 0 ? undefined : queue };
}

/** Reads what a bridge's row says of OpenFlow.  Pure. */
export function readOpenflow(db: RowSource, row: BridgeRow): OpenflowConfig {
  const { default: queueDefault, min, max } = QUEUE_SIZE;
  const queueSize = smapInt(row.other_config, 'controller-queue-size', queueDefault, min, max);
  const hasNoInBand = row.other_config.get('disable-in-band') === 'true';
  const controllers: ControllerSettings[] = [];
  const rows = new Map<string, Uuid>();
  for (const uuid of row.controller) {
    const controller = db.row(Controller, uuid);
    if (controller === undefined || rows.has(controller.target)) continue;
    rows.set(controller.target, uuid);
    controllers.push(readController(controller, queueSize, !hasNoInBand));
  }
  const isNone = controllers.length === 1 && controllers[0]?.target === 'none';
  const failMode: FailMode = row.fail_mode === undefined || row.fail_mode === 'standalone' ? 'standalone' : 'secure';
  return {
    versions: readVersions(row),
    failMode,
    controllers: isNone ? [] : controllers,
    tls: readTls(db),
    inBand: readInBand(db, row, hasNoInBand),
    bundleIdleMs: readBundleIdleMs(db),
    tables: readTables(db, row),
    desc: { dpDesc: row.other_config.get('dp-desc'), serialNum: row.other_config.get('dp-sn') },
    rows,
  };
}
