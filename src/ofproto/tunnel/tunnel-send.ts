/**
 * Sending out of a tunnel port: what the outer header is to be, from the port's settings and, where they say "flow" or "inherit", from the
 * packet's flow.  One set(tunnel(...)) tells the datapath; it lasts for the outputs that follow, until another.
 *
 * What the port adds to the packet's tunnel metadata is taken back: later look-ups see what the actions have set.
 * Source: ofproto/tunnel.c (tnl_port_send), ofproto/ofproto-dpif-xlate.c (compose_output_action__).
 */
import type { TunnelSettings } from '../../dpif/tunnel-settings.ts';
import { FIELD as F, type Field, TUN_F } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField, setFieldBytes } from '../../flow/flow-key.ts';
import type { OdpActionsBuilder } from '../../odp/odp-actions.ts';
import type { TlvTable } from '../../openflow/fields/tlv-table.ts';
import { commitTunnel } from '../xlate/commit/commit-actions.ts';
import { tunnelDstOf } from './tunnel-table.ts';

/** Of packets that have no TTL to inherit. */
const DEFAULT_TTL = 64;
const DSCP = 0xfc;
const ECN = 3;
const CE = 3;
const ECT_0 = 2;
const [FROM, TO] = [F.tunId.word, F.reg0.word];
const saved = new Int32Array(TO - FROM);

/** What sending looks at, and changes, in a translation. */
export interface TunnelSender {
  readonly flow: FlowKey;
  readonly base: FlowKey;
  readonly wc: FlowMask;
  readonly out: OdpActionsBuilder;
  readonly pending: { encap: boolean };
  readonly bridge: { readonly tlvTable?: TlvTable };
  /** The destination that the packet's own tunnel had; '' if it came out of none. */
  readonly arrivedTunnelDst: string;
  readonly trace: { warn(text: string): void; detail(text: string): void } | undefined;
  /** Makes the packet in the datapath what `flow` says, its tunnel metadata aside. */
  commit(): void;
}

/**
 * Makes the packet in the datapath what leaves by a tunnel with these settings, and tells how to wrap it: all but the output.  False if it is not
 * to be sent after all.
 */
export function sendIntoTunnel(ctx: TunnelSender, settings: TunnelSettings): boolean {
  const { flow, base, out, bridge, trace } = ctx;
  saved.set(flow.subarray(FROM, TO));
  const ethernet = flow.slice(F.ethDst.word, F.vlanTpid.word);
  if (settings.packetType === 'legacy_l3') stripEthernet(ctx);
  wrap(flow, ctx.wc, settings);
  const goesBack = tunnelDstOf(flow) === ctx.arrivedTunnelDst;
  if (goesBack) trace?.warn('Not tunneling to our own address');
  else {
    trace?.detail('output to kernel tunnel');
    leaveOthersOptions(flow, settings.type);
    commitTunnel(flow, base, out, settings.type === 'geneve' ? bridge.tlvTable : undefined);
  }
  flow.set(saved, FROM);
  if (!goesBack) ctx.commit();
  flow.set(ethernet, F.ethDst.word);
  return !goesBack;
}

/** The packet is to go without its Ethernet header, which may be one that is still to be added. */
function stripEthernet({ flow, pending }: TunnelSender): void {
  if (getField(flow, F.packetType) !== 0) return;
  setField(flow, F.packetType, getField(flow, F.ethType));
  pending.encap = false;
}

function setAddress(flow: FlowKey, v4: Field, v6: Field, address: Uint8Array | undefined): void {
  setField(flow, v4, 0);
  flow.fill(0, v6.word, v6.word + 4);
  if (address === undefined) return;
  if (address.length === 4) setFieldBytes(flow, v4, address, 0);
  else setFieldBytes(flow, v6, address, 0);
}

/** Makes the tunnel metadata of `flow` what the packet is sent with. */
function wrap(flow: FlowKey, wc: FlowMask, s: TunnelSettings): void {
  if (s.local !== 'flow') setAddress(flow, F.tunSrc, F.tunIpv6Src, s.local);
  if (s.remote !== 'flow') setAddress(flow, F.tunDst, F.tunIpv6Dst, s.remote);
  setField(flow, F.tunPresent, getField(flow, F.tunDst) !== 0 ? 4 : tunnelDstOf(flow) === '' ? 0 : 6);
  setField(flow, F.tunTpDst, s.dstPort);
  if (s.outKey !== 'flow') {
    const key = s.outKey ?? 0n;
    flow[F.tunId.word] = Number(key >> 32n) | 0;
    flow[F.tunId.word + 1] = Number(key & 0xffffffffn) | 0;
  }
  setTosAndTtl(flow, wc, s);
  const own = getField(flow, F.tunFlags) & TUN_F.OAM;
  const df = s.dontFragment ? TUN_F.DF : 0;
  setField(flow, F.tunFlags, own | df | (s.csum ? TUN_F.CSUM : 0) | (s.outKey !== undefined ? TUN_F.KEY : 0));
  if (s.egressPktMark !== undefined) {
    setField(flow, F.skbMark, s.egressPktMark);
    setField(wc, F.skbMark, 0xffffffff);
  }
  const { version, index, direction, hardwareId } = s.erspan;
  if (version !== 'flow') setField(flow, F.tunErspanVer, version);
  if (index !== 'flow') setField(flow, F.tunErspanIndex, index);
  if (direction !== 'flow') setField(flow, F.tunErspanDir, direction);
  if (hardwareId !== 'flow') setField(flow, F.tunErspanHwid, hardwareId);
}

/** Congestion notification is the inner packet's always (RFC 6040 4.1); it has none unless it is IP. */
function setTosAndTtl(flow: FlowKey, wc: FlowMask, { ttl, tos }: TunnelSettings): void {
  const type = getField(flow, F.ethType);
  const isIp = type === 0x0800 || type === 0x86dd;
  const inner = isIp ? getField(flow, F.nwTos) : 0;
  let looked = isIp ? ECN : 0;
  let outer = tos === 'inherit' ? 0 : tos;
  if (tos === 'inherit' && isIp) {
    looked |= DSCP;
    outer = inner & DSCP;
  }
  setField(flow, F.tunTos, outer | ((inner & ECN) === CE ? ECT_0 : inner & ECN));
  setField(wc, F.nwTos, getField(wc, F.nwTos) | looked);
  if (ttl === 'inherit' && isIp) {
    setField(wc, F.nwTtl, 0xff);
    setField(flow, F.tunTtl, getField(flow, F.nwTtl));
  } else setField(flow, F.tunTtl, ttl === 'inherit' ? DEFAULT_TTL : ttl);
}

/** Options of another type of tunnel are those of the one that the packet came out of. */
function leaveOthersOptions(flow: FlowKey, type: string): void {
  if (type !== 'geneve') {
    setField(flow, F.tunOptsSize, 0);
    flow.fill(0, F.tunOpts.word, F.tunOpts.word + F.tunOpts.bits / 32);
  }
  if (type !== 'vxlan') for (const f of [F.tunGbpId, F.tunGbpFlags]) setField(flow, f, 0);
  const version = getField(flow, F.tunErspanVer);
  if (!type.endsWith('erspan') || (version !== 1 && version !== 2)) {
    for (const f of [F.tunErspanVer, F.tunErspanIndex, F.tunErspanDir, F.tunErspanHwid]) setField(flow, f, 0);
  }
}
