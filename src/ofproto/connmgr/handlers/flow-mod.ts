/**
 * Changes of flows.
 * Source: ofproto/ofproto.c (handle_flow_mod, ofproto_flow_mod_init, ofproto_check_ofpacts), lib/ofp-flow.c (ofputil_decode_flow_mod).
 */
import { checkActionsConsistency } from '../../../openflow/actions/check.ts';
import { bindActions, bindMatch } from '../../../openflow/fields/tlv-bind.ts';
import type { TlvTable } from '../../../openflow/fields/tlv-table.ts';
import { type FlowMod, type Match, OFPFC, OFPTT_ALL, UNKNOWN32 } from '../../../openflow/messages/flow/flow-types.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import { OFPUTIL_P } from '../../../openflow/ofp-protocol.ts';
import type { Ofpact } from '../../../openflow/ofpact.ts';
import { N_TABLES } from '../../tables/flow-transaction.ts';
import { inTurns } from '../../tables/turns.ts';
import type { Handlers } from '../handler.ts';
import type { OfConn } from '../ofconn.ts';

/** The protocol in which a connection tells of flows, as OFPUTIL_P bits. */
export function protocolOf(conn: OfConn): number {
  if (conn.version > 1) return OFPUTIL_P.OF11_STD << (conn.version - 2);
  const [plain, withTable] =
    conn.flowFormat === 0 ? [OFPUTIL_P.OF10_STD, OFPUTIL_P.OF10_STD_TID] : [OFPUTIL_P.OF10_NXM, OFPUTIL_P.OF10_NXM_TID];
  return conn.hasFlowModTableId ? withTable : plain;
}

/** Actions that make sense for `match`; whether there are the groups and meters that they name is another question.  Throws OfpError. */
export function checkForMatch(
  actions: readonly Ofpact[],
  match: Match,
  tableId: number,
  conn: OfConn,
): readonly Ofpact[] {
  const options = { match, tableId, maxPorts: OFPP.MAX, nTables: N_TABLES };
  return checkActionsConsistency(actions, protocolOf(conn), options).actions;
}

const isDelete = (fm: FlowMod): boolean => fm.command === OFPFC.DELETE || fm.command === OFPFC.DELETE_STRICT;

/** A flow_mod of a connection, checked, and ready to be applied.  Throws OfpError. */
export function prepareFlowMod(conn: OfConn, fm: FlowMod, tlvTable: TlvTable): FlowMod {
  // Actions of a deletion are not looked at, but in their form.
  const tableId = fm.tableId === OFPTT_ALL && fm.command === OFPFC.ADD ? 0 : fm.tableId;
  const match = bindMatch(fm.match, tlvTable);
  const ofpacts = checkForMatch(bindActions(fm.ofpacts, tlvTable), match, tableId, conn);
  if (!isDelete(fm) && fm.bufferId !== UNKNOWN32) throw new OfpError(OFPERR.OFPBRC_BUFFER_UNKNOWN);
  return match === fm.match && ofpacts === fm.ofpacts ? fm : { ...fm, match, ofpacts };
}

export const FLOW_MOD_HANDLERS = {
  flow_mod: (conn, msg, sw) => {
    const fm = prepareFlowMod(conn, msg.body, sw.tlvTable);
    let turns: Promise<void> | undefined;
    if (fm.command === OFPFC.ADD) sw.tables.apply(fm);
    else turns = inTurns(sw.tables, sw.tables.inPieces(fm), (piece) => sw.conns.act(conn, msg.xid, piece));
    conn.flowMods.count(fm.command);
    return turns;
  },
} satisfies Handlers;
