/**
 * A client that sends malformed netlink messages to the datapath process of the network namespace that it is started in.
 *
 *     netlink-fuzz-client.ts broken          each kind of malformed message once
 *     netlink-fuzz-client.ts mutate N SEED   N random mutations of valid messages
 *
 * Prints one JSON object: how many answers had which errno.  netlink-fuzz.test.ts says what they must be.
 */
import { native } from '../../src/native/index.ts';
import {
  DATAPATH_PORT_ID,
  LITTLE_ENDIAN,
  NETLINK_GENERIC,
  NLM_F,
  NLMSG,
  NLMSG_HDRLEN,
} from '../../src/netlink/constants.ts';
import { OVS_DP_ATTR, OVS_DP_CMD } from '../../src/netlink/families/ovs-datapath.ts';
import { OVS_FLOW_ATTR, OVS_FLOW_CMD } from '../../src/netlink/families/ovs-flow.ts';
import { OVS_PACKET_ATTR, OVS_PACKET_CMD } from '../../src/netlink/families/ovs-packet.ts';
import { OVS_VPORT_ATTR, OVS_VPORT_CMD, OVS_VPORT_TYPE } from '../../src/netlink/families/ovs-vport.ts';
import { GenlClient } from '../../src/netlink/genl.ts';
import { lookupFamily } from '../../src/netlink/genl-family.ts';
import { forEachMessage, MessageWriter } from '../../src/netlink/message.ts';
import { openSocketTransport } from '../../src/netlink/socket.ts';
import { errnoName } from '../../src/util/errno.ts';

/** Answers by the name of their errno ("E0" is an acknowledgement), and what else is counted. */
export interface Counts {
  E0?: number;
  EINVAL?: number;
  EOPNOTSUPP?: number;
  [what: string]: number | undefined;
}

const STRIDE = 72 << 10;
const BATCH = 64;

/** The socket that the messages leave by; answers are read between batches, so nobody's queue fills up. */
class Wire {
  readonly counts: Counts = {};
  private readonly socket = native().openNetlink(NETLINK_GENERIC, 0, 4 << 20);
  private readonly buffer = new Uint8Array(BATCH * STRIDE);
  private readonly view = new DataView(this.buffer.buffer);
  private readonly info = new Int32Array(2 * BATCH);
  /** Sequence number of the last NLMSG_ERROR or NLMSG_DONE that came. */
  private lastSeq = 0;
  private seq = 0;

  /** Numbers `message`, and sends it. */
  send(message: Uint8Array): void {
    new DataView(message.buffer, message.byteOffset).setUint32(8, ++this.seq, LITTLE_ENDIAN);
    const result = this.socket.send(message, 0, message.length, DATAPATH_PORT_ID, 0);
    if (result < 0) this.count(`send ${errnoName(-result)}`);
  }

  private count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  private drain(): void {
    for (;;) {
      const n = this.socket.receive(this.buffer, STRIDE, BATCH, this.info);
      if (n <= 0) return;
      for (let i = 0; i < n; i++) {
        const at = i * STRIDE;
        forEachMessage(this.view, at, at + (this.info[2 * i] ?? 0), (msg) => {
          if (msg.type === NLMSG.ERROR) this.count(errnoName(-msg.dv.getInt32(msg.payload, LITTLE_ENDIAN)));
          else this.count(msg.type === NLMSG.DONE ? 'dumps' : 'replies');
          // A reply comes before its acknowledgement, perhaps in another batch.
          if (msg.type < NLMSG.MIN_TYPE) this.lastSeq = Math.max(this.lastSeq, msg.seq);
        });
      }
    }
  }

  /** Sends a message that is answered for certain, and waits for the answer: all before it have been dealt with then. */
  async sync(valid: Uint8Array): Promise<void> {
    this.send(valid.slice());
    const want = this.seq;
    for (const end = Date.now() + 10_000; this.lastSeq < want; await new Promise((done) => setImmediate(done))) {
      this.drain();
      if (Date.now() > end) throw new Error('the datapath does not answer any more');
    }
  }

  close(): void {
    this.socket.close();
  }
}

