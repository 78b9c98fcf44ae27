/**
 * The neighbours that tunnels built in userspace would send to: who has which MAC address behind which bridge.  Entries age.
 * Source: lib/tnl-neigh-cache.c.
 */
import { monotonicMs } from '../../util/clock.ts';
import { formatIp } from './ip-prefix.ts';

interface Neighbour {
  readonly ip: bigint;
  mac: string;
  readonly bridge: string;
  /** Monotonic ms. */
  expires: number;
}

export const MAX_AGING_S = 3600;
const HEAD =
  'IP                                            MAC                 Bridge\n' +
  '==========================================================================\n';
/** Widths of an address, as in INET6_ADDRSTRLEN. */
const IP_WIDTH = 46;

export class NeighCache {
  private readonly entries = new Map<string, Neighbour>();
  private agingMs = 15 * 60 * 1000;
  private retrans = 1000;

  set(bridge: string, ip: bigint, mac: string): void {
    const expires = monotonicMs() + this.agingMs;
    this.entries.set(`${bridge} ${ip}`, { ip, mac, bridge, expires });
  }

  flush(): void {
    this.entries.clear();
  }

  /** Forgets who was behind `bridge`, or another port of that name. */
  forget(bridge: string): void {
    for (const [key, entry] of this.entries) if (entry.bridge === bridge) this.entries.delete(key);
  }

  /** Seconds after which an entry is stale. */
  get agingS(): number {
    return this.agingMs / 1000;
  }

  /** How many ms after a request the same neighbour would be asked for again. */
  get retransMs(): number {
    return this.retrans;
  }

  /** False if that is longer than entries live. */
  setRetrans(ms: number): boolean {
    if (ms > this.agingMs) return false;
    this.retrans = ms;
    return true;
  }

  /** `seconds`: 1..MAX_AGING_S.  False if that is less than until the next request.  Entries that would live longer are cut short. */
  setAging(seconds: number): boolean {
    if (seconds * 1000 < this.retrans) return false;
    this.agingMs = seconds * 1000;
    const expires = monotonicMs() + this.agingMs;
    for (const entry of this.entries.values()) entry.expires = Math.min(entry.expires, expires);
    return true;
  }

  /** Text of `tnl/neigh/show`. */
  show(): string {
    const now = monotonicMs();
    const lines = [...this.entries.values()].map(({ ip, mac, bridge, expires }) => {
      const stale = expires <= now ? ' STALE' : '';
      return `${formatIp(ip).padEnd(IP_WIDTH)}${mac}   ${bridge}${stale}\n`;
    });
    return HEAD + lines.join('');
  }
}
