/**
 * All kinds of quality of service, by QoS.type and by the kernel's name of their qdisc.
 * Source: lib/netdev-linux.c (tcs), vswitchd/vswitch.xml (QoS).
 */
import { CLASSLESS_KINDS } from './classless-kinds.ts';
import { HFSC_KIND } from './hfsc.ts';
import { HTB_KIND } from './htb.ts';
import { inert, type QosKind } from './qos-kind.ts';

/** The qdisc that the kernel has by itself. */
export const DEFAULT_KIND: QosKind = {
  name: '',
  linuxName: undefined,
  nQueues: 0,
  install: () => inert(DEFAULT_KIND),
  load: () => inert(DEFAULT_KIND),
};

/** Leaves whatever is there alone; it shows as the default. */
export const NOOP_KIND: QosKind = { ...DEFAULT_KIND, name: 'linux-noop' };

/** A qdisc that somebody else has set up. */
export const OTHER_KIND: QosKind = {
  name: 'linux-other',
  linuxName: undefined,
  nQueues: 0,
  install: undefined,
  load: () => inert(OTHER_KIND),
};

export const QOS_KINDS: readonly QosKind[] = [
  HTB_KIND,
  HFSC_KIND,
  ...CLASSLESS_KINDS,
  NOOP_KIND,
  DEFAULT_KIND,
  OTHER_KIND,
];

/** QoS.type values that can be asked for. */
export const QOS_TYPES: readonly string[] = QOS_KINDS.filter((k) => k.install !== undefined && k.name !== '').map(
  (k) => k.name,
);

export const qosKind = (type: string): QosKind | undefined => QOS_KINDS.find((kind) => kind.name === type);
export const kindOfQdisc = (linuxName: string | undefined): QosKind =>
  QOS_KINDS.find((kind) => kind.linuxName !== undefined && kind.linuxName === linuxName) ?? OTHER_KIND;
