/** Builds valid requests, and stands in for a client: for tests that talk to the server directly. */

import { NLM_F } from '../../src/netlink/constants.ts';
import { CTRL_ATTR, CTRL_CMD, GENL_ID_CTRL } from '../../src/netlink/families/nlctrl.ts';
import { OVS_DP_ATTR, OVS_DP_CMD } from '../../src/netlink/families/ovs-datapath.ts';
import { OVS_FLOW_ATTR, OVS_FLOW_CMD } from '../../src/netlink/families/ovs-flow.ts';
import { OVS_PACKET_ATTR, OVS_PACKET_CMD } from '../../src/netlink/families/ovs-packet.ts';
import { OVS_VPORT_ATTR, OVS_VPORT_CMD, OVS_VPORT_TYPE } from '../../src/netlink/families/ovs-vport.ts';
import type { Kind } from '../../src/netlink/kinds.ts';
import { MessageWriter } from '../../src/netlink/message.ts';
import { type NetlinkReceiver, type NetlinkTransport, sendEach } from '../../src/netlink/transport.ts';
import { OVS_ACTION_ATTR } from '../../src/odp/action-attrs.ts';
import { OVS_KEY_ATTR as K } from '../../src/odp/key/key-table.ts';
import { ERRNO } from '../../src/util/errno.ts';

export const FAMILY = { DATAPATH: 0x20, VPORT: 0x21, FLOW: 0x22, PACKET: 0x23, METER: 0x24, CT_LIMIT: 0x25 } as const;
export const CLIENT = 4711;

/** One answer of the server. */
export interface Answer {
  readonly to: number;
  readonly group: number;
  readonly bytes: Uint8Array;
}

/** A transport whose other side is the test: what is sent is kept, datagrams are handed in by hand. */
export class DirectTransport implements NetlinkTransport {
  readonly portId = 1;
  readonly answers: Answer[] = [];
  /** What `send` returns instead of sending, if not 0. */
  failure = 0;
  private receiver: NetlinkReceiver | null = null;

  send(bytes: Uint8Array, offset: number, size: number, to: number): number {
    if (this.failure !== 0) return this.failure;
    this.answers.push({ to, group: 0, bytes: bytes.slice(offset, offset + size) });
    return size;
  }
  sendMany(bytes: Uint8Array, list: Int32Array, n: number): number {
    return sendEach(this, bytes, list, n);
  }
  multicast(bytes: Uint8Array, offset: number, size: number, group: number): number {
    this.answers.push({ to: 0, group, bytes: bytes.slice(offset, offset + size) });
    return -ERRNO.ESRCH;
  }
  join(): void {}
  leave(): void {}
  receive(receiver: NetlinkReceiver | null): void {
    this.receiver = receiver;
  }
  setRef(): void {}
  close(): void {}

  /** Hands one datagram to the server, as the last of a batch; returns what it sent. */
  ask(bytes: Uint8Array, from = CLIENT): Answer[] {
    const copy = Uint8Array.from(bytes);
    this.receiver?.datagram(copy, new DataView(copy.buffer), 0, copy.length, from);
    this.receiver?.batchEnd?.();
    return this.answers.splice(0);
  }
}

export interface OvsRequest<T> {
  readonly family: number;
  readonly cmd: number;
  readonly version?: number;
  readonly flags?: number;
  readonly dpIfindex?: number;
  readonly policy: Kind<T>;
  readonly attrs: T;
}

let seq = 0;
/** The datagram for one request of an ovs family. */
export function ovsRequest<T>(r: OvsRequest<T>): Uint8Array {
  const w = new MessageWriter();
  const flags = NLM_F.REQUEST | (r.flags ?? 0);
  const at = w.beginOvs(r.family, flags, ++seq, CLIENT, r.cmd, r.version ?? 1, r.dpIfindex ?? 0);
  w.attrs(r.policy, r.attrs, 0x10000);
  w.end(at);
  return w.bytes.slice(0, w.size);
}

export function getFamily(name: string): Uint8Array {
  const w = new MessageWriter();
  const at = w.begin(GENL_ID_CTRL, NLM_F.REQUEST, ++seq, CLIENT);
  w.genl(CTRL_CMD.GETFAMILY, 1);
  w.attrs(CTRL_ATTR, { familyName: name });
  w.end(at);
  return w.bytes.slice(0, w.size);
}

