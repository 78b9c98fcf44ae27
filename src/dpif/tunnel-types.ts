/**
 * Types of tunnel ports as the database and the tools name them, and the device that a datapath has for all tunnels of a type
 * (and UDP port): "vxlan_sys_4789".  Which remote ends there are is no matter of the datapath.
 * Source: lib/netdev-vport.c (netdev_vport_tunnel_register(), netdev_vport_get_dpif_port(), netdev_vport_construct()).
 */

export interface TunnelType {
  readonly name: string;
  /** Begins the name of the datapath's device. */
  readonly device: string;
  /** The UDP or TCP port unless another is given; 0 is none.  Undefined if tunnels of this type have no port. */
  readonly defaultPort: number | undefined;
}

// biome-ignore format: table
export const TUNNEL_TYPES: readonly TunnelType[] = [
  { name: 'geneve',    device: 'genev_sys',     defaultPort: 6081 },
  { name: 'gre',       device: 'gre_sys',       defaultPort: undefined },
  { name: 'vxlan',     device: 'vxlan_sys',     defaultPort: 4789 },
  { name: 'lisp',      device: 'lisp_sys',      defaultPort: 4341 },
  { name: 'stt',       device: 'stt_sys',       defaultPort: 7471 },
  { name: 'erspan',    device: 'erspan_sys',    defaultPort: undefined },
  { name: 'ip6erspan', device: 'ip6erspan_sys', defaultPort: undefined },
  { name: 'ip6gre',    device: 'ip6gre_sys',    defaultPort: undefined },
  { name: 'gtpu',      device: 'gtpu_sys',      defaultPort: 2152 },
  { name: 'bareudp',   device: 'udp_sys',       defaultPort: 0 },
];

/** How the datapath's device for a tunnel is made. */
export interface TunnelConfig {
  /** 0 where the type has none, or none was given. */
  readonly dstPort: number;
  /** Numbers of the extensions: OVS_VXLAN_EXT_*, OVS_BAREUDP_EXT_*. */
  readonly extensions: readonly number[];
}

/** The type of this name. */
export const tunnelType = (name: string): TunnelType | undefined => TUNNEL_TYPES.find((t) => t.name === name);

/** The type of the device that has this name in a datapath, if it is a tunnel's. */
export const tunnelTypeOfDevice = (device: string): TunnelType | undefined =>
  TUNNEL_TYPES.find((t) => device.startsWith(t.device));

/** The name of the datapath's device. */
export const tunnelDevice = (type: TunnelType, { dstPort }: TunnelConfig): string =>
  type.defaultPort === undefined ? type.device : `${type.device}_${dstPort}`;

/** The port of a tunnel that was given no configuration: the number in its name, if it has one as devices have, or the default. */
export function initialTunnelPort(type: TunnelType, name: string): number {
  if (type.defaultPort === undefined) return 0;
  const digits = name.startsWith(type.device) ? name.slice(type.device.length + 1) : '';
  return Number.parseInt(digits, 10) & 0xffff || type.defaultPort;
}