/** Valid requests of every command that takes attributes, each asking for an acknowledgement. */
async function validMessages(): Promise<Map<string, Uint8Array>> {
  const client = new GenlClient({ open: openSocketTransport, peer: DATAPATH_PORT_ID });
  const id = async (name: string) => (await lookupFamily(client, name)).id;
  const [dp, vport, flow, packet] = [
    await id('ovs_datapath'),
    await id('ovs_vport'),
    await id('ovs_flow'),
    await id('ovs_packet'),
  ];
  client.close();
  const { DP_IFINDEX } = process.env;
  const dpIfindex = Number(DP_IFINDEX);

  const nest = (fill: (w: MessageWriter) => void): Uint8Array => {
    const w = new MessageWriter();
    fill(w);
    return w.bytes.slice(0, w.size);
  };
  // OVS_KEY_ATTR_*: priority 2, in_port 3, ethernet 4, ethertype 6, ipv4 7; OVS_ACTION_ATTR_OUTPUT 1.
  const key = nest((w) => {
    w.attrU32(2, 0);
    w.attrU32(3, 1);
    w.attrBytes(4, new Uint8Array(12));
    w.attrBytes(6, Uint8Array.of(8, 0));
    w.attrBytes(7, Uint8Array.of(10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 64, 0));
  });
  const actions = nest((w) => w.attrU32(1, 0));
  const frame = new Uint8Array(64).fill(0xff, 0, 12);
  const ufid = new Uint8Array(16).fill(7);

  const found = new Map<string, Uint8Array>();
  const add = (name: string, family: number, cmd: number, fill: (w: MessageWriter) => void, flags = 0) => {
    const w = new MessageWriter();
    const at = w.beginOvs(family, NLM_F.REQUEST | NLM_F.ACK | flags, 0, 0, cmd, family === dp ? 2 : 1, dpIfindex);
    fill(w);
    w.end(at);
    found.set(name, w.bytes.slice(0, w.size));
  };
  add('dp get', dp, OVS_DP_CMD.GET, () => {});
  add('dp new', dp, OVS_DP_CMD.NEW, (w) => w.attrs(OVS_DP_ATTR, { name: 'dpfuzz', upcallPid: 0 }));
  add('dp set', dp, OVS_DP_CMD.SET, (w) => w.attrs(OVS_DP_ATTR, { name: 'dp0', masksCacheSize: 256 }));
  add('vport new', vport, OVS_VPORT_CMD.NEW, (w) =>
    w.attrs(OVS_VPORT_ATTR, { type: OVS_VPORT_TYPE.INTERNAL, name: 'fuzz1', upcallPid: [0] }),
  );
  add('vport set', vport, OVS_VPORT_CMD.SET, (w) => w.attrs(OVS_VPORT_ATTR, { name: 'dp0', upcallPid: [5] }));
  add('vport get', vport, OVS_VPORT_CMD.GET, (w) => w.attrs(OVS_VPORT_ATTR, { name: 'dp0' }));
  add('vport del', vport, OVS_VPORT_CMD.DEL, (w) => w.attrs(OVS_VPORT_ATTR, { name: 'fuzz1' }));
  add(
    'flow new',
    flow,
    OVS_FLOW_CMD.NEW,
    (w) => w.attrs(OVS_FLOW_ATTR, { ufid, key, mask: key, actions }),
    NLM_F.CREATE,
  );
  add('flow set', flow, OVS_FLOW_CMD.SET, (w) => w.attrs(OVS_FLOW_ATTR, { key, actions }));
  add('flow get', flow, OVS_FLOW_CMD.GET, (w) => w.attrs(OVS_FLOW_ATTR, { key }));
  add('flow del', flow, OVS_FLOW_CMD.DEL, (w) => w.attrs(OVS_FLOW_ATTR, { key }));
  add('flow dump', flow, OVS_FLOW_CMD.GET, () => {}, NLM_F.DUMP);
  add('execute', packet, OVS_PACKET_CMD.EXECUTE, (w) => w.attrs(OVS_PACKET_ATTR, { key, actions, packet: frame }));
  return found;
}

