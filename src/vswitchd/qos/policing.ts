/**
 * Ingress policing by the kernel's traffic control: a policer as a filter of the ingress qdisc, for all packets that a device receives.
 *
 * That is what openvswitch.ko needs.  Our datapath hears before traffic control and polices by itself (datapath/ports/policer.ts); on its
 * devices there may be a "clsact" qdisc (datapath/ports/ingress-drop.ts), beside which there can be no ingress qdisc.
 * Source: lib/netdev-linux.c (netdev_linux_set_policing), lib/tc.c, vswitchd/vswitch.xml, tc-police(8).
 */
import { NetlinkError } from '../../netlink/errors.ts';
import {
  NO_RATE,
  TC_ACT,
  TC_H,
  TCA_BASIC,
  TCA_MATCHALL,
  type TCA_POLICE,
  tcHandle,
} from '../../netlink/families/tc.ts';
import type { AttrsOf } from '../../netlink/policy.ts';
import { ERRNO } from '../../util/errno.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { PolicingConfig } from './qos-config.ts';
import type { TcContext, TcDevice } from './qos-kind.ts';
import { encode } from './tc-client.ts';
import { rate64, rateSpec, type TcTicks, u32Of } from './tc-ticks.ts';

const log = vlog('netdev_linux');
const limit = new RateLimit(5, 20);

/** Bursts that are not said. */
const DEFAULT_KBITS_BURST = 8000;
const DEFAULT_KPKTS_BURST = 16;
/** Largest packet: more than the largest super-packet. */
const MTU = 65535;
const QDISC = { handle: tcHandle(0xffff, 0), parent: TC_H.INGRESS, kind: 'ingress' };
const MATCHALL_PREFERENCE = 1;
const BASIC_PREFERENCE = 49;

export const isPoliced = (policing: PolicingConfig): boolean => policing.kbitsRate > 0 || policing.kpktsRate > 0;

/** With the usual bursts where none are said. */
export const withBursts = ({ kbitsRate, kbitsBurst, kpktsRate, kpktsBurst }: PolicingConfig): PolicingConfig => ({
  kbitsRate,
  kbitsBurst: kbitsRate === 0 ? 0 : kbitsBurst || DEFAULT_KBITS_BURST,
  kpktsRate,
  kpktsBurst: kpktsRate === 0 ? 0 : kpktsBurst || DEFAULT_KPKTS_BURST,
});

/** The policer as an action; bursts are in ticks. */
function policeOptions(policing: PolicingConfig, ticks: TcTicks): AttrsOf<typeof TCA_POLICE> {
  const bytesRate = Math.floor((policing.kbitsRate * 1000) / 8);
  const packetsRate = policing.kpktsRate * 1000;
  const rate = bytesRate === 0 ? NO_RATE : rateSpec(bytesRate, MTU);
  const r64 = rate64(bytesRate);
  return {
    ...(bytesRate > 0 && { rate: ticks.table(bytesRate, rate) }),
    ...(r64 !== undefined && { rate64: r64 }),
    ...(packetsRate > 0 && {
      pktrate64: BigInt(packetsRate),
      pktburst64: BigInt(ticks.ofBytes(packetsRate, policing.kpktsBurst * 1000)),
    }),
    tbf: {
      index: 0,
      action: TC_ACT.SHOT,
      limit: 0,
      burst: ticks.ofBytes(bytesRate, u32Of((policing.kbitsBurst * 1024) / 8)),
      mtu: MTU,
      rate,
      peakrate: NO_RATE,
      refcnt: 0,
      bindcnt: 0,
      capab: 0,
    },
    // What is within the limit goes on to the filters that follow.
    result: TC_ACT.UNSPEC,
  };
}

/** Limits what a device receives, or stops that.  Throws a NetlinkError, which has been logged. */
export function policeDevice({ tc, ticks }: TcContext, device: TcDevice, policing: PolicingConfig): void {
  const { ifindex, name } = device;
  const attempt = (what: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      if (error instanceof NetlinkError) log.warn(`${name}: ${what} failed: ${error.text}`, limit);
      throw error;
    }
  };
  attempt('removing policing', () => tc.deleteQdisc({ ifindex, ...QDISC }));
  if (!isPoliced(policing)) return;
  attempt('adding policing qdisc', () => tc.addQdisc({ ifindex, ...QDISC }));
  const act = [{ kind: 'police', options: policeOptions(policing, ticks) }];
  const matchall = encode(TCA_MATCHALL, { act });
  attempt('adding cls_matchall policing action', () => {
    const parent = TC_H.CLSACT_INGRESS;
    try {
      tc.addFilter(MATCHALL_PREFERENCE, { ifindex, handle: 1, parent, kind: 'matchall', options: matchall });
    } catch (error) {
      // The kernel may lack one of the two classifiers.
      if (!(error instanceof NetlinkError) || error.errno !== ERRNO.ENOENT) throw error;
      const options = encode(TCA_BASIC, { act });
      tc.addFilter(BASIC_PREFERENCE, { ifindex, parent: QDISC.handle, kind: 'basic', options });
    }
  });
}
