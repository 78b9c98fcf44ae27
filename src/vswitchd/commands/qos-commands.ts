/**
 * The commands about quality of service.  Texts are the stock program's.
 * Neighbours: qos/device-qos.ts has what they show.  Source: vswitchd/bridge.c (qos_unixctl_show).
 */
import { NetlinkError } from '../../netlink/errors.ts';
import type { OfprotoBacker } from '../../ofproto/ofproto-provider.ts';
import { type UnixctlCommand, UnixctlError } from '../../unixctl/unixctl-server.ts';
import type { DeviceQos, QosShown } from '../qos/device-qos.ts';
import type { QueueCounters } from '../qos/qos-kind.ts';
import { QOS_TYPES } from '../qos/qos-kinds.ts';

/** What the commands act on. */
export interface QosTarget {
  readonly backer: OfprotoBacker | undefined;
  /** Undefined: the switch's devices have no traffic control. */
  readonly qos?: DeviceQos | undefined;
}

export function qosCommands(target: QosTarget): UnixctlCommand[] {
  // biome-ignore format: table
  return [
    { name: 'qos/show-types', usage: 'interface', minArgs: 1, maxArgs: 1, run: ([name = '']) => showTypes(target, name) },
    { name: 'qos/show',       usage: 'interface', minArgs: 1, maxArgs: 1, run: ([name = '']) => show(target, name) },
  ];
}

/** What is in force on an interface; undefined: it has no device that can be controlled. */
function find({ backer, qos }: QosTarget, name: string): QosShown | undefined {
  const isThere = [...(backer?.ofprotos.values() ?? [])].some(({ ports }) => ports.has(name));
  if (!isThere) throw new UnixctlError('no such interface');
  try {
    return qos?.show(name);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    throw new UnixctlError(`${name}: failed to retrieve QOS configuration (${error.text})\n`, { cause: error });
  }
}

function showTypes(target: QosTarget, name: string): string {
  if (find(target, name) === undefined) return `No QoS types supported for interface: ${name}\n`;
  return QOS_TYPES.map((type) => `QoS type: ${type}\n`).join('');
}

function show(target: QosTarget, name: string): string {
  const shown = find(target, name);
  if (shown === undefined || shown.type === '') return `QoS not configured on ${name}\n`;
  const lines = [`QoS: ${name} ${shown.type}`];
  for (const [key, value] of shown.details) lines.push(`${key}: ${value}`);
  const queues = [...shown.queues].sort(([a], [b]) => a - b);
  for (const [id, { details }] of queues) {
    lines.push('', id === 0 ? 'Default:' : `Queue ${id}:`);
    for (const [key, value] of details) lines.push(`  ${key}: ${value}`);
    lines.push(...countersOf(target, name, id));
  }
  return `${lines.join('\n')}\n`;
}

function countersOf({ qos }: QosTarget, name: string, id: number): string[] {
  let counters: QueueCounters | undefined;
  try {
    counters = qos?.counters(name, id).get(id);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return [`  Failed to get statistics for queue ${id}: ${error.text}`];
  }
  if (counters === undefined) return [];
  return [
    `  tx_packets: ${counters.txPackets}`,
    `  tx_bytes: ${counters.txBytes}`,
    `  tx_errors: ${counters.txErrors}`,
  ];
}
