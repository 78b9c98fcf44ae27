/**
 * What an administrator says of a bridge's OpenFlow connections: what the database has in Bridge, Controller and SSL.
 * Source: vswitchd/bridge.c (bridge_configure_remotes), ofproto/ofproto.h (struct ofproto_controller).
 */

import type { TlsFiles } from '../../util/tls-files.ts';
import type { FindNextHop } from '../in-band/in-band.ts';
import type { Remote } from '../in-band/in-band-rules.ts';
import type { DeviceControl } from './device-control.ts';

export type { TlsFiles };

export interface ControllerSettings {
  /** As `parseTarget` reads it. */
  readonly target: string;
  readonly kind: 'primary' | 'service';
  /** Most that is waited between attempts to connect, in seconds. */
  readonly maxBackoffSec: number;
  /** Silence after which an echo is sent, in seconds; 0: never. */
  readonly probeIntervalSec: number;
  readonly enableAsync: boolean;
  /** Packet-ins a second, and how many may come at once; 0: any number. */
  readonly rateLimit: number;
  readonly burstLimit: number;
  /** Packet-ins that wait to be sent. */
  readonly maxQueue: number;
  /** Of what is sent to it, 0 to 63. */
  readonly dscp?: number;
  /** The way there is through the switch itself, which has to keep it open. */
  readonly isInBand?: boolean;
}

/** Some bits of a flow: its first one, and how many. */
export interface FlowBits {
  readonly at: number;
  readonly bits: number;
}

/** A flow table, as Flow_Table says it. */
export interface TableSettings {
  readonly number: number;
  readonly name: string | undefined;
  /** undefined: as many as there are. */
  readonly maxFlows: number | undefined;
  /** Whether flows have to go for others when the table is full; the largest group of those alike in `groups` first. */
  readonly evicts: boolean;
  readonly groups: readonly FlowBits[];
  /** Fields with prefix tries; undefined: the usual ones. */
  readonly prefixes: readonly FlowBits[] | undefined;
}

/** `fd` is a socket's, of any family. */
export type SetDscp = (fd: number, dscp: number) => void;

export type FailMode = 'standalone' | 'secure';

/** What the switch's own traffic needs besides controllers (`in-band/`). */
export interface InBandSettings {
  /** Others to whom the way has to be open: managers of the database. */
  readonly remotes: readonly Remote[];
  /** Of what is sent to them; undefined: the port's usual one. */
  readonly queue: number | undefined;
}

export interface OpenflowSettings {
  /** Set of versions that are spoken: 1 << wire number. */
  readonly versions: number;
  readonly failMode: FailMode;
  readonly controllers: readonly ControllerSettings[];
  readonly tls: TlsFiles | undefined;
  readonly inBand?: InBandSettings;
  readonly findNextHop?: FindNextHop | undefined;
  /** Gives what a socket sends a DSCP; undefined: nobody can. */
  readonly setDscp?: SetDscp | undefined;
  /** After how long a bundle with which nothing is done is given up; undefined: the usual. */
  readonly bundleIdleMs?: number | undefined;
  /** Tables that are not as usual, by rising number. */
  readonly tables?: readonly TableSettings[];
  /** Where sockets are, and relative paths begin.  Undefined: there are none. */
  readonly runDir: string | undefined;
  /** 16 hexadecimal digits. */
  readonly datapathId: string;
  /** other_config:dp-desc and the like; undefined: the usual. */
  readonly desc: { readonly dpDesc: string | undefined; readonly serialNum: string | undefined };
}

/** What the database is told of a controller. */
export interface ControllerStatus {
  readonly isConnected: boolean;
  /** "master", "slave", "other"; undefined: not connected. */
  readonly role: 'other' | 'master' | 'slave' | undefined;
  /** state, sec_since_connect, sec_since_disconnect, last_error. */
  readonly pairs: ReadonlyMap<string, string>;
}

/** What a link does, what it offers, and what it could do: OFPPF_* bits. */
export interface LinkFeatures {
  readonly curr: number;
  readonly advertised: number;
  readonly supported: number;
}

/** A port's device, as far as OpenFlow tells of it. */
export interface PortDevice {
  /** 6 bytes. */
  readonly hwAddr: Uint8Array;
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  /** Undefined: not known. */
  readonly features?: LinkFeatures | undefined;
  /** Undefined: it cannot be asked or told anything. */
  readonly control?: DeviceControl | undefined;
}
