/**
 * packet_in, packet_out and resume as text.  Source: lib/ofp-packet.c (ofputil_packet_in_private_format, ofputil_packet_out_format).
 */
import { FIELD as F } from '../../flow/fields.ts';
import { getField } from '../../flow/flow-key.ts';
import { formatActions } from '../actions/index.ts';
import { formatReason } from '../actions/packet-in-reason.ts';
import type { Match } from '../match/match.ts';
import { formatMatch } from '../match/match-text.ts';
import { type PacketIn, type PacketInPrivate, UNKNOWN32, UNKNOWN64 } from '../messages/flow/flow-types.ts';
import { decodeContinuation } from '../messages/packet/continuation.ts';
import { formatTable } from '../ofp-names.ts';
import { formatHexNumber } from '../ofp-text.ts';
import { formatPacket } from './packet-text.ts';
import { hexDump, type PrintCtx, type Printers } from './printer.ts';

const hexBytes = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const uuid = (bytes: Uint8Array): string =>
  hexBytes(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, (_, a, b, c, d) => `${a}-${b}-${c}-${d}-`);

const packet = (bytes: Uint8Array, metadata: Match): string =>
  formatPacket(bytes, getField(metadata.flow, F.packetType));

function formatPrivate(p: PacketInPrivate, { names }: PrintCtx): string {
  let text = p.bridge.some((b) => b !== 0) ? ` continuation.bridge=${uuid(p.bridge)}\n` : '';
  if (p.stack.length > 0) {
    const values = [...p.stack].reverse().map((value) => ` ${formatHexNumber(value)}`);
    text += ` continuation.stack=(top)${values.join('')} (bottom)\n`;
  }
  if (p.mirrors !== 0) text += ` continuation.mirrors=0x${p.mirrors.toString(16)}\n`;
  if (p.isConntracked) text += ' continuation.conntracked=true\n';
  if (p.actions.length > 0) text += ` continuation.actions=${formatActions(p.actions, names)}\n`;
  if (p.actionSet.length > 0) text += ` continuation.action_set=${formatActions(p.actionSet, names)}\n`;
  if (p.odpPort !== 0) text += ` continuation.odp_port=${p.odpPort}\n`;
  return text;
}

function formatBuffer({ bufferId, totalLen, packet: bytes }: PacketIn): string {
  if (bufferId === UNKNOWN32)
    return ` (unbuffered)${totalLen === bytes.length ? '' : ' (***total_len != data_len***)'}`;
  const isOdd = totalLen < bytes.length ? ' (***total_len < data_len***)' : '';
  return ` buffer=0x${bufferId.toString(16).padStart(8, '0')}${isOdd}`;
}

function packetIn(pin: PacketIn, state: PacketInPrivate | undefined, c: PrintCtx): string {
  const { names, verbosity } = c;
  const hasTable = pin.tableId !== 0 || names.tables?.nameOf(pin.tableId) !== undefined;
  let text = hasTable ? ` table_id=${formatTable(pin.tableId, names.tables)}` : '';
  if (pin.cookie !== UNKNOWN64) text += ` cookie=0x${pin.cookie.toString(16)}`;
  text += ` total_len=${pin.totalLen} ${formatMatch(pin.flowMetadata, undefined, names)}`;
  text += ` (via ${formatReason(pin.reason)}) data_len=${pin.packet.length}${formatBuffer(pin)}\n`;
  if (pin.userdata.length > 0) {
    text += ` userdata=${Array.from(pin.userdata, (b) => b.toString(16).padStart(2, '0')).join('.')}\n`;
  }
  if (state !== undefined) text += formatPrivate(state, c);
  if (verbosity > 0) text += packet(pin.packet, pin.flowMetadata);
  return verbosity > 2 ? text + hexDump(pin.packet, true) : text;
}

export const PACKET_PRINTERS: Printers = {
  packet_in(pin, c) {
    const state = pin.continuation === undefined ? undefined : decodeContinuation(pin.continuation, c.version);
    return packetIn(pin, state, c);
  },
  nxt_resume: (resume, c) => packetIn(resume.packetIn, resume.private, c),
  packet_out(po, { names, verbosity }) {
    const text = ` ${formatMatch(po.flowMetadata, undefined, names)} actions=${formatActions(po.ofpacts, names)}`;
    if (po.bufferId !== UNKNOWN32) return `${text} buffer=0x${po.bufferId.toString(16).padStart(8, '0')}`;
    const shown = verbosity > 0 && po.packet.length > 0 ? `\n${packet(po.packet, po.flowMetadata)}` : '';
    return `${text} data_len=${po.packet.length}${shown}${verbosity > 2 ? hexDump(po.packet, true) : ''}`;
  },
};
