/**
 * What the handlers of OpenFlow requests need of a switch, and what they get of its other connections: the interface between
 * `handlers/*.ts` and `ofproto.ts`.
 */
import type { Dpif } from '../../dpif/dpif.ts';
import type { TlvTable } from '../../openflow/fields/tlv-table.ts';
import type { AsyncType, Resume } from '../../openflow/messages/flow/flow-types.ts';
import type { BodyOf } from '../../openflow/messages/of-message.ts';
import type { DescStats, PhyPort } from '../../openflow/messages/switch/switch-types.ts';
import type { OfKind } from '../../openflow/ofp-msgs.ts';
import type { GroupTable } from '../groups/group-table.ts';
import type { MeterTable } from '../meters/meter-table.ts';
import type { PacketToSend, PreparedPacket } from '../packet-execute.ts';
import type { FlowTables } from '../tables/flow-tables.ts';
import type { OfConn } from './ofconn.ts';
import type { PortControl } from './port-control.ts';

/** Who a switch says that it is. */
export interface SwitchIdentity {
  datapathId: bigint;
  desc: DescStats;
}

export interface OfSwitch {
  readonly name: string;
  readonly tables: FlowTables;
  readonly groups: GroupTable;
  readonly meters: MeterTable;
  readonly conns: Connections;
  readonly identity: SwitchIdentity;
  /** OFPC_FRAG_*, as set_config says it. */
  fragHandling: number;
  /** By rising number. */
  phyPorts(): PhyPort[];
  phyPort(ofport: number): PhyPort | undefined;
  readonly ports: PortControl;
  /** Its datapath, which other switches may share; undefined: it has none. */
  readonly dpif: Dpif | undefined;
  /** Which options of tunnels are fields. */
  tlvTable: TlvTable;
  /** Translates the actions of a packet that a controller made, to be sent or dropped. */
  preparePacket(packet: PacketToSend): PreparedPacket;
  /** The same of a packet that was paused; an OfpError if its bridge is gone. */
  prepareResumption(resume: Resume): PreparedPacket;
}

/** A request under way: changes that the switch tells about come of it. */
export interface Acting {
  readonly conn: OfConn;
  readonly xid: number;
}

/** All connections of a switch. */
export interface Connections extends Iterable<OfConn> {
  /** The request that is being handled, if any. */
  readonly acting: Acting | undefined;
  /** Calls `fn`, which handles a request: until it is done, but only while it does not wait, `acting` is this request. */
  act<R>(conn: OfConn, xid: number, fn: () => R): R;
  /** The highest generation id of a role request; undefined before the first. */
  readonly generationId: bigint | undefined;
  /** False: the generation is older than that of another request. */
  takeGeneration(id: bigint): boolean;
  /** Makes `conn` the primary: who was is a secondary from then on, and told so. */
  makePrimary(conn: OfConn): void;
  /** A connection may want packets that match no flow from now on, or no longer: has datapath flows made anew if that is so. */
  missesMayBeWanted(): void;
  /**
   * Sends a message that nobody asked for to every connection that wants those of `type` for `reason`, and whose version has it;
   * `except` does not get it.
   */
  broadcast<K extends OfKind>(
    type: AsyncType,
    reason: number,
    kind: K,
    body: BodyOf[K],
    except?: (conn: OfConn) => boolean,
  ): void;
}
