/**
 * The kernel's traffic control as far as TcClient asks for it: qdiscs at roots, classes, filters, in memory.  Kinds that it does not know
 * are refused as the kernel does, with ENOENT.
 */
import { LITTLE_ENDIAN, NLMSG } from '../../../src/netlink/constants.ts';
import { RTM_TC, TC_H, TCA, TCMSG, TCMSG_SIZE } from '../../../src/netlink/families/tc.ts';
import { forEachMessage, type MessageView, MessageWriter } from '../../../src/netlink/message.ts';
import { ERRNO } from '../../../src/util/errno.ts';
import type { TcObject, TcSocket } from '../../../src/vswitchd/qos/tc-client.ts';

const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const NLM_F_DUMP = 0x300;

const nameOf = (type: number): string => Object.entries(RTM_TC).find(([, n]) => n === type)?.[0] ?? String(type);

export class FakeTc implements TcSocket {
  readonly kinds = new Set(['htb', 'hfsc', 'sfq', 'codel', 'fq_codel', 'netem', 'ingress', 'matchall']);
  /** By ifindex and parent. */
  readonly qdiscs = new Map<string, TcObject>();
  /** By ifindex and handle. */
  readonly classes = new Map<string, TcObject>();
  readonly filters = new Map<string, TcObject>();
  /** Requests so far that changed something, by name. */
  readonly log: string[] = [];
  /** Kinds whose qdiscs cannot be changed once they are there. */
  readonly fixed = new Set<string>();
  private readonly answers: Uint8Array[] = [];

  send(buffer: Uint8Array, offset: number, size: number): number {
    const dv = new DataView(buffer.buffer, buffer.byteOffset);
    forEachMessage(dv, offset, offset + size, (msg) => this.request(msg));
    return size;
  }
  receive(buffer: Uint8Array, _stride: number, _max: number, info: Int32Array): number {
    const answer = this.answers.shift();
    if (answer === undefined) return -ERRNO.EAGAIN;
    buffer.set(answer);
    info[0] = answer.length;
    return 1;
  }
  close(): void {
    this.answers.length = 0;
  }

  qdisc(ifindex: number): TcObject | undefined {
    return this.qdiscs.get(`${ifindex} ${TC_H.ROOT}`);
  }
  class(ifindex: number, minor: number): TcObject | undefined {
    return this.classes.get(`${ifindex} ${0x10000 + minor}`);
  }

  private request(msg: MessageView): void {
    const { ifindex, handle, parent, info } = TCMSG.read(msg.dv, msg.payload, TCMSG_SIZE);
    const at = msg.payload + TCMSG_SIZE;
    const object = { ifindex, handle, parent, ...TCA.read(msg.dv, at, msg.end - at) };
    const name = nameOf(msg.type);
    if (!name.startsWith('GET')) this.log.push(`${name} ${object.kind ?? ''}`.trim());
    const found: TcObject[] = [];
    const errno = this.act(msg, object, info, found);
    const w = new MessageWriter();
    for (const { kind, options, stats2, ...header } of found) {
      const start = w.begin(msg.type - 2, 0, msg.seq, 0);
      w.reserve(TCMSG_SIZE);
      w.size = TCMSG.write(w.dv, w.size, { family: 0, pad1: 0, pad2: 0, info: 0, ...header });
      const attrs = { ...(kind && { kind }), ...(options && { options }), ...(stats2 && { stats2 }) };
      w.attrs(TCA, attrs, 8192);
      w.end(start);
    }
    const start = w.begin(NLMSG.ERROR, 0, msg.seq, 0);
    w.reserve(20);
    w.dv.setInt32(w.size, -errno, LITTLE_ENDIAN);
    w.size += 20;
    w.end(start);
    this.answers.push(w.bytes.slice(0, w.size));
  }

  private act(msg: MessageView, object: TcObject, info: number, found: TcObject[]): number {
    const { ifindex, handle, parent, kind = '' } = object;
    const qdiscKey = `${ifindex} ${parent}`;
    const classKey = `${ifindex} ${handle}`;
    const filterKey = `${ifindex} ${info >>> 16}`;
    const old = this.qdiscs.get(qdiscKey);
    switch (msg.type) {
      case RTM_TC.GETQDISC:
        if (old !== undefined) found.push(old);
        return 0;
      case RTM_TC.NEWQDISC:
        if (!this.kinds.has(kind)) return ERRNO.ENOENT;
        if (old !== undefined && (msg.flags & NLM_F_EXCL) !== 0) return ERRNO.EEXIST;
        if (old === undefined && (msg.flags & NLM_F_CREATE) === 0) return ERRNO.ENOENT;
        if (old !== undefined && this.fixed.has(kind)) return ERRNO.EINVAL;
        this.qdiscs.set(qdiscKey, object);
        return 0;
      case RTM_TC.DELQDISC:
        if (old === undefined || old.handle === 0) return ERRNO.ENOENT;
        if (object.kind !== undefined && object.kind !== old.kind) return ERRNO.EINVAL;
        this.qdiscs.delete(qdiscKey);
        if (parent === TC_H.ROOT) this.classes.clear();
        else this.filters.clear();
        return 0;
      case RTM_TC.NEWTCLASS:
        this.classes.set(classKey, { ...object, stats2: { basic: { bytes: 90n, packets: 1 }, queue: NO_QUEUE } });
        return 0;
      case RTM_TC.DELTCLASS:
        return this.classes.delete(classKey) ? 0 : ERRNO.ENOENT;
      case RTM_TC.GETTCLASS: {
        const wanted = this.classes.get(classKey);
        if ((msg.flags & NLM_F_DUMP) === NLM_F_DUMP) found.push(...this.classes.values());
        else if (wanted !== undefined) found.push(wanted);
        else return ERRNO.ENOENT;
        return 0;
      }
      case RTM_TC.NEWTFILTER:
        if (!this.kinds.has(kind)) return ERRNO.ENOENT;
        if (this.filters.has(filterKey)) return ERRNO.EEXIST;
        this.filters.set(filterKey, object);
        return 0;
      case RTM_TC.DELTFILTER:
        return this.filters.delete(filterKey) ? 0 : ERRNO.ENOENT;
      default:
        return ERRNO.EOPNOTSUPP;
    }
  }
}
const NO_QUEUE = { qlen: 0, backlog: 0, drops: 2 };
