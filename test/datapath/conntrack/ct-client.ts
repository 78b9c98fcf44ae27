/** A ctnetlink client in memory, and the text that ovs-dpctl prints of connections. */
import { CtnetlinkServer } from '../../../src/datapath/conntrack/ctnetlink/ctnetlink-server.ts';
import type { Tracker } from '../../../src/datapath/conntrack/tracker.ts';
import { NLM_F, NLMSG } from '../../../src/netlink/constants.ts';
import {
  CTA,
  CTA_IP,
  CTA_PROTO,
  CTA_PROTOINFO,
  CTA_TUPLE,
  IPCTNL_MSG_CT,
  NFNL_SUBSYS,
  nfnlType,
} from '../../../src/netlink/families/ctnetlink.ts';
import { AttrCursor, forEachMessage, MessageWriter } from '../../../src/netlink/message.ts';
import { MemoryNetlink, type NetlinkTransport } from '../../../src/netlink/transport.ts';
import { vlog } from '../../../src/util/vlog.ts';

/** One message that came back: its type, errno if it is an error, and its attributes. */
export interface Answer {
  readonly type: number;
  readonly flags: number;
  readonly errno: number;
  readonly dv: DataView;
  readonly at: number;
  readonly end: number;
}

export class CtClient {
  private readonly server: CtnetlinkServer;
  private readonly transport: NetlinkTransport;
  private answers: Answer[] = [];

  /** `groups`: of which it hears. */
  constructor(tracker: Tracker, clock: () => number, groups: readonly number[] = []) {
    const net = new MemoryNetlink();
    this.server = new CtnetlinkServer({
      ...{ transport: net.open(7), tracker, clock, log: vlog('ct_client') },
      listeners: { has: (group) => groups.includes(group) },
    });
    this.server.start();
    this.transport = net.open();
    for (const group of groups) this.transport.join(group);
    this.transport.receive({
      datagram: (bytes, _dv, offset, size) => {
        const copy = bytes.slice(offset, offset + size);
        const dv = new DataView(copy.buffer);
        forEachMessage(dv, 0, size, (msg) => {
          const errno = msg.type === NLMSG.ERROR ? 0 - dv.getInt32(msg.payload, true) : 0;
          this.answers.push({ type: msg.type, flags: msg.flags, errno, dv, at: msg.payload, end: msg.end });
        });
      },
    });
  }

  /** Sends a request and returns what came back.  `attrs` appends attributes. */
  async ask(
    type: number,
    flags: number,
    family = 0,
    attrs: (w: MessageWriter) => void = () => {},
  ): Promise<readonly Answer[]> {
    const w = new MessageWriter();
    const at = w.begin(type, NLM_F.REQUEST | flags, 1, 0);
    w.reserve(4);
    w.dv.setUint32(w.size, 0);
    w.dv.setUint8(w.size, family);
    w.size += 4;
    attrs(w);
    w.end(at);
    return this.send(w.bytes, w.size);
  }

  /** What came since the last question, of which there need be none. */
  async heard(): Promise<readonly Answer[]> {
    for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
    const { answers } = this;
    this.answers = [];
    return answers;
  }

  async send(bytes: Uint8Array, size: number): Promise<readonly Answer[]> {
    this.answers = [];
    this.transport.send(bytes, 0, size, 7);
    for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
    return this.answers;
  }

  /** All connections, as `ovs-dpctl dump-conntrack` prints them, sorted. */
  async dump(): Promise<string[]> {
    const answers = await this.ask(nfnlType(NFNL_SUBSYS.CTNETLINK, IPCTNL_MSG_CT.GET), NLM_F.DUMP);
    if (answers.at(-1)?.type !== NLMSG.DONE) throw new Error('dump without end');
    return answers
      .slice(0, -1)
      .map((a) => formatConnection(a))
      .sort();
  }

  close(): void {
    this.server.close();
    this.transport.close();
  }
}

