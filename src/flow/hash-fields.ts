/**
 * Hashes of some fields of a flow, by which actions and groups choose, and the bits that such a hash looks at.
 * The symmetric ones are the same for both directions of a connection.
 * Source: lib/flow.c (flow_hash_fields, flow_mask_hash_fields), include/openflow/nicira-ext.h (enum nx_hash_fields).
 */
import { ETH_TYPE_802_2, FIELD, type Field, OVS_FRAG_TYPE, VLAN_CFI } from './fields.ts';
import { hashAdd, hashFinish } from './flow-hash.ts';
import { type FlowKey, type FlowMask, getField, getFieldBytes, setField, setFieldOnes } from './flow-key.ts';
import { jhashBytes } from './hash.ts';

const F = FIELD;
/** What the ethertype of a frame that has a length in its place is hashed as: OpenFlow's number, OFP_DL_TYPE_NOT_ETH_TYPE. */
const NOT_ETH_TYPE = 0x05ff;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const PROTO = { ICMP: 1, TCP: 6, UDP: 17, SCTP: 132 } as const;
const VID = 0xfff;

/** NX_HASH_FIELDS_*, as text. */
export type HashFieldsName =
  | 'eth_src'
  | 'symmetric_l4'
  | 'symmetric_l3l4'
  | 'symmetric_l3l4+udp'
  | 'nw_src'
  | 'nw_dst'
  | 'symmetric_l3';

function ethType(flow: FlowKey): number {
  const type = getField(flow, F.ethType);
  return type === ETH_TYPE_802_2 ? NOT_ETH_TYPE : type;
}

function bytesOf(flow: FlowKey, f: Field): Uint8Array {
  const out = new Uint8Array(f.bits / 8);
  if (f.bits > 32) getFieldBytes(flow, f, out, 0);
  else new DataView(out.buffer).setUint32(0, getField(flow, f));
  return out;
}

/** Network addresses of the packet, as bytes; undefined: it is not IP. */
function address(flow: FlowKey, isSource: boolean): Uint8Array | undefined {
  const type = getField(flow, F.ethType);
  if (type === IPV4) return bytesOf(flow, isSource ? F.nwSrc : F.nwDst);
  return type === IPV6 ? bytesOf(flow, isSource ? F.ipv6Src : F.ipv6Dst) : undefined;
}

const xorBytes = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((x, i) => x ^ (b[i] as number));

const xorMac = (flow: FlowKey): Uint8Array => xorBytes(bytesOf(flow, F.ethSrc), bytesOf(flow, F.ethDst));

const xorVid = (flow: FlowKey): number => (getField(flow, F.vlanTci) ^ getField(flow, F.cvlanTci)) & VID;

const xorPorts = (flow: FlowKey): number => getField(flow, F.tpSrc) ^ getField(flow, F.tpDst);

function xorAddress(flow: FlowKey): Uint8Array | undefined {
  const src = address(flow, true);
  const dst = address(flow, false);
  return src === undefined || dst === undefined ? undefined : xorBytes(src, dst);
}

/**
 * flow_hash_symmetric_l4(), of
 *
 *      0           16         18         20        22        28         29
 *     |  addresses | ethertype |   VID    |  ports  |  MACs  | protocol | 0
 *
 * in which source and destination are xored.  UDP ports are left out, as they differ by direction.
 */
export function hashSymmetricL4(flow: FlowKey, basis: number): number {
  const bytes = new Uint8Array(32);
  const dv = new DataView(bytes.buffer);
  const ip = xorAddress(flow);
  if (ip !== undefined) {
    const proto = getField(flow, F.nwProto);
    bytes.set(ip, 0);
    if (proto === PROTO.TCP || proto === PROTO.SCTP) dv.setUint16(20, xorPorts(flow));
    bytes[28] = proto;
  }
  dv.setUint16(16, ethType(flow));
  dv.setUint16(18, xorVid(flow));
  bytes.set(xorMac(flow), 22);
  return jhashBytes(bytes, basis);
}

function hashSymmetricL2(flow: FlowKey, basis: number): number {
  if (getField(flow, F.packetType) !== 0) return 0;
  const bytes = new Uint8Array(12);
  const dv = new DataView(bytes.buffer);
  dv.setUint16(0, ethType(flow));
  dv.setUint16(2, xorVid(flow));
  bytes.set(xorMac(flow), 4);
  return finishWords(bytes, basis, basis);
}

const addBytes = (h: number, bytes: Uint8Array): number => {
  const dv = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < bytes.length; i += 4) h = hashAdd(h, dv.getInt32(i, true));
  return h;
};
const finishWords = (bytes: Uint8Array, basis: number, last: number): number =>
  hashFinish(addBytes(basis | 0, bytes) ^ last) >>> 0;

