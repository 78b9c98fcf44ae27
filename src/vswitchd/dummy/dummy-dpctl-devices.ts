/** Dummy devices as the commands of dpctl see them; they are made when one of their types is named.  Source: lib/netdev-dummy.c. */
import { failure, type NetdevCounters, type Netdevs, NO_COUNTERS } from '../../dpctl/netdevs.ts';
import { ERRNO } from '../../util/errno.ts';
import type { DummyNetdevs } from './dummy-netdevs.ts';

export class DummyDpctlDevices implements Netdevs {
  readonly ownTypes: readonly string[];
  private readonly devices: DummyNetdevs;

  constructor(devices: DummyNetdevs) {
    this.devices = devices;
    this.ownTypes = devices.types;
  }

  make(name: string, type: string): void {
    this.devices.configure(name, type, new Map());
  }

  async exists(name: string): Promise<boolean> {
    return this.devices.find(name) !== undefined;
  }

  async turnUp(name: string): Promise<void> {
    if (!(await this.exists(name))) throw failure(ERRNO.ENODEV);
    await this.devices.setUp(name, true);
  }

  async remove(name: string): Promise<void> {
    this.devices.release(name);
  }

  async counters(name: string): Promise<NetdevCounters | undefined> {
    return (await this.exists(name)) ? NO_COUNTERS : undefined;
  }

  close(): void {}
}
