/**
 * Sequence numbers of a TCP connection whose payload was made longer or shorter by NAT: how far they are off in each
 * direction.  Rare: objects, in a map of the tracker.
 * Source: net/netfilter/nf_conntrack_seqadj.c.
 */

interface Correction {
  isSet: boolean;
  /** Sequence number at which the last change happened. */
  position: number;
  before: number;
  after: number;
}

const isAfter = (a: number, b: number): boolean => ((b - a) | 0) < 0;

export class SeqAdjust {
  private readonly directions: readonly [Correction, Correction] = [
    { isSet: false, position: 0, before: 0, after: 0 },
    { isSet: false, position: 0, before: 0, after: 0 },
  ];

  /** The segment of direction `dir` that begins at `seq` got `difference` bytes longer. */
  change(dir: number, seq: number, difference: number): void {
    const c = this.directions[dir]!;
    if (c.isSet && c.before !== c.after && !isAfter(seq, c.position)) return;
    c.isSet = true;
    c.position = seq;
    c.before = c.after;
    c.after += difference;
  }

  /** What is to be added to sequence number `seq` of direction `dir`. */
  offsetAt(dir: number, seq: number): number {
    const c = this.directions[dir]!;
    return isAfter(seq, c.position) ? c.after : c.before;
  }

  /** What is to be taken from `ack`, which acknowledges direction `dir` as its receiver saw it. */
  ackOffsetAt(dir: number, ack: number): number {
    const c = this.directions[dir]!;
    return isAfter((ack - c.before) | 0, c.position) ? c.after : c.before;
  }
}
