/**
 * The netlink face of the datapath, put together: the families that openvswitch.ko serves, and nlctrl, over any
 * transport.  On a NETLINK_GENERIC socket this is the daemon (main.ts); on MemoryNetlink it is a test, or a switch
 * embedded in a program.
 *
 *     client --> genl-server.ts --> {dp,vport,flow,packet,meter}-commands.ts --> datapaths.ts --> datapath.ts
 *     client <-- upcall-writer.ts <------------------------------------------------ upcall.ts
 *
 * Source: net/openvswitch/datapath.c (dp_genl_families, dp_init).
 */
import { availableParallelism } from 'node:os';
import { OVSP_LOCAL } from '../netlink/families/ovs-vport.ts';
import type { NetlinkTransport } from '../netlink/transport.ts';
import type { Arena } from '../packet/packet.ts';
import { monotonicMs } from '../util/clock.ts';
import type { Logger } from '../util/vlog.ts';
import { ctLimitFamily } from './commands/ct-limit-commands.ts';
import { datapathFamily } from './commands/dp-commands.ts';
import { flowFamily } from './commands/flow-commands.ts';
import type { GenlFamily } from './commands/genl-family.ts';
import { GenlServer, type GroupListeners } from './commands/genl-server.ts';
import { meterFamily } from './commands/meter-commands.ts';
import { chooseGroups } from './commands/multicast.ts';
import { nlctrlFamily } from './commands/nlctrl-server.ts';
import { Overruns } from './commands/overruns.ts';
import { packetFamily } from './commands/packet-commands.ts';
import { UpcallWriter } from './commands/upcall-writer.ts';
import { announceVportDel, vportFamily } from './commands/vport-commands.ts';
import { CtnetlinkServer } from './conntrack/ctnetlink/ctnetlink-server.ts';
import { Datapaths } from './datapaths.ts';
import { DEFAULT_KERNEL, KERNEL_WITH_PSAMPLE } from './kernel-compat.ts';
import type { PortFactory } from './ports/port-factory.ts';
import { PsampleWriter, psampleFamily } from './psample.ts';

/** Families' numbers: those that the module gets on a machine that has just been started. */
// biome-ignore format: table
const FAMILY_ID = { DATAPATH: 0x20, VPORT: 0x21, FLOW: 0x22, PACKET: 0x23, METER: 0x24, CT_LIMIT: 0x25, PSAMPLE: 0x26 } as const;
/** Multicast groups: one for each family of openvswitch but packet, and two of psample where that is served. */
const N_GROUPS = 5;
const N_PSAMPLE_GROUPS = 2;

export interface DatapathServerOptions {
  /** Bound to the port id that clients know.  Closed by its owner. */
  readonly transport: NetlinkTransport;
  /** A NETLINK_NETFILTER socket bound to the same port id, on which conntrack answers; none if left out. */
  readonly netfilter?: NetlinkTransport;
  readonly portFactory: PortFactory;
  /** Where packets are; the server takes a few slots of it first thing. */
  readonly arena: Arena;
  readonly log: Logger;
  /** Monotonic time in ms; the process's own clock if left out. */
  readonly clock?: () => number;
  /** Multicast groups that somebody else uses; see multicast.ts. */
  readonly usedGroups?: ReadonlySet<number>;
  readonly listeners?: GroupListeners;
  /** The same for NETLINK_NETFILTER: listeners to connections. */
  readonly netfilterListeners?: GroupListeners;
  /** How many CPUs to speak of to clients. */
  readonly nCpus?: number;
  /** Numbers in [0, 1), for SAMPLE and hash seeds. */
  readonly random?: () => number;
  /** Which kernel's answers are given: see kernel-compat.ts. */
  readonly kernelCompat?: number;
}

export class DatapathServer {
  readonly datapaths: Datapaths;
  private readonly genl: GenlServer;
  private readonly ctnetlink: CtnetlinkServer | undefined;
  private readonly vports: GenlFamily;
  private readonly datapathFamily: GenlFamily;
  private readonly log: Logger;

