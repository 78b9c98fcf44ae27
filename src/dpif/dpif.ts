/**
 * dpif, the datapath interface: what the rest of a vswitchd and the dpctl tools know of a datapath.
 *
 * A datapath is a set of numbered ports and a table of flows.  A packet that a port receives is looked up; a flow that
 * matches has actions, which are carried out and counted.  A packet that no flow matches, or whose flow says so, is an
 * upcall: it is sent up to a handler, which usually installs a flow and executes the packet.
 *
 * Ports: number 0 is the datapath's own, an internal port of the datapath's name.  Port numbers are chosen by the
 * datapath unless asked for, and say nothing to OpenFlow, which numbers its ports itself.
 *
 * Flows: a key (OVS_KEY_ATTR_* nest), a mask, actions, statistics and, where the client gives one, a 128-bit UFID by which
 * it can be named.  The datapath knows no priorities: overlapping flows must have the same actions, and a second flow
 * with the same masked key is EEXIST.
 *
 * Errors: every method rejects with a NetlinkError (its `errno` is the datapath's), except where it says otherwise.
 *
 * A provider (`DpifProvider`) opens datapaths of one type; `dpif-netlink/` has the one of type "system".
 * Source: lib/dpif.h, lib/dpif-provider.h.
 */
import type { DpifCt } from './dpif-ct.ts';
import type { DpifMeters } from './dpif-meters.ts';
import type {
  DpifDpStats,
  DpifFlow,
  DpifOp,
  DpifPort,
  DpifPortPolicing,
  DpifPortStats,
  DpifUpcall,
  PortEvent,
} from './dpif-types.ts';
import type { TunnelConfig } from './tunnel-types.ts';

export interface DpifProvider {
  /** "system". */
  readonly type: string;
  /** Names of the datapaths that exist, sorted. */
  enumerate(): Promise<string[]>;
  /** Opens datapath `name`.  ENODEV if it does not exist and `create` is false, EEXIST if it does and `create` is true. */
  open(name: string, create: boolean): Promise<Dpif>;
  /** Gives up what the provider holds (sockets). */
  close(): void;
}

/** Stands in a userspace action for "the port id of the CPU that handles the packet". */
export const DPIF_PER_CPU_PID = 0xffffffff;

/**
 * Takes the upcalls of one batch (64 at most).  While the promises of a few batches are pending, the provider receives no more: what comes
 * then waits in the socket, and is lost when that is full.
 */
export type UpcallHandler = (upcalls: readonly DpifUpcall[]) => void | Promise<void>;

export interface Dpif {
  readonly type: string;
  readonly name: string;
  /** The connection tracker; undefined where the provider gives no access to it. */
  readonly ct?: DpifCt | undefined;
  /** Its meters; undefined where the provider has none. */
  readonly meters?: DpifMeters | undefined;

  /** Deletes the datapath, its ports and flows. */
  destroy(): Promise<void>;
  /** Gives up this handle; the datapath stays. */
  close(): void;
  stats(): Promise<DpifDpStats>;

  /**
   * Sets the size of the masks cache, in entries, rounded up to a power of two; 0 switches it off.  Resolves to the size
   * in force.  A provider without this method has no such cache.
   */
  setMasksCacheSize?(entries: number): Promise<number>;

  /**
   * Adds the device `name`.  `type` "internal" makes the device; "system" takes an existing one.  `portNo` undefined lets
   * the datapath choose.  Resolves to the number.  EBUSY: number or device taken; EEXIST: already a port; ENODEV.
   *
   * A tunnel (tunnel-types.ts) has a device named after its type and UDP port, which `name` only stands for; if that is a
   * port already, it is made anew.  `tunnel` undefined is the type's own UDP port and no extensions.
   */
  portAdd(name: string, type: string, portNo: number | undefined, tunnel?: TunnelConfig): Promise<number>;
  /** Deletes a port.  `mayBeGone`: its device may have ended before, which is no mistake of anybody's and so not worth a warning. */
  portDel(portNo: number, mayBeGone?: boolean): Promise<void>;
  /**
   * Has the datapath limit what a port receives.  Resolves to whether it does: if not, as with the kernel's own datapath, the device has
   * to.  A provider may lack it.
   */
  portPolice?(portNo: number, policing: DpifPortPolicing): Promise<boolean>;
  /** The port by name or number; undefined if there is none in this datapath. */
  portQuery(which: string | number): Promise<DpifPort | undefined>;
  portStats(portNo: number): Promise<DpifPortStats>;
  /** Those of all ports, by number: cheaper than asking for each.  A provider may lack it. */
  portStatsDump?(): Promise<ReadonlyMap<number, DpifPortStats>>;
  /** All ports, by rising number. */
  portDump(): Promise<DpifPort[]>;
  /**
   * Calls `onEvent` when ports come, go or change, until the returned function is called.  The first event is a "resync":
   * what happened before is not known.
   */
  portPoll(onEvent: (event: PortEvent) => void): () => void;

  /** Deletes all flows. */
  flowFlush(): Promise<void>;
  /**
   * Calls `visit` for each flow, in batches: `terse` leaves out key, mask and actions.  The next batch is not taken before
   * `visit`'s promise resolves.  Flows that come or go meanwhile may or may not be seen; none is seen twice knowingly.
   */
  flowDump(terse: boolean, visit: (flows: readonly DpifFlow[]) => void | Promise<void>): Promise<void>;
  /** Carries out `ops` in order; sets each one's `result`, and never rejects for one of them. */
  operate(ops: readonly DpifOp[]): Promise<void>;

  /**
   * Starts sending upcalls to `handler`; null stops that, and packets that no flow matches are lost from then on.
   * May be called once ports exist; ports added later are covered.
   */
  setUpcallHandler(handler: UpcallHandler | null): Promise<void>;
  /**
   * The port id to put into a userspace action of a flow whose packets come from `portNo` (undefined: from anywhere).
   * A provider without this method has one that is the same for all: {@link DPIF_PER_CPU_PID}.
   */
  upcallPid?(portNo: number | undefined): number;
  /** The skb_priority of queue `queue`; undefined if it has none.  A provider without this method has the kernel's traffic classes. */
  readonly queuePriority?: ((queue: number) => number | undefined) | undefined;
}
