/**
 * What the links of devices can do and do: speeds and the like, as OpenFlow's port descriptions and the database tell them.
 *
 * They are asked of the kernel's ethtool family when they are wanted, and again when the device has changed.  A device that does not know
 * (and every device, on a kernel without the family) has none.
 * Source: lib/netdev-linux.c (netdev_linux_read_features), include/uapi/linux/ethtool.h, OpenFlow 1.1.0 A.2.1 (OFPPF_*).
 */
import { NetlinkError } from '../../netlink/errors.ts';
import {
  ETHTOOL_A_HEADER,
  ETHTOOL_A_LINKINFO,
  ETHTOOL_A_LINKMODES,
  ETHTOOL_FAMILY,
  ETHTOOL_FLAG_COMPACT_BITSETS,
  ETHTOOL_MSG,
  ETHTOOL_VERSION,
  type LinkModesAttrs,
} from '../../netlink/families/ethtool.ts';
import { GenlClient, type GenlEndpoint } from '../../netlink/genl.ts';
import { lookupFamily } from '../../netlink/genl-family.ts';
import type { LinkFeatures } from '../../ofproto/connmgr/openflow-settings.ts';
import { vlog } from '../../util/vlog.ts';

const log = vlog('netdev_linux');

/** OFPPF_*. */
// biome-ignore format: table
const OFPPF = {
  HD_10MB: 1 << 0, FD_10MB: 1 << 1, HD_100MB: 1 << 2, FD_100MB: 1 << 3, HD_1GB: 1 << 4, FD_1GB: 1 << 5, FD_10GB: 1 << 6, FD_40GB: 1 << 7,
  FD_100GB: 1 << 8, FD_1TB: 1 << 9, OTHER: 1 << 10, COPPER: 1 << 11, FIBER: 1 << 12, AUTONEG: 1 << 13, PAUSE: 1 << 14, PAUSE_ASYM: 1 << 15,
} as const;

/** By number of the link mode (ETHTOOL_LINK_MODE_*_BIT); the ones between are not told. */
// biome-ignore format: table
const MODES: Readonly<Record<number, number>> = {
  0: OFPPF.HD_10MB, 1: OFPPF.FD_10MB, 2: OFPPF.HD_100MB, 3: OFPPF.FD_100MB, 4: OFPPF.HD_1GB, 5: OFPPF.FD_1GB, 6: OFPPF.AUTONEG,
  7: OFPPF.COPPER, 10: OFPPF.FIBER, 12: OFPPF.FD_10GB, 13: OFPPF.PAUSE, 14: OFPPF.PAUSE_ASYM, 17: OFPPF.FD_1GB,
  18: OFPPF.FD_10GB, 19: OFPPF.FD_10GB, 20: OFPPF.FD_10GB, 23: OFPPF.FD_40GB, 24: OFPPF.FD_40GB, 25: OFPPF.FD_40GB, 26: OFPPF.FD_40GB,
};
/** Mb/s: with half and with full duplex. */
// biome-ignore format: table
const SPEEDS: Readonly<Record<number, readonly [half: number, full: number]>> = {
  10:        [OFPPF.HD_10MB, OFPPF.FD_10MB],   100:    [OFPPF.HD_100MB, OFPPF.FD_100MB], 1000:   [OFPPF.HD_1GB, OFPPF.FD_1GB],
  10000:    [OFPPF.FD_10GB, OFPPF.FD_10GB],   40000: [OFPPF.FD_40GB, OFPPF.FD_40GB],   100000: [OFPPF.FD_100GB, OFPPF.FD_100GB],
  1000000: [OFPPF.FD_1TB, OFPPF.FD_1TB],
};
const PORTS: Readonly<Record<number, number>> = { 0: OFPPF.COPPER, 3: OFPPF.FIBER };
const DUPLEX_FULL = 1;
/** NLA_F_NESTED: the family wants it. */
const NESTED = 0x8000;

export const NO_FEATURES: LinkFeatures = { curr: 0, advertised: 0, supported: 0 };

function modesOf(set: Uint8Array | undefined): number {
  let features = 0;
  for (const [bit, feature] of Object.entries(MODES)) {
    // The words are little endian on the hosts that we know, so that bytes count.
    if ((((set?.[Number(bit) >> 3] ?? 0) >> (Number(bit) & 7)) & 1) !== 0) features |= feature;
  }
  return features;
}

