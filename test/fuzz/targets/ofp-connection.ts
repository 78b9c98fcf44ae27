/**
 * Bytes onto OpenFlow connections of a switch.  A case's records are steps:
 *
 *     0  which versions the two connections have: a byte for each
 *     1  a message to the first connection: its header gets its length and a transaction id of its own
 *     2  the same to the second one
 *     3  bytes as they are to the first one
 *     4  time passes: tenths of a second
 *     5  a peer stops reading, or reads on: which, 0 or 1
 *
 * Whatever comes, each message that was cut off rightly is answered if it is one that has an answer, or by an error; what is answered is well-formed;
 * none of it is a mistake of ours, of which the log has a stack; a barrier at the end is answered, so the connection is still there; no
 * promise is rejected that nobody waits for.
 */
import { decodeMessage } from '../../../src/openflow/messages/codec.ts';
import { OfpError } from '../../../src/openflow/ofp-errors.ts';
import { setConsole } from '../../../src/util/vlog.ts';
import { type Case, check, type FuzzTarget, record } from '../case.ts';
import { readCorpus } from '../corpus.ts';
import { OfRig, type RigConnection } from '../of-rig.ts';
import { mutateMessage } from '../ofp-mutate.ts';
import type { Random } from '../random.ts';

const STEP = { VERSIONS: 0, FIRST: 1, SECOND: 2, RAW: 3, TIME: 4, READS: 5 } as const;
const N_STEPS = 6;
const MAX_STEPS = 40;
const MAX_MESSAGE = 4000;
/** What may wait for a peer that does not read: a long answer, and what makes connections wait. */
const MAX_WAITING = 4 << 20;
const BARRIER_XID = 0xbabe;
const FIRST_XID = 0x100;

type Seen = Set<string>;

const rejections: unknown[] = [];
let isListening = false;
const logged: string[] = [];

/** Whether a message has to be answered, to one that speaks `version`; undefined: it is not known, or it will be when all of it is there. */
function wantsAnswer(bytes: Uint8Array, version: number): boolean | undefined {
  if (bytes[0] !== version) return bytes[1]! > 3 ? true : undefined;
  try {
    const { kind, more } = decodeMessage(bytes);
    if (kind === 'hello' || more) return undefined;
    return kind.endsWith('_request');
  } catch (error) {
    if (error instanceof OfpError) return true;
    throw error;
  }
}

class Peer {
  private readonly c: RigConnection;
  private readonly wanted = new Set<number>();
  private isRaw = false;
  private nextXid = FIRST_XID;

  constructor(rig: OfRig, version: number) {
    this.c = rig.connect(1 << version);
  }

  get stream() {
    return this.c.stream;
  }

  raw(bytes: Uint8Array): void {
    this.isRaw = true;
    this.c.stream.push(Buffer.from(bytes));
  }

  message(body: Uint8Array): void {
    if (this.c.stream.destroyed) return;
    const bytes = new Uint8Array(Math.max(8, Math.min(body.length, MAX_MESSAGE)));
    bytes.set(body.subarray(0, bytes.length));
    const dv = new DataView(bytes.buffer);
    dv.setUint16(2, bytes.length);
    // Parts of one request have one number.
    const xid = (bytes[8] ?? 0) % 3 === 0 && this.nextXid > FIRST_XID ? this.nextXid - 1 : this.nextXid++;
    dv.setUint32(4, xid);
    if (wantsAnswer(bytes, this.c.vconn.version ?? 0) === true) this.wanted.add(xid);
    this.c.stream.push(Buffer.from(bytes));
  }

  /** What came is well-formed; those that were asked for an answer get none any more. */
  take(seen: Seen): void {
    check(this.c.stream.writableLength < MAX_WAITING, () => `${this.c.stream.writableLength} bytes wait for the peer`);
    for (const bytes of this.c.stream.messages()) {
      const m = decodeMessage(bytes);
      seen.add(m.kind === 'error' ? `error ${m.body.err?.name}` : m.raw.name);
      this.wanted.delete(m.xid);
      const isOurs = m.kind === 'error' && (m.body.err === undefined || /UNKNOWN$|UNENCODABLE/.test(m.body.err.name));
      // Before 1.5 there is no such code; but then the log has a stack.
      const trace = isOurs ? logged.find((line) => line.includes('\n    at ')) : undefined;
      check(trace === undefined, () => `a mistake of ours answers a message: ${trace}`);
    }
  }

