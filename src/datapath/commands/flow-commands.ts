/**
 * The "ovs_flow" family: commands that install, change, show, dump and delete the flows of a datapath.
 *
 * A flow is named by its UFID, or, if it has none, by its unmasked key.  NEW finds an existing flow by UFID and, failing
 * that, any that the unmasked key matches; that one is replaced only if it is the same flow, and only if neither
 * NLM_F_CREATE nor NLM_F_EXCL forbids it.
 * Source: net/openvswitch/datapath.c (ovs_flow_cmd_*).
 */
import { FLOW_WORDS } from '../../flow/fields.ts';
import { newFlowKey } from '../../flow/flow-key.ts';
import { LITTLE_ENDIAN, NLA_HDRLEN, NLM_F } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import {
  OVS_FLOW_ATTR,
  OVS_FLOW_CMD,
  OVS_FLOW_FAMILY,
  OVS_FLOW_VERSION,
  OVS_UFID_F,
} from '../../netlink/families/ovs-flow.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { putUfid, readUfid, UFID_SIZE, Ufid } from '../../odp/odp-ufid.ts';
import { ERRNO } from '../../util/errno.ts';
import type { ActionProgram } from '../actions/action-program.ts';
import { compileActions, knownProgram } from '../actions/compile-actions.ts';
import type { Datapath } from '../datapath.ts';
import type { Datapaths } from '../datapaths.ts';
import type { Flow, FlowId } from '../flow-table/flow.ts';
import { putKey, putMask } from '../match/key-put.ts';
import { getMatch, type NestRange } from '../match/match.ts';
import { type AttrTable, atLeast, attrRules, FLAG, NESTED, U32 } from './attr-policy.ts';
import {
  DUMP_STEP,
  type DumpSource,
  type DumpStep,
  fourOps,
  type GenlFamily,
  type Replies,
  type Request,
} from './genl-family.ts';

const ATTR = OVS_FLOW_ATTR.type;
/** OVS_FLOW_ATTR_MAX: one more than the last, for padding (PAD). */
const MAXATTR = ATTR.ufidFlags + 1;

export interface FlowCommandsOptions {
  readonly id: number;
  readonly group: number;
  readonly datapaths: Datapaths;
}

/** Makes the family. */
export function flowFamily({ id, group, datapaths }: FlowCommandsOptions): GenlFamily {
  const commands = new FlowCommands(datapaths);
  return {
    id,
    name: OVS_FLOW_FAMILY,
    version: OVS_FLOW_VERSION,
    hdrsize: 4,
    maxattr: MAXATTR,
    rules: attrRules(MAXATTR, {
      [ATTR.key]: NESTED,
      [ATTR.mask]: NESTED,
      [ATTR.actions]: NESTED,
      [ATTR.clear]: FLAG,
      [ATTR.probe]: FLAG,
      [ATTR.ufid]: atLeast(1),
      [ATTR.ufidFlags]: U32,
    }),
    ops: fourOps(OVS_FLOW_CMD, commands, { dumpChecksAttrs: true }),
    group,
  };
}

// Reused by every command and every step of a dump: nothing here is reentrant.
const key = newFlowKey();
const mask = newFlowKey();
const maskedKey = newFlowKey();

const nestOf = (attrs: AttrTable, type: number): NestRange => ({
  dv: attrs.dv,
  at: attrs.offset(type),
  size: attrs.size(type),
});
const maskNestOf = (attrs: AttrTable): NestRange | null => (attrs.has(ATTR.mask) ? nestOf(attrs, ATTR.mask) : null);

/** The UFID of a request; undefined if it has none, or one of a size that is ignored. */
function readId(attrs: AttrTable): FlowId | undefined {
  if (!attrs.has(ATTR.ufid)) return undefined;
  const size = attrs.size(ATTR.ufid);
  if (size === UFID_SIZE) return readUfid(attrs.dv, attrs.offset(ATTR.ufid));
  return size < UFID_SIZE ? attrs.bytes(ATTR.ufid) : undefined;
}
const readUfidFlags = (attrs: AttrTable): number => (attrs.has(ATTR.ufidFlags) ? attrs.u32(ATTR.ufidFlags) : 0);

/** Checks the actions of a request against `key` under `mask`, which were read before, as that kernel does. */
function readActions(attrs: AttrTable, kernelCompat: number): ActionProgram {
  const [at, size] = [attrs.offset(ATTR.actions), attrs.size(ATTR.actions)];
  const known = knownProgram(attrs.dv, at, size);
  if (known !== undefined) return known;
  for (let i = 0; i < FLOW_WORDS; i++) maskedKey[i] = key[i]! & mask[i]!;
  return compileActions(attrs.dv, at, size, maskedKey, kernelCompat);
}

