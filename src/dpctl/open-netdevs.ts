/**
 * The network devices that one run of dpctl has open: the ports of the datapath, under their names there, and what it added,
 * under the names that it was given.  A device stays what it was opened as, and keeps its options while it is open.
 * Neighbours: netdevs.ts (devices of the machine), tunnel-options.ts.
 * Source: lib/netdev.c (netdev_open(), netdev_set_config()), lib/dpif.c (do_open()), lib/netdev-vport.c
 * (is_concomitant_vxlan_tunnel_present()).
 */
import type { DpifPort } from '../dpif/dpif-types.ts';
import { VXLAN_EXT } from '../dpif/tunnel-settings.ts';
import { initialTunnelPort, type TunnelConfig, type TunnelType, tunnelType } from '../dpif/tunnel-types.ts';
import { ERRNO, errnoText } from '../util/errno.ts';
import { vlog } from '../util/vlog.ts';
import { failure, type Netdevs } from './netdevs.ts';
import { checkPatchOptions, optionsOfDevice, readTunnelOptions } from './tunnel-options.ts';

const log = vlog('netdev');
const linuxLog = vlog('netdev_linux');
const vportLog = vlog('netdev_vport');

export type Options = ReadonlyMap<string, string>;

export interface OpenNetdev {
  readonly name: string;
  /** "system", "internal", "tap", "patch" or a tunnel's. */
  readonly type: string;
  tunnel: { readonly type: TunnelType; readonly config: TunnelConfig; readonly options: Options } | undefined;
}

/** What came of setting options: errno, and what there is to say about it ("" if nothing), which was logged as well. */
export interface Configured {
  readonly errno: number;
  readonly why: string;
}

/** Types that a device of this machine can be opened as. */
const HOST_TYPES = ['system', 'internal', 'tap'];
const KEPT: Configured = { errno: 0, why: '' };

/** Whether devices of this type exist in userspace only: the machine may have none of that name, and cannot set it up. */
export const isVirtual = (type: string): boolean => type === 'patch' || tunnelType(type) !== undefined;

export class OpenNetdevs {
  private readonly host: Netdevs;
  private readonly devices = new Map<string, OpenNetdev>();

  constructor(host: Netdevs, ports: readonly DpifPort[]) {
    this.host = host;
    for (const port of ports) this.keep(openDevice(port.name, port.type));
  }

  /**
   * Opens device `name` as one of `type` ("" is "system" unless it is open already).  Rejects with an Error with `errno`:
   * ENODEV if the machine has no such device, EEXIST if it is open as another type, EAFNOSUPPORT for an unknown type.  An
   * internal device need not exist: adding it makes it.
   */
  async open(name: string, type: string): Promise<OpenNetdev> {
    const known = this.devices.get(name);
    if (known !== undefined) {
      if (type !== '' && type !== known.type) throw failure(ERRNO.EEXIST);
      return known;
    }
    const wanted = type === '' ? 'system' : type;
    if (isVirtual(wanted)) return openDevice(name, wanted);
    if (this.host.ownTypes?.includes(wanted)) {
      this.host.make?.(name, wanted);
      return openDevice(name, wanted);
    }
    if (!HOST_TYPES.includes(wanted)) {
      log.warn(`could not create netdev ${name} of unknown type ${wanted}`);
      throw failure(ERRNO.EAFNOSUPPORT);
    }
    if (name === 'default' || name === 'all') {
      linuxLog.warn(`${name}: Linux forbids network device with this name`);
      throw failure(ERRNO.EINVAL);
    }
    if (wanted !== 'internal' && !(await this.host.exists(name))) throw failure(ERRNO.ENODEV);
    return openDevice(name, wanted);
  }

  /** Keeps `device` open, which became a port. */
  keep(device: OpenNetdev): void {
    this.devices.set(device.name, device);
  }

  /** Sets the options of `device`: all of them, those that are not among `options` to what they are by default. */
  configure(device: OpenNetdev, options: Options): Configured {
    const { name, type, tunnel } = device;
    if (tunnel === undefined && type !== 'patch') {
      if (options.size === 0) return KEPT;
      const why = `${name}: arguments provided to device that is not configurable`;
      log.warn(why);
      return { errno: 0, why };
    }
    const { errno, why } = tunnel ? this.configureTunnel(device, tunnel, options) : checkPatchOptions(name, options);
    if (errno === 0) return KEPT;
    const text = `${name}: could not set configuration (${errnoText(errno)})`;
    log.warn(text);
    return { errno, why: why || text };
  }

  private configureTunnel(
    device: OpenNetdev,
    { type, config }: NonNullable<OpenNetdev['tunnel']>,
    options: Options,
  ): Configured {
    const read = readTunnelOptions(device.name, type, options);
    if (!('config' in read)) return read;
    if (type.name === 'vxlan' && this.clashes(device, config, read.config)) {
      const why = `${device.name}: VXLAN-GBP, and non-VXLAN-GBP tunnels can't be configured on the same dst_port`;
      vportLog.warn(why);
      return { errno: ERRNO.EEXIST, why };
    }
    device.tunnel = { type, config: read.config, options };
    return KEPT;
  }

  /** Whether a change of VXLAN tunnel `device` would have tunnels with and without group policy on one UDP port. */
  private clashes(device: OpenNetdev, from: TunnelConfig, to: TunnelConfig): boolean {
    for (const other of this.devices.values()) {
      if (other === device || other.tunnel?.type.name !== 'vxlan') continue;
      const { config } = other.tunnel;
      if (config.dstPort !== to.dstPort || hasGbp(config) === hasGbp(to)) continue;
      // What stays as it is was let in before; only for the default port is it looked at again.
      const isSame = from.dstPort === to.dstPort && hasGbp(from) === hasGbp(to);
      if (!isSame || to.dstPort === tunnelType('vxlan')?.defaultPort) return true;
    }
    return false;
  }
}

const hasGbp = ({ extensions }: TunnelConfig): boolean => extensions.includes(VXLAN_EXT.GBP);

function openDevice(name: string, type: string): OpenNetdev {
  const ofTunnel = tunnelType(type);
  if (ofTunnel === undefined) return { name, type, tunnel: undefined };
  const config = { dstPort: initialTunnelPort(ofTunnel, name), extensions: [] };
  return { name, type, tunnel: { type: ofTunnel, config, options: optionsOfDevice(ofTunnel, name) } };
}
