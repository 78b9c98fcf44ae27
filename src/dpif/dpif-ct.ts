/**
 * What a datapath's connection tracker can be asked and told, as far as its dpif gives access to it: dpif.ts has it as the
 * optional member `ct`.  Source: lib/ct-dpif.h.
 */

/** How many connections a zone may hold; 0 is any number. */
export interface CtZoneLimit {
  /** 0 to 65535. */
  readonly zone: number;
  readonly limit: number;
}

/** A zone's limit, and how many connections it holds. */
export interface CtZoneUse extends CtZoneLimit {
  readonly count: number;
}

export interface CtLimits {
  /** The limit of each zone that has none of its own. */
  readonly defaultLimit: number;
  readonly zones: readonly CtZoneUse[];
}

/** Names of a policy's times. */
// biome-ignore format: table
const TIMEOUT_NAMES: ReadonlySet<string> = new Set([
  'tcp_syn_sent', 'tcp_syn_recv', 'tcp_established', 'tcp_fin_wait', 'tcp_close_wait', 'tcp_last_ack', 'tcp_time_wait', 'tcp_close',
  'tcp_syn_sent2', 'tcp_retransmit', 'tcp_unack', 'udp_first', 'udp_single', 'udp_multiple', 'icmp_first', 'icmp_reply',
]);
export const isTimeoutName = (name: string): boolean => TIMEOUT_NAMES.has(name);

/** Named times after which connections are forgotten: those of flows that ask for the name. */
export interface DpifCtTimeouts {
  /** Makes or changes policy `id`: seconds by name (see above); what is not given is the datapath's default. */
  set(id: number, seconds: ReadonlyMap<string, number>): Promise<void>;
  /** EBUSY: a flow uses it. */
  del(id: number): Promise<void>;
  /** Ids of the policies that there are. */
  dump(): Promise<number[]>;
  /** What a flow of IPv4 (or IPv6) and IP protocol `proto` asks for to have policy `id`; undefined: it cannot. */
  nameOf(id: number, isIpv4: boolean, proto: number): string | undefined;
}

/** Rejects as the methods of Dpif do; EOPNOTSUPP where the datapath has no such thing. */
export interface DpifCt {
  /** Sets the limits of `zones`, and of all others together unless `defaultLimit` is undefined. */
  setLimits(defaultLimit: number | undefined, zones: readonly CtZoneLimit[]): Promise<void>;
  /** Takes away the limits that `zones` have of their own; one without is passed over. */
  delLimits(zones: readonly number[]): Promise<void>;
  /** The limits of `zones` in that order, or, where there are none, of every zone that has its own. */
  getLimits(zones: readonly number[]): Promise<CtLimits>;
  /** Calls `visit` for each connection, of `zone` only unless that is undefined. */
  dump(zone: number | undefined, visit: (entry: CtEntry) => void): Promise<void>;
  /**
   * Ends connections: that whose original direction is `tuple`, in `zone` (undefined: 0), which is ENOENT if there is none; or,
   * where `tuple` is undefined, all of `zone`, or all.
   */
  flush(zone: number | undefined, tuple: CtTuple | undefined): Promise<void>;
  /** Undefined where the datapath has none. */
  readonly timeouts?: DpifCtTimeouts | undefined;
}

/** One direction of a connection. */
export interface CtTuple {
  /** Addresses as text. */
  readonly src: string;
  readonly dst: string;
  /** IPPROTO_*. */
  readonly proto: number;
  /** Ports; 0 where the protocol has none. */
  readonly srcPort: number;
  readonly dstPort: number;
  /** Of ICMP and ICMPv6. */
  readonly icmpId: number;
  readonly icmpType: number;
  readonly icmpCode: number;
}

/** A tracked connection. */
export interface CtEntry {
  readonly orig: CtTuple;
  readonly reply: CtTuple;
  /** The connection that led to this one. */
  readonly parent: CtTuple | undefined;
  readonly zone: number;
  /** IPS_*. */
  readonly status: number;
  readonly mark: number;
  readonly id: number;
  /** Seconds until it is forgotten. */
  readonly timeout: number;
  readonly labels: bigint;
  readonly helper: string | undefined;
  /** TCP_CONNTRACK_* and SCTP_CONNTRACK_*, window scales, flags and tags: [of the original direction, of replies]. */
  readonly tcp: { readonly state: number; readonly scales: Pair; readonly flags: Pair } | undefined;
  readonly sctp: { readonly state: number; readonly tags: Pair } | undefined;
}

export type Pair = readonly [orig: number, reply: number];