class FlowCommands {
  private readonly datapaths: Datapaths;

  constructor(datapaths: Datapaths) {
    this.datapaths = datapaths;
  }

  doNew(req: Request, replies: Replies): void {
    const { attrs } = req;
    if (!attrs.has(ATTR.key) || !attrs.has(ATTR.actions)) {
      throw new NetlinkError(ERRNO.EINVAL, 'new flow: key and actions are both needed');
    }
    getMatch(nestOf(attrs, ATTR.key), maskNestOf(attrs), key, mask);
    const ufid = readId(attrs);
    const program = readActions(attrs, this.datapaths.kernelCompat);
    const dp = this.datapath(req);
    const { table } = dp;

    let flow = ufid === undefined ? undefined : table.lookupUfid(ufid);
    flow ??= table.lookup(key);
    if (flow === undefined) {
      flow = table.insert({ key, mask, ufid, program });
    } else {
      if ((req.msg.flags & (NLM_F.CREATE | NLM_F.EXCL)) !== 0) throw new NetlinkError(ERRNO.EEXIST, 'flow');
      // What was found may be another flow that overlaps; of one with UFID the key must be the same, too.
      if (!table.isSame(flow, key)) flow = flow.ufid === undefined ? table.lookupExact(key) : undefined;
      if (flow === undefined) throw new NetlinkError(ERRNO.ENOENT, 'flow');
      flow.program = program;
    }
    this.notify(req, replies, OVS_FLOW_CMD.NEW, dp, flow);
  }

  doSet(req: Request, replies: Replies): void {
    const { attrs } = req;
    const ufid = readId(attrs);
    if (!attrs.has(ATTR.key) && ufid === undefined) throw new NetlinkError(ERRNO.EINVAL, 'set flow: no key');
    if (attrs.has(ATTR.key)) getMatch(nestOf(attrs, ATTR.key), maskNestOf(attrs), key, mask);
    let program: ActionProgram | undefined;
    if (attrs.has(ATTR.actions)) {
      // Actions are checked against a key, even where the UFID names the flow.
      if (!attrs.has(ATTR.key)) throw new NetlinkError(ERRNO.EINVAL, 'set flow: actions without key');
      program = readActions(attrs, this.datapaths.kernelCompat);
    }
    const { dp, flow } = this.find(req, ufid);
    if (program !== undefined) flow.program = program;
    const mustNotify = replies.mustNotify(req);
    if (mustNotify) putFlow(replies.begin(req, OVS_FLOW_CMD.SET, dp.ifindex), flow, readUfidFlags(attrs), true);
    // The reply has the statistics as they were.
    if (attrs.has(ATTR.clear)) flow.clearStats();
    if (mustNotify) replies.notify(req);
  }

  doGet(req: Request, replies: Replies): void {
    const { attrs } = req;
    const ufid = readId(attrs);
    if (!attrs.has(ATTR.key) && ufid === undefined) throw new NetlinkError(ERRNO.EINVAL, 'get flow: no key');
    if (attrs.has(ATTR.key)) getMatch(nestOf(attrs, ATTR.key), null, key, null);
    const { dp, flow } = this.find(req, ufid);
    putFlow(replies.begin(req, OVS_FLOW_CMD.GET, dp.ifindex), flow, readUfidFlags(attrs), true);
    replies.reply(req);
  }

  doDel(req: Request, replies: Replies): void {
    const { attrs } = req;
    const ufid = readId(attrs);
    if (attrs.has(ATTR.key)) {
      getMatch(nestOf(attrs, ATTR.key), null, key, null);
    } else if (ufid === undefined) {
      this.datapath(req).table.flush();
      return;
    }
    const { dp, flow } = this.find(req, ufid);
    const mustNotify = replies.mustNotify(req);
    if (mustNotify) putFlow(replies.begin(req, OVS_FLOW_CMD.DEL, dp.ifindex), flow, readUfidFlags(attrs), true);
    dp.table.remove(flow);
    if (mustNotify) replies.notify(req);
  }

  dump(req: Request): DumpSource {
    return new FlowDump(req, this.datapath(req), readUfidFlags(req.attrs));
  }

  private notify(req: Request, replies: Replies, cmd: number, dp: Datapath, flow: Flow): void {
    if (!replies.mustNotify(req)) return;
    putFlow(replies.begin(req, cmd, dp.ifindex), flow, readUfidFlags(req.attrs), true);
    replies.notify(req);
  }

  private datapath(req: Request): Datapath {
    const dp = this.datapaths.find(req.dpIfindex);
    if (dp === undefined) throw new NetlinkError(ERRNO.ENODEV, `datapath ${req.dpIfindex}`);
    return dp;
  }

