/**
 * Ports of a datapath: their types on the wire and in the database, and the requests that list, add and remove them.
 * Source: lib/dpif-netlink.c (get_vport_type(), netdev_to_ovs_vport_type(), dpif_netlink_port_*()).
 */
import type { DpifPort, DpifPortStats } from '../dpif/dpif-types.ts';
import { type TunnelConfig, tunnelTypeOfDevice } from '../dpif/tunnel-types.ts';
import { NLM_F } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import {
  OVS_TUNNEL_ATTR,
  OVS_VPORT_ATTR,
  OVS_VPORT_CMD,
  OVS_VPORT_TYPE,
  OVS_VPORT_VERSION,
  VPORT_POLICING,
  type VportAttrs,
  type VportPolicing,
} from '../netlink/families/ovs-vport.ts';
import { dump } from '../netlink/genl-dump.ts';
import { type MessageView, MessageWriter } from '../netlink/message.ts';
import { ERRNO } from '../util/errno.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import type { OvsFamilies } from './ovs-families.ts';

const log = vlog('dpif_netlink');
const typeLimit = new RateLimit(5, 20);

/** A port as replies and notifications describe it. */
export interface VportReply extends VportAttrs {
  readonly name: string;
  readonly portNo: number;
  readonly type: number;
  readonly dpIfindex: number;
  readonly cmd: number;
}

const TYPE_TO_TEXT: Readonly<Record<number, string>> = {
  [OVS_VPORT_TYPE.NETDEV]: 'system',
  [OVS_VPORT_TYPE.INTERNAL]: 'internal',
  [OVS_VPORT_TYPE.GRE]: 'gre',
  [OVS_VPORT_TYPE.VXLAN]: 'vxlan',
  [OVS_VPORT_TYPE.GENEVE]: 'geneve',
  [OVS_VPORT_TYPE.LISP]: 'lisp',
  [OVS_VPORT_TYPE.STT]: 'stt',
  [OVS_VPORT_TYPE.ERSPAN]: 'erspan',
  [OVS_VPORT_TYPE.IP6ERSPAN]: 'ip6erspan',
  [OVS_VPORT_TYPE.IP6GRE]: 'ip6gre',
  [OVS_VPORT_TYPE.GTPU]: 'gtpu',
  [OVS_VPORT_TYPE.BAREUDP]: 'bareudp',
};
const TEXT_TO_TYPE: Readonly<Record<string, number>> = {
  ...Object.fromEntries(Object.entries(TYPE_TO_TEXT).map(([type, text]) => [text, Number(type)])),
  tap: OVS_VPORT_TYPE.NETDEV,
};

/** OVS_VPORT_TYPE_* of a type's name, undefined for one that no datapath has. */
export const vportTypeOf = (type: string): number | undefined =>
  Object.hasOwn(TEXT_TO_TYPE, type) ? TEXT_TO_TYPE[type] : undefined;

export function decodeVport(msg: MessageView): VportReply {
  const attrs = msg.readOvs(OVS_VPORT_ATTR);
  const { name, portNo, type } = attrs;
  if (name === undefined || portNo === undefined || type === undefined) {
    throw new NetlinkError(ERRNO.EINVAL, 'ovs_vport reply without a name, number or type');
  }
  return { ...attrs, name, portNo, type, dpIfindex: msg.dpIfindex, cmd: msg.cmd };
}

/** A tunnel's device that was added as what it is, a device, still has its tunnel's type. */
export function toDpifPort(v: VportReply): DpifPort {
  const ofDevice = v.type === OVS_VPORT_TYPE.NETDEV ? tunnelTypeOfDevice(v.name)?.name : undefined;
  const type = ofDevice ?? TYPE_TO_TEXT[v.type];
  if (type === undefined) log.warn(`dp${v.dpIfindex}: port \`${v.name}' has unsupported type ${v.type}`, typeLimit);
  const { name, portNo, ifindex, netnsid } = v;
  return { name, type: type ?? 'unknown', portNo, ifindex, ...(netnsid !== undefined && { netnsid }) };
}

/** OVS_VPORT_ATTR_OPTIONS for a tunnel; undefined if there is nothing to say. */
export function tunnelOptionsNest({ dstPort, extensions }: TunnelConfig): Uint8Array | undefined {
  if (dstPort === 0 && extensions.length === 0) return undefined;
  const w = new MessageWriter(64);
  if (dstPort !== 0) w.attrU16(OVS_TUNNEL_ATTR.DST_PORT, dstPort);
  if (extensions.length > 0) {
    const nest = w.nest(OVS_TUNNEL_ATTR.EXTENSION);
    for (const ext of extensions) w.attrFlag(ext);
    w.endNest(nest);
  }
  return w.bytes.slice(0, w.size);
}