const hasL3L4Ports = (flow: FlowKey, withUdp: boolean): boolean => {
  const proto = getField(flow, F.nwProto);
  return (
    getField(flow, F.nwFrag) === OVS_FRAG_TYPE.NONE &&
    (proto === PROTO.TCP || proto === PROTO.SCTP || (withUdp && proto === PROTO.UDP))
  );
};

/** flow_hash_symmetric_l3l4(); of packets that are not IP the MACs count. */
function hashSymmetricL3L4(flow: FlowKey, basis: number, withUdp: boolean): number {
  const ip = xorAddress(flow);
  if (ip === undefined) return hashSymmetricL2(flow, basis);
  let h = hashAdd(addBytes(basis | 0, ip), getField(flow, F.nwProto));
  if (hasL3L4Ports(flow, withUdp)) {
    const ports = xorPorts(flow);
    h = hashAdd(h, ((ports & 0xff) << 8) | (ports >>> 8));
  }
  return hashFinish(h ^ basis) >>> 0;
}

function hashSymmetricL3(flow: FlowKey, basis: number): number {
  const bytes = new Uint8Array(20);
  bytes.set(xorAddress(flow) ?? [], 0);
  new DataView(bytes.buffer).setUint16(16, ethType(flow));
  return jhashBytes(bytes, basis);
}

/** Hash of `fields` of a flow: 32 bits, unsigned. */
export function hashFlowFields(flow: FlowKey, fields: HashFieldsName, basis: number): number {
  switch (fields) {
    case 'eth_src':
      return jhashBytes(bytesOf(flow, F.ethSrc), basis);
    case 'symmetric_l4':
      return hashSymmetricL4(flow, basis);
    case 'symmetric_l3l4':
      return hashSymmetricL3L4(flow, basis, false);
    case 'symmetric_l3l4+udp':
      return hashSymmetricL3L4(flow, basis, true);
    case 'symmetric_l3':
      return hashSymmetricL3(flow, basis);
    case 'nw_src':
    case 'nw_dst': {
      const ip = address(flow, fields === 'nw_src');
      return ip === undefined ? basis : jhashBytes(ip, basis);
    }
  }
}

function unwildcardAddress(flow: FlowKey, wc: FlowMask, src: boolean, dst: boolean): boolean {
  const type = getField(flow, F.ethType);
  if (type !== IPV4 && type !== IPV6) return false;
  if (src) setFieldOnes(wc, type === IPV4 ? F.nwSrc : F.ipv6Src);
  if (dst) setFieldOnes(wc, type === IPV4 ? F.nwDst : F.ipv6Dst);
  return true;
}

function unwildcardPorts(flow: FlowKey, wc: FlowMask): void {
  // Type and code of ICMP have one byte.
  const bits = getField(flow, F.nwProto) === PROTO.ICMP ? 0xff : 0xffff;
  for (const f of [F.tpSrc, F.tpDst]) setField(wc, f, getField(wc, f) | bits);
}

/** Notes in `wc` the bits that `hashFlowFields` looks at. */
export function unwildcardHashFields(flow: FlowKey, wc: FlowMask, fields: HashFieldsName): void {
  switch (fields) {
    case 'eth_src':
      setFieldOnes(wc, F.ethSrc);
      return;
    case 'symmetric_l4':
      setFieldOnes(wc, F.ethSrc);
      setFieldOnes(wc, F.ethDst);
      if (unwildcardAddress(flow, wc, true, true)) {
        setFieldOnes(wc, F.nwProto);
        if (getField(flow, F.nwProto) !== PROTO.UDP) unwildcardPorts(flow, wc);
      }
      for (const f of [F.vlanTci, F.cvlanTci]) setField(wc, f, getField(wc, f) | VID | VLAN_CFI);
      return;
    case 'symmetric_l3l4':
    case 'symmetric_l3l4+udp':
      if (!unwildcardAddress(flow, wc, true, true)) return;
      setFieldOnes(wc, F.nwProto);
      if (hasL3L4Ports(flow, fields === 'symmetric_l3l4+udp')) {
        setFieldOnes(wc, F.tpSrc);
        setFieldOnes(wc, F.tpDst);
      }
      return;
    case 'symmetric_l3':
      unwildcardAddress(flow, wc, true, true);
      return;
    case 'nw_src':
    case 'nw_dst':
      unwildcardAddress(flow, wc, fields === 'nw_src', fields === 'nw_dst');
      return;
  }
}
