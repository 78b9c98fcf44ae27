/**
 * OVS_KEY_ATTR_PACKET_TYPE is userspace's own: it is taken out of keys and masks before they go to a kernel, which tells bare
 * L3 packets by their lack of an Ethernet attribute.
 * Source: lib/dpif-netlink.c (put_exclude_packet_type).
 */
import { MessageWriter } from '../../netlink/message.ts';
import { findAttr, readAttrs } from '../text/odp-attr-list.ts';
import { OVS_KEY_ATTR as K } from './key-table.ts';

/**
 * `nest`, a key or a mask, without its packet type.  Where there is no Ethernet attribute, the type becomes the Ethertype.  The
 * same array where there is nothing to do.
 */
export function withoutPacketType(nest: Uint8Array): Uint8Array {
  const { attrs } = readAttrs(nest);
  const packetType = findAttr(attrs, K.PACKET_TYPE);
  if (packetType?.data.length !== 4) return nest;
  const isEthernet = findAttr(attrs, K.ETHERNET) !== undefined;
  const ethType = packetType.data.subarray(2, 4);
  const w = new MessageWriter(nest.length + 8);
  for (const a of attrs) {
    if (a === packetType) continue;
    w.attrBytes(a.type, a.type === K.ETHERTYPE && !isEthernet ? ethType : a.data);
  }
  if (!isEthernet && !findAttr(attrs, K.ETHERTYPE)) w.attrBytes(K.ETHERTYPE, ethType);
  return w.bytes.slice(0, w.size);
}
