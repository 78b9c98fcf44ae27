/**
 * The "ovs_vport" family: commands that add, change, show and delete ports of a datapath; and the notification when a
 * port's device goes away by itself.
 * Source: net/openvswitch/datapath.c (ovs_vport_cmd_*), dp_notify.c.
 */
import { NLM_F } from '../../netlink/constants.ts';
import { NetlinkError, NetlinkFormatError } from '../../netlink/errors.ts';
import { OVS_DP_F } from '../../netlink/families/ovs-datapath.ts';
import {
  DP_MAX_PORTS,
  OVS_VPORT_ATTR,
  OVS_VPORT_CMD,
  OVS_VPORT_FAMILY,
  OVS_VPORT_TYPE,
  OVS_VPORT_VERSION,
  OVSP_LOCAL,
  VPORT_POLICING,
} from '../../netlink/families/ovs-vport.ts';
import type { MessageWriter } from '../../netlink/message.ts';
import { ERRNO } from '../../util/errno.ts';
import type { Datapath } from '../datapath.ts';
import type { Datapaths, PortRef } from '../datapaths.ts';
import { DEVICE_NAME_MAX } from '../ports/port-backend.ts';
import type { AttrRange } from '../ports/port-factory.ts';
import type { Vport } from '../vport.ts';
import { atLeast, attrRules, NESTED, nulString, S32, S32_NATURAL, U32 } from './attr-policy.ts';
import { readPids } from './dp-commands.ts';
import {
  DUMP_STEP,
  type DumpSource,
  type DumpStep,
  fourOps,
  type GenlFamily,
  type Replies,
  type Request,
} from './genl-family.ts';

const ATTR = OVS_VPORT_ATTR.type;
/** OVS_VPORT_ATTR_MAX of Linux 6.1, which had no UPCALL_STATS yet. */
const MAXATTR = ATTR.netnsid;
/** Bytes of struct ovs_vport_stats. */
const STATS_SIZE = 64;
/** More than a port's attributes can take, but for a list of upcall port ids. */
const ROOM = 256;

export interface VportCommandsOptions {
  readonly id: number;
  readonly group: number;
  readonly datapaths: Datapaths;
  /** CPUs of this machine: a port cannot have more upcall port ids. */
  readonly nCpus: number;
}

/** Makes the family. */
export function vportFamily({ id, group, datapaths, nCpus }: VportCommandsOptions): GenlFamily {
  const commands = new VportCommands(datapaths, nCpus);
  return {
    id,
    name: OVS_VPORT_FAMILY,
    version: OVS_VPORT_VERSION,
    hdrsize: 4,
    maxattr: MAXATTR,
    rules: attrRules(MAXATTR, {
      [ATTR.name]: nulString(DEVICE_NAME_MAX),
      [ATTR.stats]: atLeast(STATS_SIZE),
      [ATTR.portNo]: U32,
      [ATTR.type]: U32,
      [ATTR.options]: NESTED,
      [ATTR.ifindex]: S32_NATURAL,
      [ATTR.netnsid]: S32,
    }),
    ops: fourOps(OVS_VPORT_CMD, commands),
    prepare: () => datapaths.sync(),
    group,
  };
}

/** Tells `family`'s group that `vport` is gone, its device with it. */
export function announceVportDel(replies: Replies, family: GenlFamily, dp: Datapath, vport: Vport): void {
  putVport(replies.beginEvent(family, OVS_VPORT_CMD.DEL, dp.ifindex), dp, vport);
  replies.announce(family);
}

