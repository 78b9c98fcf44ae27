/**
 * Requests on a NETLINK_NETFILTER socket, one at a time.  Its peer has the port id of the datapath's generic netlink peer
 * (0 is the kernel).  Neighbours: ct-dump.ts, ct-flush.ts.
 * Source: include/uapi/linux/netfilter/nfnetlink.h, lib/netlink-conntrack.c.
 */
import { LITTLE_ENDIAN, NLM_F, NLMSG } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import { NFGENMSG_SIZE, NFNL_SUBSYS, nfnlType } from '../netlink/families/ctnetlink.ts';
import { peerError } from '../netlink/genl-peer.ts';
import { errorNumber } from '../netlink/genl-text.ts';
import { forEachMessage, type MessageView, MessageWriter } from '../netlink/message.ts';
import type { NetlinkTransport } from '../netlink/transport.ts';
import { ERRNO } from '../util/errno.ts';

/** Silence for this long ends a request. */
const TIMEOUT_MS = 10_000;

export interface NfnlRequest {
  /** NFNL_SUBSYS_*; that of connections if left out. */
  readonly subsystem?: number;
  /** IPCTNL_MSG_CT_*, or what the subsystem has. */
  readonly command: number;
  /** Beside NLM_F.REQUEST: NLM_F.DUMP or NLM_F.ACK, one of which says when the answer is complete. */
  readonly flags: number;
  /** nfgen_family: AF_*, 0 is any. */
  readonly family: number;
  /** Names the request in errors. */
  readonly where: string;
  /** Writes the attributes. */
  readonly build?: (w: MessageWriter) => void;
  /** Takes the messages of the answer; each is valid only during the call. */
  readonly visit?: (msg: MessageView) => void;
}

/** Owns its transport. */
export class NfnlClient {
  private readonly transport: NetlinkTransport;
  private readonly peer: number;
  private readonly writer = new MessageWriter(256);
  private seq = 0;

  constructor(transport: NetlinkTransport, peer: number) {
    this.transport = transport;
    this.peer = peer;
  }

  close(): void {
    this.transport.close();
  }

  /** Resolves when the answer is complete.  Rejects with a NetlinkError or NetlinkFormatError. */
  async request(request: NfnlRequest): Promise<void> {
    const { where } = request;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(() => reject(new NetlinkError(ERRNO.ETIMEDOUT, where, 'no answer')), TIMEOUT_MS);
        const take = (msg: MessageView): void => {
          if (msg.seq !== this.seq) return;
          const errno = errnoAtEnd(msg);
          if (errno === undefined) request.visit?.(msg);
          else if (errno === 0) resolve();
          else reject(new NetlinkError(errno, where));
        };
        this.transport.receive({
          datagram: (_bytes, dv, offset, size, from) => {
            if (from !== this.peer) return;
            timer?.refresh();
            try {
              forEachMessage(dv, offset, offset + size, take);
            } catch (e) {
              reject(e);
            }
          },
          overflow: () => reject(new NetlinkError(ERRNO.ENOBUFS, where)),
        });
        const w = this.write(request);
        const sent = this.transport.send(w.bytes, 0, w.size, this.peer);
        if (sent < 0) reject(peerError(-sent, this.peer, where));
      });
    } finally {
      clearTimeout(timer);
      this.transport.receive(null);
    }
  }

  private write({ subsystem = NFNL_SUBSYS.CTNETLINK, command, flags, family, build }: NfnlRequest): MessageWriter {
    const w = this.writer;
    w.reset();
    const type = nfnlType(subsystem, command);
    const at = w.begin(type, NLM_F.REQUEST | flags, ++this.seq, this.transport.portId);
    w.reserve(NFGENMSG_SIZE);
    w.dv.setUint32(w.size, 0);
    w.dv.setUint8(w.size, family);
    w.size += NFGENMSG_SIZE;
    build?.(w);
    w.end(at);
    return w;
  }
}

/** 0 or an errno if `msg` ends an answer. */
function errnoAtEnd(msg: MessageView): number | undefined {
  if (msg.type === NLMSG.ERROR) return errorNumber(msg);
  if (msg.type !== NLMSG.DONE) return undefined;
  const error = msg.end - msg.payload >= 4 ? msg.dv.getInt32(msg.payload, LITTLE_ENDIAN) : 0;
  return error < 0 ? -error : 0;
}
