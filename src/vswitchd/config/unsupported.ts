/**
 * Settings of the database that this vswitchd knows and cannot follow: each is said once in the log, when it appears.  What
 * would only make Open vSwitch's threads, DPDK or offloading work differently is information; what somebody may miss is a warning.
 * Source: vswitchd/vswitch.xml.
 */
import * as schema from '../../ovsdb/vswitch-schema.ts';
import { vlog } from '../../util/vlog.ts';
import { RowMemo } from './row-memo.ts';
import type { RowSource, Smap } from './row-source.ts';

const log = vlog('bridge');

interface Remark {
  readonly level: 'info' | 'warn' | 'err';
  readonly text: string;
}

/** Keys of Open_vSwitch.other_config, by what they begin with, and why they mean nothing here. */
// biome-ignore format: table
const NO_EFFECT: readonly (readonly [prefix: string, why: string])[] = [
  ['dpdk-',                'there is no DPDK'],
  ['vhost-',               'there is no DPDK'],
  ['per-port-memory',      'there is no DPDK'],
  ['shared-mempool-',      'there is no DPDK'],
  ['userspace-tso-enable', 'there is no DPDK'],
  ['pmd-',                 'there are no PMD threads'],
  ['emc-',                 'there are no PMD threads'],
  ['smc-',                 'there are no PMD threads'],
  ['tx-flush-interval',    'there are no PMD threads'],
  ['n-handler-threads',    'one thread does all the work'],
  ['n-revalidator-threads', 'one thread does all the work'],
  ['n-offload-threads',    'flows are not offloaded to hardware'],
  ['hw-offload',           'flows are not offloaded to hardware'],
  ['offloaded-stats-delay', 'flows are not offloaded to hardware'],
  ['explicit-sampled-drops', 'what is only sampled has no explicit drop'],
  ['offload-rebalance',    'flows are not offloaded to hardware'],
  ['tc-policy',            'flows are not offloaded to hardware'],
  ['ipsec_skb_mark',       'tunnels are not encrypted'],
];
const IFACE_NO_EFFECT: readonly string[] = ['emc-enable', 'pmd-rxq-affinity', 'tx-steering'];

function ofRoot(config: Smap): Remark[] {
  return [...config.keys()].flatMap((key) => {
    const why = NO_EFFECT.find(([prefix]) => key.startsWith(prefix))?.[1];
    return why === undefined ? [] : { level: 'info', text: `other_config:${key} has no effect: ${why}` };
  });
}

const missing = (where: string, what: string): Remark => ({
  level: 'warn',
  text: `${where}: ${what} is not supported; its settings are ignored`,
});

/** Whether Bridge.datapath_type `type` is that of a datapath that there is. */
export type IsDatapathType = (type: string) => boolean;

function ofBridge(db: RowSource, row: schema.BridgeRow, isDatapathType: IsDatapathType): Remark[] {
  const where = `bridge ${row.name}`;
  const remarks: Remark[] = [];
  const type = row.datapath_type || 'system';
  if (!isDatapathType(type)) {
    remarks.push({ level: 'err', text: `${where}: not created, as datapath_type "${type}" is not supported` });
  }
  const exporters = [
    ['NetFlow', row.netflow === undefined ? undefined : db.row(schema.NetFlow, row.netflow)?.targets],
    ['sFlow', row.sflow === undefined ? undefined : db.row(schema.sFlow, row.sflow)?.targets],
    ['IPFIX', row.ipfix === undefined ? undefined : db.row(schema.IPFIX, row.ipfix)?.targets],
  ] as const;
  for (const [name, targets] of exporters) {
    if (targets === undefined) continue;
    for (const target of targets.filter((t) => !isCollector(t))) {
      remarks.push({ level: 'warn', text: `${where}: ${name} target "${target}" is not HOST:PORT` });
    }
    remarks.push(missing(where, name));
  }
  for (const uuid of row.mirrors) {
    const mirror = db.row(schema.Mirror, uuid);
    if (mirror?.filter !== undefined) remarks.push(missing(`${where}: mirror ${mirror.name}`, 'a filter'));
  }
  if (row.auto_attach !== undefined) remarks.push(missing(where, 'auto attach'));
  if (row.stp_enable) remarks.push(missing(where, 'spanning tree (STP)'));
  if (row.rstp_enable) remarks.push(missing(where, 'spanning tree (RSTP)'));
  return remarks;
}

