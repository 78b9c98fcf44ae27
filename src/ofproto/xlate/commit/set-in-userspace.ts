/**
 * Sets of header fields that kernels refuse: ARP, neighbour discovery, types and codes of ICMP.  Userspace carries them out on a packet
 * that it has, before the datapath does the rest (`execute-parts.ts`).
 *
 * A packet is an Ethernet frame.  One that has not got the header, or not all of it, stays as it is.
 * Sources: lib/odp-execute.c (odp_execute_masked_set_action), lib/packets.c (packet_set_nd, packet_set_nd_ext, packet_set_icmp).
 */
import { OVS_ACTION_ATTR } from '../../../odp/action-attrs.ts';
import { OVS_KEY_ATTR as K } from '../../../odp/key/key-table.ts';
import { foldSum, pseudoSum, replace16, sumBytes } from '../../../packet/checksum.ts';
import { ETH_ADDRS, ETH_HLEN, ETH_TYPE, isVlanType, VLAN_HLEN } from '../../../packet/ethernet.ts';
import { ARP, ICMP, IP, IP_OFFSET, IPPROTO, IPV6, isIpv6ExtHdr, ND } from '../../../packet/ip.ts';
import { attrsOf, type NestAttr } from '../../udpif/nest.ts';

const MAC_SIZE = 6;
/** Bytes of a link-layer address option, and what its length counts. */
const ND_OPTION_SIZE = 8;
/** In struct ovs_key_nd. */
const KEY_ND = { TARGET: 0, SLL: 16, TLL: 22 } as const;
/** Offset of the flags of neighbour messages, and of the options' type in struct ovs_key_nd_extensions. */
const ND_FLAGS = 4;

type Setter = (view: DataView, value: Uint8Array, mask: Uint8Array) => void;

// biome-ignore format: table
const SETTERS: Readonly<Record<number, Setter>> = {
  [K.ARP]: setArp,
  [K.ND]: setNd,
  [K.ND_EXTENSIONS]: setNdExtensions,
  [K.ICMP]: (view, value, mask) => setTypeAndCode(view, icmpAt(view), value, mask),
  [K.ICMPV6]: (view, value, mask) => setTypeAndCode(view, icmpv6At(view), value, mask),
};

/** Whether `action` sets what only userspace can. */
export function isUserspaceSet(action: NestAttr): boolean {
  if (action.type !== OVS_ACTION_ATTR.SET && action.type !== OVS_ACTION_ATTR.SET_MASKED) return false;
  for (const { type } of attrsOf(action.payload)) return SETTERS[type] !== undefined;
  return false;
}

/** `packet` after `action`, one of isUserspaceSet(): a copy. */
export function setInUserspace(packet: Uint8Array, action: NestAttr): Uint8Array {
  // Not slice(), which copies nothing of a Buffer.
  const out = new Uint8Array(packet);
  for (const { type, payload } of attrsOf(action.payload)) {
    const isMasked = action.type === OVS_ACTION_ATTR.SET_MASKED;
    const size = isMasked ? payload.length >> 1 : payload.length;
    const mask = isMasked ? payload.subarray(size) : new Uint8Array(size).fill(0xff);
    SETTERS[type]?.(new DataView(out.buffer), payload.subarray(0, size), mask);
  }
  return out;
}

/** Sets the masked bits of `size` bytes at `at`; the words that change are taken into account in the checksum at `check`. */
function setBytes(
  view: DataView,
  at: number,
  size: number,
  value: Uint8Array,
  mask: Uint8Array,
  from: number,
  check = -1,
): void {
  for (let i = 0; i < size; i += 2) {
    const old = view.getUint16(at + i);
    const bits = ((mask[from + i] as number) << 8) | (mask[from + i + 1] as number);
    const want = ((value[from + i] as number) << 8) | (value[from + i + 1] as number);
    const word = (old & ~bits) | (want & bits);
    if (word === old) continue;
    view.setUint16(at + i, word);
    if (check >= 0) replace16(view, check, old, word);
  }
}

interface Network {
  readonly ethType: number;
  readonly at: number;
}

function networkOf(view: DataView): Network | undefined {
  for (let at = ETH_ADDRS; at + 2 <= view.byteLength; at += VLAN_HLEN) {
    const ethType = view.getUint16(at);
    if (!isVlanType(ethType)) return { ethType, at: at + ETH_HLEN - ETH_ADDRS };
  }
  return undefined;
}

