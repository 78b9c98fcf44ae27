/**
 * Descriptions of ports, as features_reply, port_status and port_desc have them.
 *
 * ```
 * 1.0       | port 16 | hw_addr 48 | name 16*8 | config | state | curr | advertised | supported | peer |
 * 1.1-1.3   | port 32 | pad 32 | hw_addr 48 | pad 16 | name 16*8 | config | state | curr | advertised | supported | peer | speed | max |
 * 1.4+      | port 32 | length 16 | pad 16 | hw_addr 48 | pad 16 | name 16*8 | config | state | properties |
 * ```
 * Source: OpenFlow 1.0.2 5.2.1, 1.1.0 A.2.1, 1.4.1 A.2.1, lib/ofp-port.c, lib/netdev.c (netdev_features_to_bps).
 */
import { OFPERR, OfpError, type OfVersion } from '../../ofp-errors.ts';
import { portFromOfp11, portToOfp11 } from '../../ofp-names.ts';
import { OFPP } from '../../ofp-port.ts';
import type { PhyPort, PortStatus } from '../switch/switch-types.ts';
import {
  type BodyCodec,
  type BodyIn,
  type BodyOut,
  type Codecs,
  getString,
  listCodec,
  needBytes,
  putString,
} from '../wire/body.ts';
import { eachProperty, unknownProperty } from '../wire/properties.ts';

export const OFP10_PHY_PORT_SIZE = 48;
export const OFP11_PORT_SIZE = 64;
const OFP14_PORT_SIZE = 40;
const PROP_ETHERNET = 0;
const PROP_ETHERNET_SIZE = 32;
const NAME_SIZE = 16;
/** OFPPR_MODIFY. */
const REASON_MAX = 2;
/** What the versions have of configuration. */
export const CONFIG10 = 0x7f;
export const CONFIG11 = 0x65;
// And of state.
const STATE10 = 0x301;
const STATE11 = 0x7;

/** Whether a version of OpenFlow tells no difference between two states of a port. */
export function isSameIn(version: OfVersion, a: PhyPort, b: PhyPort): boolean {
  const [config, state] = version === 1 ? [CONFIG10, STATE10] : [CONFIG11, STATE11];
  const isSameText = a.name === b.name && a.hwAddr.every((byte, i) => byte === b.hwAddr[i]);
  const isSameState = ((a.config ^ b.config) & config) === 0 && ((a.state ^ b.state) & state) === 0;
  return isSameText && isSameState && isSameLinkIn(version, a, b);
}

const FEATURES = ['curr', 'advertised', 'supported', 'peer'] as const;
/** The same of what a link can do and does. */
function isSameLinkIn(version: OfVersion, a: PhyPort, b: PhyPort): boolean {
  const onWire = version === 1 ? featuresTo10 : (bits: number): number => bits;
  const isSameSpeed = version === 1 || (a.currSpeed === b.currSpeed && a.maxSpeed === b.maxSpeed);
  return isSameSpeed && FEATURES.every((key) => onWire(a[key]) === onWire(b[key]));
}

/** OpenFlow 1.0 has no bits for 40 Gb/s to "other": the five above those are four places lower. */
export const featuresFrom10 = (bits: number): number => (bits & 0x7f) | ((bits & 0xf80) << 4);
export const featuresTo10 = (bits: number): number => (bits & 0x7f) | ((bits & 0xf800) >>> 4);

// biome-ignore format: table
const SPEEDS: readonly (readonly [bits: number, kbps: number])[] = [
  [0x200, 1e9], [0x100, 1e8], [0x80, 4e7], [0x40, 1e7], [0x30, 1e6], [0xc, 1e5], [0x3, 1e4],
];
/** Kilobits a second of the fastest of some features (OFPPF_*); 0: it has none with a speed. */
export const speedOf = (features: number): number => SPEEDS.find(([bits]) => (features & bits) !== 0)?.[1] ?? 0;

function decode10({ bytes, dv }: BodyIn, at: number): PhyPort {
  const curr = featuresFrom10(dv.getUint32(at + 32));
  const supported = featuresFrom10(dv.getUint32(at + 40));
  return {
    portNo: dv.getUint16(at),
    hwAddr: bytes.slice(at + 2, at + 8),
    name: getString(bytes, at + 8, NAME_SIZE - 1),
    config: dv.getUint32(at + 24) & CONFIG10,
    state: dv.getUint32(at + 28) & STATE10,
    curr,
    advertised: featuresFrom10(dv.getUint32(at + 36)),
    supported,
    peer: featuresFrom10(dv.getUint32(at + 44)),
    currSpeed: speedOf(curr),
    maxSpeed: speedOf(supported),
  };
}

/** What 1.1 and 1.4 have in common. */
const decodeBase11 = ({ bytes, dv }: BodyIn, at: number) => ({
  portNo: portFromOfp11(dv.getUint32(at)),
  hwAddr: bytes.slice(at + 8, at + 14),
  name: getString(bytes, at + 16, NAME_SIZE - 1),
  config: dv.getUint32(at + 32) & CONFIG11,
  state: dv.getUint32(at + 36) & STATE11,
});

