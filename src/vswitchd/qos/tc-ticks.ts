/**
 * Units of the kernel's packet schedulers: amounts of data as the time that it takes to send them, in ticks.
 *
 * /proc/net/psched says how long a tick is, in four hexadecimal numbers: a * c / b of them are a second; d is the rate of the kernel's
 * timer, of which a scheduler must be able to hold one period's data (a very large number where timers are exact).
 * Source: net/sched/sch_api.c (psched_show), lib/netdev-linux.c, tc-htb(8).
 */
import { readFileSync } from 'node:fs';
import { LITTLE_ENDIAN } from '../../netlink/constants.ts';
import { NO_RATE, RTAB_LENGTH } from '../../netlink/families/tc.ts';

const PSCHED = '/proc/net/psched';
const U32_MAX = 0xffffffff;
/** The shortest Ethernet frame without its checksum; headers of a tagged one. */
const ETH_TOTAL_MIN = 60;
const TAGGED_HEADERS = 18;
/** The largest size that a rate table tells apart from its neighbours. */
const CELLS = 256;

/** A number of 32 unsigned bits; a larger one becomes the largest. */
export const u32Of = (n: number): number => Math.min(U32_MAX, Math.max(0, Math.floor(n)));

export class TcTicks {
  private readonly perSecond: number;
  private readonly timerHz: number;

  /** `psched` is the text of /proc/net/psched; undefined: it cannot be read. */
  constructor(psched: string | undefined) {
    const numbers = /^\s*([0-9a-f]+)\s+([0-9a-f]+)\s+([0-9a-f]+)\s+([0-9a-f]+)/i.exec(psched ?? '');
    const [a, b, c, d] = (numbers ?? []).slice(1).map((n) => Number.parseInt(n, 16));
    const isKnown = Boolean(a && b && c);
    this.perSecond = isKnown ? ((a as number) * (c as number)) / (b as number) : 1;
    this.timerHz = isKnown && c === 1_000_000 && d ? d : 100;
  }

  static ofKernel(): TcTicks {
    try {
      return new TcTicks(readFileSync(PSCHED, 'latin1'));
    } catch {
      return new TcTicks(undefined);
    }
  }

  /** Ticks that `bytes` take at `rate` bytes per second; 0 at no rate. */
  ofBytes(rate: number, bytes: number): number {
    return rate === 0 ? 0 : u32Of((Math.floor(this.perSecond) * bytes) / rate);
  }

  bytes(rate: number, ticks: number): number {
    return Math.floor((rate * ticks) / this.perSecond);
  }

  ofMicroseconds(us: number): number {
    return u32Of(us * (this.perSecond / 1e6));
  }
  microseconds(ticks: number): number {
    return Math.round(ticks / (this.perSecond / 1e6));
  }

  /** Ticks of a bucket that holds `burst` bytes, and at least a packet and what is sent between two turns of the timer. */
  buffer(rate: number, mtu: number, burst: number): number {
    return this.ofBytes(rate, Math.max(burst, Math.floor(rate / this.timerHz) + mtu));
  }

  /** The table of how long packets of each size take, for `spec` of `rate` bytes per second. */
  table(rate: number, spec: RateSpec): Uint8Array {
    const table = new DataView(new ArrayBuffer(4 * RTAB_LENGTH));
    for (let i = 0; i < RTAB_LENGTH; i++) {
      const size = Math.max((i + 1) << spec.cellLog, spec.mpu);
      table.setUint32(4 * i, this.ofBytes(rate, size), LITTLE_ENDIAN);
    }
    return new Uint8Array(table.buffer);
  }
}

export type RateSpec = typeof NO_RATE;

/** How many bits the sizes of packets up to `mtu` are shifted so that a table of 256 has them all. */
function cellLogOf(mtu: number): number {
  let cellLog = 0;
  for (let size = mtu + TAGGED_HEADERS; size >= CELLS; size >>= 1) cellLog++;
  return cellLog;
}

/** `rate` is in bytes per second; one of more than 32 bits is told besides. */
export const rateSpec = (rate: number, mtu: number): RateSpec => ({
  ...NO_RATE,
  cellLog: cellLogOf(mtu),
  mpu: ETH_TOTAL_MIN,
  rate: u32Of(rate),
});
/** The rate again if 32 bits do not hold it. */
export const rate64 = (rate: number): bigint | undefined => (rate > U32_MAX ? BigInt(Math.floor(rate)) : undefined);