export const dpNew = (name: string, flags: number = NLM_F.ECHO): Uint8Array =>
  ovsRequest({
    ...{ family: FAMILY.DATAPATH, cmd: OVS_DP_CMD.NEW, version: 2, flags, policy: OVS_DP_ATTR },
    attrs: { name, upcallPid: 0, userFeatures: 9 },
  });
export const dpCommand = (cmd: number, name: string, flags: number = NLM_F.ECHO): Uint8Array =>
  ovsRequest({ family: FAMILY.DATAPATH, cmd, version: 2, flags, policy: OVS_DP_ATTR, attrs: { name } });

export const vportNew = (dpIfindex: number, name: string, type: number = OVS_VPORT_TYPE.NETDEV): Uint8Array =>
  ovsRequest({
    ...{ family: FAMILY.VPORT, cmd: OVS_VPORT_CMD.NEW, flags: NLM_F.ECHO, dpIfindex, policy: OVS_VPORT_ATTR },
    attrs: { name, type, upcallPid: [CLIENT] },
  });

/** The bytes that `build` writes. */
export function nested(build: (w: MessageWriter) => void): Uint8Array {
  const w = new MessageWriter();
  build(w);
  return w.bytes.slice(0, w.size);
}

/** Key of an IPv4 UDP flow from port `inPort` to UDP port `dst`; or, if `isMask`, its mask, which demands all of it. */
export const udpKey = (inPort: number, dst: number, isMask = false): Uint8Array =>
  nested((w) => {
    const ones = (size: number) => new Uint8Array(size).fill(0xff);
    w.attrU32(K.IN_PORT, isMask ? 0xffffffff : inPort);
    w.attrBytes(K.ETHERNET, isMask ? new Uint8Array(12) : new Uint8Array(12).fill(2));
    w.attrBytes(K.ETHERTYPE, isMask ? ones(2) : Uint8Array.of(8, 0));
    w.attrBytes(K.IPV4, isMask ? Uint8Array.of(0, 0, 0, 0, 255, 255, 255, 255, 255, 0, 0, 255) : IPV4);
    w.attrBytes(K.UDP, isMask ? Uint8Array.of(0, 0, 255, 255) : Uint8Array.of(0, 9, dst >> 8, dst));
  });
const IPV4 = Uint8Array.of(10, 0, 0, 1, 10, 0, 0, 2, 17, 0, 64, 0);

export const outputs = (...ports: number[]): Uint8Array =>
  nested((w) => {
    for (const port of ports) w.attrU32(OVS_ACTION_ATTR.OUTPUT, port);
  });

export interface FlowRequest {
  readonly dpIfindex: number;
  readonly dst: number;
  readonly ufid?: Uint8Array;
  readonly flags?: number;
  readonly cmd?: number;
  readonly actions?: Uint8Array;
}
export const flowPut = (r: FlowRequest): Uint8Array =>
  ovsRequest({
    ...{ family: FAMILY.FLOW, cmd: r.cmd ?? OVS_FLOW_CMD.NEW, dpIfindex: r.dpIfindex, policy: OVS_FLOW_ATTR },
    flags: r.flags ?? NLM_F.CREATE,
    attrs: {
      ...(r.ufid && { ufid: r.ufid }),
      key: udpKey(1, r.dst),
      mask: udpKey(1, r.dst, true),
      actions: r.actions ?? outputs(2),
    },
  });

/** A UDP packet in Ethernet and IPv4 headers. */
export const UDP_FRAME = Uint8Array.of(
  ...[2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 8, 0],
  ...[0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0x66, 0xcb, 10, 0, 0, 1, 10, 0, 0, 2],
  ...[0, 9, 0, 80, 0, 12, 0, 0, 1, 2, 3, 4],
);

export const execute = (dpIfindex: number, actions: Uint8Array, key: Uint8Array = udpKey(1, 80)): Uint8Array =>
  ovsRequest({
    ...{ family: FAMILY.PACKET, cmd: OVS_PACKET_CMD.EXECUTE, dpIfindex, policy: OVS_PACKET_ATTR },
    attrs: { key, actions, packet: UDP_FRAME },
  });
