/**
 * Keeps what a device receives from the host's stack, after AF_PACKET (port-netdev.ts) has seen it.  In order of
 * preference:
 *  1. a BPF program on a TCX link (Linux 6.6), which the kernel removes with the process;
 *  2. the same program as a direct-action filter of a clsact qdisc;
 *  3. a matchall filter with a drop action, where bpf(2) is not allowed.
 * The filters of 2 and 3 stay if the process is killed; `removeLeftover` knows them by preference and handle.
 *
 * The filter comes last in its chain, as the module's rx_handler comes after tc: filters that somebody else put there
 * see the packets before.
 *
 * Source: include/uapi/linux/{rtnetlink,pkt_sched,pkt_cls}.h, net/sched/{cls_api,cls_bpf,cls_matchall}.c.
 */
import { type NativeNetlinkSocket, native } from '../../native/index.ts';
import { LITTLE_ENDIAN, NETLINK_ROUTE, NLM_F, NLMSG } from '../../netlink/constants.ts';
import { forEachMessage, MessageWriter } from '../../netlink/message.ts';
import { ERRNO, errnoText } from '../../util/errno.ts';

// biome-ignore format: table
const RTM = { NEWQDISC: 36, DELQDISC: 37, NEWTFILTER: 44, DELTFILTER: 45, GETTFILTER: 46 } as const;
const TCA = { KIND: 1, OPTIONS: 2 } as const;
const TCA_BPF = { FD: 6, NAME: 7, FLAGS: 8 } as const;
const TCA_BPF_FLAG_ACT_DIRECT = 1;
const TCA_MATCHALL_ACT = 2;
const TCA_ACT = { KIND: 1, OPTIONS: 2 } as const;
const TCA_GACT_PARMS = 2;
const TC_ACT_SHOT = 2;

/** sizeof(struct tcmsg), (struct tc_gact). */
const TCMSG_SIZE = 20;
const TC_GACT_SIZE = 20;

const CLSACT_PARENT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;

/** The last preference in a chain, and ETH_P_ALL: tcm_info. */
const PREFERENCE = 0xffff;
const ETH_P_ALL = 0x0003;
const FILTER_INFO = ((PREFERENCE << 16) | (LITTLE_ENDIAN ? ETH_P_ALL << 8 : ETH_P_ALL)) >>> 0;
const FILTER_NAME = 'tapswitch_drop';
/** Handles of our filter: where the qdisc was made for it, and where there was one. */
const HANDLE_WITH_QDISC = 0x54415053;
const HANDLE_ALONE = 0x54415054;

/** One answer of rtnetlink, or a dump's page. */
const ANSWER_SIZE = 32 << 10;

/** Requests to rtnetlink, which the kernel answers before `send` returns. */
class TrafficControl {
  private readonly socket: NativeNetlinkSocket;
  private readonly answer = new Uint8Array(new ArrayBuffer(ANSWER_SIZE));
  private readonly info = new Int32Array(2);
  private readonly w = new MessageWriter();
  private at = 0;

  constructor() {
    this.socket = native().openNetlink(NETLINK_ROUTE, 0, 0);
  }
  close(): void {
    this.socket.close();
  }

  /** Begins a request; attributes follow in the writer that is returned. */
  begin(type: number, flags: number, ifindex: number, handle: number, parent: number, info: number): MessageWriter {
    const { w } = this;
    w.reset();
    this.at = w.begin(type, NLM_F.REQUEST | flags, 1, 0);
    w.reserve(TCMSG_SIZE);
    w.dv.setUint32(w.size, 0);
    w.dv.setInt32(w.size + 4, ifindex, LITTLE_ENDIAN);
    w.dv.setUint32(w.size + 8, handle, LITTLE_ENDIAN);
    w.dv.setUint32(w.size + 12, parent, LITTLE_ENDIAN);
    w.dv.setUint32(w.size + 16, info, LITTLE_ENDIAN);
    w.size += TCMSG_SIZE;
    return w;
  }

  /** Sends what was begun.  Returns 0 or a positive errno; `visit` is called for each message that is no verdict. */
  run(visit: () => void = () => {}): number {
    const { w } = this;
    w.end(this.at);
    const sent = this.socket.send(w.bytes, 0, w.size, 0, 0);
    if (sent < 0) return -sent;
    let verdict: number | undefined;
    while (verdict === undefined) {
      const n = this.socket.receive(this.answer, ANSWER_SIZE, 1, this.info);
      if (n < 0) return -n;
      forEachMessage(new DataView(this.answer.buffer), 0, Math.min(this.info[0]!, ANSWER_SIZE), (msg) => {
        if (msg.type === NLMSG.DONE) verdict = 0;
        else if (msg.type === NLMSG.ERROR) verdict = -msg.dv.getInt32(msg.payload, LITTLE_ENDIAN);
        else visit();
      });
    }
    return verdict;
  }

  addQdisc(ifindex: number): number {
    const w = this.begin(RTM.NEWQDISC, NLM_F.ACK | NLM_F.CREATE | NLM_F.EXCL, ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0);
    w.attrString(TCA.KIND, 'clsact');
    return this.run();
  }
  deleteQdisc(ifindex: number): number {
    this.begin(RTM.DELQDISC, NLM_F.ACK, ifindex, CLSACT_HANDLE, CLSACT_PARENT, 0);
    return this.run();
  }

