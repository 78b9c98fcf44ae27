/**
 * The kinds of tunnels: vport types, what carries them, and the options with which they are made (OVS_VPORT_ATTR_OPTIONS).
 * openvswitch.ko of Linux 6.1 makes the first three; userspace asks a module of its own for the others by these numbers,
 * and this datapath has them too.
 * Source: include/uapi/linux/openvswitch.h (OVS_TUNNEL_ATTR_*), net/openvswitch/vport-{vxlan,geneve,gre}.c.
 */
import { LITTLE_ENDIAN, NLA_HDRLEN, NLA_TYPE_MASK, nlaAlign } from '../../netlink/constants.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { OVS_TUNNEL_ATTR, OVS_VPORT_TYPE } from '../../netlink/families/ovs-vport.ts';
import { MessageWriter } from '../../netlink/message.ts';
import { ERRNO } from '../../util/errno.ts';

export interface TunnelKind {
  readonly type: number;
  readonly name: string;
  /** IP protocol underneath. */
  readonly carrier: 'udp' | 'gre';
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** What a second port of this kind, or on the same UDP port, is refused with. */
  readonly clashErrno: number;
  /** Whether received bytes are counted with the Ethernet header; sent ones never are. */
  readonly countsEthernet: boolean;
}

const T = OVS_VPORT_TYPE;
const [EEXIST, EBUSY] = [ERRNO.EEXIST, ERRNO.EBUSY];
// biome-ignore format: table
const KINDS: readonly TunnelKind[] = [
  { type: T.VXLAN,     name: 'vxlan',     carrier: 'udp', ipv4: true,  ipv6: true,  clashErrno: EEXIST, countsEthernet: false },
  { type: T.GENEVE,    name: 'geneve',    carrier: 'udp', ipv4: true,  ipv6: true,  clashErrno: EBUSY,  countsEthernet: false },
  { type: T.GRE,       name: 'gre',       carrier: 'gre', ipv4: true,  ipv6: false, clashErrno: EEXIST, countsEthernet: true },
  { type: T.ERSPAN,    name: 'erspan',    carrier: 'gre', ipv4: true,  ipv6: false, clashErrno: EEXIST, countsEthernet: true },
  { type: T.IP6ERSPAN, name: 'ip6erspan', carrier: 'gre', ipv4: false, ipv6: true,  clashErrno: EEXIST, countsEthernet: true },
  { type: T.IP6GRE,    name: 'ip6gre',    carrier: 'gre', ipv4: false, ipv6: true,  clashErrno: EEXIST, countsEthernet: true },
];

/** The kind that has vport type `type`, if it is a tunnel's. */
export const tunnelKind = (type: number): TunnelKind | undefined => KINDS.find((kind) => kind.type === type);

/** How a tunnel port was made. */
export interface TunnelOptions {
  /** UDP port; 0 for those that have none. */
  readonly dstPort: number;
  /** VXLAN's group policy extension. */
  readonly hasGbp: boolean;
}

const OVS_VXLAN_EXT_GBP = 1;

/**
 * Reads the payload of OVS_VPORT_ATTR_OPTIONS, `size` bytes at `at` (-1: there is none).  Throws NetlinkError EINVAL.
 *
 * Userspace leaves the port out if it is 0, and names the device after it: of such a device the missing port is no mistake.
 */
export function readTunnelOptions(
  kind: TunnelKind,
  name: string,
  dv: DataView,
  at: number,
  size: number,
): TunnelOptions {
  if (kind.carrier === 'gre') return { dstPort: 0, hasGbp: false };
  const attrs = size < 0 ? undefined : topAttrs(dv, at, size);
  const port = attrs?.get(OVS_TUNNEL_ATTR.DST_PORT);
  let dstPort = 0;
  if (port !== undefined && port.size === 2) dstPort = dv.getUint16(port.at, LITTLE_ENDIAN);
  else if (!/_sys_0$/.test(name)) throw new NetlinkError(ERRNO.EINVAL, `${kind.name} port without UDP port`);
  const ext = kind.type === T.VXLAN ? attrs?.get(OVS_TUNNEL_ATTR.EXTENSION) : undefined;
  if (ext === undefined) return { dstPort, hasGbp: false };
  if (ext.size < NLA_HDRLEN) throw new NetlinkError(ERRNO.EINVAL, 'VXLAN extensions without attribute');
  const gbp = topAttrs(dv, ext.at, ext.size).get(OVS_VXLAN_EXT_GBP);
  if (gbp !== undefined && gbp.size !== 0) throw new NetlinkError(ERRNO.ERANGE, 'OVS_VXLAN_EXT_GBP is a flag');
  return { dstPort, hasGbp: gbp !== undefined };
}

/** The payload of OVS_VPORT_ATTR_OPTIONS for a port; undefined if its kind has no options. */
export function tunnelOptionsPayload(kind: TunnelKind, options: TunnelOptions): Uint8Array | undefined {
  if (kind.carrier === 'gre') return undefined;
  const w = new MessageWriter(64);
  w.attrU16(OVS_TUNNEL_ATTR.DST_PORT, options.dstPort);
  if (options.hasGbp) {
    const nest = w.nest(OVS_TUNNEL_ATTR.EXTENSION);
    w.attrFlag(OVS_VXLAN_EXT_GBP);
    w.endNest(nest);
  }
  return w.bytes.slice(0, w.size);
}

/** The first attribute of each number, as nla_find() finds it; what is no attribute ends the list. */
function topAttrs(dv: DataView, at: number, size: number): Map<number, { at: number; size: number }> {
  const found = new Map<number, { at: number; size: number }>();
  const end = at + size;
  while (end - at >= NLA_HDRLEN) {
    const len = dv.getUint16(at, LITTLE_ENDIAN);
    if (len < NLA_HDRLEN || len > end - at) break;
    const type = dv.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    if (!found.has(type)) found.set(type, { at: at + NLA_HDRLEN, size: len - NLA_HDRLEN });
    at += nlaAlign(len);
  }
  return found;
}
