/**
 * Messages about ports as text.
 * Source: lib/ofp-port.c (ofputil_phy_port_format, ofputil_port_mod_format, ofputil_format_port_stats), lib/netdev.c (netdev_features_format).
 */
import { formatMac } from '../../util/inet.ts';
import { formatDuration } from '../flow-text.ts';
import { UNKNOWN32 } from '../messages/flow/flow-types.ts';
import type { PhyPort, PortCounter, PortStats } from '../messages/switch/switch-types.ts';
import { formatPort, type OfpNames } from '../ofp-names.ts';
import { OFPPC } from '../ofp-port.ts';
import { type BitNames, formatBits, formatCount, type Printers } from './printer.ts';

const CONFIG: BitNames = Object.entries(OFPPC).map(([name, bit]) => [bit, name] as const);
const STATE: BitNames = [
  [1 << 0, 'LINK_DOWN'],
  [1 << 1, 'BLOCKED'],
  [1 << 2, 'LIVE'],
];
/** Two bits of OpenFlow 1.0 that are a number. */
const STP = { MASK: 3 << 8, LEARN: 1 << 8, FORWARD: 2 << 8 } as const;
// biome-ignore format: table
const FEATURES: BitNames = [
  '10MB-HD', '10MB-FD', '100MB-HD', '100MB-FD', '1GB-HD', '1GB-FD', '10GB-FD', '40GB-FD', '100GB-FD', '1TB-FD', 'OTHER',
  'COPPER', 'FIBER', 'AUTO_NEG', 'AUTO_PAUSE', 'AUTO_PAUSE_ASYM',
].map((name, i) => [1 << i, name] as const);

function formatState(state: number): string {
  const stp = state & STP.MASK;
  if (stp === 0) return formatBits(state, STATE);
  const name = stp === STP.LEARN ? 'STP_LEARN' : stp === STP.FORWARD ? 'STP_FORWARD' : 'STP_BLOCK';
  const rest = state & ~STP.MASK;
  return rest === 0 ? name : `${name}${formatBits(rest, STATE)}`;
}

/** A port's description: several lines. */
export function formatPhyPort(p: PhyPort): string {
  const name = /^[\x20-\x7e]*/.exec(p.name)?.[0] ?? '';
  let text = ` ${formatPort(p.portNo)}(${name}): addr:${formatMac(p.hwAddr)}\n`;
  text += `     config:     ${formatBits(p.config, CONFIG)}\n     state:      ${formatState(p.state)}\n`;
  const put = (title: string, features: number): void => {
    if (features !== 0) text += `     ${title}${formatBits(features, FEATURES)}\n`;
  };
  put('current:    ', p.curr);
  put('advertised: ', p.advertised);
  put('supported:  ', p.supported);
  put('peer:       ', p.peer);
  return `${text}     speed: ${Math.floor(p.currSpeed / 1000)} Mbps now, ${Math.floor(p.maxSpeed / 1000)} Mbps max\n`;
}

/** Descriptions by rising port number. */
export const formatPorts = (ports: readonly PhyPort[]): string =>
  [...ports]
    .sort((a, b) => a.portNo - b.portNo)
    .map(formatPhyPort)
    .join('');

