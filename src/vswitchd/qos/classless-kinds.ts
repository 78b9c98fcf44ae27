/**
 * Kinds whose qdisc has no classes, and so no queues: CoDel, FQ-CoDel, SFQ and netem.
 * Each is a row: its numbers with what they are if nothing is said, and how the kernel writes them.
 * Source: lib/netdev-linux.c, vswitchd/vswitch.xml (QoS), tc-codel(8), tc-fq_codel(8), tc-sfq(8), tc-netem(8).
 */
import { NetlinkError } from '../../netlink/errors.ts';
import { NETEM_QOPT, SFQ_QOPT, TC_H, TCA_CODEL, TCA_FQ_CODEL, tcHandle } from '../../netlink/families/tc.ts';
import { ERRNO } from '../../util/errno.ts';
import { RateLimit, vlog } from '../../util/vlog.ts';
import type { Smap } from '../config/row-source.ts';
import { type Discipline, inert, type QosKind, smapUint, type TcContext, type TcDevice } from './qos-kind.ts';
import { decode, encode, type TcObject } from './tc-client.ts';
import { type TcTicks, u32Of } from './tc-ticks.ts';

const log = vlog('netdev_linux');
const limit = new RateLimit(5, 20);

/** By the names of QoS.other_config. */
type Numbers = Readonly<Record<string, number>>;

interface Row {
  readonly linuxName: string;
  /** All numbers; a function where the device matters.  0 in the database is as if it were not there. */
  readonly defaults: Readonly<Record<string, number | ((device: TcDevice) => number)>>;
  encode(n: Numbers, ticks: TcTicks): Uint8Array;
  decode(options: Uint8Array, ticks: TcTicks): Numbers;
  /** What is wrong with them. */
  check?(n: Numbers): string | undefined;
}

const U32_MAX = 0xffffffff;
const LOSS_MAX = 100;
const at = (n: Numbers, key: string): number => n[key] ?? 0;

const ROWS: readonly Row[] = [
  {
    linuxName: 'codel',
    defaults: { target: 5000, limit: 10240, interval: 100_000 },
    encode: (n) => encode(TCA_CODEL, n),
    decode: (options) => ({ ...decode(TCA_CODEL, options) }),
  },
  {
    linuxName: 'fq_codel',
    defaults: { target: 5000, limit: 10240, interval: 1_000_000, flows: 1024, quantum: 1514 },
    encode: (n) => encode(TCA_FQ_CODEL, n),
    decode: (options) => ({ ...decode(TCA_FQ_CODEL, options) }),
  },
  {
    linuxName: 'sfq',
    defaults: { quantum: (device) => device.mtu, perturb: 10 },
    encode: (n) =>
      encode(SFQ_QOPT, { quantum: at(n, 'quantum'), perturbPeriod: at(n, 'perturb'), limit: 0, divisor: 0, flows: 0 }),
    decode(options) {
      const { quantum, perturbPeriod } = decode(SFQ_QOPT, options);
      return { quantum, perturb: perturbPeriod };
    },
  },
  {
    linuxName: 'netem',
    defaults: { latency: 0, limit: 1000, loss: 0 },
    encode: (n, ticks) =>
      encode(NETEM_QOPT, {
        latency: ticks.ofMicroseconds(at(n, 'latency')),
        limit: at(n, 'limit'),
        loss: Math.floor(U32_MAX * (at(n, 'loss') / LOSS_MAX)),
        gap: 0,
        duplicate: 0,
        jitter: 0,
      }),
    decode(options, ticks) {
      const { latency, limit: queue, loss } = decode(NETEM_QOPT, options);
      return { latency: ticks.microseconds(latency), limit: queue, loss: Math.round((loss / U32_MAX) * LOSS_MAX) };
    },
    check: ({ loss = 0 }) =>
      loss > LOSS_MAX ? `loss should be a percentage value between 0 to 100, loss was ${loss}` : undefined,
  },
];

class ClasslessQdisc implements Discipline {
  readonly kind: QosKind;
  readonly queues = new Map<number, never>();
  private readonly context: TcContext;
  private readonly row: Row;
  private readonly handle: number;
  private numbers: Numbers;

  constructor(kind: QosKind, row: Row, context: TcContext, handle: number, numbers: Numbers) {
    this.kind = kind;
    this.row = row;
    this.context = context;
    this.handle = handle;
    this.numbers = numbers;
  }

  get details(): Smap {
    return new Map(Object.keys(this.row.defaults).map((key) => [key, String(at(this.numbers, key))]));
  }

  configure(config: Smap, device: TcDevice): void {
    const wanted = numbersOf(this.row, config, device);
    if (Object.entries(wanted).every(([key, value]) => value === this.numbers[key])) return;
    checkNumbers(this.row, wanted);
    const { tc } = this.context;
    const subject = subjectOf(this.row, this.context, device, this.handle, wanted);
    try {
      tc.changeQdisc(subject);
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      // Some numbers of some kinds are there to stay.
      tc.deleteQdisc({ ifindex: device.ifindex, parent: TC_H.ROOT });
      tc.addQdisc(subject);
    }
    this.numbers = wanted;
  }

  setQueue(): void {}
  deleteQueue(): void {}
  counters(): ReadonlyMap<number, never> {
    return this.queues;
  }
}

const subjectOf = (row: Row, { ticks }: TcContext, device: TcDevice, handle: number, numbers: Numbers) => ({
  ifindex: device.ifindex,
  handle,
  parent: TC_H.ROOT,
  kind: row.linuxName,
  options: row.encode(numbers, ticks),
});

function numbersOf(row: Row, config: Smap, device: TcDevice): Numbers {
  const entries = Object.entries(row.defaults).map(([key, otherwise]) => {
    const value = u32Of(smapUint(config, key)) || (typeof otherwise === 'number' ? otherwise : otherwise(device));
    return [key, value] as const;
  });
  return Object.fromEntries(entries);
}

function checkNumbers(row: Row, numbers: Numbers): void {
  const problem = row.check?.(numbers);
  if (problem === undefined) return;
  log.warn(problem, limit);
  throw new NetlinkError(ERRNO.EINVAL, row.linuxName);
}

function kindOf(row: Row): QosKind {
  const handle = tcHandle(1, 0);
  const kind: QosKind = {
    name: `linux-${row.linuxName}`,
    linuxName: row.linuxName,
    nQueues: 0,
    install(context, device, config) {
      const numbers = numbersOf(row, config, device);
      checkNumbers(row, numbers);
      context.tc.addQdisc(subjectOf(row, context, device, handle, numbers));
      return new ClasslessQdisc(kind, row, context, handle, numbers);
    },
    load(context, _device, qdisc: TcObject | undefined) {
      if (qdisc?.options === undefined) return inert(kind);
      return new ClasslessQdisc(kind, row, context, qdisc.handle, row.decode(qdisc.options, context.ticks));
    },
  };
  return kind;
}

export const CLASSLESS_KINDS: readonly QosKind[] = ROWS.map(kindOf);
