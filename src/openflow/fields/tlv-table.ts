/**
 * The TLV table of a bridge: which Geneve option (class and type) is which of tun_metadata0 to 63, and where its value stands in a flow's tunMeta.
 *
 * A table is never changed: a modification makes another, so that flows and translations under way keep theirs.  The 256 bytes of values
 * are given out in words of 4 bytes; an option for which there is no room in one piece gets several.
 * Source: lib/tun-metadata.c, ovs-fields(7) "Tunnel fields", include/openflow/nicira-ext.h (nx_tlv_table_mod).
 */
import type { TlvMap, TlvTableMod, TlvTableReply } from '../messages/switch/switch-types.ts';
import { OFPERR, OfpError } from '../ofp-errors.ts';
import type { MfField } from './mf-field.ts';
import { MF } from './mf-fields.ts';

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
  /** The field as it is here: of the option's length, and with its place. */
  readonly field: MfField;
}

const keyOf = (m: TlvMap): number => m.optionClass * 256 + m.optionType;

export class TlvTable {
  private readonly entries: ReadonlyMap<number, Entry>;
  private readonly byOption = new Map<number, MfField>();
  /** The fields that are mapped, by rising index. */
  readonly fields: readonly MfField[];

  constructor(entries: ReadonlyMap<number, Entry> = new Map()) {
    this.entries = entries;
    this.fields = [...entries.values()].map((e) => e.field).sort((a, b) => a.index - b.index);
    for (const { map, field } of entries.values()) this.byOption.set(keyOf(map), field);
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

  /** The field tun_metadata `index` with its length and place; undefined if it is not mapped. */
  fieldOf(index: number): MfField | undefined {
    return this.entries.get(index)?.field;
  }

  /**
   * The field tun_metadata `index` of the greatest length, as texts name it, with the place of its last bytes; without a place if it is not
   * mapped.
   */
  wideFieldOf(index: number): MfField {
    const wide = MF[`tun_metadata${index}`] as MfField;
    const words = this.entries.get(index)?.words;
    return words === undefined ? wide : { ...wide, words };
  }

  /** The field that an option is; undefined if it is none. */
  fieldOfOption(optionClass: number, optionType: number): MfField | undefined {
    return this.byOption.get(optionClass * 256 + optionType);
  }

  /** What the option of a field is. */
  optionOf(field: MfField): TlvMap | undefined {
    return this.entries.get(field.index)?.map;
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
  const words = allocate(used, optionLen / 4);
  const field = { ...(MF[`tun_metadata${index}`] as MfField), bits: 8 * optionLen, bytes: optionLen, words };
  entries.set(index, { map, words, field });
}

/** `n` words that are free: in one piece if there is one, else the first ones.  Throws OfpError (NXTTMFC_TABLE_FULL). */
function allocate(used: ReadonlySet<number>, n: number): number[] {
  const free = Array.from({ length: WORDS }, (_, i) => i).filter((i) => !used.has(i));
  if (free.length < n)
    throw new OfpError(OFPERR.NXTTMFC_TABLE_FULL, `${4 * free.length} bytes are free, want ${4 * n}`);
  const start = free.findIndex((word, i) => free[i + n - 1] === word + n - 1);
  return free.slice(Math.max(0, start), Math.max(0, start) + n);
}
