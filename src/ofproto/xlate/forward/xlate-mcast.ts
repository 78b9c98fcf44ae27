/**
 * The part of NORMAL that multicast packets go through where snooping is on: to where members of their group are, and to routers, rather than
 * everywhere.  What hosts and routers say of groups is noted, and goes up to userspace packet by packet so that all of it is.
 * `mcast/mcast-snooping.ts` has the table, `mcast/membership.ts` reads the messages.
 * Source: ofproto/ofproto-dpif-xlate.c (xlate_normal, update_mcast_snooping_table, xlate_normal_mcast_send_*), RFC 4541.
 */
import { FIELD } from '../../../flow/fields.ts';
import { type FlowKey, getField, getFieldBytes } from '../../../flow/flow-key.ts';
import { SLOW_PATH } from '../../../odp/slow-path.ts';
import { ETH_TYPE } from '../../../packet/ethernet.ts';
import { IPPROTO } from '../../../packet/ip.ts';
import { formatIpv4, formatIpv6 } from '../../../util/inet.ts';
import type { McastSnooping } from '../../mcast/mcast-snooping.ts';
import { IGMP, type Membership, MLD, readGroupMessage } from '../../mcast/membership.ts';
import type { Bundle } from '../../ports/bundle.ts';
import { bitsOf, unwildcard } from '../wildcards.ts';
import type { XlateCtx } from '../xlate-ctx.ts';
import { ETH_BROADCAST, ethDstOf, isMulticastMac } from './xlate-mac.ts';
import { flood, NO_BUNDLE, outputNormal, type Send } from './xlate-vlan.ts';

const PROTO = bitsOf(FIELD.nwProto);
const NW_DST = bitsOf(FIELD.nwDst);
const IPV6_DST = bitsOf(FIELD.ipv6Dst);
const TYPE = bitsOf(FIELD.tpSrc);

const REPORTS: ReadonlySet<number> = new Set([IGMP.V1_REPORT, IGMP.V2_REPORT, IGMP.V3_REPORT, IGMP.LEAVE]);
const MLD_TYPES: ReadonlySet<number> = new Set(Object.values(MLD));
const ALL_HOSTS = 'ff02::1';

/** Forwards the packet if it is multicast over IP; `from` is where it came in.  False if it is not, or nobody snoops. */
export function xlateMulticast(ctx: XlateCtx, from: Bundle, send: Send): boolean {
  const { flow, wc, trace } = ctx;
  const { mcast } = ctx.bridge;
  if (mcast === undefined) return false;
  const dst = ethDstOf(flow);
  const ethType = getField(flow, FIELD.ethType);
  if (dst === ETH_BROADCAST || !isMulticastMac(dst)) return false;
  if (ethType !== ETH_TYPE.IP && ethType !== ETH_TYPE.IPV6) return false;

  unwildcard(wc, PROTO);
  const proto = getField(flow, FIELD.nwProto);
  const type = getField(flow, FIELD.tpSrc);
  if (ethType === ETH_TYPE.IP && proto === IPPROTO.IGMP) {
    const isReport = REPORTS.has(type);
    if (isReport || type === IGMP.QUERY) hear(ctx, mcast, from);
    groupMessage(ctx, mcast, from, send, isReport ? undefined : 'multicast traffic, flooding');
    return true;
  }
  if (ethType === ETH_TYPE.IPV6 && proto === IPPROTO.ICMPV6) {
    unwildcard(wc, TYPE);
    if (MLD_TYPES.has(type)) {
      hear(ctx, mcast, from);
      groupMessage(ctx, mcast, from, send, type === MLD.QUERY ? 'MLD query, flooding' : undefined);
      return true;
    }
  }
  const group = groupOf(ctx, ethType === ETH_TYPE.IPV6);
  if (isForAll(group)) {
    trace?.detail('RFC4541: section 2.1.2, item 2, flooding');
    flood(ctx, from, send);
    return true;
  }
  const members = mcast.members(group, ctx.vlan.vid0);
  if (members === undefined && mcast.floodsUnregistered) {
    trace?.detail('unregistered multicast, flooding');
    flood(ctx, from, send);
    return true;
  }
  const to: Bundle[] = [];
  if (members === undefined) {
    toRouters(ctx, mcast, from, to);
    toPorts(ctx, mcast.floodPorts, from, to, 'forwarding to mcast flood port', 'mcast flood port');
  } else {
    toPorts(ctx, members, from, to, 'forwarding to mcast group port', 'mcast group port');
    toPorts(ctx, mcast.floodPorts, from, to, 'forwarding to mcast flood port', 'mcast flood port');
    toRouters(ctx, mcast, from, to);
  }
  for (const bundle of to) outputNormal(ctx, bundle, ctx.vlan, send);
  return true;
}

