/**
 * The masks of megaflows as nests.  Megaflows that come one after the other mostly match the same bits of packets of the same layers, and
 * then have the same nest: it is written once.
 */
import { FIELD, FLOW_WORDS, OVS_FRAG_TYPE, VLAN_CFI } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, newFlowKey } from '../../flow/flow-key.ts';
import { MessageWriter } from '../../netlink/message.ts';
import { type OdpSupport, putOdpMask } from './odp-key-build.ts';
import { IPPROTO, isIp } from './odp-layers.ts';

/** What the layers of a plain packet are, in one number: TCP, UDP or SCTP in IPv4 or IPv6, no tags, no tunnel; 0 for any other packet. */
function plainLayers(flow: FlowKey): number {
  const ethType = getField(flow, FIELD.ethType);
  const proto = getField(flow, FIELD.nwProto);
  const isPlain =
    isIp(ethType) &&
    (proto === IPPROTO.TCP || proto === IPPROTO.UDP || proto === IPPROTO.SCTP) &&
    getField(flow, FIELD.nwFrag) !== OVS_FRAG_TYPE.LATER &&
    (getField(flow, FIELD.vlanTci) & VLAN_CFI) === 0 &&
    getField(flow, FIELD.packetType) === 0 &&
    getField(flow, FIELD.tunPresent) === 0 &&
    getField(flow, FIELD.ctNwProto) === 0;
  return isPlain ? ethType * 0x100 + proto : 0;
}

export class MaskNests {
  private readonly w = new MessageWriter(1024);
  private nest: Uint8Array = new Uint8Array(0);
  /** Of what the nest is; layers 0: of nothing that could come again. */
  private layers = 0;
  private readonly mask = newFlowKey();
  private support: OdpSupport | undefined;

  /** The nest of `mask`; `flow` is its key.  All who get it share it, and nobody changes it. */
  nestOf(mask: FlowMask, flow: FlowKey, support: OdpSupport): Uint8Array {
    const layers = plainLayers(flow);
    if (layers !== 0 && layers === this.layers && support === this.support && this.isLast(mask)) return this.nest;
    const { w } = this;
    w.reset();
    putOdpMask(w, mask, flow, support);
    this.nest = w.bytes.slice(0, w.size);
    this.layers = layers;
    this.support = support;
    if (layers !== 0) this.mask.set(mask);
    return this.nest;
  }

  private isLast(mask: FlowMask): boolean {
    for (let i = 0; i < FLOW_WORDS; i++) if (mask[i] !== this.mask[i]) return false;
    return true;
  }
}
