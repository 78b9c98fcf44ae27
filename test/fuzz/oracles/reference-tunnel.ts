/**
 * Tunnel headers read the slow and obvious way: what a packet of a tunnel is to become.
 * Sources: RFC 7348 5 and draft-smith-vxlan-group-policy, RFC 8926 3.4, RFC 2784, RFC 2890, draft-foschiano-erspan, RFC 6040 4.2.
 */
import { sum16 } from '../../support/frames.ts';

export type TunnelFormat = 'vxlan' | 'vxlan-gbp' | 'geneve' | 'gre' | 'erspan';

export interface Decapsulated {
  /** Of the inner frame in the packet. */
  readonly at: number;
  readonly id: number;
  /** Which of the metadata's flags are set. */
  readonly flags: readonly ('KEY' | 'CSUM' | 'OAM' | 'CRIT' | 'OPTIONS')[];
  /** As hex; 32-bit host words of the metadata in the order of the host, which is little-endian. */
  readonly options: string;
}

const be16 = (b: readonly number[], at: number): number => b[at]! * 0x100 + b[at + 1]!;
const be32 = (b: readonly number[], at: number): number => be16(b, at) * 0x10000 + be16(b, at + 2);
const hex = (b: readonly number[]): string => Buffer.from(b).toString('hex');

/** 'other' if it is not for such a port, 'bad' if it is and must be dropped. */
export function referenceDecap(format: TunnelFormat, p: readonly number[]): Decapsulated | 'bad' | 'other' {
  if (format === 'gre' || format === 'erspan') return gre(format, p);
  if (p.length < 8) return 'bad';
  return format === 'geneve' ? geneve(p) : vxlan(p, format === 'vxlan-gbp');
}

function vxlan(p: readonly number[], hasGbp: boolean): Decapsulated | 'bad' {
  // I must be set; with the extension the first byte has G, too, and what it reserves in the next three is no matter.
  const may = hasGbp ? [0x88, 0xff, 0xff, 0xff] : [0x08, 0, 0, 0];
  const isStray = may.some((bits, i) => (p[i]! & ~bits) !== 0);
  if ((p[0]! & 0x08) === 0 || p[7] !== 0 || isStray) return 'bad';
  const hasGroup = hasGbp && (p[0]! & 0x80) !== 0;
  const options = hasGroup ? hex([p[3]!, p[2]!, p[1]! & 0x48, 0]) : '';
  return { at: 8, id: be32(p, 4) >>> 8, flags: hasGroup ? ['KEY', 'OPTIONS'] : ['KEY'], options };
}

function geneve(p: readonly number[]): Decapsulated | 'bad' | 'other' {
  if (p[0]! >> 6 !== 0) return 'bad';
  if (be16(p, 2) !== 0x6558) return 'other';
  const end = 8 + (p[0]! & 63) * 4;
  if (end > p.length) return 'bad';
  const flags: Decapsulated['flags'][number][] = ['KEY'];
  if ((p[1]! & 0x80) !== 0) flags.push('OAM');
  if ((p[1]! & 0x40) !== 0) flags.push('CRIT');
  if (end > 8) flags.push('OPTIONS');
  return { at: end, id: be32(p, 4) >>> 8, flags, options: hex(p.slice(8, end)) };
}

function gre(format: TunnelFormat, p: readonly number[]): Decapsulated | 'bad' | 'other' {
  if (p.length < 4) return 'other';
  const type = be16(p, 2);
  if (format === 'gre' ? type !== 0x6558 : type !== 0x88be && type !== 0x22eb) return 'other';
  const bits = be16(p, 0);
  if ((bits & 0x4007) !== 0) return 'bad';
  const [hasSum, hasKey, hasSequence] = [0x8000, 0x2000, 0x1000].map((bit) => (bits & bit) !== 0);
  const fields = [hasSum, hasKey, hasSequence].filter((has) => has).length;
  const at = 4 + 4 * fields;
  if (p.length < at) return 'bad';
  if (hasSum && sum16([...p]) !== 0xffff) return 'bad';
  const flags: Decapsulated['flags'][number][] = hasSum ? ['CSUM'] : [];
  if (format === 'gre') {
    if (hasKey) flags.push('KEY');
    return { at, id: hasKey ? be32(p, hasSum ? 8 : 4) : 0, flags, options: '' };
  }
  if (p.length < at + 8) return 'bad';
  const version = p[at]! >> 4;
  const size = version === 1 ? 8 : 12;
  if ((version !== 1 && version !== 2) || p.length < at + size) return 'bad';
  const rest = [...p.slice(at + 4, at + size), 0, 0, 0, 0].slice(0, 8);
  return {
    at: at + size,
    id: be32(p, at) & 0x3ff,
    flags: ['KEY', 'OPTIONS', ...flags],
    options: hex([version, 0, 0, 0, ...rest]),
  };
}

/** Whether the kernel takes an inner frame: such as have the header behind Ethernet whole; of a tag, what it is followed by too. */
export function referenceTakes(inner: readonly number[]): boolean {
  const needed: Readonly<Record<number, number>> = { [0x0800]: 20, [0x86dd]: 40, [0x8100]: 6, [0x88a8]: 6 };
  return inner.length >= 14 + (needed[(inner[12]! << 8) | inner[13]!] ?? 0);
}

/**
 * The inner frame with the outer header's congestion mark; undefined if it must be dropped.  By inner and outer field (RFC 6040, figure 4;
 * what the kernel adds to it is that ECT(1) replaces ECT(0)).
 */
export function referenceEcn(outerTos: number, frame: readonly number[]): readonly number[] | undefined {
  const type = frame.length < 34 ? 0 : be16(frame, 12);
  const isV6 = type === 0x86dd && frame.length >= 54;
  if (type !== 0x0800 && !isV6) return frame;
  const tos = isV6 ? (be16(frame, 14) >> 4) & 0xff : frame[15]!;
  const inner = tos & 3;
  const now = ['0003', '1113', '2123', '3333'].map((row) => row[outerTos & 3])[inner]!;
  if (inner === 0 && now === '3') return undefined;
  const marked = [...frame];
  const shift = isV6 ? 4 : 0;
  marked[15] = (frame[15]! & ~(3 << shift)) | (Number(now) << shift);
  return marked;
}
