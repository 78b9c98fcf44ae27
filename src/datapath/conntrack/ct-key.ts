/**
 * What conntrack writes into a packet's flow key: state, zone, mark, labels and original tuple of its connection, and the
 * addresses and ports that NAT has changed.  Hot path.
 * Source: net/openvswitch/conntrack.c (ovs_ct_update_key, ovs_nat_update_key).
 */
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey } from '../../flow/flow-key.ts';
import { ETH_TYPE } from '../../packet/ethernet.ts';
import { IP, IPV6 } from '../../packet/ip.ts';
import type { Packet } from '../../packet/packet.ts';
import { type ConnTable, NONE } from './conn-table.ts';
import type { Connections } from './connections.ts';
import { CS_F, CTINFO, PROTO } from './ct-constants.ts';
import type { IpView } from './ip-view.ts';
import { MANIP } from './nat/nat.ts';
import { isV6Of, protoOf, T, TUPLE_WORDS } from './tuple.ts';

const W_TYPE = FIELD.ethType.word;
const W_PROTO = FIELD.nwProto.word;
const W_NW_SRC = FIELD.nwSrc.word;
const W_NW_DST = FIELD.nwDst.word;
const W_IPV6_SRC = FIELD.ipv6Src.word;
const W_IPV6_DST = FIELD.ipv6Dst.word;
const W_TP = FIELD.tpSrc.word;
const W_CT = FIELD.ctState.word; // with ctZone
const W_MARK = FIELD.ctMark.word;
const W_LABELS = FIELD.ctLabels.word;
const W_CT_PROTO = FIELD.ctNwProto.word;
const W_CT_SRC = FIELD.ctNwSrc.word;
const W_CT_DST = FIELD.ctNwDst.word;
const W_CT_IPV6 = FIELD.ctIpv6Src.word; // both addresses
const W_CT_TP = FIELD.ctTpSrc.word;

/** ct_state by CTINFO. */
const STATE_OF_INFO = new Int32Array(8).fill(CS_F.TRACKED);
STATE_OF_INFO[CTINFO.ESTABLISHED]! |= CS_F.ESTABLISHED;
STATE_OF_INFO[CTINFO.RELATED]! |= CS_F.RELATED;
STATE_OF_INFO[CTINFO.NEW]! |= CS_F.NEW;
STATE_OF_INFO[CTINFO.ESTABLISHED_REPLY]! |= CS_F.ESTABLISHED | CS_F.REPLY_DIR;
STATE_OF_INFO[CTINFO.RELATED_REPLY]! |= CS_F.RELATED | CS_F.REPLY_DIR;

/** Writes the connection that was found for the packet in `zone`, or that it is invalid. */
export function writeConnection(key: FlowKey, connections: Connections, pkt: Packet, zone: number): void {
  const conn = connections.connOf(pkt);
  if (conn === NONE) {
    writeCtState(key, connections, CS_F.TRACKED | CS_F.INVALID, zone, NONE);
    return;
  }
  let state = STATE_OF_INFO[pkt.nfctInfo]!;
  if (!connections.isConfirmed(conn)) state |= CS_F.NEW;
  if (connections.table.master[conn] !== NONE) state |= CS_F.RELATED;
  writeCtState(key, connections, state, zone, conn);
}

/** Writes `state`, and what connection `conn` has; of NONE, zeros. */
export function writeCtState(
  key: FlowKey,
  { table }: { readonly table: ConnTable },
  state: number,
  zone: number,
  conn: number,
): void {
  key[W_CT] = (state << 16) | zone;
  if (conn === NONE) {
    key[W_MARK] = 0;
    for (let i = 0; i < 4; i++) key[W_LABELS + i] = 0;
    if (key[W_CT_PROTO] !== 0) clearTuple(key);
    return;
  }
  key[W_MARK] = table.mark[conn]!;
  for (let i = 0; i < 4; i++) key[W_LABELS + i] = table.labels[4 * conn + i]!;
  const master = table.master[conn]!;
  writeTuple(key, table, master === NONE ? conn : master);
}

function clearTuple(key: FlowKey): void {
  key[W_CT_PROTO] = key[W_CT_SRC] = key[W_CT_DST] = key[W_CT_TP] = 0;
  for (let i = 0; i < 8; i++) key[W_CT_IPV6 + i] = 0;
}

/** Writes the original tuple of the connection. */
function writeTuple(key: FlowKey, { tuples }: ConnTable, conn: number): void {
  const at = 2 * conn * TUPLE_WORDS;
  const meta = tuples[at + T.META]!;
  const isV6 = isV6Of(meta);
  if (key[W_TYPE]! >>> 16 !== (isV6 ? ETH_TYPE.IPV6 : ETH_TYPE.IP)) {
    clearTuple(key);
    return;
  }
  if (isV6) {
    for (let i = 0; i < 8; i++) key[W_CT_IPV6 + i] = tuples[at + i]!;
  } else {
    key[W_CT_SRC] = tuples[at + T.SRC]!;
    key[W_CT_DST] = tuples[at + T.DST]!;
  }
  const proto = protoOf(meta);
  const ports = tuples[at + T.PORTS]!;
  key[W_CT_PROTO] = proto << 24;
  // Of ICMP, type and code, each as a port.
  const isIcmp = proto === (isV6 ? PROTO.ICMPV6 : PROTO.ICMP);
  key[W_CT_TP] = isIcmp ? ((ports & 0xff00) << 8) | (ports & 0xff) : ports;
}

/** Writes what NAT has changed of the packet, source or destination as `manip` (MANIP) says. */
export function writeTranslated(key: FlowKey, { isV6, view, l3, l4 }: IpView, manip: number): void {
  const isSource = manip === MANIP.SRC;
  key[W_CT]! |= (isSource ? CS_F.SRC_NAT : CS_F.DST_NAT) << 16;
  if (isV6) {
    const word = isSource ? W_IPV6_SRC : W_IPV6_DST;
    const at = l3 + (isSource ? IPV6.SRC : IPV6.DST);
    for (let i = 0; i < 4; i++) key[word + i] = view.getInt32(at + 4 * i);
  } else {
    key[isSource ? W_NW_SRC : W_NW_DST] = view.getInt32(l3 + (isSource ? IP.SRC : IP.DST));
  }
  const proto = key[W_PROTO]! >>> 24;
  if (l4 === 0 || (proto !== PROTO.TCP && proto !== PROTO.UDP && proto !== PROTO.SCTP)) return;
  key[W_TP] = isSource
    ? (view.getUint16(l4) << 16) | (key[W_TP]! & 0xffff)
    : (key[W_TP]! & 0xffff0000) | view.getUint16(l4 + 2);
}
