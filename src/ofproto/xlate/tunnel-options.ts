/**
 * Geneve options of a flow, and fields of tun_metadata: a datapath knows the former, as bytes (tunOpts), OpenFlow the latter, at places that
 * the bridge's TLV table tells (tunMeta).
 *
 * ```
 * option: | class 16 | type 8 | 0 3 | length 5, in words | data ... |
 * ```
 * Source: lib/tun-metadata.c (tun_metadata_from_geneve_udpif, tun_metadata_to_geneve__, tun_metadata_to_geneve_mask__), RFC 8926 3.5.
 */
import { FIELD } from '../../flow/fields.ts';
import { type FlowKey, type FlowMask, getField, setField } from '../../flow/flow-key.ts';
import type { MfField } from '../../openflow/fields/mf-field.ts';
import { mfHasTunMetadata } from '../../openflow/fields/mf-value.ts';
import type { TlvTable } from '../../openflow/fields/tlv-table.ts';

const OPTS = FIELD.tunOpts.word;
const META = FIELD.tunMeta.word;
const PRESENT = FIELD.tunMetaPresent.word;
/** Words of options that a Geneve header has room for. */
const MAX_OPT_WORDS = 63;
/** Of an option's type: whoever does not know it drops the packet. */
const CRITICAL = 0x80;
/** The mask of an option's header: all but the reserved bits. */
const HEADER_MASK = 0xffffff1f | 0;

const fieldOfHeader = (table: TlvTable, header: number): MfField | undefined =>
  table.fieldOfOption(header >>> 16, (header >>> 8) & 0xff);

/** Sets one field of tun_metadata to present.  The lowest bit of the second word is number 0. */
function setPresent(flow: FlowKey, { index }: MfField): void {
  const word = index < 32 ? PRESENT + 1 : PRESENT;
  flow[word] = (flow[word] as number) | (1 << (index & 31));
}

/**
 * Gives `flow` the fields that its options are.  False if there are options that make no sense, of another length than the table says, or
 * unknown to it and critical.
 */
export function optionsToFields(table: TlvTable, flow: FlowKey): boolean {
  flow.fill(0, PRESENT, META + FIELD.tunMeta.bits / 32);
  const end = OPTS + getField(flow, FIELD.tunOptsSize) / 4;
  for (let at = OPTS; at < end; ) {
    const header = flow[at] as number;
    const nWords = header & 0x1f;
    if (at + 1 + nWords > end) return false;
    const field = fieldOfHeader(table, header);
    if (field?.words !== undefined) {
      if (field.words.length !== nWords) return false;
      for (let i = 0; i < nWords; i++) flow[META + (field.words[i] as number)] = flow[at + 1 + i] as number;
      setPresent(flow, field);
    } else if (((header >>> 8) & CRITICAL) !== 0) return false;
    at += 1 + nWords;
  }
  return true;
}

/** Gives `flow` the options that its fields are, by rising number.  Those for which there is no room are left out: false. */
export function fieldsToOptions(table: TlvTable, flow: FlowKey): boolean {
  flow.fill(0, OPTS, OPTS + FIELD.tunOpts.bits / 32);
  let n = 0;
  let fits = true;
  for (const field of table.fields) {
    const words = field.words ?? [];
    const option = table.optionOf(field);
    if (option === undefined || !mfHasTunMetadata(field, flow)) continue;
    if (n + 1 + words.length > MAX_OPT_WORDS) {
      fits = false;
      continue;
    }
    flow[OPTS + n++] = (option.optionClass << 16) | (option.optionType << 8) | words.length;
    for (const word of words) flow[OPTS + n++] = flow[META + word] as number;
  }
  setField(flow, FIELD.tunOptsSize, 4 * n);
  return fits;
}

/**
 * Makes of the fields that wildcards looked at the bytes of the options that they are: `flow` is the packet's, with its options.  Which options
 * there are, and in which order, always counts.
 */
export function maskOptions(table: TlvTable, flow: FlowKey, wc: FlowMask): void {
  setField(wc, FIELD.tunOptsSize, 0xff);
  if (wc[PRESENT] === 0 && wc[PRESENT + 1] === 0) return;
  const end = OPTS + getField(flow, FIELD.tunOptsSize) / 4;
  for (let at = OPTS; at < end; ) {
    const header = flow[at] as number;
    const nWords = Math.min(header & 0x1f, end - at - 1);
    const words = fieldOfHeader(table, header)?.words;
    wc[at] = HEADER_MASK;
    for (let i = 0; i < nWords; i++) wc[at + 1 + i] = words === undefined ? 0 : (wc[META + (words[i] ?? 0)] as number);
    at += 1 + nWords;
  }
}
