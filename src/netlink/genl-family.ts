/**
 * Finding generic-netlink families, and the peer that serves the ovs_* ones.
 *
 * The kernel's nlctrl (port id 0) is asked for "ovs_datapath" first: if it knows it, openvswitch.ko is loaded and the
 * kernel is the peer.  Otherwise an emulated datapath, if one runs in this network namespace, answers at DATAPATH_PORT_ID,
 * its own nlctrl included.  Source: lib/netlink-socket.c (nl_lookup_genl_family()), design notes in ARCHITECTURE.md.
 */
import { ERRNO } from '../util/errno.ts';
import { DATAPATH_PORT_ID } from './constants.ts';
import { NetlinkError } from './errors.ts';
import { CTRL_ATTR, CTRL_CMD, GENL_ID_CTRL } from './families/nlctrl.ts';
import { OVS_DATAPATH_FAMILY } from './families/ovs-datapath.ts';
import { GenlClient, type GenlEndpoint } from './genl.ts';
import type { NetlinkTransport } from './transport.ts';

export interface GenlFamily {
  readonly name: string;
  /** nlmsg_type of its messages. */
  readonly id: number;
  readonly version: number;
  /** Multicast group ids by name. */
  readonly groups: ReadonlyMap<string, number>;
}

/** Asks the client's peer for family `name`.  Rejects with ENOENT if there is none. */
export function lookupFamily(client: GenlClient, name: string): Promise<GenlFamily> {
  return client.queryGenl(
    GENL_ID_CTRL,
    CTRL_CMD.GETFAMILY,
    1,
    (w) => w.attrString(CTRL_ATTR.type.familyName, name),
    (msg) => {
      const a = msg.readGenl(CTRL_ATTR);
      if (a.familyId === undefined) throw new NetlinkError(ERRNO.EPROTO, `family ${name}`);
      const groups = new Map<string, number>();
      for (const g of a.mcastGroups ?? []) if (g.name !== undefined && g.id !== undefined) groups.set(g.name, g.id);
      return { name, id: a.familyId, version: a.version ?? 0, groups };
    },
    `family ${name}`,
  );
}

export type DatapathChoice = 'auto' | 'kernel' | 'emulated';

/**
 * The endpoint that serves the ovs_* families.  "auto" prefers the kernel.  Where there is none, the emulated datapath's
 * endpoint is returned all the same, or for "kernel" the kernel's: what is asked of it then fails with an error that says so.
 */
export async function resolveEndpoint(choice: DatapathChoice, open: () => NetlinkTransport): Promise<GenlEndpoint> {
  const kernel: GenlEndpoint = { open, peer: 0 };
  const emulated: GenlEndpoint = { open, peer: DATAPATH_PORT_ID };
  if (choice === 'kernel') return kernel;
  if (choice === 'emulated') return emulated;
  return (await hasDatapathFamily(kernel)) ? kernel : emulated;
}

/** Whether `endpoint`'s peer exists and serves the ovs_datapath family. */
export async function hasDatapathFamily(endpoint: GenlEndpoint): Promise<boolean> {
  const client = new GenlClient(endpoint);
  try {
    await lookupFamily(client, OVS_DATAPATH_FAMILY);
    return true;
  } catch (e) {
    if (e instanceof NetlinkError && (e.errno === ERRNO.ENOENT || e.errno === ERRNO.ECONNREFUSED)) return false;
    throw e;
  } finally {
    client.close();
  }
}

/** How often to look whether the family is there. */
const LOOK_MS = 10;

/**
 * Resolves to true when `endpoint` serves the ovs_datapath family; to false once `isOver()` and there is still none.  For whoever was started
 * beside the datapath: nobody tells when a peer appears.
 */
export async function awaitDatapathFamily(endpoint: GenlEndpoint, isOver: () => boolean): Promise<boolean> {
  for (;;) {
    // First, so that a look comes after the end.
    const isLast = isOver();
    if (await hasDatapathFamily(endpoint)) return true;
    if (isLast) return false;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}