/** "HOST:PORT", "[IPV6]:PORT". */
const isCollector = (text: string): boolean => /^(\[[0-9a-fA-F:.%a-z]+\]|[^:[\]\s]+):\d{1,5}$/.test(text);

function ofPort(row: schema.PortRow): Remark[] {
  const where = `port ${row.name}`;
  const remarks: Remark[] = [];
  if (row.lacp === 'active' || row.lacp === 'passive') remarks.push(missing(where, 'LACP'));
  return remarks;
}

function ofInterface(row: schema.InterfaceRow): Remark[] {
  const where = `interface ${row.name}`;
  const remarks: Remark[] = [];
  if (row.bfd.get('enable') === 'true') remarks.push(missing(where, 'BFD'));
  if (row.cfm_mpid !== undefined) remarks.push(missing(where, 'CFM'));
  if (row.lldp.get('enable') === 'true') remarks.push(missing(where, 'LLDP'));
  for (const key of IFACE_NO_EFFECT) {
    if (!row.other_config.has(key)) continue;
    remarks.push({ level: 'info', text: `${where}: other_config:${key} has no effect: there are no PMD threads` });
  }
  return remarks;
}

function ofController(row: schema.ControllerRow): Remark[] {
  return (['local_ip', 'local_netmask', 'local_gateway'] as const).flatMap((column) => {
    if (row[column] === undefined) return [];
    return { level: 'warn', text: `controller ${row.target}: ${column} is not supported; give the device its address` };
  });
}

export class Unsupported {
  private readonly isDatapathType: IsDatapathType;
  private readonly memo = new RowMemo<readonly Remark[]>();
  private said = new Set<string>();
  /** Of the rows that were looked at last. */
  private revision: number | undefined;

  constructor(isDatapathType: IsDatapathType) {
    this.isDatapathType = isDatapathType;
  }

  /** Looks at all settings, and says what was not there the last time. */
  report(db: RowSource): void {
    if (db.dataRevision !== undefined && db.dataRevision === this.revision) return;
    this.revision = db.dataRevision;
    const remarks: Remark[] = [];
    const look = (uuid: string, make: (db: RowSource) => readonly Remark[]) => {
      remarks.push(...this.memo.get(uuid, db, make));
    };
    for (const { _uuid } of db.rows(schema.Open_vSwitch)) {
      look(_uuid, (source) => ofRoot(source.row(schema.Open_vSwitch, _uuid)?.other_config ?? new Map()));
    }
    for (const row of db.rows(schema.Bridge)) {
      look(row._uuid, (source) => ofBridge(source, source.row(schema.Bridge, row._uuid) ?? row, this.isDatapathType));
    }
    for (const { _uuid, bridge } of db.rows(schema.Flow_Sample_Collector_Set)) {
      look(_uuid, (source) => {
        const { id } = source.row(schema.Flow_Sample_Collector_Set, _uuid) ?? { id: 0 };
        return [
          missing(`bridge ${source.row(schema.Bridge, bridge)?.name}`, `the IPFIX exporter of collector set ${id}`),
        ];
      });
    }
    for (const row of db.rows(schema.Port)) {
      look(row._uuid, (source) => ofPort(source.row(schema.Port, row._uuid) ?? row));
    }
    for (const row of db.rows(schema.Interface)) {
      look(row._uuid, (source) => ofInterface(source.row(schema.Interface, row._uuid) ?? row));
    }
    for (const row of db.rows(schema.Controller)) {
      look(row._uuid, (source) => ofController(source.row(schema.Controller, row._uuid) ?? row));
    }
    this.memo.sweep();
    for (const { level, text } of remarks) if (!this.said.has(text)) log.at(level, text);
    this.said = new Set(remarks.map((remark) => remark.text));
  }
}
