/**
 * The way back from extraction: a packet that has a given flow, with valid lengths and checksums.  For tests and tools; what
 * a flow does not say (payload, options) is made up.  Source: lib/flow.c (flow_compose, packet_expand).
 */
import { foldSum, setIpv4Checksum, sumBytes } from '../packet/checksum.ts';
import { ETH_TYPE, isMplsType } from '../packet/ethernet.ts';
import { ARP, IPPROTO, ND } from '../packet/ip.ts';
import { ETH_TYPE_802_2, FIELD, type Field, OVS_FRAG_TYPE, VLAN_CFI } from './fields.ts';
import { type FlowKey, getField, getFieldBytes } from './flow-key.ts';

export interface ComposeSize {
  /** Payload where the protocol has some; a number makes so many bytes of 0, 1, 2 ... */
  readonly payload?: number | Uint8Array;
  /** Bytes of the whole packet, which is filled up with zeros. */
  readonly size?: number;
}

const IPV4_SIZE = 20;
const IPV6_SIZE = 40;
const TCP_SYN_FIN_RST = 0x07;
const ECHO = { v4: [8, 0], v6: [128, 129] } as const;
/** ICMPv6 messages with an address and options. */
const ND_TYPES: readonly number[] = [ND.SOLICIT, ND.ADVERT];

/** A packet that grows. */
class Builder {
  bytes = new Uint8Array(0);

  get size(): number {
    return this.bytes.length;
  }
  get view(): DataView {
    return new DataView(this.bytes.buffer);
  }
  /** Appends `n` zeros; gives where. */
  zeros(n: number): number {
    const at = this.size;
    const grown = new Uint8Array(at + n);
    grown.set(this.bytes);
    this.bytes = grown;
    return at;
  }
  u16(value: number): void {
    const at = this.zeros(2);
    this.view.setUint16(at, value);
  }
  u32(value: number): void {
    const at = this.zeros(4);
    this.view.setUint32(at, value);
  }
  /** Appends a field of whole bytes. */
  field(flow: FlowKey, field: Field): void {
    const at = this.zeros(field.bits / 8);
    if (field.bits > 32) getFieldBytes(flow, field, this.bytes, at);
    else
      for (let i = 0; i < field.bits / 8; i++) this.bytes[at + i] = getField(flow, field) >>> (field.bits - 8 - 8 * i);
  }
  payload(payload: number | Uint8Array): void {
    const n = typeof payload === 'number' ? payload : payload.length;
    const at = this.zeros(n);
    if (typeof payload !== 'number') this.bytes.set(payload, at);
    else for (let i = 0; i < n; i++) this.bytes[at + i] = i;
  }
}

/** A frame with the flow `flow`.  Undefined if it would have more bytes than `size` asks for. */
export function composeFlow(flow: FlowKey, { payload = 0, size }: ComposeSize): Uint8Array | undefined {
  const b = new Builder();
  b.field(flow, FIELD.ethDst);
  b.field(flow, FIELD.ethSrc);
  for (const [tpid, tci] of [
    [FIELD.vlanTpid, FIELD.vlanTci],
    [FIELD.cvlanTpid, FIELD.cvlanTci],
  ] as const) {
    const tag = getField(flow, tci);
    if ((tag & VLAN_CFI) === 0) continue;
    b.u16(getField(flow, tpid));
    b.u16(tag & ~VLAN_CFI);
  }
  const type = getField(flow, FIELD.ethType);
  const isLlc = type === ETH_TYPE_802_2;
  const typeAt = b.size;
  b.u16(isLlc ? 0 : type);
  const l3 = b.size;
  if (type === ETH_TYPE.IP) composeIpv4(b, flow, payload);
  else if (type === ETH_TYPE.IPV6) composeIpv6(b, flow, payload);
  else if (type === ETH_TYPE.ARP || type === ETH_TYPE.RARP) composeArp(b, flow);
  else if (isMplsType(type)) composeMpls(b, flow);
  if (size !== undefined) {
    if (b.size > size) return undefined;
    b.zeros(size - b.size);
  }
  if (isLlc) b.view.setUint16(typeAt, b.size);
  else if (type === ETH_TYPE.IP) finishIpv4(b, flow, l3);
  else if (type === ETH_TYPE.IPV6) finishIpv6(b, flow, l3);
  return b.bytes;
}

function composeIpv4(b: Builder, flow: FlowKey, payload: number | Uint8Array): void {
  const at = b.zeros(IPV4_SIZE);
  const { view, bytes } = b;
  const frag = getField(flow, FIELD.nwFrag);
  bytes[at] = 0x45;
  bytes[at + 1] = getField(flow, FIELD.nwTos);
  if (frag !== OVS_FRAG_TYPE.NONE) view.setUint16(at + 6, frag === OVS_FRAG_TYPE.LATER ? 0x2000 | 100 : 0x2000);
  bytes[at + 8] = getField(flow, FIELD.nwTtl);
  bytes[at + 9] = getField(flow, FIELD.nwProto);
  view.setUint32(at + 12, getField(flow, FIELD.nwSrc));
  view.setUint32(at + 16, getField(flow, FIELD.nwDst));
  composeL4(b, flow, payload, ECHO.v4);
}

