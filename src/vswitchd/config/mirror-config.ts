/**
 * What the database wants of a bridge's mirrors: Bridge.mirrors and the Mirror rows; and what is written back to them.
 * Source: vswitchd/bridge.c (mirror_configure, mirror_collect_ports, mirror_refresh_stats), vswitchd/vswitch.xml (Mirror).
 */
import type { MirrorSettings, MirrorStats } from '../../ofproto/mirror/mirror-settings.ts';
import { type BridgeRow, Mirror, type MirrorRow, Port } from '../../ovsdb/vswitch-schema.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { RowSource } from './row-source.ts';

const log = vlog('bridge');
const limit = new RateLimit(1, 5);

/** Reads those that can be made; `ports` are the names of the bridge's ports. */
export function readMirrors(db: RowSource, bridge: BridgeRow, ports: ReadonlySet<string>): MirrorSettings[] {
  return bridge.mirrors.flatMap((uuid) => {
    const row = db.row(Mirror, uuid);
    const mirror = row === undefined ? undefined : readMirror(db, row, bridge.name, ports);
    return mirror ?? [];
  });
}

function readMirror(
  db: RowSource,
  row: MirrorRow,
  bridge: string,
  ports: ReadonlySet<string>,
): MirrorSettings | undefined {
  const where = `bridge ${bridge}: mirror ${row.name}`;
  const outPort = row.output_port === undefined ? undefined : db.row(Port, row.output_port)?.name;
  if (row.output_port !== undefined) {
    if (outPort === undefined || !ports.has(outPort)) {
      log.err(`${where} outputs to port not on bridge`, limit);
      return undefined;
    }
    if (row.output_vlan !== undefined) {
      log.err(`${where} specifies both output port and output vlan; ignoring output vlan`, limit);
    }
  } else if (row.output_vlan === undefined) {
    log.err(`${where} does not specify output; ignoring`, limit);
    return undefined;
  }
  const namesOf = (uuids: readonly string[]): string[] =>
    uuids.flatMap((uuid) => {
      const name = db.row(Port, uuid)?.name;
      if (name === undefined || ports.has(name)) return name ?? [];
      log.warn(`${where} cannot match on nonexistent port ${name}`, limit);
      return [];
    });
  return {
    id: row._uuid,
    name: row.name,
    srcs: row.select_all ? [...ports] : namesOf(row.select_src_port),
    dsts: row.select_all ? [...ports] : namesOf(row.select_dst_port),
    vlans: row.select_vlan,
    outPort,
    outVlan: outPort === undefined ? (row.output_vlan ?? 0) : 0,
    snaplen: row.snaplen ?? 0,
  };
}

/** Mirror.statistics. */
export const mirrorStatistics = ({ txPackets, txBytes }: MirrorStats): ReadonlyMap<string, number> =>
  new Map([
    ['tx_packets', Number(txPackets)],
    ['tx_bytes', Number(txBytes)],
  ]);
