/**
 * Nicira's requests about the switch: the TLV table, tracked connections, IPFIX exporters.
 * Source: ofproto/ofproto.c (handle_tlv_table_mod, handle_nxt_ct_flush, handle_ipfix_bridge_stats_request).
 */
import { type CtMatch, flushMatching, type TupleMatch } from '../../../dpif/ct-flush.ts';
import { expandTo } from '../../../flow/minimatch.ts';
import { isMappedBy } from '../../../openflow/fields/tlv-bind.ts';
import { NXTTMC, type TlvTable } from '../../../openflow/fields/tlv-table.ts';
import { newMatch } from '../../../openflow/match/match.ts';
import type { CtFlush, CtTuple } from '../../../openflow/messages/switch/switch-types.ts';
import { OFPERR, OfpError } from '../../../openflow/ofp-errors.ts';
import { formatIpv4, formatIpv6, IPV4_SIZE } from '../../../util/inet.ts';
import { vlog } from '../../../util/vlog.ts';
import type { Rule } from '../../tables/rule.ts';
import type { Handler, Handlers } from '../handler.ts';
import type { OfSwitch } from '../of-switch.ts';

const log = vlog('ofproto');

/** Throws OfpError (NXTTMFC_INVALID_TLV_DEL) if a rule matches or writes a field that `table` has not. */
function checkFields(rule: Rule, table: TlvTable): void {
  const match = newMatch();
  expandTo(rule.match, match.flow, match.mask);
  if (!isMappedBy(match, rule.actions, table)) {
    throw new OfpError(OFPERR.NXTTMFC_INVALID_TLV_DEL, 'a flow uses a field of the mapping');
  }
}

const tlvTableMod: Handler<'nxt_tlv_table_mod'> = (_conn, msg, sw) => {
  const table = sw.tlvTable.modify(msg.body);
  if (msg.body.command !== NXTTMC.ADD) for (const rule of sw.tables.rules()) checkFields(rule, table);
  sw.tlvTable = table;
};

/** Flushes connections.  That it failed is logged; nobody is told. */
async function flush(sw: OfSwitch, zone: number | undefined, match: CtMatch | undefined): Promise<void> {
  if (sw.dpif === undefined) return;
  try {
    await flushMatching(sw.dpif, zone, match);
  } catch (error) {
    log.dbg(() => `${sw.name}: failed to flush conntrack (${(error as Error).message})`);
  }
}

const addressText = (bytes: Uint8Array): string => (bytes.length === IPV4_SIZE ? formatIpv4(bytes) : formatIpv6(bytes));

function tupleMatch(tuple: CtTuple | undefined): TupleMatch {
  const { src, dst, srcPort, dstPort, icmpId, icmpType, icmpCode } = tuple ?? {};
  return {
    src: src === undefined ? undefined : addressText(src),
    dst: dst === undefined ? undefined : addressText(dst),
    srcPort: srcPort ?? icmpId ?? 0,
    dstPort: dstPort ?? ((icmpCode ?? 0) << 8) | (icmpType ?? 0),
  };
}

/** What a request asks to match. */
export function ctMatchOf({ ipProto, orig, reply }: CtFlush): CtMatch {
  const address = orig?.src ?? orig?.dst ?? reply?.src ?? reply?.dst;
  const family = address === undefined ? undefined : address.length === IPV4_SIZE ? 'IPv4' : 'IPv6';
  return { family, proto: ipProto, orig: tupleMatch(orig), reply: tupleMatch(reply) };
}

// No exporter can be configured.
const notConfigured = (): never => {
  throw new OfpError(OFPERR.NXST_NOT_CONFIGURED, 'IPFIX');
};

export const NICIRA_HANDLERS = {
  nxt_tlv_table_mod: tlvTableMod,
  nxt_tlv_table_request: (conn, msg, sw) => conn.reply('nxt_tlv_table_reply', sw.tlvTable.describe(), msg),
  ct_flush_zone: (_conn, msg, sw) => flush(sw, msg.body, undefined),
  ct_flush: (_conn, msg, sw) => flush(sw, msg.body.zone, ctMatchOf(msg.body)),
  ipfix_bridge_stats_request: notConfigured,
  ipfix_flow_stats_request: notConfigured,
} satisfies Handlers;
