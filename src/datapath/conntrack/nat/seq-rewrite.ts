/**
 * Adjusts the sequence numbers of a TCP segment whose connection's payload was made longer or shorter before.
 * Source: net/netfilter/nf_conntrack_seqadj.c.
 */
import { replace32 } from '../../../packet/checksum.ts';
import { TCP } from '../../../packet/ip.ts';
import { type Packet, VNET_F } from '../../../packet/packet.ts';
import type { IpView } from '../ip-view.ts';
import type { SeqAdjust } from './seq-adjust.ts';

const ACK = 0x10;
const OPT = { EOL: 0, NOP: 1, SACK: 5 } as const;

/** Adds the offsets of direction `dir` to the sequence number, and takes those of the other one from acknowledgements. */
export function adjustSequence(pkt: Packet, ip: IpView, adjust: SeqAdjust, dir: number): void {
  const { view, l4, end } = ip;
  if (end - l4 < TCP.HLEN) return;
  const isPartial = (pkt.vnetFlags & VNET_F.NEEDS_CSUM) !== 0;
  const seq = view.getInt32(l4 + TCP.SEQ);
  write(view, l4, l4 + TCP.SEQ, (seq + adjust.offsetAt(dir, seq)) | 0, isPartial);
  if ((view.getUint8(l4 + 13) & ACK) === 0) return;
  const shift = (at: number): void => {
    const value = view.getInt32(at);
    write(view, l4, at, (value - adjust.ackOffsetAt(1 - dir, value)) | 0, isPartial);
  };
  shift(l4 + TCP.ACK);
  const optionsEnd = Math.min(l4 + ((view.getUint8(l4 + 12) >>> 4) << 2), end);
  for (let at = l4 + TCP.HLEN; at < optionsEnd; ) {
    const kind = view.getUint8(at);
    if (kind === OPT.EOL) return;
    if (kind === OPT.NOP) {
      at++;
      continue;
    }
    if (at + 2 > optionsEnd) return;
    const size = view.getUint8(at + 1);
    if (size < 2 || at + size > optionsEnd) return;
    if (kind === OPT.SACK) for (let edge = at + 2; edge + 4 <= at + size; edge += 4) shift(edge);
    at += size;
  }
}

function write(view: DataView, l4: number, at: number, value: number, isPartial: boolean): void {
  const old = view.getInt32(at);
  if (old === value) return;
  view.setInt32(at, value);
  if (isPartial) return;
  if (((at - l4) & 1) === 0) {
    replace32(view, l4 + TCP.CHECK, old, value);
  } else {
    // Behind an odd number of option bytes, high and low bytes of the sum's words are exchanged.
    replace32(view, l4 + TCP.CHECK, swapped(old), swapped(value));
  }
}
const swapped = (v: number): number => ((v >>> 8) & 0x00ff00ff) | ((v & 0x00ff00ff) << 8);