  constructor(options: DatapathServerOptions) {
    const { transport, portFactory, arena, log, listeners, random } = options;
    const clock = options.clock ?? monotonicMs;
    const nCpus = options.nCpus ?? availableParallelism();
    this.log = log;
    const overruns = new Overruns(transport);
    const upcallSink = new UpcallWriter(transport, FAMILY_ID.PACKET, arena, overruns);
    const kernelCompat = options.kernelCompat ?? DEFAULT_KERNEL;
    const hasPsample = kernelCompat >= KERNEL_WITH_PSAMPLE;
    const groups = chooseGroups(options.usedGroups ?? new Set(), N_GROUPS + (hasPsample ? N_PSAMPLE_GROUPS : 0));
    const group = (i: number): number => groups[i] ?? 0;
    const [configGroup, packetsGroup] = [group(N_GROUPS), group(N_GROUPS + 1)];
    const psample = hasPsample
      ? new PsampleWriter({
          ...{ transport, arena, packetsGroup, familyId: FAMILY_ID.PSAMPLE },
          ...(listeners && { listeners }),
        })
      : undefined;
    const datapaths = new Datapaths({
      ...{ arena, clock, portFactory, upcallSink, kernelCompat },
      ...(psample && { psample }),
      ...(random && { random }),
    });
    this.datapaths = datapaths;
    this.genl = new GenlServer({
      ...{ transport, log, overruns },
      ...(listeners && { listeners }),
      // Packets that EXECUTE queued on ports go out once a batch of requests.
      batchEnd: () => datapaths.flush(),
    });

    this.ctnetlink =
      options.netfilter &&
      new CtnetlinkServer({
        ...{ transport: options.netfilter, tracker: datapaths.conntrack.tracker, clock, log },
        ...(options.netfilterListeners && { listeners: options.netfilterListeners }),
      });

    this.datapathFamily = datapathFamily({ id: FAMILY_ID.DATAPATH, group: group(0), datapaths, nCpus });
    this.vports = vportFamily({ id: FAMILY_ID.VPORT, group: group(1), datapaths, nCpus });
    for (const family of [
      nlctrlFamily(() => this.genl.families()),
      this.datapathFamily,
      this.vports,
      flowFamily({ id: FAMILY_ID.FLOW, group: group(2), datapaths }),
      packetFamily({ id: FAMILY_ID.PACKET, datapaths }),
      meterFamily({ id: FAMILY_ID.METER, group: group(3), datapaths }),
      ctLimitFamily({ id: FAMILY_ID.CT_LIMIT, group: group(4), conntrack: datapaths.conntrack, clock }),
    ]) {
      this.genl.register(family);
    }
    if (hasPsample) this.genl.register(psampleFamily({ id: FAMILY_ID.PSAMPLE, configGroup, packetsGroup }));
  }

  /** Starts answering. */
  start(): void {
    this.genl.start();
    this.ctnetlink?.start();
  }

  /** Stops answering, and removes all datapaths with their ports. */
  close(): void {
    this.genl.close();
    this.ctnetlink?.close();
    this.datapaths.close();
  }

  /**
   * The device with this ifindex is gone: its port goes too, and whoever listens is told.  With a local port, which the
   * kernel would not let go, its whole datapath goes.
   */
  deviceGone(ifindex: number): void {
    const ref = this.datapaths.portOf(ifindex);
    if (ref === undefined) return;
    const { dp, vport } = ref;
    this.log.info(`${dp.name}: the device of port ${vport.portNo}, ${vport.name}, is gone`);
    announceVportDel(this.genl, this.vports, dp, vport);
    if (vport.portNo === OVSP_LOCAL) {
      this.log.warn(`${dp.name}: that was its local port, so the datapath goes as well`);
      this.datapaths.destroy(dp);
    } else {
      this.datapaths.removePort(dp, vport);
    }
  }
}
