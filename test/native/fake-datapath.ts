/**
 * A datapath process of a few lines, for preload.test.ts: it serves the ovs_* families' nlctrl entries and a handful of
 * commands, each a few milliseconds late, so that a client that does not wait fails.  Prints "ready", then a line for
 * each request that it got: family, command, flags.  On NETLINK_NETFILTER it says of anything that it is done: with one
 * message of the same type in a dump or where nobody asked for an acknowledgement.  Runs until killed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { DATAPATH_PORT_ID, NETLINK_NETFILTER, NLM_F, NLMSG } from '../../src/netlink/constants.ts';
import { CTRL_ATTR, CTRL_CMD, GENL_ID_CTRL } from '../../src/netlink/families/nlctrl.ts';
import { OVS_DP_ATTR } from '../../src/netlink/families/ovs-datapath.ts';
import { forEachMessage, MessageWriter } from '../../src/netlink/message.ts';
import { openSocketTransport } from '../../src/netlink/socket.ts';
import { ERRNO } from '../../src/util/errno.ts';

const DELAY_MS = 15;
/** Families by their ids; version 2 for the first, as in the kernel. */
const FIRST_ID = 900;
const FAMILIES = ['ovs_datapath', 'ovs_vport', 'ovs_flow', 'ovs_packet', 'ovs_meter', 'ovs_ct_limit'];
const GET = 3;
/** The command that this server refuses. */
const REFUSED = 2;
/** A command that ends this process in the place of an answer. */
const FATAL = 99;

const transport = openSocketTransport({ portId: DATAPATH_PORT_ID });
let tail = Promise.resolve();

interface Req {
  type: number;
  cmd: number;
  flags: number;
  seq: number;
  familyName: string | undefined;
  /** OVS_DP_ATTR_NAME, else "fake0"; OVS_DP_ATTR_USER_FEATURES, else 0. */
  name: string;
  features: number;
}

function send(to: number, build: (w: MessageWriter) => void, through = transport): void {
  const w = new MessageWriter();
  build(w);
  through.send(w.bytes, 0, w.size, to);
}

/** Sends a NLMSG_ERROR or NLMSG_DONE. */
function status(to: number, type: number, seq: number, errno: number, through = transport): void {
  const build = (w: MessageWriter): void => {
    const at = w.begin(type, type === NLMSG.DONE ? NLM_F.MULTI : 0, seq, to);
    const size = type === NLMSG.DONE ? 4 : 20;
    w.reserve(size);
    w.dv.setInt32(w.size, -errno, true);
    w.size += size;
    w.end(at);
  };
  send(to, build, through);
}

function datapath(w: MessageWriter, req: Req, to: number, flags: number, name: string): void {
  const at = w.beginOvs(FIRST_ID, flags, req.seq, to, 1, 2, 7);
  w.attrString(1, name);
  w.attrBytes(3, new Uint8Array(32));
  w.attrU32(5, req.features);
  w.end(at);
}

/** Answers one request; returns its errno. */
function serve(req: Req, to: number): number {
  if (req.type === GENL_ID_CTRL) {
    const index = FAMILIES.indexOf(req.familyName ?? '');
    if (req.cmd !== CTRL_CMD.GETFAMILY || index < 0) return ERRNO.ENOENT;
    send(to, (w) => {
      const at = w.begin(GENL_ID_CTRL, 0, req.seq, to);
      w.genl(CTRL_CMD.NEWFAMILY, 2);
      const familyName = FAMILIES[index] ?? '';
      const mcastGroups = [{ name: familyName, id: 20 + index }];
      w.attrs(CTRL_ATTR, { familyName, familyId: FIRST_ID + index, version: 1, hdrsize: 4, maxattr: 9, mcastGroups });
      w.end(at);
    });
    return 0;
  }
  // Stock code checks that feature bit 31, which nobody knows, is refused.
  if (req.cmd === REFUSED || req.features >>> 31 !== 0) return ERRNO.EOPNOTSUPP;
  if (req.cmd === GET || (req.flags & NLM_F.ECHO) !== 0) send(to, (w) => datapath(w, req, to, 0, req.name));
  return 0;
}

async function handle(req: Req, to: number): Promise<void> {
  await sleep(DELAY_MS);
  if (req.type !== GENL_ID_CTRL && req.cmd === FATAL) process.exit(0);
  if (req.type !== GENL_ID_CTRL && (req.flags & NLM_F.DUMP) === NLM_F.DUMP) {
    // Two datapaths, and nothing of any other kind.
    for (const name of req.type === FIRST_ID ? ['fake0', 'fake1'] : []) {
      send(to, (w) => datapath(w, req, to, NLM_F.MULTI, name));
      await sleep(DELAY_MS);
    }
    status(to, NLMSG.DONE, req.seq, 0);
    return;
  }
  const errno = serve(req, to);
  if (errno !== 0 || (req.flags & NLM_F.ACK) !== 0) status(to, NLMSG.ERROR, req.seq, errno);
}

transport.receive({
  datagram: (_bytes, dv, offset, size, from) => {
    forEachMessage(dv, offset, offset + size, (m) => {
      if ((m.flags & NLM_F.REQUEST) === 0) return;
      const familyName = m.type === GENL_ID_CTRL ? m.readGenl(CTRL_ATTR).familyName : undefined;
      const attrs = m.type === FIRST_ID && m.hasOvsHeader ? m.readOvs(OVS_DP_ATTR) : {};
      const { name = 'fake0', userFeatures: features = 0 } = attrs;
      const req = { type: m.type, cmd: m.cmd, flags: m.flags, seq: m.seq, familyName, name, features };
      console.log(`${FAMILIES[m.type - FIRST_ID] ?? 'nlctrl'} ${req.cmd} 0x${req.flags.toString(16)}`);
      tail = tail.then(() => handle(req, from));
    });
  },
});

const netfilter = openSocketTransport({ protocol: NETLINK_NETFILTER, portId: DATAPATH_PORT_ID });
netfilter.receive({
  datagram: (_bytes, dv, offset, size, from) => {
    forEachMessage(dv, offset, offset + size, ({ type, flags, seq }) => {
      if ((flags & NLM_F.REQUEST) === 0) return;
      console.log(`nfnetlink 0x${type.toString(16)} 0x${flags.toString(16)}`);
      const isDump = (flags & NLM_F.DUMP) === NLM_F.DUMP;
      tail = tail.then(async () => {
        await sleep(DELAY_MS);
        if (isDump || (flags & NLM_F.ACK) === 0) send(from, (w) => w.end(w.begin(type, 0, seq, from)), netfilter);
        if (isDump || (flags & NLM_F.ACK) !== 0) status(from, isDump ? NLMSG.DONE : NLMSG.ERROR, seq, 0, netfilter);
      });
    });
  },
});
console.log('ready');