const TCP_NAMES = 'CLOSED SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT_1 CLOSE_WAIT LAST_ACK TIME_WAIT CLOSING'.split(' ');
const PROTO_NAMES: Record<number, string> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmpv6', 132: 'sctp' };

export function attrsOf(dv: DataView, at: number, end: number): Map<number, { at: number; size: number }> {
  const found = new Map<number, { at: number; size: number }>();
  const it = new AttrCursor(dv, at, end, 'CTA');
  while (it.next()) found.set(it.type, { at: it.at, size: it.size });
  return found;
}

function formatConnection({ dv, at, end }: Answer): string {
  const attrs = attrsOf(dv, at + 4, end);
  const nest = (type: number) => {
    const a = attrs.get(type)!;
    return attrsOf(dv, a.at, a.at + a.size);
  };
  const orig = formatTuple(dv, nest(CTA.TUPLE_ORIG));
  const parts = [PROTO_NAMES[orig.proto] ?? `${orig.proto}`, `orig=(${orig.text})`];
  parts.push(`reply=(${formatTuple(dv, nest(CTA.TUPLE_REPLY)).text})`);
  const zone = attrs.get(CTA.ZONE);
  if (zone !== undefined) parts.push(`zone=${dv.getUint16(zone.at)}`);
  const mark = dv.getUint32(attrs.get(CTA.MARK)!.at);
  if (mark !== 0) parts.push(`mark=${mark}`);
  const labels = attrs.get(CTA.LABELS);
  if (labels !== undefined) {
    const bytes = Buffer.from(dv.buffer, dv.byteOffset + labels.at, 16).reverse();
    parts.push(`labels=0x${bytes.toString('hex').replace(/^0+/, '')}`);
  }
  if (attrs.has(CTA.PROTOINFO)) {
    const info = nest(CTA.PROTOINFO).get(CTA_PROTOINFO.TCP);
    if (info !== undefined) parts.push(`protoinfo=(state=${TCP_NAMES[dv.getUint8(info.at + 4)]})`);
  }
  return parts.join(',');
}

function formatTuple(dv: DataView, attrs: Map<number, { at: number; size: number }>): { text: string; proto: number } {
  const inner = (type: number) => {
    const a = attrs.get(type)!;
    return attrsOf(dv, a.at, a.at + a.size);
  };
  const ip = inner(CTA_TUPLE.IP);
  const l4 = inner(CTA_TUPLE.PROTO);
  const addr = (v4: number, v6: number) => {
    const a = ip.get(v4) ?? ip.get(v6)!;
    const bytes = [...new Uint8Array(dv.buffer, dv.byteOffset + a.at, a.size)];
    return a.size === 4 ? bytes.join('.') : Buffer.from(bytes).toString('hex');
  };
  const u16 = (type: number) => dv.getUint16(l4.get(type)!.at);
  const u8 = (type: number) => dv.getUint8(l4.get(type)!.at);
  const proto = u8(CTA_PROTO.NUM);
  let rest = '';
  if (proto === 1)
    rest = `,id=${u16(CTA_PROTO.ICMP_ID)},type=${u8(CTA_PROTO.ICMP_TYPE)},code=${u8(CTA_PROTO.ICMP_CODE)}`;
  else if (proto === 58)
    rest = `,id=${u16(CTA_PROTO.ICMPV6_ID)},type=${u8(CTA_PROTO.ICMPV6_TYPE)},code=${u8(CTA_PROTO.ICMPV6_CODE)}`;
  else if (l4.has(CTA_PROTO.SRC_PORT)) rest = `,sport=${u16(CTA_PROTO.SRC_PORT)},dport=${u16(CTA_PROTO.DST_PORT)}`;
  const text = `src=${addr(CTA_IP.V4_SRC, CTA_IP.V6_SRC)},dst=${addr(CTA_IP.V4_DST, CTA_IP.V6_DST)}${rest}`;
  return { text, proto };
}