const decodeSpeeds = (dv: DataView, at: number) => ({
  curr: dv.getUint32(at) & 0xffff,
  advertised: dv.getUint32(at + 4) & 0xffff,
  supported: dv.getUint32(at + 8) & 0xffff,
  peer: dv.getUint32(at + 12) & 0xffff,
  currSpeed: dv.getUint32(at + 16),
  maxSpeed: dv.getUint32(at + 20),
});

const NO_SPEEDS = { curr: 0, advertised: 0, supported: 0, peer: 0, currSpeed: 0, maxSpeed: 0 } as const;

function decode14(m: BodyIn, at: number, size: number): PhyPort {
  let speeds: ReturnType<typeof decodeSpeeds> = NO_SPEEDS;
  eachProperty(m.dv, at + OFP14_PORT_SIZE, at + size, (p) => {
    if (p.type !== PROP_ETHERNET || p.vendor !== 0) return unknownProperty(p, true);
    if (p.size !== PROP_ETHERNET_SIZE) throw new OfpError(OFPERR.OFPBPC_BAD_LEN, `port property of ${p.size} bytes`);
    speeds = decodeSpeeds(m.dv, p.at + 8);
  });
  return { ...decodeBase11(m, at), ...speeds };
}

/** Reads the port at `at`; returns where the next begins.  Throws OfpError. */
export function decodePhyPort(m: BodyIn, at: number, push: (port: PhyPort) => void): number {
  const { version, dv } = m;
  if (version === 1) {
    needBytes(m, at, OFP10_PHY_PORT_SIZE, 'port');
    push(decode10(m, at));
    return at + OFP10_PHY_PORT_SIZE;
  }
  if (version <= 4) {
    needBytes(m, at, OFP11_PORT_SIZE, 'port');
    push({ ...decodeBase11(m, at), ...decodeSpeeds(dv, at + 40) });
    return at + OFP11_PORT_SIZE;
  }
  needBytes(m, at, OFP14_PORT_SIZE, 'port');
  const size = dv.getUint16(at + 4);
  if (size < OFP14_PORT_SIZE) throw new OfpError(OFPERR.OFPBRC_BAD_LEN, `port of ${size} bytes`);
  needBytes(m, at, size, 'port');
  push(decode14(m, at, size));
  return at + size;
}

function encode10(port: PhyPort, { out }: BodyOut): void {
  out.u16(port.portNo);
  out.put(port.hwAddr);
  putString(out, port.name, NAME_SIZE);
  out.u32(port.config & CONFIG10);
  out.u32(port.state & STATE10);
  for (const features of [port.curr, port.advertised, port.supported, port.peer]) out.u32(featuresTo10(features));
}

/** Appends a port in the form of the message's version. */
export function encodePhyPort(port: PhyPort, m: BodyOut): void {
  const { out, version } = m;
  if (version === 1) {
    encode10(port, m);
    return;
  }
  const has14 = version >= 5;
  out.u32(portToOfp11(port.portNo));
  out.u16(has14 ? OFP14_PORT_SIZE + PROP_ETHERNET_SIZE : 0);
  out.u16(0);
  out.put(port.hwAddr);
  out.u16(0);
  putString(out, port.name, NAME_SIZE);
  out.u32(port.config & CONFIG11);
  out.u32(port.state & STATE11);
  if (has14) {
    out.u16(PROP_ETHERNET);
    out.u16(PROP_ETHERNET_SIZE);
    out.u32(0);
  }
  for (const features of [port.curr, port.advertised, port.supported, port.peer]) out.u32(features & 0xffff);
  out.u32(port.currSpeed);
  out.u32(port.maxSpeed);
}

const portStatus: BodyCodec<PortStatus> = {
  decode(m) {
    const reason = m.dv.getUint8(m.at);
    if (reason > REASON_MAX)
      throw new OfpError(OFPERR.NXBRC_BAD_REASON, `port_status: reason ${reason}, want at most 2`);
    const ports: PhyPort[] = [];
    decodePhyPort(m, m.at + 8, (port) => {
      ports.push(port);
    });
    return { reason, desc: ports[0] as PhyPort };
  },
  encode({ reason, desc }, m) {
    const at = m.out.room(8);
    m.out.dv.setUint8(at, reason);
    encodePhyPort(desc, m);
  },
};

const portDescRequest: BodyCodec<number> = {
  decode: ({ version, dv, at }) => (version >= 6 ? portFromOfp11(dv.getUint32(at)) : OFPP.NONE),
  encode(port, { version, out }) {
    if (version < 6) return;
    out.u32(portToOfp11(port));
    out.u32(0);
  },
};

export const PHY_PORT_CODECS = {
  port_status: portStatus,
  port_desc_stats_request: portDescRequest,
  port_desc_stats_reply: listCodec(decodePhyPort, encodePhyPort),
} satisfies Partial<Codecs>;
