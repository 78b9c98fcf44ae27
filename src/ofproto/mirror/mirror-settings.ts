/**
 * What is set of a mirror, and what it says of itself: the interface between `vswitchd/config/mirror-config.ts` and `mirror-table.ts`.
 * Source: ofproto/ofproto.h (struct ofproto_mirror_settings), ovs-vswitchd.conf.db(5) Mirror.
 */

/** What a Mirror row asks for; ports are names of bundles. */
export interface MirrorSettings {
  /** Unique: mirrors keep number and counters as long as it stays. */
  readonly id: string;
  readonly name: string;
  /** Packets that these receive, and that these send. */
  readonly srcs: readonly string[];
  readonly dsts: readonly string[];
  /** Only packets of these VLANs; empty: of all. */
  readonly vlans: readonly number[];
  /** Where to: a port, or else a VLAN (RSPAN). */
  readonly outPort: string | undefined;
  readonly outVlan: number;
  /** Bytes of each packet; 0 and 65535: all. */
  readonly snaplen: number;
}

export interface MirrorStats {
  readonly txPackets: bigint;
  readonly txBytes: bigint;
}
