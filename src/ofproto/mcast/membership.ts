/**
 * What hosts and routers say about multicast groups: IGMPv1, v2 and v3 over IPv4, MLDv1 and v2 over IPv6.
 *
 *     IGMPv1, v2   type | max resp | checksum | group (4)
 *     IGMPv3       type | 0 | checksum | 0 (2) | number of records (2) | records ...
 *     MLDv1        type | code | checksum | delay (2) | 0 (2) | group (16)
 *     MLDv2        type | 0 | checksum | 0 (2) | number of records (2) | records ...
 *     record       type | size of auxiliary data | number of sources (2) | group (4 or 16) | sources ... | auxiliary data
 *
 * Sources: RFC 1112, 2236, 3376, 2710, 3810; lib/mcast-snooping.c (mcast_snooping_add_report, mcast_snooping_add_mld).
 */
import { foldSum, pseudoSum, sumBytes } from '../../packet/checksum.ts';
import { ETH_TYPE, isVlanType } from '../../packet/ethernet.ts';
import { IP, IPPROTO, IPV6 } from '../../packet/ip.ts';
import { formatIpv4, formatIpv6 } from '../../util/inet.ts';

// biome-ignore format: table
export const IGMP = { QUERY: 0x11, V1_REPORT: 0x12, V2_REPORT: 0x16, LEAVE: 0x17, V3_REPORT: 0x22 } as const;
export const MLD = { QUERY: 130, REPORT: 131, DONE: 132, V2_REPORT: 143 } as const;

/** Types of records; those from 5 on are about sources. */
const RECORD = { IS_INCLUDE: 1, TO_INCLUDE: 3, LAST: 6 } as const;
const HEADER_SIZE = 8;

/** One group that a message is about. */
export interface Membership {
  /** As text. */
  readonly group: string;
  readonly joins: boolean;
}

export interface GroupMessage {
  /** IGMP.* or MLD.*. */
  readonly type: number;
  /** Whether the checksum is right: else it is not to be believed, and nothing more is said of it. */
  readonly isIntact: boolean;
  /** Whether the sender has an address: a router that asks has one. */
  readonly hasSource: boolean;
  /** Empty in queries. */
  readonly memberships: readonly Membership[];
}

interface Body {
  readonly view: DataView;
  readonly isIpv6: boolean;
  /** Where the IP header, the message and what follows it begin. */
  readonly l3: number;
  readonly at: number;
  readonly end: number;
}

/** Reads the message in an Ethernet frame; undefined if there is none, or it ends too early. */
export function readGroupMessage(frame: Uint8Array): GroupMessage | undefined {
  const body = findBody(new DataView(frame.buffer, frame.byteOffset, frame.byteLength));
  if (body === undefined || body.end - body.at < HEADER_SIZE) return undefined;
  const { view, isIpv6, l3, at, end } = body;
  const type = view.getUint8(at);
  const addresses = isIpv6 ? { at: l3 + IPV6.SRC, size: 16 } : { at: l3 + IP.SRC, size: 4 };
  const pseudo = isIpv6 ? pseudoSum(view, addresses.at, 32, IPPROTO.ICMPV6, end - at) : 0;
  const isIntact = foldSum(sumBytes(view, at, end - at, pseudo)) === 0xffff;
  const hasSource = frame.subarray(addresses.at, addresses.at + addresses.size).some((b) => b !== 0);
  return { type, isIntact, hasSource, memberships: isIntact ? membershipsOf(body, type) : [] };
}

function membershipsOf(body: Body, type: number): Membership[] {
  const { isIpv6, at, end } = body;
  if (type === (isIpv6 ? MLD.V2_REPORT : IGMP.V3_REPORT)) return readRecords(body);
  const group = at + (isIpv6 ? 8 : 4);
  if (group + groupSize(body) > end) return [];
  switch (type) {
    case IGMP.V1_REPORT:
    case IGMP.V2_REPORT:
    case MLD.REPORT:
      return [{ group: addressAt(body, group), joins: true }];
    case IGMP.LEAVE:
    case MLD.DONE:
      return [{ group: addressAt(body, group), joins: false }];
    default:
      return [];
  }
}

const groupSize = ({ isIpv6 }: Body): number => (isIpv6 ? 16 : 4);

function addressAt({ view, isIpv6 }: Body, at: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, isIpv6 ? 16 : 4);
  return isIpv6 ? formatIpv6(bytes) : formatIpv4(bytes);
}

/** Of records of an unknown type only the size counts. */
function readRecords(body: Body): Membership[] {
  const { view, at, end } = body;
  const size = groupSize(body);
  const found: Membership[] = [];
  let record = at + HEADER_SIZE;
  for (let left = view.getUint16(at + 6); left > 0 && record + 4 + size <= end; left--) {
    const type = view.getUint8(record);
    const nSources = view.getUint16(record + 2);
    if (type >= RECORD.IS_INCLUDE && type <= RECORD.LAST) {
      // To include no source is to leave.
      const joins = nSources > 0 || (type !== RECORD.IS_INCLUDE && type !== RECORD.TO_INCLUDE);
      found.push({ group: addressAt(body, record + 4), joins });
    }
    record += 4 + size + nSources * size + 4 * view.getUint8(record + 1);
  }
  return found;
}

function findBody(view: DataView): Body | undefined {
  let l3 = 14;
  while (l3 + 4 <= view.byteLength && isVlanType(view.getUint16(l3 - 2))) l3 += 4;
  if (l3 > view.byteLength) return undefined;
  switch (view.getUint16(l3 - 2)) {
    case ETH_TYPE.IP:
      return inIpv4(view, l3);
    case ETH_TYPE.IPV6:
      return inIpv6(view, l3);
    default:
      return undefined;
  }
}

function inIpv4(view: DataView, l3: number): Body | undefined {
  if (l3 + IP.HLEN > view.byteLength || view.getUint8(l3 + IP.PROTO) !== IPPROTO.IGMP) return undefined;
  const at = l3 + ((view.getUint8(l3) & 15) << 2);
  const end = l3 + view.getUint16(l3 + IP.TOTAL);
  return end > view.byteLength ? undefined : { view, isIpv6: false, l3, at, end };
}

function inIpv6(view: DataView, l3: number): Body | undefined {
  if (l3 + IPV6.HLEN > view.byteLength) return undefined;
  const end = l3 + IPV6.HLEN + view.getUint16(l3 + IPV6.LEN);
  if (end > view.byteLength) return undefined;
  let next = view.getUint8(l3 + IPV6.NEXT);
  let at = l3 + IPV6.HLEN;
  while (next === IPPROTO.HOPOPTS || next === IPPROTO.ROUTING || next === IPPROTO.DSTOPTS) {
    if (at + 8 > end) return undefined;
    next = view.getUint8(at);
    at += (view.getUint8(at + 1) + 1) << 3;
  }
  return next === IPPROTO.ICMPV6 ? { view, isIpv6: true, l3, at, end } : undefined;
}