/** Appends the attributes of `vport`. */
function putVport(w: MessageWriter, dp: Datapath, vport: Vport): void {
  const hasList = (dp.userFeatures & OVS_DP_F.bit.vportPids) !== 0;
  const { backend, upcallPids } = vport;
  const options = backend.tunnelOptions?.();
  const place = backend.elsewhere;
  w.attrs(
    OVS_VPORT_ATTR,
    {
      portNo: vport.portNo,
      type: vport.type,
      name: backend.name,
      ifindex: place?.ifindex ?? backend.ifindex,
      ...(place && { netnsid: place.netnsid }),
      stats: vport.stats(),
      upcallPid: [...upcallPids.subarray(0, hasList ? upcallPids.length : 1)],
      ...(options && { options }),
    },
    ROOM + 4 * upcallPids.length,
  );
}

/** Changes the options of a port.  There are none but those of our own. */
function setOptions({ backend, name }: Vport, { dv, at, size }: AttrRange): void {
  const unknown = new NetlinkError(ERRNO.EOPNOTSUPP, `port ${name} has no options that can be changed`);
  if (backend.police === undefined) throw unknown;
  try {
    backend.police(VPORT_POLICING.read(dv, at, size));
  } catch (error) {
    throw error instanceof NetlinkFormatError ? unknown : error;
  }
}

/** Where a request's options are, if it has some. */
function readOptions(attrs: Request['attrs']): AttrRange | undefined {
  if (!attrs.has(ATTR.options)) return undefined;
  return { dv: attrs.dv, at: attrs.offset(ATTR.options), size: attrs.size(ATTR.options) };
}

class VportCommands {
  private readonly datapaths: Datapaths;
  private readonly nCpus: number;

  constructor(datapaths: Datapaths, nCpus: number) {
    this.datapaths = datapaths;
    this.nCpus = nCpus;
  }

  doNew(req: Request, replies: Replies): void {
    const { attrs } = req;
    if (!attrs.has(ATTR.name) || !attrs.has(ATTR.type) || !attrs.has(ATTR.upcallPid)) {
      throw new NetlinkError(ERRNO.EINVAL, 'new port: name, type and upcall port id are all needed');
    }
    const type = attrs.u32(ATTR.type);
    if (attrs.has(ATTR.ifindex) && (type !== OVS_VPORT_TYPE.INTERNAL || attrs.u32(ATTR.ifindex) !== 0)) {
      throw new NetlinkError(ERRNO.EOPNOTSUPP, 'the ifindex of a port cannot be chosen');
    }
    const wanted = attrs.has(ATTR.portNo) ? attrs.u32(ATTR.portNo) : 0;
    if (wanted >= DP_MAX_PORTS) throw new NetlinkError(ERRNO.EFBIG, `port number ${wanted}`);
    const dp = this.datapaths.find(req.dpIfindex);
    if (dp === undefined) throw new NetlinkError(ERRNO.ENODEV, `datapath ${req.dpIfindex}`);

    const portNo = choosePortNo(dp, wanted);
    const pids = readPids(attrs, ATTR.upcallPid, this.nCpus);
    const vport = this.datapaths.addPort(dp, portNo, type, attrs.string(ATTR.name), pids, readOptions(attrs));
    this.notify(req, replies, OVS_VPORT_CMD.NEW, { dp, vport });
  }

  doDel(req: Request, replies: Replies): void {
    const { dp, vport } = this.lookup(req);
    if (vport.portNo === OVSP_LOCAL) throw new NetlinkError(ERRNO.EINVAL, 'the local port cannot be deleted');
    putVport(replies.begin(req, OVS_VPORT_CMD.DEL, dp.ifindex), dp, vport);
    vport.backend.expectDeletion?.();
    this.datapaths.removePort(dp, vport);
    replies.notify(req);
  }

  doGet(req: Request, replies: Replies): void {
    const { dp, vport } = this.lookup(req);
    putVport(replies.begin(req, OVS_VPORT_CMD.GET, dp.ifindex), dp, vport);
    replies.reply(req);
  }

