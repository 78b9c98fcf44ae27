/** The answer of a dummy device that has an IPv4 address to an ARP request for it.  Source: RFC 826. */
import { ETH_HLEN, ETH_TYPE } from '../../packet/ethernet.ts';
import { ARP } from '../../packet/ip.ts';
import { parseMac } from '../../util/inet.ts';

const REQUEST = 1;
const REPLY = 2;

/** The reply to `frame`, if that is an ARP request for `ip4`; `mac` ("aa:bb:...") is the device's. */
export function arpReply(frame: Uint8Array, ip4: Uint8Array, mac: string): Uint8Array | undefined {
  if (frame.length < ETH_HLEN + ARP.SIZE) return undefined;
  const dv = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (dv.getUint16(12) !== ETH_TYPE.ARP || dv.getUint16(ETH_HLEN + ARP.OP) !== REQUEST) return undefined;
  const at = (offset: number, size: number) => frame.subarray(ETH_HLEN + offset, ETH_HLEN + offset + size);
  if (at(ARP.TIP, 4).some((byte, i) => byte !== ip4[i])) return undefined;
  const own = parseMac(mac) ?? new Uint8Array(6);
  const reply = frame.slice(0, ETH_HLEN + ARP.SIZE);
  new DataView(reply.buffer).setUint16(ETH_HLEN + ARP.OP, REPLY);
  reply.set(frame.subarray(6, 12), 0);
  reply.set(own, 6);
  reply.set(own, ETH_HLEN + ARP.SHA);
  reply.set(ip4, ETH_HLEN + ARP.SIP);
  reply.set(frame.subarray(6, 12), ETH_HLEN + ARP.THA);
  reply.set(at(ARP.SIP, 4), ETH_HLEN + ARP.TIP);
  return reply;
}
