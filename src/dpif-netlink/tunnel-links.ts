/**
 * Devices for tunnels, made over rtnetlink: openvswitch.ko has vports for VXLAN, Geneve and GRE only, and takes any other tunnel as a device that
 * hands its metadata over inside the kernel ("collect metadata").  dpif-netlink.ts asks for one where the module has no vport of the type.
 *
 * IFLA_LINKINFO: | INFO_KIND "erspan" | INFO_DATA: | attributes of the kind ... |
 *
 * Source: lib/dpif-netlink-rtnl.c (dpif_netlink_rtnl_create()), include/uapi/linux/if_link.h, if_tunnel.h.
 */

import { type TunnelConfig, type TunnelType, tunnelDevice } from '../dpif/tunnel-types.ts';
import { MessageWriter } from '../netlink/message.ts';
import { createRtNetlink } from '../netlink/rtnetlink-package.ts';
import { vlog } from '../util/vlog.ts';

const log = vlog('dpif_netlink_rtnl');

/** Makes and removes the devices.  Both reject with an Error that says what the kernel said. */
export interface TunnelLinks {
  make(device: string, linkInfo: Buffer): Promise<void>;
  remove(device: string): Promise<void>;
}

/** Larger than any inner packet. */
const TUNNEL_MTU = 65000;
const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
const VXLAN = { LEARNING: 7, PORT: 15, UDP_ZERO_CSUM6_RX: 20, GBP: 23, COLLECT_METADATA: 25, GPE: 27 } as const;
const VXLAN_FLAG_OF: Readonly<Record<number, number>> = { 1: VXLAN.GBP, 8: VXLAN.GPE };
const GENEVE = { PORT: 5, COLLECT_METADATA: 6, UDP_ZERO_CSUM6_RX: 10 } as const;
const GRE_COLLECT_METADATA = 18;

/** Appends what a device of the kind is told. */
type PutData = (w: MessageWriter, config: TunnelConfig) => void;

/** A number in network order. */
const putPort = (w: MessageWriter, type: number, port: number): void => {
  w.dv.setUint16(w.attrHeader(type, 2), port);
};
const gre: PutData = (w) => w.attrFlag(GRE_COLLECT_METADATA);
const vxlan: PutData = (w, { dstPort, extensions }) => {
  w.attrU8(VXLAN.LEARNING, 0);
  w.attrU8(VXLAN.COLLECT_METADATA, 1);
  w.attrU8(VXLAN.UDP_ZERO_CSUM6_RX, 1);
  for (const ext of extensions) w.attrFlag(VXLAN_FLAG_OF[ext] ?? VXLAN.GBP);
  putPort(w, VXLAN.PORT, dstPort);
};
const geneve: PutData = (w, { dstPort }) => {
  w.attrFlag(GENEVE.COLLECT_METADATA);
  w.attrU8(GENEVE.UDP_ZERO_CSUM6_RX, 1);
  putPort(w, GENEVE.PORT, dstPort);
};

// biome-ignore format: table
const KINDS: Readonly<Record<string, readonly [kind: string, put: PutData]>> = {
  vxlan: ['vxlan', vxlan], geneve: ['geneve', geneve], gre: ['gretap', gre], ip6gre: ['ip6gretap', gre],
  erspan: ['erspan', gre], ip6erspan: ['ip6erspan', gre],
};

/** IFLA_LINKINFO of the device for tunnels of a type; undefined if kernels have no such device. */
export function tunnelLinkInfo(type: TunnelType, config: TunnelConfig): Buffer | undefined {
  const row = KINDS[type.name];
  if (row === undefined) return undefined;
  const [kind, put] = row;
  const w = new MessageWriter(256);
  w.attrString(IFLA_INFO.KIND, kind);
  const data = w.nest(IFLA_INFO.DATA);
  put(w, config);
  w.endNest(data);
  return Buffer.from(w.bytes.slice(0, w.size));
}

/** Makes the device for tunnels of a type; false if there is none for them.  One that is left of an earlier run is made anew. */
export async function makeTunnelDevice(links: TunnelLinks, type: TunnelType, config: TunnelConfig): Promise<boolean> {
  const linkInfo = tunnelLinkInfo(type, config);
  if (linkInfo === undefined) return false;
  const device = tunnelDevice(type, config);
  await removeTunnelDevice(links, device);
  try {
    await links.make(device, linkInfo);
    return true;
  } catch (e) {
    log.warn(`${device}: cannot make the device of a tunnel (${(e as Error).message})`);
    return false;
  }
}

/** Removes a device, if it is there. */
export async function removeTunnelDevice(links: TunnelLinks, device: string): Promise<void> {
  await links.remove(device).catch((e: Error) => log.dbg(`${device}: ${e.message}`));
}

/** Those of this process's network namespace. */
export const rtnetlinkTunnelLinks: TunnelLinks = {
  async make(device, linkInfo) {
    await withRtnetlink(async (rt) => {
      const attrs = { ifname: device, mtu: TUNNEL_MTU, linkinfo: linkInfo };
      await rt.newLink({ flags: { up: true }, change: { up: true } }, attrs, { flags: CREATE_EXCL });
    });
  },
  async remove(device) {
    await withRtnetlink(async (rt) => {
      await rt.delLink({}, { ifname: device });
    });
  },
};

/** NLM_F_CREATE | NLM_F_EXCL. */
const CREATE_EXCL = 0x600;

async function withRtnetlink(use: (rt: ReturnType<typeof createRtNetlink>) => Promise<void>): Promise<void> {
  const rt = createRtNetlink();
  try {
    await use(rt);
  } finally {
    rt.socket.close();
  }
}
