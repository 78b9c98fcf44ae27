/**
 * Classes of linux-htb, the hierarchical token bucket.
 * Source: lib/netdev-linux.c (htb_*), vswitchd/vswitch.xml (Queue), include/uapi/linux/pkt_sched.h, tc-htb(8).
 */
import { TCA_HTB } from '../../netlink/families/tc.ts';
import { bytesPerSecond, type ClassRow, classfulKind, type Rates } from './classful-kinds.ts';
import { smapUint } from './qos-kind.ts';
import { decode, encode } from './tc-client.ts';
import { rate64, rateSpec, u32Of } from './tc-ticks.ts';

/** Bytes per second for each byte that a class may send at its turn. */
const RATE_TO_QUANTUM = 10;
const VERSION = 3;
/** What frames may have besides what the MTU counts. */
const FRAME_ROOM = 64;

interface HtbClass extends Rates {
  /** Bytes. */
  readonly burst: number;
  /** The lowest goes first. */
  readonly priority: number;
}

const HTB: ClassRow<HtbClass> = {
  linuxName: 'htb',
  qdiscOptions: encode(TCA_HTB, {
    init: { version: VERSION, rate2quantum: RATE_TO_QUANTUM, defcls: 1, debug: 0, directPkts: 0 },
  }),

  rootClass: (maxRate) => ({ minRate: maxRate, maxRate, burst: 0, priority: 0 }),

  queueClass(config, total, { mtu }) {
    // A class without tokens for a whole packet would send nothing at all.
    const minRate = Math.min(Math.max(bytesPerSecond(config, 'min-rate'), mtu), total);
    const maxRate = Math.min(Math.max(bytesPerSecond(config, 'max-rate') || total, minRate), total);
    const burst = Math.max(u32Of(bytesPerSecond(config, 'burst')), mtu + FRAME_ROOM);
    return { minRate, maxRate, burst, priority: u32Of(smapUint(config, 'priority')) };
  },

  encode({ minRate, maxRate, burst, priority }, { mtu }, ticks) {
    const rate = rateSpec(minRate, mtu);
    const ceil = rateSpec(maxRate, mtu);
    const r64 = rate64(minRate);
    const c64 = rate64(maxRate);
    return encode(TCA_HTB, {
      parms: {
        rate,
        ceil,
        buffer: ticks.buffer(minRate, mtu, burst),
        cbuffer: ticks.buffer(maxRate, mtu, burst),
        // Else the kernel computes one, which is smaller than a packet.
        quantum: Math.floor(minRate / RATE_TO_QUANTUM) < mtu ? mtu : 0,
        level: 0,
        prio: priority,
      },
      ...(r64 !== undefined && { rate64: r64 }),
      ...(c64 !== undefined && { ceil64: c64 }),
      rtab: ticks.table(minRate, rate),
      ctab: ticks.table(maxRate, ceil),
    });
  },

  decode(options, ticks) {
    const { parms, rate64: r64, ceil64: c64 } = decode(TCA_HTB, options);
    if (parms === undefined) return undefined;
    const minRate = r64 === undefined ? parms.rate.rate : Number(r64);
    const maxRate = c64 === undefined ? parms.ceil.rate : Number(c64);
    return { minRate, maxRate, burst: ticks.bytes(minRate, parms.buffer), priority: parms.prio };
  },

  *details({ minRate, maxRate, burst, priority }) {
    yield ['min-rate', 8 * minRate];
    if (minRate !== maxRate) yield ['max-rate', 8 * maxRate];
    yield ['burst', 8 * burst];
    if (priority !== 0) yield ['priority', priority];
  },
};

export const HTB_KIND = classfulKind(HTB);
