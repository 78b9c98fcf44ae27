/**
 * What the configuration of a port says of packets that come in by it.
 * Source: ofproto/ofproto-dpif-xlate.c (may_receive), OpenFlow 1.0.2 5.2.1.
 */
import { FIELD } from '../../flow/fields.ts';
import type { FlowKey, FlowMask } from '../../flow/flow-key.ts';
import { OFPPC } from '../../openflow/ofp-port.ts';
import { bitsOf, unwildcard } from '../xlate/wildcards.ts';
import type { XPort } from './bundle.ts';

const ETH_DST = bitsOf(FIELD.ethDst);
const NEITHER = OFPPC.NO_RECV | OFPPC.NO_RECV_STP;

/** 01:80:c2:00:00:00, the address of the spanning tree protocol. */
function isStp(flow: FlowKey): boolean {
  const { word, at } = FIELD.ethDst;
  if ((at & 31) === 0) return flow[word] === (0x0180c200 | 0) && (flow[word + 1] as number) >>> 16 === 0;
  return ((flow[word] as number) & 0xffff) === 0x0180 && flow[word + 1] === (0xc2000000 | 0);
}

/** Whether `port` takes a packet; 802.1D has a bit of its own. */
export function mayReceive(port: XPort, flow: FlowKey, wc: FlowMask): boolean {
  if ((port.config & OFPPC.PORT_DOWN) !== 0) return false;
  const bits = port.config & NEITHER;
  if (bits === 0 || bits === NEITHER) return bits === 0;
  unwildcard(wc, ETH_DST);
  return (bits & (isStp(flow) ? OFPPC.NO_RECV_STP : OFPPC.NO_RECV)) === 0;
}
