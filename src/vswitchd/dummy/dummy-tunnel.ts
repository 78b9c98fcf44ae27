/**
 * The device of a tunnel port of a datapath of type "dummy".  It has a number and a name, which is what flows and tests need; nothing comes in by
 * it, and what is sent to it is dropped, as in a datapath of stock that may not build tunnels (`tnl_push_pop` false).
 * Source: lib/dpif-netdev.c (dp_execute_output_action), lib/netdev-vport.c.
 */

import { coverage } from '../../util/coverage.ts';
import type { DeviceStats } from '../../util/device-stats.ts';
import { newDeviceStats } from '../../util/device-stats.ts';

const invalidPort = coverage('datapath_drop_invalid_port');
const MAX_MTU = 65535;

export class DummyTunnel {
  readonly name: string;
  /** "vxlan" ... */
  readonly type: string;
  readonly ifindex = 0;
  readonly mtu = MAX_MTU;

  constructor(name: string, type: string) {
    this.name = name;
    this.type = type;
  }

  attach(): void {}
  transmit(): void {
    invalidPort.n++;
  }
  stats(): DeviceStats {
    return newDeviceStats();
  }
}
