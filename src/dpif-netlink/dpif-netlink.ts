/**
 * The datapath of type "system": openvswitch.ko, or a process that does its job, over generic netlink.  Which of the two it
 * is was decided when the endpoint was made (netlink/genl-family.ts); nothing here depends on it.
 *
 * Neighbours: ct-ops.ts (connections), meter-ops.ts (meters), dp-open.ts (open, features), vport-ops.ts (ports), flow-ops.ts and flow-codec.ts (flows), upcall-receiver.ts and
 * upcall-dispatch.ts (upcalls).  Source: lib/dpif-netlink.c.
 */
import { DPIF_PER_CPU_PID, type Dpif, type DpifProvider, type UpcallHandler } from '../dpif/dpif.ts';
import { dpifFullName, SYSTEM_TYPE } from '../dpif/dpif-name.ts';
import type {
  DpifDpStats,
  DpifFlow,
  DpifOp,
  DpifPort,
  DpifPortPolicing,
  DpifPortStats,
  PortEvent,
} from '../dpif/dpif-types.ts';
import { LoggedDpif } from '../dpif/logged-dpif.ts';
import { type TunnelConfig, tunnelDevice, tunnelType, tunnelTypeOfDevice } from '../dpif/tunnel-types.ts';
import { NLM_F } from '../netlink/constants.ts';
import { NetlinkError } from '../netlink/errors.ts';
import { OVS_DATAPATH_VERSION, OVS_DP_CMD } from '../netlink/families/ovs-datapath.ts';
import { OVS_VPORT_CMD, OVS_VPORT_TYPE, type VportAttrs } from '../netlink/families/ovs-vport.ts';
import type { GenlEndpoint } from '../netlink/genl.ts';
import { dump } from '../netlink/genl-dump.ts';
import { subscribe } from '../netlink/genl-notify.ts';
import { ERRNO } from '../util/errno.ts';
import { RateLimit, vlog } from '../util/vlog.ts';
import { CtOps, type OpenNetfilter, openNetfilter } from './ct-ops.ts';
import { type DpReply, decodeDp, dpQuery, isPerCpu, openDp } from './dp-open.ts';
import { FlowOps } from './flow-ops.ts';
import { MeterOps } from './meter-ops.ts';
import { type OvsFamilies, openOvsFamilies } from './ovs-families.ts';
import { makeTunnelDevice, removeTunnelDevice, type TunnelLinks } from './tunnel-links.ts';
import { dispatchPerCpu, dispatchPerVport, followVports } from './upcall-dispatch.ts';
import { UpcallReceiver } from './upcall-receiver.ts';
import {
  addVport,
  decodeVport,
  deleteVport,
  dumpVports,
  findVport,
  policeVport,
  toDpifPort,
  toPortStats,
  tunnelOptionsNest,
  vportTypeOf,
} from './vport-ops.ts';

const log = vlog('dpif_netlink');
const errorLimit = new RateLimit(9999, 5);

/**
 * The provider of system datapaths.  `endpoint` is resolved at first use, and again after a failure, so that a vswitchd
 * finds a datapath that was started after it.
 */
export class DpifNetlinkProvider implements DpifProvider {
  readonly type = SYSTEM_TYPE;
  private readonly resolve: () => Promise<GenlEndpoint>;
  private readonly netfilter: OpenNetfilter;
  private readonly links: TunnelLinks | undefined;
  private families: Promise<OvsFamilies> | undefined;

  /** `links` makes devices for tunnels that the datapath has no vport for; without it there are none. */
  constructor(
    resolve: () => Promise<GenlEndpoint>,
    netfilter: OpenNetfilter = openNetfilter,
    links?: TunnelLinks | undefined,
  ) {
    this.resolve = resolve;
    this.netfilter = netfilter;
    this.links = links;
  }

  async enumerate(): Promise<string[]> {
    return [...new Set((await this.dumpDps()).map((dp) => dp.name))].sort();
  }

  /** Which socket gets an upcall of each datapath: that of the packet's CPU, or that of its port. */
  async dispatchModes(): Promise<{ readonly name: string; readonly mode: 'per-cpu' | 'per-vport' }[]> {
    const dps = await this.dumpDps();
    return dps.map((dp) => ({ name: dp.name, mode: isPerCpu(dp.userFeatures) ? 'per-cpu' : 'per-vport' }));
  }

  async open(name: string, create: boolean): Promise<Dpif> {
    const fam = await this.ready();
    return new LoggedDpif(new DpifNetlink(fam, await openDp(fam, name, create), this.netfilter, this.links));
  }

  close(): void {
    this.families?.then(
      (fam) => fam.client.close(),
      () => {},
    );
    this.families = undefined;
  }

  private async dumpDps(): Promise<DpReply[]> {
    const fam = await this.ready();
    const dps: DpReply[] = [];
    await dump(
      fam.endpoint,
      { family: fam.datapath, cmd: OVS_DP_CMD.GET, version: OVS_DATAPATH_VERSION, flags: NLM_F.ECHO, dpIfindex: 0 },
      () => {},
      decodeDp,
      (some) => {
        dps.push(...some);
      },
      'ovs_datapath dump',
    );
    return dps;
  }

