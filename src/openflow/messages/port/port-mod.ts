/**
 * port_mod: what an administrator wants of a port.
 *
 * ```
 * 1.0     | port 16 | hw_addr 48 | config | mask | advertise | pad 32 |
 * 1.1-1.3 | port 32 | pad 32 | hw_addr 48 | pad 16 | config | mask | advertise | pad 32 |
 * 1.4+    | port 32 | pad 32 | hw_addr 48 | pad 16 | config | mask | properties |
 * ```
 * Source: OpenFlow 1.0.2 5.3.3, 1.1.0 A.3.4.3, 1.4.1 A.3.4.3, lib/ofp-port.c.
 */
import { portFromOfp11, portToOfp11 } from '../../ofp-names.ts';
import type { PortMod } from '../switch/switch-types.ts';
import type { BodyCodec, BodyIn, Codecs } from '../wire/body.ts';
import { eachProperty, propertyU32, putPropertyU32, unknownProperty } from '../wire/properties.ts';
import { CONFIG10, CONFIG11, featuresFrom10, featuresTo10 } from './phy-port.ts';

const PROP_ETHERNET = 0;
const FEATURES11 = 0xffff;

function decodeAdvertise({ dv, at, bytes, version }: BodyIn): number {
  if (version < 5) return dv.getUint32(at + 24) & FEATURES11;
  let advertise = 0;
  eachProperty(dv, at + 24, bytes.length, (p) => {
    if (p.vendor === 0 && p.type === PROP_ETHERNET) advertise = propertyU32(dv, p) & FEATURES11;
    else unknownProperty(p, false);
  });
  return advertise;
}

const portMod: BodyCodec<PortMod> = {
  decode(m) {
    const { dv, at, bytes, version } = m;
    const is10 = version === 1;
    const hwAddrAt = at + (is10 ? 2 : 8);
    const configAt = at + (is10 ? 8 : 16);
    const portNo = is10 ? dv.getUint16(at) : portFromOfp11(dv.getUint32(at));
    const mask = dv.getUint32(configAt + 4) & (is10 ? CONFIG10 : CONFIG11);
    return {
      portNo,
      hwAddr: bytes.slice(hwAddrAt, hwAddrAt + 6),
      config: dv.getUint32(configAt) & mask,
      mask,
      advertise: is10 ? featuresFrom10(dv.getUint32(at + 16)) : decodeAdvertise(m),
    };
  },
  encode({ portNo, hwAddr, config, mask, advertise }, { out, version }) {
    const is10 = version === 1;
    const known = is10 ? CONFIG10 : CONFIG11;
    if (is10) out.u16(portNo);
    else {
      out.u32(portToOfp11(portNo));
      out.u32(0);
    }
    out.put(hwAddr);
    if (!is10) out.u16(0);
    out.u32(config & known);
    out.u32(mask & known);
    if (version >= 5) {
      if (advertise !== 0) putPropertyU32(out, PROP_ETHERNET, advertise & FEATURES11);
      return;
    }
    out.u32(is10 ? featuresTo10(advertise) : advertise & FEATURES11);
    out.u32(0);
  },
};

export const PORT_MOD_CODECS = { port_mod: portMod } satisfies Partial<Codecs>;
