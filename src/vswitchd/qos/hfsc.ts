/**
 * Classes of linux-hfsc, the hierarchical fair service curve: straight lines, no bursts.
 * Source: lib/netdev-linux.c (hfsc_*), vswitchd/vswitch.xml (Queue), include/uapi/linux/pkt_sched.h, tc-hfsc(8).
 */
import { HFSC_QOPT, TCA_HFSC } from '../../netlink/families/tc.ts';
import { bytesPerSecond, type ClassRow, classfulKind, type Rates } from './classful-kinds.ts';
import { decode, encode } from './tc-client.ts';
import { u32Of } from './tc-ticks.ts';

const line = (rate: number) => ({ m1: 0, d: 0, m2: u32Of(rate) });

const HFSC: ClassRow<Rates> = {
  linuxName: 'hfsc',
  qdiscOptions: encode(HFSC_QOPT, { defcls: 1 }),

  rootClass: (maxRate) => ({ minRate: maxRate, maxRate }),

  queueClass(config, total) {
    const minRate = Math.min(Math.max(bytesPerSecond(config, 'min-rate'), 1), total);
    const wanted = config.has('max-rate') ? bytesPerSecond(config, 'max-rate') : total;
    return { minRate, maxRate: Math.min(Math.max(wanted, minRate), total) };
  },

  encode: ({ minRate, maxRate }) => encode(TCA_HFSC, { rsc: line(minRate), fsc: line(minRate), usc: line(maxRate) }),

  decode(options) {
    const { rsc, fsc, usc } = decode(TCA_HFSC, options);
    if (rsc === undefined || fsc === undefined || usc === undefined) return undefined;
    const isBent = [rsc, fsc, usc].some(({ m1, d }) => m1 !== 0 || d !== 0);
    if (isBent || rsc.m2 !== fsc.m2 || rsc.m2 > usc.m2) return undefined;
    return { minRate: fsc.m2, maxRate: usc.m2 };
  },

  *details({ minRate, maxRate }) {
    yield ['min-rate', 8 * minRate];
    if (minRate !== maxRate) yield ['max-rate', 8 * maxRate];
  },
};

export const HFSC_KIND = classfulKind(HFSC);
