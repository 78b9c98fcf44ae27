/**
 * The TLV table of a bridge: which Geneve option (class and type) is which of tun_metadata0 to 63, and where its value stands in a flow's tunMeta.
 *
 * A table is never changed: a modification makes another, so that flows and translations under way keep theirs.  The 256 bytes of values
 * are given out in words of 4 bytes; an option for which there is no room in one piece gets several.
 * Source: lib/tun-metadata.c, ovs-fields(7) "Tunnel fields", include/openflow/nicira-ext.h (nx_tlv_table_mod).
 */
import { getBits, setBits } from '../flow/bits.ts';
import { FIELD } from '../flow/fields.ts';
import type { FlowKey } from '../flow/flow-key.ts';
import type { TlvMap, TlvTableMod, TlvTableReply } from './messages/switch-types.ts';
import { OFPERR, OfpError } from './ofp-errors.ts';

const MAX_FIELDS = 64;
const SPACE = 256;
const WORDS = SPACE / 4;
/** Bytes that a Geneve option can have. */
const MAX_OPTION = 124;
export const NXTTMC = { ADD: 0, DELETE: 1, CLEAR: 2 } as const;

interface Entry {
  readonly map: TlvMap;
  /** Numbers of the words of tunMeta that have the value, in the value's order. */
  readonly words: readonly number[];
}

const keyOf = (m: TlvMap): number => m.optionClass * 256 + m.optionType;

export class TlvTable {
  private readonly entries: ReadonlyMap<number, Entry>;

  constructor(entries: ReadonlyMap<number, Entry> = new Map()) {
    this.entries = entries;
  }

  /** The table after `mod`.  Throws OfpError (NXTTMFC_*): this table stays in force then. */
  modify(mod: TlvTableMod): TlvTable {
    if (mod.command === NXTTMC.CLEAR) return new TlvTable();
    const entries = new Map(this.entries);
    for (const map of mod.mappings) {
      if (mod.command === NXTTMC.DELETE) entries.delete(map.index);
      else if (mod.command === NXTTMC.ADD) add(entries, map);
      else throw new OfpError(OFPERR.NXTTMFC_BAD_COMMAND, `TLV table command ${mod.command}`);
    }
    return new TlvTable(entries);
  }

  /** What a request for the table is answered with. */
  describe(): TlvTableReply {
    const mappings = [...this.entries.values()].map((e) => e.map).sort((a, b) => a.index - b.index);
    return { maxOptionSpace: SPACE, maxFields: MAX_FIELDS, mappings };
  }

  /** Bytes of the option that is tun_metadata `index`; undefined if none is. */
  sizeOf(index: number): number | undefined {
    return this.entries.get(index)?.map.optionLen;
  }

  /** The number n of the tun_metadata that an option is; undefined if it is none. */
  indexOf(optionClass: number, optionType: number): number | undefined {
    const key = optionClass * 256 + optionType;
    for (const [index, { map }] of this.entries) if (keyOf(map) === key) return index;
    return undefined;
  }

  /** Whether a flow (or mask) has tun_metadata `index`. */
  has(index: number, flow: FlowKey): boolean {
    return getBits(flow, FIELD.tunMetaPresent.at + MAX_FIELDS - 1 - index, 1) !== 0;
  }

  /** The value of tun_metadata `index` in a flow or mask, as long as its option; empty if none is mapped. */
  read(index: number, flow: FlowKey): Uint8Array {
    const words = this.entries.get(index)?.words ?? [];
    const out = new Uint8Array(4 * words.length);
    const dv = new DataView(out.buffer);
    words.forEach((word, i) => {
      dv.setUint32(4 * i, getBits(flow, FIELD.tunMeta.at + 32 * word, 32));
    });
    return out;
  }

  /** Writes a value as long as its option, right-aligned if it is shorter; of a tun_metadata that is not mapped, nothing. */
  write(index: number, value: Uint8Array, flow: FlowKey): void {
    const words = this.entries.get(index)?.words;
    if (words === undefined) return;
    const whole = new Uint8Array(4 * words.length);
    const part = value.subarray(Math.max(0, value.length - whole.length));
    whole.set(part, whole.length - part.length);
    const dv = new DataView(whole.buffer);
    words.forEach((word, i) => {
      setBits(flow, FIELD.tunMeta.at + 32 * word, 32, dv.getUint32(4 * i));
    });
    setBits(flow, FIELD.tunMetaPresent.at + MAX_FIELDS - 1 - index, 1, 1);
  }
}

function add(entries: Map<number, Entry>, map: TlvMap): void {
  const { index, optionLen } = map;
  if (index >= MAX_FIELDS) throw new OfpError(OFPERR.NXTTMFC_BAD_FIELD_IDX, `tun_metadata${index}, want at most 63`);
  if (optionLen % 4 !== 0 || optionLen > MAX_OPTION) {
    throw new OfpError(
      OFPERR.NXTTMFC_BAD_OPT_LEN,
      `option of ${optionLen} bytes, want a multiple of 4 up to ${MAX_OPTION}`,
    );
  }
  if (entries.has(index)) throw new OfpError(OFPERR.NXTTMFC_ALREADY_MAPPED, `tun_metadata${index} is mapped`);
  const used = new Set<number>();
  for (const entry of entries.values()) {
    if (keyOf(entry.map) === keyOf(map)) throw new OfpError(OFPERR.NXTTMFC_DUP_ENTRY, 'the option is mapped');
    for (const word of entry.words) used.add(word);
  }
  entries.set(index, { map, words: allocate(used, optionLen / 4) });
}

/** `n` words that are free: in one piece if there is one, else the first ones.  Throws OfpError (NXTTMFC_TABLE_FULL). */
function allocate(used: ReadonlySet<number>, n: number): number[] {
  const free = Array.from({ length: WORDS }, (_, i) => i).filter((i) => !used.has(i));
  if (free.length < n)
    throw new OfpError(OFPERR.NXTTMFC_TABLE_FULL, `${4 * free.length} bytes are free, want ${4 * n}`);
  const start = free.findIndex((word, i) => free[i + n - 1] === word + n - 1);
  return free.slice(Math.max(0, start), Math.max(0, start) + n);
}
