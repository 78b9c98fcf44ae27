/**
 * Requests for flow monitors.
 * Source: ofproto/ofproto.c (handle_flow_monitor_request, handle_flow_monitor_cancel).
 */

import { bindMatch } from '../../../openflow/fields/tlv-bind.ts';
import { type FlowMonitorRequest, MONITOR_COMMAND, OFPTT_ALL } from '../../../openflow/messages/flow/flow-types.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import { N_TABLES } from '../../tables/flow-transaction.ts';
import type { Handler, Handlers } from '../handler.ts';
import type { OfConn } from '../ofconn.ts';

const unknown = (id: number): OfpError => new OfpError(OFPERR.OFPMOFC_UNKNOWN_MONITOR, `no flow monitor ${id}`);

/** Carries out one request; true if there is a new monitor.  Throws OfpError. */
function carryOut({ monitors }: OfConn, rq: FlowMonitorRequest): boolean {
  if (rq.command === MONITOR_COMMAND.DELETE || rq.command === MONITOR_COMMAND.MODIFY) {
    if (!monitors.delete(rq.id)) throw unknown(rq.id);
    if (rq.command === MONITOR_COMMAND.DELETE) return false;
  } else if (monitors.has(rq.id)) {
    throw new OfpError(OFPERR.OFPMOFC_MONITOR_EXISTS, `flow monitor ${rq.id} is there already`);
  }
  if (rq.tableId !== OFPTT_ALL && rq.tableId >= N_TABLES) throw new OfpError(OFPERR.OFPBRC_BAD_TABLE_ID);
  monitors.set(rq);
  return true;
}

const flowMonitorRequest: Handler<'flow_monitor_stats_request'> = (conn, msg, sw) => {
  const made: FlowMonitorRequest[] = [];
  conn.monitors.tlvTable = sw.tlvTable;
  try {
    for (const asked of msg.body) {
      const rq = { ...asked, match: bindMatch(asked.match, sw.tlvTable) };
      if (carryOut(conn, rq)) made.push(rq);
    }
  } catch (e) {
    for (const { id } of made) conn.monitors.delete(id);
    throw e;
  }
  conn.replyList('flow_monitor_stats_reply', conn.monitors.initialUpdates(sw.tables, made), msg);
};

const flowMonitorCancel: Handler<'flow_monitor_cancel'> = (conn, { body: id }) => {
  if (!conn.monitors.delete(id)) throw unknown(id);
};

export const MONITOR_HANDLERS = {
  flow_monitor_stats_request: flowMonitorRequest,
  flow_monitor_cancel: flowMonitorCancel,
} satisfies Handlers;
