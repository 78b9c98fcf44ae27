/**
 * The four segments of a flow by which a look-up proceeds: metadata, L2, L3, L4.  A subtable that no rule can match on the
 * first of them is left without having looked at the rest, which then stays out of the megaflow.
 * Source: include/openvswitch/flow.h (FLOW_SEGMENT_*).
 */
import { FIELD, type FieldName, OF_FLOW_WORDS } from '../../flow/fields.ts';

export const N_SEGMENTS = 4;

// biome-ignore format: table
const L2: readonly FieldName[] = ['ethDst', 'ethSrc', 'ethType', 'vlanTpid', 'cvlanTpid', 'mplsLse0', 'mplsLse1', 'mplsLse2'];
// biome-ignore format: table
const L3: readonly FieldName[] = ['nwProto', 'nwSrc', 'nwDst', 'ipv6Src', 'ipv6Dst', 'ipv6Label',
  'ctNwSrc', 'ctNwDst', 'ctIpv6Src', 'ctIpv6Dst'];
// biome-ignore format: table
const L4: readonly FieldName[] = ['tpSrc', 'tcpFlags', 'arpSha', 'arpTha', 'ndTarget', 'ctTpSrc', 'nshFlags', 'nshPathHdr',
  'nshC1', 'nshC2', 'nshC3', 'nshC4', 'ndReserved', 'ndOptionsType'];

function layOut(): Uint8Array {
  const segments = new Uint8Array(OF_FLOW_WORDS);
  for (const [segment, names] of [L2, L3, L4].entries()) {
    for (const name of names) {
      const { at, bits } = FIELD[name];
      // Fields that share a word are looked at together.
      for (let word = at >>> 5; word <= (at + bits - 1) >>> 5; word++) segments[word] = segment + 1;
    }
  }
  return segments;
}

/** Segment of each word of a flow, 0 to 3: metadata is what is nothing else. */
export const SEGMENT_OF_WORD: Uint8Array = layOut();
