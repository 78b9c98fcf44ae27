/**
 * The "ovs_datapath" family: commands that make, change, show and delete datapaths.
 * Source: net/openvswitch/datapath.c (ovs_dp_cmd_*).
 */
import { NLM_F } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import {
  OVS_DATAPATH_FAMILY,
  OVS_DATAPATH_VERSION,
  OVS_DP_ATTR,
  OVS_DP_CMD,
  OVS_DP_F,
} from '../../netlink/families/ovs-datapath.ts';
import { OVSP_LOCAL } from '../../netlink/families/ovs-vport.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { ERRNO } from '../../util/errno.ts';
import type { Datapath } from '../datapath.ts';
import type { Datapaths } from '../datapaths.ts';
import { KERNEL_WITH_PER_CPU_UPCALLS, USERSPACE_DATAPATH } from '../kernel-compat.ts';
import { DEVICE_NAME_MAX } from '../ports/port-backend.ts';
import { type AttrTable, attrRules, nulString, S32_NATURAL, U32, u32UpTo } from './attr-policy.ts';
import {
  DUMP_STEP,
  type DumpSource,
  type DumpStep,
  fourOps,
  type GenlFamily,
  type Replies,
  type Request,
} from './genl-family.ts';

const ATTR = OVS_DP_ATTR.type;
const MAXATTR = ATTR.ifindex;
const OLD_FEATURES = OVS_DP_F.bit.unaligned | OVS_DP_F.bit.vportPids;
/** The datapath in userspace is no old kernel, though less than every version. */
const isOld = (kernelCompat: number): boolean =>
  kernelCompat !== USERSPACE_DATAPATH && kernelCompat < KERNEL_WITH_PER_CPU_UPCALLS;
/** What this datapath can do; sharing of recirculation ids with tc is not among it. */
const supportedFeatures = (kernelCompat: number): number =>
  isOld(kernelCompat) ? OLD_FEATURES : OLD_FEATURES | OVS_DP_F.bit.dispatchUpcallPerCpu;
/** Entries of the largest mask cache. */
const MAX_MASKS_CACHE_SIZE = 4096;
/** Clients of this version and later know of features; an older one that finds a datapath there gets it without. */
const FEATURES_VERSION = 2;
/** More than a datapath's attributes can take, but for the port ids of CPUs. */
const ROOM = 256;

export interface DpCommandsOptions {
  readonly id: number;
  readonly group: number;
  readonly datapaths: Datapaths;
  /** CPUs of this machine: so many port ids of a list count. */
  readonly nCpus: number;
}

/** Makes the family. */
export function datapathFamily({ id, group, datapaths, nCpus }: DpCommandsOptions): GenlFamily {
  const commands = new DpCommands(datapaths, nCpus);
  return {
    id,
    name: OVS_DATAPATH_FAMILY,
    version: OVS_DATAPATH_VERSION,
    hdrsize: 4,
    maxattr: MAXATTR,
    rules: attrRules(MAXATTR, {
      [ATTR.name]: nulString(DEVICE_NAME_MAX),
      [ATTR.upcallPid]: U32,
      [ATTR.userFeatures]: U32,
      [ATTR.masksCacheSize]: u32UpTo(MAX_MASKS_CACHE_SIZE),
      [ATTR.ifindex]: S32_NATURAL,
    }),
    ops: fourOps(OVS_DP_CMD, commands),
    prepare: () => datapaths.sync(),
    group,
  };
}

/** Port ids of an attribute, which must be a list of whole u32 that is not empty. */
export function readPids(attrs: AttrTable, type: number, max = Number.POSITIVE_INFINITY): number[] {
  const size = attrs.size(type);
  if (size === 0 || size % 4 !== 0 || size / 4 > max) {
    throw new NetlinkError(ERRNO.EINVAL, `list of port ids of ${size} bytes`);
  }
  return [...attrs.u32Array(type)];
}

/** Appends the attributes of `dp`. */
export function putDatapath(w: MessageWriter, dp: Datapath, nCpus: number): void {
  const hasPids = (dp.userFeatures & OVS_DP_F.bit.dispatchUpcallPerCpu) !== 0 && dp.perCpuPids.length > 0;
  const { table } = dp;
  w.attrs(
    OVS_DP_ATTR,
    {
      name: dp.vport(OVSP_LOCAL)?.backend.name ?? dp.name,
      stats: {
        nHit: BigInt(dp.nHit),
        nMissed: BigInt(dp.nMissed),
        nLost: BigInt(dp.nLost),
        nFlows: BigInt(table.count),
      },
      megaflowStats: {
        nMaskHit: BigInt(table.nMaskHit),
        nMasks: table.nMasks,
        pad0: 0,
        nCacheHit: BigInt(table.nCacheHit),
        pad1: 0n,
      },
      userFeatures: dp.userFeatures,
      masksCacheSize: table.maskCacheSize,
      ...(hasPids && { perCpuPids: [...dp.perCpuPids.subarray(0, nCpus)] }),
    },
    ROOM + 4 * nCpus,
  );
}

class DpCommands {
  private readonly datapaths: Datapaths;
  private readonly nCpus: number;

  constructor(datapaths: Datapaths, nCpus: number) {
    this.datapaths = datapaths;
    this.nCpus = nCpus;
  }

