/**
 * The network service header: PUSH_NSH as it is checked at installation, and the two actions on packets.
 *
 *      0                   1                   2                   3
 *     +---+-+-+-----------+-----------+-------+-------+---------------+
 *     |Ver|O|U|    TTL    |  Length   |U U U U|MD type| next protocol |
 *     +---+-+-+-----------+-----------+-------+-------+---------------+
 *     |          service path identifier              | service index |
 *     +-----------------------------------------------+---------------+
 *     |  metadata: 16 bytes (type 1), or 0 to 244 bytes (type 2)      |
 *
 * Length is of the whole header, in words of 4 bytes; so is what is pushed.
 * Sources: RFC 8300; net/openvswitch/flow_netlink.c (validate_push_nsh, nsh_hdr_from_nlattr), net/nsh/nsh.c,
 * include/net/tun_proto.h.
 */
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import { OVS_NSH_KEY_ATTR as N, OVS_KEY_ATTR } from '../../odp/key/key-table.ts';
import { ETH_TYPE } from '../../packet/ethernet.ts';
import type { Packet } from '../../packet/packet.ts';
import { ERRNO } from '../../util/errno.ts';
import { grow } from './push-pop.ts';

const BASE_SIZE = 8;
const MD1_SIZE = 16;
const MD2_MAX = 244;
const MD_TYPE = { ONE: 1, TWO: 2 } as const;
/** Offset of the next protocol. */
const NP = 3;
/** TUN_P_*: what next protocol says. */
export const TUN_P = { IPV4: 1, IPV6: 2, ETHERNET: 3, NSH: 4, MPLS_UC: 5 } as const;

/** The next protocol that stands for an ethertype (TEB: Ethernet); 0 if none does. */
export function nextProtocolOf(ethType: number): number {
  switch (ethType) {
    case ETH_TYPE.IP:
      return TUN_P.IPV4;
    case ETH_TYPE.IPV6:
      return TUN_P.IPV6;
    case ETH_TYPE.TEB:
      return TUN_P.ETHERNET;
    case ETH_TYPE.NSH:
      return TUN_P.NSH;
    case ETH_TYPE.MPLS_UC:
      return TUN_P.MPLS_UC;
    default:
      return 0;
  }
}

/** The ethertype for a next protocol (TEB: Ethernet); 0 if it is unknown. */
export function ethTypeOf(nextProtocol: number): number {
  switch (nextProtocol) {
    case TUN_P.IPV4:
      return ETH_TYPE.IP;
    case TUN_P.IPV6:
      return ETH_TYPE.IPV6;
    case TUN_P.ETHERNET:
      return ETH_TYPE.TEB;
    case TUN_P.NSH:
      return ETH_TYPE.NSH;
    case TUN_P.MPLS_UC:
      return ETH_TYPE.MPLS_UC;
    default:
      return 0;
  }
}

/**
 * The header that a PUSH_NSH with payload `[at, at + size)` pushes, as big-endian words, or undefined if it is not valid:
 * one NSH attribute, with base and metadata of the type that the base tells.
 */
export function readPushNsh(dv: DataView, at: number, size: number): number[] | undefined {
  if (size < NLA_HDRLEN) return undefined;
  const nested = dv.getUint16(at, LITTLE_ENDIAN);
  const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
  if (nested < NLA_HDRLEN || nested > size || nlaAlign(nested) !== size || type !== OVS_KEY_ATTR.NSH) return undefined;

  let base = -1;
  let metadata = -1;
  let metadataSize = 0;
  let metadataTypes = 0;
  const end = at + nested;
  let next = at + NLA_HDRLEN;
  while (end - next >= NLA_HDRLEN) {
    const len = dv.getUint16(next, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - next) break;
    const inner = dv.getUint16(next + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    const n = len - NLA_HDRLEN;
    const isGood =
      inner === N.BASE ? n === BASE_SIZE : inner === N.MD1 ? n === MD1_SIZE : inner === N.MD2 && n > 0 && n <= MD2_MAX;
    if (!isGood) return undefined;
    if (inner === N.BASE) {
      base = next + NLA_HDRLEN;
    } else {
      metadata = next + NLA_HDRLEN;
      metadataSize = n;
      metadataTypes |= 1 << inner;
    }
    next += nlaAlign(len);
  }
  // Bytes are left, or base or metadata missing.
  if (next < end || base < 0 || metadata < 0) return undefined;
  const want = metadataTypes === 1 << N.MD1 ? MD_TYPE.ONE : metadataTypes === 1 << N.MD2 ? MD_TYPE.TWO : -1;
  if (dv.getUint8(base + 2) !== want) return undefined;

  const nWords = (BASE_SIZE + metadataSize) >> 2;
  const [flags, ttl] = [dv.getUint8(base), dv.getUint8(base + 1)];
  const first = ((flags & 3) << 28) | ((ttl & 0x3f) << 22) | (nWords << 16) | dv.getUint16(base + 2);
  const words = [first, dv.getInt32(base + 4)];
  for (let i = 2; i < nWords; i++) words.push(dv.getInt32(metadata + 4 * i - BASE_SIZE));
  return words;
}

/**
 * Puts the header of `n` words at `arg` of the program before the whole packet, which has no Ethernet header then.  False
 * for a packet without Ethernet header of a protocol that NSH cannot tell.  Hot path.
 */
export function pushNsh(pkt: Packet, code: Int32Array, arg: number, n: number): boolean {
  const np = pkt.packetType === 0 ? TUN_P.ETHERNET : nextProtocolOf(pkt.packetType);
  if (np === 0) return false;
  const { view } = pkt.arena;
  grow(pkt, 4 * n);
  for (let i = 0; i < n; i++) view.setInt32(pkt.start + 4 * i, code[arg + i]!);
  view.setUint8(pkt.start + NP, np);
  pkt.l3 = 0;
  pkt.packetType = ETH_TYPE.NSH;
  pkt.isKeyStale = true;
  return true;
}

/**
 * Takes the header off that the packet begins with.  Returns 0, or -errno if it is cut or what is behind it is unknown.  Hot
 * path.
 */
export function popNsh(pkt: Packet): number {
  const size = pkt.end - pkt.start;
  if (size < BASE_SIZE) return -ERRNO.ENOMEM;
  const { view } = pkt.arena;
  const length = nshSize(view, pkt.start);
  const type = ethTypeOf(view.getUint8(pkt.start + NP));
  if (length < BASE_SIZE) return -ERRNO.EINVAL;
  if (length > size) return -ERRNO.ENOMEM;
  if (type === 0) return -ERRNO.EAFNOSUPPORT;
  grow(pkt, -length);
  pkt.l3 = 0;
  pkt.packetType = type === ETH_TYPE.TEB ? 0 : type;
  pkt.isKeyStale = true;
  return 0;
}

/** Bytes of the header at `at`, as it says itself. */
export const nshSize = (view: DataView, at: number): number => (view.getUint8(at + 1) & 0x3f) << 2;
