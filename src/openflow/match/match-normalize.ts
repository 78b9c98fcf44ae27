/**
 * Normalization: a match forgets the fields that no packet of it can have.
 *
 * Matches of OpenFlow 1.0 may name any field; those that do not go with the type and protocol that they ask for have no meaning.
 * Source: OpenFlow 1.0.2 3.4, lib/ofp-match.c (ofputil_normalize_match).
 */
import { fillBits, getBits } from '../../flow/bits.ts';
import { FIELD, type FieldName, OF_FLOW_WORDS } from '../../flow/fields.ts';
import type { FlowMask } from '../../flow/flow-key.ts';
import type { Match } from './match.ts';

const ETH = { IP: 0x0800, ARP: 0x0806, RARP: 0x8035, IPV6: 0x86dd, MPLS: 0x8847, MPLS_MCAST: 0x8848 };
const IPPROTO = { ICMP: 1, TCP: 6, UDP: 17, SCTP: 132, ICMPV6: 58 };
const ND = { SOLICIT: 135, ADVERT: 136 };

/** Fields that not every packet has; what is in none of the groups is never forgotten. */
const GROUPS = {
  ethernet: ['ethSrc', 'ethDst'],
  address: ['nwSrc', 'nwDst'],
  ports: ['tpSrc', 'tpDst'],
  proto: ['nwProto'],
  ip: ['nwTos', 'nwTtl'],
  sha: ['arpSha'],
  tha: ['arpTha'],
  ipv6: ['ipv6Src', 'ipv6Dst', 'ipv6Label'],
  target: ['ndTarget'],
  mpls: ['mplsLse0', 'mplsLse1', 'mplsLse2'],
} as const satisfies Record<string, readonly FieldName[]>;
type Group = keyof typeof GROUPS;

/** A set of groups is a number: a bit for each. */
const NAMES = Object.keys(GROUPS) as readonly Group[];
const setOf = (...groups: readonly Group[]): number =>
  groups.reduce((set, group) => set | (1 << NAMES.indexOf(group)), 0);
const ETHERNET = setOf('ethernet');
const IPV4 = setOf('proto', 'ip', 'address');
const IPV6 = setOf('proto', 'ip', 'ipv6');
const ARP = setOf('proto', 'address', 'sha', 'tha');
const MPLS = setOf('mpls');
const PORTS = setOf('ports');
const SOLICIT = setOf('target', 'sha');
const ADVERT = setOf('target', 'tha');

const value = ({ flow }: Match, name: FieldName): number => getBits(flow, FIELD[name].at, FIELD[name].bits);

const hasPorts = (proto: number): boolean => proto === IPPROTO.TCP || proto === IPPROTO.UDP || proto === IPPROTO.SCTP;

/** What packets of a match can have. */
function groupsOf(match: Match): number {
  const packetType = value(match, 'packetType');
  const groups = packetType === 0 ? ETHERNET : 0;
  const proto = value(match, 'nwProto');
  switch (packetType === 0 ? value(match, 'ethType') : packetType) {
    case ETH.IP:
      return groups | IPV4 | (hasPorts(proto) || proto === IPPROTO.ICMP ? PORTS : 0);
    case ETH.IPV6: {
      const icmpType = proto === IPPROTO.ICMPV6 ? value(match, 'tpSrc') : 0;
      const nd = icmpType === ND.SOLICIT ? SOLICIT : icmpType === ND.ADVERT ? ADVERT : 0;
      return groups | IPV6 | nd | (hasPorts(proto) || proto === IPPROTO.ICMPV6 ? PORTS : 0);
    }
    case ETH.ARP:
    case ETH.RARP:
      return groups | ARP;
    case ETH.MPLS:
    case ETH.MPLS_MCAST:
      return groups | MPLS;
    default:
      return groups;
  }
}

/** By set of groups: the bits of all fields but those of other groups. */
const allowed = new Map<number, FlowMask>();

function allowedBits(groups: number): FlowMask {
  const known = allowed.get(groups);
  if (known !== undefined) return known;
  const bits = new Int32Array(OF_FLOW_WORDS).fill(-1);
  for (const [i, group] of NAMES.entries()) {
    if ((groups & (1 << i)) !== 0) continue;
    for (const name of GROUPS[group]) fillBits(bits, FIELD[name].at, FIELD[name].bits, false);
  }
  allowed.set(groups, bits);
  return bits;
}

/** Whether a match names no field that its packets cannot have.  Hot path of flow_mods of OpenFlow 1.0. */
export function isNormalMatch(match: Match): boolean {
  const bits = allowedBits(groupsOf(match));
  for (let w = 0; w < bits.length; w++) if (((match.mask[w] as number) & ~(bits[w] as number)) !== 0) return false;
  return true;
}

/** Normalizes a match in its place; whether that changed it. */
export function normalizeMatch(match: Match): boolean {
  if (isNormalMatch(match)) return false;
  const bits = allowedBits(groupsOf(match));
  for (let w = 0; w < bits.length; w++) {
    match.mask[w] = (match.mask[w] as number) & (bits[w] as number);
    match.flow[w] = (match.flow[w] as number) & (bits[w] as number);
  }
  return true;
}
