/**
 * Messages about the connection as text: hello, errors, echoes, roles, masks, bundles, settings of Nicira's.
 * Source: lib/ofp-util.c (ofputil_hello_format), lib/ofp-errors.c (ofperr_msg_format), lib/ofp-connection.c, lib/ofp-bundle.c.
 */
import { formatReason } from '../actions/packet-in-reason.ts';
import {
  ASYNC_TYPES,
  type AsyncConfig,
  type AsyncType,
  BUNDLE_FLAG,
  type EchoMsg,
  type RoleMsg,
  UNKNOWN64,
} from '../messages/flow/flow-types.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import { OFP_HEADER_SIZE } from '../ofp-header.ts';
import { decodeHello, listVersions } from '../ofp-version.ts';
import { type BitNames, formatBits, formatPrintable, hexDump, type PrintCtx, type Printers } from './printer.ts';
import { formatFlowRemovedReason } from './reasons.ts';

const ROLES = ['nochange', 'equal', 'primary', 'secondary'] as const;
const ROLE_REASONS = ['primary_request', 'configuration_changed', 'experimenter_data_changed'] as const;
const PACKET_IN_FORMATS = ['standard', 'nxt_packet_in', 'nxt_packet_in2'] as const;
const NXFF = { OPENFLOW10: 0, NXM: 2 } as const;

function formatRole(role: number, generationId: bigint | undefined): string {
  const generation = generationId === undefined || generationId === UNKNOWN64 ? '' : ` generation_id=${generationId}`;
  return ` role=${ROLES[role] ?? role}${generation}`;
}
const role = ({ role: r, generationId }: RoleMsg): string => formatRole(r, generationId);

function echo({ data }: EchoMsg, { bytes, verbosity }: PrintCtx): string {
  const text = ` ${bytes.length - OFP_HEADER_SIZE} bytes of payload\n`;
  return verbosity > 1 ? text + hexDump(data) : text;
}

const numbered =
  (names: Readonly<Record<number, string>>) =>
  (reason: number): string =>
    names[reason] ?? String(reason);

// biome-ignore format: table
const ASYNC: Readonly<Record<AsyncType, readonly [title: string, reason: (n: number) => string]>> = {
  packetIn:       ['PACKET_IN',      formatReason],
  portStatus:     ['PORT_STATUS',    numbered({ 0: 'add', 1: 'delete', 2: 'modify' })],
  flowRemoved:    ['FLOW_REMOVED',   formatFlowRemovedReason],
  roleStatus:     ['ROLE_STATUS',    numbered(ROLE_REASONS)],
  tableStatus:    ['TABLE_STATUS',   numbered({ 3: 'vacancy_down', 4: 'vacancy_up' })],
  requestForward: ['REQUESTFORWARD', numbered({ 0: 'group_mod_request', 1: 'meter_mod_request' })],
};

function asyncConfig(config: AsyncConfig): string {
  let text = '';
  for (const who of ['primary', 'secondary'] as const) {
    text += `\n ${who}:\n`;
    for (const type of ASYNC_TYPES) {
      const [title, reason] = ASYNC[type];
      const mask = config[who][type] ?? 0;
      text += `${title.padStart(16)}:`;
      for (let i = 0; i < 32; i++) {
        const name = (mask & (1 << i)) === 0 ? '' : reason(i);
        if (name !== '') text += ` ${name}`;
      }
      text += mask === 0 ? ' (off)\n' : '\n';
    }
  }
  return text;
}

// biome-ignore format: list
const BUNDLE_TYPES = [
  'OPEN_REQUEST', 'OPEN_REPLY', 'CLOSE_REQUEST', 'CLOSE_REPLY', 'COMMIT_REQUEST', 'COMMIT_REPLY', 'DISCARD_REQUEST', 'DISCARD_REPLY',
] as const;
const BUNDLE_FLAGS: BitNames = [
  [BUNDLE_FLAG.ATOMIC, 'atomic'],
  [BUNDLE_FLAG.ORDERED, 'ordered'],
];
const bundleId = (id: number): string => (id === 0 ? '0' : `0x${id.toString(16)}`);

export const CONNECTION_PRINTERS: Printers = {
  hello({ versions }, { bytes }) {
    const unknown = decodeHello(bytes).isClean ? '' : `\n unknown data in hello:\n${hexDump(bytes)}`;
    return `\n version bitmap: ${listVersions(versions)}${unknown}`;
  },
  error({ err, data }, c) {
    if (err === undefined) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, 'an error that is not known');
    // The data of these is a text, that of others the message that was wrong.
    const isText = err === OFPERR.OFPHFC_INCOMPATIBLE || err === OFPERR.OFPHFC_EPERM;
    return ` ${err.name}\n${isText ? formatPrintable(data) : c.nested(data, 1)}`;
  },
  echo_request: echo,
  echo_reply: echo,
  role_request: role,
  role_reply: role,
  role_status: (s) => `${formatRole(s.role, s.generationId)} reason=${ROLE_REASONS[s.reason] ?? '(unknown)'}`,
  get_async_reply: asyncConfig,
  set_async_config: asyncConfig,
  bundle_control({ bundleId: id, type, flags }) {
    return `\n bundle_id=${bundleId(id)} type=${BUNDLE_TYPES[type] ?? ''} flags=${formatBits(flags, BUNDLE_FLAGS)}`;
  },
  bundle_add_message({ bundleId: id, flags, message }, c) {
    return `\n bundle_id=${bundleId(id)} flags=${formatBits(flags, BUNDLE_FLAGS)}\n${c.nested(message, c.verbosity)}`;
  },
  set_controller_id: (id) => ` id=${id}`,
  flow_mod_table_id: (isOn) => ` ${isOn ? 'enable' : 'disable'}`,
  set_flow_format(format) {
    return ` format=${format === NXFF.OPENFLOW10 ? 'openflow10' : format === NXFF.NXM ? 'nxm' : '(unknown)'}`;
  },
  set_packet_in_format: (format) => ` format=${PACKET_IN_FORMATS[format] ?? format}`,
};
