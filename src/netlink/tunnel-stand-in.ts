/**
 * The name of the device that stands for a tunnel port where the datapath is a process: the port's, but for Geneve.  Every program with stock's
 * library (ovn-controller, ovs-dpctl) that asks for datapaths looks for the device of Geneve ports first, and aborts if it is there and no
 * Geneve device.  Neighbours: ../datapath/tunnel/tunnel-devices.ts makes the devices; native/preload_tunnel.c has the same names.
 * Source: lib/dpif-netlink-rtnl.c (dpif_netlink_rtnl_probe_oot_tunnels).
 */
const GENEVE_PORT = 'genev_sys_';
const GENEVE_DEVICE = 'genev_tap_';

/** Name of the device that stands for tunnel port `name`: as long as that, so that it can be one. */
export const tunnelStandIn = (name: string): string =>
  name.startsWith(GENEVE_PORT) ? GENEVE_DEVICE + name.slice(GENEVE_PORT.length) : name;