  /** The last of it. */
  async end(rig: OfRig, seen: Seen): Promise<void> {
    const { stream, vconn } = this.c;
    stream.reads(true);
    for (let i = 0; i < 5; i++) await rig.settle();
    this.take(seen);
    if (!this.isRaw) {
      check(vconn.state === 'connected', `the connection is ${vconn.state}`);
      const [xid] = this.wanted;
      check(xid === undefined, () => `message ${(xid ?? 0) - FIRST_XID} is not answered`);
      const version = vconn.version ?? 1;
      this.wanted.add(BARRIER_XID);
      stream.push(Buffer.from([version, version === 1 ? 18 : 20, 0, 8, 0, 0, BARRIER_XID >> 8, BARRIER_XID & 0xff]));
      await rig.settle();
      this.take(seen);
      check(!this.wanted.has(BARRIER_XID), 'no barrier is answered any more');
    }
    stream.destroy();
  }
}

async function run(records: Case): Promise<string[]> {
  if (!isListening) process.on('unhandledRejection', (reason) => rejections.push(reason));
  isListening = true;
  setConsole((line) => void (line.includes('\n    at ') && logged.push(line)));
  const seen: Seen = new Set();
  logged.length = 0;
  const rig = new OfRig();
  await rig.open();
  const versions = records.find((r) => r[0]! % N_STEPS === STEP.VERSIONS);
  const peers = [versions?.[1] ?? 3, versions?.[2] ?? 5].map((v) => new Peer(rig, 1 + (v % 6))) as [Peer, Peer];
  try {
    await rig.settle();
    for (const r of records.slice(0, MAX_STEPS)) {
      const [kind, a = 0] = r;
      switch (kind! % N_STEPS) {
        case STEP.FIRST:
          peers[0].message(r.subarray(1));
          break;
        case STEP.SECOND:
          peers[1].message(r.subarray(1));
          break;
        case STEP.RAW:
          peers[0].raw(r.subarray(1, 1 + MAX_MESSAGE));
          break;
        case STEP.TIME:
          await rig.settle();
          await rig.pass(100 * a);
          break;
        case STEP.READS:
          peers[(a & 2) >> 1]!.stream.reads((a & 1) !== 0);
          break;
        default:
      }
    }
    for (const peer of peers) await peer.end(rig, seen);
    const [rejection] = rejections.splice(0);
    if (rejection !== undefined) throw rejection;
  } finally {
    for (const peer of peers) peer.stream.destroy();
    await rig.close();
  }
  check(rig.conns.conns.size === 0, () => `${rig.conns.conns.size} connections are left`);
  return [...seen];
}

const byVersion = new Map<number, Uint8Array[]>();
function seedsOf(version: number): readonly Uint8Array[] {
  if (byVersion.size === 0) {
    for (const [r] of readCorpus('ofp-message')) {
      if (r === undefined || r.length < 9 || r.length > 1200) continue;
      const v = r[1]!;
      byVersion.set(v, [...(byVersion.get(v) ?? []), r.slice(1)]);
    }
  }
  return byVersion.get(version) ?? [];
}

export const ofpConnectionTarget: FuzzTarget = {
  name: 'ofp-connection',

  generate(random: Random): Case {
    const versions = [random.below(6), random.below(6)];
    const steps = Array.from({ length: 1 + random.below(12) }, () => {
      const which = random.below(2);
      switch (random.below(16)) {
        case 0:
          return record(STEP.TIME, [random.pick([1, 10, 110, 255])]);
        case 1:
          return record(STEP.READS, [random.below(4)]);
        case 2:
          return record(STEP.RAW, random.oneIn(2) ? [4, 2, 0, 8, 0, 0, 0, 1] : random.bytes(random.below(40)));
        default: {
          const seeds = seedsOf(1 + versions[which]!);
          return record(which === 0 ? STEP.FIRST : STEP.SECOND, seeds.length > 0 ? random.pick(seeds) : [4, 2, 0, 8]);
        }
      }
    });
    return [record(STEP.VERSIONS, versions), ...steps];
  },

  mutateRecord: (r, random) => {
    const kind = r[0]! % N_STEPS;
    return kind === STEP.FIRST || kind === STEP.SECOND ? record(kind, mutateMessage(r, random).subarray(1)) : r;
  },

  run,
};
