/**
 * Flows of packets as text: every field that the packet has, and of its metadata what is not 0; as `ofproto/trace`, packet-ins and logs
 * show them.  Source: lib/flow.c (flow_format, flow_wildcards_init_for_packet).
 */
import { FIELD as F, type Field, TUN_F } from '../../flow/fields.ts';
import {
  type FlowKey,
  type FlowMask,
  getField,
  isFieldSet,
  newFlow,
  setField,
  setFieldOnes,
} from '../../flow/flow-key.ts';
import { unbindMatch } from '../fields/tlv-bind.ts';
import type { TlvTable } from '../fields/tlv-table.ts';
import type { OfpNames } from '../ofp-names.ts';
import { DEFAULT_PRIORITY, formatMatch } from './match-text.ts';

const ETH = { IP: 0x0800, ARP: 0x0806, RARP: 0x8035, IPV6: 0x86dd, MPLS: 0x8847, MPLS_MCAST: 0x8848, NSH: 0x894f };
const IPPROTO = { ICMP: 1, IGMP: 2, TCP: 6, UDP: 17, ICMPV6: 58, SCTP: 132 };
const WITH_PORTS: ReadonlySet<number> = new Set(Object.values(IPPROTO));
const ND_TYPES: ReadonlySet<number> = new Set([135, 136]);
const BOS = 0x100;
const FRAG_LATER = 2;

// biome-ignore format: table
const TUNNEL: readonly Field[] = [
  F.tunSrc, F.tunDst, F.tunIpv6Src, F.tunIpv6Dst, F.tunFlags, F.tunTos, F.tunTtl, F.tunTpSrc, F.tunTpDst, F.tunGbpId, F.tunGbpFlags,
  F.tunErspanVer, F.tunErspanIndex, F.tunErspanDir, F.tunErspanHwid, F.tunGtpuFlags, F.tunGtpuMsgtype,
];
const CT_TUPLE: readonly Field[] = [F.ctNwProto, F.ctTpSrc, F.ctTpDst];
const CT_ORIGINAL: readonly Field[] = [...CT_TUPLE, F.ctNwSrc, F.ctNwDst, F.ctIpv6Src, F.ctIpv6Dst];
/** Bits of ct_state; KNOWN are those that only known connections have. */
const CT = { KNOWN: 0xcf, INVALID: 0x10, TRACKED: 0x20 };
const IP: readonly Field[] = [F.nwTos, F.nwTtl, F.nwProto, ...CT_TUPLE];
const NSH: readonly Field[] = [
  F.nshFlags,
  F.nshTtl,
  F.nshMdtype,
  F.nshNp,
  F.nshPathHdr,
  F.nshC1,
  F.nshC2,
  F.nshC3,
  F.nshC4,
];
const REGS: readonly Field[] = Array.from({ length: 16 }, (_, i) => F[`reg${i}` as keyof typeof F]);
/** Zero says nothing of them. */
// biome-ignore format: table
const METADATA: readonly Field[] = [
  F.inPort, F.skbPriority, F.skbMark, F.recircId, F.dpHash, F.ctState, F.ctZone, F.ctMark, F.ctLabels, ...REGS, F.metadata,
];

/** The mask of all that a packet like `flow` has, registers and metadata too; not of the action set's output. */
export function maskForPacket(flow: FlowKey): FlowMask {
  const mask = newFlow();
  const ones = (...fields: readonly Field[]): void => {
    for (const f of fields) setFieldOnes(mask, f);
  };
  if (isFieldSet(flow, F.tunDst) || isFieldSet(flow, F.tunIpv6Dst)) {
    if ((getField(flow, F.tunFlags) & TUN_F.KEY) !== 0) ones(F.tunId);
    ones(...TUNNEL);
    if (isFieldSet(flow, F.tunMetaPresent)) {
      mask.set(flow.subarray(F.tunMetaPresent.word, F.tunMeta.word), F.tunMetaPresent.word);
      mask.fill(-1, F.tunMeta.word);
    }
  } else if (isFieldSet(flow, F.tunId)) ones(F.tunId);
  ones(...METADATA, F.packetType);

  const packetType = getField(flow, F.packetType);
  if (packetType === 0) {
    ones(F.ethDst, F.ethSrc, F.ethType, F.vlanTpid, F.vlanTci);
    if (getField(flow, F.vlanTci) !== 0) ones(F.cvlanTpid, F.cvlanTci);
  }
  // A flow that somebody wrote may have a packet type and no ethertype: nothing behind them is known then.
  maskLayer3(flow, getField(flow, F.ethType), mask, ones);
  return mask;
}

function maskLayer3(flow: FlowKey, type: number, mask: FlowMask, ones: (...fields: readonly Field[]) => void): void {
  const proto = getField(flow, F.nwProto);
  switch (type) {
    case ETH.IP:
      ones(F.nwSrc, F.nwDst, F.ctNwSrc, F.ctNwDst);
      break;
    case ETH.IPV6:
      ones(F.ipv6Src, F.ipv6Dst, F.ipv6Label);
      if (proto === IPPROTO.ICMPV6 && ND_TYPES.has(getField(flow, F.tpSrc)) && getField(flow, F.tpDst) === 0) {
        ones(F.arpSha, F.arpTha, F.ndTarget);
      } else ones(F.ctIpv6Src, F.ctIpv6Dst);
      break;
    case ETH.ARP:
    case ETH.RARP:
      ones(F.nwSrc, F.nwDst, F.nwProto, F.arpSha, F.arpTha);
      return;
    case ETH.MPLS:
    case ETH.MPLS_MCAST:
      for (const lse of [F.mplsLse0, F.mplsLse1, F.mplsLse2]) {
        ones(lse);
        if ((getField(flow, lse) & BOS) !== 0) break;
      }
      return;
    case ETH.NSH:
      ones(...NSH);
      break;
    default:
      return;
  }
  setField(mask, F.nwFrag, 3);
  ones(...IP);
  if ((getField(flow, F.nwFrag) & FRAG_LATER) !== 0 || !WITH_PORTS.has(proto)) return;
  ones(F.tpSrc, F.tpDst);
  if (proto === IPPROTO.TCP) ones(F.tcpFlags);
}

function clear(mask: FlowMask, f: Field): void {
  if (f.bits <= 32) setField(mask, f, 0);
  else mask.fill(0, f.word, f.word + f.bits / 32);
}

/** `tcp,in_port=1,vlan_tci=0x0000,dl_src=...`: a packet's flow.  Without a TLV table it has no tun_metadata. */
export function formatFlow(flow: FlowKey, names: OfpNames = {}, tlvTable?: TlvTable): string {
  const mask = maskForPacket(flow);
  for (const f of METADATA) {
    if (!isFieldSet(flow, f)) clear(mask, f);
  }
  // Of a connection that connection tracking could not tell there is no original direction.
  const state = getField(flow, F.ctState);
  const isKnown = (state & CT.KNOWN) !== 0 || (state & (CT.TRACKED | CT.INVALID)) === CT.TRACKED;
  if (!isKnown || getField(flow, F.ctNwProto) === 0) for (const f of CT_ORIGINAL) clear(mask, f);
  const match = tlvTable === undefined ? { flow, mask } : unbindMatch({ flow, mask }, tlvTable);
  return formatMatch(match, DEFAULT_PRIORITY, names);
}
