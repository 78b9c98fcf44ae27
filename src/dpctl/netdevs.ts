/**
 * Network devices, as far as dpctl needs them: whether one exists, setting it up, and the counters that a datapath does not
 * keep.  `HostNetdevs` asks the kernel, through the npm package `netlink`; tests have their own.
 * Source: lib/netdev.c, lib/netdev-linux.c, include/uapi/linux/if_link.h.
 */
import type { createRtNetlink } from '../netlink/rtnetlink-package.ts';
import { ERRNO } from '../util/errno.ts';

/** Counters of a device beside those of its vport. */
export interface NetdevCounters {
  readonly rxOverErrors: bigint;
  readonly rxFrameErrors: bigint;
  readonly txAbortedErrors: bigint;
  readonly txCarrierErrors: bigint;
  readonly collisions: bigint;
}

export const NO_COUNTERS: NetdevCounters = {
  rxOverErrors: 0n,
  rxFrameErrors: 0n,
  txAbortedErrors: 0n,
  txCarrierErrors: 0n,
  collisions: 0n,
};

export interface Netdevs {
  /** Types of which a device comes to be when one is opened under its name; none if left out. */
  readonly ownTypes?: readonly string[];
  /** Makes a device of one of `ownTypes`, unless there is one of that name. */
  make?(name: string, type: string): void;
  exists(name: string): Promise<boolean>;
  /** Sets IFF_UP.  Rejects with an Error with `errno`. */
  turnUp(name: string): Promise<void>;
  /** Deletes the device, if it exists.  Rejects with an Error with `errno`. */
  remove(name: string): Promise<void>;
  /** Undefined if the device does not exist. */
  counters(name: string): Promise<NetdevCounters | undefined>;
  close(): void;
}

/** An error with `errno`. */
export const failure = (errno: number): Error => Object.assign(new Error('network device'), { errno });

/** The devices of this process's network namespace. */
export class HostNetdevs implements Netdevs {
  private rt: ReturnType<typeof createRtNetlink> | undefined;

  async exists(name: string): Promise<boolean> {
    return (await this.find(name)) !== undefined;
  }

  async turnUp(name: string): Promise<void> {
    const index = (await this.find(name))?.data.index;
    if (index === undefined) throw failure(ERRNO.ENODEV);
    const rt = await this.open();
    try {
      await rt.setLink({ index, flags: { up: true }, change: { up: true } });
    } catch (e) {
      throw failure(errnoOfText(e));
    }
  }

  async remove(name: string): Promise<void> {
    const index = (await this.find(name))?.data.index;
    if (index === undefined) return;
    const rt = await this.open();
    try {
      await rt.delLink({ index });
    } catch (e) {
      const errno = errnoOfText(e);
      if (errno !== ERRNO.ENODEV) throw failure(errno);
    }
  }

  async counters(name: string): Promise<NetdevCounters | undefined> {
    const link = await this.find(name);
    if (link === undefined) return undefined;
    const s = link.attrs.stats64;
    return {
      rxOverErrors: s?.rxOverErrors ?? 0n,
      rxFrameErrors: s?.rxFrameErrors ?? 0n,
      txAbortedErrors: s?.txAbortedErrors ?? 0n,
      txCarrierErrors: s?.txCarrierErrors ?? 0n,
      collisions: s?.collisions ?? 0n,
    };
  }

  close(): void {
    this.rt?.socket.close();
    this.rt = undefined;
  }

  private async find(name: string) {
    // The kernel refuses longer names; no device has one.
    if (name === '' || Buffer.byteLength(name) > 15) return undefined;
    const rt = await this.open();
    try {
      const [link] = await rt.getLink({}, { ifname: name });
      return link;
    } catch (e) {
      const errno = errnoOfText(e);
      if (errno === ERRNO.ENODEV) return undefined;
      throw failure(errno);
    }
  }

  /** The package is loaded at first use: most commands do without it. */
  private async open(): Promise<ReturnType<typeof createRtNetlink>> {
    if (this.rt === undefined) {
      const { createRtNetlink: create } = await import('../netlink/rtnetlink-package.ts');
      this.rt ??= create();
    }
    return this.rt;
  }
}

/** The package reports an errno only as text, "Request rejected: ENODEV". */
function errnoOfText(e: unknown): number {
  const name = /Request rejected: (E[A-Z0-9]+)/.exec(e instanceof Error ? e.message : '')?.[1];
  return name !== undefined && Object.hasOwn(ERRNO, name) ? ERRNO[name as keyof typeof ERRNO] : ERRNO.EIO;
}