  private ready(): Promise<OvsFamilies> {
    if (this.families === undefined) {
      const families = this.resolve().then(openOvsFamilies);
      families.catch(() => {
        if (this.families === families) this.families = undefined;
      });
      this.families = families;
    }
    return this.families;
  }
}

/** What runs while there is an upcall handler. */
interface Upcalls {
  readonly receiver: UpcallReceiver;
  /** Ends the watch for new ports, where ports have port ids. */
  readonly unfollow: (() => void) | undefined;
}

class DpifNetlink implements Dpif {
  readonly type = SYSTEM_TYPE;
  readonly name: string;
  readonly ct: CtOps;
  readonly meters: MeterOps;
  private readonly fam: OvsFamilies;
  private readonly dpIfindex: number;
  private readonly userFeatures: number;
  private readonly flows: FlowOps;
  private readonly links: TunnelLinks | undefined;
  private readonly stops = new Set<() => void>();
  private upcalls: Upcalls | undefined;

  constructor(fam: OvsFamilies, dp: DpReply, netfilter: OpenNetfilter, links: TunnelLinks | undefined) {
    this.fam = fam;
    this.links = links;
    this.name = dp.name;
    this.ct = new CtOps(fam, netfilter);
    this.meters = new MeterOps(fam, dp.dpIfindex);
    this.dpIfindex = dp.dpIfindex;
    this.userFeatures = dp.userFeatures ?? 0;
    this.flows = new FlowOps(fam, dp.dpIfindex);
  }

  async destroy(): Promise<void> {
    const { fam, dpIfindex } = this;
    const request = { family: fam.datapath, cmd: OVS_DP_CMD.DEL, version: OVS_DATAPATH_VERSION, flags: 0, dpIfindex };
    await fam.client.transact(request, () => {}, 'ovs_datapath DEL');
  }

  close(): void {
    for (const stop of this.stops) stop();
    this.stops.clear();
    this.upcalls?.unfollow?.();
    this.upcalls?.receiver.close();
    this.upcalls = undefined;
  }

  async stats(): Promise<DpifDpStats> {
    const { stats, megaflowStats: mega, masksCacheSize } = await dpQuery(this.fam, 'GET', this.dpIfindex, {});
    return {
      nHit: stats?.nHit ?? 0n,
      nMissed: stats?.nMissed ?? 0n,
      nLost: stats?.nLost ?? 0n,
      nFlows: stats?.nFlows ?? 0n,
      nMaskHit: mega?.nMaskHit,
      nMasks: mega?.nMasks,
      // Older datapaths do not count cache hits, and always say 0.
      nCacheHit: mega === undefined || mega.nCacheHit === 0n ? undefined : mega.nCacheHit,
      masksCacheSize,
    };
  }

  async setMasksCacheSize(entries: number): Promise<number> {
    let masksCacheSize = entries === 0 ? 0 : 1;
    while (masksCacheSize < entries) masksCacheSize *= 2;
    // Without the features in the request the datapath would take it that none are wanted.
    const { name, userFeatures } = this;
    const dp = await dpQuery(this.fam, 'SET', this.dpIfindex, { name, userFeatures, masksCacheSize });
    if (dp.masksCacheSize !== masksCacheSize) throw new NetlinkError(ERRNO.EINVAL, `${name}: masks cache`);
    return masksCacheSize;
  }

  async portAdd(name: string, typeName: string, portNo: number | undefined, tunnel?: TunnelConfig): Promise<number> {
    const type = vportTypeOf(typeName);
    const ofTunnel = tunnelType(typeName);
    const config = tunnel ?? { dstPort: ofTunnel?.defaultPort ?? 0, extensions: [] };
    const device = ofTunnel === undefined ? name : tunnelDevice(ofTunnel, config);
    if (type === undefined) {
      const text = `${dpifFullName(this)}: cannot create port \`${device}' because it has unsupported type \`${typeName}'`;
      log.warn(text, errorLimit);
      throw new NetlinkError(ERRNO.EINVAL, text);
    }
    const upcallPid = [isPerCpu(this.userFeatures) ? 0 : (this.upcalls?.receiver.portId ?? 0)];
    const number = portNo === undefined ? {} : { portNo };
    const nest = ofTunnel && tunnelOptionsNest(config);
    const options = nest === undefined ? {} : { options: nest };
    const attrs = { ...number, ...options, type, name: device, upcallPid };
    try {
      return (await addVport(this.fam, this.dpIfindex, attrs)).portNo;
    } catch (e) {
      if (e instanceof NetlinkError && e.errno === ERRNO.EBUSY && portNo !== undefined) {
        log.info(`${dpifFullName(this)}: requested port ${portNo} is in use`);
      }
      const hasNoVport = e instanceof NetlinkError && e.errno === ERRNO.EAFNOSUPPORT;
      if (!hasNoVport || ofTunnel === undefined || this.links === undefined) throw e;
      const made = await makeTunnelDevice(this.links, ofTunnel, config);
      if (!made) throw e;
      return this.addDevice(this.links, { ...number, type: OVS_VPORT_TYPE.NETDEV, name: device, upcallPid });
    }
  }