function composeIpv6(b: Builder, flow: FlowKey, payload: number | Uint8Array): void {
  const tos = getField(flow, FIELD.nwTos);
  b.u32((0x60000000 | (tos << 20) | getField(flow, FIELD.ipv6Label)) >>> 0);
  const at = b.zeros(4);
  b.bytes[at + 2] = getField(flow, FIELD.nwProto);
  b.bytes[at + 3] = getField(flow, FIELD.nwTtl);
  b.field(flow, FIELD.ipv6Src);
  b.field(flow, FIELD.ipv6Dst);
  composeL4(b, flow, payload, ECHO.v6);
}

function composeL4(b: Builder, flow: FlowKey, payload: number | Uint8Array, echo: readonly number[]): void {
  if (getField(flow, FIELD.nwFrag) === OVS_FRAG_TYPE.LATER) return;
  const proto = getField(flow, FIELD.nwProto);
  const isV4 = echo === ECHO.v4;
  const ports = () => {
    b.field(flow, FIELD.tpSrc);
    b.field(flow, FIELD.tpDst);
  };
  if (proto === IPPROTO.TCP) {
    ports();
    b.zeros(8);
    const flags = getField(flow, FIELD.tcpFlags);
    b.u16(0x5000 | flags);
    b.zeros(6);
    if ((flags & TCP_SYN_FIN_RST) === 0) b.payload(payload);
  } else if (proto === IPPROTO.UDP) {
    ports();
    b.zeros(4);
    b.payload(payload);
  } else if (proto === IPPROTO.SCTP) {
    ports();
    b.zeros(8);
  } else if (isV4 && (proto === IPPROTO.ICMP || proto === IPPROTO.IGMP)) {
    const at = b.zeros(8);
    typeAndCode(b, flow, at);
    const isEcho = ECHO.v4.some((type) => type === b.bytes[at]) && b.bytes[at + 1] === 0;
    if (proto === IPPROTO.ICMP && isEcho) b.payload(payload);
  } else if (!isV4 && proto === IPPROTO.ICMPV6) composeIcmpv6(b, flow, payload);
}

function typeAndCode(b: Builder, flow: FlowKey, at: number): void {
  b.bytes[at] = getField(flow, FIELD.tpSrc);
  b.bytes[at + 1] = getField(flow, FIELD.tpDst);
}

function composeIcmpv6(b: Builder, flow: FlowKey, payload: number | Uint8Array): void {
  const at = b.zeros(8);
  typeAndCode(b, flow, at);
  const [type = 0, code = 0] = b.bytes.subarray(at, at + 2);
  if (code !== 0) return;
  if (ECHO.v6.some((echo) => echo === type)) b.payload(payload);
  if (!ND_TYPES.includes(type)) return;
  b.field(flow, FIELD.ndTarget);
  for (const [option, field] of [
    [1, FIELD.arpSha],
    [2, FIELD.arpTha],
  ] as const) {
    const start = b.size;
    b.u16((option << 8) | 1);
    b.field(flow, field);
    if (b.bytes.subarray(start + 2).every((byte) => byte === 0)) b.bytes = b.bytes.slice(0, start);
  }
}

function composeArp(b: Builder, flow: FlowKey): void {
  const at = b.size;
  b.u16(1);
  b.u16(ETH_TYPE.IP);
  b.u16(0x0604);
  const op = getField(flow, FIELD.nwProto);
  b.u16(op);
  if (op !== 1 && op !== 2) {
    b.zeros(ARP.SIZE - (b.size - at));
    return;
  }
  b.field(flow, FIELD.arpSha);
  b.field(flow, FIELD.nwSrc);
  b.field(flow, FIELD.arpTha);
  b.field(flow, FIELD.nwDst);
}

function composeMpls(b: Builder, flow: FlowKey): void {
  for (const field of [FIELD.mplsLse0, FIELD.mplsLse1, FIELD.mplsLse2]) {
    const lse = getField(flow, field);
    b.u32(lse >>> 0);
    if ((lse & 0x100) !== 0) return;
  }
}

function finishIpv4(b: Builder, flow: FlowKey, at: number): void {
  b.view.setUint16(at + 2, b.size - at);
  setIpv4Checksum(b.view, at);
  finishL4(b, flow, at + IPV4_SIZE, at + 12, 8);
}

function finishIpv6(b: Builder, flow: FlowKey, at: number): void {
  b.view.setUint16(at + 4, b.size - at - IPV6_SIZE);
  finishL4(b, flow, at + IPV6_SIZE, at + 8, 32);
}

/** Length and checksum of what begins at `at`; the addresses, `nAddrs` bytes, are at `addrs`. */
function finishL4(b: Builder, flow: FlowKey, at: number, addrs: number, nAddrs: number): void {
  if (getField(flow, FIELD.nwFrag) === OVS_FRAG_TYPE.LATER) return;
  const { view } = b;
  const proto = getField(flow, FIELD.nwProto);
  const size = b.size - at;
  const whole = (from: number) => ~foldSum(sumBytes(view, at, size, from)) & 0xffff;
  const pseudo = () => foldSum(sumBytes(view, addrs, nAddrs, proto + size));
  const isV4 = nAddrs === 8;
  if (proto === IPPROTO.TCP && size >= 20) view.setUint16(at + 16, whole(pseudo()));
  else if (proto === IPPROTO.UDP && size >= 8) {
    view.setUint16(at + 4, size);
    view.setUint16(at + 6, whole(pseudo()) || 0xffff);
  } else if (isV4 && (proto === IPPROTO.ICMP || proto === IPPROTO.IGMP) && size >= 8) view.setUint16(at + 2, whole(0));
  else if (!isV4 && proto === IPPROTO.ICMPV6 && size >= 8) view.setUint16(at + 2, whole(pseudo()));
}