  /** The flow with `ufid`, or without one the flow whose unmasked key was read into `key`.  Throws ENODEV, ENOENT. */
  private find(req: Request, ufid: FlowId | undefined): { dp: Datapath; flow: Flow } {
    const dp = this.datapath(req);
    const flow = ufid === undefined ? dp.table.lookupExact(key) : dp.table.lookupUfid(ufid);
    if (flow === undefined) throw new NetlinkError(ERRNO.ENOENT, 'flow');
    return { dp, flow };
  }
}

/**
 * Appends the attributes of `flow`: UFID, or unmasked key; masked key; mask; statistics that are not zero; actions.
 * `ufidFlags` (OVS_UFID_F) leave some out.
 */
function putFlow(w: MessageWriter, flow: Flow, ufidFlags: number, withActions: boolean): void {
  const hasMask = (ufidFlags & OVS_UFID_F.OMIT_MASK) === 0;
  const hasKey = (ufidFlags & OVS_UFID_F.OMIT_KEY) === 0;
  if (flow.ufid === undefined) {
    putKey(w, ATTR.key, flow.readUnmaskedKey(maskedKey));
    if (hasMask) putMask(w, ATTR.mask, flow.readKey(maskedKey), flow.readMask(mask));
  } else {
    if (flow.ufid instanceof Ufid) putUfid(flow.ufid, w.dv, w.attrHeader(ATTR.ufid, UFID_SIZE));
    else w.attrBytes(ATTR.ufid, flow.ufid);
    // A vswitchd that dumps 100,000 flows twice a second wants neither.
    if (hasKey || hasMask) flow.readKey(maskedKey);
    if (hasKey) putKey(w, ATTR.key, maskedKey);
    if (hasMask) putMask(w, ATTR.mask, maskedKey, flow.readMask(mask));
  }
  if (flow.usedMs !== 0) putU64(w, w.attrHeader(ATTR.used, 8), flow.usedMs);
  if (flow.nPackets !== 0) {
    const at = w.attrHeader(ATTR.stats, 16);
    putU64(w, at, flow.nPackets);
    putU64(w, at + 8, flow.nBytes);
  }
  if ((flow.tcpFlags & 0xff) !== 0) w.attrU8(ATTR.tcpFlags, flow.tcpFlags);
  if (withActions && (ufidFlags & OVS_UFID_F.OMIT_ACTIONS) === 0) w.attrBytes(ATTR.actions, flow.actions);
}

/** Writes a number below 2^53 as a u64, without a BigInt: a dump has three for each flow. */
function putU64(w: MessageWriter, at: number, value: number): void {
  const [low, high] = LITTLE_ENDIAN ? [at, at + 4] : [at + 4, at];
  w.dv.setUint32(low, value >>> 0, LITTLE_ENDIAN);
  w.dv.setUint32(high, Math.floor(value / 2 ** 32), LITTLE_ENDIAN);
}

/** Header, UFID, two keys and statistics of the largest flow, without its actions. */
const FLOW_ROOM = 2560;

class FlowDump implements DumpSource {
  private readonly dp: Datapath;
  private readonly family: GenlFamily;
  private readonly seq: number;
  private readonly to: number;
  private readonly ufidFlags: number;
  private cursor = 0;

  constructor(req: Request, dp: Datapath, ufidFlags: number) {
    this.dp = dp;
    this.family = req.family;
    this.seq = req.msg.seq;
    this.to = req.from;
    this.ufidFlags = ufidFlags;
  }

  next(w: MessageWriter, room: number, mustFit: boolean): DumpStep {
    const flow = this.dp.table.next(this.cursor);
    if (flow === undefined) return DUMP_STEP.END;
    if (room < FLOW_ROOM && !mustFit) return DUMP_STEP.FULL;
    // Actions that no datagram holds are left out; whoever needs them asks for that flow alone.
    const fits = FLOW_ROOM + NLA_HDRLEN + flow.actions.length <= room;
    if (!fits && !mustFit && !this.omitsActions) return DUMP_STEP.FULL;
    const { id, version } = this.family;
    const at = w.beginOvs(id, NLM_F.MULTI, this.seq, this.to, OVS_FLOW_CMD.GET, version, this.dp.ifindex);
    putFlow(w, flow, this.ufidFlags, fits);
    w.end(at);
    this.cursor = flow.index + 1;
    return DUMP_STEP.MORE;
  }

  private get omitsActions(): boolean {
    return (this.ufidFlags & OVS_UFID_F.OMIT_ACTIONS) !== 0;
  }
}
