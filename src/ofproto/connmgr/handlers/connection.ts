/**
 * Requests about the connection itself: echo, barrier, role, asynchronous messages, Nicira's settings.
 * Source: ofproto/ofproto.c (handle_role_request, handle_nxt_*), nicira-ext.h.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ROLE } from '../../../openflow/messages/flow/flow-types.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import { PACKET_IN_FORMAT } from '../events/packet-ins.ts';
import type { Handler, Handlers } from '../handler.ts';
import { DEFAULT_MISS_SEND_LEN } from '../ofconn.ts';

/** Generations are of all connections: what others have sent before is to be handled before, so that each has its turn. */
const roleRequest: Handler<'role_request'> = async (conn, msg, { conns }) => {
  await nextTurn();
  if (!conn.isOpen) return;
  const { role, generationId } = msg.body;
  if (role !== ROLE.NOCHANGE) {
    if (role !== ROLE.EQUAL && generationId !== undefined && !conns.takeGeneration(generationId)) {
      throw new OfpError(OFPERR.OFPRRFC_STALE, `generation ${generationId}`);
    }
    if (role === ROLE.PRIMARY) conns.makePrimary(conn);
    conn.role = role;
  }
  conn.reply('role_reply', { role: conn.role, generationId: conns.generationId }, msg);
};

const setAsync: Handler<'set_async_config'> = (conn, msg) => {
  conn.setAsync(msg.body);
  if (conn.kind === 'service' && conn.missSendLen === 0) conn.missSendLen = DEFAULT_MISS_SEND_LEN;
};

/** NXFF_*. */
const FLOW_FORMATS: readonly number[] = [0, 2];

export const CONNECTION_HANDLERS = {
  echo_request: (conn, msg) => conn.reply('echo_reply', msg.body, msg),
  echo_reply: () => {},
  barrier_request: (conn, msg) => conn.reply('barrier_reply', undefined, msg),
  role_request: roleRequest,
  get_async_request: (conn, msg) => conn.reply('get_async_reply', conn.asyncConfig, msg),
  set_async_config: setAsync,
  set_controller_id: (conn, msg, { conns }) => {
    conn.controllerId = msg.body;
    conns.missesMayBeWanted();
  },
  set_packet_in_format: (conn, msg) => {
    if (msg.body > PACKET_IN_FORMAT.NXT2) throw new OfpError(OFPERR.OFPBRC_EPERM, `packet_in format ${msg.body}`);
    conn.packetInFormat = msg.body;
  },
  set_flow_format: (conn, msg) => {
    if (!FLOW_FORMATS.includes(msg.body)) throw new OfpError(OFPERR.OFPBRC_EPERM, `flow format ${msg.body}`);
    conn.flowFormat = msg.body;
  },
  flow_mod_table_id: (conn, msg) => {
    conn.hasFlowModTableId = msg.body;
  },
  // Deprecated, and without effect: every reply tells ages where it can.
  flow_age: () => {},
} satisfies Handlers;
