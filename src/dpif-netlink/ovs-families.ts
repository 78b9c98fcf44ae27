/**
 * The datapath's generic-netlink families, looked up once a provider.  Says on the log when there is no datapath at all.
 * Source: lib/dpif-netlink.c (dpif_netlink_init()).
 */
import { DATAPATH_PORT_ID } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import { OVS_DATAPATH_FAMILY } from '../netlink/families/ovs-datapath.ts';
import { OVS_FLOW_FAMILY } from '../netlink/families/ovs-flow.ts';
import { OVS_PACKET_FAMILY } from '../netlink/families/ovs-packet.ts';
import { OVS_VPORT_FAMILY } from '../netlink/families/ovs-vport.ts';
import { GenlClient, type GenlEndpoint } from '../netlink/genl.ts';
import { lookupFamily } from '../netlink/genl-family.ts';
import { ERRNO } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';

const log = vlog('dpif_netlink');

/** What everything in this folder needs: a socket for requests, and the numbers of the families. */
export interface OvsFamilies {
  readonly client: GenlClient;
  readonly endpoint: GenlEndpoint;
  /** nlmsg_type of each family. */
  readonly datapath: number;
  readonly vport: number;
  readonly flow: number;
  readonly packet: number;
  /** Multicast group of port changes. */
  readonly vportGroup: number;
}

/**
 * Looks the families up.  Rejects with ENOENT where there is no datapath, which is what stock tools report of a kernel
 * without the module, after logging what is missing.
 */
export async function openOvsFamilies(endpoint: GenlEndpoint): Promise<OvsFamilies> {
  const client = new GenlClient(endpoint);
  try {
    const datapath = await lookupFamily(client, OVS_DATAPATH_FAMILY);
    const vport = await lookupFamily(client, OVS_VPORT_FAMILY);
    const flow = await lookupFamily(client, OVS_FLOW_FAMILY);
    const packet = await lookupFamily(client, OVS_PACKET_FAMILY);
    const vportGroup = vport.groups.get('ovs_vport');
    if (vportGroup === undefined) throw new NetlinkError(ERRNO.ENOENT, 'multicast group ovs_vport');
    return { client, endpoint, datapath: datapath.id, vport: vport.id, flow: flow.id, packet: packet.id, vportGroup };
  } catch (e) {
    client.close();
    const errno = e instanceof NetlinkError ? e.errno : 0;
    if (errno !== ERRNO.ENOENT && errno !== ERRNO.ECONNREFUSED) throw e;
    const emulated =
      endpoint.peer === DATAPATH_PORT_ID
        ? ', and no emulated datapath (tapswitch datapath) runs in this network namespace'
        : '';
    log.info(
      `Generic Netlink family '${OVS_DATAPATH_FAMILY}' does not exist. ` +
        `The Open vSwitch kernel module is probably not loaded${emulated}.`,
    );
    throw new NetlinkError(ERRNO.ENOENT, `family ${OVS_DATAPATH_FAMILY}`);
  }
}