  /** Adds a device that was made for it. */
  private async addDevice(links: TunnelLinks, attrs: VportAttrs & { name: string }): Promise<number> {
    try {
      return (await addVport(this.fam, this.dpIfindex, attrs)).portNo;
    } catch (e) {
      await removeTunnelDevice(links, attrs.name);
      throw e;
    }
  }

  async portDel(portNo: number): Promise<void> {
    const { fam, dpIfindex } = this;
    const port = await findVport(fam, dpIfindex, portNo);
    if (port === undefined) throw new NetlinkError(ERRNO.ENODEV, `port ${portNo}`);
    await deleteVport(fam, dpIfindex, portNo);
    const isTunnelDevice = port.type === OVS_VPORT_TYPE.NETDEV && tunnelTypeOfDevice(port.name) !== undefined;
    if (isTunnelDevice && this.links !== undefined) await removeTunnelDevice(this.links, port.name);
  }

  portPolice(portNo: number, policing: DpifPortPolicing): Promise<boolean> {
    return policeVport(this.fam, this.dpIfindex, portNo, policing);
  }

  async portQuery(which: string | number): Promise<DpifPort | undefined> {
    const v = await findVport(this.fam, this.dpIfindex, which);
    return v === undefined ? undefined : toDpifPort(v);
  }

  async portStats(portNo: number): Promise<DpifPortStats> {
    const v = await findVport(this.fam, this.dpIfindex, portNo);
    if (v === undefined) throw new NetlinkError(ERRNO.ENODEV, `port ${portNo}`);
    return toPortStats(v);
  }

  async portStatsDump(): Promise<ReadonlyMap<number, DpifPortStats>> {
    return new Map((await dumpVports(this.fam, this.dpIfindex)).map((v) => [v.portNo, toPortStats(v)]));
  }

  async portDump(): Promise<DpifPort[]> {
    return (await dumpVports(this.fam, this.dpIfindex)).map(toDpifPort);
  }

  portPoll(onEvent: (event: PortEvent) => void): () => void {
    const { fam, dpIfindex } = this;
    const stop = subscribe(
      fam.endpoint,
      fam.vportGroup,
      (msg) => {
        if (msg.type !== fam.vport || !msg.hasOvsHeader || msg.dpIfindex !== dpIfindex) return;
        try {
          const { name, cmd } = decodeVport(msg);
          if (cmd === OVS_VPORT_CMD.NEW || cmd === OVS_VPORT_CMD.SET || cmd === OVS_VPORT_CMD.DEL) {
            log.dbg(() => `port_changed: dpif:${dpifFullName(this)} vport:${name} cmd:${cmd}`);
            onEvent({ kind: 'changed', name, deleted: cmd === OVS_VPORT_CMD.DEL });
          }
        } catch (e) {
          log.warn(`error reading or parsing netlink (${e instanceof Error ? e.message : String(e)})`, errorLimit);
        }
      },
      () => onEvent({ kind: 'resync' }),
    );
    let isStopped = false;
    const stopAll = (): void => {
      isStopped = true;
      this.stops.delete(stopAll);
      stop();
    };
    this.stops.add(stopAll);
    queueMicrotask(() => {
      if (!isStopped) onEvent({ kind: 'resync' });
    });
    return stopAll;
  }

  flowFlush(): Promise<void> {
    return this.flows.flush();
  }
  flowDump(terse: boolean, visit: (flows: readonly DpifFlow[]) => void | Promise<void>): Promise<void> {
    return this.flows.dump(terse, visit);
  }
  operate(ops: readonly DpifOp[]): Promise<void> {
    return this.flows.operate(ops);
  }

  async setUpcallHandler(handler: UpcallHandler | null): Promise<void> {
    const before = this.upcalls;
    this.upcalls = undefined;
    before?.unfollow?.();
    if (handler === null) {
      if (before !== undefined) await this.dispatch(0);
      before?.receiver.close();
      return;
    }
    const source = { fam: this.fam, dpIfindex: this.dpIfindex, fullName: dpifFullName(this) };
    const receiver = new UpcallReceiver(source, handler);
    try {
      const unfollow = isPerCpu(this.userFeatures) ? undefined : followVports(this.target, receiver.portId);
      this.upcalls = { receiver, unfollow };
      await this.dispatch(receiver.portId);
    } catch (e) {
      this.upcalls?.unfollow?.();
      this.upcalls = undefined;
      receiver.close();
      throw e;
    } finally {
      before?.receiver.close();
    }
  }

  upcallPid(): number {
    return isPerCpu(this.userFeatures) ? DPIF_PER_CPU_PID : (this.upcalls?.receiver.portId ?? 0);
  }

  private dispatch(pid: number): Promise<void> {
    return isPerCpu(this.userFeatures) ? dispatchPerCpu(this.target, pid) : dispatchPerVport(this.target, pid);
  }
  private get target() {
    return { fam: this.fam, dpIfindex: this.dpIfindex, name: this.name, userFeatures: this.userFeatures };
  }
}