  doSet(req: Request, replies: Replies): void {
    const { attrs } = req;
    const ref = this.lookup(req);
    if (attrs.has(ATTR.type) && attrs.u32(ATTR.type) !== ref.vport.type) {
      throw new NetlinkError(ERRNO.EINVAL, `port ${ref.vport.name} is of type ${ref.vport.type}`);
    }
    const options = readOptions(attrs);
    if (options !== undefined) setOptions(ref.vport, options);
    if (attrs.has(ATTR.upcallPid)) ref.vport.setUpcallPids(readPids(attrs, ATTR.upcallPid, this.nCpus));
    this.notify(req, replies, OVS_VPORT_CMD.SET, ref);
  }

  dump(req: Request): DumpSource {
    const dp = this.datapaths.find(req.dpIfindex);
    if (dp === undefined) throw new NetlinkError(ERRNO.ENODEV, `datapath ${req.dpIfindex}`);
    return new VportDump(req, dp);
  }

  private notify(req: Request, replies: Replies, cmd: number, { dp, vport }: PortRef): void {
    putVport(replies.begin(req, cmd, dp.ifindex), dp, vport);
    replies.notify(req);
  }

  /** The port that a request is about: by name in any datapath (or the one named), else by number. */
  private lookup(req: Request): PortRef {
    const { attrs, dpIfindex } = req;
    if (attrs.has(ATTR.ifindex)) throw new NetlinkError(ERRNO.EOPNOTSUPP, 'ports are not found by ifindex');
    if (attrs.has(ATTR.name)) {
      const name = attrs.string(ATTR.name);
      const ref = this.datapaths.locate(name);
      if (ref === undefined || (dpIfindex !== 0 && dpIfindex !== ref.dp.ifindex)) {
        throw new NetlinkError(ERRNO.ENODEV, `port ${name}`);
      }
      return ref;
    }
    if (!attrs.has(ATTR.portNo)) throw new NetlinkError(ERRNO.EINVAL, 'neither name nor number of a port');
    const portNo = attrs.u32(ATTR.portNo);
    if (portNo >= DP_MAX_PORTS) throw new NetlinkError(ERRNO.EFBIG, `port number ${portNo}`);
    const dp = this.datapaths.find(dpIfindex);
    const vport = dp?.vport(portNo);
    if (dp === undefined || vport === undefined) throw new NetlinkError(ERRNO.ENODEV, `port ${portNo}`);
    return { dp, vport };
  }
}

/** `wanted`, if it is free; for 0 the lowest free number from 1 on. */
function choosePortNo(dp: Datapath, wanted: number): number {
  if (wanted !== 0) {
    if (dp.vport(wanted) !== undefined) throw new NetlinkError(ERRNO.EBUSY, `port number ${wanted}`);
    return wanted;
  }
  for (let portNo = 1; portNo < DP_MAX_PORTS; portNo++) if (dp.vport(portNo) === undefined) return portNo;
  throw new NetlinkError(ERRNO.EFBIG, 'all port numbers are taken');
}

class VportDump implements DumpSource {
  private readonly dp: Datapath;
  private readonly left: Vport[];
  private readonly family: GenlFamily;
  private readonly seq: number;
  private readonly to: number;

  constructor(req: Request, dp: Datapath) {
    this.dp = dp;
    this.left = dp.vports().reverse();
    this.family = req.family;
    this.seq = req.msg.seq;
    this.to = req.from;
  }

  next(w: MessageWriter, room: number, mustFit: boolean): DumpStep {
    for (;;) {
      const vport = this.left.at(-1);
      if (vport === undefined) return DUMP_STEP.END;
      if (room < ROOM + 4 * vport.upcallPids.length && !mustFit) return DUMP_STEP.FULL;
      this.left.pop();
      // Deleted since the dump began.
      if (this.dp.vport(vport.portNo) !== vport) continue;
      const { id, version } = this.family;
      const at = w.beginOvs(id, NLM_F.MULTI, this.seq, this.to, OVS_VPORT_CMD.GET, version, this.dp.ifindex);
      putVport(w, this.dp, vport);
      w.end(at);
      return DUMP_STEP.MORE;
    }
  }
}