/** All zero where the datapath sent no statistics. */
export function toPortStats(v: VportReply): DpifPortStats {
  return {
    rxPackets: v.stats?.rxPackets ?? 0n,
    txPackets: v.stats?.txPackets ?? 0n,
    rxBytes: v.stats?.rxBytes ?? 0n,
    txBytes: v.stats?.txBytes ?? 0n,
    rxErrors: v.stats?.rxErrors ?? 0n,
    txErrors: v.stats?.txErrors ?? 0n,
    rxDropped: v.stats?.rxDropped ?? 0n,
    txDropped: v.stats?.txDropped ?? 0n,
    upcallSuccess: v.upcallStats?.success,
    upcallFail: v.upcallStats?.fail,
  };
}

const requestTo = (fam: OvsFamilies, cmd: number, dpIfindex: number, flags: number) => ({
  family: fam.vport,
  cmd,
  version: OVS_VPORT_VERSION,
  flags,
  dpIfindex,
});

/** One ovs_vport request that is answered with the port as it then is. */
export function vportQuery(
  fam: OvsFamilies,
  cmd: keyof typeof OVS_VPORT_CMD,
  dpIfindex: number,
  attrs: VportAttrs,
): Promise<VportReply> {
  return fam.client.query(
    requestTo(fam, OVS_VPORT_CMD[cmd], dpIfindex, NLM_F.ECHO),
    (w) => w.attrs(OVS_VPORT_ATTR, attrs),
    decodeVport,
    `ovs_vport ${cmd}`,
  );
}

/**
 * Looks a port up in a datapath by name or number; undefined if it is not there.  A look-up by name goes through all
 * datapaths: a port of another one is none.
 */
export async function findVport(
  fam: OvsFamilies,
  dpIfindex: number,
  which: string | number,
): Promise<VportReply | undefined> {
  try {
    const v = await vportQuery(fam, 'GET', dpIfindex, typeof which === 'number' ? { portNo: which } : { name: which });
    return v.dpIfindex === dpIfindex ? v : undefined;
  } catch (e) {
    if (e instanceof NetlinkError && e.errno === ERRNO.ENODEV) return undefined;
    throw e;
  }
}

/** Deletes a port. */
export function deleteVport(fam: OvsFamilies, dpIfindex: number, portNo: number): Promise<void> {
  return fam.client.transact(
    requestTo(fam, OVS_VPORT_CMD.DEL, dpIfindex, 0),
    (w) => w.attrU32(OVS_VPORT_ATTR.type.portNo, portNo),
    'ovs_vport DEL',
  );
}

/** Limits what a port receives; false: its datapath does not do that. */
export async function policeVport(
  fam: OvsFamilies,
  dpIfindex: number,
  portNo: number,
  policing: VportPolicing,
): Promise<boolean> {
  try {
    await fam.client.transact(
      requestTo(fam, OVS_VPORT_CMD.SET, dpIfindex, 0),
      (w) => {
        w.attrU32(OVS_VPORT_ATTR.type.portNo, portNo);
        const nest = w.nest(OVS_VPORT_ATTR.type.options);
        w.attrs(VPORT_POLICING, policing);
        w.endNest(nest);
      },
      'ovs_vport SET',
    );
    return true;
  } catch (e) {
    if (e instanceof NetlinkError && e.errno === ERRNO.EOPNOTSUPP) return false;
    throw e;
  }
}

/**
 * Adds a port.  The device of a tunnel belongs to whoever has tunnels: one that is there already, as a port of this or of
 * another datapath, is deleted and made again, with the options of now.
 */
export async function addVport(fam: OvsFamilies, dpIfindex: number, attrs: VportAttrs & { name: string }) {
  try {
    return await vportQuery(fam, 'NEW', dpIfindex, attrs);
  } catch (e) {
    const isThere = e instanceof NetlinkError && e.errno === ERRNO.EEXIST;
    if (!isThere || tunnelTypeOfDevice(attrs.name) === undefined) throw e;
    const old = await vportQuery(fam, 'GET', 0, { name: attrs.name }).catch(() => undefined);
    if (old === undefined || old.type !== attrs.type) throw e;
    await deleteVport(fam, old.dpIfindex, old.portNo);
    return vportQuery(fam, 'NEW', dpIfindex, attrs);
  }
}

/** A dump that ports came or went under is begun again, this often. */
const DUMP_TRIES = 4;

/** All ports of a datapath, by rising number. */
export async function dumpVports(fam: OvsFamilies, dpIfindex: number): Promise<VportReply[]> {
  for (let i = 1; ; i++) {
    const all: VportReply[] = [];
    const isConsistent = await dump(
      fam.endpoint,
      requestTo(fam, OVS_VPORT_CMD.GET, dpIfindex, NLM_F.ECHO),
      () => {},
      decodeVport,
      (some) => {
        all.push(...some);
      },
      'ovs_vport dump',
    );
    if (isConsistent || i === DUMP_TRIES) return all.sort((a, b) => a.portNo - b.portNo);
  }
}