type Shown = readonly (readonly [PortCounter, string])[];
// biome-ignore format: table
const RX: Shown = [
  ['rxPackets', 'pkts'], ['rxBytes', 'bytes'], ['rxDropped', 'drop'], ['rxErrors', 'errs'], ['rxFrameErrors', 'frame'],
  ['rxOverErrors', 'over'], ['rxCrcErrors', 'crc'],
];
// biome-ignore format: table
const TX: Shown = [
  ['txPackets', 'pkts'], ['txBytes', 'bytes'], ['txDropped', 'drop'], ['txErrors', 'errs'], ['collisions', 'coll'],
];
// biome-ignore format: table
const RX_RFC2819: Shown = [
  ['rx1To64Packets', '1_to_64_packets'], ['rx65To127Packets', '65_to_127_packets'], ['rx128To255Packets', '128_to_255_packets'],
  ['rx256To511Packets', '256_to_511_packets'], ['rx512To1023Packets', '512_to_1023_packets'],
  ['rx1024To1522Packets', '1024_to_1522_packets'], ['rx1523ToMaxPackets', '1523_to_max_packets'],
  ['rxBroadcastPackets', 'broadcast_packets'], ['rxUndersizedErrors', 'undersized_errors'], ['rxOversizeErrors', 'oversize_errors'],
  ['rxFragmentedErrors', 'rx_fragmented_errors'], ['rxJabberErrors', 'rx_jabber_errors'],
];
// biome-ignore format: table
const TX_RFC2819: Shown = [
  ['tx1To64Packets', '1_to_64_packets'], ['tx65To127Packets', '65_to_127_packets'], ['tx128To255Packets', '128_to_255_packets'],
  ['tx256To511Packets', '256_to_511_packets'], ['tx512To1023Packets', '512_to_1023_packets'],
  ['tx1024To1522Packets', '1024_to_1522_packets'], ['tx1523ToMaxPackets', '1523_to_max_packets'],
  ['txMulticastPackets', 'multicast_packets'], ['txBroadcastPackets', 'broadcast_packets'],
];
const INDENT = ' '.repeat(11);
const CUSTOM_PER_LINE = 3;

function formatCustom(custom: PortStats['custom']): string {
  if (custom.length === 0) return '';
  let text = `${INDENT}CUSTOM Statistics`;
  custom.forEach(({ name, value }, i) => {
    if (name === '') return;
    text += `${i % CUSTOM_PER_LINE === 0 ? `\n${INDENT}${INDENT}` : ' '}${name}=${value},`;
  });
  return `${text}\n`;
}

/** A port's statistics: two lines or more. */
export function formatPortStats(ps: PortStats, names: OfpNames): string {
  const { counters } = ps;
  const all = (shown: Shown): string => shown.map(([key, name]) => `${name}=${formatCount(counters[key])}`).join(', ');
  const known = (title: string, shown: Shown): string => {
    const there = shown.filter(([key]) => formatCount(counters[key]) !== '?');
    return there.length === 0 ? '' : `${INDENT}${title} rfc2819 ${all(there)}, \n`;
  };
  let text = `  port ${ps.portNo < 10 ? ' ' : ''}${formatPort(ps.portNo, names.ports)}: rx ${all(RX)}\n${INDENT}tx ${all(TX)}\n`;
  if (ps.durationSec !== UNKNOWN32) text += `${INDENT}duration=${formatDuration(ps.durationSec, ps.durationNsec)}\n`;
  return text + known('rx', RX_RFC2819) + known('tx', TX_RFC2819) + formatCustom(ps.custom);
}

const STATUS = [' ADD:', ' DEL:', ' MOD:'] as const;

export const PORT_PRINTERS: Printers = {
  port_status: ({ reason, desc }) => `${STATUS[reason] ?? ''}${formatPhyPort(desc)}`,
  port_mod({ portNo, hwAddr, config, mask, advertise }, { names }) {
    return (
      ` port: ${formatPort(portNo, names.ports)}: addr:${formatMac(hwAddr)}\n` +
      `     config: ${formatBits(config, CONFIG)}\n     mask:   ${formatBits(mask, CONFIG)}\n` +
      `     advertise: ${advertise === 0 ? 'UNCHANGED' : formatBits(advertise, FEATURES)}\n`
    );
  },
  port_stats_request: (port, { names }) => ` port_no=${formatPort(port, names.ports)}`,
  port_stats_reply(list, { names, verbosity }) {
    const head = ` ${list.length} ports\n`;
    return verbosity < 1 ? head : head + list.map((ps) => formatPortStats(ps, names)).join('');
  },
  port_desc_stats_request: (port, { names }) => ` port=${formatPort(port, names.ports)}`,
  port_desc_stats_reply: (ports) => `\n${formatPorts(ports)}`,
};
