/**
 * What the database wants of a port's quality of service and of what its interfaces may send in: the rows QoS and Queue, and the
 * ingress_policing columns, as plain objects.  switch-config.ts reads them with the rest.  Source: vswitchd/vswitch.xml.
 */
import type { DpifPortPolicing } from '../../dpif/dpif-types.ts';
import type { Uuid } from '../../ovsdb/ovsdb-types.ts';
import { type InterfaceRow, QoS, Queue } from '../../ovsdb/vswitch-schema.ts';
import type { RowSource, Smap } from '../config/row-source.ts';

export interface QueueConfig {
  readonly id: number;
  readonly config: Smap;
  /** What its packets have in the DSCP field, 0 to 63; undefined: what they had. */
  readonly dscp: number | undefined;
}

export interface QosConfig {
  /** QoS.type, "linux-htb" or the like; never "". */
  readonly type: string;
  readonly config: Smap;
  readonly queues: readonly QueueConfig[];
}

/** How much an interface may receive; bursts of 0 are the usual. */
export type PolicingConfig = DpifPortPolicing;

export const NO_POLICING: PolicingConfig = { kbitsRate: 0, kbitsBurst: 0, kpktsRate: 0, kpktsBurst: 0 };

/** The QoS of a port; undefined: the device's own. */
export function readQos(db: RowSource, uuid: Uuid | undefined): QosConfig | undefined {
  const row = uuid === undefined ? undefined : db.row(QoS, uuid);
  if (row === undefined || row.type === '') return undefined;
  const queues: QueueConfig[] = [];
  for (const [id, queueUuid] of row.queues) {
    const queue = db.row(Queue, queueUuid);
    if (queue !== undefined) queues.push({ id, config: queue.other_config, dscp: queue.dscp });
  }
  queues.sort((a, b) => a.id - b.id);
  return { type: row.type, config: row.other_config, queues };
}

const U32_MAX = 0xffffffff;
const rate = (n: number): number => Math.min(U32_MAX, Math.max(0, n));

export const readPolicing = (row: InterfaceRow): PolicingConfig => ({
  kbitsRate: rate(row.ingress_policing_rate),
  kbitsBurst: rate(row.ingress_policing_burst),
  kpktsRate: rate(row.ingress_policing_kpkts_rate),
  kpktsBurst: rate(row.ingress_policing_kpkts_burst),
});
