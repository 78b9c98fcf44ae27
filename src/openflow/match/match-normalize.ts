/**
 * Normalization: a match forgets the fields that no packet of it can have.
 *
 * Matches of OpenFlow 1.0 may name any field; those that do not go with the type and protocol that they ask for have no meaning.
 * Source: OpenFlow 1.0.2 3.4, lib/ofp-match.c (ofputil_normalize_match).
 */
import { areBitsZero, fillBits, getBits } from '../../flow/bits.ts';
import { FIELD, type FieldName } from '../../flow/fields.ts';
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

const value = ({ flow }: Match, name: FieldName): number => getBits(flow, FIELD[name].at, FIELD[name].bits);

/** What packets of a match can have. */
function groupsOf(match: Match): Set<Group> {
  const packetType = value(match, 'packetType');
  const groups = new Set<Group>(packetType === 0 ? ['ethernet'] : []);
  const type = packetType === 0 ? value(match, 'ethType') : packetType;
  const proto = value(match, 'nwProto');
  const add = (...names: Group[]) => {
    for (const name of names) groups.add(name);
  };
  const hasPorts = [IPPROTO.TCP, IPPROTO.UDP, IPPROTO.SCTP].includes(proto);
  if (type === ETH.IP) {
    add('proto', 'ip', 'address');
    if (hasPorts || proto === IPPROTO.ICMP) add('ports');
  } else if (type === ETH.IPV6) {
    add('proto', 'ip', 'ipv6');
    if (hasPorts || proto === IPPROTO.ICMPV6) add('ports');
    const icmpType = proto === IPPROTO.ICMPV6 ? value(match, 'tpSrc') : 0;
    if (icmpType === ND.SOLICIT) add('target', 'sha');
    else if (icmpType === ND.ADVERT) add('target', 'tha');
  } else if (type === ETH.ARP || type === ETH.RARP) {
    add('proto', 'address', 'sha', 'tha');
  } else if (type === ETH.MPLS || type === ETH.MPLS_MCAST) {
    add('mpls');
  }
  return groups;
}

/** Normalizes a match in its place; whether that changed it. */
export function normalizeMatch(match: Match): boolean {
  const may = groupsOf(match);
  let isChanged = false;
  for (const [group, fields] of Object.entries(GROUPS)) {
    if (may.has(group as Group)) continue;
    for (const name of fields) {
      const { at, bits } = FIELD[name];
      isChanged ||= !areBitsZero(match.mask, at, bits);
      fillBits(match.mask, at, bits, false);
      fillBits(match.flow, at, bits, false);
    }
  }
  return isChanged;
}