function setArp(view: DataView, value: Uint8Array, mask: Uint8Array): void {
  const net = networkOf(view);
  if (net === undefined || (net.ethType !== ETH_TYPE.ARP && net.ethType !== ETH_TYPE.RARP)) return;
  const { at } = net;
  if (view.byteLength < at + ARP.SIZE) return;
  // struct ovs_key_arp: addresses of IP, the operation, addresses of Ethernet.
  setBytes(view, at + ARP.SIP, 4, value, mask, 0);
  setBytes(view, at + ARP.TIP, 4, value, mask, 4);
  setBytes(view, at + ARP.OP, 2, value, mask, 8);
  setBytes(view, at + ARP.SHA, MAC_SIZE, value, mask, 10);
  setBytes(view, at + ARP.THA, MAC_SIZE, value, mask, 16);
}

/** Where the ICMP header is; -1 if there is none, as in later fragments. */
function icmpAt(view: DataView): number {
  const net = networkOf(view);
  if (net?.ethType !== ETH_TYPE.IP || view.byteLength < net.at + IP.HLEN) return -1;
  if (view.getUint8(net.at + IP.PROTO) !== IPPROTO.ICMP || (view.getUint16(net.at + IP.FRAG) & IP_OFFSET) !== 0)
    return -1;
  return fits(view, net.at + ((view.getUint8(net.at + IP.VIHL) & 15) << 2), ICMP.HLEN);
}

function icmpv6At(view: DataView): number {
  const net = networkOf(view);
  if (net?.ethType !== ETH_TYPE.IPV6 || view.byteLength < net.at + IPV6.HLEN) return -1;
  let next = view.getUint8(net.at + IPV6.NEXT);
  let at = net.at + IPV6.HLEN;
  while (isIpv6ExtHdr(next) && at + 8 <= view.byteLength) {
    if (next === IPPROTO.NONE || (next === IPPROTO.FRAGMENT && (view.getUint16(at + 2) & 0xfff8) !== 0)) return -1;
    const units = view.getUint8(at + 1);
    const size = next === IPPROTO.FRAGMENT ? 8 : next === IPPROTO.AH ? (units + 2) << 2 : (units + 1) << 3;
    next = view.getUint8(at);
    at += size;
  }
  return next === IPPROTO.ICMPV6 ? fits(view, at, ICMP.HLEN) : -1;
}

const fits = (view: DataView, at: number, size: number): number => (at + size <= view.byteLength ? at : -1);

function setTypeAndCode(view: DataView, at: number, value: Uint8Array, mask: Uint8Array): void {
  if (at >= 0) setBytes(view, at + ICMP.TYPE, 2, value, mask, 0, at + ICMP.CHECK);
}

function setNd(view: DataView, value: Uint8Array, mask: Uint8Array): void {
  const at = icmpv6At(view);
  if (at < 0 || fits(view, at, ND.OPTIONS) < 0) return;
  const check = at + ICMP.CHECK;
  setBytes(view, at + ND.TARGET, 16, value, mask, KEY_ND.TARGET, check);
  // There is one link-layer address at most.
  for (let option = at + ND.OPTIONS; option + ND_OPTION_SIZE <= view.byteLength; ) {
    const type = view.getUint8(option);
    const units = view.getUint8(option + 1);
    if (units === 0) return;
    if (units === 1 && (type === ND.OPT_SOURCE_LL || type === ND.OPT_TARGET_LL)) {
      const from = type === ND.OPT_SOURCE_LL ? KEY_ND.SLL : KEY_ND.TLL;
      setBytes(view, option + 2, MAC_SIZE, value, mask, from, check);
      return;
    }
    option += units * ND_OPTION_SIZE;
  }
}

function setNdExtensions(view: DataView, value: Uint8Array, mask: Uint8Array): void {
  const at = icmpv6At(view);
  const net = networkOf(view);
  if (net === undefined || at < 0 || fits(view, at, ND.OPTIONS + 1) < 0) return;
  setBytes(view, at + ND_FLAGS, 4, value, mask, 0);
  const type = at + ND.OPTIONS;
  const bits = mask[ND_FLAGS] as number;
  view.setUint8(type, (view.getUint8(type) & ~bits) | ((value[ND_FLAGS] as number) & bits));
  const check = at + ICMP.CHECK;
  const size = view.byteLength - at;
  view.setUint16(check, 0);
  const addrs = pseudoSum(view, net.at + IPV6.SRC, 32, IPPROTO.ICMPV6, size);
  view.setUint16(check, ~foldSum(sumBytes(view, at, size, addrs)));
}
