/**
 * Nicira's messages about the TLV table (`tlv-table.ts` is the table itself).
 *
 * ```
 * mod     | command 16 | pad 48 | maps |
 * reply   | space for options 32 | number of fields 16 | pad 80 | maps |
 * map     | class 16 | type 8 | length 8 | n of tun_metadataN 16 | pad 16 |
 * ```
 * Source: include/openflow/nicira-ext.h, lib/ofp-match.c.
 */

import { NXTTMC } from '../../fields/tlv-table.ts';
import { OFPERR, OfpError } from '../../ofp-errors.ts';
import type { OfpWriter } from '../../ofp-writer.ts';
import { type BodyCodec, type BodyIn, type Codecs, NO_BODY } from '../wire/body.ts';
import type { TlvMap, TlvTableMod, TlvTableReply } from './switch-types.ts';

const MAP_SIZE = 8;
const MAX_OPTION = 124;
const MAX_FIELDS = 64;

function decodeMaps({ dv, bytes }: BodyIn, at: number, maxFields: number): TlvMap[] {
  const maps: TlvMap[] = [];
  for (let next = at; next < bytes.length; next += MAP_SIZE) {
    const optionLen = dv.getUint8(next + 3);
    if (optionLen % 4 !== 0 || optionLen > MAX_OPTION) {
      throw new OfpError(OFPERR.NXTTMFC_BAD_OPT_LEN, `option of ${optionLen} bytes, want a multiple of 4 up to 124`);
    }
    const index = dv.getUint16(next + 4);
    if (index >= maxFields) {
      throw new OfpError(OFPERR.NXTTMFC_BAD_FIELD_IDX, `tun_metadata${index}, want less than ${maxFields}`);
    }
    maps.push({ optionClass: dv.getUint16(next), optionType: dv.getUint8(next + 2), optionLen, index });
  }
  return maps;
}

function encodeMaps(maps: readonly TlvMap[], out: OfpWriter): void {
  for (const { optionClass, optionType, optionLen, index } of maps) {
    out.u16(optionClass);
    out.u8(optionType);
    out.u8(optionLen);
    out.u16(index);
    out.u16(0);
  }
}

const tlvTableMod: BodyCodec<TlvTableMod> = {
  decode(m) {
    const command = m.dv.getUint16(m.at);
    if (command > NXTTMC.CLEAR) throw new OfpError(OFPERR.NXTTMFC_BAD_COMMAND, `TLV table command ${command}`);
    return { command, mappings: decodeMaps(m, m.at + 8, MAX_FIELDS) };
  },
  encode({ command, mappings }, { out }) {
    out.u16(command);
    out.room(6);
    encodeMaps(mappings, out);
  },
};

const tlvTableReply: BodyCodec<TlvTableReply> = {
  decode(m) {
    const maxFields = m.dv.getUint16(m.at + 4);
    return { maxOptionSpace: m.dv.getUint32(m.at), maxFields, mappings: decodeMaps(m, m.at + 16, maxFields) };
  },
  encode({ maxOptionSpace, maxFields, mappings }, { out }) {
    out.u32(maxOptionSpace);
    out.u16(maxFields);
    out.room(10);
    encodeMaps(mappings, out);
  },
};

export const TLV_CODECS = {
  nxt_tlv_table_mod: tlvTableMod,
  nxt_tlv_table_request: NO_BODY,
  nxt_tlv_table_reply: tlvTableReply,
} satisfies Partial<Codecs>;
