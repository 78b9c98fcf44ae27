/**
 * A switch that its controllers reach through itself may have its own address from a DHCP server behind it: what that server says reaches the
 * local port whatever the rules are.  Source: ofproto/in-band.c (in_band_must_output_to_local_port), ofproto/ofproto-dpif-xlate.c.
 */
import { FIELD } from '../../../flow/fields.ts';
import { getField, setFieldOnes } from '../../../flow/flow-key.ts';
import { OVS_ACTION_ATTR } from '../../../odp/action-attrs.ts';
import { hostUint, readAttrs } from '../../../odp/text/odp-attr-list.ts';
import { OFPP } from '../../../openflow/ofp-port.ts';
import type { XlateCtx, XlateIn } from '../xlate-ctx.ts';

const ETH_TYPE_IP = 0x0800;
const IPPROTO_UDP = 17;
const DHCP = { SERVER: 67, CLIENT: 68 } as const;

const isToLocal = (ctx: XlateCtx): boolean => {
  const local = ctx.bridge.xport(OFPP.LOCAL)?.odpPort;
  return readAttrs(ctx.out.finish()).attrs.some(
    ({ type, data }) => type === OVS_ACTION_ATTR.OUTPUT && hostUint(data, 0, 4) === local,
  );
};

/** Sends what a DHCP server says to the local port, unless it goes there already.  After all other actions. */
export function xlateInBand(ctx: XlateCtx, { bridge, flow }: XlateIn): void {
  if (bridge.isInBand?.() !== true || getField(flow, FIELD.ethType) !== ETH_TYPE_IP) return;
  const isFromServer =
    getField(flow, FIELD.nwProto) === IPPROTO_UDP &&
    getField(flow, FIELD.tpSrc) === DHCP.SERVER &&
    getField(flow, FIELD.tpDst) === DHCP.CLIENT;
  if (!isFromServer || isToLocal(ctx)) return;
  for (const field of [FIELD.nwProto, FIELD.tpSrc, FIELD.tpDst, FIELD.ethType]) setFieldOnes(ctx.wc, field);
  ctx.trace?.detail('outputting DHCP packet to local port for in-band control');
  ctx.output(OFPP.LOCAL);
}
