/**
 * Opening and making datapaths: the negotiation of features, step by step as stock Open vSwitch does it, so that a datapath
 * that is shared with stock tools sees the same requests from all of them.
 *
 *  1. GET (an existing one), to learn its features.
 *  2. NEW or SET with a feature that no datapath has.  It must be refused; one that accepts it checks nothing, and only the
 *     oldest features can be used with it.
 *  3. NEW or SET with upcalls dispatched by CPU; where that is not supported, by port.
 *  4. SET with shared recirculation ids, where supported.
 *
 * Source: lib/dpif-netlink.c (dpif_netlink_open()).
 */
import { NLM_F } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import {
  type DatapathAttrs,
  OVS_DATAPATH_VERSION,
  OVS_DP_ATTR,
  OVS_DP_CMD,
  OVS_DP_F,
} from '../netlink/families/ovs-datapath.ts';
import type { MessageView } from '../netlink/message.ts';
import { ERRNO } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';
import type { OvsFamilies } from './ovs-families.ts';

const log = vlog('dpif_netlink');
const F = OVS_DP_F.bit;
/** A feature that no datapath has. */
const F_UNSUPPORTED = 0x80000000;

/** A datapath as its replies describe it. */
export interface DpReply extends DatapathAttrs {
  readonly name: string;
  readonly dpIfindex: number;
}

export function decodeDp(msg: MessageView): DpReply {
  const attrs = msg.readOvs(OVS_DP_ATTR);
  if (attrs.name === undefined) throw new NetlinkError(ERRNO.EINVAL, 'ovs_datapath reply without a name');
  return { ...attrs, name: attrs.name, dpIfindex: msg.dpIfindex };
}

/** Sends one ovs_datapath request and resolves to the reply.  `dpIfindex` 0 leaves it to the name. */
export function dpQuery(
  fam: OvsFamilies,
  cmd: keyof typeof OVS_DP_CMD,
  dpIfindex: number,
  attrs: DatapathAttrs,
): Promise<DpReply> {
  return fam.client.query(
    { family: fam.datapath, cmd: OVS_DP_CMD[cmd], version: OVS_DATAPATH_VERSION, flags: NLM_F.ECHO, dpIfindex },
    (w) => w.attrs(OVS_DP_ATTR, attrs),
    decodeDp,
    `ovs_datapath ${cmd}`,
  );
}

/** Opens datapath `name`, or makes it; resolves to what it is, with the features in force. */
export async function openDp(fam: OvsFamilies, name: string, create: boolean): Promise<DpReply> {
  const cmd = create ? 'NEW' : 'SET';
  const before = create ? 0 : ((await dpQuery(fam, 'GET', 0, { name, upcallPid: 0 })).userFeatures ?? 0);
  const negotiate = (userFeatures: number) =>
    dpQuery(fam, cmd, 0, { name, upcallPid: 0, userFeatures: userFeatures >>> 0 });

  if (await succeeds(negotiate(before | F.unaligned | F.vportPids | F_UNSUPPORTED))) {
    log.info('Kernel does not correctly support feature negotiation. Using standard features.');
    const dp = await dpQuery(fam, 'SET', 0, { name, upcallPid: 0, userFeatures: F.unaligned | F.vportPids });
    if (create) logDispatchMode(dp);
    return dp;
  }
  const wanted = (before & ~F.vportPids) | F.unaligned;
  let dp: DpReply;
  try {
    dp = await negotiate(wanted | F.dispatchUpcallPerCpu);
  } catch (e) {
    if (!(e instanceof NetlinkError) || e.errno !== ERRNO.EOPNOTSUPP) throw e;
    dp = await negotiate((wanted & ~F.dispatchUpcallPerCpu) | F.vportPids);
  }
  const userFeatures = (dp.userFeatures ?? 0) | F.tcRecircSharing;
  try {
    dp = await dpQuery(fam, 'SET', dp.dpIfindex, { name: dp.name, userFeatures });
  } catch (e) {
    // Without it, tc cannot share recirculation ids; nothing here needs that.
    if (!(e instanceof NetlinkError)) throw e;
  }
  if (create) logDispatchMode(dp);
  return dp;
}

/** Whether upcalls go to the port ids of the CPUs, rather than to those of the ports. */
export const isPerCpu = (userFeatures: number | undefined): boolean =>
  ((userFeatures ?? 0) & F.dispatchUpcallPerCpu) !== 0;

function logDispatchMode(dp: DpReply): void {
  log.info(`Datapath dispatch mode: ${isPerCpu(dp.userFeatures) ? 'per-cpu' : 'per-vport'}`);
}

async function succeeds(request: Promise<unknown>): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (e) {
    if (e instanceof NetlinkError) return false;
    throw e;
  }
}
