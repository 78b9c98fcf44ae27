/**
 * What a packet's coming out of a tunnel means for translation: bits that decided already, and congestion that the outer header tells of.
 * Source: ofproto/tunnel.c (tnl_wc_init, tnl_process_ecn), RFC 6040 4.2.
 */
import type { TunnelSettings } from '../../dpif/tunnel-settings.ts';
import { FIELD, TUN_F } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField, setFieldBytes } from '../../flow/flow-key.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import { bitsOf, unwildcard } from '../xlate/wildcards.ts';
import { isFromTunnel } from './tunnel-table.ts';

const log = vlog('tunnel');
const limit = new RateLimit(1, 5);

const V4 = bitsOf(FIELD.tunId, FIELD.tunSrc, FIELD.tunDst, FIELD.tunTos);
const V6 = bitsOf(FIELD.tunId, FIELD.tunIpv6Src, FIELD.tunIpv6Dst, FIELD.tunTos);
const FLAGS = TUN_F.DF | TUN_F.CSUM | TUN_F.KEY;
const ECN = 3;
const NOT_ECT = 0;
const NO_MAC = new Uint8Array(6);
const CE = 3;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;

const isCongested = (flow: FlowKey): boolean => {
  const ethType = getField(flow, FIELD.ethType);
  return (ethType === IPV4 || ethType === IPV6) && (getField(flow, FIELD.tunTos) & ECN) === CE;
};

/** Marks what told which port the packet came in by, and what `decapsulateEcn` looks at. */
export function tunnelWildcards(flow: FlowKey, wc: FlowMask): void {
  if (!isFromTunnel(flow)) return;
  unwildcard(wc, getField(flow, FIELD.tunDst) !== 0 ? V4 : V6);
  setField(wc, FIELD.tunFlags, getField(wc, FIELD.tunFlags) | FLAGS);
  if (isCongested(flow)) setField(wc, FIELD.nwTos, getField(wc, FIELD.nwTos) | ECN);
}

/** Tells the inner packet of congestion on the tunnel's way.  False: it does not know of such things, and is to be dropped. */
export function decapsulateEcn(flow: FlowKey): boolean {
  if (!isFromTunnel(flow) || !isCongested(flow)) return true;
  const tos = getField(flow, FIELD.nwTos);
  if ((tos & ECN) === NOT_ECT) {
    log.warn('dropping tunnel packet marked ECN CE but is not ECN capable', limit);
    return false;
  }
  setField(flow, FIELD.nwTos, tos | CE);
  return true;
}

/** The packet as the tables see it: one that came without an Ethernet header by a tunnel for bare packets gets an empty one. */
export function addMissingEthernet(flow: FlowKey, tunnel: TunnelSettings, pending: { encap: boolean }): void {
  if (tunnel.packetType !== 'legacy_l3' || getField(flow, FIELD.packetType) === 0) return;
  setField(flow, FIELD.packetType, 0);
  setFieldBytes(flow, FIELD.ethSrc, NO_MAC, 0);
  setFieldBytes(flow, FIELD.ethDst, NO_MAC, 0);
  pending.encap = true;
}