/** Forwards a message about groups: a report to routers and wherever reports go, anything else everywhere, because of `floods`. */
function groupMessage(ctx: XlateCtx, mcast: McastSnooping<Bundle>, from: Bundle, send: Send, floods?: string): void {
  ctx.slow |= SLOW_PATH.ACTION;
  if (floods !== undefined) {
    ctx.trace?.detail(floods);
    flood(ctx, from, send);
    return;
  }
  const to: Bundle[] = [];
  toRouters(ctx, mcast, from, to);
  for (const bundle of mcast.reportPorts) {
    if (bundle !== from) {
      ctx.trace?.detail('forwarding report to mcast flagged port');
      to.push(bundle);
    } else ctx.trace?.detail('mcast port is input port, dropping the Report');
  }
  for (const bundle of to) outputNormal(ctx, bundle, ctx.vlan, send);
}

function toRouters({ trace, vlan }: XlateCtx, mcast: McastSnooping<Bundle>, from: Bundle, to: Bundle[]): void {
  for (const router of mcast.routers) {
    if (router.vlan !== vlan.vid0) trace?.detail('mcast router is on another vlan, dropping');
    else if (router.port === from) trace?.detail('mcast router port is input port, dropping');
    else {
      trace?.detail('forwarding to mcast router port');
      to.push(router.port);
    }
  }
}

function toPorts(
  { trace }: XlateCtx,
  ports: Iterable<Bundle>,
  from: Bundle,
  to: Bundle[],
  forwarding: string,
  what: string,
): void {
  for (const port of ports) {
    if (port === from) trace?.detail(`${what} is input port, dropping`);
    else {
      trace?.detail(forwarding);
      to.push(port);
    }
  }
}

/** The group that the packet is for. */
function groupOf({ flow, wc }: XlateCtx, isIpv6: boolean): string {
  unwildcard(wc, isIpv6 ? IPV6_DST : NW_DST);
  return isIpv6 ? formatIpv6(bytesOf(flow, FIELD.ipv6Dst, 16)) : formatIpv4(bytesOf(flow, FIELD.nwDst, 4));
}

function bytesOf(flow: FlowKey, field: typeof FIELD.nwDst, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  if (size > 4) getFieldBytes(flow, field, bytes, 0);
  else new DataView(bytes.buffer).setUint32(0, getField(flow, field));
  return bytes;
}

/** Groups that everyone is in: 224.0.0.0/24, and the link's all nodes. */
const isForAll = (group: string): boolean => group.startsWith('224.0.0.') || group === ALL_HOSTS;

/** Takes note of what the packet says of groups, if there is a packet. */
function hear(ctx: XlateCtx, mcast: McastSnooping<Bundle>, from: Bundle): void {
  const { bridge, packet } = ctx;
  if (!ctx.hasSideEffects || packet === undefined || from === NO_BUNDLE || mcast.floodPorts.has(from)) return;
  hearMessage(ctx, mcast, from, packet);
  if (mcast.needRevalidate) bridge.mcastChanged?.();
}

function hearMessage(ctx: XlateCtx, mcast: McastSnooping<Bundle>, from: Bundle, packet: Uint8Array): void {
  const { trace } = ctx;
  const where = `on port ${from.name} in VLAN ${ctx.vlan.vid0}`;
  const message = readGroupMessage(packet);
  const isIpv6 = getField(ctx.flow, FIELD.ethType) === ETH_TYPE.IPV6;
  if (message === undefined || !message.isIntact) {
    trace?.detail(`multicast snooping received bad ${isIpv6 ? 'MLD' : 'IGMP'} checksum ${where}`);
    return;
  }
  if (message.type === (isIpv6 ? MLD.QUERY : IGMP.QUERY)) {
    if (!message.hasSource || !mcast.addRouter(ctx.vlan.vid0, from)) return;
    const sender = isIpv6 ? '' : ` from ${formatIpv4(bytesOf(ctx.flow, FIELD.nwSrc, 4))} is`;
    trace?.detail(`multicast snooping query${sender} ${where}`);
    return;
  }
  const heard = message.memberships.filter((m) => learn(mcast, m, ctx.vlan.vid0, from));
  const [first] = heard;
  if (first === undefined) return;
  if (isIpv6 || message.type === IGMP.V3_REPORT) {
    trace?.detail(`multicast snooping processed ${heard.length} addresses ${where}`);
  } else if (first.joins) trace?.detail(`multicast snooping learned that ${first.group} is ${where}`);
  else trace?.detail(`multicast snooping leaving ${first.group} is ${where}`);
}

/** Returns whether that is news. */
const learn = (mcast: McastSnooping<Bundle>, { group, joins }: Membership, vlan: number, from: Bundle): boolean =>
  joins ? mcast.join(group, vlan, from) : mcast.leave(group, vlan, from);