  addBpf(ifindex: number, handle: number, program: number): number {
    const w = this.beginFilter(ifindex, handle);
    w.attrString(TCA.KIND, 'bpf');
    const options = w.nest(TCA.OPTIONS);
    w.attrU32(TCA_BPF.FD, program);
    w.attrString(TCA_BPF.NAME, FILTER_NAME);
    w.attrU32(TCA_BPF.FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    w.endNest(options);
    return this.run();
  }

  addMatchall(ifindex: number, handle: number): number {
    const w = this.beginFilter(ifindex, handle);
    w.attrString(TCA.KIND, 'matchall');
    const options = w.nest(TCA.OPTIONS);
    const actions = w.nest(TCA_MATCHALL_ACT);
    const first = w.nest(1);
    w.attrString(TCA_ACT.KIND, 'gact');
    const gact = w.nest(TCA_ACT.OPTIONS);
    const parms = new Uint8Array(TC_GACT_SIZE);
    // struct tc_gact: index, capab, action, refcnt, bindcnt.
    new DataView(parms.buffer).setUint32(8, TC_ACT_SHOT, LITTLE_ENDIAN);
    w.attrBytes(TCA_GACT_PARMS, parms);
    w.endNest(gact);
    w.endNest(first);
    w.endNest(actions);
    w.endNest(options);
    return this.run();
  }

  private beginFilter(ifindex: number, handle: number): MessageWriter {
    return this.begin(RTM.NEWTFILTER, NLM_F.ACK | NLM_F.CREATE | NLM_F.EXCL, ifindex, handle, INGRESS, FILTER_INFO);
  }
  deleteFilter(ifindex: number, handle: number): number {
    this.begin(RTM.DELTFILTER, NLM_F.ACK, ifindex, handle, INGRESS, FILTER_INFO);
    return this.run();
  }

  /** Whether anybody's filter is left on the device's clsact qdisc. */
  hasFilters(ifindex: number): boolean {
    let n = 0;
    for (const parent of [INGRESS, EGRESS]) {
      this.begin(RTM.GETTFILTER, NLM_F.DUMP, ifindex, 0, parent, 0);
      this.run(() => n++);
    }
    return n > 0;
  }

  /** Removes our filter, and the qdisc if it was made for that and has no other filter by now. */
  remove(ifindex: number, handle: number): boolean {
    if (this.deleteFilter(ifindex, handle) !== 0) return false;
    if (handle === HANDLE_WITH_QDISC && !this.hasFilters(ifindex)) this.deleteQdisc(ifindex);
    return true;
  }
}

/**
 * Removes what a killed process left on device `ifindex`.  Returns whether there was anything.  IngressDrop does it
 * first; a datapath does it at its start for devices that may no longer be ports.
 */
export function removeLeftover(ifindex: number): boolean {
  const tc = new TrafficControl();
  try {
    return [HANDLE_WITH_QDISC, HANDLE_ALONE].map((handle) => tc.remove(ifindex, handle)).includes(true);
  } finally {
    tc.close();
  }
}

/** How a device's packets are kept from the host: see the head of this file.  `none`: they are not. */
export type DropMethod = 'tcx' | 'bpf' | 'matchall' | 'none';

export class IngressDrop {
  readonly method: DropMethod;
  private readonly ifindex: number;
  private linkFd = -1;
  private handle = 0;

  /**
   * Begins to drop.  `warn` is called with the reason where nothing of the kind is possible.  `methods` are those to try,
   * in that order.
   */
  constructor(
    ifindex: number,
    warn: (reason: string) => void,
    methods: readonly Exclude<DropMethod, 'none'>[] = ['tcx', 'bpf', 'matchall'],
  ) {
    this.ifindex = ifindex;
    removeLeftover(ifindex);
    const reasons: string[] = [];
    for (const method of methods) {
      const reason = method === 'tcx' ? this.attachLink() : this.addFilter(method);
      if (reason === undefined) {
        this.method = method;
        return;
      }
      reasons.push(`${method}: ${reason}`);
    }
    this.method = 'none';
    warn(reasons.join('; '));
  }

  /** Lets the host have the packets again, and leaves the device as it was found.  Idempotent. */
  close(): void {
    if (this.linkFd >= 0) native().closeFd(this.linkFd);
    this.linkFd = -1;
    if (this.handle !== 0) {
      const tc = new TrafficControl();
      tc.remove(this.ifindex, this.handle);
      tc.close();
    }
    this.handle = 0;
  }

  /** Returns why it failed, or nothing. */
  private attachLink(): string | undefined {
    try {
      this.linkFd = native().attachIngressDrop(this.ifindex);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  private addFilter(kind: 'bpf' | 'matchall'): string | undefined {
    let program = -1;
    const tc = new TrafficControl();
    try {
      if (kind === 'bpf') program = native().loadIngressDrop();
      const qdisc = tc.addQdisc(this.ifindex);
      if (qdisc !== 0 && qdisc !== ERRNO.EEXIST) return `clsact: ${errnoText(qdisc)}`;
      const handle = qdisc === 0 ? HANDLE_WITH_QDISC : HANDLE_ALONE;
      const errno = kind === 'bpf' ? tc.addBpf(this.ifindex, handle, program) : tc.addMatchall(this.ifindex, handle);
      if (errno !== 0) {
        if (qdisc === 0) tc.deleteQdisc(this.ifindex);
        return errnoText(errno);
      }
      this.handle = handle;
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      if (program >= 0) native().closeFd(program);
      tc.close();
    }
  }
}
