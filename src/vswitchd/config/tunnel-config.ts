/**
 * Settings of the tunnel interfaces of all bridges, by name: read from Interface.options when these change, and checked against each other.
 * tunnel-ports.ts makes ports of them.  Source: lib/netdev-vport.c (is_concomitant_vxlan_tunnel_present()), lib/netdev.c (netdev_set_config()).
 */
import { readTunnelSettings, type TunnelSettings, VXLAN_EXT } from '../../dpif/tunnel-settings.ts';
import { tunnelType } from '../../dpif/tunnel-types.ts';
import { ERRNO, errnoText } from '../../util/errno.ts';
import { vlog } from '../../util/vlog.ts';

const log = vlog('netdev');
const vportLog = vlog('netdev_vport');

/** Settings, or what the column "error" says of options that make none. */
export type TunnelReading = TunnelSettings | string;

interface Known {
  /** What they were read from. */
  readonly text: string;
  readonly reading: TunnelReading;
}

export class TunnelConfigs {
  private readonly byName = new Map<string, Known>();

  /** Reads the options of tunnel `name`; the same object as long as they do not change.  What is wrong is logged once. */
  read(name: string, typeName: string, options: ReadonlyMap<string, string>): TunnelReading {
    const text = JSON.stringify([typeName, [...options].sort()]);
    const known = this.byName.get(name);
    if (known?.text === text) return known.reading;
    this.byName.delete(name);
    const reading = this.readNew(name, typeName, options);
    // A clash with another tunnel may be over next time.
    if (typeof reading !== 'string' || this.clashing === undefined) this.byName.set(name, { text, reading });
    return reading;
  }

  /** The interface is gone. */
  forget(name: string): void {
    this.byName.delete(name);
  }

  private clashing: string | undefined;

  private readNew(name: string, typeName: string, options: ReadonlyMap<string, string>): TunnelReading {
    this.clashing = undefined;
    const type = tunnelType(typeName);
    if (type === undefined) return `could not open network device ${name} (${errnoText(ERRNO.EAFNOSUPPORT)})`;
    const read = readTunnelSettings(name, type, options);
    if ('why' in read) return refuse(name, read.errno, read.why);
    if (!this.clashes(read.settings)) return read.settings;
    this.clashing = `${name}: VXLAN-GBP, and non-VXLAN-GBP tunnels can't be configured on the same dst_port`;
    vportLog.warn(this.clashing);
    return refuse(name, ERRNO.EEXIST, this.clashing);
  }

  /** Whether there would be VXLAN tunnels with and without group policy on one UDP port. */
  private clashes(settings: TunnelSettings): boolean {
    if (settings.type !== 'vxlan') return false;
    for (const { reading } of this.byName.values()) {
      if (typeof reading === 'string' || reading.type !== 'vxlan' || reading.dstPort !== settings.dstPort) continue;
      if (hasGbp(reading) !== hasGbp(settings)) return true;
    }
    return false;
  }
}

const hasGbp = ({ extensions }: TunnelSettings): boolean => extensions.includes(VXLAN_EXT.GBP);

function refuse(name: string, errno: number, why: string): string {
  const text = `${name}: could not set configuration (${errnoText(errno)})`;
  log.warn(text);
  return why === '' ? text : why;
}

/** Those of this process: an interface's name is one of a kind in it. */
export const tunnelConfigs = new TunnelConfigs();