const size = (message: Uint8Array): number => message.length;
const header = NLMSG_HDRLEN + 8;

/** Kinds of damage that no receiver may accept, each applied to a copy. */
const DAMAGE: Record<string, (m: Uint8Array, dv: DataView) => Uint8Array> = {
  'no room for the genl header': (m, dv) => {
    dv.setUint32(0, NLMSG_HDRLEN + 2, LITTLE_ENDIAN);
    return m.subarray(0, NLMSG_HDRLEN + 2);
  },
  'no room for the ovs header': (m, dv) => {
    dv.setUint32(0, NLMSG_HDRLEN + 6, LITTLE_ENDIAN);
    return m.subarray(0, NLMSG_HDRLEN + 6);
  },
  'unknown command': (m) => {
    m[NLMSG_HDRLEN] = 200;
    return m;
  },
  'command 0': (m) => {
    m[NLMSG_HDRLEN] = 0;
    return m;
  },
  'first attribute longer than the message': (m, dv) => {
    dv.setUint16(header, size(m), LITTLE_ENDIAN);
    return m;
  },
  'first attribute shorter than its header': (m, dv) => {
    dv.setUint16(header, 3, LITTLE_ENDIAN);
    return m;
  },
  'first attribute of length 0': (m, dv) => {
    dv.setUint16(header, 0, LITTLE_ENDIAN);
    return m;
  },
  'cut in the middle of the first attribute': (m, dv) => {
    dv.setUint32(0, header + 6, LITTLE_ENDIAN);
    return m.subarray(0, header + 6);
  },
};

async function broken(wire: Wire): Promise<void> {
  const valid = await validMessages();
  const get = valid.get('dp get') ?? new Uint8Array();
  for (const [name, message] of valid) {
    // Without attributes most kinds of damage are none.
    if (size(message) <= header) continue;
    for (const [what, damage] of Object.entries(DAMAGE)) {
      const copy = message.slice();
      const before = { ...wire.counts };
      wire.send(damage(copy, new DataView(copy.buffer)));
      await wire.sync(get);
      // The answer to `get` is a reply and an acknowledgement: what is more is the answer to the damaged message.
      const accepted = (wire.counts.E0 ?? 0) - (before.E0 ?? 0) > 1;
      if (accepted) wire.counts[`accepted: ${name}, ${what}`] = 1;
    }
  }
}

async function mutate(wire: Wire, n: number, seed: number): Promise<void> {
  const messages = await validMessages();
  const get = messages.get('dp get') ?? new Uint8Array();
  const list = [...messages.values()];
  let state = seed >>> 0 || 1;
  /** xorshift32: the same messages for the same seed. */
  const random = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  for (let i = 0; i < n; i++) {
    let copy = (list[random(list.length)] ?? get).slice();
    const dv = new DataView(copy.buffer);
    for (let k = 1 + random(4); k > 0; k--) {
      const at = random(copy.length);
      switch (random(5)) {
        case 0:
          copy[at] = random(256);
          break;
        case 1:
          copy[at] = (copy[at] ?? 0) ^ (1 << random(8));
          break;
        case 2:
          dv.setUint16(at & ~3, [0, 1, 3, 4, 5, 8, 0x7fff, 0xffff][random(8)] ?? 0, LITTLE_ENDIAN);
          break;
        case 3:
          copy.copyWithin(at & ~3, header + (random(copy.length) & ~3));
          break;
        default:
          if (random(4) === 0 && copy.length > 24) {
            copy = copy.slice(0, NLMSG_HDRLEN + random(copy.length - NLMSG_HDRLEN));
            new DataView(copy.buffer).setUint32(0, copy.length, LITTLE_ENDIAN);
          }
      }
      if (copy.length < NLMSG_HDRLEN + 4) break;
    }
    wire.send(copy);
    if (i % BATCH === BATCH - 1) await wire.sync(get);
  }
  await wire.sync(get);
}

const [mode, count = '0', seed = '1'] = process.argv.slice(2);
const wire = new Wire();
if (mode === 'broken') await broken(wire);
else await mutate(wire, Number(count), Number(seed));
wire.close();
console.log(JSON.stringify(wire.counts));