/** OFPPF bits of what the kernel says; `port` is PORT_*. */
export function featuresOf(modes: LinkModesAttrs, port: number | undefined): LinkFeatures {
  const [half, full] = SPEEDS[modes.speed ?? 0] ?? [0, 0];
  const speed = modes.duplex === DUPLEX_FULL ? full : half;
  return {
    curr: speed | (PORTS[port ?? -1] ?? 0) | (modes.autoneg === 1 ? OFPPF.AUTONEG : 0),
    advertised: modesOf(modes.ours?.value),
    supported: modesOf(modes.ours?.mask),
  };
}

/** A device: another object is a device that has changed. */
interface Device {
  readonly name: string;
  readonly ifindex: number;
}

interface Entry {
  /** The device as it was when it was asked for. */
  readonly netdev: Device;
  features: LinkFeatures;
  /** Whether somebody has been told `features`. */
  isTold: boolean;
  /** Resolves when the kernel has said what they are. */
  isKnown: Promise<void>;
}

export class LinkModes {
  private readonly endpoint: GenlEndpoint;
  private readonly onChange: (name: string) => void;
  private readonly entries = new Map<string, Entry>();
  private client: GenlClient | undefined;
  /** The family's id; undefined: there is none. */
  private family: Promise<number | undefined> | undefined;

  /** `onChange` is called when an answer is news to who asked before. */
  constructor(endpoint: GenlEndpoint, onChange: (name: string) => void) {
    this.endpoint = endpoint;
    this.onChange = onChange;
  }

  /** What is known of a device; if it has changed, what was, and `onChange` comes later. */
  get(netdev: Device): LinkFeatures {
    const entry = this.entryOf(netdev);
    entry.isTold = true;
    return entry.features;
  }

  /** Resolves when `get` knows the device as it is now. */
  async learn(netdev: Device): Promise<void> {
    await this.entryOf(netdev).isKnown;
  }

  /** The device is gone. */
  forget(name: string): void {
    this.entries.delete(name);
  }

  private entryOf(netdev: Device): Entry {
    const { name } = netdev;
    const old = this.entries.get(name);
    if (old?.netdev === netdev) return old;
    const entry: Entry = {
      netdev,
      features: old?.features ?? NO_FEATURES,
      isTold: old?.isTold ?? false,
      isKnown: Promise.resolve(),
    };
    this.entries.set(name, entry);
    entry.isKnown = this.read(entry);
    return entry;
  }

  private async read(entry: Entry): Promise<void> {
    const { name, ifindex } = entry.netdev;
    const features = (await this.ask(name, ifindex)) ?? NO_FEATURES;
    if (this.entries.get(name) !== entry) return;
    const { curr, advertised, supported } = entry.features;
    entry.features = features;
    const isNews = features.curr !== curr || features.advertised !== advertised || features.supported !== supported;
    if (isNews && entry.isTold) this.onChange(name);
  }

  /** undefined: the kernel cannot tell. */
  private async ask(name: string, ifindex: number): Promise<LinkFeatures | undefined> {
    try {
      this.client ??= new GenlClient(this.endpoint);
      this.family ??= lookupFamily(this.client, ETHTOOL_FAMILY).then(
        ({ id }) => id,
        () => undefined,
      );
      const id = await this.family;
      if (id === undefined) return undefined;
      const modes = await this.query(id, ETHTOOL_MSG.LINKMODES_GET, ifindex, ETHTOOL_A_LINKMODES, name);
      const info = await this.query(id, ETHTOOL_MSG.LINKINFO_GET, ifindex, ETHTOOL_A_LINKINFO, name);
      return featuresOf(modes, info.port);
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      log.dbg(() => `${name}: speed is not known (${error.message})`);
      return undefined;
    }
  }

  private query<P extends typeof ETHTOOL_A_LINKMODES | typeof ETHTOOL_A_LINKINFO>(
    id: number,
    command: number,
    ifindex: number,
    reply: P,
    where: string,
  ): Promise<ReturnType<P['read']>> {
    const client = this.client as GenlClient;
    return client.queryGenl(
      id,
      command,
      ETHTOOL_VERSION,
      (w) => {
        const nest = w.nest(reply.type.header | NESTED);
        w.attrU32(ETHTOOL_A_HEADER.type.devIndex, ifindex);
        w.attrU32(ETHTOOL_A_HEADER.type.flags, ETHTOOL_FLAG_COMPACT_BITSETS);
        w.endNest(nest);
      },
      (msg) => msg.readGenl(reply as never) as ReturnType<P['read']>,
      `ethtool of ${where}`,
    );
  }

  close(): void {
    this.entries.clear();
    this.client?.close();
  }
}
