/**
 * The TAPs of interfaces of type "tap": devices that exist as long as their interface does, whether or not there is a vswitchd.
 *
 * They are ports like any device of the host.  What the switch sends to one waits for whoever reads its descriptor, that is, for nobody: it
 * is of use where the device is sent to from the host, or is moved elsewhere.  One that is there already is taken over, and goes with its
 * interface like the others.
 * Source: lib/netdev-linux.c (netdev_linux_construct_tap), vswitchd/vswitch.xml (Interface, type tap).
 */
import { type NativeArena, type NativePort, native } from '../../native/index.ts';
import { NetlinkError } from '../../netlink/errors.ts';
import { ERRNO } from '../../util/errno.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';

const log = vlog('netdev_linux');
const limit = new RateLimit(1, 5);

/** Nothing is received, so that there is no need for more. */
const ARENA_SIZE = 4096;

export class TapDevices {
  private readonly ports = new Map<string, NativePort>();
  private arena: NativeArena | undefined;

  /** Makes the device, or takes it over.  Throws a NetlinkError where that cannot be: a device of another kind has the name, for instance. */
  make(name: string): void {
    if (this.ports.has(name)) return;
    try {
      this.arena ??= native().createArena(ARENA_SIZE);
      this.ports.set(name, native().openTap(this.arena, name, true));
    } catch (error) {
      const { message, errno } = error as Error & { readonly errno?: number };
      log.warn(`${name}: creating tap device failed: ${message}`, limit);
      throw Object.assign(new NetlinkError(errno ?? ERRNO.EIO, name), { cause: error });
    }
  }

  /** The device has gone by itself. */
  forget(name: string): void {
    this.ports.get(name)?.close();
    this.ports.delete(name);
  }

  /** Removes a device that was made here; others stay. */
  remove(name: string): void {
    this.ports.get(name)?.close(true);
    this.ports.delete(name);
  }

  /** Leaves the devices as they are. */
  close(): void {
    for (const name of [...this.ports.keys()]) this.forget(name);
  }
}
