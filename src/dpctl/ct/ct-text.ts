/**
 * A tracked connection as dump-conntrack prints it.  Source: lib/ct-dpif.c (ct_dpif_format_entry()), lib/ct-dpif.h.
 */
import type { CtEntry, CtTuple } from '../../dpif/dpif-ct.ts';
import type { DpctlOptions } from '../dpctl-context.ts';

// biome-ignore format: table
const PROTO_NAMES: Readonly<Record<number, string>> = {
  1: 'icmp', 2: 'igmp', 6: 'tcp', 17: 'udp', 33: 'dccp', 58: 'icmpv6', 132: 'sctp', 136: 'udplite',
};
/** In the order in which ct-stats-show has them. */
// biome-ignore format: table
export const TCP_STATE_NAMES = [
  'CLOSED', 'LISTEN', 'SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'CLOSE_WAIT', 'FIN_WAIT_1', 'CLOSING', 'LAST_ACK',
  'FIN_WAIT_2', 'TIME_WAIT',
] as const;
/** By TCP_CONNTRACK_*. */
// biome-ignore format: table
const TCP_STATES = [
  'CLOSED', 'SYN_SENT', 'SYN_RECV', 'ESTABLISHED', 'FIN_WAIT_1', 'CLOSE_WAIT', 'LAST_ACK', 'TIME_WAIT', 'CLOSING',
  'SYN_SENT',
] as const;
/** By SCTP_CONNTRACK_*; a state that is none is closed. */
// biome-ignore format: table
const SCTP_STATES = [
  'CLOSED', 'CLOSED', 'COOKIE_WAIT', 'COOKIE_ECHOED', 'ESTABLISHED', 'SHUTDOWN_SENT', 'SHUTDOWN_RECD',
  'SHUTDOWN_ACK_SENT', 'HEARTBEAT_SENT', 'HEARTBEAT_ACKED',
] as const;
/** By bit. */
// biome-ignore format: table
const STATUS_FLAGS = [
  'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED', 'SRC_NAT', 'DST_NAT', 'SEQ_ADJUST', 'SRC_NAT_DONE',
  'DST_NAT_DONE', 'DYING', 'FIXED_TIMEOUT', 'TEMPLATE', 'UNTRACKED',
] as const;
// biome-ignore format: table
const TCP_FLAGS = [
  'WINDOW_SCALE', 'SACK_PERM', 'CLOSE_INIT', 'BE_LIBERAL', 'DATA_UNACKNOWLEDGED', 'MAXACK_SET',
] as const;

/**
 * The name of a TCP_CONNTRACK_* state.  `isCoarse` joins states that the kernel's and the userspace connection tracker tell
 * apart differently.
 */
export function tcpStateName(state: number, isCoarse: boolean): string {
  const name = TCP_STATES[state] ?? 'CLOSED';
  return isCoarse && name === 'SYN_RECV' ? 'ESTABLISHED' : name;
}

const formatFlags = (value: number, names: readonly string[]): string =>
  names.filter((_, bit) => (value >>> bit) & 1).join('|') || '0';

function formatTuple(t: CtTuple): string {
  const isIcmp = t.proto === 1 || t.proto === 58;
  const l4 = isIcmp ? `id=${t.icmpId},type=${t.icmpType},code=${t.icmpCode}` : `sport=${t.srcPort},dport=${t.dstPort}`;
  return `src=${t.src},dst=${t.dst},${l4}`;
}

function formatProtoinfo({ tcp, sctp }: CtEntry, isVerbose: boolean): string {
  if (sctp !== undefined) {
    const state = SCTP_STATES[sctp.state] ?? 'CLOSED';
    return `state=${state},vtag_orig=${sctp.tags[0]},vtag_reply=${sctp.tags[1]}`;
  }
  if (tcp === undefined) return '';
  if (!isVerbose) return `state=${tcpStateName(tcp.state, true)}`;
  const state = tcpStateName(tcp.state, false);
  const [orig, reply] = tcp.scales;
  const scales = orig !== 0 || reply !== 0 ? `,wscale_orig=${orig},wscale_reply=${reply}` : '';
  const [origFlags, replyFlags] = tcp.flags.map((f) => formatFlags(f, TCP_FLAGS));
  return `state_orig=${state},state_reply=${state}${scales},flags_orig=${origFlags},flags_reply=${replyFlags}`;
}

/** One line, without its end. */
export function formatCtEntry(e: CtEntry, { verbosity, statistics }: Readonly<DpctlOptions>): string {
  const isVerbose = verbosity > 0;
  let s = `${PROTO_NAMES[e.orig.proto] ?? e.orig.proto},orig=(${formatTuple(e.orig)}),reply=(${formatTuple(e.reply)})`;
  if (isVerbose) s += `,id=${e.id}`;
  if (e.zone !== 0) s += `,zone=${e.zone}`;
  if (isVerbose) s += `,status=${formatFlags(e.status, STATUS_FLAGS)}`;
  if (statistics) s += `,timeout=${e.timeout}`;
  if (e.mark !== 0) s += `,mark=${e.mark}`;
  if (e.labels !== 0n) s += `,labels=0x${e.labels.toString(16)}`;
  const info = formatProtoinfo(e, isVerbose);
  if (info !== '') s += `,protoinfo=(${info})`;
  if (e.helper !== undefined) s += `,helper=${e.helper}`;
  if (isVerbose && e.parent !== undefined) s += `,parent=(${formatTuple(e.parent)})`;
  return s;
}