  doNew(req: Request, replies: Replies): void {
    const { attrs } = req;
    if (!attrs.has(ATTR.name) || !attrs.has(ATTR.upcallPid)) {
      throw new NetlinkError(ERRNO.EINVAL, 'new datapath: neither name nor upcall port id may be missing');
    }
    const name = attrs.string(ATTR.name);
    const pids = readPids(attrs, ATTR.upcallPid, this.nCpus);
    let dp: Datapath;
    try {
      dp = this.datapaths.create(name, pids, (made) => {
        this.change(made, attrs);
        if (attrs.has(ATTR.ifindex) && attrs.u32(ATTR.ifindex) !== 0) {
          throw new NetlinkError(ERRNO.EOPNOTSUPP, 'the ifindex of a TAP cannot be chosen');
        }
      });
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      if (error.errno !== ERRNO.EBUSY && error.errno !== ERRNO.EEXIST) throw error;
      const old = this.datapaths.locate(name);
      // A client that knows nothing of features will go on with this datapath, and must not be surprised by them.
      if (req.msg.version < FEATURES_VERSION && old?.vport.portNo === OVSP_LOCAL) old.dp.userFeatures = 0;
      throw new NetlinkError(ERRNO.EEXIST, `datapath ${name}`);
    }
    this.notify(req, replies, OVS_DP_CMD.NEW, dp);
  }

  doDel(req: Request, replies: Replies): void {
    const dp = this.lookup(req);
    const w = replies.begin(req, OVS_DP_CMD.DEL, dp.ifindex);
    putDatapath(w, dp, this.nCpus);
    this.datapaths.destroy(dp);
    replies.notify(req);
  }

  doGet(req: Request, replies: Replies): void {
    const dp = this.lookup(req);
    putDatapath(replies.begin(req, OVS_DP_CMD.GET, dp.ifindex), dp, this.nCpus);
    replies.reply(req);
  }

  doSet(req: Request, replies: Replies): void {
    const dp = this.lookup(req);
    this.change(dp, req.attrs);
    this.notify(req, replies, OVS_DP_CMD.SET, dp);
  }

  dump(req: Request): DumpSource {
    return new DatapathDump(req, this.datapaths, this.nCpus);
  }

  private notify(req: Request, replies: Replies, cmd: number, dp: Datapath): void {
    putDatapath(replies.begin(req, cmd, dp.ifindex), dp, this.nCpus);
    replies.notify(req);
  }

  /** The datapath that a request is about: by the name of its local port, else by dp_ifindex.  Throws ENODEV. */
  private lookup(req: Request): Datapath {
    const { attrs } = req;
    if (!attrs.has(ATTR.name)) {
      const dp = this.datapaths.find(req.dpIfindex);
      if (dp === undefined) throw new NetlinkError(ERRNO.ENODEV, `datapath ${req.dpIfindex}`);
      return dp;
    }
    const name = attrs.string(ATTR.name);
    const ref = this.datapaths.locate(name);
    if (ref?.vport.portNo !== OVSP_LOCAL) throw new NetlinkError(ERRNO.ENODEV, `datapath ${name}`);
    return ref.dp;
  }

  /** Applies features, size of the mask cache and the port ids of CPUs; checks all of it before any of it. */
  private change(dp: Datapath, attrs: AttrTable): void {
    const features = attrs.has(ATTR.userFeatures) ? attrs.u32(ATTR.userFeatures) : 0;
    if ((features & ~supportedFeatures(this.datapaths.kernelCompat)) !== 0) {
      throw new NetlinkError(ERRNO.EOPNOTSUPP, `datapath features 0x${features.toString(16)}`);
    }
    const cacheSize = attrs.has(ATTR.masksCacheSize) ? attrs.u32(ATTR.masksCacheSize) : dp.table.maskCacheSize;
    if ((cacheSize & (cacheSize - 1)) !== 0) throw new NetlinkError(ERRNO.EINVAL, `mask cache of ${cacheSize} entries`);
    const isPerCpu = (features & OVS_DP_F.bit.dispatchUpcallPerCpu) !== 0;
    const pids = isPerCpu && attrs.has(ATTR.perCpuPids) ? readPids(attrs, ATTR.perCpuPids) : undefined;

    if (cacheSize !== dp.table.maskCacheSize) dp.table.maskCacheSize = cacheSize;
    dp.userFeatures = features;
    if (pids !== undefined) dp.perCpuPids = Uint32Array.from(pids);
  }
}

class DatapathDump implements DumpSource {
  private readonly datapaths: Datapaths;
  private readonly left: Datapath[];
  private readonly nCpus: number;
  private readonly family: GenlFamily;
  private readonly seq: number;
  private readonly to: number;

  constructor(req: Request, datapaths: Datapaths, nCpus: number) {
    this.datapaths = datapaths;
    this.left = [...datapaths.all()].reverse();
    this.nCpus = nCpus;
    this.family = req.family;
    this.seq = req.msg.seq;
    this.to = req.from;
  }

  next(w: MessageWriter, room: number, mustFit: boolean): DumpStep {
    let dp = this.left.at(-1);
    // Some may have been deleted since the dump began.
    while (dp !== undefined && this.datapaths.find(dp.ifindex) !== dp) {
      this.left.pop();
      dp = this.left.at(-1);
    }
    if (dp === undefined) return DUMP_STEP.END;
    if (room < ROOM + 4 * this.nCpus && !mustFit) return DUMP_STEP.FULL;
    this.left.pop();
    const { id, version } = this.family;
    const at = w.beginOvs(id, NLM_F.MULTI, this.seq, this.to, OVS_DP_CMD.GET, version, dp.ifindex);
    putDatapath(w, dp, this.nCpus);
    w.end(at);
    return DUMP_STEP.MORE;
  }
}
